#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// JSON as text (RFC 8259): finds where values begin and end without converting them, so that a number keeps its digits.
namespace txm::detail::json {

/// Walks through JSON text from left to right and checks its grammar.
/// All functions throw Error(invalid_message) naming the column where the text is wrong.
/// *Lifetime*: the text must outlive it and what it returns.
class Cursor {
public:
    explicit Cursor(std::string_view text) noexcept : text_(text) {}

    /// Takes `c` when it is what comes next, after blanks.
    bool take(char c) noexcept;

    /// Takes `c`. @throws when something else comes next
    void expect(char c);

    /// Requires that nothing but blanks is left.
    void expect_end();

    /// The source text of the next value, which may be of any depth.
    std::string_view value();

    /// The source text of the next value, which must be a string: quotes and escapes included.
    std::string_view string();

    [[noreturn]] void fail(const std::string& what) const;

private:
    void skip_blanks() noexcept;
    char peek() noexcept;
    void skip_string();
    void skip_number();
    void skip_digits();
    void skip_word(std::string_view word);

    std::string_view text_;
    std::size_t at_ = 0;
};

/// The text that a string's source text stands for. @throws Error(invalid_message) for half a surrogate pair
std::string unquote(std::string_view source);

/// Appends `text`, which is UTF-8, as a JSON string.
void append_quoted(std::string& out, std::string_view text);

}  // namespace txm::detail::json
