#include "stores/dynamodb/fenced_writer.hpp"

#include "core/backoff.hpp"
#include "core/fault_point.hpp"
#include "stores/dynamodb/json.hpp"
#include "txm/error.hpp"

#include <optional>

namespace txm::dynamodb::detail {
namespace {

using namespace std::chrono_literals;

// A transaction that met others at its items is tried again, in all for about as long as the client tries a request.
constexpr int max_attempts = 10;

}  // namespace

void FencedWriter::check_held() const {
    if (!lease_.is_held())
        throw FenceLostError("the lease of the outbox '" + outbox_ + "' is not held: call acquire()");
}

boost::asio::awaitable<void> FencedWriter::keep_lease() {
    check_held();
    if (lease_.until_renewal() > 0ms)
        co_return;
    const Turns::Turn turn = co_await turns_.take();
    check_held();
    if (lease_.until_renewal() > 0ms)
        co_return;
    co_await lease_.renew();
}

boost::asio::awaitable<std::vector<std::size_t>> FencedWriter::write(const std::vector<std::string>& elements) {
    const Turns::Turn turn = co_await turns_.take();
    txm::detail::Backoff backoff{20ms, 2000ms};
    for (int attempt = 1;; ++attempt) {
        check_held();
        const std::int64_t began = boottime_ms();
        const bool renews = lease_.until_renewal() == 0ms;
        std::string body = R"({"ClientRequestToken":")" + new_uuid().to_string() + R"(","TransactItems":[)";
        body += renews ? lease_.renewal_element() : lease_.check_element();
        for (const std::string& element : elements)
            body.append(",").append(element);
        body += "]}";
        std::vector<std::size_t> failed;
        const bool is_decided = co_await try_write(std::move(body), failed);
        if (is_decided) {
            if (failed.empty() && renews)
                lease_.renewed(began);
            co_return failed;
        }
        if (attempt == max_attempts)
            throw Error(Errc::store_unavailable, "a transaction on the outbox '" + outbox_ + "' was refused " +
                                                     std::to_string(max_attempts) +
                                                     " times because others write to the same items; try again later");
        co_await pause(backoff.after(attempt));
    }
}

// False when it was refused for a reason that passes.
boost::asio::awaitable<bool> FencedWriter::try_write(std::string body, std::vector<std::size_t>& failed) {
    std::optional<aws::ServiceError> refusal;
    fault::point("dynamodb_feed.write");
    try {
        // The token makes it safe to send the same bytes again when no answer comes.
        co_await db_.call("TransactWriteItems", std::move(body));
    } catch (const aws::ServiceError& e) {
        refusal = e;
    }
    if (!refusal) {
        fault::point("dynamodb_feed.written");
        co_return true;
    }
    if (refusal->type() != "TransactionCanceledException")
        throw *refusal;
    const boost::json::object answer = parse_object(refusal->body());
    const boost::json::value* reasons = answer.if_contains("CancellationReasons");
    if (!reasons || !reasons->is_array())
        throw *refusal;
    bool may_pass = false;
    std::size_t number = 0;
    for (const boost::json::value& reason : reasons->as_array()) {
        const std::string_view code = reason.is_object() ? text_in(reason.as_object(), "Code") : std::string_view{};
        if (code == "ConditionalCheckFailed") {
            if (number == 0)
                lease_.lost();
            failed.push_back(number - 1);
        } else if (code == "TransactionConflict" || code == "ProvisionedThroughputExceeded" ||
                   code == "ThrottlingError") {
            may_pass = true;
        } else if (!code.empty() && code != "None") {
            throw *refusal;
        }
        ++number;
    }
    // A condition that failed beside a conflict is judged when it is alone.
    if (may_pass || failed.empty())
        co_return false;
    co_return true;
}

}  // namespace txm::dynamodb::detail
