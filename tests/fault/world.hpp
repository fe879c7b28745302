#pragma once

#include "fault/checker.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace txm::fault_test {

/// A command that the harness keeps alive and kills.
struct Role {
    std::string kind;  ///< app, relay, consumer, operator
    std::vector<std::string> command{};
    std::map<std::string, std::string> environment{};
    bool may_exit = false;  ///< ends by itself: an operator's command
    std::string out{};      ///< file of its standard output
};

/// The messages of JSON lines that txm wrote, in their order. What a kill cut is no line.
std::vector<Event> printed_events(const std::string& file);

/// The files of one run, who works on them, and how what happened is read from them afterwards.
class World {
public:
    World(std::filesystem::path directory, std::filesystem::path binaries)
        : directory_(std::move(directory)), binaries_(std::move(binaries)) {}
    virtual ~World() = default;

    virtual void create() = 0;
    virtual std::vector<Role> roles() const = 0;
    /// Something is committed that has not arrived where it should.
    virtual bool has_message_in_flight() const = 0;
    /// How many times longer than in a world of files its processes live: until a server has answered them often enough.
    virtual int pace() const { return 1; }
    /// Makes due what is done once a minute only, so that it can be killed too.
    virtual void nudge() {}
    /// What happened so far; it may be called while everything runs.
    virtual History observe() const = 0;
    /// Mends what was broken on purpose and lets everything arrive.
    virtual void finish() = 0;

    std::string path(const std::string& name) const { return (directory_ / name).string(); }

protected:
    std::string binary(const std::string& name) const { return (binaries_ / name).string(); }
    /// Runs a command to its end. @throws std::runtime_error with its log unless it ends with one of `accepted`
    void run(const std::vector<std::string>& command, const std::vector<int>& accepted = {0},
             const std::string& out = {}) const;
    /// Has everything sent. A relay that was killed often enough while it sent the same message has made it a dead letter.
    void drain(std::vector<std::string> relay, const std::string& store, const std::string& out = {}) const;
    void run_sql(const std::string& database, const std::string& sql) const;
    void read_told(History& history) const;  ///< what the application was told
    /// Commits, dead letters of the outbox, and what the application was told.
    History observe_store(bool outbox_is_kept = true) const;
    /// Nothing more is expected of an aggregate while one of its messages is a dead letter.
    static void excuse_dead(History& history);
    std::string store() const { return "sqlite:" + path("app.db"); }
    std::vector<std::string> app_command(int pause_ms = 20) const;
    void create_store() const;

private:
    std::filesystem::path directory_, binaries_;
};

/// app → app.db → two `txm relay` → broker.db → two `txm consume --sql` → effects.db
class PipelineWorld final : public World {
public:
    using World::World;
    void create() override;
    std::vector<Role> roles() const override;
    bool has_message_in_flight() const override;
    History observe() const override;
    void finish() override;
};

/// app → app.db → two relays with a publisher that refuses, hangs and loses answers → a journal
class JournalWorld final : public World {
public:
    using World::World;
    void create() override;
    std::vector<Role> roles() const override;
    bool has_message_in_flight() const override;
    History observe() const override;
    void finish() override;
};

/// app → app.db → two `txm relay` to `stdout:`, a file whose last line each kill may cut
class LinesWorld final : public World {
public:
    using World::World;
    void create() override;
    std::vector<Role> roles() const override;
    bool has_message_in_flight() const override;
    History observe() const override;
    void finish() override;
};

/// app → app.db → `txm relay` → broker.db → `txm consume --print` and `txm consume --exec`, while everything that is done
/// with is deleted: outbox rows on settlement, topics and inbox rows soon after.
class TidyWorld final : public World {
public:
    using World::World;
    void create() override;
    void nudge() override;
    std::vector<Role> roles() const override;
    bool has_message_in_flight() const override;
    History observe() const override;
    void finish() override;
};

/// fault_cloud app → DynamoDB → two `txm relay` → SNS, FIFO → SQS → two consumers → DynamoDB, over networks that lose, cut,
/// delay and repeat. The servers and the networks stay; who uses them is killed.
class CloudWorld final : public World {
public:
    CloudWorld(std::filesystem::path directory, std::filesystem::path binaries);
    ~CloudWorld() override;
    int pace() const override { return 4; }
    void create() override;
    std::vector<Role> roles() const override;
    bool has_message_in_flight() const override;
    History observe() const override;
    void finish() override;

private:
    struct Servers;

    std::string store_url(const std::string& endpoint) const;
    std::string broker_url(const std::string& endpoint) const;
    /// The command of a victim: over the unreliable networks, or else past them.
    std::vector<std::string> relay_command(bool is_reliable) const;
    std::vector<std::string> consumer_command(bool is_reliable) const;

    std::unique_ptr<Servers> servers_;
};

}  // namespace txm::fault_test
