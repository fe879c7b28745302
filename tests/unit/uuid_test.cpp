#include "txm/uuid.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <unordered_set>
#include <vector>

namespace {

using txm::Uuid;

TEST(Uuid, IsNilByDefault) {
    const Uuid id;
    EXPECT_TRUE(id.is_nil());
    EXPECT_EQ(id.to_string(), "00000000-0000-0000-0000-000000000000");
}

TEST(Uuid, TextFormGoesBothWays) {
    const std::string text = "018bc2f4-6f3d-7c51-9d6a-3f0c1e5a7b20";
    const Uuid id = Uuid::parse(text);
    EXPECT_EQ(id.to_string(), text);
    EXPECT_EQ(Uuid::parse("018BC2F4-6F3D-7C51-9D6A-3F0C1E5A7B20"), id);
    std::ostringstream out;
    out << id;
    EXPECT_EQ(out.str(), text);
}

TEST(Uuid, RefusesWhatIsNoUuidAndNamesIt) {
    for (const char* text :
         {"", "018bc2f4", "018bc2f4-6f3d-7c51-9d6a-3f0c1e5a7b2", "018bc2f4-6f3d-7c51-9d6a-3f0c1e5a7b200",
          "018bc2f4+6f3d-7c51-9d6a-3f0c1e5a7b20", "018bc2f46-f3d-7c51-9d6a-3f0c1e5a7b20",
          "g18bc2f4-6f3d-7c51-9d6a-3f0c1e5a7b20", "{18bc2f4-6f3d-7c51-9d6a-3f0c1e5a7b2}"}) {
        EXPECT_FALSE(Uuid::try_parse(text)) << text;
        EXPECT_THROW(Uuid::parse(text), std::invalid_argument) << text;
    }
    try {
        Uuid::parse("order-17");
    } catch (const std::invalid_argument& e) {
        EXPECT_NE(std::string(e.what()).find("order-17"), std::string::npos);
    }
}

TEST(Uuid, NewOnesAreVersion7OfTheTime) {
    using namespace std::chrono;
    const auto before = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
    const Uuid id = txm::new_uuid();
    const auto after = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
    long long time = 0;
    for (std::size_t i = 0; i < 6; ++i)
        time = time << 8 | id.bytes[i];
    EXPECT_GE(time, before - 1);
    EXPECT_LE(time, after + 1);
    EXPECT_EQ(id.bytes[6] >> 4, 7);
    EXPECT_EQ(id.bytes[8] >> 6, 2);
}

TEST(Uuid, OfOneThreadGrow) {
    std::vector<Uuid> ids(100'000);
    for (Uuid& id : ids)
        id = txm::new_uuid();
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
    EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end());
}

TEST(Uuid, OfManyThreadsAreDistinct) {
    std::vector<std::vector<Uuid>> made(4, std::vector<Uuid>(20'000));
    std::vector<std::thread> threads;
    for (auto& ids : made)
        threads.emplace_back([&ids] { std::generate(ids.begin(), ids.end(), txm::new_uuid); });
    for (auto& thread : threads)
        thread.join();
    std::unordered_set<Uuid> all;
    for (const auto& ids : made)
        all.insert(ids.begin(), ids.end());
    EXPECT_EQ(all.size(), 80'000u);
}

TEST(Uuid, RandomBytesAreNotSharedWithAForkedChild) {
    txm::new_uuid();  // fills the thread's buffer
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    const Uuid id = txm::new_uuid();
    if (child == 0)
        _exit(write(ends[1], id.bytes.data(), id.bytes.size()) == static_cast<ssize_t>(id.bytes.size()) ? 0 : 1);
    Uuid of_child;
    ASSERT_EQ(read(ends[0], of_child.bytes.data(), of_child.bytes.size()), static_cast<ssize_t>(of_child.bytes.size()));
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_FALSE(std::equal(id.bytes.begin() + 8, id.bytes.end(), of_child.bytes.begin() + 8));
}

TEST(Uuid, DerivedOnesFollowTheStandard) {
    // RFC 9562, appendix A.4: the name www.example.com in the space of DNS names.
    const Uuid dns = Uuid::parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    EXPECT_EQ(txm::derived_uuid(dns, "www.example.com").to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    EXPECT_NE(txm::derived_uuid(dns, "a"), txm::derived_uuid(dns, "b"));
}

}  // namespace
