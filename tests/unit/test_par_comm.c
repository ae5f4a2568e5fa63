/* tests/unit/test_par_comm.c -- every operation of parallel/comm.h on as many
 * ranks as mpiexec gives: uneven and empty blocks, order of addition, rounding,
 * overlapping groups, long messages, sub-worlds, agreement, counts.
 *
 * Expected values are computed on every rank from what each member is known to
 * contribute; nothing is compared with another collective.
 */
#include "parallel/comm_impl.h"
#include "tests/support/mpi_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_RANKS = 64 };

/* Values whose sum depends on the order: 1e16 + 1 is 1e16. */
static double value_of(int rank, int64_t i)
{
    static const double v[] = {1.0, 1e16, 3.0, -1e16, 0.1, 7e15, -3e-3};
    return v[(rank * 3 + i) % 7] * (1 + (double)(i % 5));
}

static double sum_of(const par_group *g, int64_t i, core_numerics rounding)
{
    double sum = value_of(g->rank[0], i);
    for (int m = 1; m < g->n; m++) {
        const double v = value_of(g->rank[m], i);
        sum = rounding == CORE_FP32 ? (double)((float)sum + (float)v) : sum + v;
    }
    return sum;
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, 8) == 0;
}

static bool reduced_right(const par_group *g, const double *x, int64_t n,
                          int64_t i0, core_numerics rounding)
{
    for (int64_t i = 0; i < n; i++)
        if (!same_bits(x[i], sum_of(g, i0 + i, rounding)))
            return false;
    return true;
}

/* The world backwards, which is a group like any other. */
static par_group backwards(int rank[MAX_RANKS])
{
    par_group g = {.name = "backwards", .id = 5, .n = mpi_world->size};
    for (int i = 0; i < g.n; i++)
        rank[i] = g.n - 1 - i;
    g.me = g.n - 1 - mpi_world->rank;
    g.rank = rank;
    return g;
}

static void check_all_reduce(const par_group *g, int64_t n)
{
    static const core_numerics rounding[] = {CORE_FP64, CORE_FP32, CORE_EXACT};
    double *x = malloc((size_t)(n ? n : 1) * sizeof *x);
    for (int k = 0; k < 3; k++) {
        for (int64_t i = 0; i < n; i++)
            x[i] = value_of(mpi_world->rank, i);
        par_all_reduce(mpi_world, g, x, n, PAR_SUM, rounding[k]);
        mpi_assert(reduced_right(g, x, n, 0, rounding[k]),
                   "all-reduce over %s, n = %lld, rounding %d", g->name,
                   (long long)n, k);
    }
    free(x);
}

START_TEST(test_all_reduce)
{
    int rank[MAX_RANKS];
    const par_group back = backwards(rank);
    static const int64_t n[] = {0, 1, 3, 512, 2049, 20000};
    check_all_reduce(&mpi_world->world, n[_i]);
    check_all_reduce(&back, n[_i]);
}
END_TEST

START_TEST(test_order_matters_in_this_data)
{
    int rank[MAX_RANKS];
    const par_group back = backwards(rank);
    int n_differ = 0;
    for (int i = 0; i < 35; i++)
        n_differ += !same_bits(sum_of(&mpi_world->world, i, CORE_FP64),
                               sum_of(&back, i, CORE_FP64));
    ck_assert_int_eq(n_differ > 0, mpi_world->size > 2);
}
END_TEST

START_TEST(test_max)
{
    const double last = mpi_world->size - 1;
    double x[5] = {(double)mpi_world->rank, -(double)mpi_world->rank,
                   mpi_world->rank == 0 ? NAN : 1,
                   mpi_world->rank == mpi_world->size - 1 ? NAN : 1,
                   mpi_world->rank - last - 9.0}; /* below x[0] */
    par_all_reduce(mpi_world, &mpi_world->world, x, 5, PAR_MAX, CORE_FP64);
    mpi_assert(same_bits(x[0], last), "max %g", x[0]);
    mpi_assert(same_bits(x[4], -9.0), "max of negatives %g", x[4]);
    mpi_assert(x[1] <= 0 && x[1] >= 0, "max of 0 and negatives %g", x[1]);
    mpi_assert(isnan(x[2]) && isnan(x[3]), "a NaN was lost: %g %g", x[2], x[3]);
}
END_TEST

