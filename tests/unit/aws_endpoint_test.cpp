#include "aws/endpoint.hpp"

#include "support/aws_environment.hpp"
#include "support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace txm::aws::detail {
namespace {

const Service dynamodb{"dynamodb", "dynamodb"};
const Service streams{"dynamodb", "streams.dynamodb"};

TEST(AwsEndpoint, OfTheRegion) {
    const test::AwsEnvironment environment;
    EXPECT_EQ(endpoint_of(ClientOptions(), dynamodb, "eu-west-1").url, "https://dynamodb.eu-west-1.amazonaws.com");
    EXPECT_EQ(endpoint_of(ClientOptions(), streams, "cn-north-1").host, "streams.dynamodb.cn-north-1.amazonaws.com.cn");
}

TEST(AwsEndpoint, TheNearestWordHolds) {
    test::AwsEnvironment environment;
    environment.set("AWS_ENDPOINT_URL", "http://everything:1");
    EXPECT_EQ(endpoint_of(ClientOptions(), dynamodb, "eu-west-1").url, "http://everything:1");
    environment.set("AWS_ENDPOINT_URL_DYNAMODB", "http://tables:2/");
    EXPECT_EQ(endpoint_of(ClientOptions(), dynamodb, "eu-west-1").url, "http://tables:2");
    environment.set("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", "http://streams:4/");
    EXPECT_EQ(endpoint_of(ClientOptions(), streams, "eu-west-1").url, "http://streams:4");
    ClientOptions options;
    options.endpoint = "http://mine:3";
    EXPECT_EQ(endpoint_of(options, dynamodb, "eu-west-1").url, "http://mine:3");
}

TEST(AwsEndpoint, WhatIsSignedAsHost) {
    EXPECT_EQ(parse_endpoint("https://a.example:443").host, "a.example");
    EXPECT_EQ(parse_endpoint("http://127.0.0.1:8000/base").host, "127.0.0.1:8000");
    EXPECT_EQ(parse_endpoint("http://127.0.0.1:8000/base").path, "/base");
    EXPECT_EQ(parse_endpoint("http://a").path, "/");
}

TEST(AwsEndpoint, AMalformedOneIsRefused) {
    for (const char* const url : {"localhost:8000", "ftp://a", "http://", "http:// a", "http://user:hunter2@a"}) {
        try {
            parse_endpoint(url);
            ADD_FAILURE() << url;
        } catch (const Error& e) {
            EXPECT_EQ(e.code(), Errc::invalid_configuration);
            EXPECT_EQ(std::string(e.what()).find("hunter2"), std::string::npos) << e.what();
        }
    }
}

TEST(AwsRegion, OptionsThenEnvironmentThenProfile) {
    test::AwsEnvironment environment;
    test::ScratchDirectory scratch;
    const std::string config = scratch / "config";
    EXPECT_THROW(region_of(ClientOptions()), Error);
    std::ofstream(config) << "[default]\nregion = eu-north-1\n[profile ours]\nregion=ap-south-1\n";
    environment.set("AWS_CONFIG_FILE", config);
    EXPECT_EQ(region_of(ClientOptions()), "eu-north-1");
    ClientOptions options;
    options.profile = "ours";
    EXPECT_EQ(region_of(options), "ap-south-1");
    environment.set("AWS_DEFAULT_REGION", "us-west-1");
    EXPECT_EQ(region_of(options), "us-west-1");
    environment.set("AWS_REGION", "us-west-2");
    EXPECT_EQ(region_of(options), "us-west-2");
    options.region = "sa-east-1";
    EXPECT_EQ(region_of(options), "sa-east-1");
}

TEST(AwsRegion, AProfileThatIsNotThereIsNamed) {
    const test::AwsEnvironment environment;
    ClientOptions options;
    options.profile = "nobody";
    try {
        region_of(options);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::invalid_configuration);
        EXPECT_NE(std::string(e.what()).find("nobody"), std::string::npos) << e.what();
    }
}

}  // namespace
}  // namespace txm::aws::detail
