#include "stores/sqlite/feed_scan.hpp"

#include "stores/sqlite/feed_row.hpp"

#include <algorithm>

namespace txm::sqlite::detail {
namespace {

// A lane that comes back is given in runs: long enough to be quick with a gapless broker, short enough that 100,000
// parked messages neither fill memory nor keep others waiting.
constexpr std::size_t max_run = 64;

// How many messages of blocked lanes one pass sets to parked: a transaction of some milliseconds.
constexpr std::size_t max_parked_at_once = 1024;

}  // namespace

FeedScan::FeedScan(const std::string& table) : table_(table) {
    const std::string columns{outbox_row_columns};
    has_lanes_ = "select 1 from txm_lane where outbox = ?1 limit 1";
    due_lanes_ =
        "select aggregate_id from txm_lane where outbox = ?1 and next_attempt_at <= ?2 order by next_attempt_at limit "
        "?3";
    next_due_ = "select min(next_attempt_at) from txm_lane where outbox = ?1 and next_attempt_at > ?2";
    lane_head_ = "select " + columns + " from \"" + table + "\" o indexed by \"" + table +
                 "_parked\" where o.state = 2 and o.aggregate_id = ?1 order by o.sequence limit ?2";
    // The index is named, because a scan of the table from the cursor on looks just as good to the planner and is not.
    const std::string where = " from \"" + table + "\" o indexed by \"" + table +
                              "_pending\" where o.state = 0 and o.sequence > ?1 order by o.sequence limit ?2";
    pending_ = "select " + columns + where;
    // One statement: with many blocked lanes a question of its own would cost as much as the message.
    pending_or_blocked_ =
        "select " + columns +
        ", exists (select 1 from txm_lane l where l.outbox = ?3 and l.aggregate_id = o.aggregate_id)" + where;
    drained_ = "select not exists (select 1 from \"" + table +
               "\" where state = 0) and not exists (select 1 from txm_lane l "
               "where l.outbox = ?1 and l.next_attempt_at is not null and exists (select 1 from \"" +
               table + "\" o where o.state = 2 and o.aggregate_id = l.aggregate_id))";
}

class FeedScan::Pass {
public:
    Pass(const FeedScan& scan, Connection& connection, const ScanRequest& request)
        : scan_(scan), connection_(connection), request_(request) {
        result_.scanned_to = request.after;
    }

    ScanResult run() && {
        const bool has_lanes = connection_.prepare(scan_.has_lanes_).bind(1, scan_.table_).step();
        if (has_lanes) {
            // Half is left to lanes that are not blocked: many that fail again and again must not crowd them out.
            const std::size_t share = std::max<std::size_t>(1, request_.max / 2);
            read_lanes(share);
        }
        read_pending(has_lanes);
        return std::move(result_);
    }

private:
    // The first one always fits, however large.
    bool fits(std::size_t bytes) const { return given_ == 0 || bytes_ + bytes <= request_.max_bytes; }

    void take(const Query& row, std::vector<StoredMessage>& list) {
        StoredMessage message;
        std::string problem;
        if (!read_outbox_row(row, request_.max_payload, message, problem)) {
            message.state = MessageState::dead;
            message.payload = "it cannot be sent: " + problem;
        }
        bytes_ += message.payload.size();
        ++given_;
        list.push_back(std::move(message));
    }

    void read_lanes(std::size_t max) {
        const std::string time = to_iso8601(now());
        std::vector<std::string> lanes;
        {
            Query due = connection_.prepare(scan_.due_lanes_);
            due.bind(1, scan_.table_).bind(2, time).bind(3, static_cast<std::int64_t>(max + request_.lanes_out));
            while (lanes.size() < max && due.step()) {
                if (!request_.is_lane_out(due.text(0)))
                    lanes.emplace_back(due.text(0));
            }
        }
        for (const std::string& lane : lanes) {
            if (given_ >= max || !read_run(lane, max))
                break;
        }
        Query next = connection_.prepare(scan_.next_due_);
        next.bind(1, scan_.table_).bind(2, time);
        if (next.step() && !next.is_null(0))
            result_.next_due = try_parse_iso8601(next.text(0));
    }

    // False when no more fits.
    bool read_run(const std::string& lane, std::size_t max) {
        const std::size_t wanted = std::min(max_run, max - given_);
        Query run = connection_.prepare(scan_.lane_head_);
        run.bind(1, lane).bind(2, static_cast<std::int64_t>(wanted));
        bool is_empty = true;
        while (run.step()) {
            if (!fits(run.text(6).size()))
                return false;
            take(run, result_.of_lanes);
            // One that failed before goes alone: what follows it waits for its outcome.
            if (is_empty && run.integer(11) > 0)
                return true;
            is_empty = false;
        }
        if (is_empty)
            result_.empty_lanes.push_back(lane);
        return true;
    }

    void read_pending(bool has_lanes) {
        const std::size_t wanted = request_.max - std::min(request_.max, given_);
        if (wanted == 0)
            return;
        Query rows = connection_.prepare(has_lanes ? scan_.pending_or_blocked_ : scan_.pending_);
        rows.bind(1, request_.after);
        rows.bind(2, static_cast<std::int64_t>(has_lanes ? wanted + max_parked_at_once : wanted));
        if (has_lanes)
            rows.bind(3, scan_.table_);
        while (result_.pending.size() < wanted && result_.to_park.size() < max_parked_at_once && rows.step()) {
            if (has_lanes && rows.integer(outbox_row_width) != 0)
                result_.to_park.push_back(rows.integer(0));
            else if (fits(rows.text(6).size()))
                take(rows, result_.pending);
            else
                return;
            result_.scanned_to = rows.integer(0);
        }
    }

    const FeedScan& scan_;
    Connection& connection_;
    const ScanRequest& request_;
    ScanResult result_;
    std::size_t given_ = 0;
    std::size_t bytes_ = 0;
};

ScanResult FeedScan::run(Connection& connection, const ScanRequest& request) const {
    return Pass{*this, connection, request}.run();
}

bool FeedScan::is_drained(Connection& connection) const {
    Query query = connection.prepare(drained_);
    query.bind(1, table_);
    return query.step() && query.integer(0) != 0;
}

}  // namespace txm::sqlite::detail
