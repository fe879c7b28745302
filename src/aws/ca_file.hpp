#pragma once

namespace txm::aws::detail {

/// The certificates that servers are checked against, where they are not libcurl's own: AWS_CA_BUNDLE, or those of this
/// machine when libcurl was built for another kind of Linux. Null: libcurl's own.
const char* ca_file();

}  // namespace txm::aws::detail
