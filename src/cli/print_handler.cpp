#include "cli/print_handler.hpp"

#include "cli/log.hpp"

#include "core/fault_point.hpp"
#include "core/message_json.hpp"

#include <spdlog/logger.h>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace txm::cli {

namespace asio = boost::asio;

awaitable<void> PrintHandler::handle(const Delivery& delivery) {
    const std::shared_ptr<Batch> batch = open_;
    detail::append_message_json(batch->lines, delivery.message);
    batch->lines += '\n';
    while (!batch->done) {
        if (is_writing_)
            co_await sleep_in(batch);
        else
            co_await write_batch();
    }
    if (!batch->failure.empty())
        throw Error(Errc::store_unavailable, batch->failure);
    fault::point("print.done");
}

// Writes what is waiting now. Lines that come meanwhile are the next batch, which one of its own lanes will write.
awaitable<void> PrintHandler::write_batch() {
    is_writing_ = true;
    // Lets the lanes that are ready add their lines: a flush costs the same for one line and for all.
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    const std::shared_ptr<Batch> batch = std::exchange(open_, std::make_shared<Batch>());
    try {
        co_await file_.write(batch->lines);
    } catch (const std::exception& error) {
        batch->failure = error.what();
        const auto* system = dynamic_cast<const std::system_error*>(&error);
        if (system && StdoutFile::is_closed(*system))
            give_up_("stdout is closed: nobody reads the messages any more; what was not written will come again");
    }
    is_writing_ = false;
    batch->done = true;
    for (asio::steady_timer* sleeper : batch->sleepers)
        sleeper->cancel();
    if (!open_->sleepers.empty())
        open_->sleepers.front()->cancel();
}

awaitable<void> PrintHandler::sleep_in(std::shared_ptr<Batch> batch) {
    asio::steady_timer sleeper{co_await asio::this_coro::executor, asio::steady_timer::time_point::max()};
    batch->sleepers.push_back(&sleeper);
    boost::system::error_code woken;
    co_await sleeper.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    std::erase(batch->sleepers, &sleeper);
}

awaitable<std::vector<bool>> NoStore::is_parked(std::span<const Delivery> deliveries) {
    co_return std::vector<bool>(deliveries.size());
}

awaitable<void> NoStore::park(std::span<const Delivery>, Timestamp, std::string) {
    throw Error(Errc::not_supported, "--print without a store cannot park a message");
    co_return;
}

awaitable<std::vector<Delivery>> NoStore::take_parked(std::size_t) {
    co_return std::vector<Delivery>{};
}

awaitable<void> NoStore::unpark(const Delivery&) {
    co_return;
}

awaitable<int> NoStore::begin_attempt(const Delivery&, bool) {
    co_return 0;
}

awaitable<void> NoStore::end_attempt(const Delivery&) {
    co_return;
}

awaitable<void> NoStore::dead_letter(const Incoming& incoming, const Delivery&, std::string why, bool) {
    log().error("message {} is not printed: {}", incoming.message_id.to_string(), why);
    co_return;
}

awaitable<Timestamp> NoStore::purged_to() {
    co_return Timestamp::min();
}

awaitable<std::size_t> NoStore::purge_inbox(std::chrono::seconds, std::size_t) {
    co_return 0;
}

awaitable<bool> NoStore::lease(std::string) {
    co_return true;
}

awaitable<void> NoStore::release() {
    co_return;
}

}  // namespace txm::cli
