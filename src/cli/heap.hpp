#pragma once

namespace txm::cli {

/// For a process that talks to services through clients with threads of their own: what one thread makes, another one frees.
/// With a heap for each thread, as the C library has it, all of them grow to their largest and stay so. And what is as
/// large as an answer of a service is given back at once. Call it before such threads start.
void share_a_heap();

}  // namespace txm::cli
