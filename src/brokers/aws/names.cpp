#include "brokers/aws/names.hpp"

#include "txm/error.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace txm::aws::detail {
namespace {

constexpr std::size_t max_topic_name = 256, max_queue_name = 80, max_group = 128;

bool is_name_character(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

std::string checked(std::string name, bool fifo, std::size_t longest, const char* what) {
    if (name.empty() || !std::ranges::all_of(name, is_name_character))
        throw Error(Errc::invalid_message, std::string("no ") + what + " can be called \"" + name +
                                               "\": its name is made of letters, digits, - and _; choose another topic "
                                               "or prefix");
    if (fifo)
        name += ".fifo";
    if (name.size() > longest)
        throw Error(Errc::invalid_message, std::string("no ") + what + " can be called \"" + name +
                                               "\": its name has " + std::to_string(name.size()) +
                                               " characters and may have " + std::to_string(longest) +
                                               "; choose a shorter topic or prefix");
    return name;
}

std::string hex_sha256(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
        throw Error(Errc::broker_unavailable, "OpenSSL computed no SHA-256");
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (unsigned int i = 0; i < size; ++i) {
        out += digits[digest[i] >> 4];
        out += digits[digest[i] & 15];
    }
    return out;
}

}  // namespace

std::string topic_name(const BrokerOptions& options, std::string_view topic) {
    return checked(options.prefix + std::string(topic), options.fifo, max_topic_name, "SNS topic");
}

std::string queue_name(const BrokerOptions& options, std::string_view topic, std::string_view consumer) {
    std::string name = options.prefix + std::string(topic);
    if (!consumer.empty())
        name.append("--").append(consumer);
    return checked(std::move(name), options.fifo, max_queue_name, "SQS queue");
}

std::string group_of(const AggregateId& aggregate) {
    const std::string& text = aggregate.str();
    const bool fits = !text.empty() && text.size() <= max_group &&
                      std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
    return fits ? text : "sha256:" + hex_sha256(text);
}

std::string deduplication_id(const StoredMessage& message) {
    std::string id = message.message_id.to_string();
    if (message.replays > 0)
        id += "#r" + std::to_string(message.replays);
    return id;
}

}  // namespace txm::aws::detail
