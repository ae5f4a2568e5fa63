/* parallel/comm_ops.c -- moving data among the members of a group.
 *
 * Up to PAIRWISE members everybody sends to everybody: one round, so one sleep
 * and wake-up per rank, which is what costs when ranks share a processor.
 * Beyond, n*(n-1) messages cost more: gather at the first member and broadcast
 * down a tree.
 *
 * A tag names the kind of operation, the group and the call, so that messages
 * of members that are not in the same operation do not meet: they wait, and the
 * watch finds out.  Blocks of no bytes are sent too, for the same reason.
 */
#include "parallel/comm_impl.h"

#include "core/base/arena.h"
#include "parallel/process.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRWISE = 16 };

const char *par_op_name(par_op_kind kind)
{
    static const char *const name[PAR_N_OP_KINDS] = {
        "all-reduce", "all-gather", "reduce-scatter", "all-to-all", "broadcast",
        "send",       "receive",    "barrier",        "agreement"};
    return kind < PAR_N_OP_KINDS ? name[kind] : "nothing";
}

/* --- begin and end --- */

static uint32_t next_call(par_comm *comm, int group_id)
{
    struct par_comm_impl *impl = comm->impl;
    core_assert(group_id >= 0 && group_id < PAR_NO_GROUP);
    if (group_id >= impl->n_call_ids) {
        const int64_t had = impl->n_call_ids;
        uint32_t *grown = core_grow(impl->n_call, &impl->n_call_ids,
                                    group_id + 1, sizeof *grown, "groups");
        if (!grown)
            par_abort(comm, CORE_E_MEMORY, "no memory for %d groups", group_id);
        memset(grown + had, 0,
               (size_t)(impl->n_call_ids - had) * sizeof *grown);
        impl->n_call = grown;
    }
    return ++impl->n_call[group_id];
}

void par__resume_op(par_comm *comm, const par__op *op)
{
    const par_board_op word = {.epoch = comm->impl->epoch,
                               .kind = op->kind,
                               .group_id = op->group->id,
                               .call = op->call};
    par_board_rank *mine = comm->impl->mine;
    memcpy(mine->group, op->group->name, sizeof mine->group - 1);
    atomic_store(&mine->op, par_board_op_pack(word));
    atomic_fetch_add(&mine->progress, 1);
}

par__op par__begin(par_comm *comm, const par_group *group, par_op_kind kind)
{
    core_assert(group->n >= 1 && group->me >= 0 && group->me < group->n &&
                group->rank[group->me] == comm->rank);
    const uint32_t call = next_call(comm, group->id);
    const par__op op = {.kind = kind,
                        .group = group,
                        .tag = (int)kind << 24 | (group->id & 0xfff) << 12 |
                               (int)(call & 0xfff),
                        .call = call,
                        .start_ns = par_now_ns()};
    par__resume_op(comm, &op);
    return op;
}

void par__end(par_comm *comm, const par__op *op)
{
    comm->n_calls[op->kind]++;
    comm->n_bytes[op->kind] += op->bytes;
    atomic_fetch_add(&comm->impl->mine->progress, 1);
    if (!comm->record)
        return;
    const par_comm_record record = {
        .kind = op->kind,
        .group = op->group,
        .peer = -1,
        .bytes = op->bytes,
        .seconds = (double)(par_now_ns() - op->start_ns) * 1e-9};
    comm->record(comm->record_self, &record);
}

void *par__scratch(par_comm *comm, int64_t bytes)
{
    struct par_comm_impl *impl = comm->impl;
    const size_t need = bytes > 0 ? (size_t)bytes : 1;
    if (need > impl->scratch_bytes) {
        free(impl->scratch);
        impl->scratch = malloc(need);
        impl->scratch_bytes = need;
        if (!impl->scratch)
            par_abort(comm, CORE_E_MEMORY,
                      "no memory: %zu bytes to exchange messages", need);
    }
    return impl->scratch;
}

/* --- one to all --- */

void par__tree_broadcast(par_comm *comm, par__op *op, void *buf, int64_t bytes,
                         int root_index)
{
    const par_group *g = op->group;
    const int v = (g->me - root_index + g->n) % g->n; /* the root is 0 */
    int bit = 1;
    for (; bit < g->n; bit <<= 1)
        if (v & bit) {
            par__recv(comm, op, (g->me - bit + g->n) % g->n, buf, bytes);
            par__wait_all(comm, op);
            break;
        }
    for (bit >>= 1; bit > 0; bit >>= 1)
        if (v + bit < g->n)
            par__send(comm, op, (g->me + bit) % g->n, buf, bytes);
    par__wait_all(comm, op);
}

void par_broadcast(par_comm *comm, const par_group *group, void *buf,
                   int64_t bytes, int root_index)
{
    core_assert(root_index >= 0 && root_index < group->n && bytes >= 0);
    par__op op = par__begin(comm, group, PAR_BROADCAST);
    par__tree_broadcast(comm, &op, buf, bytes, root_index);
    par__end(comm, &op);
}

/* Dissemination: after round r everybody has heard of 2^(r+1) members. */
void par_barrier(par_comm *comm, const par_group *group)
{
    par__op op = par__begin(comm, group, PAR_BARRIER);
    const int n = group->n, me = group->me;
    for (int64_t d = 1; d < n; d *= 2) {
        par__recv(comm, &op, (int)((me - d + n) % n), NULL, 0);
        par__send(comm, &op, (int)((me + d) % n), NULL, 0);
        par__wait_all(comm, &op);
    }
    par__end(comm, &op);
}

/* --- all to all --- */

static void gather_pairwise(par_comm *comm, par__op *op, char *out,
                            const int64_t *count_bytes, int64_t my_offset)
{
    const par_group *g = op->group;
    int64_t offset = 0;
    for (int i = 0; i < g->n; offset += count_bytes[i++])
        if (i != g->me)
            par__recv(comm, op, i, out + offset, count_bytes[i]);
    for (int k = 1; k < g->n; k++)
        par__send(comm, op, (g->me + k) % g->n, out + my_offset,
                  count_bytes[g->me]);
    par__wait_all(comm, op);
}

static void gather_at_first(par_comm *comm, par__op *op, char *out,
                            const int64_t *count_bytes, int64_t my_offset)
{
    const par_group *g = op->group;
    int64_t offset = 0;
    for (int i = 0; i < g->n; offset += count_bytes[i++])
        if (i != 0 && g->me == 0)
            par__recv(comm, op, i, out + offset, count_bytes[i]);
    if (g->me != 0)
        par__send(comm, op, 0, out + my_offset, count_bytes[g->me]);
    par__wait_all(comm, op);
    par__tree_broadcast(comm, op, out, offset, 0);
}

void par_all_gather(par_comm *comm, const par_group *group, const void *in,
                    void *out, const int64_t *count_bytes)
{
    par__op op = par__begin(comm, group, PAR_ALL_GATHER);
    int64_t my_offset = 0;
    for (int i = 0; i < group->me; i++)
        my_offset += count_bytes[i];
    if (count_bytes[group->me] > 0 && in != (char *)out + my_offset)
        memmove((char *)out + my_offset, in, (size_t)count_bytes[group->me]);
    if (group->n <= PAIRWISE)
        gather_pairwise(comm, &op, out, count_bytes, my_offset);
    else
        gather_at_first(comm, &op, out, count_bytes, my_offset);
    par__end(comm, &op);
}
