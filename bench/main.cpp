#include "commit.hpp"
#include "dynamodb.hpp"
#include "latency.hpp"
#include "measure.hpp"
#include "relay.hpp"
#include "streams.hpp"

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>

int main(int argc, char** argv) {
    using namespace txm::bench;
    const std::string first = argc > 1 ? argv[1] : "";
    try {
        if (first == "latency-application")
            return latency_application(argv[2]);
        if (first == "latency-consumer")
            return latency_consumer(argv[2]);
        if (argc < 3) {
            std::cerr << "usage: txm_bench DIRECTORY TXM_PROGRAM [commit|relay|scaling|latency|dynamodb|streams]...\n";
            return 2;
        }
        const std::string directory = first, txm = argv[2];
        std::filesystem::create_directories(directory);
        std::set<std::string> wanted{argv + 3, argv + argc};
        const auto wants = [&](const char* what) { return wanted.empty() || wanted.contains(what); };
        if (wants("commit"))
            measure_commits(directory);
        if (wants("relay"))
            measure_relay(directory, txm);
        if (wants("scaling"))
            measure_scaling(directory, txm);
        if (wants("latency"))
            measure_latency(directory, std::filesystem::read_symlink("/proc/self/exe"), txm);
#if TXM_BENCH_DYNAMODB
        if (wants("dynamodb"))
            measure_dynamodb();
        if (wanted.contains("streams"))
            measure_streams(directory, txm, TXM_SERVE);
#else
        if (wanted.contains("dynamodb") || wanted.contains("streams"))
            throw std::runtime_error("DynamoDB is not measured: configure with -DTXM_DYNAMODB=ON");
#endif
        return all_met() ? 0 : 1;
    } catch (const std::exception& e) {
        std::cerr << "txm_bench: " << e.what() << '\n';
        return 2;
    }
}
