#include "brokers/aws/batch_publisher.hpp"

#include "brokers/aws/trouble.hpp"
#include "core/fault_point.hpp"
#include "core/signal.hpp"
#include "txm/error.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

namespace txm::aws::detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t max_entries = 10;
// What SNS takes in a request (API_PublishBatch). SQS takes 1 MiB (quotas-messages), which a larger message has for itself:
// the price is the same, by 64 KiB, and queues from before that limit was raised take no more than this.
constexpr std::size_t max_request = 262'144;
// Each has its requests in flight at the same time, so that a few fill all connections; more would be smaller ones, and each
// request costs.
constexpr std::size_t batches_at_once = 8;

std::string bytes_text(std::size_t bytes) {
    return std::to_string(bytes) + " bytes";
}

/// There is no topic or queue, and none is to be made.
bool is_nowhere(const std::exception_ptr& problem) {
    try {
        std::rethrow_exception(problem);
    } catch (const Error& e) {
        return e.code() == Errc::invalid_message;
    } catch (...) {
        return false;
    }
}

/// What it is called is checked before: no message is to blame when it cannot be made.
[[noreturn]] void throw_not_made(const char* service, const std::string& name, const std::exception_ptr& problem) {
    try {
        std::rethrow_exception(problem);
    } catch (const Error& e) {
        throw Error(Errc::broker_unavailable,
                    std::string("no ") + service + " topic or queue \"" + name + "\" can be made: " + e.what(), {},
                    e.native_code());
    }
}

void postpone(PublishBatch& batch, const std::vector<const StoredMessage*>& messages) {
    for (const StoredMessage* message : messages)
        batch.postpone(*message);
}

/// The messages in waves: the first of each aggregate, then the second …
std::vector<std::vector<const StoredMessage*>> waves_of(const PublishBatch& batch) {
    std::vector<std::vector<const StoredMessage*>> waves;
    std::unordered_map<std::string_view, std::size_t> seen;
    seen.reserve(batch.size());
    for (const StoredMessage& message : batch) {
        const std::size_t wave = seen[message.aggregate_id.str()]++;
        if (wave == waves.size())
            waves.emplace_back();
        waves[wave].push_back(&message);
    }
    return waves;
}

}  // namespace

struct BatchPublisher::Entry {
    Entry(const StoredMessage& m, WireMessage w) : message(&m), wire(std::move(w)) {}

    const StoredMessage* message;
    WireMessage wire;
};

/// The requests of one wave, under way.
struct BatchPublisher::Sending {
    Sending(PublishBatch& b, asio::any_io_executor e) : batch(b), executor(std::move(e)), changed(executor) {}

    PublishBatch& batch;
    asio::any_io_executor executor;
    txm::detail::Signal changed;
    std::size_t running = 0;
    std::exception_ptr problem;
    std::set<std::string, std::less<>> failing;  ///< topics of which a request failed: the next would fail, too
    bool is_cancelled = false;
};

// A few more than connections, so that one is ready when a connection becomes free.
BatchPublisher::BatchPublisher(std::unique_ptr<Target> target, BrokerOptions options)
    : target_(std::move(target)),
      options_(std::move(options)),
      turns_(options_.client.max_connections + options_.client.max_connections / 4) {}

std::size_t BatchPublisher::max_concurrent_batches() const noexcept {
    return batches_at_once;
}

awaitable<void> BatchPublisher::publish(PublishBatch& batch) {
    const auto self = shared_from_this();
    const auto executor = co_await asio::this_coro::executor;
    const auto sending = std::make_shared<Sending>(batch, executor);
    // The requests use the batch: one who is cancelled waits for their end, too, but not for answers.
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);

    std::vector<bool> is_sent(batch.size());
    const auto waves = waves_of(batch);
    for (std::size_t wave = 0; wave < waves.size() && !sending->is_cancelled; ++wave) {
        Messages messages = waves[wave];
        if (wave > 0) {
            std::unordered_map<std::string_view, bool> flows;
            for (std::size_t i = 0; i < batch.size(); ++i) {
                const StoredMessage& message = batch.messages()[i];
                const bool is_behind = batch.report(i) == PublishBatch::Report::acknowledged || !is_sent[i];
                flows.try_emplace(message.aggregate_id.str(), true).first->second &= is_behind;
            }
            std::erase_if(messages, [&](const auto* m) { return !flows[m->aggregate_id.str()]; });
        }
        for (const StoredMessage* message : messages)
            is_sent[static_cast<std::size_t>(message - batch.messages().data())] = true;
        std::unordered_map<std::string_view, Messages> topics;
        for (const StoredMessage* message : messages)
            topics[message->topic].push_back(message);
        for (auto& [topic, of_topic] : topics)
            spawn(sending, send_topic(sending, std::move(of_topic)));
        while (sending->running > 0) {
            co_await sending->changed.wait();
            const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
            if (state.cancelled() != asio::cancellation_type::none && !std::exchange(sending->is_cancelled, true))
                target_->cut_off();
        }
    }

    co_await asio::this_coro::throw_if_cancelled(throws);
    if (sending->problem)
        std::rethrow_exception(as_unavailable(sending->problem, options_.create));
}

