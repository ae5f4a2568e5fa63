/* parallel/balancer.c -- see balancer.h.
 *
 * All ties go to the lowest number, so the same loads give the same experts on
 * every rank.
 */
#include "parallel/balancer.h"

#include <stdlib.h>
#include <string.h>

typedef struct item {
    double load;
    int id;
} item;

static int by_load(const void *left, const void *right)
{
    const item *a = left, *b = right;
    if (a->load != b->load)
        return a->load < b->load ? 1 : -1;
    return a->id - b->id;
}

core_status par_balancer_check(const par_balancer *d)
{
    const int64_t n = (int64_t)d->n_gpu * d->n_slot;
    CORE_FAIL_IF(n > PAR_MAX_SLOTS || n < d->n_e, CORE_E_USAGE,
                 "%d GPUs x %d physical experts = %lld, expected %d to %d",
                 d->n_gpu, d->n_slot, (long long)n, d->n_e, PAR_MAX_SLOTS);
    CORE_FAIL_IF(d->n_gpu % d->n_node != 0, CORE_E_USAGE,
                 "GPUs %% nodes = %d %% %d = %d, expected 0", d->n_gpu,
                 d->n_node, d->n_gpu % d->n_node);
    CORE_FAIL_IF(d->n_group % d->n_node != 0, CORE_E_USAGE,
                 "groups %% nodes = %d %% %d = %d, expected 0", d->n_group,
                 d->n_node, d->n_group % d->n_node);
    CORE_FAIL_IF(d->n_e % d->n_group != 0, CORE_E_USAGE,
                 "experts %% groups = %d %% %d = %d, expected 0", d->n_e,
                 d->n_group, d->n_e % d->n_group);
    CORE_FAIL_IF(d->is_once && d->n_slot > d->n_e / d->n_node, CORE_E_USAGE,
                 "%d physical experts on a GPU, expected at most %d: a node's "
                 "experts, each once", d->n_slot, d->n_e / d->n_node);
    return CORE_OK;
}

void par_balancer_in_order(const par_balancer *d, int *logical)
{
    for (int p = 0; p < d->n_gpu * d->n_slot; p++)
        logical[p] = p % d->n_e;
}

/* The least loaded of n bins that hold less than `room`. */
static int least(const double *load, const int *held, int n, int room)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (held[i] < room && (best < 0 || load[i] < load[best]))
            best = i;
    return best;
}

/* node [n_group] of each group. */
static void groups_to_nodes(const par_balancer *d, const double *load, int *node)
{
    const int of_group = d->n_e / d->n_group;
    double sum[PAR_MAX_SLOTS] = {0};
    int held[PAR_MAX_SLOTS] = {0};
    item group[PAR_MAX_SLOTS];
    for (int g = 0; g < d->n_group; g++) {
        group[g] = (item){0, g};
        for (int e = g * of_group; e < (g + 1) * of_group; e++)
            group[g].load += load[e];
    }
    qsort(group, (size_t)d->n_group, sizeof *group, by_load);
    for (int i = 0; i < d->n_group; i++) {
        const int n = least(sum, held, d->n_node, d->n_group / d->n_node);
        core_assert(n >= 0);
        node[group[i].id] = n;
        sum[n] += group[i].load;
        held[n]++;
    }
}

/* Copies of the experts of a node, largest load first; returns how many. */
static int copy_experts(const par_balancer *d, const double *load, const int *node,
                        int i_node, item *copy)
{
    const int of_group = d->n_e / d->n_group;
    const int n = d->n_gpu / d->n_node * d->n_slot;
    int n_copy[PAR_MAX_SLOTS], mine[PAR_MAX_SLOTS], n_mine = 0, n_out = 0;
    for (int e = 0; e < d->n_e; e++)
        if (node[e / of_group] == i_node) {
            mine[n_mine] = e;
            n_copy[n_mine++] = 1;
        }
    for (int more = n_mine; more < n; more++) {
        int best = -1;
        for (int i = 0; i < n_mine; i++)
            if ((!d->is_once || n_copy[i] < d->n_gpu / d->n_node) &&
                (best < 0 ||
                 load[mine[i]] * n_copy[best] > load[mine[best]] * n_copy[i]))
                best = i;
        core_assert(best >= 0); /* par_balancer_check: each has room for more */
        n_copy[best]++;
    }
    for (int i = 0; i < n_mine; i++)
        for (int k = 0; k < n_copy[i]; k++)
            copy[n_out++] = (item){load[mine[i]] / n_copy[i], mine[i]};
    qsort(copy, (size_t)n_out, sizeof *copy, by_load);
    return n_out;
}

static bool has(const int *slot, int n, int e)
{
    for (int i = 0; i < n; i++)
        if (slot[i] == e)
            return true;
    return false;
}

/* slot: of the node's GPUs, side by side. */
static void copies_to_gpus(const par_balancer *d, const item *copy, int n, int *slot)
{
    const int n_gpu = d->n_gpu / d->n_node;
    double sum[PAR_MAX_SLOTS] = {0};
    int held[PAR_MAX_SLOTS] = {0};
    for (int i = 0; i < n; i++) {
        int best = -1;
        for (int g = 0; g < n_gpu; g++)
            if (held[g] < d->n_slot &&
                !has(slot + g * d->n_slot, held[g], copy[i].id) &&
                (best < 0 || sum[g] < sum[best]))
                best = g;
        if (best < 0)
            best = least(sum, held, n_gpu, d->n_slot);
        slot[best * d->n_slot + held[best]++] = copy[i].id;
        sum[best] += copy[i].load;
    }
}

void par_balancer_deal(const par_balancer *d, const double *load, int *logical)
{
    const int of_node = d->n_gpu / d->n_node * d->n_slot;
    int node[PAR_MAX_SLOTS];
    item copy[PAR_MAX_SLOTS];
    groups_to_nodes(d, load, node);
    for (int i = 0; i < d->n_node; i++) {
        const int n = copy_experts(d, load, node, i, copy);
        copies_to_gpus(d, copy, n, logical + i * of_node);
    }
}

void par_balancer_copies(const par_balancer *d, const int *logical, int *n_copy)
{
    memset(n_copy, 0, (size_t)d->n_e * sizeof *n_copy);
    for (int p = 0; p < d->n_gpu * d->n_slot; p++)
        n_copy[logical[p]]++;
}

double par_balancer_balance(const par_balancer *d, const double *load,
                        const int *logical)
{
    int n_copy[PAR_MAX_SLOTS];
    double sum = 0, most = 0;
    par_balancer_copies(d, logical, n_copy);
    for (int g = 0; g < d->n_gpu; g++) {
        double mine = 0;
        for (int i = g * d->n_slot; i < (g + 1) * d->n_slot; i++)
            mine += load[logical[i]] / n_copy[logical[i]];
        sum += mine;
        most = mine > most ? mine : most;
    }
    return sum / d->n_gpu / most;
}

int par_balancer_moved(const par_balancer *d, const int *before, const int *after,
                   int *most)
{
    int n = 0;
    *most = 0;
    for (int g = 0; g < d->n_gpu; g++) {
        const int *had = before + g * d->n_slot, *wants = after + g * d->n_slot;
        int mine = 0;
        for (int i = 0; i < d->n_slot; i++)
            mine += !has(had, d->n_slot, wants[i]) && !has(wants, i, wants[i]);
        n += mine;
        *most = mine > *most ? mine : *most;
    }
    return n;
}