START_TEST(test_u64_wraps)
{
    const uint64_t n = (uint64_t)mpi_world->size;
    uint64_t x[3] = {UINT64_MAX, (uint64_t)mpi_world->rank, 1};
    par_all_reduce_u64(mpi_world, &mpi_world->world, x, 3);
    mpi_assert(x[0] == (uint64_t)0 - n, "wrapping sum");
    mpi_assert(x[1] == n * (n - 1) / 2 && x[2] == n, "sum of integers");
}
END_TEST

/* Member i of the group contributes 3 i mod 5 blocks of `unit` bytes. */
static unsigned char byte_of(int rank, int64_t i)
{
    return (unsigned char)(rank * 37 + i * 11 + 1);
}

START_TEST(test_all_gather)
{
    static const int64_t unit[] = {1, 8, 100003};
    int64_t count[MAX_RANKS], total = 0, mine = 0;
    int rank[MAX_RANKS];
    const par_group g = backwards(rank);
    for (int i = 0; i < g.n; i++) {
        count[i] = (3 * i % 5) * unit[_i];
        mine = i == g.me ? total : mine;
        total += count[i];
    }
    unsigned char *out = malloc((size_t)total + 1);
    unsigned char *in = malloc((size_t)count[g.me] + 1);
    for (int in_place = 0; in_place < 2; in_place++) {
        memset(out, 0xee, (size_t)total + 1);
        unsigned char *block = in_place ? out + mine : in;
        for (int64_t i = 0; i < count[g.me]; i++)
            block[i] = byte_of(mpi_world->rank, i);
        par_all_gather(mpi_world, &g, block, out, count);
        bool ok = out[total] == 0xee;
        const unsigned char *p = out;
        for (int m = 0; m < g.n; p += count[m++])
            for (int64_t i = 0; i < count[m]; i++)
                ok = ok && p[i] == byte_of(g.rank[m], i);
        mpi_assert(ok, "all-gather of %lld, in place %d", (long long)unit[_i],
                   in_place);
    }
    free(in);
    free(out);
}
END_TEST

START_TEST(test_reduce_scatter)
{
    static const core_numerics rounding[] = {CORE_FP64, CORE_FP32};
    static const int64_t unit[] = {1, 1000};
    const par_group *g = &mpi_world->world;
    int64_t count[MAX_RANKS] = {0}, total = 0, first = 0;
    for (int i = 0; i < g->n; i++) {
        count[i] = ((i + 1) % 3) * unit[_i];
        first = i == g->me ? total : first;
        total += count[i];
    }
    double *in = malloc((size_t)(total + 1) * sizeof *in);
    double *out = malloc((size_t)(count[g->me] + 1) * sizeof *out);
    for (int64_t i = 0; i < total; i++)
        in[i] = value_of(mpi_world->rank, i);
    for (int k = 0; k < 2; k++) {
        out[count[g->me]] = -42;
        par_reduce_scatter(mpi_world, g, in, out, count, rounding[k]);
        mpi_assert(reduced_right(g, out, count[g->me], first, rounding[k]) &&
                       same_bits(out[count[g->me]], -42),
                   "reduce-scatter, rounding %d", k);
    }
    free(in);
    free(out);
}
END_TEST

/* From a to b go (a + 2 b) mod 4 blocks. */
static int64_t sent(int a, int b, int64_t unit)
{
    return (a + 2 * b) % 4 * unit;
}

START_TEST(test_all_to_all)
{
    static const int64_t unit[] = {1, 24, 30011};
    const int n = mpi_world->size, me = mpi_world->rank;
    int64_t in_offset[MAX_RANKS], in_bytes[MAX_RANKS], n_in = 0;
    int64_t out_offset[MAX_RANKS], out_bytes[MAX_RANKS], n_out = 0;
    ck_assert(n > 0 && n <= MAX_RANKS);
    for (int i = n - 1; i >= 0; i--) { /* blocks lie backwards, with gaps */
        in_bytes[i] = sent(me, i, unit[_i]);
        out_bytes[i] = sent(i, me, unit[_i]);
        in_offset[i] = n_in;
        out_offset[i] = n_out;
        n_in += in_bytes[i] + 3;
        n_out += out_bytes[i] + 1;
    }
    unsigned char *in = calloc((size_t)n_in, 1), *out = malloc((size_t)n_out);
    memset(out, 0xee, (size_t)n_out);
    for (int i = 0; i < n; i++)
        for (int64_t j = 0; j < in_bytes[i]; j++)
            in[in_offset[i] + j] = byte_of(me * n + i, j);
    par_all_to_all(mpi_world, &mpi_world->world, in, in_offset, in_bytes, out,
                   out_offset, out_bytes);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        for (int64_t j = 0; j < out_bytes[i]; j++)
            ok = ok && out[out_offset[i] + j] == byte_of(i * n + me, j);
        ok = ok && out[out_offset[i] + out_bytes[i]] == 0xee;
    }
    mpi_assert(ok, "all-to-all with unit %lld", (long long)unit[_i]);
    free(in);
    free(out);
}
END_TEST

