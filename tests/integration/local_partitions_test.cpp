#include "brokers/local/partitions.hpp"
#include "brokers/local/schema.hpp"
#include "brokers/local/share_out.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace txm::local::detail {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(PartitionOf, is_part_of_the_file_format) {
    // FNV-1a of "" is cbf29ce484222325, of "a" af63dc4c8601ec8c.
    EXPECT_EQ(partition_of(""), static_cast<int>((0xcbf29ce484222325 ^ 0xcbf29ce4) % 16));
    EXPECT_EQ(partition_of("a"), static_cast<int>((0xaf63dc4c8601ec8c ^ 0xaf63dc4c) % 16));
}

TEST(ShareOut, one_member_takes_everything) {
    const std::vector<int> members{3};
    const Changes changes = share_out(3, members, Owners{});
    EXPECT_THAT(changes.take, SizeIs(partition_count));
    EXPECT_THAT(changes.give, IsEmpty());
}

TEST(ShareOut, ends_with_every_partition_owned_and_fair_shares) {
    for (int count = 1; count <= partition_count; ++count) {
        std::vector<int> members;
        Owners owners;
        owners.fill(99);  // someone who is gone
        // Members come one after the other; each acts on what it sees.
        for (int m = 0; m < count; ++m) {
            members.push_back(m * 2);
            for (int turn = 0; turn < 2; ++turn)
                for (const int self : members) {
                    const Changes changes = share_out(self, members, owners);
                    for (const int p : changes.give)
                        owners[static_cast<std::size_t>(p)].reset();
                    for (const int p : changes.take)
                        owners[static_cast<std::size_t>(p)] = self;
                }
        }
        for (const int self : members) {
            const auto share = std::ranges::count(owners, std::optional<int>{self});
            EXPECT_GE(share, partition_count / count);
            EXPECT_LE(share, partition_count / count + (partition_count % count != 0));
        }
    }
}

TEST(ShareOut, who_is_no_member_changes_nothing) {
    const std::vector<int> members{1, 2};
    const Changes changes = share_out(5, members, Owners{});
    EXPECT_THAT(changes.take, IsEmpty());
    EXPECT_THAT(changes.give, IsEmpty());
}

class PartitionsTest : public testing::Test {
protected:
    void read(std::vector<Offset> offsets, Offset read_to) {
        TopicRows rows;
        rows.read_to = read_to;
        for (const Offset offset : offsets) {
            Delivery delivery;
            delivery.message.topic = "orders";
            delivery.position = offset;
            delivery.token = static_cast<std::uint64_t>(offset);
            rows.rows.push_back(delivery);
        }
        const auto scans = partitions_.plan();
        partitions_.add(scans, std::span(&rows, 1));
    }
    std::vector<Offset> receive(std::size_t max) {
        std::vector<Offset> offsets;
        for (const Delivery& delivery : partitions_.receive(max))
            offsets.push_back(delivery.position);
        return offsets;
    }
    Partitions::Acknowledged acknowledge(Offset offset) {
        const SettledRow row{key_, offset};
        return partitions_.acknowledge(std::span(&row, 1), false);
    }

    const PartitionKey key_{0, 0};
    Partitions partitions_{{"orders"}};
};

TEST_F(PartitionsTest, the_floor_passes_what_is_settled_and_no_more) {
    partitions_.take({key_, 10, 0, 0});
    read({12, 15, 17}, 20);
    EXPECT_EQ(partitions_.floor(key_), 11);
    EXPECT_THAT(receive(10), ElementsAre(12, 15, 17));
    const auto middle = acknowledge(15);
    EXPECT_THAT(middle.settled, SizeIs(1));
    EXPECT_EQ(partitions_.floor(key_), 11);
    const auto first = acknowledge(12);
    EXPECT_THAT(first.settled, IsEmpty());
    EXPECT_EQ(partitions_.floor(key_), 16);
    acknowledge(17);
    EXPECT_EQ(partitions_.floor(key_), 20);
}

TEST_F(PartitionsTest, what_was_read_but_not_delivered_is_not_passed_when_it_is_given_back) {
    partitions_.take({key_, 0, 0, 0});
    read({1, 2, 3}, 9);
    EXPECT_THAT(receive(1), ElementsAre(1));
    partitions_.stop(key_);
    EXPECT_THAT(receive(10), IsEmpty());
    EXPECT_EQ(partitions_.unacknowledged(key_), 1U);
    EXPECT_TRUE(acknowledge(1).is_drained);
    EXPECT_EQ(partitions_.floor(key_), 1);
}

TEST_F(PartitionsTest, a_partition_that_comes_back_is_not_delivered_twice) {
    partitions_.take({key_, 0, 0, 0});
    read({1, 2}, 2);
    EXPECT_THAT(receive(10), ElementsAre(1, 2));
    partitions_.close(key_);
    partitions_.take({key_, 0, 0, 2});
    read({1, 2, 3}, 3);
    EXPECT_THAT(receive(10), ElementsAre(3));
    EXPECT_EQ(partitions_.floor(key_), 0);
}

TEST_F(PartitionsTest, acknowledgements_of_a_lost_partition_are_still_recorded) {
    partitions_.take({key_, 0, 0, 0});
    read({1}, 1);
    receive(1);
    partitions_.close_all();
    const auto changes = acknowledge(1);
    EXPECT_THAT(changes.settled, SizeIs(1));
    EXPECT_THAT(changes.floors, IsEmpty());
}

TEST_F(PartitionsTest, what_was_read_before_partitions_changed_hands_is_read_again) {
    partitions_.take({key_, 0, 0, 0});
    const auto scans = partitions_.plan();
    partitions_.take({{0, 1}, 0, 0, 0});
    std::vector<TopicRows> rows(1);
    rows[0].read_to = 100;
    EXPECT_FALSE(partitions_.add(scans, rows));
    EXPECT_EQ(partitions_.floor(key_), 0);
}

TEST_F(PartitionsTest, only_what_an_unclean_owner_may_have_delivered_is_suspect) {
    partitions_.take({key_, 0, 0, 2});
    read({1, 2, 3}, 3);
    const auto received = partitions_.receive(3);
    EXPECT_TRUE(received[0].redelivered);
    EXPECT_TRUE(received[1].redelivered);
    EXPECT_FALSE(received[2].redelivered);
}

}  // namespace
}  // namespace txm::local::detail
