#pragma once

#include <txm/sqlite.hpp>

namespace demo {

/// Prints what the rows of a service's outbox and inbox tell, one `name value` a line:
///   published, undispatched        messages in its outbox, and those that no broker has acknowledged
///   applied                        messages that took effect here
///   p50_us, p99_us                 from the message being stored by its sender to its effect being stored here
///   span_us                        from the first message stored here to the last effect stored here
/// They are the store's own times: they need nothing that a killed process would have to remember.
void print_figures(txm::sqlite::Database& db);

}  // namespace demo
