#pragma once

#include "txm/inbox.hpp"
#include "txm/outbox.hpp"
#include "txm/session.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

/// A store in memory for the tests of application code. It behaves as a real one: what was not committed is not there.
/// Nothing of it waits, so that txm::sync_wait() or any executor runs it.
namespace txm::testing {

class FakeInboxRepository;
class FakeOutboxRepository;

/// *Lifetime*: must outlive its repositories. *Thread safety*: one coroutine or thread at a time.
class FakeSession final : public Session {
public:
    FakeSession() = default;

    awaitable<void> commit() override;
    void rollback() noexcept override;
    awaitable<CommitOutcome> resolve() override;
    Staged staged() const noexcept override;

    /// Stages a write of the test's own: `apply` runs when the commit succeeds. For fakes of the user's repositories.
    void add(std::function<void()> apply);

    /// The next commit() writes nothing and throws `error`.
    template <class E>
    void fail_next_commit(E error) {
        failure_ = std::make_exception_ptr(std::move(error));
    }

    /// The next commit() throws CommitOutcomeUnknown; `truth`, committed or rolled_back, is what resolve() finds then.
    void lose_next_commit(CommitOutcome truth) noexcept { lost_ = truth; }

    /// Commits that wrote something.
    std::size_t commits() const noexcept { return commits_; }

private:
    friend class FakeInboxRepository;
    friend class FakeOutboxRepository;

    // Names a row: its repository's rows, and its key in them.
    struct Row {
        const void* table = nullptr;
        std::string consumer{};
        Uuid message_id{};
        bool operator==(const Row&) const = default;
    };

    // A look at the store before anything is written, and the writing.
    struct Write {
        std::function<void()> check;
        std::function<void()> apply;
        Row row{};
        bool is_inbox_row = false;
    };

    enum class Condition { ready, failed, unknown };

    bool has_staged(const Row& row) const noexcept;
    void stage(Write write);
    void write_all();

    std::vector<Write> writes_;
    std::vector<Write> in_doubt_;
    std::exception_ptr failure_;
    std::optional<CommitOutcome> lost_;
    CommitOutcome truth_ = CommitOutcome::rolled_back;
    Condition condition_ = Condition::ready;
    std::size_t commits_ = 0;
};

class FakeInboxRepository final : public InboxRepository {
public:
    /// @param consumer the name for messages whose Incoming has none
    explicit FakeInboxRepository(FakeSession& session, std::string consumer = {});

    void save(const Incoming& incoming) override;
    awaitable<std::optional<ProcessedMessage>> get(Incoming incoming) override;

    /// Makes it so that the message was decided before: what a test of a duplicate starts from.
    void put(const Incoming& incoming, InboxState state = InboxState::processed);

    /// Committed rows.
    std::size_t size() const noexcept { return rows_->size(); }

private:
    using Key = std::pair<std::string, Uuid>;
    using Rows = std::map<Key, ProcessedMessage>;

    Key key_of(const Incoming& incoming) const;

    FakeSession& session_;
    std::string consumer_;
    std::shared_ptr<Rows> rows_ = std::make_shared<Rows>();
};

class FakeOutboxRepository final : public OutboxRepository {
public:
    FakeOutboxRepository(FakeSession& session, TopicMap topics);

    awaitable<std::optional<StoredMessage>> get(Uuid message_id) override;
    awaitable<void> mark_as_dispatched(Uuid message_id) override;
    awaitable<std::vector<StoredMessage>> get_not_dispatched_messages() override;

    /// Copies of the committed messages of C++ type M, in publish order: what was published through a base class, a
    /// variant or a pointer counts as what it really is.
    template <class M>
    std::vector<M> messages() const {
        std::vector<M> found;
        for (const Kept& kept : *kept_) {
            if (kept.original && kept.type == typeid(M))
                found.push_back(*static_cast<const M*>(kept.original.get()));
        }
        return found;
    }

    /// All committed messages as a store holds them, in publish order.
    std::vector<StoredMessage> stored() const;

protected:
    void stage(std::vector<Staged> batch) override;

private:
    struct Kept {
        StoredMessage message;
        std::type_index type;
        std::shared_ptr<const void> original;  // null when M cannot be copied, and for a StoredMessage
    };

    Kept* find(const Uuid& message_id) const;

    FakeSession& session_;
    std::shared_ptr<std::vector<Kept>> kept_ = std::make_shared<std::vector<Kept>>();
};

}  // namespace txm::testing
