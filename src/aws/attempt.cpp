#include "aws/engine.hpp"
#include "core/fault_point.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

namespace txm::aws::detail {
namespace {

using namespace std::chrono_literals;

// The n-th pause is a random share of this · 2^(n-1), so that what failed together is not tried again together
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "full jitter").
constexpr auto first_pause = 100ms;
constexpr auto longest_pause = 5000ms;

// What a signature's time may differ from the service's is 5 minutes at least.
constexpr auto tolerated_difference = 4min;

std::string attempts_text(const Call& call) {
    return call.attempts == 1 ? "1 attempt" : std::to_string(call.attempts) + " attempts";
}

}  // namespace

void Engine::start_waiting() {
    while (!waiting_.empty() && active_ < options_.max_connections)
        start(*waiting_.pop_front());
}

void Engine::resume_paused() {
    if (paused_.empty())
        return;
    const auto now = Clock::now();
    while (!paused_.empty() && paused_.begin()->first <= now) {
        waiting_.push_back(*paused_.begin()->second);
        paused_.erase(paused_.begin());
    }
}

void Engine::look_for_keys() noexcept {
    if (without_keys_.empty())
        return;
    try {
        if (credentials_.get())
            waiting_.append(std::exchange(without_keys_, {}));
    } catch (...) {
        while (Call* const call = without_keys_.pop_front())
            fail(*call, std::current_exception());
    }
}

void Engine::start(Call& call) noexcept {
    try {
        send(call);
    } catch (...) {
        fail(call, std::current_exception());
    }
}

void Engine::send(Call& call) {
    call.credentials = credentials_.get();
    if (!call.credentials)
        return without_keys_.push_back(call);
    if (idle_.empty()) {
        idle_.reserve(options_.max_connections);
        transfers_.push_back(std::make_unique<Transfer>(endpoint_.url + endpoint_.path, options_.connect_timeout));
        idle_.push_back(transfers_.back().get());
    }
    Transfer& transfer = *idle_.back();
    transfer.begin();
    call.signed_at = std::chrono::system_clock::now() + clock_difference_;
    add_headers(transfer, call);
    transfer.set_up(call, call.options.timeout.value_or(options_.request_timeout));
    try {
        fault::point("aws.send");
        multi_.add(transfer);
    } catch (...) {
        transfer.forget();
        throw;
    }
    idle_.pop_back();
    ++active_;
    ++call.attempts;
}

void Engine::add_headers(Transfer& transfer, const Call& call) {
    const CredentialsCache::Given& credentials = call.credentials;
    const std::string timestamp = to_timestamp(call.signed_at);
    const std::string_view content_type = service_.protocol == Protocol::query
                                              ? "application/x-www-form-urlencoded; charset=utf-8"
                                              : "application/x-amz-json-1.0";
    std::array<SignedHeader, 5> headers;
    std::size_t count = 0;
    headers[count++] = {"content-type", content_type};
    headers[count++] = {"host", endpoint_.host};
    headers[count++] = {"x-amz-date", timestamp};
    if (!credentials->token.empty())
        headers[count++] = {"x-amz-security-token", credentials->token};
    if (!call.action.empty())
        headers[count++] = {"x-amz-target", call.action};

    Signable request;
    request.path = endpoint_.path;
    request.headers = {headers.data(), count};
    request.body = call.body;
    std::string& authorization = transfer.add_header();
    authorization = "Authorization: ";
    signer_.sign(authorization, request, credentials, timestamp);
    for (const SignedHeader& header : request.headers)
        if (header.name != "host")
            transfer.add_header().append(header.name).append(": ").append(header.value);
    // Or libcurl asks for leave before it sends a large body, and waits for an answer that does not come.
    transfer.add_header() = "Expect:";
}

void Engine::finish(Transfer& transfer, CURLcode code) {
    Call& call = *transfer.call();
    connects_.fetch_add(static_cast<std::uint64_t>(transfer.connects()), std::memory_order_relaxed);
    Answer& answer = transfer.conclude(code);
    // What came twice is no answer to this request: its own is still to come over that connection.
    if (answer.is_whole && was_given_before(answer.request_id)) {
        answer.is_whole = false;
        answer.trouble = "an answer to another request came instead";
    }
    if (code == CURLE_OK && !answer.is_whole)
        transfer.end_connection();
    multi_.remove(transfer);
    release(transfer);
    call.unanswered += answer.resent;
    try {
        fault::point("aws.answered");
        if (code != CURLE_OK || !answer.is_whole) {
            judge_silence(call, answer);
        } else if (answer.status >= 200 && answer.status < 300) {
            call.response.body = std::move(answer.body);
            call.response.unanswered = call.unanswered;
            done(call);
        } else {
            judge_refusal(call, answer);
        }
    } catch (...) {
        fail(call, std::current_exception());
    }
}

