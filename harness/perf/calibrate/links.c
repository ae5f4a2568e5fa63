/* harness/perf/calibrate/links.c -- collectives among ranks of this machine.
 *
 * Wall time between two barriers, on the rank that ends last, over sizes and
 * numbers of ranks.  More ranks than cores take turns, and the time says so:
 * these figures are of this machine, not of a link.
 */
#include "core/base/clock.h"
#include "harness/perf/calibrate/calibrate.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_REPEAT = 7, MAX_RANKS = 64, QUICK_RANKS = 4, N_SIZE = 6, TAG = 21 };
static const int64_t SIZES[N_SIZE] = {1 << 8,  1 << 11, 1 << 14,
                                      1 << 17, 1 << 19, 1 << 21};
static const struct {
    const char *name;
    har_collective kind;
} KINDS[] = {{"all-reduce", HAR_ALL_REDUCE},
             {"all-gather", HAR_ALL_GATHER},
             {"reduce-scatter", HAR_REDUCE_SCATTER},
             {"all-to-all", HAR_ALL_TO_ALL},
             {"send-receive", HAR_SEND_RECV}};
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

typedef struct bench {
    par_comm *comm;
    const har_measuring *how;
    par_group group; /* the first n ranks                                      */
    double *in, *out;
    int member[MAX_RANKS];
    int64_t count[MAX_RANKS], bytes[MAX_RANKS], at[MAX_RANKS];
    double *apart;
    int64_t n_apart;
} bench;

/* Even blocks of a buffer of n doubles. */
static void split(bench *b, int64_t n)
{
    for (int i = 0; i < b->group.n; i++) {
        b->count[i] = n / b->group.n;
        b->bytes[i] = b->count[i] * (int64_t)sizeof(double);
        b->at[i] = i * b->bytes[i];
    }
}

static void transfer(bench *b, har_collective kind, int64_t n)
{
    const par_group *g = &b->group;
    switch (kind) {
    case HAR_ALL_REDUCE:
        par_all_reduce(b->comm, g, b->in, n, PAR_MAX, CORE_FP64);
        return;
    case HAR_ALL_GATHER:
        par_all_gather(b->comm, g, b->in, b->out, b->bytes);
        return;
    case HAR_REDUCE_SCATTER:
        par_reduce_scatter(b->comm, g, b->in, b->out, b->count, CORE_FP64);
        return;
    case HAR_ALL_TO_ALL:
        par_all_to_all(b->comm, g, b->in, b->at, b->bytes, b->out, b->at,
                       b->bytes);
        return;
    default:
        if (g->me == 0)
            par_wait(b->comm, par_post_send(b->comm, 1, TAG, b->in,
                                            n * (int64_t)sizeof(double)));
        else if (g->me == 1)
            par_wait(b->comm, par_post_recv(b->comm, 0, TAG, b->out,
                                            n * (int64_t)sizeof(double)));
    }
}

/* The middle of repetitions, the same on all members. */
static double time_of(bench *b, har_collective kind, int64_t n)
{
    double seconds[N_REPEAT];
    split(b, n);
    transfer(b, kind, n);
    for (int r = 0; r < N_REPEAT; r++) {
        par_barrier(b->comm, &b->group);
        const double start = core_seconds(CLOCK_MONOTONIC);
        transfer(b, kind, n);
        seconds[r] = core_seconds(CLOCK_MONOTONIC) - start;
        par_all_reduce(b->comm, &b->group, &seconds[r], 1, PAR_MAX, CORE_FP64);
    }
    har_sort(seconds, N_REPEAT);
    for (int r = 0; r < N_REPEAT; r++)
        b->apart[b->n_apart++] =
            fabs(seconds[r] / seconds[N_REPEAT / 2] - 1);
    return seconds[N_REPEAT / 2];
}

/* What rank 0 keeps of a measurement. */
static core_status keep(har_calibration *out, const bench *b, int which,
                        int64_t bytes, double seconds)
{
    const int n = b->group.n;
    const har_op_shape shape = {.kind = HAR_COLLECTIVE,
                             .dtype = CORE_DTYPE_F64,
                             .as.collective = {.kind = KINDS[which].kind,
                                               .algorithm = HAR_LIBRARY,
                                               .bytes = (double)bytes,
                                               .n = n,
                                               .n_gpu = n}};
    if (KINDS[which].kind == HAR_SEND_RECV)
        out->link_bw = fmax(out->link_bw, (double)bytes / seconds);
    fprintf(b->how->samples, "  - [%s, f64, %d, %lld, %.5g]\n",
            KINDS[which].name, n, (long long)bytes, seconds);
    return har_calibration_add(out, &shape, seconds);
}

/* Everything among the first n ranks.  Rank 0 goes on measuring when it has no
 * memory for what it measured: the others would wait for it. */
static core_status measure_group(har_calibration *out, bench *b, int n)
{
    core_status status = CORE_OK;
    for (int i = 0; i < n; i++)
        b->member[i] = i;
    b->group = (par_group){.name = "calibrate",
                           .id = n,
                           .n = n,
                           .me = b->comm->rank,
                           .rank = b->member};
    for (int k = 0; k < N_KINDS && b->comm->rank < n; k++)
        for (int s = 0; s < N_SIZE; s++) {
            if (KINDS[k].kind == HAR_SEND_RECV && n != 2)
                continue;
            const double seconds =
                time_of(b, KINDS[k].kind, SIZES[s] / (int64_t)sizeof(double));
            if (b->comm->rank == 0 && status == CORE_OK)
                status = keep(out, b, k, SIZES[s], seconds);
        }
    return par_agree(b->comm, status);
}

static core_status measure_all(har_calibration *out, bench *b)
{
    const int size = b->comm->size;
    const int most = b->how->quick && size > QUICK_RANKS ? QUICK_RANKS : size;
    for (int n = 2; n <= most; n *= 2) {
        par_at(b->comm, "collectives", n);
        par_set_fraction(b->comm, (double)(n - 2) / most);
        CORE_TRY(measure_group(out, b, n));
    }
    return CORE_OK;
}

core_status har_calibrate_links(har_calibration *out, const har_measuring *how)
{
    par_comm *comm = how->comm;
    const int64_t n = SIZES[N_SIZE - 1] / (int64_t)sizeof(double);
    const int64_t n_apart = (int64_t)N_KINDS * N_SIZE * N_REPEAT * 8;
    void *memory = NULL;
    core_assert(comm->size <= MAX_RANKS);
    core_status status = core_alloc(&memory, 2 * n + n_apart, sizeof(double),
                                    "messages");
    if (status == CORE_OK)
        memset(memory, 0, (size_t)(2 * n) * sizeof(double));
    status = par_agree(comm, status);
    if (status == CORE_OK) {
        double *x = memory;
        bench b = {
            .comm = comm, .how = how, .in = x, .out = x + n, .apart = x + 2 * n};
        status = measure_all(out, &b);
        out->links = har_noise_of(b.apart, b.n_apart);
    }
    free(memory);
    return status;
}
