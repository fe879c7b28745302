#include "txm/timestamp.hpp"

#include <cstddef>
#include <stdexcept>

namespace txm {

namespace {

using namespace std::chrono;

constexpr Timestamp earliest = sys_days{year{0} / January / 1};
constexpr Timestamp end = sys_days{year{10'000} / January / 1};

void put_digits(char* out, unsigned value, int count) noexcept {
    while (count-- > 0) {
        out[count] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
}

// Reads from the front of a text; every function says whether it found what it looks for.
class Reader {
public:
    explicit Reader(std::string_view text) noexcept : rest_(text) {}

    bool at_end() const noexcept { return rest_.empty(); }

    bool one_of(std::string_view characters) noexcept {
        if (rest_.empty() || characters.find(rest_.front()) == characters.npos)
            return false;
        rest_.remove_prefix(1);
        return true;
    }

    bool number(std::size_t digits, int least, int most, int& value) noexcept {
        if (rest_.size() < digits)
            return false;
        value = 0;
        for (const char c : rest_.substr(0, digits)) {
            if (c < '0' || c > '9')
                return false;
            value = value * 10 + (c - '0');
        }
        rest_.remove_prefix(digits);
        return value >= least && value <= most;
    }

    // One to nine digits of a second's fraction.
    bool fraction(microseconds& value) noexcept {
        int digits = 0, micros = 0;
        for (; digits < 9 && !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; ++digits) {
            if (digits < 6)
                micros = micros * 10 + (rest_.front() - '0');
            rest_.remove_prefix(1);
        }
        for (int i = digits; i < 6; ++i)
            micros *= 10;
        value = microseconds{micros};
        return digits > 0;
    }

private:
    std::string_view rest_;
};

}  // namespace

Timestamp now() noexcept {
    return floor<microseconds>(system_clock::now());
}

std::string to_iso8601(Timestamp time) {
    if (time < earliest || time >= end)
        throw std::out_of_range("txm: a time outside the years 0000 to 9999 has no ISO 8601 form");
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{time - day};

    char text[] = "0000-00-00T00:00:00.000000+00:00";
    put_digits(text, static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put_digits(text + 5, static_cast<unsigned>(date.month()), 2);
    put_digits(text + 8, static_cast<unsigned>(date.day()), 2);
    put_digits(text + 11, static_cast<unsigned>(clock.hours().count()), 2);
    put_digits(text + 14, static_cast<unsigned>(clock.minutes().count()), 2);
    put_digits(text + 17, static_cast<unsigned>(clock.seconds().count()), 2);
    const auto micros = static_cast<unsigned>(clock.subseconds().count());
    if (micros == 0) {
        std::string_view("+00:00").copy(text + 19, 6);
        return std::string(text, 25);
    }
    put_digits(text + 20, micros, 6);
    return std::string(text, sizeof text - 1);
}

std::optional<Timestamp> try_parse_iso8601(std::string_view text) noexcept {
    Reader in{text};
    int years, months, month_days, hour, minute, second;
    const bool has_date = in.number(4, 0, 9999, years) && in.one_of("-") && in.number(2, 1, 12, months) &&
                          in.one_of("-") && in.number(2, 1, 31, month_days);
    const bool has_time = has_date && in.one_of("Tt ") && in.number(2, 0, 23, hour) && in.one_of(":") &&
                          in.number(2, 0, 59, minute) && in.one_of(":") && in.number(2, 0, 59, second);
    if (!has_time)
        return std::nullopt;

    microseconds fraction{0};
    if (in.one_of(".,") && !in.fraction(fraction))
        return std::nullopt;

    minutes offset{0};
    const bool ahead = in.one_of("+");
    if (ahead || in.one_of("-")) {
        int offset_hours, offset_minutes = 0;
        if (!in.number(2, 0, 23, offset_hours))
            return std::nullopt;
        const bool has_colon = in.one_of(":");
        if ((has_colon || !in.at_end()) && !in.number(2, 0, 59, offset_minutes))
            return std::nullopt;
        offset = hours{offset_hours} + minutes{offset_minutes};
        if (!ahead)
            offset = -offset;
    } else {
        in.one_of("Zz");
    }

    const year_month_day date{year{years}, month{static_cast<unsigned>(months)},
                              day{static_cast<unsigned>(month_days)}};
    if (!in.at_end() || !date.ok())
        return std::nullopt;
    const Timestamp time = sys_days{date} + hours{hour} + minutes{minute} + seconds{second} + fraction - offset;
    if (time < earliest || time >= end)
        return std::nullopt;
    return time;
}

Timestamp parse_iso8601(std::string_view text) {
    const auto time = try_parse_iso8601(text);
    if (!time)
        throw std::invalid_argument("txm: \"" + std::string(text.substr(0, 64)) +
                                    "\" is not an ISO 8601 time like 2023-11-02T10:15:30.123456+00:00");
    return *time;
}

}  // namespace txm
