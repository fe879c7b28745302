#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace txm::cli {

/// AWS Lambda's runtime API, as a custom runtime sees it: events are fetched and answered over HTTP on this machine, on one
/// connection that is kept. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
/// *Thread safety*: one thread, but for interrupt().
class LambdaRuntime {
public:
    struct Invocation {
        std::string id, event;
        std::chrono::system_clock::time_point deadline;  ///< Lambda kills what has not answered until then
    };

    /// No I/O. @throws UsageError when this is not Lambda: AWS_LAMBDA_RUNTIME_API is not set
    LambdaRuntime();
    ~LambdaRuntime();

    /// Waits for the next event, however long. @return nothing after interrupt()
    /// @throws Error(not_supported) when the API is away or answers with an error: a runtime ends then
    std::optional<Invocation> next();

    void answer(const Invocation& invocation, const std::string& answer);
    void fail(const Invocation& invocation, std::string_view why);

    /// Says why there will be no first next(). Never throws: what ends the program is more interesting.
    void fail_to_start(std::string_view why) noexcept;

    /// Ends a waiting next() and all later ones. For another thread.
    void interrupt();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace txm::cli
