#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>

namespace txm::local::detail {

using Offset = std::int64_t;

/// What a member of a group knows of one partition of one topic: how far it has read, and what of that is not
/// acknowledged yet. Its memory is what is unacknowledged, however long the first message stays so.
/// *Thread safety*: none.
class Window {
public:
    /// How many deliveries after an unclean takeover are marked as possibly delivered before: more than a member has in
    /// flight, so that the message that killed the previous owner is among them, and not a whole backlog.
    static constexpr int suspects = 4096;

    /// The partition is ours: all up to `floor` is settled; messages up to `settled_to` may be.
    /// `suspect_to`: messages up to it may have been delivered by an owner that did not give the partition back; 0: none.
    void open(Offset floor, Offset settled_to, Offset suspect_to) {
        state_ = State::open;
        read_to_ = floor_in_file_ = floor;
        settled_to_ = settled_to;
        suspect_to_ = suspect_to;
        suspects_left_ = suspect_to > 0 ? suspects : 0;
    }

    /// No new deliveries: it is about to be given back.
    void stop() noexcept {
        if (state_ == State::open)
            state_ = State::stopped;
    }

    /// It is another's, or nobody's. Deliveries that were made stay known: they are not made twice if it comes back.
    void close() noexcept { state_ = State::closed; }

    bool is_open() const noexcept { return state_ == State::open; }
    bool is_stopped() const noexcept { return state_ == State::stopped; }
    bool is_ours() const noexcept { return state_ != State::closed; }

    /// A message that was read in order; true when it is to be delivered.
    bool admit(Offset offset) {
        if (offset <= read_to_)
            return false;
        read_to_ = offset;
        return unacknowledged_.insert(offset).second;
    }

    /// There is nothing more to read up to `offset`.
    void skip_to(Offset offset) noexcept { read_to_ = std::max(read_to_, offset); }

    /// A message that was admitted is not delivered after all, nor those behind it.
    void forget(Offset offset) {
        unacknowledged_.erase(offset);
        read_to_ = std::min(read_to_, offset - 1);
    }

    /// Whether the delivery that is made now may have been made before.
    bool is_suspect(Offset offset) noexcept {
        if (suspects_left_ == 0 || offset > suspect_to_)
            return false;
        --suspects_left_;
        return true;
    }

    void acknowledge(Offset offset) { unacknowledged_.erase(offset); }

    /// Everything up to it is settled. Only while it is ours.
    Offset floor() const noexcept {
        return unacknowledged_.empty() ? read_to_ : std::min(read_to_, *unacknowledged_.begin() - 1);
    }

    /// Where to read on.
    Offset read_to() const noexcept { return read_to_; }
    /// Messages up to it can be in the table of settled ones.
    Offset settled_to() const noexcept { return settled_to_; }
    std::size_t unacknowledged() const noexcept { return unacknowledged_.size(); }

    Offset floor_in_file() const noexcept { return floor_in_file_; }
    void floor_written(Offset floor) noexcept { floor_in_file_ = std::max(floor_in_file_, floor); }

private:
    enum class State : std::uint8_t { closed, open, stopped };

    State state_ = State::closed;
    int suspects_left_ = 0;
    Offset read_to_ = 0;
    Offset floor_in_file_ = 0;
    Offset settled_to_ = 0;
    Offset suspect_to_ = 0;
    std::set<Offset> unacknowledged_;
};

}  // namespace txm::local::detail
