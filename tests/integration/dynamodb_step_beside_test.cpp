#include "integration/dynamodb_step_fixture.hpp"
#include "txm/admin.hpp"

#include <functional>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

/// A relay runs beside the step: what it does while a broker takes the step's message.
class DynamoDbStepBeside : public DynamoDbStep, public ::testing::WithParamInterface<bool> {
protected:
    DynamoDbStepBeside() {
        is_shared_ = GetParam();
        if (is_shared_)
            call("PutItem", R"({"TableName":")" + state_table() +
                                R"(","Item":{"PK":{"S":"META"},"SK":{"S":"COMPAT"},"Compat":{"BOOL":true}}})");
        relay_.acquire();
        one_ = publish("a", "1");
        taken_ = relay_.read();
    }

    dynamodb::FeedOptions relay_options() const {
        dynamodb::FeedOptions options = feed_options();
        options.compat = is_shared_;
        return options;
    }

    /// The step sends the message that the relay has, and the broker takes it when the relay has done that.
    void run_while(const std::function<void()>& act) {
        bool is_done = false;
        broker_.on_batch = [&](const PublishBatch&) {
            if (!std::exchange(is_done, true))
                act();
        };
        EXPECT_EQ(run(event_of({one_})), all_done);
        EXPECT_THAT(payloads(broker_.accepted), ElementsAre("1"));
        broker_.on_batch = {};
    }

    std::vector<std::string> listed_as(MessageState state) {
        MessageFilter filter;
        filter.state = state;
        std::vector<std::string> found;
        const auto admin = dynamodb::open_admin(*db_, outbox_);
        sync_wait(admin->list(filter, [&](const ListedMessage& listed) {
            found.push_back(listed.message.payload);
            return true;
        }));
        return found;
    }

    StoreStatus status() {
        const auto admin = dynamodb::open_admin(*db_, outbox_);
        return sync_wait(admin->outbox_status());
    }

    /// Nothing is known of the message but that it was sent.
    void expect_dispatched_and_no_trace() {
        EXPECT_TRUE(message(one_.message_id)->is_dispatched());
        EXPECT_EQ(message(one_.message_id)->approximate_dispatch_count, 1);
        EXPECT_TRUE(row(one_)->contains("ExpiresAt"));
        EXPECT_FALSE(item(state_table(), dynamodb::detail::message_state_key(one_.message_id)).has_value());
        EXPECT_FALSE(item(state_table(), dynamodb::detail::dead_key(one_.sequence, one_.message_id)).has_value());
        EXPECT_THAT(listed_as(MessageState::dead), ElementsAre());
        EXPECT_EQ(status().dead, 0U);
    }

    dynamodb::OutboxFeed feed_{*db_, relay_options()};
    FeedReader relay_{feed_};
    StoredMessage one_;
    std::vector<StoredMessage> taken_;
};

TEST_P(DynamoDbStepBeside, a_dead_letter_that_holds_its_lane_and_is_acknowledged_lets_it_go_on) {
    run_while([&] { relay_.settle(taken_, Settlement::held, "refused too often"); });
    expect_dispatched_and_no_trace();
    ASSERT_EQ(status().lanes_held, 0U);
    const StoredMessage two = publish("a", "2");
    EXPECT_EQ(run(event_of({two})), all_done);
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("1")) << "what is blocked is the relay's";
    EXPECT_THAT(take(relay_, 1), ElementsAre("2"));
    EXPECT_TRUE(relay_.is_drained());
}

TEST_P(DynamoDbStepBeside, a_dead_letter_that_is_acknowledged_is_none_any_more) {
    run_while([&] { relay_.settle(taken_, Settlement::dead, "refused too often"); });
    expect_dispatched_and_no_trace();
    const StoredMessage two = publish("a", "2");
    EXPECT_EQ(run(event_of({two})), all_done);
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("1", "2"));
}

TEST_P(DynamoDbStepBeside, what_an_operator_skipped_and_is_acknowledged_is_dispatched) {
    run_while([&] {
        relay_.park(one_, 1, now() + 24h);
        MessageFilter filter;
        filter.ids = {one_.message_id};
        EXPECT_EQ(sync_wait(dynamodb::open_admin(*db_, outbox_)->skip(filter, {})), 1U);
    });
    expect_dispatched_and_no_trace();
    publish("a", "2");
    EXPECT_THAT(take(relay_, 1), ElementsAre("2"));
}

TEST_P(DynamoDbStepBeside, what_was_parked_and_is_acknowledged_is_not_sent_again) {
    run_while([&] { relay_.park(one_, 1, now()); });
    EXPECT_TRUE(message(one_.message_id)->is_dispatched());
    publish("a", "2");
    EXPECT_THAT(take(relay_, 1), ElementsAre("2"));
    expect_dispatched_and_no_trace();
    EXPECT_THAT(listed_as(MessageState::parked), ElementsAre());
    EXPECT_TRUE(relay_.is_drained());
}

TEST_P(DynamoDbStepBeside, a_row_that_was_deleted_meanwhile_keeps_no_other_from_being_marked) {
    const StoredMessage other = publish("b", "2");
    broker_.on_batch = [&](const PublishBatch&) {
        call("DeleteItem",
             R"({"TableName":")" + outbox_ + R"(","Key":{"PK":{"S":"MESSAGE#)" + one_.message_id.to_string() + "\"}}}");
    };
    EXPECT_EQ(run(event_of({one_, other})), all_done);
    EXPECT_TRUE(message(other.message_id)->is_dispatched());
    EXPECT_FALSE(message(one_.message_id).has_value());
}

INSTANTIATE_TEST_SUITE_P(Tables, DynamoDbStepBeside, ::testing::Bool(),
                         [](const auto& i) { return i.param ? "shared" : "own"; });

}  // namespace
}  // namespace txm::test
