#include "cli/exec_handler.hpp"

#include "cli/child.hpp"

#include "core/fault_point.hpp"
#include "core/headers_json.hpp"

#include <stdexcept>
#include <vector>

namespace txm::cli {

namespace {

constexpr int dead_letter = 65;  // EX_DATAERR of sysexits.h

std::vector<std::string> variables(const Delivery& delivery, const std::string& consumer) {
    const StoredMessage& m = delivery.message;
    std::vector<std::string> result{
        "TXM_MESSAGE_ID=" + m.message_id.to_string(),
        "TXM_AGGREGATE_ID=" + m.aggregate_id.str(),
        "TXM_CORRELATION_ID=" + m.correlation_id.to_string(),
        "TXM_TOPIC=" + m.topic,
        "TXM_TYPE=" + m.type,
        "TXM_HEADERS=" + detail::headers_to_json(m.headers),
        "TXM_CREATED_AT=" + to_iso8601(m.created_at),
        "TXM_STORED_AT=" + to_iso8601(m.stored_at),
        "TXM_SEQUENCE=" + std::to_string(m.sequence),
        "TXM_ATTEMPT=" + std::to_string(delivery.attempt),
        "TXM_CONSUMER=" + consumer,
    };
    for (const std::string& variable : result)
        if (variable.find('\0') != std::string::npos)
            throw Rejected(variable.substr(0, variable.find('=')) +
                           " holds a NUL character, which no environment variable can");
    return result;
}

}  // namespace

awaitable<void> ExecHandler::handle(const Delivery& delivery) const {
    std::vector<std::string> environment = variables(delivery, consumer_);
    fault::point("exec.start");
    const int code = co_await Child::run(command_, std::move(environment), delivery.message.payload);
    fault::point("exec.done");
    if (code == dead_letter)
        throw Rejected("the command exited with code 65");
    if (code > 128)
        throw std::runtime_error("the command was killed by signal " + std::to_string(code - 128));
    if (code != 0)
        throw std::runtime_error("the command exited with code " + std::to_string(code));
}

}  // namespace txm::cli
