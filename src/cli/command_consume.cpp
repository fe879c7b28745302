#include "cli/commands.hpp"

#include "cli/admin_server.hpp"
#include "cli/exec_handler.hpp"
#include "cli/log.hpp"
#include "cli/metrics.hpp"
#include "cli/outage.hpp"
#include "cli/output.hpp"
#include "cli/print_handler.hpp"
#include "cli/registry.hpp"
#include "cli/reporter.hpp"
#include "cli/signals.hpp"

#include "txm/consumer.hpp"
#include "txm/error.hpp"
#include "txm/sync_wait.hpp"

#include <spdlog/logger.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace txm::cli {

namespace {

/// What is done with a message.
enum class Action { sql, exec, print };

Action action_of(const Configuration& configuration) {
    const bool sql = configuration.find("sql").has_value(), exec = configuration.find("exec").has_value();
    const bool print = configuration.flag("print");
    if (sql + exec + print != 1)
        throw UsageError("consume needs one of --sql FILE, --exec COMMAND and --print, and only one of them");
    return sql ? Action::sql : exec ? Action::exec : Action::print;
}

std::string content_of(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    std::ostringstream text;
    if (!file || !(text << file.rdbuf()))
        throw UsageError("cannot read the statements of --sql from " + path + " (or it is empty)");
    return text.str();
}

// Looking at messages must not take them from the service that has no name of its own either.
std::string name_of(const Configuration& configuration, Action action) {
    if (action == Action::print && configuration.origin("print") == "--print" && !configuration.find("consumer"))
        return "print";
    return configuration.text("consumer");
}

ConsumerOptions consumer_options(const Configuration& configuration, Action action) {
    ConsumerOptions options{name_of(configuration, action)};
    options.policy = configuration.text("policy") == "skip" ? DeadLetterPolicy::skip : DeadLetterPolicy::hold;
    options.max_attempts = static_cast<int>(configuration.number("max_attempts"));
    options.max_in_flight = static_cast<std::size_t>(configuration.number("max_in_flight"));
    options.backoff = configuration.duration("backoff");
    options.max_backoff = configuration.duration("max_backoff");
    options.park_after = configuration.duration("park_after");
    options.drain = configuration.flag("drain");
    const auto retention = configuration.retention("inbox_retention");
    options.inbox_retention = retention.value_or(std::chrono::seconds{0});
    if (retention && retention->count() == 0)
        throw UsageError(configuration.origin("inbox_retention") +
                         " must not be 0: a message that is delivered twice would take effect twice");
    if (action == Action::print) {
        // Nothing is kept, so nothing is parked or given up: what stdout does not take is tried again.
        options.max_attempts = std::numeric_limits<int>::max();
        options.park_after = std::chrono::hours{24 * 3650};
    }
    return options;
}

std::string summary(const ConsumerStatistics& s) {
    std::string text = "handled " + counted(s.processed, "message") + ", duplicates " + std::to_string(s.duplicates) +
                       ", in flight " + std::to_string(s.in_flight);
    if (s.failed > 0)
        text += ", failed tries " + std::to_string(s.failed);
    if (s.parked > 0)
        text += ", parked " + std::to_string(s.parked);
    if (s.dead > 0)
        text += ", dead " + std::to_string(s.dead);
    return text;
}

/// The consumer and everything that it needs, from its parts' opening to its end.
class ConsumeRun {
public:
    explicit ConsumeRun(const Configuration& configuration)
        : configuration_(configuration),
          action_(action_of(configuration)),
          name_(name_of(configuration, action_)),
          consumer_settings_{name_, configuration.retention("inbox_retention")},
          broker_(open_broker(configuration)),
          subscription_(broker_->subscription(subscription_settings(configuration, name_))) {
        if (action_ != Action::print || configuration.find("store"))
            store_ = open_store(configuration);
        if (action_ == Action::print) {
            consumer_store_ = std::make_unique<NoStore>();
        } else {
            admin_ = store_->admin();
            consumer_store_ = store_->consumer_store(consumer_settings_);
        }
        prepare_handler();
        outage_.emplace(context_.get_executor(), timeout(), [this](const std::string& why) { give_up(why); });
        watched_.emplace(*subscription_, *outage_);
        runner_.emplace(
            *consumer_store_, *watched_, consumer_options(configuration, action_),
            [this](const Incoming& incoming, const Delivery& delivery) { return handle(incoming, delivery); });
        runner_->on_event([this](const std::string& text) {
            if (gave_up_.empty())  // the last line says why
                reporter_.event(text);
        });
    }

