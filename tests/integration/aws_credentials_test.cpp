#include "aws_fixture.hpp"

#include "aws/credentials_process.hpp"
#include "support/scratch_directory.hpp"
#include "txm/error.hpp"
#include "txm/timestamp.hpp"

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

namespace txm::aws {
namespace {

using test::FakeHttp;
using test::HttpAnswer;
using test::HttpRequest;

constexpr auto long_time = std::chrono::hours(1);

std::string keys_json(const std::string& id, std::chrono::seconds left = long_time) {
    return R"({"Code":"Success","AccessKeyId":")" + id + R"(","SecretAccessKey":"very-secret-)" + id +
           R"(","Token":"very-secret-token-)" + id + R"(","Expiration":")" + to_iso8601(now() + left) + "\"}";
}

/// A service that everybody may use, an environment that knows of nothing yet, and files to name in it.
class AwsCredentials : public testing::Test {
protected:
    ClientOptions options() const {
        ClientOptions options("eu-west-1");
        options.endpoint = service.endpoint();
        options.max_attempts = 1;
        return options;
    }

    /// The key that signed the request after `before` others; what went wrong when there was none.
    std::string used(Client& client) {
        const Outcome outcome = call(client);
        EXPECT_EQ(outcome.what().find("very-secret"), std::string::npos) << outcome.what();
        if (!outcome.is_answered())
            return outcome.what();
        const HttpRequest request = service.requests().back();
        const std::string authorization = request.header("authorization");
        const std::size_t begin = authorization.find("Credential=") + 11;
        std::string key = authorization.substr(begin, authorization.find('/', begin) - begin);
        if (const std::string token = request.header("x-amz-security-token"); !token.empty())
            key += " with " + token;
        return key;
    }
    std::string used(const ClientOptions& how) {
        Client client(how, dynamodb);
        return used(client);
    }
    std::string used() { return used(options()); }

    std::string write(const std::string& name, const std::string& text) {
        std::string path = scratch / name;
        std::ofstream(path) << text;
        return path;
    }

    test::AwsEnvironment environment;
    test::ScratchDirectory scratch;
    FakeHttp service;
};

TEST_F(AwsCredentials, NoneAtAll) {
    const std::string why = used();
    EXPECT_NE(why.find("AWS_ACCESS_KEY_ID"), std::string::npos) << why;
    EXPECT_EQ(service.count(), 0U);
}

TEST_F(AwsCredentials, OfTheEnvironment) {
    environment.set("AWS_ACCESS_KEY_ID", "FROMENV");
    environment.set("AWS_SECRET_ACCESS_KEY", "very-secret");
    EXPECT_EQ(used(), "FROMENV");
    environment.set("AWS_SESSION_TOKEN", "token");
    EXPECT_EQ(used(), "FROMENV with token");
    ClientOptions explicit_ones = options();
    explicit_ones.credentials = Credentials("BYHAND", "very-secret");
    EXPECT_EQ(used(explicit_ones), "BYHAND");
}

TEST_F(AwsCredentials, HalfOfAKeyInTheEnvironmentIsTold) {
    environment.set("AWS_ACCESS_KEY_ID", "ONLY");
    const std::string why = used();
    EXPECT_NE(why.find("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not"), std::string::npos) << why;
}

TEST_F(AwsCredentials, OfTheSharedFiles) {
    environment.set("AWS_SHARED_CREDENTIALS_FILE",
                    write("credentials",
                          "# keys\n[default]\naws_access_key_id = FROMFILE\n"
                          "aws_secret_access_key=very-secret\n\n[ours]\naws_access_key_id=OURS\n"
                          "aws_secret_access_key=very-secret\naws_session_token=token\n"));
    environment.set("AWS_CONFIG_FILE", write("config",
                                             "[default]\naws_access_key_id=NOTTHIS\ns3 =\n  max = 1\n"
                                             "[profile theirs]\naws_access_key_id=THEIRS\n"
                                             "aws_secret_access_key=very-secret\n"));
    EXPECT_EQ(used(), "FROMFILE");
    environment.set("AWS_PROFILE", "theirs");
    EXPECT_EQ(used(), "THEIRS");
    ClientOptions ours = options();
    ours.profile = "ours";
    EXPECT_EQ(used(ours), "OURS with token");
    // Named in the options, a profile is meant, whatever the environment has.
    environment.set("AWS_ACCESS_KEY_ID", "FROMENV");
    environment.set("AWS_SECRET_ACCESS_KEY", "very-secret");
    EXPECT_EQ(used(ours), "OURS with token");
    EXPECT_EQ(used(), "FROMENV");
}

TEST_F(AwsCredentials, OfFilesInTheHomeDirectory) {
    std::filesystem::create_directory(scratch / ".aws");
    write(".aws/credentials", "[default]\naws_access_key_id=ATHOME\naws_secret_access_key=very-secret\n");
    environment.set("HOME", scratch / "");
    EXPECT_EQ(used(), "ATHOME");
}

TEST_F(AwsCredentials, OfAProcess) {
    write("out", keys_json("PROCESS"));
    environment.set("AWS_CONFIG_FILE", write("config", "[default]\ncredential_process = cat " + (scratch / "out") +
                                                           "\n[profile broken]\ncredential_process = echo "
                                                           "very-secret; exit 3\n"));
    EXPECT_EQ(used(), "PROCESS with very-secret-token-PROCESS");
    environment.set("AWS_PROFILE", "broken");
    const std::string why = used();
    EXPECT_NE(why.find("credential_process"), std::string::npos) << why;
}

void expect_killed(const std::string& command) {
    try {
        detail::credentials_from_process(command, "slow", std::chrono::milliseconds{500});
        FAIL() << "it gave keys";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::store_unavailable);
        EXPECT_NE(std::string(e.what()).find("profile \"slow\" was killed"), std::string::npos) << e.what();
    }
}

