/* harness/launch/hosts.c -- see hosts.h.
 *
 * A message is a head and a body; a head without the run's token ends the
 * connection, so no stranger can say anything.  A connection that cannot take
 * the next board now gets a later one: what is unsent never queues up.
 */
#include "harness/launch/hosts.h"

#include "harness/launch/address.h"
#include "parallel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MOST_HOSTS = 256,
    BEAT_MS = 500,
    NAP_MS = 10,
    PATIENCE_MS = 2000,
    LONGEST_FILE = 16 << 20,
    NAME_BYTES = 16
};

typedef enum kind { BOARD = 1, FILE_OF_RANK_0 } kind;

typedef struct head {
    uint64_t token;
    uint32_t kind, bytes; /* of the body that follows                         */
} head;

typedef struct beat { /* a body; n copies follow                              */
    int32_t aborted, fraction, n, unused;
    char line[PAR_BOARD_LINE];
} beat;

typedef struct peer {
    int fd;        /* -1: none                                                */
    int rank;      /* one of its ranks; -1: none heard of                     */
    uint64_t host; /* theirs                                                  */
    bool is_told;  /* how the run was ended                                   */
    char *in, *out;
    size_t n_in, n_out, sent; /* bytes                                        */
} peer;

struct har_hosts {
    par_board *board;
    const char *folder; /* NULL: not the middle                               */
    int listen_fd;
    uint64_t token;
    char address[HAR_ADDRESS_BYTES];
    int n_peer, next_address;
    peer *peer; /* of MOST_HOSTS; not the middle: one                        */
    int left;   /* a rank of a host that left too early; -1                  */
    bool was_joined;
    int64_t called_ns;
    size_t room; /* bytes of the longest board                                */
    par_board_copy *copies; /* of all ranks: in a message they lie anywhere   */
    int64_t beat_ns;
    int said; /* board->aborted when the last beat went                    */
};

static size_t board_room(const par_board *board)
{
    return sizeof(head) + sizeof(beat) +
           (size_t)board->n_rank * sizeof(par_board_copy);
}

static core_status make(har_hosts **out, par_board *board, int n_peer)
{
    har_hosts *h = calloc(1, sizeof *h);
    peer *peers = calloc((size_t)n_peer, sizeof *peers);
    par_board_copy *copies =
        aligned_alloc(_Alignof(par_board_copy),
                      (size_t)board->n_rank * sizeof *copies);
    if (h == NULL || peers == NULL || copies == NULL) {
        free(h);
        free(peers);
        free(copies);
        CORE_FAIL(CORE_E_MEMORY, "no memory to watch over several hosts");
    }
    for (int i = 0; i < n_peer; i++)
        peers[i] = (peer){.fd = -1, .rank = -1};
    *h = (har_hosts){.board = board,
                     .listen_fd = -1,
                     .peer = peers,
                     .left = -1,
                     .room = board_room(board),
                     .copies = copies};
    *out = h;
    return CORE_OK;
}

core_status har_hosts_open(har_hosts **out, par_board *board,
                           const char *folder)
{
    har_hosts *h = NULL;
    CORE_TRY(make(&h, board, MOST_HOSTS));
    h->folder = folder;
    const core_status status =
        har_address_listen(&h->listen_fd, &h->token, h->address);
    if (status != CORE_OK)
        har_hosts_close(h);
    else
        *out = h;
    return status;
}

core_status har_hosts_join(har_hosts **out, par_board *board,
                           const char *address)
{
    CORE_TRY(make(out, board, 1));
    snprintf((*out)->address, HAR_ADDRESS_BYTES, "%s", address);
    (*out)->token = har_address_token(address);
    return CORE_OK;
}

const char *har_hosts_address(const har_hosts *h)
{
    return h->address;
}

/* --- connections --- */

static void drop(har_hosts *h, peer *p)
{
    const bool is_early =
        p->rank >= 0 && h->left < 0 &&
        atomic_load(&h->board->rank[p->rank].state) != PAR_RANK_FINISHED;
    if (is_early)
        h->left = p->rank;
    close(p->fd);
    free(p->in);
    free(p->out);
    *p = (peer){.fd = -1, .rank = -1};
}

/* Room for the longest message on both ways.                                 */
static void add(har_hosts *h, peer *p, int fd)
{
    *p = (peer){
        .fd = fd, .rank = -1, .in = malloc(h->room), .out = malloc(h->room)};
    if (p->in == NULL || p->out == NULL)
        drop(h, p);
}

static peer *free_peer(har_hosts *h)
{
    for (int i = 0; i < h->n_peer; i++)
        if (h->peer[i].fd < 0)
            return &h->peer[i];
    return h->n_peer < MOST_HOSTS ? &h->peer[h->n_peer++] : NULL;
}

static void accept_all(har_hosts *h)
{
    for (peer *p; (p = free_peer(h)) != NULL;) {
        const int fd = accept(h->listen_fd, NULL, NULL);
        if (fd < 0)
            return;
        fcntl(fd, F_SETFD, FD_CLOEXEC); /* reads and writes say DONTWAIT */
        add(h, p, fd);
    }
}

