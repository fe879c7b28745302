#include "txm/borrowed.hpp"
#include "txm/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace {

using testing::HasSubstr;
using txm::borrowed::Dialect;

struct Done {
    txm::Uuid message_id = txm::new_uuid(), correlation_id{};
    std::string aggregate_id = "a";
    txm::Timestamp created_at = txm::now();
    std::string serialize() const { return "{}"; }
};

const txm::TopicMap topics{txm::topic<Done>("t", "done")};

TEST(Borrowed, PublishWritesAtOnce) {
    std::vector<txm::Statement> ran;
    const auto execute = [&](const txm::Statement& statement) {
        ran.push_back(statement);
        return std::size_t{1};
    };
    txm::borrowed::OutboxRepository outbox{"outbox", Dialect::sqlite, execute, topics};
    const Done done;
    outbox.publish(done, Done{});
    ASSERT_EQ(ran.size(), 2u);
    EXPECT_THAT(ran[0].sql(), HasSubstr("insert into \"outbox\""));
    EXPECT_EQ(std::get<std::string>(ran[0].parameters().at(0)), done.message_id.to_string());
}

TEST(Borrowed, NoRowChangedIsADuplicate) {
    const auto execute = [](const txm::Statement&) { return std::size_t{0}; };
    txm::borrowed::OutboxRepository outbox{"outbox", Dialect::postgres, execute, topics};
    txm::borrowed::InboxRepository inbox{"inbox", Dialect::postgres, execute};
    EXPECT_THROW(outbox.publish(Done{}), txm::MessageAlreadyPublishedError);
    EXPECT_THROW(ensure_idempotence(txm::new_uuid(), inbox), txm::OutsideInboxWindowError);

    const auto has_the_row = [](const txm::Statement& statement) {
        return statement.sql().starts_with("update") ? std::size_t{1} : std::size_t{0};
    };
    txm::borrowed::InboxRepository known{"inbox", Dialect::sqlite, has_the_row};
    EXPECT_THROW(ensure_idempotence(txm::new_uuid(), known), txm::MessageAlreadyProcessedError);
}

TEST(Borrowed, PlaceholdersAreTheDialects) {
    const txm::StoredMessage message;
    EXPECT_THAT(outbox_insert(Dialect::sqlite, "o", message).sql(), HasSubstr("(?, ?,"));
    EXPECT_THAT(outbox_insert(Dialect::postgres, "o", message).sql(), HasSubstr("$1::uuid"));
}

TEST(Borrowed, ANameThatIsNoTableIsRefused) {
    const auto execute = [](const txm::Statement&) { return std::size_t{1}; };
    for (const char* name : {"", "out box", "out\"box", "public.outbox", "a;b"}) {
        EXPECT_THROW((txm::borrowed::OutboxRepository{name, Dialect::sqlite, execute, topics}), std::invalid_argument);
        EXPECT_THROW((txm::borrowed::InboxRepository{name, Dialect::sqlite, execute}), std::invalid_argument);
    }
}

}  // namespace
