#include "bare_curl.hpp"

#include <curl/curl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <vector>

namespace txm::bench {
namespace {

std::size_t ignore(char*, std::size_t size, std::size_t count, void*) {
    return size * count;
}

void check(CURL* easy, CURLcode code) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200)
        throw std::runtime_error(std::string("libcurl: ") + curl_easy_strerror(code));
}

struct Loop {
    int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    long timeout = -1;
    CURLM* multi = curl_multi_init();

    static int watch(CURL*, curl_socket_t socket, int what, void* self, void* known) {
        Loop& loop = *static_cast<Loop*>(self);
        epoll_event event{};
        event.data.fd = socket;
        if (what == CURL_POLL_REMOVE) {
            ::epoll_ctl(loop.epoll, EPOLL_CTL_DEL, socket, nullptr);
            return 0;
        }
        event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
        ::epoll_ctl(loop.epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
        curl_multi_assign(loop.multi, socket, self);
        return 0;
    }
    static int set_timer(CURLM*, long milliseconds, void* self) {
        static_cast<Loop*>(self)->timeout = milliseconds;
        return 0;
    }
};

}  // namespace

BareCurl::BareCurl(std::string endpoint, std::string action, std::string body)
    : endpoint_(std::move(endpoint)), body_(std::move(body)), target_("X-Amz-Target: " + action) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void BareCurl::prepare(void* easy) const {
    static const std::string keys = std::string(aws_key) + ":" + aws_secret;
    static const std::string provider = std::string("aws:amz:") + aws_region + ":dynamodb";
    static curl_slist* const headers =
        curl_slist_append(curl_slist_append(nullptr, "Content-Type: application/x-amz-json-1.0"), target_.c_str());
    curl_easy_setopt(easy, CURLOPT_URL, (endpoint_ + "/").c_str());
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, provider.c_str());
    curl_easy_setopt(easy, CURLOPT_USERPWD, keys.c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(body_.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body_.c_str());
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &ignore);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
}

void BareCurl::one_by_one(int requests) const {
    const std::unique_ptr<CURL, void (*)(CURL*)> easy(curl_easy_init(), &curl_easy_cleanup);
    prepare(easy.get());
    for (int i = 0; i < requests; ++i)
        check(easy.get(), curl_easy_perform(easy.get()));
}

void BareCurl::at_once(int requests, int concurrency) const {
    Loop loop;
    curl_multi_setopt(loop.multi, CURLMOPT_SOCKETFUNCTION, &Loop::watch);
    curl_multi_setopt(loop.multi, CURLMOPT_SOCKETDATA, &loop);
    curl_multi_setopt(loop.multi, CURLMOPT_TIMERFUNCTION, &Loop::set_timer);
    curl_multi_setopt(loop.multi, CURLMOPT_TIMERDATA, &loop);
    std::vector<CURL*> easies;
    int left = requests, under_way = 0;
    for (; under_way < concurrency && left > 0; ++under_way, --left) {
        easies.push_back(curl_easy_init());
        prepare(easies.back());
        curl_multi_add_handle(loop.multi, easies.back());
    }
    std::array<epoll_event, 64> events;
    while (under_way > 0) {
        int running = 0;
        const int count =
            ::epoll_wait(loop.epoll, events.data(), static_cast<int>(events.size()), static_cast<int>(loop.timeout));
        if (count == 0) {
            loop.timeout = -1;
            curl_multi_socket_action(loop.multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<std::size_t>(i)];
            const int what = (event.events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                             (event.events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
            curl_multi_socket_action(loop.multi, event.data.fd, what, &running);
        }
        int queued = 0;
        while (const CURLMsg* const message = curl_multi_info_read(loop.multi, &queued)) {
            CURL* const easy = message->easy_handle;
            check(easy, message->data.result);
            curl_multi_remove_handle(loop.multi, easy);
            if (left-- > 0)
                curl_multi_add_handle(loop.multi, easy);
            else
                --under_way;
        }
    }
    for (CURL* const easy : easies)
        curl_easy_cleanup(easy);
    curl_multi_cleanup(loop.multi);
    ::close(loop.epoll);
}

}  // namespace txm::bench
