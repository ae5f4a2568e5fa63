/* parallel/comm_reduce.c -- sums and maxima over a group, in member order.
 *
 * Whoever adds first collects the values of all members and then adds them one
 * after the other: ((v0 + v1) + v2) + ...  The result is the same on every run
 * and, for each element, the same whichever way it travelled.
 *
 *   small group, little data   everybody sends everything to everybody
 *   small group, much data     each member adds one chunk, then all gather
 *   large group                the first member adds, a tree spreads it, in
 *                              pieces that bound its memory
 *
 * All elements have 8 bytes, so one text serves doubles and integers.
 */
#include "parallel/comm_impl.h"

#include <string.h>

enum { PAIRWISE = 16, DIRECT_BYTES = 16384, PIECE = 8192, ELEMENT = 8 };

typedef void add_fn(void *acc, const void *in, int64_t n);

static void add_f64(void *acc, const void *in, int64_t n)
{
    double *a = acc;
    const double *b = in;
    for (int64_t i = 0; i < n; i++)
        a[i] += b[i];
}

static void add_f32(void *acc, const void *in, int64_t n)
{
    double *a = acc;
    const double *b = in;
    for (int64_t i = 0; i < n; i++)
        a[i] = (double)((float)a[i] + (float)b[i]);
}

static void max_f64(void *acc, const void *in, int64_t n)
{
    double *a = acc;
    const double *b = in;
    for (int64_t i = 0; i < n; i++)
        if (b[i] > a[i] || b[i] != b[i]) /* a NaN anywhere stays */
            a[i] = b[i];
}

static void add_u64(void *acc, const void *in, int64_t n)
{
    uint64_t *a = acc;
    const uint64_t *b = in;
    for (int64_t i = 0; i < n; i++)
        a[i] += b[i];
}

static add_fn *choose(par_sum op, core_numerics rounding)
{
    if (op == PAR_MAX)
        return max_f64;
    return core_uses_floats(rounding) ? add_f32 : add_f64;
}

static void copy(void *to, const void *from, int64_t n)
{
    if (n > 0) /* an empty buffer may be NULL, which memcpy does not take */
        memcpy(to, from, (size_t)(n * ELEMENT));
}

/* slots holds n elements of each member; leaves the total in the first slot. */
static void add_slots(char *slots, int n_slot, int64_t n, add_fn *add)
{
    for (int i = 1; i < n_slot; i++)
        add(slots, slots + i * n * ELEMENT, n);
}

/* Collect everybody's block for me and add: in + offset[i] goes to member i. */
static void reduce_mine(par_comm *comm, par__op *op, const char *in,
                        const int64_t *count, char *out, add_fn *add)
{
    const par_group *g = op->group;
    const int64_t n = count[g->me];
    if (g->n == 1) { /* nothing is added */
        if (out != in)
            copy(out, in, n);
        return;
    }
    char *slots = par__scratch(comm, g->n * n * ELEMENT);
    for (int i = 0; i < g->n; i++)
        if (i != g->me)
            par__recv(comm, op, i, slots + i * n * ELEMENT, n * ELEMENT);
    int64_t offset = 0;
    for (int i = 0; i < g->n; offset += count[i++] * ELEMENT)
        if (i != g->me)
            par__send(comm, op, i, in + offset, count[i] * ELEMENT);
        else
            copy(slots + i * n * ELEMENT, in + offset, n);
    par__wait_all(comm, op);
    add_slots(slots, g->n, n, add);
    copy(out, slots, n);
}

static void reduce_direct(par_comm *comm, par__op *op, char *buf, int64_t n,
                          add_fn *add)
{
    const par_group *g = op->group;
    char *slots = par__scratch(comm, g->n * n * ELEMENT);
    for (int i = 0; i < g->n; i++)
        if (i != g->me)
            par__recv(comm, op, i, slots + i * n * ELEMENT, n * ELEMENT);
    for (int k = 1; k < g->n; k++)
        par__send(comm, op, (g->me + k) % g->n, buf, n * ELEMENT);
    copy(slots + g->me * n * ELEMENT, buf, n);
    par__wait_all(comm, op);
    add_slots(slots, g->n, n, add);
    copy(buf, slots, n);
}

static void reduce_chunked(par_comm *comm, par__op *op, char *buf, int64_t n,
                           add_fn *add)
{
    const par_group *g = op->group;
    int64_t first[PAIRWISE + 1], count[PAIRWISE];
    for (int i = 0; i <= g->n; i++)
        first[i] = n / g->n * i + (n % g->n < i ? n % g->n : i);
    for (int i = 0; i < g->n; i++)
        count[i] = first[i + 1] - first[i];
    char *mine = buf + first[g->me] * ELEMENT;
    reduce_mine(comm, op, buf, count, mine, add);
    for (int i = 0; i < g->n; i++)
        if (i != g->me)
            par__recv(comm, op, i, buf + first[i] * ELEMENT,
                      count[i] * ELEMENT);
    for (int k = 1; k < g->n; k++)
        par__send(comm, op, (g->me + k) % g->n, mine, count[g->me] * ELEMENT);
    par__wait_all(comm, op);
}

static void reduce_at_first(par_comm *comm, par__op *op, char *buf, int64_t n,
                            add_fn *add)
{
    const par_group *g = op->group;
    if (g->me != 0) {
        par__send(comm, op, 0, buf, n * ELEMENT);
        par__wait_all(comm, op);
    } else {
        char *slots = par__scratch(comm, g->n * n * ELEMENT);
        for (int i = 1; i < g->n; i++)
            par__recv(comm, op, i, slots + i * n * ELEMENT, n * ELEMENT);
        copy(slots, buf, n);
        par__wait_all(comm, op);
        add_slots(slots, g->n, n, add);
        copy(buf, slots, n);
    }
    par__tree_broadcast(comm, op, buf, n * ELEMENT, 0);
}

static void reduce(par_comm *comm, const par_group *group, void *buf, int64_t n,
                   add_fn *add)
{
    core_assert(n >= 0);
    par__op op = par__begin(comm, group, PAR_ALL_REDUCE);
    if (group->n == 1) {
        /* the sum is what lies there */
    } else if (group->n > PAIRWISE) {
        int64_t done = 0;
        do { /* once even for n = 0, so that everybody meets */
            const int64_t piece = n - done < PIECE ? n - done : PIECE;
            reduce_at_first(comm, &op, (char *)buf + done * ELEMENT, piece,
                            add);
            done += piece;
        } while (done < n);
    } else if (n == 0 || group->n <= 2 || n * ELEMENT <= DIRECT_BYTES) {
        reduce_direct(comm, &op, buf, n, add);
    } else {
        reduce_chunked(comm, &op, buf, n, add);
    }
    par__end(comm, &op);
}

void par_all_reduce(par_comm *comm, const par_group *group, double *buf,
                    int64_t n, par_sum op, core_numerics rounding)
{
    reduce(comm, group, buf, n, choose(op, rounding));
}

void par_all_reduce_u64(par_comm *comm, const par_group *group, uint64_t *buf,
                        int64_t n)
{
    reduce(comm, group, buf, n, add_u64);
}

void par_reduce_scatter(par_comm *comm, const par_group *group,
                        const double *in, double *out, const int64_t *count,
                        core_numerics rounding)
{
    par__op op = par__begin(comm, group, PAR_REDUCE_SCATTER);
    reduce_mine(comm, &op, (const char *)in, count, (char *)out,
                choose(PAR_SUM, rounding));
    par__end(comm, &op);
}
