// A relay with a user's own publisher: it appends every acknowledged message to a journal, keeps duplicates, and behaves
// badly on purpose: refuses poison always and others now and then, answers late, loses answers. Not gapless: what is
// accepted after a refusal would be an inversion.
#include "core/fault_point.hpp"
#include "fault/victim.hpp"
#include "txm/relay.hpp"
#include "txm/sqlite_feed.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <iostream>
#include <random>
#include <string>

namespace {

namespace asio = boost::asio;
using txm::awaitable;

class JournalPublisher final : public txm::Publisher {
public:
    JournalPublisher(const char* path, bool is_healthy)
        : is_healthy_(is_healthy), fd_(::open(path, O_WRONLY | O_CREAT | O_APPEND, 0644)) {}

    awaitable<void> publish(txm::PublishBatch& batch) override {
        asio::steady_timer late{co_await asio::this_coro::executor};
        for (const auto& message : batch) {
            const auto dice = is_healthy_ ? 99 : random_() % 100;
            if (dice < 10) {
                late.expires_after(std::chrono::microseconds(random_() % 2000));
                co_await late.async_wait(asio::use_awaitable);
            }
            if (dice < 3 || (message.payload == "poison" && !is_healthy_)) {
                batch.refuse(message, "it is unlucky");
                continue;
            }
            const std::string line = message.message_id.to_string() + ' ' + message.aggregate_id.str() + '\n';
            txm::fault::point("test.journal");
            if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
                throw std::runtime_error("the journal is full");
            if (dice == 3)
                continue;  // taken, but the answer is lost
            if (dice == 4)
                throw std::runtime_error("the connection is lost");
            batch.acknowledge(message);
        }
    }
    std::size_t max_concurrent_batches() const override { return 4; }

private:
    bool is_healthy_;
    int fd_;
    std::minstd_rand random_{std::random_device{}()};
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: fault_journal_relay DATABASE JOURNAL [--drain]\n";
        return 2;
    }
    const bool drain = argc > 3;
    txm::sqlite::Database db{argv[1]};
    txm::sqlite::OutboxFeed feed{db};
    JournalPublisher publisher{argv[2], drain};
    txm::RelayOptions options;
    options.max_attempts = 4;
    options.batch = 16;
    options.backoff = std::chrono::milliseconds(2);
    options.max_backoff = std::chrono::milliseconds(20);
    options.park_after = std::chrono::milliseconds(10);
    options.drain = drain;
    txm::Relay relay{feed, publisher, options};
    relay.on_event([](const std::string& line) { std::cerr << line << '\n'; });
    return txm::test::run_until_told(relay, "relay");
}
