#include "cli/commands.hpp"

#include "cli/log.hpp"
#include "cli/output.hpp"
#include "cli/registry.hpp"

#include "txm/sync_wait.hpp"

#include <spdlog/logger.h>

namespace txm::cli {

int run_migrate(const Configuration& configuration) {
    if (const auto language = configuration.find("print")) {
        write_result(store_schema(configuration, *language));
        return 0;
    }
    const auto store = open_store(configuration, Missing::create);
    // First: it may need more than was given.
    if (configuration.find("broker")) {
        open_broker(configuration)->migrate(configuration.list("topic"), configuration.list("consumer"));
        write_result(redacted(configuration.text("broker")) + " is ready\n");
    }
    sync_wait(store->migrate());
    for (const std::string& note : store->notes())
        log().warn("{}", note);
    write_result(redacted(configuration.text("store")) + " is ready\n");
    return 0;
}

}  // namespace txm::cli
