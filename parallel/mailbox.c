/* parallel/mailbox.c -- see mailbox.h.
 *
 * An inbox is a word: the newest piece, which knows the one before it.  Senders
 * put themselves in front with a compare-and-exchange; the owner takes all at
 * once and turns them round, so no piece can be in the list twice.
 *
 * To sleep, a rank writes the count of events that shall wake it and then looks
 * at the count once more; a sender counts first and then looks whether this is
 * the event that was waited for.  One of the two sees the other, and one sender
 * alone wakes.
 */
#include "parallel/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 64, PAGE = 4096, PIECES = 4 }; /* that fit into an outbox */

typedef struct inbox {
    _Alignas(LINE) _Atomic uint64_t newest; /* offset in the file; 0: empty   */
    _Atomic uint32_t events;                /* what a sleeper sleeps on       */
    _Atomic uint32_t wake_at;               /* the count that wakes it        */
    _Atomic uint32_t wants_room; /* in the outbox of the same rank            */
} inbox;

struct par_mailboxes {
    int n_rank, me;
    char *base;
    inbox *inbox;          /* [n_rank] */
    uint64_t outbox_bytes; /* of each */
    uint64_t first, last;  /* of my outbox in use: bytes since the beginning */
};

/* --- the file --- */

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Much for few ranks, 64 KiB at least. */
static uint64_t outbox_bytes(int n_rank)
{
    const uint64_t most = 1 << 20, least = 1 << 16, all = 1 << 26;
    const uint64_t share = round_up(all / (uint64_t)n_rank, PAGE);
    return share > most ? most : share < least ? least : share;
}

/* A page that nothing points into, the inboxes, the outboxes. */
static uint64_t first_outbox(int n_rank)
{
    return PAGE + round_up((uint64_t)n_rank * sizeof(inbox), PAGE);
}

size_t par_mailboxes_bytes(int n_rank)
{
    return first_outbox(n_rank) + (uint64_t)n_rank * outbox_bytes(n_rank);
}

core_status par_mailboxes_create(const char *path, int n_rank)
{
    const size_t bytes = par_mailboxes_bytes(n_rank);
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CORE_FAIL_IF(fd < 0, core_status_of_errno(errno),
                 "%s: cannot make the mailboxes: %s", path, strerror(errno));
    const int full = posix_fallocate(fd, 0, (off_t)bytes);
    close(fd);
    if (full == 0)
        return CORE_OK;
    unlink(path);
    CORE_FAIL(CORE_E_SPACE, "%s: no %zu bytes for the mailboxes: %s", path,
              bytes, strerror(full));
}

core_status par_mailboxes_map(par_mailboxes **out, const char *path, int n_rank,
                              int me)
{
    const size_t bytes = par_mailboxes_bytes(n_rank);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    CORE_FAIL_IF(fd < 0, core_status_of_errno(errno),
                 "%s: cannot open the mailboxes: %s", path, strerror(errno));
    struct stat st;
    void *map = MAP_FAILED;
    if (fstat(fd, &st) == 0 && (size_t)st.st_size == bytes)
        map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    CORE_FAIL_IF(map == MAP_FAILED, CORE_E_FILE, "%s: cannot map the mailboxes",
                 path);
    par_mailboxes *m = malloc(sizeof *m);
    if (!m) {
        munmap(map, bytes);
        CORE_FAIL(CORE_E_MEMORY, "no memory for the mailboxes");
    }
    char *base = map;
    *m = (par_mailboxes){.n_rank = n_rank,
                         .me = me,
                         .base = base,
                         .inbox = (inbox *)(void *)(base + PAGE),
                         .outbox_bytes = outbox_bytes(n_rank)};
    *out = m;
    return CORE_OK;
}

void par_mailboxes_unmap(par_mailboxes *m)
{
    if (!m)
        return;
    munmap(m->base, par_mailboxes_bytes(m->n_rank));
    free(m);
}

/* --- waking and sleeping --- */

