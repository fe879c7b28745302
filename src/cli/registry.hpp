#pragma once

#include "cli/broker.hpp"
#include "cli/configuration.hpp"
#include "cli/store.hpp"

#include <memory>
#include <string>

namespace txm::cli {

/// What a command does with a store's file or database when it is not there.
enum class Missing { refuse, create };

/// Opens the store of `--store` with the options of its URL and of [store]. @throws UsageError, Error
std::unique_ptr<Store> open_store(const Configuration& configuration, Missing missing = Missing::refuse);

/// What `txm migrate` would run on that store, in a language of `migrate --print`; no I/O. @throws UsageError
std::string store_schema(const Configuration& configuration, const std::string& language);

/// The broker of `--broker` with the options of its URL and of [broker]; no I/O yet. @throws UsageError
std::unique_ptr<Broker> open_broker(const Configuration& configuration);

}  // namespace txm::cli
