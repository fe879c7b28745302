// The second example of the README, as a program: a blocking service with its own connection.
#include <txm/error.hpp>
#include <txm/sqlite_borrowed.hpp>

#include <sqlite3.h>

#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

void execute(sqlite3* db, const std::string& sql) {
    char* message = nullptr;
    if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message) != SQLITE_OK) {
        const std::string why = message ? message : "out of memory";
        sqlite3_free(message);
        throw std::runtime_error(why);
    }
}

struct PaymentReceived {
    txm::Uuid message_id = txm::new_uuid();
    txm::Uuid correlation_id{};
    txm::Timestamp created_at = txm::now();
    std::string account{};
    std::int64_t cents = 0;

    const std::string& aggregate_id() const { return account; }
    std::string serialize() const { return std::to_string(cents); }
};

const txm::TopicMap topics{txm::topic<PaymentReceived>("payments", "payment-received")};

struct Transfer {
    txm::Uuid message_id;
    std::string account;
    std::int64_t cents = 0;
};

// [borrowed]
void receive_payment(sqlite3* db, const Transfer& transfer) {
    execute(db, "begin immediate");
    try {
        const auto transaction = txm::borrowed::sqlite_transaction(db);
        txm::borrowed::InboxRepository inbox{"inbox", txm::borrowed::Dialect::sqlite, transaction};
        txm::borrowed::OutboxRepository events{"outbox", txm::borrowed::Dialect::sqlite, transaction, topics};

        txm::borrowed::ensure_idempotence(transfer.message_id, inbox);
        execute(db, "update account set cents = cents + " + std::to_string(transfer.cents));
        events.publish(PaymentReceived{.account = transfer.account, .cents = transfer.cents});
        execute(db, "commit");  // yours, as before: it now carries the message and the inbox row too
    } catch (...) {
        sqlite3_exec(db, "rollback", nullptr, nullptr, nullptr);
        throw;
    }
}
// [/borrowed]

}  // namespace

int main(int argc, char** argv) {
    sqlite3* db = nullptr;
    if (argc != 2 || sqlite3_open(argv[1], &db) != SQLITE_OK) {
        std::cerr << "usage: borrowed DATABASE, where `txm migrate` has run\n";
        return 2;
    }
    sqlite3_busy_timeout(db, 60'000);
    execute(db, "create table if not exists account (cents integer not null)");
    execute(db, "insert into account select 0 where not exists (select 1 from account)");

    const Transfer transfer{txm::new_uuid(), "DE89", 2933};
    receive_payment(db, transfer);
    std::cout << "received once\n";
    int status = 1;
    try {
        receive_payment(db, transfer);
        std::cerr << "a transfer took effect twice\n";
    } catch (const txm::MessageAlreadyProcessedError& e) {
        std::cout << "the second time: " << e.what() << '\n';
        status = 0;
    }
    sqlite3_close(db);
    return status;
}