static long futex(_Atomic uint32_t *word, int op, uint32_t value,
                  const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

static void notify(inbox *box)
{
    const uint32_t events = atomic_fetch_add(&box->events, 1) + 1;
    if (events == atomic_load(&box->wake_at))
        (void)futex(&box->events, FUTEX_WAKE, 1, NULL);
}

uint32_t par_mail_events(const par_mailboxes *m)
{
    return atomic_load(&m->inbox[m->me].events);
}

void par_mail_sleep(par_mailboxes *m, uint32_t seen, uint32_t wanted,
                    int64_t longest_ns)
{
    enum { SECOND = 1000000000 };
    inbox *box = &m->inbox[m->me];
    const struct timespec longest = {longest_ns / SECOND, longest_ns % SECOND};
    atomic_store(&box->wake_at, seen + wanted);
    const uint32_t events = atomic_load(&box->events);
    if (events - seen < wanted) /* counts wrap */
        (void)futex(&box->events, FUTEX_WAIT, events, &longest);
}

/* --- my outbox --- */

static par_mail *mail_at(const par_mailboxes *m, uint64_t offset)
{
    return (par_mail *)(void *)(m->base + offset);
}

static uint64_t outbox_offset(const par_mailboxes *m, uint64_t position)
{
    return first_outbox(m->n_rank) + (uint64_t)m->me * m->outbox_bytes +
           position % m->outbox_bytes;
}

static void use_again(par_mailboxes *m)
{
    while (m->first < m->last) {
        const par_mail *oldest = mail_at(m, outbox_offset(m, m->first));
        if (!atomic_load(&oldest->is_taken))
            return;
        m->first += oldest->span;
    }
    m->first = m->last = 0; /* the same few pages, as long as they do */
}

/* Room for a piece, in one stretch: its offset; 0: there is none. */
static uint64_t find_room(par_mailboxes *m, uint64_t span)
{
    use_again(m);
    const uint64_t to_end = m->outbox_bytes - m->last % m->outbox_bytes;
    const uint64_t gap = to_end < span ? to_end : 0;
    if (m->last - m->first + gap + span > m->outbox_bytes)
        return 0;
    if (gap > 0) {
        par_mail *filler = mail_at(m, outbox_offset(m, m->last));
        filler->span = (uint32_t)gap;
        atomic_store(&filler->is_taken, 1);
        m->last += gap;
    }
    const uint64_t offset = outbox_offset(m, m->last);
    m->last += span;
    return offset;
}

int64_t par_mail_longest(const par_mailboxes *m)
{
    return (int64_t)(m->outbox_bytes / PIECES - sizeof(par_mail));
}

bool par_mail_send(par_mailboxes *m, int to, const par_mail *piece,
                   const void *bytes)
{
    const uint64_t n = (uint64_t)piece->bytes;
    const uint64_t span = sizeof *piece + round_up(n, LINE);
    uint64_t offset = find_room(m, span);
    if (offset == 0) { /* say so, and look whether that was too late */
        atomic_store(&m->inbox[m->me].wants_room, 1);
        offset = find_room(m, span);
        if (offset == 0)
            return false;
    }
    par_mail *mine = mail_at(m, offset);
    mine->span = (uint32_t)span;
    mine->from = m->me;
    mine->tag = piece->tag;
    mine->total = piece->total;
    mine->at = piece->at;
    mine->bytes = piece->bytes;
    atomic_store(&mine->is_taken, 0);
    if (n > 0)
        memcpy(mine + 1, bytes, n);
    inbox *box = &m->inbox[to];
    mine->next = atomic_load(&box->newest);
    while (!atomic_compare_exchange_weak(&box->newest, &mine->next, offset))
        ; /* somebody else was faster, and is the one before now */
    notify(box);
    return true;
}

/* --- my inbox --- */

par_mail *par_mail_take(par_mailboxes *m)
{
    uint64_t oldest = 0, at = atomic_exchange(&m->inbox[m->me].newest, 0);
    while (at != 0) {
        par_mail *piece = mail_at(m, at);
        const uint64_t before = piece->next;
        piece->next = oldest;
        oldest = at;
        at = before;
    }
    return oldest != 0 ? mail_at(m, oldest) : NULL;
}

par_mail *par_mail_next(par_mailboxes *m, const par_mail *piece)
{
    return piece->next != 0 ? mail_at(m, piece->next) : NULL;
}

void par_mail_done(par_mailboxes *m, par_mail *piece)
{
    inbox *box = &m->inbox[piece->from];
    atomic_store(&piece->is_taken, 1);
    if (atomic_load(&box->wants_room) && atomic_exchange(&box->wants_room, 0))
        notify(box);
}