bool Engine::was_given_before(std::string_view request_id) noexcept {
    if (request_id.empty())
        return false;
    const std::size_t hash = std::hash<std::string_view>{}(request_id);
    if (std::ranges::find(last_answers_, hash) != last_answers_.end())
        return true;
    last_answers_[next_answer_++ % last_answers_.size()] = hash;
    return false;
}

void Engine::release(Transfer& transfer) {
    idle_.push_back(&transfer);
    --active_;
}

void Engine::judge_silence(Call& call, const Answer& answer) {
    if (answer.was_sent)
        ++call.unanswered;
    if (may_repeat(call, answer.was_sent))
        return repeat_later(call);
    const std::string tried = " (" + answer.trouble + ", " + attempts_text(call) + ")";
    if (call.unanswered > 0)
        throw UnansweredError("no answer from " + endpoint_.url + tried +
                              ": the request may have been carried out or not; look before you repeat it");
    throw Error(Errc::store_unavailable, "could not connect to " + endpoint_.url + tried +
                                             ": check that it is reachable from here and that the region is right");
}

void Engine::judge_refusal(Call& call, Answer& answer) {
    Refusal refusal = read_refusal(answer, service_.protocol);
    hide_secrets(refusal, answer, *call.credentials);
    if (adopt_time(call, answer, refusal.kind) || renew_credentials(call, refusal.kind)) {
        waiting_.push_back(call);
        return;
    }
    const bool is_outage = refusal.kind == ErrorKind::outage;
    if (is_outage)
        ++call.unanswered;
    if (is_outage ? may_repeat(call, true) : refusal.kind == ErrorKind::throttled && may_repeat_throttled(call))
        return repeat_later(call);
    throw to_error(refusal, answer, service_, region_, call.unanswered);
}

bool Engine::may_repeat(const Call& call, bool may_have_been_carried_out) const noexcept {
    return call.attempts < call.options.max_attempts.value_or(options_.max_attempts) &&
           !(may_have_been_carried_out && call.options.repeat == Repeat::until_sent);
}

bool Engine::may_repeat_throttled(const Call& call) const noexcept {
    return call.options.bears_throttling ? call.attempts < options_.max_attempts : may_repeat(call, false);
}

void Engine::repeat_later(Call& call) {
    const auto most = std::min(longest_pause, first_pause * (1 << std::min(call.attempts - 1, 10)));
    const auto pause = std::uniform_int_distribution<long>{0, most.count()}(random_);
    paused_.emplace(Clock::now() + std::chrono::milliseconds(pause), &call);
}

bool Engine::adopt_time(Call& call, const Answer& answer, ErrorKind kind) {
    if (kind != ErrorKind::clock && kind != ErrorKind::bad_signature && kind != ErrorKind::expired)
        return false;
    const auto theirs = server_time(answer);
    if (!theirs || call.has_adopted_time)
        return false;
    // With the time that it was signed with: meanwhile others may have learned the service's, or this machine slept.
    if (std::chrono::abs(*theirs - call.signed_at) < tolerated_difference)
        return false;
    clock_difference_ = std::chrono::round<std::chrono::seconds>(*theirs - std::chrono::system_clock::now());
    call.has_adopted_time = true;
    return true;
}

// A key that is over, or that its owner has replaced meanwhile.
bool Engine::renew_credentials(Call& call, ErrorKind kind) {
    if ((kind != ErrorKind::expired && kind != ErrorKind::unknown_key) || call.has_renewed_credentials)
        return false;
    call.has_renewed_credentials = credentials_.renew(call.credentials);
    return call.has_renewed_credentials;
}

std::exception_ptr Engine::closed(const Call& call) const {
    if (call.unanswered > 0)
        return std::make_exception_ptr(UnansweredError("the client of " + service_.name +
                                                       " was closed before the answer came: the request may have been "
                                                       "carried out or not; look before you repeat it"));
    return std::make_exception_ptr(Error(Errc::store_unavailable, "the client of " + service_.name +
                                                                      " was closed before the request was sent: keep "
                                                                      "the client for longer"));
}

void Engine::fail(Call& call, std::exception_ptr error) noexcept {
    call.error = std::move(error);
    done(call);
}

// The call may be gone when this returns.
void Engine::done(Call& call) noexcept {
    call.is_done = true;
    if (call.is_suspended)
        call.suspension.resume();
}

}  // namespace txm::aws::detail
