#include "integration/cli_aws.hpp"

#include <algorithm>
#include <sstream>

namespace txm::cli_test {

namespace {

namespace json = boost::json;

class CliDynamoDb : public CliAws {
protected:
    void migrate() {
        const Result result = txm({"migrate", "--store", store()});
        ASSERT_EQ(result.code, 0) << result.err;
    }
    void publish(int number) {
        const Result result = txm({"publish", "--store", store()}, lines(number));
        ASSERT_EQ(result.code, 0) << result.err;
        EXPECT_EQ(result.out, "published " + std::to_string(number) + (number == 1 ? " message\n" : " messages\n"));
    }

    void create_table(const std::string& name, const std::string& key) const {
        request("CreateTable", R"({"TableName":")" + name + R"(","BillingMode":"PAY_PER_REQUEST","KeySchema":[)" +
                                   R"({"AttributeName":")" + key + R"(","KeyType":"HASH"}],"AttributeDefinitions":[)" +
                                   R"({"AttributeName":")" + key + R"(","AttributeType":"S"}]})");
    }

    /// Wrong input is answered with one line that begins with `txm: ` and with nothing on stdout.
    static void expect_refused(const Result& result, int code, const std::string& part) {
        EXPECT_EQ(result.code, code) << result.err;
        EXPECT_EQ(count_lines(result.err), 1U) << result.err;
        EXPECT_TRUE(result.err.starts_with("txm: ")) << result.err;
        EXPECT_NE(result.err.find(part), std::string::npos) << result.err << "\nwas to say: " << part;
        EXPECT_EQ(result.out, "");
    }

    /// The payloads that a consumer printed, of each aggregate in the order of their coming.
    static std::map<std::string, std::vector<std::string>> by_aggregate(const std::string& text) {
        std::map<std::string, std::vector<std::string>> result;
        std::istringstream stream{text};
        for (std::string line; std::getline(stream, line);) {
            const json::object message = json::parse(line).as_object();
            result[message.at("aggregate_id").as_string().c_str()].emplace_back(
                message.at("payload").as_string().c_str());
        }
        return result;
    }

