#include "aws/client.hpp"

#include "aws/engine.hpp"
#include "txm/sync_wait.hpp"

#include <utility>

namespace txm::aws {

ServiceError::ServiceError(Errc code, std::string what, int status, std::string type, std::string message,
                           std::string body, int unanswered)
    : Error(code, std::move(what), {}, type),
      status_(status),
      type_(std::move(type)),
      message_(std::move(message)),
      body_(std::move(body)),
      unanswered_(unanswered) {}

UnansweredError::UnansweredError(std::string what) : Error(Errc::store_unavailable, std::move(what)) {}

class Client::Impl {
public:
    Impl(ClientOptions options, Service service)
        : region(detail::region_of(options)), engine(std::move(options), std::move(service), region) {}

    // Holds the engine: the client may be gone before the coroutine goes on.
    static awaitable<Response> call(std::shared_ptr<Impl> impl, std::string action, std::string body,
                                    CallOptions options) {
        detail::Call call(std::move(action), std::move(body), options);
        const bool is_done = txm::detail::BlockingScope::active() && impl->engine.run_here(call);
        if (!is_done) {
            call.is_suspended = true;
            const auto submit = [&impl, &call] { impl->engine.submit(call); };
            co_await txm::detail::suspend(call.suspension, submit);
        }
        if (call.error)
            std::rethrow_exception(std::exchange(call.error, nullptr));
        co_return std::move(call.response);
    }

    const std::string region;
    detail::Engine engine;
};

Client::Client(ClientOptions options, Service service)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(service))) {}

Client::~Client() {
    impl_->engine.stop();
}

void Client::close() noexcept {
    impl_->engine.stop();
}

awaitable<Response> Client::call(std::string action, std::string body, CallOptions options) {
    return Impl::call(impl_, std::move(action), std::move(body), options);
}

const std::string& Client::region() const noexcept {
    return impl_->region;
}

const std::string& Client::endpoint() const noexcept {
    return impl_->engine.endpoint().url;
}

std::uint64_t Client::connects() const noexcept {
    return impl_->engine.connects();
}

}  // namespace txm::aws