/* Who takes the call and does not answer is somebody else. */
static void call_the_middle(har_hosts *h)
{
    peer *p = &h->peer[0];
    if (h->was_joined)
        return;
    if (p->fd >= 0 &&
        par_now_ns() - h->called_ns > PATIENCE_MS * (int64_t)1000000)
        drop(h, p);
    if (p->fd >= 0)
        return;
    const int fd = har_address_call(h->address, h->next_address++);
    h->called_ns = par_now_ns();
    h->n_peer = 1;
    if (fd >= 0)
        add(h, p, fd);
}

/* --- sending --- */

static void flush_out(har_hosts *h, peer *p)
{
    while (p->fd >= 0 && p->sent < p->n_out) {
        const ssize_t n = send(p->fd, p->out + p->sent, p->n_out - p->sent,
                               MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            drop(h, p);
            return;
        }
        p->sent += (size_t)n;
    }
}

static bool has_unsent(const peer *p)
{
    return p->sent < p->n_out;
}

static void send_board(har_hosts *h, peer *p)
{
    const uint64_t not_of = h->folder != NULL ? p->host : 0;
    if (p->fd < 0 || has_unsent(p) || (h->folder != NULL && not_of == 0))
        return; /* in the middle: it is yet to say who it is */
    beat *b = (beat *)(void *)(p->out + sizeof(head));
    *b = (beat){.aborted = atomic_load(&h->board->aborted),
                .fraction = atomic_load(&h->board->fraction)};
    memcpy(b->line, h->board->line, sizeof b->line);
    b->n = par_board_copies(h->board, not_of, h->copies);
    memcpy(b + 1, h->copies, (size_t)b->n * sizeof *h->copies);
    const head top = {
        h->token, BOARD,
        (uint32_t)(sizeof *b + (size_t)b->n * sizeof(par_board_copy))};
    memcpy(p->out, &top, sizeof top);
    p->n_out = sizeof top + top.bytes;
    p->sent = 0;
    p->is_told |= h->folder != NULL && b->aborted != 0;
    flush_out(h, p);
}

/* --- receiving --- */

static void take_board(har_hosts *h, peer *p, const char *body, size_t bytes)
{
    beat b;
    if (bytes < sizeof b)
        return;
    memcpy(&b, body, sizeof b);
    b.line[sizeof b.line - 1] = '\0';
    par_board_copy *copy = h->copies;
    if (b.n < 0 || b.n > h->board->n_rank ||
        bytes != sizeof b + (size_t)b.n * sizeof *copy)
        return;
    memcpy(copy, body + sizeof b, (size_t)b.n * sizeof *copy);
    par_board_take(h->board, copy, b.n);
    if (h->folder == NULL)
        atomic_store(&h->board->fraction, b.fraction);
    else if (b.n > 0 && copy[0].rank >= 0 && copy[0].rank < h->board->n_rank) {
        p->rank = copy[0].rank;
        p->host = atomic_load(&copy[0].record.host);
        for (int i = 0; i < b.n; i++) /* rank 0 knows how far the run is */
            if (copy[i].rank == 0)
                atomic_store(&h->board->fraction, b.fraction);
    }
    h->was_joined = true;
    if (b.aborted != 0) {
        (void)par_board_claim(h->board, (core_status)b.aborted, b.line);
        p->is_told = true;
    }
}

