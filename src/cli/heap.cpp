#include "cli/heap.hpp"

#include <malloc.h>

namespace txm::cli {

void share_a_heap() {
#ifdef __GLIBC__
    constexpr int large = 256 * 1024;
    ::mallopt(M_ARENA_MAX, 1);
    ::mallopt(M_MMAP_THRESHOLD, large);
    ::mallopt(M_TRIM_THRESHOLD, large);
#endif
}

}  // namespace txm::cli
