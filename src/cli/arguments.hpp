#pragma once

#include "cli/configuration.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace txm::cli {

/// What the command line asks for.
struct Arguments {
    unsigned command = 0;
    std::string action;                 ///< of `messages`
    std::vector<std::string> operands;  ///< what is not a flag: the file of `publish`, the ids of `messages`
    std::map<std::string, Given> flags;
};

/// Reads the command line; nothing when it asked for help or the version, which are printed then.
/// @throws UsageError
std::optional<Arguments> parse_arguments(int argc, char** argv);

}  // namespace txm::cli
