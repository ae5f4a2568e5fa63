/* parallel/comm_begun.c -- an all-to-all that goes on while its ranks do
 * something else.
 *
 * What arrives lies in room of its own until par_complete copies it to where it
 * belongs: whoever reads too early finds what was there, always.  A rank that
 * is late sends nothing before par_complete, which no other may notice: what it
 * writes into its buffer meanwhile is what the others get.
 */
#include "parallel/comm_impl.h"

#include "parallel/process.h"

#include <stdlib.h>
#include <string.h>

struct par_exchange {
    par__op op;
    bool is_late;
    const char *in;
    char *out, *arriving;
    int n_request;
    par_request **request; /* [2*n]                                           */
    int64_t *in_offset, *in_bytes, *out_offset, *out_bytes; /* [n]            */
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
    int64_t *copy = must_have(comm, malloc(4 * bytes));
    *x = (par_exchange){
        .arriving = must_have(comm, malloc((size_t)arriving + 1)),
        .request = must_have(comm, malloc(2 * n * sizeof(void *))),
        .in_offset = copy,
        .in_bytes = copy + n,
        .out_offset = copy + 2 * n,
        .out_bytes = copy + 3 * n};
    for (int i = 0; i < 4; i++)
        memcpy(copy + (size_t)i * n, list[i], bytes);
    return x;
}

static void drop(par_exchange *x)
{
    free(x->in_offset);
    free(x->arriving);
    free(x->request);
    free(x);
}

static void send_all(par_comm *comm, par_exchange *x)
{
    const par_group *g = x->op.group;
    for (int k = 1; k < g->n; k++) {
        const int to = (g->me + k) % g->n;
        if (x->in_bytes[to] > 0)
            par__send(comm, &x->op, to, x->in + x->in_offset[to],
                      x->in_bytes[to]);
    }
}

static void receive_all(par_comm *comm, par_exchange *x)
{
    const par_group *g = x->op.group;
    char *at = x->arriving;
    for (int i = 0; i < g->n; i++)
        if (i != g->me && x->out_bytes[i] > 0) {
            par__recv(comm, &x->op, i, at, x->out_bytes[i]);
            at += x->out_bytes[i];
        }
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
    if (in_bytes[group->me] != out_bytes[group->me])
        par_abort(comm, CORE_E_INTERNAL,
                  "all-to-all over %s: sends itself %lld bytes, expects %lld",
                  group->name, (long long)in_bytes[group->me],
                  (long long)out_bytes[group->me]);
    receive_all(comm, x);
    if (!is_late)
        send_all(comm, x);
    x->n_request = impl->n_requests;
    memcpy(x->request, impl->requests,
           (size_t)x->n_request * sizeof *x->request);
    impl->n_requests = 0;
    comm->n_bytes[PAR_ALL_TO_ALL] += sum_of_others(group, in_bytes);
    x->op.start_ns = par_now_ns() - x->op.start_ns; /* so far */
    return x;
}

/* Blocks lie in the order of members, as receive_all placed them. */
static void deliver(const par_exchange *x)
{
    const par_group *g = x->op.group;
    const char *at = x->arriving;
    for (int i = 0; i < g->n; i++) {
        const char *from = i == g->me ? x->in + x->in_offset[i] : at;
        if (x->out_bytes[i] > 0)
            memcpy(x->out + x->out_offset[i], from, (size_t)x->out_bytes[i]);
        at += i == g->me ? 0 : x->out_bytes[i];
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
        send_all(comm, x);
    par__wait_all(comm, &x->op);
    deliver(x);
    x->op.bytes = 0; /* counted when it began */
    par__end(comm, &x->op);
    drop(x);
}
