#include "stores/dynamodb/transaction.hpp"

#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/write_text.hpp"

#include <algorithm>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

void append_outbox_put(std::string& out, const OutboxRow& row) {
    out.append(R"({"Put":{"TableName":")").append(row.table->name).append(R"(","Item":)");
    append_outbox_row(out, row.message, row.previous, OutboxLayout{row.table->compat});
    out += R"-(,"ConditionExpression":"attribute_not_exists(PK)")-";
    out += R"(,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}})";
}

void append_counter(std::string& out, const std::string& table, const AggregateId& aggregate_id,
                    const Counter& expected, const Counter& next) {
    char id[36];
    next.last_message_id.write_to(id);
    out.append(R"({"Update":{"TableName":")").append(table).append(R"(","Key":{"PK":{"S":)");
    append_text(out, "AGGREGATE#" + aggregate_id.str());
    out += R"(},"SK":{"S":"COUNTER"}},"UpdateExpression":"SET LastSequence = :n, LastMessageId = :m")";
    out += expected.is_stored ? R"(,"ConditionExpression":"LastSequence = :o")"
                              : R"-(,"ConditionExpression":"attribute_not_exists(PK)")-";
    out.append(R"(,"ExpressionAttributeValues":{":n":{"N":")").append(std::to_string(next.last));
    out.append(R"("},":m":{"S":")").append(id, sizeof id).append("\"}");
    if (expected.is_stored)
        out.append(R"(,":o":{"N":")").append(std::to_string(expected.last)).append("\"}");
    out += R"(},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}})";
}

std::size_t expected_bytes(const std::vector<StagedWrite>& writes) {
    std::size_t bytes = 100;
    for (const StagedWrite& write : writes) {
        const auto* sent = std::get_if<OutboxRow>(&write);
        bytes += sent ? 1'200 + sent->message.payload.size() + sent->message.payload.size() / 8 : 600;
    }
    return bytes;
}

}  // namespace

Transaction::Transaction(std::vector<StagedWrite> writes, Timestamp at) : writes_(std::move(writes)), at_(at) {
    // A duplicate is told from whatever else follows from it, such as a condition of the user's that the first delivery
    // made false.
    std::stable_partition(writes_.begin(), writes_.end(),
                          [](const StagedWrite& write) { return std::holds_alternative<InboxRow>(write); });
    for (StagedWrite& write : writes_) {
        if (auto* sent = std::get_if<OutboxRow>(&write))
            sent->message.stored_at = at_;
    }
}

Transaction::Counted& Transaction::counter_of(const OutboxRow& row, Counters& counters) {
    for (Counted& counted : counted_) {
        if (*counted.state_table == row.table->state_table && *counted.aggregate_id == row.message.aggregate_id)
            return counted;
    }
    const Counter known = counters.find(row.table->state_table, row.message.aggregate_id);
    return counted_.emplace_back(Counted{&row.table->state_table, &row.message.aggregate_id, known,
                                         Counter{known.last, known.last_message_id, true}});
}

void Transaction::number(Counters& counters) {
    counted_.clear();
    for (StagedWrite& write : writes_) {
        auto* sent = std::get_if<OutboxRow>(&write);
        if (!sent || !sent->table->ordered)
            continue;
        Counter& next = counter_of(*sent, counters).next;
        sent->previous = next.last_message_id;
        sent->message.sequence = ++next.last;
        next.last_message_id = sent->message.message_id;
    }
}

void Transaction::write() {
    bytes_.clear();
    bytes_.reserve(expected_bytes(writes_));
    bytes_.append(R"({"ClientRequestToken":")").append(new_uuid().to_string()).append(R"(","TransactItems":)");
    char separator = '[';
    for (const StagedWrite& staged : writes_) {
        bytes_ += std::exchange(separator, ',');
        if (const auto* sent = std::get_if<OutboxRow>(&staged))
            append_outbox_put(bytes_, *sent);
        else if (const auto* received = std::get_if<InboxRow>(&staged))
            append_inbox_put(bytes_, *received, at_);
        else
            WriteText::append(bytes_, std::get<Write>(staged));
    }
    for (const Counted& counted : counted_) {
        bytes_ += ',';
        append_counter(bytes_, *counted.state_table, *counted.aggregate_id, counted.expected, counted.next);
    }
    bytes_ += "]}";
}

void Transaction::count(Counters& counters) const {
    for (const Counted& counted : counted_)
        counters.advance(*counted.state_table, *counted.aggregate_id, counted.next);
}

std::optional<Transaction::Witness> Transaction::witness() const {
    for (const StagedWrite& write : writes_) {
        if (const auto* received = std::get_if<InboxRow>(&write))
            return Witness{received->table, inbox_key(received->incoming.message_id, received->consumer), false};
        if (const auto* sent = std::get_if<OutboxRow>(&write))
            return Witness{sent->table->name, outbox_key(sent->message.message_id), true};
    }
    return std::nullopt;
}

bool Transaction::is_witnessed_by(const Item& there) const {
    const auto first = std::find_if(writes_.begin(), writes_.end(),
                                    [](const StagedWrite& write) { return !std::holds_alternative<Write>(write); });
    return first != writes_.end() && is_ours(*first, there);
}

// Two writers of one id in the same microsecond are one that wrote twice.
bool Transaction::is_ours(const StagedWrite& write, const Item& there) const {
    const std::string at = to_iso8601(at_);
    if (std::holds_alternative<InboxRow>(write)) {
        const std::string* created_at = text_of(there, "CreatedAt");
        return created_at && *created_at == at;
    }
    const auto& sent = std::get<OutboxRow>(write);
    const std::string* time = text_of(there, sent.table->compat ? "CreatedAt" : "StoredAt");
    const std::string* payload = text_of(there, "Message");
    return time && *time == (sent.table->compat ? to_iso8601(sent.message.created_at) : at) && payload &&
           *payload == sent.message.payload;
}

std::vector<std::string> Transaction::tables() const {
    std::vector<std::string> names;
    const auto add = [&names](const std::string& name) {
        if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
            names.push_back(name);
    };
    for (const StagedWrite& write : writes_) {
        if (const auto* sent = std::get_if<OutboxRow>(&write))
            add(sent->table->name);
        else if (const auto* received = std::get_if<InboxRow>(&write))
            add(received->table);
        else if (const auto target = WriteText::target(std::get<Write>(write)))
            add(target->table);
    }
    for (const Counted& counted : counted_)
        add(*counted.state_table);
    return names;
}

std::vector<std::pair<std::string, Item>> Transaction::counter_keys() const {
    std::vector<std::pair<std::string, Item>> keys;
    keys.reserve(counted_.size());
    for (const Counted& counted : counted_)
        keys.emplace_back(*counted.state_table, counter_key(*counted.aggregate_id));
    return keys;
}

}  // namespace txm::dynamodb::detail
