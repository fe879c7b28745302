#include "txm/uuid.hpp"

#include <boost/uuid/name_generator_sha1.hpp>

#include <pthread.h>
#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ostream>
#include <stdexcept>
#include <system_error>

namespace txm {

namespace {

constexpr char hex_digits[] = "0123456789abcdef";

constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

constexpr bool is_dash_before(std::size_t byte) noexcept {
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

// Counts forks, in the child: what a thread had buffered before one must not be used on both sides of it.
std::atomic<unsigned> forks{0};
const int forks_are_counted = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });

// Random bytes of the kernel, fetched a few hundred at a time: one system call for many ids.
class RandomBytes {
public:
    std::uint64_t next() {
        const unsigned generation = forks.load(std::memory_order_relaxed);
        if (used_ + sizeof(std::uint64_t) > bytes_.size() || generation != generation_) {
            fill();
            generation_ = generation;
        }
        std::uint64_t value;
        std::memcpy(&value, bytes_.data() + used_, sizeof value);
        used_ += sizeof value;
        return value;
    }

private:
    void fill() {
        for (std::size_t filled = 0; filled < bytes_.size();) {
            const ssize_t n = getrandom(bytes_.data() + filled, bytes_.size() - filled, 0);
            if (n > 0)
                filled += static_cast<std::size_t>(n);
            else if (errno != EINTR)
                throw std::system_error(errno, std::generic_category(), "txm: the kernel gives no random bytes");
        }
        used_ = 0;
    }

    std::array<unsigned char, 512> bytes_{};
    std::size_t used_ = sizeof bytes_;
    unsigned generation_ = 0;
};

}  // namespace

std::optional<Uuid> Uuid::try_parse(std::string_view text) noexcept {
    if (text.size() != 36)
        return std::nullopt;
    Uuid id;
    const char* in = text.data();
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        if (is_dash_before(i) && *in++ != '-')
            return std::nullopt;
        const int high = hex_value(in[0]), low = hex_value(in[1]);
        if (high < 0 || low < 0)
            return std::nullopt;
        id.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
        in += 2;
    }
    return id;
}

Uuid Uuid::parse(std::string_view text) {
    const auto id = try_parse(text);
    if (!id)
        throw std::invalid_argument(
            "txm: \"" + std::string(text.substr(0, 64)) +
            "\" is not a UUID: it needs 36 characters like 018bc2f4-6f3d-7c51-9d6a-3f0c1e5a7b20");
    return *id;
}

void Uuid::write_to(char* out) const noexcept {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (is_dash_before(i))
            *out++ = '-';
        *out++ = hex_digits[bytes[i] >> 4];
        *out++ = hex_digits[bytes[i] & 15];
    }
}

std::string Uuid::to_string() const {
    std::string text(36, '\0');
    write_to(text.data());
    return text;
}

std::ostream& operator<<(std::ostream& out, const Uuid& id) {
    std::array<char, 36> text;
    id.write_to(text.data());
    return out << std::string_view(text.data(), text.size());
}

Uuid new_uuid() {
    thread_local RandomBytes random;
    thread_local std::uint64_t last = 0;

    // Milliseconds and, in the twelve bits after the version, 1/4096 of one; counted up while the clock stands still or
    // goes back, so that a thread's ids always grow (RFC 9562 §6.2, method 3).
    using namespace std::chrono;
    const auto since_epoch = system_clock::now().time_since_epoch();
    const auto milliseconds = floor<std::chrono::milliseconds>(since_epoch);
    const auto fraction = duration_cast<nanoseconds>(since_epoch - milliseconds).count() * 4096 / 1'000'000;
    const std::uint64_t time =
        static_cast<std::uint64_t>(milliseconds.count()) << 12 | static_cast<std::uint64_t>(fraction);
    last = std::max(time, last + 1);

    const std::uint64_t high = (last >> 12) << 16 | 0x7000 | (last & 0xfff);
    const std::uint64_t low = std::uint64_t{1} << 63 | (random.next() >> 2);
    Uuid id;
    for (std::size_t i = 0; i < 8; ++i) {
        id.bytes[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
        id.bytes[8 + i] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
    }
    return id;
}

Uuid derived_uuid(const Uuid& space, std::string_view name) {
    boost::uuids::uuid name_space;
    std::copy(space.bytes.begin(), space.bytes.end(), name_space.begin());
    const boost::uuids::uuid made = boost::uuids::name_generator_sha1(name_space)(name.data(), name.size());
    Uuid id;
    std::copy(made.begin(), made.end(), id.bytes.begin());
    return id;
}

}  // namespace txm

std::size_t std::hash<txm::Uuid>::operator()(const txm::Uuid& id) const noexcept {
    std::uint64_t high, low;
    std::memcpy(&high, id.bytes.data(), sizeof high);
    std::memcpy(&low, id.bytes.data() + sizeof high, sizeof low);
    // The low half of a version 7 id is random; ids of other makers may differ in the high half only.
    std::uint64_t mixed = (high ^ (low >> 32 | low << 32)) * 0x9e3779b97f4a7c15U;
    return static_cast<std::size_t>(mixed ^ mixed >> 32);
}
