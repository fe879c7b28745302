#include "sqlite/writer.hpp"

#include "sqlite/writer_impl.hpp"

namespace txm::sqlite::detail {
namespace {

// Jobs that share a transaction. More would not make the flush cheaper per job, only others wait longer for the lock.
constexpr std::size_t max_group = 256;

}  // namespace

Writer::Impl::Impl(const std::string& path, const DatabaseOptions& options, std::function<void()> then)
    : connection(path, Connection::Mode::read_write, options),
      hold_limit(options.hold_limit),
      after_commit(std::move(then)) {}

Writer::Impl::~Impl() {
    {
        const std::scoped_lock lock(mutex);
        stopping = true;
        if (held)
            held->rollback();
        for (const auto& entry : queue)
            if (entry.hold)
                entry.hold->rollback();
    }
    changed.notify_all();
    if (thread.joinable())
        thread.join();
}

void Writer::Impl::start() {
    const std::scoped_lock lock(mutex);
    if (!thread.joinable())
        thread = std::thread([this] { serve(); });
}

void Writer::Impl::push(Entry entry) {
    const std::scoped_lock lock(mutex);
    queue.push_back(std::move(entry));
    // Who is busy looks again. Under the lock: once the job is done, its owner may destroy this at once.
    if (!is_busy)
        changed.notify_one();
}

void Writer::Impl::serve() {
    std::vector<Task> group;
    std::unique_lock lock(mutex);
    for (;;) {
        changed.wait(lock, [&] { return !is_busy && (stopping || !queue.empty()); });
        if (queue.empty())
            return;
        is_busy = true;
        if (queue.front().hold) {
            held = std::move(queue.front().hold);
            queue.pop_front();
            lock.unlock();
            serve_hold(*held);
            lock.lock();
            held.reset();
        } else {
            while (!queue.empty() && queue.front().job && group.size() < max_group) {
                group.push_back({std::move(queue.front().job), nullptr});
                queue.pop_front();
            }
            lock.unlock();
            run(group);
            group.clear();
            lock.lock();
        }
        is_busy = false;
    }
}

bool Writer::Impl::run_here(const std::shared_ptr<WriteJob>& job) {
    {
        const std::scoped_lock lock(mutex);
        if (is_busy || !queue.empty() || stopping)
            return false;
        is_busy = true;
    }
    Task task{job, nullptr};
    run_alone(task);
    job->finish(std::move(task.error));
    bool is_awaited = false;
    {
        const std::scoped_lock lock(mutex);
        is_busy = false;
        is_awaited = !queue.empty() || stopping;
    }
    if (is_awaited)
        changed.notify_one();
    return true;
}

Writer::Writer(const std::string& path, const DatabaseOptions& options, std::function<void()> after_commit)
    : impl_(std::make_unique<Impl>(path, options, std::move(after_commit))) {}

Writer::~Writer() = default;

void Writer::submit(std::shared_ptr<WriteJob> job) {
    impl_->start();
    impl_->push({std::move(job), nullptr});
}

void Writer::submit(std::shared_ptr<Hold> hold) {
    impl_->start();
    impl_->push({nullptr, std::move(hold)});
}

bool Writer::run_here(const std::shared_ptr<WriteJob>& job) {
    return impl_->run_here(job);
}

boost::asio::awaitable<void> Writer::run(std::shared_ptr<AwaitedJob> job) {
    const bool is_done = txm::detail::BlockingScope::active() && run_here(job);
    if (!is_done) {
        impl_->start();
        job->suspended = true;
        const auto enqueue = [this, &job] { impl_->push({job, nullptr}); };
        co_await txm::detail::suspend(job->suspension, enqueue);
    }
    if (job->error)
        std::rethrow_exception(std::exchange(job->error, nullptr));
}

void Writer::run_blocking(std::shared_ptr<WriteJob> job, std::future<void> done) {
    const bool is_done = run_here(job);
    if (!is_done)
        submit(std::move(job));
    done.get();
}

boost::asio::awaitable<bool> Writer::resolve(std::function<bool(Connection&)> witness) {
    // To begin is to have the doubt cleared.
    const auto look = [&witness](Connection& connection) { return witness && witness(connection); };
    const bool is_there = co_await transact_quietly(look);
    co_return is_there;
}

}  // namespace txm::sqlite::detail
