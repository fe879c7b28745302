#include "cli/registry.hpp"

#include "cli/backends.hpp"

#include <algorithm>
#include <array>

namespace txm::cli {

namespace {

struct StoreEntry {
    std::string_view scheme;
    std::unique_ptr<Store> (*open)(const Url&, const std::string& origin, Options&, Missing);
    std::string (*schema)(const Url&, const std::string& origin, Options&, const std::string& language);
};

struct BrokerEntry {
    std::string_view scheme;
    std::unique_ptr<Broker> (*open)(const Url&, const std::string& origin, Options&);
};

constexpr StoreEntry stores[] = {
#if TXM_HAS_SQLITE
    {"sqlite", open_sqlite, sqlite_schema},
#endif
#if TXM_HAS_DYNAMODB
    {"dynamodb", open_dynamodb, dynamodb_schema},
#endif
    {"", nullptr, nullptr},
};

constexpr BrokerEntry brokers[] = {
#if TXM_HAS_LOCAL
    {"local", open_local},
#endif
#if TXM_HAS_AWS
    {"sns", open_sns},       {"sqs", open_sqs},
#endif
    {"stdout", open_stdout}, {"", nullptr},
};

// Schemes that txm knows by name, so that a build without one says so.
constexpr std::array<std::string_view, 4> known_stores{"sqlite", "postgres", "postgresql", "dynamodb"};
constexpr std::array<std::string_view, 12> known_brokers{"local",  "kafka", "nats", "amqp",  "amqps", "redis",
                                                         "rediss", "sns",   "sqs",  "https", "http",  "stdout"};

template <class Entries, class Known>
const auto& find_entry(const Entries& entries, const Known& known, const Url& url, const std::string& origin,
                       const char* what, const char* other_flag, bool is_other) {
    std::string built;
    for (const auto& entry : entries) {
        if (entry.scheme.empty())
            break;
        if (entry.scheme == url.scheme)
            return entry;
        built += (built.empty() ? "" : ", ") + std::string(entry.scheme) + ":";
    }
    const std::string scheme = "'" + url.scheme + ":'";
    if (std::find(known.begin(), known.end(), url.scheme) != known.end())
        throw UsageError(origin + ": this build of txm has no " + what + " " + scheme + " (it has " + built + ")");
    if (is_other)
        throw UsageError(origin + ": " + scheme + " is not a " + what + ": it belongs to " + other_flag);
    throw UsageError(origin + ": unknown " + std::string(what) + " " + scheme + " (this build has " + built + ")");
}

template <class Known>
bool knows(const Known& known, const Url& url) {
    return std::find(known.begin(), known.end(), url.scheme) != known.end();
}

struct StoreUrl {
    explicit StoreUrl(const Configuration& configuration)
        : origin(configuration.origin("store")),
          url(parse_url(configuration.required("store"), origin)),
          entry(find_entry(stores, known_stores, url, origin, "store", "--broker", knows(known_brokers, url))) {}

    std::string origin;
    Url url;
    const StoreEntry& entry;
};

// The parameters of the URL come last: they hold over the file's section.
Options all_options(const Url& url, std::vector<Option> section) {
    section.insert(section.end(), url.options.begin(), url.options.end());
    return Options{url.scheme, std::move(section)};
}

}  // namespace

std::unique_ptr<Store> open_store(const Configuration& configuration, Missing missing) {
    const StoreUrl store{configuration};
    Options options = all_options(store.url, configuration.store_options());
    return store.entry.open(store.url, store.origin, options, missing);
}

std::string store_schema(const Configuration& configuration, const std::string& language) {
    const StoreUrl store{configuration};
    Options options = all_options(store.url, configuration.store_options());
    return store.entry.schema(store.url, store.origin, options, language);
}

std::unique_ptr<Broker> open_broker(const Configuration& configuration) {
    const std::string text = configuration.required("broker"), origin = configuration.origin("broker");
    const Url url = parse_url(text, origin);
    const BrokerEntry& entry =
        find_entry(brokers, known_brokers, url, origin, "broker", "--store", knows(known_stores, url));
    Options options = all_options(url, configuration.broker_options());
    return entry.open(url, origin, options);
}

}  // namespace txm::cli
