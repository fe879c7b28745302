#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/log.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"

#include "txm/error.hpp"

#include <exception>

namespace txm::cli {

namespace {

int run(const Arguments& arguments, const Configuration& configuration) {
    switch (arguments.command) {
        case migrate: return run_migrate(configuration);
        case publish: return run_publish(configuration, arguments.operands);
        case relay: return run_relay(configuration);
        case consume: return run_consume(configuration);
        case lambda: return run_lambda(configuration);
        case messages: return run_messages(configuration, arguments.action, arguments.operands);
        default: return run_status(configuration);
    }
}

Configuration configuration_of(Arguments& arguments) {
    try {
        return Configuration{arguments.command, std::move(arguments.flags)};
    } catch (const UsageError& error) {
        if (arguments.command == lambda)
            tell_lambda_of_failed_start(error.what());
        throw;
    }
}

int guarded_main(int argc, char** argv) {
    try {
        auto arguments = parse_arguments(argc, argv);
        if (!arguments)
            return 0;
        const Configuration configuration = configuration_of(*arguments);
        start_log(configuration.text("log_level"), configuration.text("log_format"));
        Signals::start();
        const int code = run(*arguments, configuration);
        flush_results();
        return code;
    } catch (const UsageError& error) {
        report_failure(error.what());
        return 2;
    } catch (const Error& error) {
        report_failure(error.what());
        return error.code() == Errc::invalid_configuration ? 2 : 1;
    } catch (const std::exception& error) {
        report_failure(error.what());
        return 1;
    }
}

}  // namespace

}  // namespace txm::cli

int main(int argc, char** argv) {
    return txm::cli::guarded_main(argc, argv);
}
