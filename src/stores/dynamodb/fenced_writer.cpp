#include "stores/dynamodb/fenced_writer.hpp"

#include "stores/dynamodb/transact.hpp"
#include "txm/error.hpp"

namespace txm::dynamodb::detail {

using namespace std::chrono_literals;

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
