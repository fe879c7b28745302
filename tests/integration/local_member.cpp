// A consumer in a process of its own, for tests that kill and freeze it.
//
//   local_member FILE GROUP LEASE_MS hold             receives and prints payloads, acknowledges nothing
//   local_member FILE GROUP LEASE_MS apply EFFECTS    applies each message once to the SQLite file EFFECTS, acknowledges, prints

#include "txm/local.hpp"
#include "txm/sync_wait.hpp"

#include <sqlite3.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

class Effects {
public:
    explicit Effects(const char* path) {
        sqlite3_open(path, &db_);
        sqlite3_busy_timeout(db_, 10'000);
        sqlite3_exec(db_, "pragma synchronous = off", nullptr, nullptr, nullptr);
        sqlite3_prepare_v2(db_, "insert or ignore into effect (message_id, aggregate, payload) values (?, ?, ?)", -1,
                           &insert_, nullptr);
    }

    bool apply(const txm::StoredMessage& message) {
        const std::string id = message.message_id.to_string();
        sqlite3_bind_text(insert_, 1, id.c_str(), -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert_, 2, message.aggregate_id.str().c_str(), -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert_, 3, message.payload.c_str(), -1, SQLITE_TRANSIENT);
        const bool is_done = sqlite3_step(insert_) == SQLITE_DONE;
        sqlite3_reset(insert_);
        return is_done;
    }

private:
    sqlite3* db_ = nullptr;
    sqlite3_stmt* insert_ = nullptr;
};

}  // namespace

int main(int count, char** arguments) {
    if (count < 5)
        return 2;
    txm::local::SubscriptionOptions options{arguments[2]};
    options.lease_term = std::chrono::milliseconds{std::atoi(arguments[3])};
    options.poll_interval = std::chrono::milliseconds{20};
    txm::local::Subscription subscription(arguments[1], {"orders"}, options);
    const bool applies = std::string_view{arguments[4]} == "apply";
    Effects effects(applies ? arguments[5] : ":memory:");
    for (;;) {
        const auto deliveries = txm::sync_wait(subscription.receive(16));
        for (const auto& delivery : deliveries) {
            if (applies) {
                if (!effects.apply(delivery.message))
                    return 1;
                txm::sync_wait(subscription.acknowledge(delivery));
            }
            std::puts(delivery.message.payload.c_str());
            std::fflush(stdout);
        }
    }
}
