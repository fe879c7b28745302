// An ordinary application that publishes for ever, with eight sessions in flight: the victim that writes. Each commit holds
// one to three messages and a row of its own a message. What it was told is appended to a file, so that a lie is found:
// `+id` committed, `-id` not committed.
#include "fault/victim.hpp"
#include "txm/outbox.hpp"
#include "txm/sqlite.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <iostream>
#include <random>
#include <string>

namespace {

namespace asio = boost::asio;
using txm::awaitable;
using txm::test::Happened;
using txm::test::happened_topics;
using txm::test::Told;

struct Options {
    std::string database, told;
    int aggregates = 50, poisonous = 0;
    std::chrono::milliseconds pause{4};
};

class Application {
public:
    explicit Application(Options options)
        : options_(std::move(options)), db_(options_.database), told_(options_.told) {}

    awaitable<void> publish_for_ever(unsigned seed) {
        std::minstd_rand random{seed};
        asio::steady_timer pause{co_await asio::this_coro::executor};
        for (;;) {
            co_await publish_once(random);
            pause.expires_after(options_.pause);
            co_await pause.async_wait(asio::use_awaitable);
        }
    }

private:
    enum class Fate { commit, roll_back, fail };

    awaitable<void> publish_once(std::minstd_rand& random) {
        const auto dice = random() % 20;
        const Fate fate = dice == 0 ? Fate::roll_back : dice == 1 ? Fate::fail : Fate::commit;
        txm::sqlite::Session session{db_};
        txm::sqlite::OutboxRepository outbox{"outbox", session, happened_topics};
        std::string committed, refused;
        const auto messages = 1 + random() % 3;
        for (unsigned i = 0; i < messages; ++i) {
            Happened event;
            const auto aggregate = static_cast<int>(random() % static_cast<unsigned>(options_.aggregates));
            event.aggregate_id = "aggregate-" + std::to_string(aggregate);
            event.text = aggregate < options_.poisonous && random() % 10 == 0 ? "poison" : "text";
            session.add("insert into domain (message_id, aggregate_id) values (?, ?)", event.message_id,
                        event.aggregate_id);
            outbox.publish(event);
            committed += "+" + event.message_id.to_string() + "\n";
            refused += "-" + event.message_id.to_string() + "\n";
        }
        if (fate == Fate::roll_back) {
            session.rollback();
            told_.append(refused);
            co_return;
        }
        if (fate == Fate::fail)  // takes its own group's savepoint with it, nobody else's
            session.add("insert or rollback into domain (message_id) select message_id from domain limit 2");
        bool done = false, known = true;
        try {
            co_await session.commit();
            done = true;
        } catch (const txm::CommitOutcomeUnknown&) {
            known = false;
        } catch (const txm::Error& e) {
            if (e.code() == txm::Errc::store_unavailable)
                std::cerr << "commit: " << e.what() << '\n';
        }
        if (known)
            told_.append(done ? committed : refused);
    }

    Options options_;
    txm::sqlite::Database db_;
    Told told_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) {
        std::cerr << "usage: fault_app DATABASE TOLD AGGREGATES POISONOUS PAUSE_MS\n";
        return 2;
    }
    Options options;
    options.database = argv[1];
    options.told = argv[2];
    options.aggregates = std::stoi(argv[3]);
    options.poisonous = std::stoi(argv[4]);
    options.pause = std::chrono::milliseconds(std::stoi(argv[5]));
    Application application{options};
    asio::io_context context{1};
    for (unsigned i = 0; i < 8; ++i)
        asio::co_spawn(context, application.publish_for_ever(std::random_device{}()), asio::detached);
    context.run();
}
