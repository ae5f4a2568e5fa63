/* tests/unit/test_par_mail.c -- mailboxes, and messages through them.
 *
 * One process plays several ranks: it maps the file once for each, so every
 * order of arrival can be made and none depends on a scheduler.  Rank 0 is the
 * one whose transport is tested; the others send and take pieces by hand.
 */
#include "parallel/comm_impl.h"
#include "parallel/mailbox.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_RANK = 200, TAG = 7 }; /* so many have small outboxes */

static const int64_t forever_ns = (int64_t)3600 * 1000000000;

static char board_path[64];
static par_mailboxes *box[3];
static const par__transport *transport;
static par_comm *comm;

static void setup(void)
{
    char path[80];
    snprintf(board_path, sizeof board_path, "/tmp/test_par_mail-%d",
             (int)getpid());
    snprintf(path, sizeof path, "%s-mail", board_path);
    ck_assert_int_eq(par_mailboxes_create(path, N_RANK), CORE_OK);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(par_mailboxes_map(&box[i], path, N_RANK, i), CORE_OK);
    ck_assert_int_eq(par__shared_open(&transport, board_path, N_RANK, 0),
                     CORE_OK);
    ck_assert_int_eq(par__comm_make(&comm, 0, N_RANK, 0, NULL), CORE_OK);
    unlink(path);
}

static void teardown(void)
{
    par__comm_free(comm);
    par__shared_close();
    for (int i = 0; i < 3; i++)
        par_mailboxes_unmap(box[i]);
}

static unsigned char byte_of(int message, int64_t i)
{
    return (unsigned char)(message * 41 + i % 251 + 1);
}

static unsigned char *make_message(int message, int64_t n)
{
    unsigned char *bytes = malloc((size_t)n + 1);
    ck_assert_ptr_nonnull(bytes);
    for (int64_t i = 0; i < n; i++)
        bytes[i] = byte_of(message, i);
    return bytes;
}

static bool is_message(const unsigned char *bytes, int message, int64_t at,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (bytes[i] != byte_of(message, at + i))
            return false;
    return true;
}

/* Bytes [at, at + n) of a message of `total`. */
static bool send_piece(int from, int to, int tag, int message, int64_t total,
                       int64_t at, int64_t n)
{
    unsigned char *bytes = make_message(message, total);
    const par_mail piece = {.tag = tag, .total = total, .at = at, .bytes = n};
    const bool sent = par_mail_send(box[from], to, &piece, bytes + at);
    free(bytes);
    return sent;
}

static bool send_whole(int from, int to, int tag, int message, int64_t n)
{
    return send_piece(from, to, tag, message, n, 0, n);
}

/* --- mailboxes --- */

START_TEST(test_oldest_first)
{
    static const int64_t n[] = {0, 1, 63, 64, 65, 1000};
    ck_assert_ptr_null(par_mail_take(box[0]));
    for (int k = 0; k < 6; k++)
        ck_assert(send_whole(1 + k % 2, 0, TAG + k, k, n[k]));
    ck_assert_ptr_null(par_mail_take(box[1]));
    par_mail *next, *p = par_mail_take(box[0]);
    int k = 0;
    for (; p; p = next, k++) {
        ck_assert_int_eq(p->from, 1 + k % 2);
        ck_assert_int_eq(p->tag, TAG + k);
        ck_assert_int_eq(p->total, n[k]);
        ck_assert_int_eq(p->bytes, n[k]);
        ck_assert(is_message((const unsigned char *)(p + 1), k, 0, n[k]));
        next = par_mail_next(box[0], p);
        par_mail_done(box[0], p);
    }
    ck_assert_int_eq(k, 6);
    ck_assert_ptr_null(par_mail_take(box[0]));
}
END_TEST

