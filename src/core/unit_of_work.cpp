#include "txm/unit_of_work.hpp"

#include "txm/error.hpp"

namespace txm {

UnitOfWork::UnitOfWork(std::optional<Incoming> incoming) : incoming_(std::move(incoming)) {}

// The session is a member of the user's class, so it cannot be reached in the constructor.
void UnitOfWork::hook() {
    if (hooked_)
        return;
    Session& mine = session();
    mine.before_commit_ = [this] { before_commit(); };
    mine.committed_ = [this] { committed_ = true; };
    hooked_ = true;
}

void UnitOfWork::before_commit() {
    if (!incoming_)
        return;
    if (!committed_)
        inbox().save(*incoming_);
    else if (session().staged() != Staged::nothing)
        throw AlreadyCommittedError(incoming_->message_id);
}

awaitable<void> UnitOfWork::enter() {
    hook();
    if (incoming_)
        co_await ensure_idempotence(*incoming_, inbox());
}

awaitable<void> UnitOfWork::commit() {
    hook();
    co_await session().commit();
}

void UnitOfWork::rollback() noexcept {
    session().rollback();
}

void detail::check_nothing_is_dropped(UnitOfWork& uow) {
    if (uow.session().staged() == Staged::writes)
        throw UncommittedSessionError(uow.incoming() ? uow.incoming()->message_id : Uuid{});
}

}  // namespace txm
