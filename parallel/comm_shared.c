/* parallel/comm_shared.c -- messages through the memory of one host.
 *
 * A rank that waits sleeps until as many pieces have come as it has receives to
 * fill: one switch to it and not one for each.  It takes whatever has come, for
 * this receive or another; what nobody has asked for yet is put by, so that no
 * sender waits for a receive to be posted.
 *
 * Trap: of two messages with the same tag the first one sent meets the receive
 * that was posted first, and a receive may be posted while its message arrives.
 */
#include "parallel/comm_impl.h"

#include "parallel/mailbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A message that nobody has asked for. */
typedef struct early {
    int tag;
    int64_t n, total; /* bytes here, of so many                             */
    struct early *next;
    char bytes[];
} early;

/* From one rank; messages in the order in which they were sent or posted.    */
typedef struct source {
    par_request *posted;
    early *early;
    char
        *into; /* of the message that arrives: its beginning, and whose it is */
    par_request *receive;
    struct early *put_by;
} source;

static struct {
    par_mailboxes *boxes;
    source *from;                        /* [n] */
    int n;                               /* ranks                            */
    par_request *sending, *last_sending; /* not all of it sent               */
    uint32_t seen;                       /* events before the last look      */
} shared;

/* --- receiving --- */

static void complete(par_request *r)
{
    r->handle = 1;
}

static bool is_complete(const par_request *r)
{
    return r->handle != 0;
}

static early *put_by(par_comm *comm, source *s, const par_mail *piece)
{
    early **end = &s->early;
    early *e = malloc(sizeof *e + (size_t)piece->total);
    if (!e)
        par_abort(comm, CORE_E_MEMORY, "no memory for a message of %lld bytes",
                  (long long)piece->total);
    while (*end)
        end = &(*end)->next;
    *e = (early){.tag = piece->tag, .total = piece->total};
    *end = e;
    return e;
}

/* Where shall a message go that begins to arrive? */
static void begin_message(par_comm *comm, source *s, const par_mail *piece)
{
    par_request **p = &s->posted;
    while (*p && (*p)->tag != piece->tag)
        p = &(*p)->next;
    s->receive = *p;
    s->put_by = *p ? NULL : put_by(comm, s, piece);
    s->into = *p ? (*p)->buf : s->put_by->bytes;
    if (!*p)
        return;
    par__check_length(comm, *p, piece->total);
    *p = (*p)->next;
}

static void accept_piece(par_comm *comm, const par_mail *piece)
{
    source *s = &shared.from[piece->from];
    if (piece->at == 0)
        begin_message(comm, s, piece);
    if (piece->bytes > 0)
        memcpy(s->into + piece->at, piece + 1, (size_t)piece->bytes);
    if (s->put_by)
        s->put_by->n += piece->bytes;
    if (piece->at + piece->bytes < piece->total)
        return;
    if (s->receive)
        complete(s->receive);
    s->receive = NULL;
    s->put_by = NULL;
}

/* The message may have come, or be coming. */
static void start_receive(par_comm *comm, par_request *r)
{
    source *s = &shared.from[r->peer];
    early **p = &s->early;
    while (*p && (*p)->tag != r->tag)
        p = &(*p)->next;
    early *e = *p;
    if (!e) {
        par_request **end = &s->posted;
        while (*end)
            end = &(*end)->next;
        r->next = NULL;
        *end = r;
        return;
    }
    par__check_length(comm, r, e->total);
    if (e->n > 0)
        memcpy(r->buf, e->bytes, (size_t)e->n);
    if (e == s->put_by) {
        s->receive = r;
        s->into = r->buf;
        s->put_by = NULL;
    } else {
        complete(r);
    }
    *p = e->next;
    free(e);
}

/* --- sending --- */

static bool send_rest(par_request *r)
{
    const int64_t longest = par_mail_longest(shared.boxes);
    do { /* once for no bytes at all */
        const int64_t left = r->bytes - r->n_moved;
        const par_mail piece = {.tag = r->tag,
                                .total = r->bytes,
                                .at = r->n_moved,
                                .bytes = left < longest ? left : longest};
        if (!par_mail_send(shared.boxes, r->peer, &piece, r->buf + r->n_moved))
            return false;
        r->n_moved += piece.bytes;
    } while (r->n_moved < r->bytes);
    complete(r);
    return true;
}

/* One message after the other, so that pieces of two do not mix. */
static void send_all(void)
{
    while (shared.sending && send_rest(shared.sending))
        shared.sending = shared.sending->next;
}

static void start_send(par_request *r)
{
    r->next = NULL;
    if (shared.sending)
        shared.last_sending->next = r;
    else
        shared.sending = r;
    shared.last_sending = r;
    send_all();
}

/* --- the transport --- */

static void start_part(par_comm *comm, par_request *r)
{
    if (r->kind == PAR_SEND)
        start_send(r);
    else
        start_receive(comm, r);
}

static bool test_part(par_comm *comm, par_request *r)
{
    if (is_complete(r))
        return true;
    shared.seen = par_mail_events(shared.boxes);
    par_mail *next, *piece = par_mail_take(shared.boxes);
    for (; piece; piece = next) {
        next = par_mail_next(shared.boxes, piece);
        accept_piece(comm, piece);
        par_mail_done(shared.boxes, piece);
    }
    send_all();
    return is_complete(r);
}

/* Receives of the operation under way that miss something. */
static uint32_t n_missing(const struct par_comm_impl *impl)
{
    uint32_t n = 0;
    for (int i = 0; i < impl->n_requests; i++)
        n += impl->requests[i]->kind == PAR_RECV &&
             !is_complete(impl->requests[i]);
    return n > 0 ? n : 1;
}

/* Looks for deaths less often where ranks share few cores: 512 ranks that wake
 * ten times a second would keep one busy.                                    */
static void rest(par_comm *comm, const par_request *r, int n)
{
    enum { LOOK_NS = 100000000, LOOK_NS_PER_RANK = 2000000 };
    (void)r;
    (void)n;
    par_mail_sleep(shared.boxes, shared.seen,
                   shared.sending ? 1 : n_missing(comm->impl),
                   LOOK_NS + (int64_t)comm->size * LOOK_NS_PER_RANK);
}

core_status par__shared_open(const par__transport **out, const char *board_path,
                             int n_rank, int rank)
{
    static const par__transport transport = {start_part, test_part, rest};
    char path[400];
    snprintf(path, sizeof path, "%s-mail", board_path);
    source *from = calloc((size_t)n_rank, sizeof *from);
    CORE_FAIL_IF(from == NULL, CORE_E_MEMORY, "no memory for %d mailboxes",
                 n_rank);
    const core_status status =
        par_mailboxes_map(&shared.boxes, path, n_rank, rank);
    if (status != CORE_OK) {
        free(from);
        return status;
    }
    shared.from = from;
    shared.n = n_rank;
    *out = &transport;
    return CORE_OK;
}

void par__shared_close(void)
{
    for (int i = 0; shared.from != NULL && i < shared.n; i++)
        for (early *e = shared.from[i].early, *next; e != NULL; e = next) {
            next = e->next;
            free(e); /* came, and nobody wanted it */
        }
    par_mailboxes_unmap(shared.boxes);
    free(shared.from);
    shared.boxes = NULL;
    shared.from = NULL;
}
