#include "sqlite/readers.hpp"

#include "txm/sync_wait.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace txm::sqlite::detail {

struct Readers::Impl {
    Impl(const std::string& file, const DatabaseOptions& how, int threads_wanted)
        : path(file), options(how), count(static_cast<std::size_t>(threads_wanted)) {
        idle.resize(count);
    }

    ~Impl() {
        {
            const std::scoped_lock lock(mutex);
            stopping = true;
        }
        changed.notify_all();
        for (auto& thread : threads)
            thread.join();
    }

    void serve() {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return queue.empty() ? stopping : !idle.empty(); });
            if (queue.empty())
                return;
            const std::shared_ptr<ReadJob> job = std::move(queue.front());
            queue.pop_front();
            Opened connection = take_connection();
            lock.unlock();
            apply(*job, connection);
            lock.lock();
            idle.push_back(std::move(connection));
            lock.unlock();
            job->suspension.resume();
            lock.lock();
        }
    }

    // As many threads as connections, once somebody cannot read on its own thread.
    void start() {
        const std::scoped_lock lock(mutex);
        while (threads.size() < count)
            threads.emplace_back([this] { serve(); });
    }

    void submit(std::shared_ptr<ReadJob> job) {
        const std::scoped_lock lock(mutex);
        queue.push_back(std::move(job));
        // Under the lock: once the job is done, its owner may destroy this at once.
        changed.notify_one();
    }

    // On the caller's thread, when it may block and a connection is idle: saves two changes of thread.
    bool run_here(ReadJob& job) {
        if (!txm::detail::BlockingScope::active())
            return false;
        std::unique_lock lock(mutex);
        if (!queue.empty() || idle.empty())
            return false;
        Opened connection = take_connection();
        lock.unlock();
        apply(job, connection);
        lock.lock();
        idle.push_back(std::move(connection));
        const bool is_awaited = !queue.empty();
        lock.unlock();
        if (is_awaited)
            changed.notify_one();
        return true;
    }

    using Opened = std::unique_ptr<Connection>;  // null until it is needed

    Opened take_connection() {
        Opened connection = std::move(idle.back());
        idle.pop_back();
        return connection;
    }

    void apply(ReadJob& job, Opened& connection) const noexcept {
        try {
            if (!connection)
                connection = std::make_unique<Connection>(path, Connection::Mode::read_only, options);
            job.apply(*connection);
        } catch (...) {
            job.error = std::current_exception();
        }
    }

    const std::string path;
    const DatabaseOptions options;
    const std::size_t count;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::shared_ptr<ReadJob>> queue;
    std::vector<Opened> idle;
    bool stopping = false;
    std::vector<std::thread> threads;
};

Readers::Readers(const std::string& path, const DatabaseOptions& options, int threads)
    : impl_(std::make_unique<Impl>(path, options, threads)) {}

Readers::~Readers() = default;

boost::asio::awaitable<void> Readers::wait_for(std::shared_ptr<ReadJob> job) {
    const bool is_done = impl_->run_here(*job);
    if (!is_done) {
        impl_->start();
        const auto enqueue = [this, &job] { impl_->submit(job); };
        co_await txm::detail::suspend(job->suspension, enqueue);
    }
    if (job->error)
        std::rethrow_exception(std::exchange(job->error, nullptr));
}

}  // namespace txm::sqlite::detail
