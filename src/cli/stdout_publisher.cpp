#include "cli/stdout_publisher.hpp"

#include "core/fault_point.hpp"
#include "core/message_json.hpp"
#include "txm/error.hpp"

namespace txm::cli {

awaitable<void> StdoutPublisher::publish(PublishBatch& batch) {
    lines_.clear();
    for (const StoredMessage& message : batch) {
        detail::append_message_json(lines_, message);
        lines_ += '\n';
    }
    try {
        co_await file_.write(lines_);
    } catch (const std::system_error& error) {
        const std::string why = error.what();
        if (StdoutFile::is_closed(error))
            give_up_("stdout is closed: nobody reads the messages any more; what was not written stays pending");
        throw Error(Errc::broker_unavailable, why);
    }
    fault::point("stdout.acknowledge");
    for (const StoredMessage& message : batch)
        batch.acknowledge(message);
}

}  // namespace txm::cli
