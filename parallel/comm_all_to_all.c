/* parallel/comm_all_to_all.c -- an all-to-all, at once or while its ranks do
 * something else.
 *
 * One that was begun has room of its own for what arrives, until par_complete
 * copies it to where it belongs: whoever reads too early finds what was there,
 * always.  A rank that is late sends nothing before par_complete, which no other
 * may notice: what it writes into its buffer meanwhile is what the others get.
 */
#include "parallel/comm_impl.h"

#include "parallel/process.h"

#include <stdlib.h>
#include <string.h>

/* Post the blocks of the others.  Empty ones are no messages: sizes agree.   */
static void receive_all(par_comm *comm, par__op *op, char *out,
                        const int64_t *offset, const int64_t *bytes)
{
    const par_group *g = op->group;
    for (int k = 1; k < g->n; k++) {
        const int from = (g->me - k + g->n) % g->n;
        if (bytes[from] > 0)
            par__recv(comm, op, from, out + offset[from], bytes[from]);
    }
}

static void send_all(par_comm *comm, par__op *op, const char *in,
                     const int64_t *offset, const int64_t *bytes)
{
    const par_group *g = op->group;
    for (int k = 1; k < g->n; k++) {
        const int to = (g->me + k) % g->n;
        if (bytes[to] > 0)
            par__send(comm, op, to, in + offset[to], bytes[to]);
    }
}

static void check_own_block(par_comm *comm, const par_group *g,
                            const int64_t *in_bytes, const int64_t *out_bytes)
{
    if (in_bytes[g->me] != out_bytes[g->me])
        par_abort(comm, CORE_E_INTERNAL,
                  "all-to-all over %s: sends itself %lld bytes, expects %lld",
                  g->name, (long long)in_bytes[g->me],
                  (long long)out_bytes[g->me]);
}

void par_all_to_all(par_comm *comm, const par_group *group, const void *in,
                    const int64_t *in_offset, const int64_t *in_bytes,
                    void *out, const int64_t *out_offset,
                    const int64_t *out_bytes)
{
    const int me = group->me;
    par__op op = par__begin(comm, group, PAR_ALL_TO_ALL);
    check_own_block(comm, group, in_bytes, out_bytes);
    receive_all(comm, &op, out, out_offset, out_bytes);
    send_all(comm, &op, in, in_offset, in_bytes);
    if (in_bytes[me] > 0)
        memcpy((char *)out + out_offset[me], (const char *)in + in_offset[me],
               (size_t)in_bytes[me]);
    par__wait_all(comm, &op);
    par__end(comm, &op);
}

/* --- begun --- */

struct par_exchange {
    par__op op;
    bool is_late;
    const char *in;
    char *out, *arriving;
    int n_request;
    par_request **request; /* [2*n]                                           */
    int64_t *in_offset, *in_bytes, *out_offset, *out_bytes; /* [n]            */
    int64_t *arriving_offset;                               /* [n]            */
};

static void *must_have(par_comm *comm, void *memory)
{
    if (memory == NULL)
        par_abort(comm, CORE_E_MEMORY, "no memory for an exchange");
    return memory;
}

static int64_t sum_of_others(const par_group *g, const int64_t *bytes)
{
    int64_t sum = 0;
    for (int i = 0; i < g->n; i++)
        sum += i != g->me ? bytes[i] : 0;
    return sum;
}

static par_exchange *make(par_comm *comm, const par_group *group,
                          const int64_t *const list[4])
{
    const size_t n = (size_t)group->n, bytes = n * sizeof(int64_t);
    const int64_t arriving = sum_of_others(group, list[3]);
    par_exchange *x = must_have(comm, malloc(sizeof *x));
    int64_t *copy = must_have(comm, malloc(5 * bytes));
    *x = (par_exchange){
        .arriving = must_have(comm, malloc((size_t)arriving + 1)),
        .request = must_have(comm, malloc(2 * n * sizeof(void *))),
        .in_offset = copy,
        .in_bytes = copy + n,
        .out_offset = copy + 2 * n,
        .out_bytes = copy + 3 * n,
        .arriving_offset = copy + 4 * n};
    for (int i = 0; i < 4; i++)
        memcpy(copy + (size_t)i * n, list[i], bytes);
    int64_t at = 0;
    for (int i = 0; i < group->n; i++) {
        x->arriving_offset[i] = at;
        at += i != group->me ? x->out_bytes[i] : 0;
    }
    return x;
}

static void drop(par_exchange *x)
{
    free(x->in_offset);
    free(x->arriving);
    free(x->request);
    free(x);
}

par_exchange *par_begin_all_to_all(par_comm *comm, const par_group *group,
                                   const void *in, const int64_t *in_offset,
                                   const int64_t *in_bytes, void *out,
                                   const int64_t *out_offset,
                                   const int64_t *out_bytes, bool is_late)
{
    const int64_t *const list[4] = {in_offset, in_bytes, out_offset, out_bytes};
    struct par_comm_impl *impl = comm->impl;
    par_exchange *x = make(comm, group, list);
    x->op = par__begin(comm, group, PAR_ALL_TO_ALL);
    x->in = in;
    x->out = out;
    x->is_late = is_late;
    check_own_block(comm, group, in_bytes, out_bytes);
    receive_all(comm, &x->op, x->arriving, x->arriving_offset, out_bytes);
    if (!is_late)
        send_all(comm, &x->op, in, in_offset, in_bytes);
    x->n_request = impl->n_requests;
    memcpy(x->request, impl->requests,
           (size_t)x->n_request * sizeof *x->request);
    impl->n_requests = 0;
    comm->n_bytes[PAR_ALL_TO_ALL] += sum_of_others(group, in_bytes);
    x->op.start_ns = par_now_ns() - x->op.start_ns; /* so far */
    return x;
}

static void deliver(const par_exchange *x)
{
    const par_group *g = x->op.group;
    for (int i = 0; i < g->n; i++) {
        const char *from = i == g->me ? x->in + x->in_offset[i]
                                      : x->arriving + x->arriving_offset[i];
        if (x->out_bytes[i] > 0)
            memcpy(x->out + x->out_offset[i], from, (size_t)x->out_bytes[i]);
    }
}

void par_complete(par_comm *comm, par_exchange *x)
{
    struct par_comm_impl *impl = comm->impl;
    if (x == NULL)
        return;
    const par__op began = x->op;
    core_assert(impl->n_requests == 0);
    par__resume_op(comm, &began);
    x->op.start_ns = par_now_ns() - began.start_ns;
    memcpy(impl->requests, x->request,
           (size_t)x->n_request * sizeof *x->request);
    impl->n_requests = x->n_request;
    if (x->is_late)
        send_all(comm, &x->op, x->in, x->in_offset, x->in_bytes);
    par__wait_all(comm, &x->op);
    deliver(x);
    x->op.bytes = 0; /* counted when it began */
    par__end(comm, &x->op);
    drop(x);
}
