#include "stores/dynamodb/commit.hpp"

#include "core/backoff.hpp"
#include "core/fault_point.hpp"
#include "stores/dynamodb/cancellation.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/limits.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

using namespace std::chrono_literals;

const std::string action = "DynamoDB_20120810.TransactWriteItems";

// DynamoDB knows a token for 10 minutes.
constexpr auto token_life = 8min;
// After that long no copy of the request is still on its way.
constexpr auto longest_delay = 60s;

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names)
        text += (text.empty() ? "`" : ", `") + name + '`';
    return text;
}

}  // namespace

awaitable<void> Commit::check() {
    for (const StagedWrite& write : transaction_.writes()) {
        const auto* received = std::get_if<InboxRow>(&write);
        if (!received || received->incoming.replay || !is_outside_window(*received, transaction_.at()))
            continue;
        const Item key = inbox_key(received->incoming.message_id, received->consumer);
        const std::optional<Item> there = co_await db_.get_item(received->table, key);
        if (there)
            std::rethrow_exception(inbox_error(*received, *there));
        throw OutsideInboxWindowError(received->incoming.message_id);
    }
    transaction_.number(db_.counters);
    renew();
    check_sizes(transaction_);
    const bool needs_look = may_write_twice(transaction_);
    if (needs_look)
        co_await check_targets(transaction_, db_);
}

void Commit::renew() {
    transaction_.write();
    first_sent_ = last_sent_ = {};
}

bool Commit::is_token_good() const {
    return first_sent_.count() == 0 || db_.boot_time() - first_sent_ <= token_life;
}

awaitable<Commit::Answer> Commit::send(std::chrono::milliseconds timeout) {
    fault::point("dynamodb.commit");
    last_sent_ = db_.boot_time();
    if (first_sent_.count() == 0)
        first_sent_ = last_sent_;
    aws::CallOptions options;
    options.timeout = timeout;
    options.max_attempts = 1;
    try {
        const aws::Response answer = co_await db_.client.call(action, transaction_.bytes(), options);
        may_be_committed_ = true;
        fault::point("dynamodb.committed");
        co_return Answer::committed;
    } catch (const aws::ServiceError& refusal) {
        co_return judge_refusal(refusal);
    } catch (const aws::UnansweredError& silence) {
        may_be_committed_ = true;
        trouble_ = silence.what();
        co_return Answer::none;
    } catch (const Error& error) {
        error_ = std::current_exception();
        trouble_ = error.what();
        co_return Answer::none;
    }
}

Commit::Answer Commit::judge_refusal(const aws::ServiceError& refusal) {
    const bool was_unanswered = may_be_committed_ || refusal.unanswered() > 0;
    if (refusal.type() == "TransactionCanceledException") {
        may_be_committed_ = was_unanswered;
        Verdict verdict = transaction_.judge(read_reasons(refusal.body()), may_be_committed_, db_.counters);
        switch (verdict.kind) {
            case Verdict::Kind::committed: return Answer::committed;
            case Verdict::Kind::lost_race: return Answer::lost_race;
            case Verdict::Kind::busy:
                error_ = std::make_exception_ptr(
                    Error(Errc::store_unavailable,
                          "other transactions on the same items, or the throughput of their tables, were in the way of "
                          "this one for too long: nothing was written; stage it again",
                          {}, refusal.type()));
                return Answer::busy;
            case Verdict::Kind::failed: error_ = std::move(verdict.error); return Answer::refused;
        }
    }
    // The attempt before is being carried out just now, or the service failed while it carried this one out.
    if (refusal.type() == "TransactionInProgressException" || refusal.unanswered() > 0) {
        may_be_committed_ = true;
        trouble_ = refusal.what();
        return Answer::none;
    }
    error_ = std::current_exception();
    if (refusal.code() == Errc::store_unavailable)
        return Answer::throttled;
    if (refusal.type() == "ValidationException")
        error_ = std::make_exception_ptr(Error(Errc::statement_failed,
                                               "DynamoDB refused the transaction (" + refusal.message() +
                                                   "): nothing was written; correct what was staged",
                                               {}, refusal.type()));
    else if (refusal.type() == "ResourceNotFoundException")
        error_ = std::make_exception_ptr(missing_table({}, db_.client.region()));
    // It says nothing about an attempt that had no answer.
    if (was_unanswered) {
        trouble_ = refusal.what();
        return Answer::none;
    }
    return Answer::refused;
}

