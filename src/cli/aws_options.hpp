#pragma once

#include "cli/url.hpp"

#include "txm/aws_client.hpp"

#include <string>

namespace txm::cli {

/// `//region/name` of a URL on Amazon's services.
struct AwsPlace {
    std::string region, name;
};

/// @param example the URL to show when this one is wrong  @throws UsageError, which never quotes what may be a secret
AwsPlace aws_place(const Url& url, Options& options, const std::string& origin, const std::string& example);

/// The options that all of them have: `endpoint` and `profile`. @throws UsageError
aws::ClientOptions aws_client_options(const AwsPlace& place, Options& options, const std::string& origin);

/// An endpoint option. @throws UsageError
std::string aws_endpoint(std::string_view name, Options& options, const std::string& origin);

/// A name of a table, topic or queue, or a prefix of one: letters, digits, `_`, `-`, and `.` where `dots` says so.
void check_aws_name(const std::string& name, bool dots, const std::string& origin);
/// The same with dots, and the length of a DynamoDB table's. @throws UsageError
void check_table_name(const std::string& name, const std::string& origin);

}  // namespace txm::cli
