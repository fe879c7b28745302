#include "stores/dynamodb/cancellation.hpp"

#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/write_text.hpp"
#include "txm/error.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

constexpr std::string_view condition_failed = "ConditionalCheckFailed";

/// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
constexpr std::array<std::string_view, 4> passing{"TransactionConflict", "ProvisionedThroughputExceeded",
                                                  "ThrottlingError", "RequestLimitExceeded"};

bool is_none(const Reason& reason) noexcept {
    return reason.code.empty() || reason.code == "None";
}

Counter counter_in(const Item& item, const Counter& expected) {
    Counter there;
    if (item.empty()) {
        // Somebody deleted it. Numbers go on, because the outbox may still have messages that carry the last ones.
        there = expected;
        return there.is_stored = false, there;
    }
    const std::string* id = text_of(item, "LastMessageId");
    there.last = integer_of(item, "LastSequence");
    there.last_message_id = id ? Uuid::try_parse(*id).value_or(Uuid{}) : Uuid{};
    there.is_stored = true;
    return there;
}

/// The replay of a dead letter may have failed because there is none.
bool requires_absence(const StagedWrite& write) noexcept {
    const auto* received = std::get_if<InboxRow>(&write);
    return !received || !received->incoming.replay;
}

std::exception_ptr refused(const std::string& what, const Reason& reason, const Uuid& message_id) {
    const std::string why = reason.message.empty() ? reason.code : reason.code + ": " + reason.message;
    return std::make_exception_ptr(Error(Errc::statement_failed,
                                         "DynamoDB refused " + what + " (" + why +
                                             "): nothing of the transaction was written; correct it and stage again",
                                         message_id, reason.code));
}

}  // namespace

bool is_passing(std::string_view code) noexcept {
    return std::find(passing.begin(), passing.end(), code) != passing.end();
}

std::vector<Reason> read_reasons(std::string_view body) {
    std::vector<Reason> reasons;
    const boost::json::object answer = parse_object(body);
    const auto* list = answer.if_contains("CancellationReasons");
    if (!list || !list->is_array())
        return reasons;
    for (const boost::json::value& element : list->get_array()) {
        Reason& reason = reasons.emplace_back();
        if (!element.is_object())
            continue;
        reason.code = text_in(element.get_object(), "Code");
        reason.message = text_in(element.get_object(), "Message");
        if (const auto* item = element.get_object().if_contains("Item"); item && item->is_object())
            reason.there = item_from(item->get_object());
    }
    return reasons;
}

Verdict Transaction::judge(const std::vector<Reason>& reasons, bool may_be_committed, Counters& counters) const {
    const std::size_t known = std::min(reasons.size(), size());
    if (may_be_committed) {
        for (std::size_t i = 0; i < std::min(known, writes_.size()); ++i) {
            if (reasons[i].code != condition_failed || std::holds_alternative<Write>(writes_[i]))
                continue;
            // Without the item, the failed condition itself says that there is one.
            const bool is_witness =
                reasons[i].there.empty() ? requires_absence(writes_[i]) : is_ours(writes_[i], reasons[i].there);
            if (is_witness)
                return {Verdict::Kind::committed, {}};
        }
        // A row that was sent and deleted since is a witness no more; its aggregate's counter is.
        for (std::size_t i = writes_.size(); i < known; ++i) {
            const Counted& counted = counted_[i - writes_.size()];
            if (reasons[i].code == condition_failed &&
                counter_in(reasons[i].there, counted.expected).last_message_id == counted.next.last_message_id)
                return {Verdict::Kind::committed, {}};
        }
    }
    bool has_lost = false;
    for (std::size_t i = writes_.size(); i < known; ++i) {
        if (reasons[i].code != condition_failed)
            continue;
        const Counted& counted = counted_[i - writes_.size()];
        counters.correct(*counted.state_table, *counted.aggregate_id, counted.expected,
                         counter_in(reasons[i].there, counted.expected));
        has_lost = true;
    }
    // The first in their order decides. One that another transaction was in the way of may still hold or fail.
    for (std::size_t i = 0; i < known; ++i) {
        if (is_passing(reasons[i].code))
            return {Verdict::Kind::busy, {}};
        if (is_none(reasons[i]))
            continue;
        if (i < writes_.size())
            return {Verdict::Kind::failed, error_of(writes_[i], reasons[i])};
        if (reasons[i].code != condition_failed)
            return {
                Verdict::Kind::failed,
                refused("a counter in the table `" + *counted_[i - writes_.size()].state_table + "`", reasons[i], {})};
    }
    if (has_lost)
        return {Verdict::Kind::lost_race, {}};
    return {Verdict::Kind::failed,
            std::make_exception_ptr(Error(Errc::statement_failed,
                                          "DynamoDB cancelled the transaction and gave no reason: nothing was written",
                                          {}, "TransactionCanceledException"))};
}

CommitOutcome Transaction::outcome_by_counter(const std::optional<Item>& there) const {
    const Counted& counted = counted_.front();
    if (!there)
        return counted.expected.is_stored ? CommitOutcome::still_unknown : CommitOutcome::rolled_back;
    const Counter actual = counter_in(*there, counted.expected);
    if (actual.last_message_id == counted.next.last_message_id)
        return CommitOutcome::committed;
    // Numbers only grow: one below ours was never counted over it.
    return actual.last < counted.next.last ? CommitOutcome::rolled_back : CommitOutcome::still_unknown;
}

std::exception_ptr Transaction::error_of(const StagedWrite& write, const Reason& reason) const {
    const bool is_condition = reason.code == condition_failed;
    if (const auto* received = std::get_if<InboxRow>(&write)) {
        if (is_condition)
            return inbox_error(*received, reason.there);
        return refused("the inbox row in the table `" + received->table + "`", reason, received->incoming.message_id);
    }
    if (const auto* sent = std::get_if<OutboxRow>(&write)) {
        if (is_condition)
            return std::make_exception_ptr(MessageAlreadyPublishedError(sent->message.message_id));
        return refused("message " + sent->message.message_id.to_string() + " in the table `" + sent->table->name + "`",
                       reason, sent->message.message_id);
    }
    const Write& user = std::get<Write>(write);
    if (!is_condition)
        return refused(WriteText::description(user), reason, {});
    if (WriteText::error(user))
        return WriteText::error(user);
    const std::string& condition = WriteText::condition(user);
    return std::make_exception_ptr(
        Error(Errc::unexpected_rows,
              "the condition " + (condition.empty() ? std::string() : "`" + condition + "` ") + "of " +
                  WriteText::description(user) +
                  " does not hold: nothing of the transaction was written; read the item and decide again",
              {}, reason.code));
}

}  // namespace txm::dynamodb::detail
