#include "core/headers_json.hpp"

#include "core/json_text.hpp"
#include "txm/error.hpp"

namespace txm::detail {

void append_headers_json(std::string& out, const Headers& headers) {
    out += '{';
    bool first = true;
    for (const auto& [name, value] : headers) {
        if (!first)
            out += ',';
        first = false;
        json::append_quoted(out, name);
        out += ':';
        json::append_quoted(out, value);
    }
    out += '}';
}

std::string headers_to_json(const Headers& headers) {
    std::string out;
    append_headers_json(out, headers);
    return out;
}

Headers headers_from_json(std::string_view text) {
    Headers headers;
    if (text == "{}")
        return headers;
    json::Cursor in{text};
    in.expect('{');
    for (bool more = !in.take('}'); more;) {
        std::string name = json::unquote(in.string());
        in.expect(':');
        const std::string_view value = in.value();
        if (value.front() != '"')
            throw Error(Errc::invalid_message,
                        "the header \"" + name + "\" is not a string: headers are an object of strings");
        const auto [known, is_new] = headers.emplace(std::move(name), json::unquote(value));
        if (!is_new)
            throw Error(Errc::invalid_message, "the header \"" + known->first + "\" is given twice");
        more = in.take(',');
        if (!more)
            in.expect('}');
    }
    in.expect_end();
    return headers;
}

}  // namespace txm::detail
