#pragma once

#include "txm/incoming.hpp"
#include "txm/outbox_writer.hpp"
#include "txm/statement.hpp"

#include <functional>
#include <string>
#include <string_view>

/// Inbox and outbox rows written at once, into the open transaction of your own database driver: blocking, no
/// coroutines, no threads. Your commit commits them.
namespace txm::borrowed {

/// The SQL that a statement is written in; placeholders are `?` on SQLite and `$1` on PostgreSQL.
enum class Dialect { sqlite, postgres };

/// Runs one statement in the open transaction and gives the number of rows it changed.
using Execute = std::function<std::size_t(const Statement&)>;

/// The insert of one inbox row; it changes no row when the message was processed before, or when it is so old that the
/// inbox may have forgotten it.
/// @param table a name made of letters, digits and `_`  @throws std::invalid_argument for another
Statement inbox_insert(Dialect, std::string_view table, const Incoming&);

/// The insert of one outbox row; it changes no row when the id was published before.
Statement outbox_insert(Dialect, std::string_view table, const StoredMessage&);

/// *Lifetime*: must not outlive the transaction behind `execute`. *Thread safety*: as that transaction.
class OutboxRepository final : public OutboxWriter {
public:
    OutboxRepository(std::string_view table, Dialect, Execute, TopicMap);

protected:
    /// @throws MessageAlreadyPublishedError; the transaction stays usable, roll it back
    void stage(std::vector<Staged> batch) override;

private:
    std::string table_;
    Dialect dialect_;
    Execute execute_;
};

class InboxRepository final {
public:
    InboxRepository(std::string_view table, Dialect, Execute, std::string consumer = {});

    /// @throws MessageAlreadyProcessedError when the row was there, OutsideInboxWindowError when the inbox may have
    ///         forgotten it; the transaction stays usable
    void save(const Incoming&);

private:
    std::string table_;
    Dialect dialect_;
    Execute execute_;
    std::string consumer_;
};

/// One insert, atomic: throws MessageAlreadyProcessedError when the message was processed before, else records it in the
/// open transaction.
void ensure_idempotence(const Incoming&, InboxRepository&);

}  // namespace txm::borrowed
