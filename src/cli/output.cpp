#include "cli/output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace txm::cli {

namespace {

constexpr std::size_t rows_for_widths = 200;

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

[[noreturn]] void fail() {
    throw std::runtime_error(std::string("cannot write the result to stdout: ") + std::strerror(errno));
}

}  // namespace

void write_result(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
        fail();
}

void flush_results() {
    if (std::fflush(stdout) != 0)
        fail();
}

Table::Table(std::initializer_list<std::string_view> headings) {
    for (std::string_view heading : headings) {
        is_figure_.push_back(heading.starts_with('>'));
        headings_.emplace_back(heading.substr(is_figure_.back() ? 1 : 0));
    }
}

void Table::add(std::vector<std::string> cells) {
    if (has_widths_)
        return print(cells);
    waiting_.push_back(std::move(cells));
    if (waiting_.size() >= rows_for_widths)
        print_waiting();
}

void Table::finish() {
    if (!has_widths_ && !waiting_.empty())
        print_waiting();
}

void Table::print_waiting() {
    waiting_.insert(waiting_.begin(), headings_);
    widths_.assign(headings_.size(), 0);
    for (const auto& row : waiting_)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths_[i] = std::max(widths_[i], characters(row[i]));
    has_widths_ = true;
    for (const auto& row : waiting_)
        print(row);
    waiting_.clear();
}

void Table::print(const std::vector<std::string>& cells) const {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::size_t used = characters(cells[i]), padding = widths_[i] > used ? widths_[i] - used : 0;
        if (i > 0)
            line += "  ";
        if (is_figure_[i])
            line.append(padding, ' ');
        line += cells[i];
        if (!is_figure_[i])
            line.append(padding, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    line += '\n';
    write_result(line);
}

std::string shortened(std::string_view text, std::size_t width) {
    std::string result;
    std::size_t used = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte & 0xC0) != 0x80 && used++ == width)
            return result + "…";
        result += byte < 0x20 || byte == 0x7F ? ' ' : c;
    }
    return result;
}

std::string shortened_middle(std::string_view text, std::size_t width) {
    const std::size_t length = characters(text);
    if (length <= width)
        return shortened(text, width);
    // The last characters begin where all but they have passed.
    std::size_t skip = length - (width - width / 3 - 1), at = 0;
    while (skip > 0 || (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80))
        if ((static_cast<unsigned char>(text[at++]) & 0xC0) != 0x80)
            --skip;
    return shortened(text, width / 3) + shortened(text.substr(at), width);
}

std::string counted(std::size_t number, std::string_view noun) {
    return std::to_string(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

std::string short_duration(long long seconds) {
    const auto two = [](long long large, const char* unit, long long small, const char* small_unit) {
        std::string text = std::to_string(large) + unit;
        return small ? text + " " + std::to_string(small) + small_unit : text;
    };
    if (seconds < 60)
        return std::to_string(seconds) + "s";
    if (seconds < 3600)
        return two(seconds / 60, "m", seconds % 60, "s");
    if (seconds < 86'400)
        return two(seconds / 3600, "h", seconds % 3600 / 60, "m");
    return two(seconds / 86'400, "d", seconds % 86'400 / 3600, "h");
}

}  // namespace txm::cli
