#pragma once

#include "cli/configuration.hpp"

#include <string>
#include <string_view>
#include <vector>

/// The commands: each gives its exit code, and throws UsageError (exit code 2) or another exception (exit code 1).
namespace txm::cli {

int run_migrate(const Configuration& configuration);
int run_publish(const Configuration& configuration, const std::vector<std::string>& files);
int run_relay(const Configuration& configuration);
int run_consume(const Configuration& configuration);
int run_messages(const Configuration& configuration, const std::string& action, const std::vector<std::string>& ids);
int run_status(const Configuration& configuration);
int run_lambda(const Configuration& configuration);

/// Under AWS Lambda, what is wrong with the configuration is seen where the function is, besides in its log.
void tell_lambda_of_failed_start(std::string_view why) noexcept;

}  // namespace txm::cli
