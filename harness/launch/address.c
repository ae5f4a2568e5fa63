/* harness/launch/address.c -- see address.h. */
#include "harness/launch/address.h"

#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDRESS = 64 };

/* --- listening --- */

/* IPv6 that takes IPv4 too, or IPv4 where there is no other. */
static int bind_to(int family, int port)
{
    const int fd =
        socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int no = 0;
    const struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                                     .sin6_port = htons((uint16_t)port)};
    const struct sockaddr_in four = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)port)};
    if (fd < 0)
        return -1;
    int failed;
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
        failed = bind(fd, (const struct sockaddr *)&six, sizeof six);
    } else {
        failed = bind(fd, (const struct sockaddr *)&four, sizeof four);
    }
    if (failed == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    close(fd);
    return -1;
}

static int bind_in_range(void)
{
    int low = 0, high = 0;
    const char *range = getenv("MPIEXEC_PORT_RANGE");
    if (range != NULL && sscanf(range, "%d:%d", &low, &high) != 2)
        low = high = 0;
    for (int port = low; port <= high; port++) {
        int fd = bind_to(AF_INET6, port);
        if (fd < 0)
            fd = bind_to(AF_INET, port);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

static int port_of(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t bytes = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &bytes) != 0)
        return 0;
    return ntohs(
        at.ss_family == AF_INET6
            ? ((const struct sockaddr_in6 *)(const void *)&at)->sin6_port
            : ((const struct sockaddr_in *)(const void *)&at)->sin_port);
}

static bool is_link_local(const struct sockaddr *a)
{
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LINKLOCAL(
               &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

/* Append those of one sort: loopback comes last, for hosts that are one. */
static size_t append(char *text, size_t used, const struct ifaddrs *all,
                     bool loopback)
{
    for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
        char number[ADDRESS];
        const struct sockaddr *at = a->ifa_addr;
        if (at == NULL || !(a->ifa_flags & IFF_UP) ||
            loopback != ((a->ifa_flags & IFF_LOOPBACK) != 0) ||
            (at->sa_family != AF_INET && at->sa_family != AF_INET6) ||
            is_link_local(at) ||
            getnameinfo(at,
                        at->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                 : sizeof(struct sockaddr_in6),
                        number, sizeof number, NULL, 0, NI_NUMERICHOST) != 0 ||
            used + strlen(number) + 2 > HAR_ADDRESS_BYTES)
            continue;
        used += (size_t)snprintf(text + used, HAR_ADDRESS_BYTES - used, " %s",
                                 number);
    }
    return used;
}

core_status har_address_listen(int *fd, uint64_t *token,
                               char address[HAR_ADDRESS_BYTES])
{
    struct ifaddrs *all = NULL;
    *fd = bind_in_range();
    CORE_FAIL_IF(*fd < 0 || getentropy(token, sizeof *token) != 0, CORE_E_FILE,
                 "no port to listen on for the other hosts: %s",
                 strerror(errno));
    size_t used = (size_t)snprintf(address, HAR_ADDRESS_BYTES, "%d %016" PRIx64,
                                   port_of(*fd), *token);
    if (getifaddrs(&all) == 0) {
        used = append(address, used, all, false);
        (void)append(address, used, all, true);
        freeifaddrs(all);
    }
    return CORE_OK;
}

/* --- calling --- */

uint64_t har_address_token(const char *address)
{
    const char *space = strchr(address, ' ');
    return space != NULL ? strtoull(space, NULL, 16) : 0;
}

/* Word i of those behind the first two, counted round; false if none. */
static bool pick(char out[ADDRESS], const char *address, int i)
{
    char copy[HAR_ADDRESS_BYTES], *save = NULL;
    const char *word[HAR_ADDRESS_BYTES / 2];
    int n = -2;
    snprintf(copy, sizeof copy, "%s", address);
    for (char *w = strtok_r(copy, " ", &save); w != NULL;
         w = strtok_r(NULL, " ", &save), n++)
        if (n >= 0)
            word[n] = w;
    if (n < 1)
        return false;
    snprintf(out, ADDRESS, "%s", word[i % n]);
    return true;
}

static bool connects(int fd, const struct addrinfo *to)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return true;
    return errno == EINPROGRESS && poll(&wait, 1, 1000) == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 &&
           error == 0;
}

int har_address_call(const char *address, int i)
{
    char number[ADDRESS], port[16];
    struct addrinfo *to = NULL;
    const struct addrinfo wish = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                  .ai_socktype = SOCK_STREAM};
    snprintf(port, sizeof port, "%d", atoi(address));
    if (!pick(number, address, i) || getaddrinfo(number, port, &wish, &to) != 0)
        return -1;
    int fd =
        socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !connects(fd, to)) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(to);
    return fd;
}
