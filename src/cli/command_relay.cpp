#include "cli/commands.hpp"

#include "cli/admin_server.hpp"
#include "cli/log.hpp"
#include "cli/metrics.hpp"
#include "cli/outage.hpp"
#include "cli/output.hpp"
#include "cli/registry.hpp"
#include "cli/reporter.hpp"
#include "cli/signals.hpp"

#include "txm/error.hpp"
#include "txm/relay.hpp"
#include "txm/sync_wait.hpp"

#include <spdlog/logger.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>

namespace txm::cli {

namespace {

RelayOptions relay_options(const Configuration& configuration) {
    RelayOptions options;
    options.policy = configuration.text("policy") == "skip" ? DeadLetterPolicy::skip : DeadLetterPolicy::hold;
    options.max_attempts = static_cast<int>(configuration.number("max_attempts"));
    options.max_in_flight = static_cast<std::size_t>(configuration.number("max_in_flight"));
    options.batch = static_cast<std::size_t>(configuration.number("relay_batch"));
    options.max_payload = static_cast<std::size_t>(configuration.number("max_payload"));
    options.backoff = configuration.duration("backoff");
    options.max_backoff = configuration.duration("max_backoff");
    options.park_after = configuration.duration("park_after");
    options.drain = configuration.flag("drain");
    return options;
}

std::string summary(const RelayStatistics& s) {
    std::string text = "dispatched " + counted(s.dispatched, "message") + ", in flight " + std::to_string(s.in_flight);
    if (s.refused > 0)
        text += ", refused " + std::to_string(s.refused);
    if (s.parked > 0)
        text += ", parked " + std::to_string(s.parked);
    if (s.dead > 0)
        text += ", dead " + std::to_string(s.dead);
    return text;
}

/// The relay and everything that it needs, from its parts' opening to its end.
class RelayRun {
public:
    explicit RelayRun(const Configuration& configuration)
        : store_(open_store(configuration)),
          broker_(open_broker(configuration)),
          admin_(store_->admin()),
          feed_(store_->feed({.how = configuration.text("feed"),
                              .origin = configuration.origin("feed"),
                              .retention = configuration.retention("outbox_retention"),
                              .max_payload = static_cast<std::size_t>(configuration.number("max_payload"))})),
          publisher_(broker_->publisher(publisher_settings(configuration))),
          outage_(context_.get_executor(), timeout(configuration), [this](const std::string& why) { give_up(why); }),
          watched_(*publisher_, outage_),
          relay_(*feed_, watched_, relay_options(configuration)),
          reporter_([this] { return summary(relay_.statistics()); },
                    [this] { return relay_.statistics().is_active ? "" : "waiting for the lease; "; }) {
        relay_.on_event([this](const std::string& text) {
            if (gave_up_.empty())  // the last line says why
                reporter_.event(text);
        });
    }

    int run(const Configuration& configuration) {
        std::optional<AdminServer> server;
        if (const auto address = configuration.find("admin"))
            server.emplace(
                *address, configuration.origin("admin"), [this] { return metrics(); }, [this] { return readiness(); });
        log().info("relaying from {} to {}", redacted(configuration.text("store")),
                   redacted(configuration.text("broker")));

        std::exception_ptr failure;
        {
            const StopOnSignal stop{[this] { relay_.stop(); }};
            boost::asio::co_spawn(context_, reporter_.run(), boost::asio::detached);
            boost::asio::co_spawn(context_, relay_.run(), [&](std::exception_ptr error) {
                failure = error;
                reporter_.end();
                outage_.end();
            });
            // To its end: a thread of the store or the broker that has just answered is still busy with the context.
            context_.run();
        }
        reporter_.finish();
        if (!gave_up_.empty())
            throw Error(Errc::broker_unavailable, gave_up_);
        if (failure)
            std::rethrow_exception(failure);
        return configuration.flag("drain") && !Signals::stopping() ? result_of_drain() : 0;
    }

private:
    static std::optional<std::chrono::milliseconds> timeout(const Configuration& configuration) {
        if (!configuration.find("timeout"))
            return {};
        return configuration.duration("timeout");
    }

    PublisherSettings publisher_settings(const Configuration& configuration) {
        PublisherSettings settings;
        settings.accept_loss = configuration.flag("accept_loss");
        settings.give_up = [this](const std::string& why) { give_up(why); };
        return settings;
    }

    // Twice: at once, so that nothing more is marked.
    void give_up(const std::string& why) {
        if (gave_up_.empty())
            gave_up_ = why;
        relay_.stop();
        relay_.stop();
    }

    int result_of_drain() {
        const StoreStatus status = sync_wait(admin_->outbox_status());
        if (status.dead == 0 && status.parked == 0 && status.lanes_held == 0)
            return 0;
        report_failure("the outbox is drained, but for " + counted(status.dead, "dead letter") + " and " +
                       counted(status.parked, "message") +
                       " held behind them: see `txm messages list --state dead`, then replay or skip them");
        return 1;
    }

    std::string metrics() {
        Metrics metrics;
        add_metrics(metrics, relay_.statistics());
        add_gauge(metrics, "txm_broker_up", "0 while the broker is unreachable", outage_.is_down() ? 0 : 1);
        add_metrics(metrics, sync_wait(admin_->status()));
        return serialized(metrics);
    }

    // A standby is ready: it takes over by itself.
    Readiness readiness() {
        if (outage_.is_down())
            return {false, "the broker is unreachable"};
        return {true, relay_.statistics().is_active ? "ready" : "standby: another relay has the lease"};
    }

    std::string gave_up_;
    std::unique_ptr<Store> store_;
    std::unique_ptr<Broker> broker_;
    std::unique_ptr<Admin> admin_;
    std::unique_ptr<OutboxFeed> feed_;
    std::unique_ptr<Publisher> publisher_;
    boost::asio::io_context context_{1};
    Outage outage_;
    WatchedPublisher watched_;
    Relay relay_;
    Reporter reporter_;
};

}  // namespace

int run_relay(const Configuration& configuration) {
    RelayRun run{configuration};
    return run.run(configuration);
}

}  // namespace txm::cli
