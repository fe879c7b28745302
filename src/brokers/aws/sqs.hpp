#pragma once

#include "aws/client.hpp"
#include "brokers/aws/wire.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace txm::aws::detail {

/// What became of one entry of a batch request.
struct EntryResult {
    bool is_done = false;
    bool is_senders_fault = false;  ///< it will be refused again
    bool is_postponed = false;      ///< it was not carried out, for a reason that is not its own
    std::string why;                ///< of a failure
};

/// What a queue is asked for.
struct ReceiveRequest {
    std::size_t max = 10;  ///< at most 10
    std::chrono::seconds wait{};
    std::chrono::seconds visibility{};
    std::string attempt_id;  ///< of a FIFO queue: a repeated request gives the same messages again
};

using QueueAttributes = std::map<std::string, std::string, std::less<>>;

/// Of what the relay and the consumer repeat themselves, and know better than a client when others go on meanwhile.
CallOptions few_attempts(const ClientOptions& options);

/// The same of what is published: what is throttled is only throttled more when it comes again sooner.
CallOptions few_failures(const ClientOptions& options);

/// The requests of SQS that txm makes.
/// *Thread safety*: any number of threads and coroutines. All functions throw as Client::call does.
class Sqs {
public:
    explicit Sqs(const ClientOptions& options);

    /// The queue's URL. @throws ServiceError(schema_missing) when there is none of that name
    awaitable<std::string> find(std::string name);

    awaitable<std::string> create(std::string name, QueueAttributes attributes);

    awaitable<QueueAttributes> attributes(std::string url);
    awaitable<void> set_attributes(std::string url, QueueAttributes attributes);

    /// Sends at most 10 messages. Gives a result for each.
    awaitable<std::vector<EntryResult>> send(const std::string& url, std::span<const WireMessage* const> messages);

    awaitable<std::vector<Received>> receive(const std::string& url, ReceiveRequest request);

    /// Deletes at most 10 messages. Gives a result for each.
    awaitable<std::vector<EntryResult>> erase(const std::string& url, std::span<const std::string> receipts);

    /// Hides at most 10 messages for that long from now on; shows them at once for 0.
    awaitable<std::vector<EntryResult>> hide(const std::string& url, std::span<const std::string> receipts,
                                             std::chrono::seconds time, CallOptions options = {});

    /// Fails what is under way and all that comes later.
    void close() noexcept { client_.close(); }

private:
    const CallOptions few_attempts_, few_failures_;
    Client client_;
};

}  // namespace txm::aws::detail
