#pragma once

#include "sqlite/connection.hpp"
#include "txm/incoming.hpp"
#include "txm/message.hpp"
#include "txm/statement.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace txm::sqlite::detail {

/// A UUID as SQLite stores it.
using UuidText = std::array<char, 36>;

/// The statements of one inbox table.
struct InboxSql {
    explicit InboxSql(std::string table_name);

    std::string table, insert, replay, select;
};

/// The statements of one outbox table.
struct OutboxSql {
    explicit OutboxSql(std::string table_name);

    std::string table, insert, exists, select, select_not_dispatched, select_lane, mark_as_dispatched;
};

/// The statements of a table: made once, because repositories are made for every session. *Thread safety*: any thread.
/// @throws std::invalid_argument unless the name is made of letters, digits and `_`
std::shared_ptr<const InboxSql> inbox_sql(const std::string& table);
std::shared_ptr<const OutboxSql> outbox_sql(const std::string& table);

/// An inbox row to be written.
struct InboxRow {
    InboxRow(std::shared_ptr<const InboxSql> statements, const Incoming& incoming, std::string consumer_name);

    /// @throws MessageAlreadyProcessedError, OutsideInboxWindowError
    void write(Connection& connection) const;
    bool is_there(Connection& connection) const;
    bool is_same(const InboxRow& other) const noexcept {
        return sql->table == other.sql->table && message_id == other.message_id && consumer == other.consumer;
    }

    std::shared_ptr<const InboxSql> sql;
    std::string consumer;
    Uuid message_id;
    std::optional<std::string> stored_at;
    std::optional<std::uint64_t> payload_hash;
    bool replay;
};

/// An outbox row to be written. Its texts are made when it is staged, so that the writer need not.
struct OutboxRow {
    OutboxRow(std::shared_ptr<const OutboxSql> statements, StoredMessage&& message);

    /// @throws MessageAlreadyPublishedError
    void write(Connection& connection, const std::string& stored_at) const;

    std::shared_ptr<const OutboxSql> sql;
    Uuid message_id;
    UuidText id_text, correlation_text;
    std::string topic, type, aggregate_id, payload, headers, created_at;
};

/// One thing that a session writes when it commits.
using StagedWrite = std::variant<Statement, InboxRow, OutboxRow>;

/// Binds a statement of the user's. @throws Error(statement_failed) when it has another number of placeholders
Query prepare_bound(Connection& connection, const Statement& statement);

/// @throws the error of its expect_rows() when it changed another number of rows
void check_rows(const Statement& statement, std::size_t changed);

/// Writes all, in order. @throws what the first failing one throws
void write_all(Connection& connection, const std::vector<StagedWrite>& writes);

/// A row of ours whose presence tells that these writes were committed; empty when there is none.
std::function<bool(Connection&)> witness_of(const std::vector<StagedWrite>& writes);

}  // namespace txm::sqlite::detail