awaitable<void> Commit::run() {
    const auto deadline = Clock::now() + db_.options.commit_timeout;
    const auto shortest_attempt = std::min<std::chrono::milliseconds>(db_.options.commit_timeout / 4, 1'000ms);
    txm::detail::Backoff busy{20ms, 1'000ms}, race{2ms, 200ms}, silence{100ms, 5'000ms};
    int times_busy = 0, races = 0, silences = 0;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        const Answer answer = co_await send(std::clamp(left, 1ms, std::max(db_.options.client.request_timeout, 1ms)));
        Clock::duration wait{};
        switch (answer) {
            case Answer::committed: transaction_.count(db_.counters); co_return;
            case Answer::refused: co_await name_missing_table(); std::rethrow_exception(error_);
            case Answer::lost_race:
                error_ = nullptr;
                // The loser knows the true number now. The first time it tries at once.
                wait = races++ == 0 ? Clock::duration{} : race.after(races - 1);
                break;
            case Answer::busy:
            case Answer::throttled: wait = busy.after(++times_busy); break;
            case Answer::none:
                if (++silences >= db_.options.client.max_attempts)
                    give_up();
                wait = silence.after(silences);
                break;
        }
        if (wait > Clock::duration{})
            co_await pause(std::min<Clock::duration>(wait, deadline - Clock::now()));
        // One that its deadline cut off would make an outcome unknown that is not, as long as none is in doubt.
        if (deadline - Clock::now() < (may_be_committed_ ? 1ms : shortest_attempt))
            give_up();
        const bool was_cancelled = answer == Answer::lost_race || answer == Answer::busy;
        // Until an attempt is known to have failed, its bytes and token are the only ones that cannot write twice. Where a
        // witness is written, it cannot either way.
        const bool has_witness = transaction_.witness().has_value();
        if (was_cancelled && (has_witness || !may_be_committed_)) {
            transaction_.number(db_.counters);
            renew();
        } else if (!has_witness && !is_token_good()) {
            give_up();
        }
    }
}

void Commit::give_up() {
    if (may_be_committed_)
        throw CommitOutcomeUnknown("DynamoDB did not say whether the transaction was committed (" + trouble_ +
                                   "): resolve() the session, which asks again, or rollback()");
    if (error_)
        std::rethrow_exception(error_);
    throw Error(Errc::store_unavailable,
                "the transaction lost against other writers of the same aggregate until its time was over: nothing was "
                "written; stage it again, or raise commit_timeout");
}

awaitable<void> Commit::name_missing_table() {
    bool is_missing = false;
    try {
        std::rethrow_exception(error_);
    } catch (const Error& error) {
        is_missing = error.code() == Errc::schema_missing;
    } catch (...) {}
    if (!is_missing)
        co_return;
    const std::vector<std::string> tables = transaction_.tables();
    for (const std::string& table : tables) {
        try {
            std::string body = R"({"TableName":)";
            append_text(body, table);
            body += '}';
            co_await db_.call("DescribeTable", std::move(body));
        } catch (const Error& error) {
            if (error.code() == Errc::schema_missing) {
                error_ = std::current_exception();
                co_return;
            }
        }
    }
    error_ = std::make_exception_ptr(Error(Errc::schema_missing,
                                           "one of the tables " + joined(tables) +
                                               " does not exist in this region, or is still being made: run `txm "
                                               "migrate`, or check region, endpoint and names",
                                           {}, "ResourceNotFoundException"));
}

awaitable<CommitOutcome> Commit::resolve() {
    constexpr int most_attempts = 3;
    txm::detail::Backoff backoff{100ms, 1'000ms};
    for (int attempt = 1; is_token_good(); ++attempt) {
        const Answer answer = co_await send(db_.options.client.request_timeout);
        if (answer == Answer::committed) {
            transaction_.count(db_.counters);
            co_return CommitOutcome::committed;
        }
        if (answer == Answer::refused || answer == Answer::lost_race)
            co_return CommitOutcome::rolled_back;
        if (attempt >= most_attempts)
            co_return CommitOutcome::still_unknown;
        co_await pause(backoff.after(attempt));
    }
    co_return co_await look_for_witness();
}

awaitable<CommitOutcome> Commit::look_for_witness() {
    const std::optional<Transaction::Witness> witness = transaction_.witness();
    if (!witness)
        co_return CommitOutcome::still_unknown;
    const bool is_certain = db_.boot_time() - last_sent_ >= longest_delay;
    CommitOutcome outcome = CommitOutcome::rolled_back;
    try {
        const std::optional<Item> there = co_await db_.get_item(witness->table, witness->key);
        if (there && transaction_.is_witnessed_by(*there))
            outcome = CommitOutcome::committed;
        else if (!there && witness->may_be_deleted)
            outcome = co_await look_at_counter();
    } catch (const Error&) {
        co_return CommitOutcome::still_unknown;
    }
    if (outcome == CommitOutcome::committed)
        transaction_.count(db_.counters);
    else if (!is_certain)
        outcome = CommitOutcome::still_unknown;
    co_return outcome;
}

awaitable<CommitOutcome> Commit::look_at_counter() {
    const std::vector<std::pair<std::string, Item>> counters = transaction_.counter_keys();
    if (counters.empty())
        co_return CommitOutcome::still_unknown;
    const std::optional<Item> there = co_await db_.get_item(counters.front().first, counters.front().second);
    co_return transaction_.outcome_by_counter(there);
}

}  // namespace txm::dynamodb::detail
