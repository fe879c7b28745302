#include "aws/signer.hpp"

#include <gtest/gtest.h>

namespace txm::aws::detail {
namespace {

/// One of AWS's published vectors (aws-sig-v4-test-suite): all of 2015-08-30 12:36:00, us-east-1, service `service`.
struct Vector {
    const char* name;
    const char* method;
    const char* query;
    std::vector<SignedHeader> headers;
    const char* body;
    const char* names;
    const char* signature;
};

constexpr const char* time = "20150830T123600Z";
constexpr SignedHeader host{"host", "example.amazonaws.com"};
constexpr SignedHeader date{"x-amz-date", time};
constexpr const char* token =
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthA"
    "x7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY"
    "9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

std::shared_ptr<const Credentials> example() {
    return std::make_shared<const Credentials>("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
}

std::string sign(Signer& signer, const Vector& vector, const std::shared_ptr<const Credentials>& credentials) {
    Signable request;
    request.method = vector.method;
    request.query = vector.query;
    request.headers = vector.headers;
    request.body = vector.body;
    std::string authorization;
    signer.sign(authorization, request, credentials, time);
    return authorization;
}

std::string expected(const Vector& vector) {
    return std::string(
               "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=") +
           vector.names + ", Signature=" + vector.signature;
}

TEST(AwsSigner, PublishedVectors) {
    const Vector vectors[] = {
        {"get-vanilla",
         "GET",
         "",
         {host, date},
         "",
         "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-vanilla-query-order-key-case",
         "GET",
         "Param1=value1&Param2=value2",
         {host, date},
         "",
         "host;x-amz-date",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-header-value-order",
         "GET",
         "",
         {host, {"my-header1", "value4,value1,value3,value2"}, date},
         "",
         "host;my-header1;x-amz-date",
         "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
        {"post-vanilla",
         "POST",
         "",
         {host, date},
         "",
         "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"post-vanilla-query",
         "POST",
         "Param1=value1",
         {host, date},
         "",
         "host;x-amz-date",
         "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
        {"post-header-key-sort",
         "POST",
         "",
         {host, {"my-header1", "value1"}, date},
         "",
         "host;my-header1;x-amz-date",
         "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
        {"post-x-www-form-urlencoded",
         "POST",
         "",
         {{"content-type", "application/x-www-form-urlencoded"}, host, date},
         "Param1=value1",
         "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
        {"post-sts-header-before",
         "POST",
         "",
         {host, date, {"x-amz-security-token", token}},
         "",
         "host;x-amz-date;x-amz-security-token",
         "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    };
    Signer signer("us-east-1", "service");
    for (const Vector& vector : vectors)
        EXPECT_EQ(sign(signer, vector, example()), expected(vector)) << vector.name;
}

TEST(AwsSigner, TheKeptKeyFollowsTheCredentials) {
    const Vector vanilla{"post-vanilla",
                         "POST",
                         "",
                         {host, date},
                         "",
                         "host;x-amz-date",
                         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"};
    Signer signer("us-east-1", "service");
    const auto mine = example();
    EXPECT_EQ(sign(signer, vanilla, mine), expected(vanilla));
    const auto others = std::make_shared<const Credentials>("AKIDEXAMPLE", "another secret");
    EXPECT_NE(sign(signer, vanilla, others), expected(vanilla));
    EXPECT_EQ(sign(signer, vanilla, mine), expected(vanilla));
}

TEST(AwsSigner, Timestamps) {
    using namespace std::chrono;
    EXPECT_EQ(to_timestamp(system_clock::from_time_t(1440938160)), time);
    EXPECT_EQ(to_timestamp(system_clock::from_time_t(0)), "19700101T000000Z");
}

TEST(AwsSigner, HmacOfALongKey) {
    // RFC 4231, test case 6.
    const std::string key(131, '\xaa');
    Sha256 sha256;
    std::string hex;
    append_hex(hex, sha256.hmac(key, "Test Using Larger Than Block-Size Key - Hash Key First"));
    EXPECT_EQ(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

}  // namespace
}  // namespace txm::aws::detail