    void carries_everything_in_order(const std::string& broker) {
        const Result ready =
            txm({"migrate", "--store", store(), "--broker", broker, "--topic", "orders", "--consumer", "billing"});
        ASSERT_EQ(ready.code, 0) << ready.err;
        publish(200);

        const Result relayed = txm({"relay", "--store", store(), "--broker", broker, "--drain"});
        EXPECT_EQ(relayed.code, 0) << relayed.err;
        const Result consumed = txm({"consume", "--store", store(), "--broker", broker, "--topic", "orders",
                                     "--consumer", "billing", "--drain", "--exec", "cat; echo"});
        EXPECT_EQ(consumed.code, 0) << consumed.err;
        EXPECT_EQ(count_lines(consumed.out), 200U) << consumed.err;

        const Result status = txm({"status", "--store", store(), "--broker", broker, "--format", "json"});
        EXPECT_EQ(status.code, 0) << status.out << status.err;
        const json::object seen = json::parse(status.out).as_object();
        EXPECT_EQ(seen.at("outbox").at("pending").to_number<int>(), 0);
        EXPECT_EQ(seen.at("inboxes").at(0).at("processed").to_number<int>(), 200) << status.out;
        const Result listed =
            txm({"messages", "list", "--store", store(), "--state", "dispatched", "--format", "json"});
        EXPECT_EQ(count_lines(listed.out), 200U) << listed.err;
    }
};

TEST_F(CliDynamoDb, CarriesEverythingThroughSnsAndSqs) {
    carries_everything_in_order(sns());
}

TEST_F(CliDynamoDb, CarriesEverythingThroughSqs) {
    carries_everything_in_order(sqs());
}

TEST_F(CliDynamoDb, AnAggregateKeepsItsOrder) {
    ASSERT_EQ(txm({"migrate", "--store", store(), "--broker", sns(), "--topic", "orders", "--consumer", "print"}).code,
              0);
    publish(100);
    ASSERT_EQ(txm({"relay", "--store", store(), "--broker", sns(), "--drain", "--feed", "tail"}).code, 0);
    const Result printed = txm({"consume", "--broker", sns(), "--topic", "orders", "--print", "--drain"});
    EXPECT_EQ(printed.code, 0) << printed.err;
    const auto aggregates = by_aggregate(printed.out);
    EXPECT_EQ(aggregates.size(), 10U);
    for (const auto& [aggregate, payloads] : aggregates) {
        ASSERT_EQ(payloads.size(), 10U) << aggregate;
        for (std::size_t i = 0; i < 10; ++i)
            EXPECT_EQ(payloads[i],
                      "{\"n\":" + std::to_string(i * 10 + static_cast<std::size_t>(aggregate.back() - '0')) + "}");
    }
}

TEST_F(CliDynamoDb, ThePollFeedCarriesThemToo) {
    migrate();
    publish(20);
    const Result result =
        txm({"relay", "--store", store("&poll_interval=50ms"), "--broker", "stdout:", "--drain", "--feed", "poll"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(count_lines(result.out), 20U);
    EXPECT_EQ(txm({"relay", "--store", store(), "--broker", "stdout:", "--drain"}).out, "");
}

// A relay has no rights on the inbox, nor on what describes tables' expiry.
TEST_F(CliDynamoDb, ADrainNeedsNoInbox) {
    migrate();
    publish(3);
    request("DeleteTable", R"({"TableName":"shop-inbox"})");
    const Result result = txm({"relay", "--store", store(), "--broker", "stdout:", "--drain"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(count_lines(result.out), 3U);
}

// 50 numbered messages may need 100 items, which is what a transaction takes; 10 large ones have more than its 4 MB.
TEST_F(CliDynamoDb, PublishFitsItsLinesIntoTransactions) {
    migrate();
    publish(300);
    std::string large;
    for (int i = 0; i < 20; ++i)
        large += "{\"topic\":\"t\",\"aggregate_id\":\"00000000-0000-4000-8000-0000000000" + std::to_string(10 + i) +
                 "\",\"payload\":\"" + std::string(350'000, 'x') + "\"}\n";
    const Result result = txm({"publish", "--store", store()}, large);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(txm({"messages", "list", "--store", store(), "--topic", "t", "--format", "json"}).out.find("error"),
              std::string::npos);
}

TEST_F(CliDynamoDb, AMessageThatIsTooLargeIsNamedByItsLine) {
    migrate();
    const std::string large = "{\"topic\":\"t\",\"aggregate_id\":\"a\",\"payload\":\"" + std::string(410'000, 'x') +
                              "\",\"message_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}\n";
    const Result result = txm({"publish", "--store", store()}, lines(1) + large);
    expect_refused(result, 1, "line 2: ");
    EXPECT_NE(result.err.find("400"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("01890a5d-ac96-774b-bcce-b302099a8057"), std::string::npos) << result.err;
}

TEST_F(CliDynamoDb, MigratingTwiceChangesNothing) {
    migrate();
    publish(1);
    const Result again = txm({"migrate", "--store", store()});
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(again.err, "");
    EXPECT_EQ(count_lines(txm({"messages", "list", "--store", store(), "--format", "json"}).out), 1U);
}

TEST_F(CliDynamoDb, MigrateNamesWhatDiffers) {
    create_table("shop-inbox", "id");
    const Result result = txm({"migrate", "--store", store()});
    expect_refused(result, 2, "shop-inbox");
    EXPECT_NE(result.err.find("id"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("PK"), std::string::npos) << result.err;
}

// The original's programs know nothing of txm's own attributes, and want UUIDs.
TEST_F(CliDynamoDb, AnOutboxThatWasThereIsTakenForShared) {
    migrate();
    request("DeleteTable", R"({"TableName":"shop-outbox-txm"})");
    const Result found = txm({"migrate", "--store", store()});
    EXPECT_EQ(found.code, 0) << found.err;
    EXPECT_EQ(count_lines(found.err), 1U) << found.err;
    EXPECT_NE(found.err.find("?compat=false"), std::string::npos) << found.err;

    const std::string plain = "{\"topic\":\"t\",\"aggregate_id\":\"a\",\"payload\":\"p\"}\n";
    expect_refused(txm({"publish", "--store", store()}, plain), 1, "UUID");
    EXPECT_EQ(txm({"publish", "--store", store()}, lines(1)).code, 0);
    const json::object rows = request("Scan", R"({"TableName":"shop-outbox"})");
    ASSERT_EQ(rows.at("Items").as_array().size(), 1U);
    EXPECT_FALSE(rows.at("Items").at(0).as_object().contains("Sequence"));

    EXPECT_EQ(txm({"migrate", "--store", store()}).err, "") << "it has been said once";
    EXPECT_EQ(txm({"migrate", "--store", store("&compat=false")}).code, 0);
    EXPECT_EQ(txm({"publish", "--store", store()}, plain).code, 0) << "what migrate was told holds from then on";
}

// The migrate before was killed when it had made txm's own table, and had not written down yet what it had found.
TEST_F(CliDynamoDb, AnOutboxThatWasThereIsTakenForSharedByTheNextMigrateToo) {
    migrate();
    EXPECT_EQ(txm({"publish", "--store", store("&ordered=false")}, lines(1)).code, 0);
    EXPECT_EQ(txm({"migrate", "--store", store()}).err, "") << "it is txm's own";
    request("DeleteItem", R"({"TableName":"shop-outbox-txm","Key":{"PK":{"S":"META"},"SK":{"S":"COMPAT"}}})");
    const Result found = txm({"migrate", "--store", store()});
    EXPECT_EQ(found.code, 0) << found.err;
    EXPECT_NE(found.err.find("?compat=false"), std::string::npos) << found.err;
}

TEST_F(CliDynamoDb, PrintsWhatOthersCreate) {
    const Result cloudformation = txm({"migrate", "--store", store(), "--print", "cloudformation"});
    EXPECT_EQ(cloudformation.code, 0) << cloudformation.err;
    const Result terraform = txm({"migrate", "--store", store(), "--print", "terraform"});
    EXPECT_EQ(terraform.code, 0) << terraform.err;
    for (const std::string& text : {cloudformation.out, terraform.out})
        for (const char* name : {"shop-outbox", "shop-outbox-txm", "shop-inbox", "NotDispatchedMessagesIndex"})
            EXPECT_NE(text.find(name), std::string::npos) << name;
    EXPECT_NE(terraform.out.find("resource \"aws_dynamodb_table\""), std::string::npos);
    expect_refused(txm({"migrate", "--store", store(), "--print", "sql"}), 2, "cloudformation or terraform");
    expect_refused(txm({"migrate", "--store", store(), "--print"}), 2, "cloudformation or terraform");
}

TEST_F(CliDynamoDb, MessagesAreShownSentAgainAndGivenUp) {
    migrate();
    publish(3);
    ASSERT_EQ(txm({"relay", "--store", store(), "--broker", "stdout:", "--drain"}).code, 0);
    const auto list = [&](const std::string& state) {
        return txm({"messages", "list", "--store", store(), "--state", state, "--format", "json"}).out;
    };
    EXPECT_EQ(count_lines(list("dispatched")), 3U);
    const std::string id =
        json::parse(list("dispatched").substr(0, list("dispatched").find('\n'))).at("message_id").as_string().c_str();
    EXPECT_NE(txm({"messages", "show", "--store", store(), id}).out.find(id), std::string::npos);

    const Result replayed = txm({"messages", "replay", "--store", store(), id});
    EXPECT_EQ(replayed.code, 0) << replayed.err;
    EXPECT_EQ(count_lines(list("dispatched")), 2U);
    const Result sent = txm({"relay", "--store", store(), "--broker", "stdout:", "--drain"});
    EXPECT_EQ(count_lines(sent.out), 1U) << sent.err;
    EXPECT_NE(sent.out.find(id), std::string::npos);

    // SNS takes 256 KiB at most: refused, and then held.
    const std::string large =
        "{\"topic\":\"t\",\"aggregate_id\":\"00000000-0000-4000-8000-000000000001\",\"payload\":\"" +
        std::string(300'000, 'x') + "\"}\n";
    ASSERT_EQ(txm({"publish", "--store", store()}, large).code, 0);
    const Result held = txm({"relay", "--store", store(), "--broker", sns(), "--drain", "--max-attempts", "1"});
    EXPECT_EQ(held.code, 1) << held.err;
    EXPECT_EQ(count_lines(list("dead")), 1U);
    EXPECT_EQ(txm({"status", "--store", store()}).code, 1);
    EXPECT_EQ(txm({"messages", "skip", "--store", store(), "--state", "dead", "--yes"}).code, 0);
    EXPECT_EQ(txm({"relay", "--store", store(), "--broker", sns(), "--drain"}).code, 0);
}

TEST_F(CliDynamoDb, WrongOptionsAreOneLineAndExitCode2) {
    const auto status = [&](const std::string& url) { return txm({"status", "--store", url}); };
    expect_refused(status("dynamodb:outbox"), 2, "dynamodb://eu-west-1/outbox");
    expect_refused(status("dynamodb://127.0.0.1:8000/outbox"), 2, "?endpoint=");
    expect_refused(status("dynamodb://eu-west-1/a b"), 2, "a b");
    expect_refused(status("dynamodb:///outbox"), 2, "region");
    expect_refused(status("dynamodb://eu-west-1/same?inbox=same"), 2, "three tables");
    expect_refused(status("dynamodb://eu-west-1/same?state_table=inbox"), 2, "three tables");
    expect_refused(status("dynamodb://outbox"), 2, "'outbox' is not the name of a region");
    expect_refused(status("dynamodb://eu-west-1/outbox?access_key=AKIAEXAMPLE"), 2, "use a profile");
    expect_refused(status("dynamodb://eu-west-1/ab"), 2, "3 to 255 characters");
    expect_refused(status("dynamodb://eu-west-1/outbox?colour=red"), 2,
                   "'colour' is unknown: dynamodb: has endpoint, inbox");
    expect_refused(status("dynamodb://eu-west-1/outbox?compat=perhaps"), 2, "true or false");
    expect_refused(status("dynamodb://eu-west-1/outbox?endpoint=127.0.0.1:8000"), 2, "http://127.0.0.1:8000");
    expect_refused(status("dynamodb://eu-west-1/outbox?poll_interval=5"), 2, "duration");
    expect_refused(status("sns://eu-west-1/x-"), 2, "--broker");
    migrate();
    const auto relay = [&](const std::string& broker, const std::string& feed = "tail") {
        return txm({"relay", "--store", store(), "--broker", broker, "--drain", "--feed", feed});
    };
    expect_refused(relay("sns:shop-"), 2, "sns://eu-west-1/shop-");
    expect_refused(relay("sqs://eu-west-1/x-?envelope=json"), 2, "none, tomodachi");
    expect_refused(relay("sqs://eu-west-1/x-?wait=1m"), 2, "from 0s to 20s");
    expect_refused(relay("sqs://eu-west-1/x-?visibilty=1m"), 2, "'visibilty' is unknown");
    expect_refused(relay(sns(), "log"), 2, "tail");
    const Result nothing = txm({"migrate", "--store", store(), "--broker", sns()});
    EXPECT_EQ(nothing.code, 2);
    EXPECT_NE(nothing.err.find("--topic TOPIC and --consumer NAME"), std::string::npos) << nothing.err;
    expect_refused(txm({"consume", "--store", store(), "--broker", sns(), "--topic", "t", "--from", "end", "--print"}),
                   2, "--from end");
    scratch.write("a.sql", "select 1");
    expect_refused(txm({"consume", "--store", store(), "--broker", sns(), "--topic", "t", "--sql", "a.sql"}), 2,
                   "--exec");
}

}  // namespace

}  // namespace txm::cli_test
