#pragma once

namespace txm::bench {

void measure_dynamodb();

}  // namespace txm::bench
