#include "common/loop.hpp"
#include "orders/purchases.hpp"
#include "wiring.hpp"  // sqlite/ or dynamodb/: each makes a program of its own

#include <txm/consumer.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace asio = boost::asio;

namespace demo::orders {

namespace {

constexpr std::string_view usage =
    "orders serve FILE [--rate N]   place an order for each purchase, N a second, and settle each once it is answered\n"
    "orders check FILE              count the purchases, or name the first malformed line\n"
    "orders watch N                 show progress until N orders are settled\n"
    "orders outcomes                one line an order: id and outcome\n";

constexpr std::size_t lanes = 64;

/// FNV-1a: the same lane in every life of the process.
std::size_t lane_of(const std::string& customer) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : customer)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash % lanes;
}

/// Which purchases are still to be placed, by lane, and when each is due.
class Plan {
public:
    Plan(const std::vector<Purchase>& purchases, const std::map<std::int64_t, std::int64_t>& done, std::int64_t rate)
        : rate_(rate), start_(std::chrono::steady_clock::now()) {
        for (const auto& purchase : purchases) {
            const auto lane = lane_of(purchase.customer);
            const auto last = done.find(static_cast<std::int64_t>(lane));
            if (last == done.end() || purchase.line > last->second)
                todo_[lane].push_back(&purchase);
        }
        first_ = static_cast<std::int64_t>(purchases.size());
        for (const auto& lane : todo_) {
            if (!lane.empty())
                first_ = std::min(first_, lane.front()->line);
        }
    }

    const std::vector<const Purchase*>& of(std::size_t lane) const { return todo_.at(lane); }

    bool is_paced() const noexcept { return rate_ > 0; }
    std::chrono::steady_clock::time_point due(const Purchase& purchase) const {
        return start_ + std::chrono::nanoseconds{(purchase.line - first_) * 1'000'000'000 / rate_};
    }

private:
    std::int64_t rate_;
    std::chrono::steady_clock::time_point start_;
    std::int64_t first_ = 0;
    std::array<std::vector<const Purchase*>, lanes> todo_;
};

txm::awaitable<void> place_orders(Wiring& wiring, const Plan& plan, std::size_t lane) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (const Purchase* purchase : plan.of(lane)) {
        if (plan.is_paced()) {
            timer.expires_at(plan.due(*purchase));
            co_await timer.async_wait(asio::use_awaitable);
        }
        const auto uow = wiring.unit_of_work();
        const Order order{purchase->line, purchase->customer, purchase->cents};
        try {
            co_await place_order(*uow, order, static_cast<std::int64_t>(lane));
        } catch (const OrderAlreadyPlacedError& e) {
            log(e.what());
        }
    }
}

int serve(const std::string& file, std::int64_t rate) {
    Wiring wiring;
    const auto purchases = read_purchases(file);
    const Plan plan{purchases, wiring.progress(), rate};
    const auto answers = wiring.answers();

    txm::Consumer<UnitOfWork> consumer{
        wiring.store(), *answers, txm::ConsumerOptions{Wiring::consumer},
        [&wiring](const txm::Incoming& incoming) { return wiring.unit_of_work(incoming); }};
    consumer.on<CreditReserved>(topics(), complete_order).on<CreditRejected>(topics(), cancel_order);
    consumer.on_event([](const std::string& event) { log(event); });

    Loop loop{"orders"};
    for (std::size_t lane = 0; lane < lanes; ++lane)
        loop.spawn(place_orders(wiring, plan, lane));
    return loop.run(consumer.run(), [&consumer] { consumer.stop(); });
}

int watch(std::int64_t wanted) {
    Wiring wiring;
    while (true) {
        auto counts = wiring.counts();
        const auto settled = counts["completed"] + counts["cancelled"];
        std::cout << settled + counts["open"] << " of " << wanted << " orders placed, " << counts["completed"]
                  << " completed, " << counts["cancelled"] << " cancelled" << std::endl;
        if (settled >= wanted)
            return 0;
        std::this_thread::sleep_for(std::chrono::milliseconds{500});
    }
}

int run(const std::vector<std::string>& arguments) {
    const std::string command = arguments.empty() ? "" : arguments[0];
    const auto count = arguments.size();
    if (command == "serve" && (count == 2 || (count == 4 && arguments[2] == "--rate")))
        return serve(arguments[1], count == 4 ? parse_count(arguments[3], "--rate", 1'000'000'000) : 0);
    if (command == "check" && count == 2) {
        std::cout << read_purchases(arguments[1]).size() << '\n';
        return 0;
    }
    if (command == "watch" && count == 2)
        return watch(parse_count(arguments[1], "the number of orders"));
    if (command == "outcomes" && count == 1) {
        Wiring{}.print_outcomes(std::cout);
        return 0;
    }
    std::cerr << usage;
    return 2;
}

}  // namespace

}  // namespace demo::orders

int main(int argc, char** argv) {
    try {
        return demo::orders::run({argv + 1, argv + argc});
    } catch (const std::exception& e) {
        demo::log(e.what());
        return 1;
    }
}