TEST_F(AwsCredentials, AProcessThatHangsIsKilledWithItsChildren) {
    const std::string file = scratch / "child";
    expect_killed("sleep 30 & echo $! > " + file + "; wait");
    std::string child;
    std::ifstream(file) >> child;
    ASSERT_FALSE(child.empty());
    // Nobody may have asked yet what became of it.
    const auto state = [&] {
        std::string text;
        std::ifstream status("/proc/" + child + "/status");
        while (status >> text && text != "State:") {}
        status >> text;
        return status ? text : "Z";
    };
    for (int i = 0; i < 1000 && state() != "Z"; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    EXPECT_EQ(state(), "Z");
}

TEST_F(AwsCredentials, AProcessThatSaysNothingMoreIsKilled) {
    expect_killed("exec >&-; sleep 30");
}

// As those who must not be stopped in the middle of something block them.
TEST_F(AwsCredentials, AProcessBlocksNoSignals) {
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const auto keys = detail::credentials_from_process(
        R"x(printf '{"Version":1,"AccessKeyId":"%s","SecretAccessKey":"s"}' "$(sed -n 's/^SigBlk:.//p' /proc/self/status)")x",
        "masked");
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(keys.credentials->access_key_id, "0000000000000000");
}

TEST_F(AwsCredentials, ProfilesThatCannotBeUsed) {
    environment.set("AWS_CONFIG_FILE",
                    write("config",
                          "[profile chained]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=default\n"
                          "[profile browser]\nsso_session=ours\n[profile half]\naws_access_key_id=A\n"
                          "[profile empty]\nregion=eu-west-1\n"));
    const auto why = [&](const char* name) {
        ClientOptions how = options();
        how.profile = name;
        return used(how);
    };
    EXPECT_NE(why("chained").find("another profile"), std::string::npos) << why("chained");
    EXPECT_NE(why("browser").find("export-credentials"), std::string::npos) << why("browser");
    EXPECT_NE(why("half").find("aws_secret_access_key"), std::string::npos) << why("half");
    EXPECT_NE(why("empty").find("no credentials"), std::string::npos) << why("empty");
    EXPECT_NE(why("nobody").find("\"nobody\""), std::string::npos) << why("nobody");
    environment.set("AWS_CONFIG_FILE", write("bad", "[default]\nwhat is this\n"));
    EXPECT_NE(used().find("line 2 of "), std::string::npos) << used();
}

TEST_F(AwsCredentials, OfAWebIdentity) {
    FakeHttp sts([](const HttpRequest& request) {
        if (request.body.find("WebIdentityToken=the%2Ftoken&") == std::string::npos &&
            !request.body.ends_with("WebIdentityToken=the%2Ftoken"))
            return HttpAnswer(400, "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>");
        return HttpAnswer(200,
                          "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
                          "<AccessKeyId>STS</AccessKeyId><SecretAccessKey>very-secret</SecretAccessKey>"
                          "<SessionToken>t</SessionToken><Expiration>" +
                              to_iso8601(now() + long_time) +
                              "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
                              "</AssumeRoleWithWebIdentityResponse>");
    });
    environment.set("AWS_ENDPOINT_URL_STS", sts.endpoint());
    environment.set("AWS_WEB_IDENTITY_TOKEN_FILE", write("token", "the/token\n"));
    EXPECT_NE(used().find("AWS_ROLE_ARN"), std::string::npos) << used();
    environment.set("AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
    environment.set("AWS_ROLE_SESSION_NAME", "ours");
    EXPECT_EQ(used(), "STS with t");
    const HttpRequest asked = sts.requests().at(0);
    EXPECT_NE(asked.body.find("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&RoleSessionName=ours"), std::string::npos);
    EXPECT_EQ(asked.header("authorization"), "");

    write("token", "very-secret-but-old");
    EXPECT_NE(used().find("InvalidIdentityToken"), std::string::npos) << used();
}

TEST_F(AwsCredentials, OfAContainer) {
    FakeHttp agent([](const HttpRequest& request) {
        return request.header("authorization") == "let me in" ? HttpAnswer(200, keys_json("TASK")) : HttpAnswer(401);
    });
    environment.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.endpoint() + "/role?x=1");
    EXPECT_NE(used().find("it answered 401"), std::string::npos) << used();
    environment.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in");
    EXPECT_EQ(used(), "TASK with very-secret-token-TASK");
    EXPECT_EQ(agent.requests().back().path, "/role?x=1");
    environment.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "no longer");
    environment.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write("token", "let me in\n"));
    EXPECT_EQ(used(), "TASK with very-secret-token-TASK");
    for (const char* const url : {"http://example.com/role", "http://127.example.com/", "http://169.254.170.2.evil/"}) {
        environment.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
        EXPECT_NE(used().find("use https"), std::string::npos) << used();
    }
}

