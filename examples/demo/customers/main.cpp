#include "common/loop.hpp"
#include "wiring.hpp"  // sqlite/ or dynamodb/: each makes a program of its own

#include <txm/consumer.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace demo::customers {

namespace {

constexpr std::string_view usage =
    "customers serve --limit CENTS   reserve credit for orders, at most CENTS for each customer\n"
    "customers accounts              one line a customer: id and reserved cents\n";

int serve(std::int64_t limit_cents) {
    Wiring wiring;
    const auto orders = wiring.orders();

    txm::Consumer<UnitOfWork> consumer{
        wiring.store(), *orders, txm::ConsumerOptions{Wiring::consumer},
        [&wiring](const txm::Incoming& incoming) { return wiring.unit_of_work(incoming); }};
    consumer.on<OrderCreated>(topics(), [limit_cents](UnitOfWork& uow, const OrderCreated& order) {
        return reserve_credit(uow, order, limit_cents);
    });
    consumer.on_event([](const std::string& event) { log(event); });

    Loop loop{"customers"};
    return loop.run(consumer.run(), [&consumer] { consumer.stop(); });
}

int run(const std::vector<std::string>& arguments) {
    const std::string command = arguments.empty() ? "" : arguments[0];
    if (command == "serve" && arguments.size() == 3 && arguments[1] == "--limit")
        return serve(parse_count(arguments[2], "--limit"));
    if (command == "accounts" && arguments.size() == 1) {
        Wiring{}.print_accounts(std::cout);
        return 0;
    }
    std::cerr << usage;
    return 2;
}

}  // namespace

}  // namespace demo::customers

int main(int argc, char** argv) {
    try {
        return demo::customers::run({argv + 1, argv + argc});
    } catch (const std::exception& e) {
        demo::log(e.what());
        return 1;
    }
}
