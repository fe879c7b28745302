#pragma once

#include <string>

namespace txm::bench {

void measure_commits(const std::string& directory);

}  // namespace txm::bench