TEST_F(AwsCredentials, OfAnInstance) {
    FakeHttp metadata([](const HttpRequest& request) {
        if (request.path == "/latest/api/token" && request.method == "PUT" &&
            !request.header("x-aws-ec2-metadata-token-ttl-seconds").empty())
            return HttpAnswer(200, "session");
        if (request.header("x-aws-ec2-metadata-token") != "session")
            return HttpAnswer(401);
        if (request.path == "/latest/meta-data/iam/security-credentials/")
            return HttpAnswer(200, "our-role");
        if (request.path == "/latest/meta-data/iam/security-credentials/our-role")
            return HttpAnswer(200, keys_json("INSTANCE"));
        return HttpAnswer(404);
    });
    environment.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint() + "/");
    EXPECT_NE(used().find("no AWS credentials were found"), std::string::npos);
    EXPECT_EQ(metadata.count(), 0U) << "it is disabled";
    environment.set("AWS_EC2_METADATA_DISABLED", "false");
    EXPECT_EQ(used(), "INSTANCE with very-secret-token-INSTANCE");
}

/// An agent that gives `KEY1`, `KEY2`, … of which each is over after some time.
class Agent {
public:
    Agent(test::AwsEnvironment& environment, std::function<std::chrono::seconds(int)> left)
        : http_([this, left](const HttpRequest&) {
              const int n = ++given;
              if (slow && n > 1)
                  std::this_thread::sleep_for(std::chrono::milliseconds(200));
              if (fails && n > 1)
                  return HttpAnswer(500, "very-secret");
              return HttpAnswer(200, keys_json("KEY" + std::to_string(n), left(n)));
          }) {
        environment.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", http_.endpoint());
    }

    const FakeHttp& http() const { return http_; }

