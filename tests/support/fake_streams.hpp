#pragma once

#include "support/fake_http.hpp"
#include "txm/item.hpp"

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace txm::test {

/// DynamoDB Streams as a test says: shards that come, end, and are trimmed, records in any order, iterators that expire.
/// *Thread safety*: any thread.
class FakeStreams {
public:
    FakeStreams();

    std::string endpoint() const { return http_.endpoint(); }

    /// Names of shards are of one stream only.
    void add_shard(const std::string& id, const std::string& parent = {});
    /// Its last record is the last that it will have.
    void end_shard(const std::string& id);
    /// It is not listed any more.
    void remove_shard(const std::string& id);
    /// The service has forgotten the records that it has so far.
    void trim(const std::string& id);
    void expire_iterators();
    /// How many shards it lists at once.
    void list_in_pages_of(std::size_t shards);
    /// Each look at it shows a change that was just made, of no message that has to be sent.
    void keep_busy(const std::string& id);
    /// The next call of that action fails.
    void refuse_next(const std::string& action);
    /// Reading it fails, as it does when a service is out of order.
    void break_shard(const std::string& id);
    void mend_shard(const std::string& id);
    /// The table's stream was disabled: its shards end. It stays readable.
    void disable();
    /// A new stream, which only readers that ask for it see; shards are added to it from now on.
    void renew(const std::string& arn);

    /// A row was stored. @return the record's sequence number
    std::string insert(const std::string& shard, const dynamodb::Item& row);
    /// Another program changed a row.
    std::string modify(const std::string& shard, const dynamodb::Item& old_row, const dynamodb::Item& new_row);

    /// Where readers began in a shard: `TRIM_HORIZON` or a sequence number.
    std::vector<std::string> starts(const std::string& shard) const;
    /// Shards in the order in which readers began with them.
    std::vector<std::string> begun() const;
    /// How often a shard was read with nothing new to give.
    std::size_t empty_reads(const std::string& shard) const;

private:
    struct Shard {
        std::string parent{}, stream{};
        std::vector<std::pair<std::string, std::string>> records{};  // sequence number, JSON
        std::size_t trimmed = 0;
        bool is_ended = false;
        bool is_broken = false;
        bool is_busy = false;
        std::size_t empty_reads = 0;
        std::vector<std::string> starts{};
    };

    HttpAnswer answer(const HttpRequest& request);
    HttpAnswer describe(const std::string& body) const;
    HttpAnswer iterator(const std::string& body);
    HttpAnswer records(const std::string& body);
    std::string add(const std::string& shard, const std::string& event, const std::string& images);
    std::string add_locked(Shard& shard, const std::string& event, const std::string& images);

    mutable std::mutex mutex_;
    std::map<std::string, Shard> shards_;
    std::vector<std::string> begun_;
    std::string arn_;      // of the last stream; empty: of whichever the table has
    std::string refused_;  // an action
    std::size_t page_ = 100;
    int generation_ = 0;
    long number_ = 100'000'000'000'000'000;
    FakeHttp http_;
};

}  // namespace txm::test