static void take_file(const har_hosts *h, const char *body, size_t bytes)
{
    char name[NAME_BYTES], path[400];
    if (h->folder == NULL || bytes < sizeof name)
        return;
    memcpy(name, body, sizeof name);
    name[sizeof name - 1] = '\0';
    if (strcmp(name, "report") != 0 && strcmp(name, "errors") != 0)
        return;
    snprintf(path, sizeof path, "%s/%s", h->folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return;
    fwrite(body + sizeof name, 1, bytes - sizeof name, file);
    fclose(file);
}

/* The message at the front of what has come, if it is complete: its bytes; 0 if
 * not; -1: not one of ours.                                                  */
static ssize_t take_message(har_hosts *h, peer *p)
{
    head top;
    if (p->n_in < sizeof top)
        return 0;
    memcpy(&top, p->in, sizeof top);
    const size_t all = sizeof top + top.bytes;
    if (top.token != h->token || top.bytes > LONGEST_FILE)
        return -1;
    if (p->n_in < all) {
        char *larger = all > h->room ? realloc(p->in, all) : p->in;
        if (larger == NULL)
            return -1;
        p->in = larger;
        return 0;
    }
    if (top.kind == BOARD)
        take_board(h, p, p->in + sizeof top, top.bytes);
    else if (top.kind == FILE_OF_RANK_0)
        take_file(h, p->in + sizeof top, top.bytes);
    return (ssize_t)all;
}

/* Bytes that may still come before the message under way is complete. */
static size_t wanted(const peer *p)
{
    head top;
    if (p->n_in < sizeof top)
        return sizeof top - p->n_in;
    memcpy(&top, p->in, sizeof top);
    return sizeof top + top.bytes - p->n_in;
}

static void receive(har_hosts *h, peer *p)
{
    while (p->fd >= 0) {
        const size_t most = wanted(p);
        const ssize_t n = recv(p->fd, p->in + p->n_in, most, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0 && most > 0) {
            drop(h, p);
            return;
        }
        p->n_in += n > 0 ? (size_t)n : 0;
        const ssize_t used = take_message(h, p);
        if (used < 0)
            drop(h, p);
        else if (used > 0)
            p->n_in = 0;
    }
}

/* --- both --- */

void har_hosts_step(har_hosts *h)
{
    if (h == NULL)
        return;
    if (h->listen_fd >= 0)
        accept_all(h);
    else
        call_the_middle(h);
    for (int i = 0; i < h->n_peer; i++)
        receive(h, &h->peer[i]);
    const int64_t now = par_now_ns();
    const int aborted = atomic_load(&h->board->aborted);
    const bool is_time = now - h->beat_ns >= BEAT_MS * (int64_t)1000000 ||
                         aborted != h->said ||
                         par_board_home_finished(h->board);
    if (is_time) {
        par_board_look(h->board);
        h->beat_ns = now;
        h->said = aborted;
    }
    for (int i = 0; i < h->n_peer; i++) {
        flush_out(h, &h->peer[i]);
        if (is_time)
            send_board(h, &h->peer[i]);
    }
}

bool har_hosts_is_joined(const har_hosts *h)
{
    return h != NULL && h->peer[0].fd >= 0 && h->was_joined;
}

bool har_hosts_is_alone(const har_hosts *h)
{
    return h != NULL && h->folder == NULL && h->was_joined && h->peer[0].fd < 0;
}

int har_hosts_left(const har_hosts *h)
{
    return h != NULL ? h->left : -1;
}

static bool all_told(const har_hosts *h)
{
    for (int i = 0; i < h->n_peer; i++)
        if (h->peer[i].fd >= 0 &&
            (!h->peer[i].is_told || has_unsent(&h->peer[i])))
            return false;
    return true;
}

void har_hosts_tell(har_hosts *h)
{
    for (int ms = 0; h != NULL && ms < PATIENCE_MS; ms += NAP_MS) {
        h->beat_ns = 0;
        har_hosts_step(h);
        if (all_told(h))
            return;
        par_nap_ms(NAP_MS);
    }
}

void har_hosts_listen(har_hosts *h)
{
    enum { LISTEN_MS = 700 };
    for (int ms = 0; h != NULL && ms < LISTEN_MS; ms += NAP_MS) {
        har_hosts_step(h);
        if (atomic_load(&h->board->aborted) != 0)
            return;
        par_nap_ms(NAP_MS);
    }
}

static void flush_patiently(har_hosts *h, peer *p)
{
    for (int ms = 0; p->fd >= 0 && has_unsent(p) && ms < PATIENCE_MS;
         ms += NAP_MS) {
        flush_out(h, p);
        par_nap_ms(NAP_MS);
    }
}

void har_hosts_send_file(har_hosts *h, const char *folder, const char *name)
{
    char path[400];
    peer *p = &h->peer[0];
    flush_patiently(h, p);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = p->fd >= 0 && !has_unsent(p) ? fopen(path, "r") : NULL;
    if (file == NULL)
        return;
    fseek(file, 0, SEEK_END);
    const long length = ftell(file);
    rewind(file);
    const size_t all = sizeof(head) + NAME_BYTES + (size_t)length;
    char *larger = length >= 0 && length <= LONGEST_FILE - NAME_BYTES
                       ? realloc(p->out, all > h->room ? all : h->room)
                       : NULL;
    if (larger != NULL) {
        const head top = {h->token, FILE_OF_RANK_0,
                          NAME_BYTES + (uint32_t)length};
        p->out = larger;
        memcpy(larger, &top, sizeof top);
        memset(larger + sizeof top, 0, NAME_BYTES);
        snprintf(larger + sizeof top, NAME_BYTES, "%s", name);
        p->sent = 0;
        p->n_out = fread(larger + sizeof top + NAME_BYTES, 1, (size_t)length,
                         file) == (size_t)length
                       ? all
                       : 0;
    }
    fclose(file);
    flush_patiently(h, p);
}

void har_hosts_wait(har_hosts *h)
{
    for (int ms = 0; h != NULL && ms < PATIENCE_MS; ms += NAP_MS) {
        int n = 0;
        har_hosts_step(h);
        for (int i = 0; i < h->n_peer; i++)
            n += h->peer[i].fd >= 0;
        if (n == 0)
            return;
        par_nap_ms(NAP_MS);
    }
}

void har_hosts_close(har_hosts *h)
{
    if (h == NULL)
        return;
    for (int i = 0; i < h->n_peer; i++)
        if (h->peer[i].fd >= 0)
            drop(h, &h->peer[i]);
    if (h->listen_fd >= 0)
        close(h->listen_fd);
    free(h->peer);
    free(h->copies);
    free(h);
}
