#include "aws/multi.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <system_error>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace txm::aws::detail {

Descriptor::Descriptor(int fd) : fd_(fd) {
    if (fd < 0)
        throw std::system_error(errno, std::generic_category());
}

Descriptor::~Descriptor() {
    ::close(fd_);
}

Multi::Multi(std::size_t max_connections)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (initialised != CURLE_OK)
        throw Error(Errc::not_supported, "libcurl cannot be used");
    multi_.reset(curl_multi_init());
    if (!multi_)
        throw std::bad_alloc();
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &Multi::watch);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &Multi::set_timer);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(max_connections));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = wake_;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
}

Multi::~Multi() = default;

void Multi::add(Transfer& transfer) {
    const CURLMcode code = curl_multi_add_handle(multi_.get(), transfer.handle());
    if (code != CURLM_OK)
        throw Error(Errc::store_unavailable,
                    std::string("libcurl did not take a request: ") + curl_multi_strerror(code));
}

void Multi::remove(Transfer& transfer) noexcept {
    curl_multi_remove_handle(multi_.get(), transfer.handle());
}

const std::vector<Multi::Finished>& Multi::turn(std::optional<Clock::time_point> deadline) {
    finished_.clear();
    const auto is_due = [this] { return timer_ && *timer_ <= Clock::now(); };
    // What was just added is sent at once, before there is anything to wait for.
    if (is_due()) {
        act(CURL_SOCKET_TIMEOUT, 0);
        collect();
        if (!finished_.empty())
            return finished_;
    }
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_until(deadline));
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.fd == wake_) {
            std::uint64_t times = 0;
            [[maybe_unused]] const ssize_t size = ::read(wake_, &times, sizeof times);
            continue;
        }
        int what = 0;
        if (event.events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
            what |= CURL_CSELECT_IN;
        if (event.events & EPOLLOUT)
            what |= CURL_CSELECT_OUT;
        if (event.events & EPOLLERR)
            what |= CURL_CSELECT_ERR;
        act(event.data.fd, what);
    }
    if (is_due())
        act(CURL_SOCKET_TIMEOUT, 0);
    collect();
    return finished_;
}

void Multi::wake() noexcept {
    const std::uint64_t once = 1;
    [[maybe_unused]] const ssize_t size = ::write(wake_, &once, sizeof once);
}

void Multi::act(curl_socket_t socket, int events) {
    if (socket == CURL_SOCKET_TIMEOUT)
        timer_.reset();
    int running = 0;
    curl_multi_socket_action(multi_.get(), socket, events, &running);
}

int Multi::timeout_until(std::optional<Clock::time_point> deadline) const {
    std::optional<Clock::time_point> until = timer_;
    if (deadline && (!until || *deadline < *until))
        until = deadline;
    if (!until)
        return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now()).count();
    return static_cast<int>(std::clamp<long>(left, 0, 60'000));
}

void Multi::collect() {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_.get(), &left)) {
        if (message->msg != CURLMSG_DONE)
            continue;
        void* transfer = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        finished_.push_back({static_cast<Transfer*>(transfer), message->data.result});
    }
}

// Called by libcurl, inside act(), add() and remove(). `known` is set for a socket that is in the epoll already.
int Multi::watch(CURL*, curl_socket_t socket, int what, void* self, void* known) {
    Multi& multi = *static_cast<Multi*>(self);
    if (what == CURL_POLL_REMOVE) {
        ::epoll_ctl(multi.epoll_, EPOLL_CTL_DEL, socket, nullptr);
        return 0;
    }
    epoll_event event{};
    event.data.fd = socket;
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    ::epoll_ctl(multi.epoll_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
    if (!known)
        curl_multi_assign(multi.multi_.get(), socket, self);
    return 0;
}

int Multi::set_timer(CURLM*, long milliseconds, void* self) {
    auto& timer = static_cast<Multi*>(self)->timer_;
    if (milliseconds < 0)
        timer.reset();
    else
        timer = Clock::now() + std::chrono::milliseconds(milliseconds);
    return 0;
}

}  // namespace txm::aws::detail
