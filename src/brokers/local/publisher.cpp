#include "brokers/local/message_row.hpp"
#include "brokers/local/retention.hpp"
#include "brokers/local/schema.hpp"
#include "brokers/local/unavailable.hpp"
#include "core/fault_point.hpp"
#include "sqlite/wake.hpp"
#include "sqlite/writer.hpp"
#include "txm/error.hpp"
#include "txm/local.hpp"
#include "txm/outbox_writer.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace txm::local {

using namespace detail;

namespace {

// The file's own limit is a row of a gigabyte; what a payload should have at most is the outbox's business.
constexpr std::size_t max_payload = 500'000'000;

/// Messages of a caller, read by the writer's thread without a copy. A caller that is destroyed while it waits takes
/// them back first.
struct Loan {
    std::mutex mutex;
    std::vector<const StoredMessage*> messages;
    bool is_over = false;
};

class Lender {
public:
    Lender() = default;
    Lender(const Lender&) = delete;
    Lender& operator=(const Lender&) = delete;
    ~Lender() {
        const std::lock_guard lock(loan->mutex);
        loan->is_over = true;
    }

    const std::shared_ptr<Loan> loan = std::make_shared<Loan>();
};

/// Whether old messages are being deleted, shared with a job that may outlive a failed writer.
struct PurgeState {
    std::atomic<bool> is_queued{false};
    std::atomic<bool> has_more{false};
};

struct PurgeJob final : sqlite::detail::WriteJob {
    PurgeJob(std::shared_ptr<PurgeState> s, std::chrono::seconds r, std::size_t l)
        : state(std::move(s)), retention(r), limit(l) {
        wakes = false;
    }

    void apply(Connection& connection) override {
        const Timestamp time = now();
        has_more = false;
        if (!state->has_more && !claim_purge(connection, time))
            return;
        has_more = purge(connection, time, retention, limit) >= limit;
        fault::point("local.before_purge_commit");
    }

    void finish(std::exception_ptr error) noexcept override {
        state->has_more = !error && has_more;
        state->is_queued = false;
    }

    std::shared_ptr<PurgeState> state;
    std::chrono::seconds retention;
    std::size_t limit;
    bool has_more = false;
};

}  // namespace

class Publisher::Impl {
public:
    Impl(std::string path, PublisherOptions options) : path_(std::move(path)), options_(options), wake_(path_) {
        open();
    }

    awaitable<void> publish(PublishBatch& batch) {
        if (!writer_)
            open();

        Lender lender;
        lend(*lender.loan, batch);
        if (lender.loan->messages.empty())
            co_return;
        const auto work = [this, loan = lender.loan](Connection& connection) { insert(*loan, connection); };
        std::exception_ptr error;
        try {
            co_await writer_->transact(work);
        } catch (...) {
            error = std::current_exception();
        }
        if (error) {
            writer_ = nullptr;  // opened anew for the next batch: the file may have been mended or replaced
            std::rethrow_exception(as_unavailable(path_, error));
        }
        fault::point("local.after_commit");
        for (const StoredMessage* message : lender.loan->messages)
            batch.acknowledge(*message);
        purge_now_and_then(batch.size());
    }

private:
    void open() {
        sqlite::DatabaseOptions options;
        options.busy_timeout = options_.busy_timeout;
        try {
            writer_ = std::make_unique<sqlite::detail::Writer>(path_, options, [this] { wake_.touch(); });
            writer_->transact_now([](Connection& connection) {
                if (!has_schema(connection))
                    create_schema(connection);
                fault::point("local.before_schema_commit");
            });
            return;
        } catch (...) {
            writer_ = nullptr;
            std::rethrow_exception(as_unavailable(path_, std::current_exception()));
        }
    }

    /// Refuses what no retry can make acceptable, and with it what follows of the same aggregate.
    static void lend(Loan& loan, PublishBatch& batch) {
        loan.messages.reserve(batch.size());
        std::unordered_set<std::string_view> refused;
        for (const StoredMessage& message : batch) {
            if (!refused.empty() && refused.contains(message.aggregate_id.str())) {
                batch.refuse(message, "a message of the same aggregate before it was refused");
                continue;
            }
            try {
                validate(message, max_payload);
                loan.messages.push_back(&message);
            } catch (const Error& e) {
                refused.insert(message.aggregate_id.str());
                batch.refuse(message, e.what());
            }
        }
    }

    void insert(Loan& loan, Connection& connection) {
        const std::lock_guard lock(loan.mutex);
        if (loan.is_over)
            throw Error(Errc::broker_unavailable, "whoever was publishing is gone: nothing of the batch was written");
        inserter_.insert(connection, loan.messages, now());
        fault::point("local.before_commit");
    }

    void purge_now_and_then(std::size_t published) {
        const auto time = std::chrono::steady_clock::now();
        if (purge_->is_queued || (!purge_->has_more && time < next_purge_))
            return;
        next_purge_ = time + std::chrono::minutes{1};
        purge_->is_queued = true;
        // Faster than messages come, in steps that do not keep the next batch waiting.
        writer_->submit(
            std::make_shared<PurgeJob>(purge_, options_.retention, std::max<std::size_t>(256, 4 * published)));
    }

    const std::string path_;
    const PublisherOptions options_;
    sqlite::detail::WakeFile wake_;
    MessageInserter inserter_;
    const std::shared_ptr<PurgeState> purge_ = std::make_shared<PurgeState>();
    std::chrono::steady_clock::time_point next_purge_{};
    std::unique_ptr<sqlite::detail::Writer> writer_;
};

Publisher::Publisher(const std::string& path, PublisherOptions options)
    : impl_(std::make_unique<Impl>(path, options)) {}

Publisher::~Publisher() = default;

awaitable<void> Publisher::publish(PublishBatch& batch) {
    return impl_->publish(batch);
}

}  // namespace txm::local
