#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace txm::cli {

/// Results go to stdout through it. @throws std::runtime_error when stdout cannot be written
void write_result(std::string_view text);
void flush_results();

/// Rows in aligned columns. The widths come from the first rows, so that a list of any length needs no memory and is shown
/// as it is read; a longer cell later on pushes its own row only.
class Table {
public:
    /// A heading that begins with `>` makes a column of figures, aligned to the right.
    explicit Table(std::initializer_list<std::string_view> headings);
    void add(std::vector<std::string> cells);
    void finish();

private:
    void print_waiting();
    void print(const std::vector<std::string>& cells) const;

    std::vector<std::string> headings_;
    std::vector<bool> is_figure_;
    std::vector<std::size_t> widths_;
    std::vector<std::vector<std::string>> waiting_;
    bool has_widths_ = false;
};

/// `text` on one line and at most `width` characters, for a cell: control characters as blanks, the rest cut off with `…`.
std::string shortened(std::string_view text, std::size_t width);

/// The same, cut in the middle: an error says at its begin what failed and at its end why.
std::string shortened_middle(std::string_view text, std::size_t width);

/// 1 message, 2 messages.
std::string counted(std::size_t number, std::string_view noun);

/// 45s, 12m, 3h 5m, 2d 4h.
std::string short_duration(long long seconds);

}  // namespace txm::cli
