#include "cli/commands.hpp"

#include "cli/lambda_runtime.hpp"
#include "cli/log.hpp"
#include "cli/registry.hpp"
#include "cli/signals.hpp"

#include <spdlog/logger.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <optional>

namespace txm::cli {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// One event after the other, each with a limit. A step that is not over at its limit cannot be broken off: it goes on when
/// the next event comes, before it.
class Runner {
public:
    explicit Runner(Step& step) : step_(step) {}

    /// @return nothing when the limit has come  @throws what the step throws
    std::optional<std::string> run(std::string event, Clock::time_point limit) {
        const bool is_free = finish(limit);
        if (!is_free)
            return {};
        is_running_ = true;
        boost::asio::co_spawn(context_, step_.run(std::move(event)),
                              [this](std::exception_ptr failure, std::string answer) {
                                  is_running_ = false;
                                  failure_ = failure;
                                  answer_ = std::move(answer);
                              });
        const bool is_over = finish(limit);
        if (!is_over)
            return {};
        if (failure_)
            std::rethrow_exception(std::exchange(failure_, {}));
        return std::move(answer_);
    }

    /// Whether nothing runs any more.
    bool finish(Clock::time_point limit) {
        context_.restart();
        context_.run_until(limit);
        return !is_running_;
    }

private:
    Step& step_;
    boost::asio::io_context context_{1};
    bool is_running_ = false;
    std::exception_ptr failure_;
    std::string answer_;
};

/// When the answer has to be ready: early enough to be sent.
Clock::time_point limit_of(const LambdaRuntime::Invocation& invocation) {
    const auto left = std::max<Clock::duration>(invocation.deadline - std::chrono::system_clock::now(), 0ms);
    return Clock::now() + left - std::min<Clock::duration>(left / 4, 500ms);
}

/// The store, the broker, and the step between them. Making it does no I/O.
class LambdaRun {
public:
    explicit LambdaRun(const Configuration& configuration)
        : store_(open_store(configuration)),
          publisher_(open_broker(configuration)->publisher(publisher_settings(configuration))),
          step_(store_->step(*publisher_,
                             {.how = {},
                              .origin = configuration.origin("store"),
                              .retention = configuration.retention("outbox_retention"),
                              .max_payload = static_cast<std::size_t>(configuration.number("max_payload"))})),
          runner_(*step_) {}

    int run(LambdaRuntime& runtime) {
        const StopOnSignal stop{[&runtime] { runtime.interrupt(); }};
        std::exception_ptr failure;
        std::string why;
        try {
            while (auto invocation = runtime.next())
                handle(runtime, *invocation);
        } catch (const std::exception& error) {
            failure = std::current_exception();
            why = error.what();
        }
        if (!runner_.finish(Clock::now() + 10s)) {
            log().warn("the step of an event that had timed out is still running: ending without it");
            if (failure)
                report_failure(why);
            std::_Exit(failure ? 1 : 0);  // nothing that it uses can be taken down
        }
        if (failure)
            std::rethrow_exception(failure);
        return 0;
    }

private:
    static PublisherSettings publisher_settings(const Configuration& configuration) {
        PublisherSettings settings;
        settings.accept_loss = configuration.flag("accept_loss");
        settings.give_up = [](const std::string& why) { log().error("{}", why); };
        return settings;
    }

    void handle(LambdaRuntime& runtime, LambdaRuntime::Invocation& invocation) {
        std::optional<std::string> answer;
        std::string why =
            "the time that Lambda gave was over before all messages were sent: they come again; give the function a "
            "longer timeout or smaller batches";
        try {
            answer = runner_.run(std::move(invocation.event), limit_of(invocation));
        } catch (const std::exception& error) {
            why = error.what();
        }
        if (answer) {
            log().debug("{}: {}", invocation.id, *answer);
            runtime.answer(invocation, *answer);
            return;
        }
        log().error("{}: {}", invocation.id, why);
        runtime.fail(invocation, why);
    }

    std::unique_ptr<Store> store_;
    std::unique_ptr<Publisher> publisher_;
    std::unique_ptr<Step> step_;
    Runner runner_;
};

}  // namespace

void tell_lambda_of_failed_start(std::string_view why) noexcept {
    try {
        LambdaRuntime{}.fail_to_start(why);
    } catch (const std::exception&) {  // it is not Lambda
    }
}

int run_lambda(const Configuration& configuration) {
    LambdaRuntime runtime;
    std::optional<LambdaRun> run;
    try {
        run.emplace(configuration);
    } catch (const std::exception& error) {
        runtime.fail_to_start(error.what());
        throw;
    }
    return run->run(runtime);
}

}  // namespace txm::cli
