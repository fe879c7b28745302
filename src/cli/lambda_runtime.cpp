#include "cli/lambda_runtime.hpp"

#include "cli/settings.hpp"

#include "txm/error.hpp"

#include <httplib.h>
#include <boost/json.hpp>

#include <condition_variable>
#include <cstdlib>
#include <mutex>

namespace txm::cli {

namespace {

using namespace std::chrono_literals;

const std::string base = "/2018-06-01/runtime/";

std::string api_address() {
    const char* address = std::getenv("AWS_LAMBDA_RUNTIME_API");
    if (!address || !*address)
        throw UsageError(
            "AWS_LAMBDA_RUNTIME_API is not set: txm lambda runs in AWS Lambda's custom runtime (elsewhere: txm relay)");
    return std::string("http://") + address;
}

std::string error_body(std::string_view why) {
    const boost::json::object body{
        {"errorMessage", why}, {"errorType", "txm.Error"}, {"stackTrace", boost::json::array{}}};
    return boost::json::serialize(body);
}

std::chrono::system_clock::time_point deadline_of(const httplib::Response& response) {
    const std::string text = response.get_header_value("Lambda-Runtime-Deadline-Ms");
    const long long milliseconds = std::strtoll(text.c_str(), nullptr, 10);
    if (milliseconds <= 0)
        return std::chrono::system_clock::now() + 15min;  // what Lambda gives at most
    return std::chrono::system_clock::time_point{std::chrono::milliseconds{milliseconds}};
}

}  // namespace

class LambdaRuntime::Impl {
public:
    Impl() : client_(api_address()) {
        client_.set_keep_alive(true);
        client_.set_tcp_nodelay(true);
        client_.set_read_timeout(24h);  // an idle function waits for its next event, often frozen
    }

    std::optional<Invocation> next() {
        {
            const std::lock_guard lock{mutex_};
            if (is_interrupted_)
                return {};
            is_waiting_ = true;
        }
        const httplib::Result result = client_.Get(base + "invocation/next");
        {
            const std::lock_guard lock{mutex_};
            is_waiting_ = false;
            changed_.notify_all();
            if (is_interrupted_ && !result)
                return {};
        }
        check(result, "next");
        Invocation invocation{result->get_header_value("Lambda-Runtime-Aws-Request-Id"), result->body,
                              deadline_of(*result)};
        if (invocation.id.empty())
            throw Error(Errc::not_supported,
                        "Lambda's runtime API gave an event without Lambda-Runtime-Aws-Request-Id");
        return invocation;
    }

    void post(const std::string& path, const std::string& body, const httplib::Headers& headers = {}) {
        check(client_.Post(base + path, headers, body, "application/json"), path);
    }

    // Also between the beginning of next() and its connection: until next() is over.
    void interrupt() {
        std::unique_lock lock{mutex_};
        is_interrupted_ = true;
        while (is_waiting_) {
            client_.stop();
            changed_.wait_for(lock, 20ms);
        }
    }

private:
    static void check(const httplib::Result& result, const std::string& what) {
        if (!result)
            throw Error(Errc::not_supported,
                        "Lambda's runtime API is away (" + what + "): " + httplib::to_string(result.error()));
        // 4xx: of this invocation, which has timed out by then, say; 5xx: the sandbox is not usable any more.
        if (result->status >= 500 || (what == "next" && result->status != 200))
            throw Error(Errc::not_supported,
                        "Lambda's runtime API answers " + std::to_string(result->status) + " (" + what + ")");
    }

    httplib::Client client_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_interrupted_ = false, is_waiting_ = false;
};

LambdaRuntime::LambdaRuntime() : impl_(std::make_unique<Impl>()) {}
LambdaRuntime::~LambdaRuntime() = default;

std::optional<LambdaRuntime::Invocation> LambdaRuntime::next() {
    return impl_->next();
}

void LambdaRuntime::answer(const Invocation& invocation, const std::string& answer) {
    impl_->post("invocation/" + invocation.id + "/response", answer);
}

void LambdaRuntime::fail(const Invocation& invocation, std::string_view why) {
    impl_->post("invocation/" + invocation.id + "/error", error_body(why),
                {{"Lambda-Runtime-Function-Error-Type", "txm.Error"}});
}

void LambdaRuntime::fail_to_start(std::string_view why) noexcept {
    try {
        impl_->post("init/error", error_body(why), {{"Lambda-Runtime-Function-Error-Type", "txm.Error"}});
    } catch (const std::exception&) {}
}

void LambdaRuntime::interrupt() {
    impl_->interrupt();
}

}  // namespace txm::cli
