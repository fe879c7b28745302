#include "integration/sqlite_feed_files.hpp"
#include "support/sanitizer.hpp"

#include <fstream>
#include <iostream>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

void expect_less_than_kib(long grown, long limit) {
    if (is_sanitized)
        std::cout << "note: memory is not judged in a build with a sanitizer\n";
    else
        EXPECT_LT(grown, limit);
}

long resident_kib() {
    std::ifstream file{"/proc/self/statm"};
    long total = 0, resident = 0;
    file >> total >> resident;
    return resident * 4;
}

class SqliteFeedLanes : public testing::Test {
protected:
    SqliteFeedLanes() {
        sync_wait(sqlite::create_outbox_table(db_));
        relay_.acquire();
    }

    ScratchDirectory directory_;
    const std::string path_ = directory_ / "orders.db";
    sqlite::Database db_{path_};
    sqlite::OutboxFeed feed_{db_};
    FeedReader relay_{feed_};
    ForeignProgram program_{path_};
};

TEST_F(SqliteFeedLanes, stuck_aggregate_100k_rows_others_flow) {
    program_.run(insert_sql("stuck0", "first"));
    relay_.park(relay_.read().at(0), 1, now() + 24h);
    program_.run(insert_many_sql("stuck", 100'000, 1));
    program_.run(insert_sql("free", "f"));
    const long before = resident_kib();
    const auto read = relay_.read_until("f");
    EXPECT_THAT(payloads(read), ElementsAre("f"));
    expect_less_than_kib(resident_kib() - before, 8 * 1024);
    EXPECT_EQ(program_.number("select count(*) from outbox where state = 2"), 100'001);
    relay_.settle(read);

    // It comes back in its order, in pieces.
    sync_wait(feed_.unpark("stuck0"));
    auto some = relay_.read();
    ASSERT_THAT(payloads(some), ElementsAre("first"));
    relay_.settle(some);
    for (long next = 0; next < 1000; next += static_cast<long>(some.size())) {
        some = relay_.read();
        ASSERT_FALSE(some.empty());
        for (std::size_t i = 0; i < some.size(); ++i)
            ASSERT_EQ(some[i].payload, "stuck" + std::to_string(next + static_cast<long>(i)));
        relay_.settle(some);
    }
}

TEST_F(SqliteFeedLanes, 100k_blocked_lanes_rss_flat_position_advances) {
    const auto drain = [&](const std::string& prefix) {
        program_.run(insert_many_sql(prefix, 20'000, 500));
        for (long left = 20'000; left > 0;) {
            const auto some = relay_.read(4096);
            left -= static_cast<long>(some.size());
            relay_.settle(some);
        }
    };
    drain("before");
    const long before = resident_kib();
    program_.run(
        "with recursive n(i) as (select 0 union all select i + 1 from n where i < 99999) insert into txm_lane "
        "(outbox, aggregate_id, from_sequence, next_attempt_at) select 'outbox', 'blocked' || i, 1, "
        "'2999-01-01T00:00:00+00:00' from n");
    program_.run(insert_many_sql("blocked", 100'000, 100'000));
    drain("after");
    const long grown = resident_kib() - before;
    std::cout << "note: 100,000 blocked lanes and their messages cost the feed " << grown << " KiB of memory\n";
    expect_less_than_kib(grown, 4 * 1024);
    EXPECT_EQ(program_.number("select count(*) from outbox where state = 0"), 0);
    EXPECT_EQ(program_.number("select count(*) from outbox where state = 2"), 100'000);
    EXPECT_FALSE(relay_.is_drained());
}

}  // namespace
}  // namespace txm::test
