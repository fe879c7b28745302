#pragma once

#include "stores/dynamodb/counters.hpp"
#include "stores/dynamodb/inbox_row.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "txm/dynamodb.hpp"

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace txm::dynamodb::detail {

/// What the messages of one outbox have in common: made once a repository.
struct OutboxTable {
    std::string name, state_table;
    bool ordered = true, compat = false;
};

/// An outbox row to be written. Its sequence and predecessor are known when it is sent.
struct OutboxRow {
    OutboxRow(std::shared_ptr<const OutboxTable> outbox, StoredMessage&& what)
        : table(std::move(outbox)), message(std::move(what)) {}

    std::shared_ptr<const OutboxTable> table;
    StoredMessage message;
    Uuid previous{};
};

/// One thing that a session writes when it commits.
using StagedWrite = std::variant<Write, InboxRow, OutboxRow>;

/// A failed element of a cancelled transaction, at its place in it.
struct Reason {
    std::string code;     ///< such as `ConditionalCheckFailed`; `None` where the element did not fail
    std::string message;  ///< the service's own words
    Item there;           ///< the item that is there, when it was asked for
};

/// What a cancelled transaction means.
struct Verdict {
    enum class Kind {
        failed,     ///< with `error`; nothing was written
        committed,  ///< what failed is our own write, which an earlier attempt made
        lost_race,  ///< a counter was moved by another writer: number again
        busy,       ///< another transaction, or the throughput, was in the way: the same may succeed later
    };

    Kind kind = Kind::failed;
    std::exception_ptr error{};
};

/// The request that commits a session: its elements in order (inbox rows, then what was staged, then counters), their
/// bytes, and what a refusal of one of them means. *Thread safety*: one thread at a time.
class Transaction {
public:
    /// @param at CreatedAt of its inbox rows and StoredAt of its messages, whatever is tried how often
    Transaction(std::vector<StagedWrite> writes, Timestamp at);

    /// Numbers the messages of ordered outboxes behind what their aggregates' counters were last seen at.
    void number(Counters& counters);
    /// Makes the bytes, under a new token.
    void write();
    /// The request, as it is sent again and again until a new one is written.
    const std::string& bytes() const noexcept { return bytes_; }

    /// @param may_be_committed an attempt before had no answer
    /// @param counters learn what is there
    Verdict judge(const std::vector<Reason>& reasons, bool may_be_committed, Counters& counters) const;
    /// Tells `counters` that it is committed.
    void count(Counters& counters) const;

    /// An item of txm's own whose presence, as it is written here, says that it was committed.
    struct Witness {
        std::string table;
        Item key;
        bool
            may_be_deleted;  ///< soon after the commit, as a message's row is when it was sent: its absence says nothing
    };
    std::optional<Witness> witness() const;
    bool is_witnessed_by(const Item& there) const;
    /// What the first of counter_keys() says. @param there its item
    CommitOutcome outcome_by_counter(const std::optional<Item>& there) const;

    std::size_t size() const noexcept { return writes_.size() + counted_.size(); }
    const std::vector<StagedWrite>& writes() const noexcept { return writes_; }
    /// Names of all tables it writes to, each once.
    std::vector<std::string> tables() const;
    Timestamp at() const noexcept { return at_; }
    /// What it writes to `<outbox>-txm`.
    std::vector<std::pair<std::string, Item>> counter_keys() const;

private:
    struct Counted {
        const std::string* state_table;
        const AggregateId* aggregate_id;
        Counter expected, next;
    };

    Counted& counter_of(const OutboxRow& row, Counters& counters);
    bool is_ours(const StagedWrite& write, const Item& there) const;
    std::exception_ptr error_of(const StagedWrite& write, const Reason& reason) const;

    std::vector<StagedWrite> writes_;
    std::vector<Counted> counted_;
    const Timestamp at_;
    std::string bytes_;
};

}  // namespace txm::dynamodb::detail