START_TEST(test_full_outbox_waits_and_loses_nothing)
{
    const int64_t n = par_mail_longest(box[1]);
    int sent = 0, taken = 0;
    while (send_whole(1, 0, TAG, sent, n))
        sent++;
    ck_assert_int_ge(sent, 2);
    const uint32_t before = par_mail_events(box[1]);
    par_mail *next, *p = par_mail_take(box[0]);
    for (; p; p = next, taken++) {
        next = par_mail_next(box[0], p);
        ck_assert(is_message((const unsigned char *)(p + 1), taken, 0, n));
        par_mail_done(box[0], p);
        if (taken == 0) { /* room for one: its sender is told, once */
            ck_assert_int_eq((int)(par_mail_events(box[1]) - before), 1);
            ck_assert(send_whole(1, 2, TAG, 100, n));
        }
    }
    ck_assert_int_eq(taken, sent);
    ck_assert_int_eq((int)(par_mail_events(box[1]) - before), 1);
    p = par_mail_take(box[2]);
    ck_assert(p && is_message((const unsigned char *)(p + 1), 100, 0, n));
}
END_TEST

/* Full or half full all the time, so that the ring goes round; pieces of all
 * sizes.                                                                     */
START_TEST(test_outbox_goes_round)
{
    enum { ROUNDS = 100, ROOM = 4096 };
    static par_mail *held[ROOM];
    const int64_t longest = par_mail_longest(box[1]);
    int sent = 0, taken = 0, done = 0;
    for (int k = 0; k < ROUNDS && sent < ROOM - 64; k++) {
        for (int n = 0; n < 50; n++)
            sent += send_whole(1, 0, TAG, sent, sent * 9770 % (longest + 1));
        for (par_mail *p = par_mail_take(box[0]); p;
             p = par_mail_next(box[0], p))
            held[taken++] = p;
        ck_assert_int_eq(taken, sent);
        ck_assert_int_gt(sent, done);
        for (const int half = done + (sent - done + 1) / 2; done < half;
             done++) {
            ck_assert(is_message((const unsigned char *)(held[done] + 1), done,
                                 0, done * 9770 % (longest + 1)));
            par_mail_done(box[0], held[done]);
        }
    }
    ck_assert_int_gt(done, ROUNDS / 2);
}
END_TEST