    int run() {
        std::optional<AdminServer> server;
        if (const auto address = configuration_.find("admin"))
            server.emplace(
                *address, configuration_.origin("admin"), [this] { return metrics(); }, [this] { return readiness(); });
        say_what_is_promised();
        if (const std::string missing = broker_->not_there_yet(); !missing.empty())
            log().warn("{}", missing);

        std::exception_ptr failure;
        {
            const StopOnSignal stop{[this] { runner_->stop(); }};
            boost::asio::co_spawn(context_, reporter_.run(), boost::asio::detached);
            boost::asio::co_spawn(context_, runner_->run(), [&](std::exception_ptr error) {
                failure = error;
                reporter_.end();
                outage_->end();
            });
            // To its end: a thread of the store or the broker that has just answered is still busy with the context.
            context_.run();
        }
        reporter_.finish();
        if (!gave_up_.empty())
            throw Error(Errc::broker_unavailable, gave_up_);
        if (failure)
            std::rethrow_exception(failure);
        return configuration_.flag("drain") && !Signals::stopping() && admin_ ? result_of_drain() : 0;
    }

private:
    static SubscriptionSettings subscription_settings(const Configuration& configuration, const std::string& name) {
        SubscriptionSettings settings;
        settings.consumer = name;
        settings.topics = configuration.list("topic");
        settings.from_end = configuration.text("from") == "end";
        settings.max_attempts = static_cast<int>(configuration.number("max_attempts"));
        if (settings.topics.empty())
            throw UsageError("consume needs at least one --topic TOPIC");
        return settings;
    }

    std::optional<std::chrono::milliseconds> timeout() const {
        if (!configuration_.find("timeout"))
            return {};
        return configuration_.duration("timeout");
    }

    void prepare_handler() {
        if (action_ == Action::sql) {
            const Store::Effect effect = store_->effect_of_sql(content_of(configuration_.required("sql")), name_);
            handler_ = [effect](UnitOfWork& uow, const Delivery& delivery) { return apply(effect, uow, delivery); };
        } else if (action_ == Action::exec) {
            exec_.emplace(configuration_.required("exec"), name_);
            handler_ = [this](UnitOfWork&, const Delivery& delivery) { return exec_->handle(delivery); };
        } else {
            print_.emplace([this](const std::string& why) { give_up(why); });
        }
    }

    static awaitable<void> apply(const Store::Effect& effect, UnitOfWork& uow, const Delivery& delivery) {
        effect(uow, delivery.message);
        co_return;
    }

    awaitable<bool> handle(const Incoming& incoming, const Delivery& delivery) {
        if (action_ == Action::print) {
            co_await print_->handle(delivery);
            co_return true;
        }
        const std::unique_ptr<UnitOfWork> uow = store_->unit_of_work(incoming, consumer_settings_);
        co_await detail::handle_within(*uow, handler_, delivery);
        co_return true;
    }

    void say_what_is_promised() const {
        const std::string from = redacted(configuration_.text("broker"));
        if (action_ == Action::sql)
            log().info("consuming from {} as '{}': exactly once, the statements and the inbox row are one transaction",
                       from, name_);
        else if (action_ == Action::exec)
            log().info(
                "consuming from {} as '{}': at least once, a command may run again when it ended and its inbox row was "
                "not yet committed",
                from, name_);
        else
            log().info("consuming from {} as '{}': at least once, a line may be printed again", from, name_);
    }

    void give_up(const std::string& why) {
        if (gave_up_.empty())
            gave_up_ = why;
        runner_->stop();
        runner_->stop();
    }

    int result_of_drain() {
        const InboxStatus inbox = sync_wait(admin_->inbox_status(name_));
        if (inbox.dead == 0 && inbox.parked == 0)
            return 0;
        report_failure("drained, but for " + counted(inbox.dead, "dead letter") + " and " +
                       counted(inbox.parked, "parked message") + " of consumer '" + name_ +
                       "': see `txm messages list --inbox --consumer " + name_ + "`, then replay or skip them");
        return 1;
    }

    std::string metrics() {
        Metrics metrics;
        add_metrics(metrics, runner_->statistics(), name_);
        add_gauge(metrics, "txm_broker_up", "0 while the broker is unreachable", outage_->is_down() ? 0 : 1);
        if (admin_)
            add_metrics(metrics, sync_wait(admin_->status()));
        return serialized(metrics);
    }

    Readiness readiness() const {
        if (outage_->is_down())
            return {false, "the broker is unreachable"};
        return {true, "ready"};
    }

    const Configuration& configuration_;
    Action action_;
    std::string name_, gave_up_;
    Store::ConsumerSettings consumer_settings_;
    std::unique_ptr<Broker> broker_;
    std::unique_ptr<Store> store_;
    std::unique_ptr<Admin> admin_;
    std::unique_ptr<Subscription> subscription_;
    std::unique_ptr<ConsumerStore> consumer_store_;
    detail::HandlerMap::Handler handler_;
    std::optional<ExecHandler> exec_;
    std::optional<PrintHandler> print_;
    boost::asio::io_context context_{1};
    std::optional<Outage> outage_;
    std::optional<WatchedSubscription> watched_;
    std::optional<ConsumerRunner> runner_;
    Reporter reporter_{[this] { return summary(runner_->statistics()); }};
};

}  // namespace

int run_consume(const Configuration& configuration) {
    ConsumeRun run{configuration};
    return run.run();
}

}  // namespace txm::cli
