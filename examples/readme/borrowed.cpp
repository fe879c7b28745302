// The second example of the README, as a program: a blocking service with its own connection.
#include <txm/error.hpp>
#include <txm/sqlite_borrowed.hpp>

#include <sqlite3.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

int bind(sqlite3_stmt* statement, int place, std::int64_t value) {
    return sqlite3_bind_int64(statement, place, value);
}

int bind(sqlite3_stmt* statement, int place, const std::string& value) {
    return sqlite3_bind_text(statement, place, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
}

// Runs one statement, with the values bound to its `?`.
template <class... Values>
void execute(sqlite3* db, const char* sql, const Values&... values) {
    sqlite3_stmt* prepared = nullptr;
    int result = sqlite3_prepare_v2(db, sql, -1, &prepared, nullptr);
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement{prepared, sqlite3_finalize};
    int place = 0;
    ((result = result == SQLITE_OK ? bind(prepared, ++place, values) : result), ...);
    if (result != SQLITE_OK || sqlite3_step(prepared) != SQLITE_DONE)
        throw std::runtime_error(sqlite3_errmsg(db));
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
        execute(db, "update account set cents = cents + ? where id = ?", transfer.cents, transfer.account);
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
    execute(db, "create table if not exists account (id text primary key, cents integer not null) strict");
    execute(db, "insert or ignore into account values ('DE89', 0), ('FR14', 0)");

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
