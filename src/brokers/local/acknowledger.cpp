#include "brokers/local/acknowledger.hpp"

#include "brokers/local/unavailable.hpp"
#include "core/fault_point.hpp"

#include <utility>

namespace txm::local::detail {
namespace {

void write_settled(Connection& connection, const GroupIds& groups, std::span<const SettledRow> rows) {
    if (rows.empty())
        return;
    auto insert = connection.prepare("insert into settled values (?, ?, ?) on conflict do nothing");
    for (const SettledRow& row : rows) {
        insert.bind(1, groups[row.key.topic]).bind(2, std::int64_t{row.key.partition}).bind(3, row.offset);
        insert.run();
        insert.reset();
    }
}

}  // namespace

void write_floors(Connection& connection, const GroupIds& groups, std::span<const FloorRow> floors) {
    if (floors.empty())
        return;
    auto update = connection.prepare(
        "update group_partition set floor = ?3 where group_id = ?1 and partition = ?2 and floor < ?3");
    auto sweep = connection.prepare(
        "delete from settled where (group_id, partition, offset) in (select group_id, partition, offset from settled "
        "where group_id = ?1 and partition = ?2 and offset <= ?3 order by offset limit 1024)");
    for (const FloorRow& row : floors) {
        for (auto* query : {&update, &sweep}) {
            query->bind(1, groups[row.key.topic]).bind(2, std::int64_t{row.key.partition}).bind(3, row.floor);
            query->run();
            query->reset();
        }
    }
}

struct Acknowledger::Job final : sqlite::detail::WriteJob {
    Job(std::shared_ptr<Acknowledger> acknowledger, std::shared_ptr<const GroupIds> group_ids)
        : owner(std::move(acknowledger)), groups(std::move(group_ids)) {
        wakes = false;
    }

    void apply(Connection& connection) override {
        // Taken when the transaction begins, so that all that came in meanwhile is in it.
        if (!is_taken) {
            is_taken = true;
            std::vector<SettledRow> rows;
            {
                const std::lock_guard lock(owner->mutex_);
                rows.swap(owner->rows_);
                waiters.swap(owner->waiters_);
            }
            changes = owner->partitions_->acknowledge(rows, false);
        }
        write_settled(connection, *groups, changes.settled);
        write_floors(connection, *groups, changes.floors);
        fault::point("local.before_ack_commit");
    }

    void finish(std::exception_ptr error) noexcept override {
        if (!is_taken) {  // the transaction did not even begin
            const std::lock_guard lock(owner->mutex_);
            owner->rows_.clear();
            waiters.swap(owner->waiters_);
        }
        if (error)
            error = as_unavailable(owner->path_, error);
        else
            owner->partitions_->floors_written(changes.floors);
        if (changes.is_drained)
            owner->given_up_();
        if (!error)
            owner->committed_();
        for (const auto& waiter : waiters) {
            waiter->error = error;
            waiter->suspension.resume();
        }
        waiters.clear();
    }

    std::shared_ptr<Acknowledger> owner;
    std::shared_ptr<const GroupIds> groups;
    Partitions::Acknowledged changes;
    std::vector<std::shared_ptr<Waiter>> waiters;
    bool is_taken = false;
};

Acknowledger::Acknowledger(std::string path, std::shared_ptr<Partitions> partitions, std::function<void()> given_up,
                           std::function<void()> committed)
    : path_(std::move(path)),
      partitions_(std::move(partitions)),
      given_up_(std::move(given_up)),
      committed_(std::move(committed)) {}

boost::asio::awaitable<void> Acknowledger::acknowledge(sqlite::detail::Writer& writer,
                                                       std::shared_ptr<const GroupIds> groups, SettledRow row) {
    const auto waiter = std::make_shared<Waiter>();
    const auto start = [&] { enqueue(writer, groups, row, waiter); };
    co_await txm::detail::suspend(waiter->suspension, start);
    if (waiter->error)
        std::rethrow_exception(waiter->error);
    fault::point("local.after_ack_commit");
}

void Acknowledger::enqueue(sqlite::detail::Writer& writer, const std::shared_ptr<const GroupIds>& groups,
                           SettledRow row, const std::shared_ptr<Waiter>& waiter) {
    // The waiter may be resumed, and its coroutine gone with what it lent us, as soon as it is in the list.
    std::shared_ptr<Job> job;
    {
        const std::lock_guard lock(mutex_);
        if (rows_.empty())
            job = std::make_shared<Job>(shared_from_this(), groups);
        rows_.push_back(row);
        waiters_.push_back(waiter);
    }
    // Whoever is first brings the job that takes them all.
    if (job)
        writer.submit(std::move(job));
}

}  // namespace txm::local::detail