START_TEST(test_broadcast)
{
    static const int64_t bytes[] = {0, 5, 200000};
    unsigned char *buf = malloc((size_t)bytes[_i] + 1);
    for (int root = 0; root < mpi_world->size; root++) {
        memset(buf, mpi_world->rank == root ? root + 1 : 0xee,
               (size_t)bytes[_i] + 1);
        par_broadcast(mpi_world, &mpi_world->world, buf, bytes[_i], root);
        bool ok = true;
        for (int64_t i = 0; i < bytes[_i]; i++)
            ok = ok && buf[i] == root + 1;
        mpi_assert(ok, "broadcast of %lld from %d", (long long)bytes[_i], root);
    }
    free(buf);
}
END_TEST

/* Everybody marks the board before the barrier and reads all marks after it. */
START_TEST(test_barrier_holds_until_last)
{
    const int n = mpi_world->size, me = mpi_world->rank;
    const par_board *board = mpi_world->impl->board;
    ck_assert_ptr_nonnull(board); /* all ranks of a test are on one host */
    const struct timespec nap = {.tv_nsec = 2000000};
    bool ok = true;
    for (int k = 0; k < 2 * n; k++) {
        if (k % n == me)
            nanosleep(&nap, NULL);
        par_at(mpi_world, "barrier", k);
        par_barrier(mpi_world, &mpi_world->world);
        for (int i = 0; i < n; i++)
            ok = ok && atomic_load(&board->rank[i].tick) >= k;
    }
    mpi_assert(ok, "a rank left the barrier before another came");
}
END_TEST

START_TEST(test_point_to_point)
{
    enum { N = 20 };
    const int n = mpi_world->size, to = (mpi_world->rank + 1) % n;
    const int from = (mpi_world->rank + n - 1) % n;
    int in[N] = {0}, out[N];
    par_request *s[N], *r[N];
    for (int i = 0; i < N; i++) { /* tags cross, same tags stay in order */
        out[i] = i + 1000 * to;
        s[i] = par_post_send(mpi_world, to, i % 3, &out[i], sizeof out[i]);
    }
    for (int tag = 2; tag >= 0; tag--)
        for (int i = tag; i < N; i += 3)
            r[i] = par_post_recv(mpi_world, from, tag, &in[i], sizeof in[i]);
    bool ok = true;
    for (int i = N - 1; i >= 0; i--) {
        par_wait(mpi_world, r[i]);
        par_wait(mpi_world, s[i]);
        ok = ok && in[i] == i + 1000 * mpi_world->rank;
    }
    par_wait(mpi_world, NULL);
    mpi_assert(ok, "messages arrive in order per tag");
}
END_TEST

START_TEST(test_message_to_self)
{
    int a = 7, b = 8, x = 0, y = 0;
    const int me = mpi_world->rank;
    par_request *s1 = par_post_send(mpi_world, me, 1, &a, sizeof a);
    par_request *s2 = par_post_send(mpi_world, me, 1, &b, sizeof b);
    par_request *r1 = par_post_recv(mpi_world, me, 1, &x, sizeof x);
    par_request *r2 = par_post_recv(mpi_world, me, 1, &y, sizeof y);
    par_wait(mpi_world, r2);
    par_wait(mpi_world, r1);
    par_wait(mpi_world, s1);
    par_wait(mpi_world, s2);
    mpi_assert(x == 7 && y == 8, "got %d and %d", x, y);
}
END_TEST

