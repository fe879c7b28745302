#pragma once

#include "txm/aws_client.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace txm::test {

/// Of the test that runs. DynamoDB Local keeps apart what each access key has made, and becomes slower with all that the
/// streams of one have ever held.
inline aws::Credentials own_credentials() {
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    const std::string name = std::string(test->test_suite_name()) + "." + test->name();
    return {"test" + std::to_string(std::hash<std::string>{}(name)), "test"};
}

}  // namespace txm::test