START_TEST(test_sleeps_until_enough_has_come)
{
    enum { WANTED = 3 };
    const uint32_t seen = par_mail_events(box[0]);
    for (int k = 0; k < WANTED; k++)
        ck_assert(send_whole(1, 0, TAG, k, 10));
    par_mail_sleep(box[0], seen, WANTED, forever_ns); /* they are there */
    const uint32_t then = par_mail_events(box[0]);
    ck_assert_int_eq((int)(then - seen), WANTED);
    const pid_t child = fork();
    if (child == 0) {
        bool ok = true;
        for (int k = 0; k < WANTED; k++) {
            usleep(20000);
            ok = ok && send_whole(1, 0, TAG, k, 10);
        }
        _exit(ok ? 0 : 1);
    }
    par_mail_sleep(box[0], then, 1000, 1000000); /* a limit is one */
    while (par_mail_events(box[0]) - then < WANTED)
        par_mail_sleep(box[0], then, WANTED, forever_ns);
    int status = 1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* --- messages --- */

static par_request request(par_op_kind kind, int peer, int tag, void *buf,
                           int64_t n)
{
    return (par_request){.kind = kind,
                         .peer = peer,
                         .tag = tag,
                         .buf = buf,
                         .bytes = n,
                         .total_bytes = n};
}

/* Of two messages with one tag the first sent meets the first posted, whether
 * they come before the receives are posted, between, or after.               */
START_TEST(test_same_tag_in_order)
{
    const int n_early = _i;
    unsigned char got[3][50];
    par_request r[3];
    ck_assert(send_whole(2, 0, TAG, 9, 50)); /* of another rank */
    ck_assert(send_whole(1, 0, TAG + 1, 8, 50));
    for (int k = 0; k < n_early; k++)
        ck_assert(send_whole(1, 0, TAG, k, 50));
    par_request other = request(PAR_RECV, 2, TAG + 1, got[0], 50);
    transport->start(comm, &other); /* takes nothing, looks at everything */
    ck_assert(!transport->test(comm, &other));
    for (int k = 0; k < 3; k++) {
        r[k] = request(PAR_RECV, 1, TAG, got[k], 50);
        transport->start(comm, &r[k]);
        ck_assert_int_eq(transport->test(comm, &r[k]), k < n_early);
    }
    ck_assert(send_whole(1, 0, TAG + 2, 7, 50));
    for (int k = n_early; k < 3; k++)
        ck_assert(send_whole(1, 0, TAG, k, 50));
    for (int k = 0; k < 3; k++)
        ck_assert(transport->test(comm, &r[k]) && is_message(got[k], k, 0, 50));
}
END_TEST

/* A receive that is posted while its message arrives, after _i pieces of 3. */
START_TEST(test_message_in_pieces)
{
    enum { N = 3000, PIECE = 1000 };
    unsigned char got[N + 1] = {0};
    par_request other = request(PAR_RECV, 2, TAG, got, 1);
    par_request r = request(PAR_RECV, 1, TAG, got, N);
    transport->start(comm, &other);
    for (int k = 0; k < 3; k++) {
        if (k == _i)
            transport->start(comm, &r);
        ck_assert(send_piece(1, 0, TAG, 5, N, k * PIECE, PIECE));
        ck_assert(!transport->test(comm, &other)); /* takes it */
    }
    if (_i == 3)
        transport->start(comm, &r);
    ck_assert(transport->test(comm, &r) && is_message(got, 5, 0, N));
    ck_assert_int_eq(got[N], 0);
}
END_TEST

/* Longer than the outbox, and one behind it: they go on when there is room. */
START_TEST(test_long_send)
{
    const int64_t n = 20 * par_mail_longest(box[0]) + 13;
    unsigned char *bytes = make_message(3, n), *got = malloc((size_t)n);
    unsigned char last[10], *ten = make_message(4, 10);
    par_request r = request(PAR_SEND, 1, TAG, bytes, n);
    par_request behind = request(PAR_SEND, 1, TAG, ten, 10);
    transport->start(comm, &r);
    transport->start(comm, &behind);
    ck_assert(got && !transport->test(comm, &behind));
    int64_t n_got = 0;
    bool has_last = false;
    for (int k = 0; k < 100 && !has_last; k++) {
        par_mail *next, *p = par_mail_take(box[1]);
        for (; p; p = next) {
            next = par_mail_next(box[1], p);
            has_last = p->total == 10;
            ck_assert(p->from == 0 && p->tag == TAG);
            ck_assert(p->at == (has_last ? 0 : n_got));
            memcpy(has_last ? last : got + p->at, p + 1, (size_t)p->bytes);
            n_got += has_last ? 0 : p->bytes;
            par_mail_done(box[1], p);
        }
        (void)transport->test(comm, &behind);
    }
    ck_assert(has_last && n_got == n && is_message(got, 3, 0, n) &&
              is_message(last, 4, 0, 10));
    ck_assert(transport->test(comm, &r) && transport->test(comm, &behind));
    free(bytes);
    free(got);
    free(ten);
}
END_TEST

/* Another length than expected ends the run, early or not. */
START_TEST(test_wrong_length)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        unsigned char got[50];
        par_request r = request(PAR_RECV, 1, TAG, got, 50);
        (void)!freopen("/dev/null", "w", stderr);
        if (_i == 0)
            transport->start(comm, &r);
        (void)send_whole(1, 0, TAG, 0, 49);
        par_request other = request(PAR_RECV, 2, TAG, got, 1);
        transport->start(comm, &other);
        (void)transport->test(comm, &other);
        transport->start(comm, &r);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) &&
              WEXITSTATUS(status) == core_status_exit_code(CORE_E_PEER));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("par_mail");
    TCase *c = tcase_create("mailboxes");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_oldest_first);
    tcase_add_test(c, test_full_outbox_waits_and_loses_nothing);
    tcase_add_test(c, test_outbox_goes_round);
    tcase_add_test(c, test_sleeps_until_enough_has_come);
    suite_add_tcase(suite, c);
    c = tcase_create("messages");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, test_same_tag_in_order, 0, 4);
    tcase_add_loop_test(c, test_message_in_pieces, 0, 4);
    tcase_add_test(c, test_long_send);
    tcase_add_loop_test(c, test_wrong_length, 0, 2);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed != 0;
}