START_TEST(test_messages_in_parts)
{
    mpi_world->impl->part_bytes = 1000; /* stands for more than an int holds */
    enum { N = 12345 };
    double *x = malloc(N * sizeof *x);
    for (int i = 0; i < N; i++)
        x[i] = value_of(mpi_world->rank, i);
    par_all_reduce(mpi_world, &mpi_world->world, x, N, PAR_SUM, CORE_FP64);
    mpi_world->impl->part_bytes = (int64_t)1 << 30;
    mpi_assert(reduced_right(&mpi_world->world, x, N, 0, CORE_FP64),
               "a message in parts");
    free(x);
}
END_TEST

/* Rows and columns of the ranks, used in turn; each rank is in one of each. */
START_TEST(test_overlapping_groups)
{
    const int n = mpi_world->size, me = mpi_world->rank, n_col = n >= 4 ? 2 : 1;
    int row[MAX_RANKS], col[MAX_RANKS];
    par_group r = {.name = "row", .id = 100 + me / n_col, .rank = row};
    par_group c = {.name = "column", .id = 300 + me % n_col, .rank = col};
    for (int i = 0; i < n; i++) {
        if (i / n_col == me / n_col) {
            r.me = i == me ? r.n : r.me;
            row[r.n++] = i;
        }
        if (i % n_col == me % n_col) {
            c.me = i == me ? c.n : c.me;
            col[c.n++] = i;
        }
    }
    bool ok = true;
    for (int k = 0; k < 20; k++) {
        double x[3], y[3];
        for (int i = 0; i < 3; i++)
            x[i] = y[i] = value_of(me, i + k);
        par_all_reduce(mpi_world, &r, x, 3, PAR_SUM, CORE_FP64);
        par_all_reduce(mpi_world, &c, y, 3, PAR_SUM, CORE_FP32);
        ok = ok && reduced_right(&r, x, 3, k, CORE_FP64) &&
             reduced_right(&c, y, 3, k, CORE_FP32);
    }
    mpi_assert(ok, "rows and columns");
}
END_TEST

START_TEST(test_agree)
{
    core_message_clear();
    ck_assert_int_eq(par_agree(mpi_world, CORE_OK), CORE_OK);
    ck_assert_str_eq(core_message(), "");

    const int me = mpi_world->rank, last = mpi_world->size - 1;
    core_status status = CORE_OK;
    if (me == 0)
        status = core_fail(CORE_E_USAGE, "a small thing");
    if (me == last)
        status = core_fail(CORE_E_MEMORY, "a big thing on %d", me);
    const core_status agreed = par_agree(mpi_world, status);
    char expected[100];
    if (last == 0)
        strcpy(expected, "a small thing");
    else
        snprintf(expected, sizeof expected,
                 "rank %d: a big thing on %d, and 1 more rank", last, last);
    const bool same = strcmp(core_message(), expected) == 0;
    mpi_assert((agreed == CORE_E_MEMORY) && same, "agreed on %d", (int)agreed);
}
END_TEST

START_TEST(test_agree_names_lowest)
{
    core_message_clear();
    const int me = mpi_world->rank, n = mpi_world->size;
    const core_status status =
        me >= n / 2 ? core_fail(CORE_E_FILE, "cannot") : CORE_OK;
    const core_status agreed = par_agree(mpi_world, status);
    char expected[100], more[40] = "";
    const int n_more = n - n / 2 - 1;
    if (n_more > 0)
        snprintf(more, sizeof more, ", and %d more rank%s", n_more,
                 n_more > 1 ? "s" : "");
    if (n == 1) /* all of them, and with one voice */
        strcpy(expected, "cannot");
    else
        snprintf(expected, sizeof expected, "rank %d: cannot%s", n / 2, more);
    const bool same = strcmp(core_message(), expected) == 0;
    mpi_assert(agreed == CORE_E_FILE && same, "the lowest of %d ranks", n_more);
}
END_TEST

/* What all of them say is said once, and of nobody; other words of one are not
 * lost in it.                                                                */
START_TEST(test_agree_says_it_once)
{
    core_message_clear();
    core_status agreed =
        par_agree(mpi_world, core_fail(CORE_E_FILE, "no such file"));
    bool same = strcmp(core_message(), "no such file") == 0;
    mpi_assert(agreed == CORE_E_FILE && same, "one voice");
    core_message_clear();
    const int last = mpi_world->size - 1;
    agreed = par_agree(mpi_world,
                       core_fail(CORE_E_FILE, mpi_world->rank == last
                                                  ? "it is gone"
                                                  : "no such file"));
    same = strncmp(core_message(), "rank 0: no such file, and ", 26) == 0;
    mpi_assert(last == 0 || same, "two voices");
}
END_TEST

