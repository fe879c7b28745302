#include "core/json_text.hpp"

#include "txm/error.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include <vector>

namespace txm::detail::json {

namespace {

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

bool is_hex_digit(char c) noexcept {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

void Cursor::fail(const std::string& what) const {
    throw Error(Errc::invalid_message, "not valid JSON: " + what + " at column " + std::to_string(at_ + 1));
}

void Cursor::skip_blanks() noexcept {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
        ++at_;
}

// The next character; 0, which no token begins with, at the end.
char Cursor::peek() noexcept {
    return at_ < text_.size() ? text_[at_] : '\0';
}

bool Cursor::take(char c) noexcept {
    skip_blanks();
    if (peek() != c)
        return false;
    ++at_;
    return true;
}

void Cursor::expect(char c) {
    if (!take(c))
        fail(std::string("expected `") + c + "`");
}

void Cursor::expect_end() {
    skip_blanks();
    if (at_ != text_.size())
        fail("something follows the value");
}

std::string_view Cursor::string() {
    skip_blanks();
    const std::size_t start = at_;
    skip_string();
    return text_.substr(start, at_ - start);
}

void Cursor::skip_string() {
    if (peek() != '"')
        fail("expected a string");
    for (++at_; peek() != '"'; ++at_) {
        if (at_ == text_.size())
            fail("a string without its closing quote");
        if (static_cast<unsigned char>(text_[at_]) < 0x20)
            fail("a control character in a string");
        if (text_[at_] != '\\')
            continue;
        ++at_;
        if (peek() == 'u') {
            for (int i = 0; i < 4; ++i) {
                ++at_;
                if (!is_hex_digit(peek()))
                    fail("expected four hexadecimal digits");
            }
        } else if (peek() == '\0' || std::string_view("\"\\/bfnrt").find(peek()) == std::string_view::npos) {
            fail("an unknown escape");
        }
    }
    ++at_;
}

void Cursor::skip_digits() {
    if (!is_digit(peek()))
        fail("expected a digit");
    while (is_digit(peek()))
        ++at_;
}

void Cursor::skip_number() {
    if (peek() == '-')
        ++at_;
    if (peek() == '0')
        ++at_;
    else
        skip_digits();
    if (peek() == '.') {
        ++at_;
        skip_digits();
    }
    if (peek() == 'e' || peek() == 'E') {
        ++at_;
        if (peek() == '+' || peek() == '-')
            ++at_;
        skip_digits();
    }
}

void Cursor::skip_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word)
        fail("expected a value");
    at_ += word.size();
}

std::string_view Cursor::value() {
    skip_blanks();
    const std::size_t start = at_;
    std::vector<bool> in_object;  // one entry an open object or array; no recursion, so depth costs a bit, not a stack
    const auto skip_name = [this] {
        skip_blanks();
        skip_string();
        expect(':');
    };
    for (;;) {
        skip_blanks();
        bool opened = false;
        switch (peek()) {
            case '{':
                ++at_;
                if (!take('}')) {
                    in_object.push_back(true);
                    skip_name();
                    opened = true;
                }
                break;
            case '[':
                ++at_;
                if (!take(']')) {
                    in_object.push_back(false);
                    opened = true;
                }
                break;
            case '"': skip_string(); break;
            case 't': skip_word("true"); break;
            case 'f': skip_word("false"); break;
            case 'n': skip_word("null"); break;
            default:
                if (peek() != '-' && !is_digit(peek()))
                    fail("expected a value");
                skip_number();
        }
        if (opened)
            continue;
        while (!in_object.empty() && !take(',')) {
            expect(in_object.back() ? '}' : ']');
            in_object.pop_back();
        }
        if (in_object.empty())
            return text_.substr(start, at_ - start);
        if (in_object.back())
            skip_name();
    }
}

std::string unquote(std::string_view source) {
    if (source.find('\\') == std::string_view::npos)
        return std::string(source.substr(1, source.size() - 2));
    boost::json::error_code error;
    const boost::json::value decoded = boost::json::parse({source.data(), source.size()}, error);
    if (error)
        throw Error(Errc::invalid_message, "not valid JSON: a string has a wrong escape: " + error.message());
    const boost::json::string& text = decoded.get_string();
    return std::string(text.data(), text.size());
}

void append_quoted(std::string& out, std::string_view text) {
    constexpr char hex_digits[] = "0123456789abcdef";
    out += '"';
    std::size_t plain = 0;  // where the part begins that needs no escape
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        out.append(text, plain, i - plain);
        plain = i + 1;
        out += '\\';
        switch (c) {
            case '"': out += '"'; break;
            case '\\': out += '\\'; break;
            case '\b': out += 'b'; break;
            case '\f': out += 'f'; break;
            case '\n': out += 'n'; break;
            case '\r': out += 'r'; break;
            case '\t': out += 't'; break;
            default:
                out += "u00";
                out += hex_digits[c >> 4];
                out += hex_digits[c & 15];
        }
    }
    out.append(text, plain);
    out += '"';
}

}  // namespace txm::detail::json