    std::atomic<int> given{0};
    std::atomic<bool> slow{false}, fails{false};

private:
    FakeHttp http_;
};

TEST_F(AwsCredentials, AreRenewedBeforeTheyAreOver) {
    // The first will be over within the time in which others are looked for, but holds.
    Agent agent(environment, [](int n) { return n == 1 ? std::chrono::seconds(6) : std::chrono::seconds(3600); });
    agent.slow = true;
    Client client(options(), dynamodb);
    EXPECT_EQ(used(client).substr(0, 4), "KEY1");
    std::string key;
    bool went_on_with_the_old = false;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while ((key = used(client).substr(0, 4)) == "KEY1" && std::chrono::steady_clock::now() < deadline)
        went_on_with_the_old = went_on_with_the_old || agent.given == 2;
    EXPECT_EQ(key, "KEY2");
    EXPECT_TRUE(went_on_with_the_old);
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(used(client).substr(0, 4), "KEY2");
    EXPECT_EQ(agent.http().count(), 2U);
}

TEST_F(AwsCredentials, ManyCallsWaitForOneSearch) {
    Agent agent(environment, [](int) { return std::chrono::seconds(3600); });
    Client client(options(), dynamodb);
    boost::asio::io_context context;
    int answered = 0;
    for (int i = 0; i < 50; ++i)
        boost::asio::co_spawn(context, client.call("A.B", "{}"), [&](std::exception_ptr e, const Response&) {
            EXPECT_FALSE(e);
            ++answered;
        });
    context.run();
    EXPECT_EQ(answered, 50);
    EXPECT_EQ(agent.http().count(), 1U);
}

TEST_F(AwsCredentials, ThatTheServiceFindsExpiredAreRenewedOnce) {
    Agent agent(environment, [](int) { return std::chrono::seconds(3600); });
    std::string accepted = "KEY2";
    const auto script = [&](const HttpRequest& request) {
        return request.header("authorization").find("Credential=" + accepted + "/") != std::string::npos
                   ? HttpAnswer()
                   : refusal(400, "ExpiredTokenException", "The security token included in the request is expired");
    };
    FakeHttp picky(script);
    ClientOptions how = options();
    how.endpoint = picky.endpoint();
    Client client(how, dynamodb);
    const Outcome outcome = call(client);
    EXPECT_TRUE(outcome.is_answered()) << outcome.what();
    EXPECT_EQ(agent.given, 2);

    accepted = "none";
    const Outcome refused = call(client);
    ASSERT_TRUE(refused.refused);
    EXPECT_EQ(refused.refused->code(), Errc::store_unavailable);
    EXPECT_NE(refused.what().find("renew the credentials"), std::string::npos) << refused.what();
    EXPECT_EQ(agent.given, 3);
    EXPECT_EQ(picky.count(), 4U);
}

// By the clock of this machine, which may be wrong: the service is asked, and the source is not asked without end.
TEST_F(AwsCredentials, ThatSeemToBeOverAreTried) {
    FakeHttp agent([](const HttpRequest&) { return HttpAnswer(200, keys_json("OLD", -long_time)); });
    environment.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.endpoint() + "/role");
    EXPECT_EQ(used(), "OLD with very-secret-token-OLD");
    EXPECT_LE(agent.count(), 2u);
}

TEST_F(AwsCredentials, ThatCannotBeRenewedServeUntilTheyAreOver) {
    Agent agent(environment, [](int) { return std::chrono::seconds(3); });
    agent.fails = true;
    Client client(options(), dynamodb);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    int served = 0;
    std::string key;
    while ((key = used(client)).substr(0, 4) == "KEY1" && std::chrono::steady_clock::now() < deadline)
        served += agent.given > 1 ? 1 : 0;
    EXPECT_GT(served, 0);
    EXPECT_NE(key.find("it answered 500"), std::string::npos) << key;
    // They come back without the client being made again.
    agent.fails = false;
    while ((key = used(client)).substr(0, 3) != "KEY" && std::chrono::steady_clock::now() < deadline) {}
    EXPECT_EQ(key.substr(0, 3), "KEY");
}

}  // namespace
}  // namespace txm::aws