// The messages of the next request, which are the last of `messages`; empty when none is left. What no retry can make
// acceptable is refused here, so that it holds up nothing else.
BatchPublisher::Entries BatchPublisher::take_request(PublishBatch& batch, Messages& messages) const {
    Entries entries;
    std::size_t size = 0;
    for (; !messages.empty() && entries.size() < max_entries; messages.pop_back()) {
        const StoredMessage& message = *messages.back();
        try {
            WireMessage wire = to_wire(message, options_);
            const std::size_t own_size = wire.size();
            if (own_size > target_->max_message()) {
                batch.refuse(message, "with its headers it has " + bytes_text(own_size) + " and " + target_->service() +
                                          " takes " + bytes_text(target_->max_message()) +
                                          "; store large data elsewhere and send a reference to it");
                continue;
            }
            if (!entries.empty() && size + own_size > max_request)
                return entries;
            size += own_size;
            entries.emplace_back(message, std::move(wire));
        } catch (const std::exception& e) {
            batch.refuse(message, e.what());
        }
    }
    return entries;
}

void BatchPublisher::spawn(const std::shared_ptr<Sending>& sending, awaitable<void> body) {
    ++sending->running;
    asio::co_spawn(sending->executor, std::move(body),
                   [self = shared_from_this(), sending](std::exception_ptr problem) {
                       if (problem && !sending->problem)
                           sending->problem = problem;
                       --sending->running;
                       sending->changed.notify();
                   });
}

awaitable<void> BatchPublisher::send_topic(std::shared_ptr<Sending> sending, Messages messages) {
    const std::string topic = messages.front()->topic;
    try {
        co_await address_of(topic);
    } catch (const Error& e) {
        if (e.code() != Errc::invalid_message) {
            postpone(sending->batch, messages);
            throw;
        }
        for (const StoredMessage* message : messages)
            sending->batch.refuse(*message, e.what());
        co_return;
    }
    std::ranges::reverse(messages);
    while (!messages.empty()) {
        Turn turn = co_await turns_.take();
        if (sending->is_cancelled || sending->failing.contains(topic)) {
            postpone(sending->batch, messages);
            co_return;
        }
        Entries request = take_request(sending->batch, messages);
        if (!request.empty())
            spawn(sending, send_request(sending, topic, std::move(request), false, std::move(turn)));
    }
}

awaitable<void> BatchPublisher::send_again(std::shared_ptr<Sending> sending, std::string topic, Entries entries,
                                           bool is_second_try) {
    Turn turn = co_await turns_.take();
    co_await send_request(std::move(sending), std::move(topic), std::move(entries), is_second_try, std::move(turn));
}

awaitable<void> BatchPublisher::send_request(std::shared_ptr<Sending> sending, std::string topic, Entries entries,
                                             bool is_second_try, Turn) {
    const auto postpone_all = [&batch = sending->batch, &entries] {
        for (const Entry& entry : entries)
            batch.postpone(*entry.message);
    };
    if (sending->is_cancelled) {
        postpone_all();
        co_return;
    }
    std::vector<const WireMessage*> messages;
    messages.reserve(entries.size());
    for (const Entry& entry : entries)
        messages.push_back(&entry.wire);
    std::vector<EntryResult> results;
    std::exception_ptr problem;
    bool is_sent = false;
    try {
        const std::string address = co_await address_of(topic);
        fault::point("aws.before_publish");
        is_sent = true;
        results = co_await target_->send(address, messages);
        fault::point("aws.after_publish");
    } catch (...) {
        problem = std::current_exception();
    }
    if (problem && is_missing(problem) && !is_second_try) {
        addresses_.erase(topic);  // deleted since it was looked up
        spawn(sending, send_again(sending, std::move(topic), std::move(entries), true));
        co_return;
    }
    if (problem && is_refusal(problem) && entries.size() > 1) {
        // One of them spoils the request: which one is seen when each is sent alone.
        for (Entry& entry : entries) {
            Entries one;
            one.push_back(std::move(entry));
            spawn(sending, send_again(sending, topic, std::move(one), is_second_try));
        }
        co_return;
    }
    const bool is_gone = problem && is_missing(problem) && !options_.create;
    if (problem && (is_refusal(problem) || is_gone || is_nowhere(problem))) {
        try {
            std::rethrow_exception(problem);
        } catch (const std::exception& e) {
            for (const Entry& entry : entries)
                sending->batch.refuse(*entry.message, e.what());
        }
        co_return;
    }
    if (problem) {
        if (!is_sent || was_not_carried_out(problem))
            postpone_all();
        sending->failing.insert(std::move(topic));
        std::rethrow_exception(problem);
    }
    std::string unknown;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const StoredMessage& message = *entries[i].message;
        if (results[i].is_done)
            sending->batch.acknowledge(message);
        else if (results[i].is_senders_fault)
            sending->batch.refuse(message, std::string(target_->service()) + " says " + results[i].why);
        else
            unknown = results[i].why.empty() ? "nothing" : results[i].why;
        if (results[i].is_postponed)
            sending->batch.postpone(message);
    }
    if (!unknown.empty())
        throw Error(Errc::broker_unavailable, std::string(target_->service()) +
                                                  " took only a part of a batch for topic " + topic + ": it says " +
                                                  unknown);
}

awaitable<std::string> BatchPublisher::address_of(std::string topic) {
    const auto known = addresses_.find(topic);
    if (known != addresses_.end())
        co_return known->second;
    std::string name = target_->name_of(topic);
    std::string address;
    std::exception_ptr problem;
    try {
        address = co_await target_->look_up(name);
    } catch (...) {
        problem = std::current_exception();
    }
    if (problem && is_refusal(problem))
        throw_not_made(target_->service(), name, problem);
    if (problem && (!is_missing(problem) || options_.create))
        std::rethrow_exception(problem);
    if (address.empty())
        throw Error(Errc::invalid_message, std::string("there is no ") + target_->service() + " topic or queue \"" +
                                               name + "\" in the region: `txm migrate --broker` makes it");
    addresses_.emplace(std::move(topic), address);
    co_return address;
}

}  // namespace txm::aws::detail
