// The README's note on GCC 12, compiled and run: what to write instead of an aggregate temporary in a co_await expression.
#include <txm/sync_wait.hpp>

#include <iostream>
#include <string>

namespace asio = boost::asio;

struct Command {
    std::string customer;
    long long cents = 0;
};

asio::awaitable<std::size_t> handle(Command command) {
    co_return command.customer.size();
}

asio::awaitable<std::size_t> call() {
    // [gcc12]
    // wrong with GCC 12:  co_await handle({.customer = "a customer with a long name", .cents = 2933});
    const Command command{.customer = "a customer with a long name", .cents = 2933};
    const auto result = co_await handle(command);
    // [/gcc12]
    co_return result;
}

int main() {
    if (txm::sync_wait(call()) != 27)
        return 1;
    std::cout << "ok\n";
}
