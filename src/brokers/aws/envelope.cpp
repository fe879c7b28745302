#include "brokers/aws/envelope.hpp"

#include "brokers/aws/text.hpp"
#include "core/json_text.hpp"
#include "txm/error.hpp"

#include <openssl/evp.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace txm::aws::detail {
namespace {

namespace json = txm::detail::json;

constexpr std::size_t compressed_from = 60'000;   // characters of `data`, as tomodachi counts
constexpr std::size_t largest_data = 64'000'000;  // a small message must not unpack to all the memory there is
constexpr std::string_view compressed = "base64_gzip_json";

bool is_json(std::string_view text) {
    try {
        json::Cursor cursor(text);
        cursor.value();
        cursor.expect_end();
        return true;
    } catch (const Error&) {
        return false;
    }
}

std::size_t characters(std::string_view utf8) {
    return static_cast<std::size_t>(
        std::ranges::count_if(utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string deflated(std::string_view text) {
    auto size = compressBound(text.size());
    std::string out(size, '\0');
    if (compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                 text.size()) != Z_OK)
        throw Error(Errc::invalid_message, "zlib could not compress the payload");
    out.resize(size);
    return out;
}

std::string inflated(std::string_view bytes) {
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK)
        throw Error(Errc::invalid_message, "zlib could not begin to decompress");
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    std::string out;
    int result = Z_OK;
    while (result == Z_OK && out.size() < largest_data) {
        char chunk[16'384];
        stream.next_out = reinterpret_cast<Bytef*>(chunk);
        stream.avail_out = sizeof chunk;
        result = inflate(&stream, Z_NO_FLUSH);
        out.append(chunk, sizeof chunk - stream.avail_out);
    }
    inflateEnd(&stream);
    if (result != Z_STREAM_END)
        throw Error(Errc::invalid_message, "the data of a tomodachi envelope is not complete zlib data");
    return out;
}

std::string seconds_text(Timestamp time) {
    char text[40];
    std::snprintf(text, sizeof text, "%.6f", static_cast<double>(time.time_since_epoch().count()) / 1e6);
    return text;
}

/// Calls `field(name, value)` for each member of the object that `text` is; false when it is none.
template <class Field>
bool for_each_member(std::string_view text, Field field) {
    json::Cursor cursor(text);
    if (!cursor.take('{'))
        return false;
    if (!cursor.take('}')) {
        do {
            const std::string name = json::unquote(cursor.string());
            cursor.expect(':');
            field(name, cursor.value());
        } while (cursor.take(','));
        cursor.expect('}');
    }
    cursor.expect_end();
    return true;
}

std::string text_of(std::string_view source) {
    return source.starts_with('"') ? json::unquote(source) : std::string{};
}

}  // namespace

std::string base64(std::string_view bytes) {
    std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    const int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.empty() || text.size() % 4 != 0)
        return std::nullopt;
    std::string out(text.size() / 4 * 3, '\0');
    const int size =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    if (size < 0)
        return std::nullopt;
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    out.resize(static_cast<std::size_t>(size) - padding);
    return out;
}

Wrapped wrap_for_tomodachi(const StoredMessage& message) {
    Wrapped result;
    std::string quoted;
    std::string_view data = message.payload;
    if (!is_json(data)) {
        result.is_text = true;
        json::append_quoted(quoted, data);
        data = quoted;
    }
    const bool is_compressed = characters(data) >= compressed_from || !is_allowed(data);

    std::string& body = result.body;
    body.reserve(data.size() + 400);
    body += R"({"service":{"name":null,"uuid":null},"metadata":{"message_uuid":".)";
    body += message.message_id.to_string();
    body += R"(","protocol_version":"tomodachi-json-base--1.0.0","compatible_protocol_versions":["json_base-wip"],)";
    body += R"("timestamp":)" + seconds_text(message.created_at) + R"(,"topic":)";
    append_quoted(body, message.topic);
    body += R"(,"data_encoding":")";
    if (is_compressed)
        body.append(compressed).append(R"("},"data":")").append(base64(deflated(data))).append("\"}");
    else
        body.append(R"(raw"},"data":)").append(data).append("}");
    return result;
}

std::optional<Unwrapped> unwrap_tomodachi(std::string_view body) {
    Unwrapped envelope;
    std::string_view metadata, data;
    std::string encoding, version;
    try {
        const auto outer = [&](const std::string& name, std::string_view value) {
            if (name == "metadata")
                metadata = value;
            else if (name == "data")
                data = value;
        };
        const auto inner = [&](const std::string& name, std::string_view value) {
            if (name == "message_uuid") {
                const std::string text = text_of(value);
                envelope.message_id =
                    Uuid::try_parse(std::string_view(text).substr(text.rfind('.') + 1)).value_or(Uuid{});
            } else if (name == "timestamp") {
                double seconds = 0;
                const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
                if (error == std::errc{} && seconds > 0 && seconds < 1e11)
                    envelope.created_at = Timestamp{Timestamp::duration{std::llround(seconds * 1e6)}};
            } else if (name == "topic") {
                envelope.topic = text_of(value);
            } else if (name == "data_encoding") {
                encoding = text_of(value);
            } else if (name == "protocol_version") {
                version = text_of(value);
            }
        };
        if (!for_each_member(body, outer) || data.empty() || metadata.empty() || !for_each_member(metadata, inner) ||
            !version.starts_with("tomodachi-json-base"))
            return std::nullopt;
    } catch (const Error&) {
        return std::nullopt;
    }
    if (encoding == compressed) {
        const auto bytes = from_base64(text_of(data));
        if (!bytes)
            throw Error(Errc::invalid_message, "the data of a tomodachi envelope is not base64");
        envelope.data = inflated(*bytes);
    } else {
        envelope.data = data;
    }
    return envelope;
}

}  // namespace txm::aws::detail
