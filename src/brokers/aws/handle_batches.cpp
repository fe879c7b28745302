#include "brokers/aws/handle_batches.hpp"

#include "brokers/aws/trouble.hpp"
#include "txm/error.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace txm::aws::detail {

namespace asio = boost::asio;

namespace {
constexpr std::size_t most = 10;
}

HandleBatches::HandleBatches(asio::any_io_executor executor, Send send)
    : executor_(std::move(executor)), send_(std::move(send)) {}

void HandleBatches::add(std::string receipt, Done done) {
    waiting_.push_back(Handle{std::move(receipt), std::move(done)});
    if (is_flushing_)
        return;
    // Behind those that are on their way to this executor already.
    is_flushing_ = true;
    asio::post(executor_, [self = shared_from_this()] {
        self->is_flushing_ = false;
        self->flush();
    });
}

void HandleBatches::flush() {
    while (waiting_.size() >= most || (!waiting_.empty() && running_ == 0)) {
        const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(most, waiting_.size()));
        std::vector<Handle> handles(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
        waiting_.erase(waiting_.begin(), end);
        ++running_;
        asio::co_spawn(executor_, send(std::move(handles)), asio::detached);
    }
}

awaitable<void> HandleBatches::send(std::vector<Handle> handles) {
    const auto self = shared_from_this();
    std::vector<std::string> receipts;
    receipts.reserve(handles.size());
    for (const Handle& handle : handles)
        receipts.push_back(handle.receipt);
    std::vector<EntryResult> results;
    std::exception_ptr problem;
    try {
        results = co_await send_(receipts);
    } catch (...) {
        problem = std::current_exception();
    }
    // A queue that is gone has no deliveries that could come again.
    if (problem && is_missing(problem)) {
        problem = nullptr;
        EntryResult done;
        done.is_done = true;
        results.assign(handles.size(), done);
    }
    --running_;
    flush();
    for (std::size_t i = 0; i < handles.size(); ++i) {
        std::exception_ptr failure = problem ? as_unavailable(problem, false) : nullptr;
        // Whose handle is no good any more comes again as a delivery of its own: nothing is left to do for this one.
        if (!failure && !results[i].is_done && !results[i].is_senders_fault)
            failure = std::make_exception_ptr(
                Error(Errc::broker_unavailable, "SQS did not settle a delivery: " + results[i].why));
        handles[i].done(failure);
    }
}

}  // namespace txm::aws::detail
