#pragma once

#include "cli/broker.hpp"
#include "cli/registry.hpp"
#include "cli/store.hpp"
#include "cli/url.hpp"

#include <memory>
#include <string>

/// The backends that this build may have; each opens what the URL names and takes its own options.
namespace txm::cli {

/// @param origin where the URL stands, for errors
std::unique_ptr<Store> open_sqlite(const Url& url, const std::string& origin, Options& options, Missing missing);
/// What migrating it would run. @throws UsageError for a language that it does not have
std::string sqlite_schema(const Url& url, const std::string& origin, Options& options, const std::string& language);

std::unique_ptr<Store> open_dynamodb(const Url& url, const std::string& origin, Options& options, Missing missing);
std::string dynamodb_schema(const Url& url, const std::string& origin, Options& options, const std::string& language);

std::unique_ptr<Broker> open_local(const Url& url, const std::string& origin, Options& options);
std::unique_ptr<Broker> open_sns(const Url& url, const std::string& origin, Options& options);
std::unique_ptr<Broker> open_sqs(const Url& url, const std::string& origin, Options& options);
std::unique_ptr<Broker> open_stdout(const Url& url, const std::string& origin, Options& options);

}  // namespace txm::cli
