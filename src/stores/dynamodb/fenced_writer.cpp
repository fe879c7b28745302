#include "stores/dynamodb/fenced_writer.hpp"

#include "stores/dynamodb/transact.hpp"
#include "txm/error.hpp"

#include <set>
#include <utility>

namespace txm::dynamodb::detail {

using namespace std::chrono_literals;
using txm::detail::Turns;

void FencedWriter::check_held() const {
    if (!lease_.is_held())
        throw FenceLostError("the lease of the outbox '" + outbox_ + "' is not held: call acquire()");
}

boost::asio::awaitable<void> FencedWriter::keep_lease() {
    check_held();
    if (lease_.until_renewal() > 0ms)
        co_return;
    const Turns::Turn turn = co_await turns_.take();
    check_held();
    if (lease_.until_renewal() == 0ms)
        co_await lease_.renew();
}

boost::asio::awaitable<std::vector<std::size_t>> FencedWriter::write(const std::vector<std::string>& elements) {
    const Turns::Turn turn = co_await turns_.take();
    std::vector<std::size_t> refused = co_await write_in_turn(elements);
    co_return refused;
}

class FencedWriter::Waiting {
public:
    Waiting(FencedWriter& writer, Request& request) : writer_(writer), request_(request) {
        const std::lock_guard lock{writer_.mutex_};
        writer_.waiting_.push_back(&request_);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
        const std::lock_guard lock{writer_.mutex_};
        writer_.waiting_.remove(&request_);
    }

private:
    FencedWriter& writer_;
    Request& request_;
};

boost::asio::awaitable<std::vector<std::size_t>> FencedWriter::write_lane(const std::vector<std::string>& elements,
                                                                          std::string_view lane) {
    Request own{&elements, lane};
    const Waiting waiting{*this, own};
    const Turns::Turn turn = co_await turns_.take();
    try {
        while (!own.is_done)
            co_await write_together(own);
    } catch (...) {
        own.is_done = true;  // the next one must not take it along
        throw;
    }
    co_return std::move(own.refused);
}

boost::asio::awaitable<void> FencedWriter::write_together(Request& first) {
    const std::vector<Request*> requests = take_together(first);
    std::vector<std::string> all;
    std::vector<std::pair<Request*, std::size_t>> owners;
    for (Request* request : requests) {
        for (std::size_t i = 0; i < request->elements->size(); ++i) {
            all.push_back((*request->elements)[i]);
            owners.emplace_back(request, i);
        }
    }
    const std::vector<std::size_t> refused = co_await write_in_turn(all);
    for (const std::size_t number : refused)
        owners[number].first->refused.push_back(owners[number].second);
    for (Request* request : requests)
        request->is_done = refused.empty() || !request->refused.empty();
}

// What is not written here, because something of it is refused or it does not fit, is written in its own caller's turn.
std::vector<FencedWriter::Request*> FencedWriter::take_together(Request& first) {
    std::vector<Request*> together{&first};
    std::size_t size = first.elements->size();
    std::set<std::string_view> lanes{first.lane};
    const std::lock_guard lock{mutex_};
    for (Request* request : waiting_) {
        if (request->is_done || size + request->elements->size() > max_elements || !lanes.insert(request->lane).second)
            continue;
        together.push_back(request);
        size += request->elements->size();
    }
    return together;
}

boost::asio::awaitable<std::vector<std::size_t>> FencedWriter::write_in_turn(const std::vector<std::string>& elements) {
    check_held();
    const std::int64_t began = boottime_ms();
    const bool renews = lease_.until_renewal() == 0ms;
    std::string text = renews ? lease_.renewal_element() : lease_.check_element();
    for (const std::string& element : elements)
        text.append(",").append(element);
    std::vector<std::size_t> failed = co_await transact(db_, std::move(text), outbox_);
    if (failed.empty() && renews)
        lease_.renewed(began);
    if (!failed.empty() && failed.front() == 0)
        lease_.lost();
    for (std::size_t& number : failed)
        --number;
    co_return failed;
}

}  // namespace txm::dynamodb::detail
