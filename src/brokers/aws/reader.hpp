#pragma once

#include "asio/suspension.hpp"
#include "brokers/aws/handle_batches.hpp"
#include "brokers/aws/setup.hpp"
#include "core/backoff.hpp"
#include "txm/aws.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace txm::aws::detail {

/// Fetches deliveries from the queues of a subscription and keeps their receipt handles.
/// *Thread safety*: its executor alone, of one thread.
class Reader : public std::enable_shared_from_this<Reader> {
public:
    using Time = std::chrono::steady_clock::time_point;
    using Done = HandleBatches::Done;

    /// One who waits for deliveries.
    struct Request {
        explicit Request(std::size_t most) : max(most) {}

        const std::size_t max;
        std::vector<Delivery> deliveries;
        std::exception_ptr error;
        txm::detail::Suspension suspension;
    };

    Reader(boost::asio::any_io_executor executor, std::vector<std::string> topics, SubscriptionOptions options);
    ~Reader();

    void receive(std::shared_ptr<Request> request);
    void acknowledge(std::uint64_t token, Done done);
    void extend(std::uint64_t token);
    void drain();
    void interrupt();

    /// Ends the reading and shows what was not acknowledged to others, as far as that can be done in `time`. What is under
    /// way then is cut off, so that the executor has nothing left to do.
    awaitable<void> close(std::chrono::milliseconds time);

private:
    struct Queue;
    struct Handle {
        Queue* queue;
        std::string receipt;
        Time visible_at;  ///< to others
    };

    Sqs& open() const;
    void pump();
    bool serve();
    void answer();
    bool is_drained() const;
    void pump_at(Time time);
    std::size_t asked_for(const Queue& queue, std::size_t room) const;
    void begin_poll(Queue& queue, std::size_t max);
    awaitable<void> poll(Queue& queue, std::size_t max);
    awaitable<void> fetch(Queue& queue, std::size_t max);
    void take(Queue& queue, std::vector<Received> messages);
    void failed(Queue& queue, std::exception_ptr problem);
    void settled(std::uint64_t token, std::exception_ptr problem, const Done& done);
    void release(Queue& queue, std::vector<std::string> receipts);
    awaitable<void> show(Queue& queue, std::vector<std::string> receipts);

    const boost::asio::any_io_executor executor_;
    const SubscriptionOptions options_;
    std::unique_ptr<Sqs> sqs_;
    std::unique_ptr<Sns> sns_;
    std::vector<std::unique_ptr<Queue>> queues_;
    std::size_t next_queue_ = 0;

    std::shared_ptr<Request> request_;
    std::deque<Delivery> ready_;                           ///< fetched, not yet handed over
    std::size_t asked_ = 0;                                ///< messages that polls under way may bring
    std::unordered_map<std::uint64_t, Handle> in_flight_;  ///< by token; those that are ready, too
    std::uint64_t last_token_ = 0;
    bool is_interrupted_ = false, is_draining_ = false, is_closing_ = false, is_ended_ = false;
    txm::detail::Backoff backoff_{std::chrono::milliseconds{100}, std::chrono::milliseconds{5'000}};
    std::chrono::milliseconds close_time_{};
    Time quiet_since_{};  ///< of a drain: the last delivery or acknowledgement
    std::size_t releasing_ = 0;
    boost::asio::steady_timer pause_;
    boost::asio::steady_timer closed_;
};

}  // namespace txm::aws::detail
