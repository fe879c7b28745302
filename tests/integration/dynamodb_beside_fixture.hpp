#pragma once

#include "integration/dynamodb_feed_fixture.hpp"
#include "support/fake_http.hpp"
#include "support/pass_on.hpp"
#include "txm/admin.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace txm::test {

/// What others do, and what fails, between two requests of a feed.
class DynamoDbBeside : public DynamoDbFeed {
protected:
    using Before = std::function<std::optional<HttpAnswer>(const std::string& action, const std::string& body)>;

    /// Calls it before each request of the feed. What it gives is the answer.
    void before(Before what) {
        const std::lock_guard lock{mutex_};
        before_ = std::move(what);
    }

    HttpAnswer answer(const HttpRequest& request) {
        Before before;
        {
            const std::lock_guard lock{mutex_};
            before = before_;
        }
        if (before) {
            if (std::optional<HttpAnswer> answer = before(action_of(request), request.body))
                return *answer;
        }
        return pass_on(*db_, request);
    }

    static HttpAnswer refusal() { return HttpAnswer(400, R"({"__type":"com.amazon#AccessDeniedException"})"); }

    dynamodb::FeedOptions poll_options() const {
        dynamodb::FeedOptions options = feed_options();
        options.kind = dynamodb::FeedKind::poll;
        return options;
    }
    std::unique_ptr<Admin> admin() { return dynamodb::open_admin(*db_, outbox_); }
    static MessageFilter of(const StoredMessage& message) {
        MessageFilter filter;
        filter.ids = {message.message_id};
        return filter;
    }

    std::mutex mutex_;
    Before before_;
    FakeHttp http_{[this](const HttpRequest& request) { return answer(request); }};
    dynamodb::Database between_{database_options(http_.endpoint())};
};

}  // namespace txm::test
