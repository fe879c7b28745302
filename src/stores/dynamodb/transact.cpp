#include "stores/dynamodb/transact.hpp"

#include "core/backoff.hpp"
#include "core/fault_point.hpp"
#include "stores/dynamodb/cancellation.hpp"
#include "stores/dynamodb/json.hpp"
#include "txm/error.hpp"

#include <boost/json/array.hpp>

#include <optional>

namespace txm::dynamodb::detail {
namespace {

using namespace std::chrono_literals;

// In all for about as long as the client tries a request.
constexpr int max_attempts = 10;

struct Answer {
    bool may_pass = false;  ///< it was refused for a reason that passes
    std::vector<std::size_t> failed{};
};

Answer answer_of(const aws::ServiceError& refusal) {
    Answer answer;
    if (refusal.type() != "TransactionCanceledException")
        throw refusal;
    const boost::json::object body = parse_object(refusal.body());
    const boost::json::value* reasons = body.if_contains("CancellationReasons");
    if (!reasons || !reasons->is_array())
        throw refusal;
    std::size_t number = 0;
    for (const boost::json::value& reason : reasons->get_array()) {
        const std::string_view code = reason.is_object() ? text_in(reason.get_object(), "Code") : std::string_view{};
        if (code == "ConditionalCheckFailed")
            answer.failed.push_back(number);
        else if (is_passing(code))
            answer.may_pass = true;
        else if (!code.empty() && code != "None")
            throw refusal;
        ++number;
    }
    return answer;
}

}  // namespace

boost::asio::awaitable<std::vector<std::size_t>> transact(DatabaseImpl& db, std::string elements, std::string outbox) {
    txm::detail::Backoff backoff{20ms, 2000ms};
    for (int attempt = 1; attempt <= max_attempts; ++attempt) {
        // The token makes it safe to send the same bytes again when no answer comes; what was refused gets a new one.
        std::string body =
            R"({"ClientRequestToken":")" + new_uuid().to_string() + R"(","TransactItems":[)" + elements + "]}";
        std::optional<aws::ServiceError> refusal;
        fault::point("dynamodb_feed.write");
        try {
            co_await db.call("TransactWriteItems", std::move(body));
        } catch (const aws::ServiceError& e) {
            refusal = e;
        }
        Answer answer;
        if (refusal)
            answer = answer_of(*refusal);
        else
            fault::point("dynamodb_feed.written");
        // A condition that failed beside a conflict is judged when it is alone.
        if (!answer.may_pass)
            co_return answer.failed;
        co_await pause(backoff.after(attempt));
    }
    throw Error(Errc::store_unavailable, "a transaction on the outbox '" + outbox + "' was refused " +
                                             std::to_string(max_attempts) +
                                             " times because others write to the same items; try again later");
}

}  // namespace txm::dynamodb::detail
