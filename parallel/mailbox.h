/* parallel/mailbox.h -- memory that the ranks of one host pass messages in.
 *
 * One file, mapped by all of them.  Every rank has an outbox, a ring that it
 * alone fills with pieces of messages, and an inbox, a list of pieces in the
 * outboxes of others.  Whoever has sent a piece links it there and, if enough
 * of them have come for a rank that sleeps, wakes it.  Nothing is locked: a
 * rank that dies leaves what it has sent, and keeps nobody from sending.
 *
 * What a piece means, and which receive it belongs to, is comm_shared.c's.
 * Never includes MPI.
 */
#ifndef PAR_MAILBOX_H
#define PAR_MAILBOX_H

#include "core/base/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of a message, in its sender's outbox; the bytes follow it.         */
typedef struct par_mail {
    _Alignas(64) uint64_t next; /* in the inbox: an older piece, 0: none      */
    _Atomic uint32_t is_taken;  /* its room may be used again                 */
    uint32_t span;              /* bytes that it takes in the outbox          */
    int32_t from, tag;
    int64_t total; /* bytes of the message, ...                               */
    int64_t at;    /* ... of which this piece begins here ...                 */
    int64_t bytes; /* ... and has so many                                     */
} par_mail;

typedef struct par_mailboxes par_mailboxes;

/* What the file of n_rank ranks takes. */
size_t par_mailboxes_bytes(int n_rank);

/* Make the file (it must not exist), with all its room.
 * Errors: E_FILE, E_SPACE.                                           [local] */
CORE_NODISCARD core_status par_mailboxes_create(const char *path, int n_rank);

/* Map it, as rank `me`.  Errors: E_FILE, E_MEMORY.                   [local] */
CORE_NODISCARD core_status par_mailboxes_map(par_mailboxes **out,
                                             const char *path, int n_rank,
                                             int me);
void par_mailboxes_unmap(par_mailboxes *m); /* accepts NULL */

/* The most bytes that a piece may have. */
int64_t par_mail_longest(const par_mailboxes *m);

/* Send a piece, whose bytes are copied; false if my outbox has no room, in
 * which case I am woken when it has.  Pieces for a rank arrive in the order in
 * which I send them.                                                 [local] */
bool par_mail_send(par_mailboxes *m, int to, const par_mail *piece,
                   const void *bytes);

/* How much has happened to me so far: pieces sent to me, room made.  [local] */
uint32_t par_mail_events(const par_mailboxes *m);

/* What has arrived, the oldest first; NULL: nothing.  Each piece must be given
 * back by par_mail_done.                                             [local] */
par_mail *par_mail_take(par_mailboxes *m);
par_mail *par_mail_next(par_mailboxes *m, const par_mail *piece);
void par_mail_done(par_mailboxes *m, par_mail *piece);

/* Sleep until `wanted` events have happened since par_mail_events gave `seen`,
 * at most so long.  May return early.                                [local] */
void par_mail_sleep(par_mailboxes *m, uint32_t seen, uint32_t wanted,
                    int64_t longest_ns);

#endif
