#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace txm {

/// A 128-bit identifier: nil by default, trivially copyable, ordered by its bytes.
struct Uuid {
    std::array<std::uint8_t, 16> bytes{};

    /// Reads the 36-character text form, in upper or lower case (RFC 9562 §4).
    /// @throws std::invalid_argument naming the text that is not a UUID.
    static Uuid parse(std::string_view text);

    /// As parse(), but an empty optional instead of an exception.
    static std::optional<Uuid> try_parse(std::string_view text) noexcept;

    /// The lower-case 36-character text form.
    std::string to_string() const;

    /// Writes the 36 characters of to_string() to `out`, without a terminator.
    void write_to(char* out) const noexcept;

    bool is_nil() const noexcept { return *this == Uuid{}; }

    friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

std::ostream& operator<<(std::ostream&, const Uuid&);

/// A new UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, 12 of their fraction, 62 random ones. Ids of one thread
/// always grow, and ids made at about the same time stay close together in an index.
/// *Thread safety*: any thread; safe after fork().
Uuid new_uuid();

/// A name-based UUIDv5 (RFC 9562 §5.5) of `name` in `space`: the same inputs always give the same id.
Uuid derived_uuid(const Uuid& space, std::string_view name);

}  // namespace txm

template <>
struct std::hash<txm::Uuid> {
    std::size_t operator()(const txm::Uuid& id) const noexcept;
};
