#include "sqlite/hold.hpp"

#include "txm/error.hpp"

#include <utility>

namespace txm::sqlite::detail {
namespace {

boost::asio::awaitable<void> wait_for(Hold::Impl* impl, std::shared_ptr<AwaitedJob> job, bool commits) {
    job->suspended = true;
    const auto submit = [impl, &job, commits] { impl->submit({job, commits}); };
    co_await txm::detail::suspend(job->suspension, submit);
    if (job->error)
        std::rethrow_exception(std::exchange(job->error, nullptr));
}

}  // namespace

void Hold::Impl::submit(Command command) {
    std::exception_ptr why;
    {
        const std::scoped_lock lock(mutex);
        if (!ended) {
            commands.push_back(std::move(command));
            changed.notify_one();
            return;
        }
        why = why_ended;
    }
    command.job->finish(std::move(why));
}

void Hold::Impl::end(std::exception_ptr why) noexcept {
    std::deque<Command> left;
    {
        const std::scoped_lock lock(mutex);
        ended = true;
        why_ended = why;
        left.swap(commands);
    }
    for (const auto& command : left)
        command.job->finish(why);
}

std::optional<Hold::Impl::Command> Hold::Impl::next(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex);
    changed.wait_until(lock, deadline, [&] { return given_up || !commands.empty(); });
    if (given_up || commands.empty())
        return std::nullopt;
    Command command = std::move(commands.front());
    commands.pop_front();
    return command;
}

Hold::Hold() : impl_(std::make_unique<Impl>()) {}
Hold::~Hold() = default;

boost::asio::awaitable<void> Hold::run(std::shared_ptr<AwaitedJob> job) {
    return wait_for(impl_.get(), std::move(job), false);
}

boost::asio::awaitable<void> Hold::commit(std::shared_ptr<AwaitedJob> job) {
    return wait_for(impl_.get(), std::move(job), true);
}

void Hold::rollback() noexcept {
    const std::scoped_lock lock(impl_->mutex);
    impl_->given_up = true;
    impl_->changed.notify_one();
}

bool Hold::is_open() const noexcept {
    const std::scoped_lock lock(impl_->mutex);
    return !impl_->ended && !impl_->given_up;
}

}  // namespace txm::sqlite::detail
