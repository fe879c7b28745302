#pragma once

#include "brokers/aws/sqs.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace txm::aws::detail {

/// Deletes or extends deliveries of one queue, up to ten a request. Those that come while requests are under way share the
/// next one, unless they fill one of their own.
/// *Thread safety*: its executor alone, of one thread.
class HandleBatches : public std::enable_shared_from_this<HandleBatches> {
public:
    /// Called when it is done or, with what went wrong, was not.
    using Done = std::function<void(std::exception_ptr)>;
    using Send = std::function<awaitable<std::vector<EntryResult>>(std::span<const std::string> receipts)>;

    HandleBatches(boost::asio::any_io_executor executor, Send send);

    void add(std::string receipt, Done done);

private:
    struct Handle {
        std::string receipt;
        Done done;
    };

    void flush();
    awaitable<void> send(std::vector<Handle> handles);

    const boost::asio::any_io_executor executor_;
    const Send send_;
    std::deque<Handle> waiting_;
    std::size_t running_ = 0;
    bool is_flushing_ = false;
};

}  // namespace txm::aws::detail
