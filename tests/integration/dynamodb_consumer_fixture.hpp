#pragma once

#include "integration/dynamodb_session_fixture.hpp"
#include "txm/consumer.hpp"
#include "txm/dynamodb_feed.hpp"
#include "txm/local.hpp"

#include "support/scratch_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <functional>
#include <string>
#include <vector>

namespace txm::test {

struct Paid {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string customer{};
    int number = 0;
    Timestamp created_at = now();

    std::string aggregate_id() const { return customer; }
    std::string serialize() const { return customer + " " + std::to_string(number); }
    static Paid deserialize(std::string_view text) {
        Paid result;
        result.customer = text.substr(0, text.find(' '));
        result.number = std::stoi(std::string(text.substr(text.find(' ') + 1)));
        return result;
    }
};

inline const TopicMap& payments() {
    static const TopicMap map{topic<Paid>("payments", "paid")};
    return map;
}

class PaymentWork : public UnitOfWork {
public:
    PaymentWork(dynamodb::Database& db, const Incoming& incoming, const std::string& inbox_table,
                dynamodb::InboxOptions options)
        : UnitOfWork(incoming), session_(db), inbox_(inbox_table, session_, std::move(options)) {}
    InboxRepository& inbox() override { return inbox_; }
    dynamodb::Session& session() override { return session_; }

private:
    dynamodb::Session session_;
    dynamodb::InboxRepository inbox_;
};

/// Where consumers in any number of processes work.
struct ConsumerPlace {
    std::string endpoint, accounts, inbox, state_table, broker;

    using Handler = std::function<void(Consumer<PaymentWork>&, PaymentWork&, const Paid&)>;

    /// Appends the number of the payment to what its customer has paid: applied twice it is there twice.
    void apply(PaymentWork& uow, const Paid& paid) const {
        dynamodb::Item values;
        values.emplace(":none", dynamodb::Attribute::List{});
        values.emplace(":one", dynamodb::Attribute::List{paid.number});
        uow.session().update(accounts, dynamodb::Item{{"PK", paid.customer}},
                             "set Paid = list_append(if_not_exists(Paid, :none), :one)", std::move(values));
    }

    ConsumerOptions options() const {
        ConsumerOptions options("billing");
        options.backoff = options.max_backoff = std::chrono::milliseconds(1);
        options.parked_poll = std::chrono::milliseconds(5);
        options.park_after = std::chrono::milliseconds(3);
        options.max_attempts = 1000;
        options.inbox_retention = std::chrono::seconds{0};
        options.drain = true;
        return options;
    }

    ConsumerStatistics run(const std::string& group, const ConsumerOptions& how, const Handler& handler,
                           std::optional<std::chrono::seconds> retention = {}) const {
        dynamodb::Database db{options_for(endpoint)};
        boost::asio::thread_pool threads(2);
        std::vector<std::string> names{"payments"};
        local::SubscriptionOptions subscribing(group);
        subscribing.lease_term = std::chrono::milliseconds{500};
        local::Subscription subscription(broker, names, subscribing);
        dynamodb::ConsumerStore store(db, "billing", inbox, state_table, retention);
        dynamodb::InboxOptions of_inbox{"billing"};
        of_inbox.retention = retention;
        Consumer<PaymentWork> consumer(store, subscription, how, [&](const Incoming& incoming) {
            return std::make_unique<PaymentWork>(db, incoming, inbox, of_inbox);
        });
        consumer.on<Paid>(payments(), [&](PaymentWork& uow, const Paid& paid) { handler(consumer, uow, paid); });
        boost::asio::co_spawn(threads, consumer.run(), boost::asio::use_future).get();
        threads.join();
        return consumer.statistics();
    }
};

}  // namespace txm::test
