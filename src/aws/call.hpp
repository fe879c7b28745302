#pragma once

#include "asio/suspension.hpp"
#include "aws/client.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <string>

namespace txm::aws::detail {

/// A request from the moment it is handed over until its outcome is known, with all its attempts. Lives in the frame of
/// the coroutine that waits for it; whoever drives the engine owns it meanwhile.
struct Call {
    Call(std::string what, std::string bytes, const CallOptions& how)
        : action(std::move(what)), body(std::move(bytes)), options(how) {}

    const std::string action;
    const std::string body;
    const CallOptions options;

    int attempts = 0;
    int unanswered = 0;
    std::shared_ptr<const Credentials> credentials;     // of the last attempt
    std::chrono::system_clock::time_point signed_at{};  // by the service's clock, as far as it was known
    bool has_renewed_credentials = false;
    bool has_adopted_time = false;

    Response response;
    std::exception_ptr error;
    bool is_done = false;
    bool is_suspended = false;
    txm::detail::Suspension suspension;
    Call* next = nullptr;  // in the list that it waits in
};

/// First in, first out, of calls; owns nothing.
class CallList {
public:
    bool empty() const noexcept { return !first_; }
    void push_back(Call& call) noexcept {
        call.next = nullptr;
        (first_ ? last_->next : first_) = &call;
        last_ = &call;
    }
    Call* pop_front() noexcept {
        Call* const call = first_;
        if (call)
            first_ = call->next;
        return call;
    }
    void append(CallList others) noexcept {
        if (others.empty())
            return;
        (first_ ? last_->next : first_) = others.first_;
        last_ = others.last_;
    }

private:
    Call* first_ = nullptr;
    Call* last_ = nullptr;
};

}  // namespace txm::aws::detail
