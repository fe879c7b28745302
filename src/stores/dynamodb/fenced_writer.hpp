#pragma once

#include "asio/turns.hpp"
#include "stores/dynamodb/lease.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace txm::dynamodb::detail {

/// Writes under the lease of an outbox: each transaction has it as one of its conditions. One at a time, because all of them
/// touch the item of the lease and would get into each other's way.
/// *Thread safety*: any number of coroutines and threads.
class FencedWriter {
public:
    /// Of a transaction of 100, without the lease.
    static constexpr std::size_t max_elements = 95;

    FencedWriter(DatabaseImpl& db, Lease& lease, std::string outbox_table)
        : db_(db), lease_(lease), outbox_(std::move(outbox_table)) {}

    /// @throws FenceLostError unless the lease is held
    boost::asio::awaitable<void> keep_lease();

    /// Writes all of it or nothing. Gives the numbers of the elements whose condition did not hold; then nothing was written.
    /// @param elements at most max_elements
    /// @throws FenceLostError; Error(store_unavailable): perhaps it was written
    boost::asio::awaitable<std::vector<std::size_t>> write(const std::vector<std::string>& elements);

    /// The same for what touches items of one lane alone. Those of lanes that wait for their turn go in one transaction; what
    /// one is refused for keeps no other from being written.
    boost::asio::awaitable<std::vector<std::size_t>> write_lane(const std::vector<std::string>& elements,
                                                                std::string_view lane);

private:
    /// What one caller of write_lane() waits for.
    struct Request {
        const std::vector<std::string>* elements;
        std::string_view lane;
        bool is_done = false;
        std::vector<std::size_t> refused{};
    };
    class Waiting;

    void check_held() const;
    boost::asio::awaitable<std::vector<std::size_t>> write_in_turn(const std::vector<std::string>& elements);
    boost::asio::awaitable<void> write_together(Request& first);
    std::vector<Request*> take_together(Request& first);

    DatabaseImpl& db_;
    Lease& lease_;
    const std::string outbox_;
    txm::detail::Turns turns_;
    std::mutex mutex_;
    std::list<Request*> waiting_;
};

}  // namespace txm::dynamodb::detail