START_TEST(test_sub_worlds)
{
    for (int n = par_comm_n_started(); n >= 1; n--) {
        par_comm *sub = NULL;
        ck_assert_int_eq(par_comm_open(&sub, n), CORE_OK);
        bool ok = (sub != NULL) == (par_comm_my_start() < n);
        if (sub) {
            uint64_t one = 1;
            par_all_reduce_u64(sub, &sub->world, &one, 1);
            ok = ok && one == (uint64_t)n && sub->size == n;
        }
        par_comm_close(sub);
        mpi_assert(ok, "sub-world of %d", n);
    }
    par_comm *none = NULL;
    core_message_clear();
    ck_assert_int_eq(par_comm_open(&none, par_comm_n_started() + 1),
                     CORE_E_USAGE);
    ck_assert_ptr_null(none);
    core_message_clear();
}
END_TEST

static int64_t n_records, record_bytes;

static void record(void *self, const par_comm_record *r)
{
    *(int *)self += 1;
    n_records++;
    record_bytes += r->bytes;
}

START_TEST(test_counts)
{
    const int n = mpi_world->size, me = mpi_world->rank;
    int64_t count[MAX_RANKS];
    char out[MAX_RANKS * 10], in[10] = {0};
    for (int i = 0; i < n; i++)
        count[i] = 10;
    int self = 0;
    const int64_t calls = mpi_world->n_calls[PAR_ALL_GATHER];
    const int64_t bytes = mpi_world->n_bytes[PAR_ALL_GATHER];
    const int64_t sends = mpi_world->n_bytes[PAR_SEND];
    n_records = record_bytes = 0;
    mpi_world->record = record;
    mpi_world->record_self = &self;
    par_all_gather(mpi_world, &mpi_world->world, in, out, count);
    par_request *r = par_post_recv(mpi_world, (me + n - 1) % n, 9, out, 6);
    par_wait(mpi_world, par_post_send(mpi_world, (me + 1) % n, 9, in, 6));
    par_wait(mpi_world, r);
    mpi_world->record = NULL;
    const int64_t p2p = n > 1 ? 6 : 0;
    bool ok = mpi_world->n_calls[PAR_ALL_GATHER] == calls + 1 &&
              mpi_world->n_bytes[PAR_SEND] == sends + p2p && n_records == 3 &&
              self == 3;
    if (n <= 16) /* larger groups pass blocks on, and count that */
        ok = ok && mpi_world->n_bytes[PAR_ALL_GATHER] == bytes + 10 * (n - 1) &&
             record_bytes == 10 * (n - 1) + p2p;
    mpi_assert(ok, "records %lld, bytes %lld", (long long)n_records,
               (long long)record_bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("par_comm");
    TCase *c = tcase_create("conformance");
    tcase_set_timeout(c, 0); /* without fork it is CTest that stops us */
    tcase_add_loop_test(c, test_all_reduce, 0, 6);
    tcase_add_test(c, test_order_matters_in_this_data);
    tcase_add_test(c, test_max);
    tcase_add_test(c, test_u64_wraps);
    tcase_add_loop_test(c, test_all_gather, 0, 3);
    tcase_add_loop_test(c, test_reduce_scatter, 0, 2);
    tcase_add_loop_test(c, test_all_to_all, 0, 3);
    tcase_add_loop_test(c, test_broadcast, 0, 3);
    tcase_add_test(c, test_barrier_holds_until_last);
    tcase_add_test(c, test_point_to_point);
    tcase_add_test(c, test_message_to_self);
    tcase_add_test(c, test_messages_in_parts);
    tcase_add_test(c, test_overlapping_groups);
    tcase_add_test(c, test_agree);
    tcase_add_test(c, test_agree_names_lowest);
    tcase_add_test(c, test_agree_says_it_once);
    tcase_add_test(c, test_sub_worlds);
    tcase_add_test(c, test_counts);
    suite_add_tcase(suite, c);
    return mpi_check_run(suite);
}
