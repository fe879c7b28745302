#pragma once

#include "support/server.hpp"
#include "txm/aws.hpp"
#include "txm/uuid.hpp"

#include <string>

namespace txm::test {

/// Options for a server of the tests. @param prefix of names that nobody else uses
inline aws::BrokerOptions aws_options(const Server& server, std::string prefix, bool fifo = false) {
    aws::ClientOptions client{"us-east-1"};
    client.endpoint = server.endpoint();
    client.credentials = aws::Credentials{"test", "test"};
    aws::BrokerOptions options{client};
    options.prefix = std::move(prefix);
    options.fifo = fifo;
    return options;
}

/// A prefix that no other test has.
inline std::string new_prefix() {
    return "t" + new_uuid().to_string().substr(24) + "-";
}

}  // namespace txm::test
