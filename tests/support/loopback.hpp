#pragma once

#include <cstdint>
#include <random>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace txm::test {

/// A port of 127.0.0.1, which only this machine sees.
inline sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
}

/// A connected socket, or -1 when nobody listens there.
inline int connect_to(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return fd;
    ::close(fd);
    return -1;
}

struct Listener {
    int fd, port;
};

/// @param port 0: any  @throws std::runtime_error when it is taken
inline Listener listen_on(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(port);
    socklen_t size = sizeof address;
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 256) != 0) {
        ::close(fd);
        throw std::runtime_error("cannot listen on a port of this machine");
    }
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return {fd, ntohs(address.sin_port)};
}

/// For a server that is told its port. None of those that the kernel gives to connections: until the server has it, another
/// connection could.
inline int free_port() {
    std::random_device random;
    for (int tries = 0; tries < 100; ++tries) {
        const int port = 15'000 + static_cast<int>(random() % 15'000);
        try {
            ::close(listen_on(port).fd);
            return port;
        } catch (const std::runtime_error&) {
            continue;  // somebody has it
        }
    }
    throw std::runtime_error("no port from 15000 to 29999 is free");
}

}  // namespace txm::test
