#include "txm/testing.hpp"

#include "txm/error.hpp"

#include <algorithm>
#include <stdexcept>

namespace txm::testing {

awaitable<void> FakeSession::commit() {
    if (condition_ == Condition::unknown)
        throw CommitOutcomeUnknown(
            "the outcome of the previous commit is not known: co_await resolve(), or rollback()");
    if (condition_ == Condition::failed && writes_.empty())
        throw Error(Errc::commit_failed_before,
                    "the previous commit failed and nothing was staged since: rollback(), or stage the work again");
    before_commit();
    if (writes_.empty())
        co_return;
    condition_ = Condition::failed;
    if (const auto failure = std::exchange(failure_, nullptr)) {
        writes_.clear();
        std::rethrow_exception(failure);
    }
    if (const auto truth = std::exchange(lost_, std::nullopt)) {
        in_doubt_ = std::exchange(writes_, {});
        truth_ = *truth;
        condition_ = Condition::unknown;
        throw CommitOutcomeUnknown("the test lost the outcome of this commit: co_await resolve(), or rollback()");
    }
    write_all();
    condition_ = Condition::ready;
    committed();
}

void FakeSession::write_all() {
    const std::vector<Write> writes = std::exchange(writes_, {});
    for (const Write& write : writes)
        write.check();
    for (const Write& write : writes)
        write.apply();
    ++commits_;
}

void FakeSession::rollback() noexcept {
    // What is in doubt is decided by the store, whatever the session does.
    if (condition_ == Condition::unknown && truth_ == CommitOutcome::committed) {
        for (const Write& write : in_doubt_)
            write.apply();
    }
    in_doubt_.clear();
    writes_.clear();
    condition_ = Condition::ready;
}

awaitable<CommitOutcome> FakeSession::resolve() {
    if (condition_ != Condition::unknown)
        throw std::logic_error("txm: resolve() is for a session whose commit threw CommitOutcomeUnknown");
    if (truth_ == CommitOutcome::still_unknown)
        co_return truth_;
    writes_ = std::exchange(in_doubt_, {});
    condition_ = Condition::failed;
    if (truth_ == CommitOutcome::committed) {
        write_all();
        condition_ = Condition::ready;
        committed();
    }
    writes_.clear();
    co_return truth_;
}

Staged FakeSession::staged() const noexcept {
    if (writes_.empty())
        return Staged::nothing;
    const bool inbox_only = std::all_of(writes_.begin(), writes_.end(), [](const Write& w) { return w.is_inbox_row; });
    return inbox_only ? Staged::inbox_only : Staged::writes;
}

void FakeSession::add(std::function<void()> apply) {
    stage(Write{[] {}, std::move(apply)});
}

bool FakeSession::has_staged(const Row& row) const noexcept {
    return std::any_of(writes_.begin(), writes_.end(), [&](const Write& write) { return write.row == row; });
}

void FakeSession::stage(Write write) {
    if (condition_ == Condition::unknown)
        throw CommitOutcomeUnknown(
            "the outcome of the previous commit is not known: co_await resolve(), or rollback()");
    writes_.push_back(std::move(write));
}

FakeInboxRepository::FakeInboxRepository(FakeSession& session, std::string consumer)
    : session_(session), consumer_(std::move(consumer)) {}

FakeInboxRepository::Key FakeInboxRepository::key_of(const Incoming& incoming) const {
    return {incoming.consumer.empty() ? consumer_ : incoming.consumer, incoming.message_id};
}

void FakeInboxRepository::save(const Incoming& incoming) {
    const Key key = key_of(incoming);
    const FakeSession::Row row{rows_.get(), key.first, key.second};
    if (session_.has_staged(row))
        return;
    FakeSession::Write write;
    write.check = [rows = rows_, key, replay = incoming.replay] {
        const auto known = rows->find(key);
        if (known != rows->end() && !(replay && known->second.state == InboxState::dead))
            throw MessageAlreadyProcessedError(key.second);
    };
    write.apply = [rows = rows_, key, hash = incoming.payload_hash] {
        rows->insert_or_assign(key, ProcessedMessage{key.second, now(), InboxState::processed, hash});
    };
    write.row = row;
    write.is_inbox_row = true;
    session_.stage(std::move(write));
}

awaitable<std::optional<ProcessedMessage>> FakeInboxRepository::get(Incoming incoming) {
    const auto found = rows_->find(key_of(incoming));
    if (found == rows_->end())
        co_return std::nullopt;
    co_return found->second;
}

void FakeInboxRepository::put(const Incoming& incoming, InboxState state) {
    rows_->insert_or_assign(key_of(incoming),
                            ProcessedMessage{incoming.message_id, now(), state, incoming.payload_hash});
}

FakeOutboxRepository::FakeOutboxRepository(FakeSession& session, TopicMap topics)
    : OutboxRepository(std::move(topics)), session_(session) {}

FakeOutboxRepository::Kept* FakeOutboxRepository::find(const Uuid& message_id) const {
    const auto found = std::find_if(kept_->begin(), kept_->end(),
                                    [&](const Kept& kept) { return kept.message.message_id == message_id; });
    return found == kept_->end() ? nullptr : &*found;
}

awaitable<std::optional<StoredMessage>> FakeOutboxRepository::get(Uuid message_id) {
    const Kept* const found = find(message_id);
    if (!found)
        co_return std::nullopt;
    co_return found->message;
}

awaitable<void> FakeOutboxRepository::mark_as_dispatched(Uuid message_id) {
    Kept* const found = find(message_id);
    if (!found)
        throw MessageNotFoundError(message_id);
    ++found->message.approximate_dispatch_count;
    found->message.state = MessageState::dispatched;
    found->message.last_dispatched_at = now();
    co_return;
}

awaitable<std::vector<StoredMessage>> FakeOutboxRepository::get_not_dispatched_messages() {
    std::vector<StoredMessage> messages;
    for (const Kept& kept : *kept_) {
        if (!kept.message.is_dispatched())
            messages.push_back(kept.message);
    }
    co_return messages;
}

std::vector<StoredMessage> FakeOutboxRepository::stored() const {
    std::vector<StoredMessage> messages;
    for (const Kept& kept : *kept_)
        messages.push_back(kept.message);
    return messages;
}

void FakeOutboxRepository::stage(std::vector<Staged> batch) {
    for (Staged& staged : batch) {
        Kept kept{std::move(staged.message), typeid(void), nullptr};
        if (staged.topic) {
            kept.type = staged.topic->type_index;
            if (staged.topic->copy)
                kept.original = staged.topic->copy(staged.original);
        }
        const Uuid id = kept.message.message_id;
        const FakeSession::Row row{kept_.get(), {}, id};
        FakeSession::Write write;
        write.row = row;
        // A look at the store would not see the other one of the same commit.
        write.check = [this, id, is_second = session_.has_staged(row)] {
            if (is_second || find(id))
                throw MessageAlreadyPublishedError(id);
        };
        write.apply = [rows = kept_, kept = std::move(kept)]() mutable {
            kept.message.sequence = static_cast<Sequence>(rows->size()) + 1;
            kept.message.stored_at = now();
            rows->push_back(std::move(kept));
        };
        session_.stage(std::move(write));
    }
}

}  // namespace txm::testing
