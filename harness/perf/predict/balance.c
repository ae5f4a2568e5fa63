/* harness/perf/predict/balance.c -- rows per expert and per member of its group.
 *
 * A pair of a layer brings together the token groups of one round and
 * micro-batch number: in scope=replica those of one replica, in scope=stage of
 * the replicas whose ranks share a copy of the experts.  Column parts (etp) of
 * an expert have the same rows and count once.
 */
#include "harness/perf/predict/balance.h"

typedef struct counting {
    const par_layout *lay;
    const har_load *load;
    int n_copy; /* sets of the experts that are counted apart            */
    int64_t n_entry;
    int64_t *rows;  /* [n_copy, n_entry] of one pair                         */
    double *member, *distinct_of; /* [ep] of one pair and copy               */
    double *total;  /* [n_stage or 1, n_copy, ep]                            */
    double mean, most, expert_mean, expert_most, distinct, n_distinct;
} counting;

/* Which copy of the experts the rank of slice s of replica d sends to. */
static int copy_of(const par_layout *lay, int d, int s)
{
    const par_plan *p = &lay->plan;
    return p->scope == PAR_SCOPE_REPLICA
               ? d
               : (d * p->cp * p->tp + s) / (p->ep * p->etp);
}

static void gather(counting *c, int layer, int round, int mb)
{
    const par_plan *p = &c->lay->plan;
    for (int64_t i = 0; i < c->n_copy * c->n_entry; i++)
        c->rows[i] = 0;
    for (int d = 0; d < p->dp; d++)
        for (int s = 0; s < p->cp * p->tp; s++) {
            const uint64_t *from = har_load_at(
                c->load, layer, ((int64_t)round * p->dp + d) * p->mb + mb, s);
            int64_t *to = c->rows + copy_of(c->lay, d, s) * c->n_entry;
            for (int64_t i = 0; i < c->n_entry; i++)
                to[i] += (int64_t)from[i];
        }
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void judge(counting *c, int layer, const int64_t *rows, double *total,
                  har_balance *out)
{
    const int ep = c->lay->plan.ep;
    double sum = 0, most = 0, expert_most = 0;
    for (int m = 0; m < ep; m++)
        c->member[m] = c->distinct_of[m] = 0;
    for (int64_t i = 0; i < c->n_entry; i++) {
        const int m = c->lay->experts[layer].replica_ep[i];
        c->member[m] += (double)rows[i];
        c->distinct_of[m] += rows[i] > 0;
        expert_most = larger(expert_most, (double)rows[i]);
    }
    for (int m = 0; m < ep; m++) {
        total[m] += c->member[m];
        sum += c->member[m];
        most = larger(most, c->member[m]);
        c->distinct += c->distinct_of[m];
        c->n_distinct++;
        out->distinct_most = larger(out->distinct_most, c->distinct_of[m]);
    }
    c->mean += sum / ep;
    c->most += most;
    c->expert_mean += sum / (double)c->n_entry;
    c->expert_most += expert_most;
}

static void find_slowest(const counting *c, int n_scope, har_balance *out)
{
    const int n = c->n_copy * c->lay->plan.ep;
    double sum = 0, most = -1;
    for (int i = 0; i < n_scope * n; i++) {
        sum += c->total[i];
        if (c->total[i] > most) {
            most = c->total[i];
            out->slowest = i % n;
            out->slowest_scope = i / n;
        }
    }
    out->slowest_share = sum > 0 ? most * n_scope * n / sum : 1;
}

static void take(counting *c, core_arena *arena, int n_scope)
{
    const int ep = c->lay->plan.ep;
    c->rows = core_arena_i64(arena, c->n_copy * c->n_entry);
    c->member = core_arena_f64(arena, ep);
    c->distinct_of = core_arena_f64(arena, ep);
    c->total = core_arena_f64(arena, (int64_t)n_scope * c->n_copy * ep);
}

static int stage_of(const par_layout *lay, int layer)
{
    int part = 0;
    while (layer >= lay->first_layer[part + 1])
        part++;
    return part % lay->plan.pp;
}

core_status har_balance_of(har_balance *out, core_arena *arena,
                           const core_spec *spec, const par_layout *lay,
                           const har_load *load)
{
    const par_plan *p = &lay->plan;
    const bool by_stage = p->scope == PAR_SCOPE_STAGE;
    const int n_scope = by_stage ? p->pp : 1;
    counting c = {.lay = lay,
                  .load = load,
                  .n_copy = by_stage ? lay->edp : p->dp,
                  .n_entry = load->n_entry};
    core_arena need = core_arena_measure();
    take(&c, &need, n_scope);
    CORE_TRY(core_arena_room(arena, &need));
    take(&c, arena, n_scope);
    const int n = c.n_copy * p->ep;
    for (int i = 0; i < n_scope * n; i++)
        c.total[i] = 0;
    *out = (har_balance){0};
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = 0; core_spec_is_moe(spec, l) && k < p->rounds * p->mb;
             k++) {
            double *total = c.total + (by_stage ? stage_of(lay, l) * n : 0);
            gather(&c, l, k / p->mb, k % p->mb);
            for (int i = 0; i < c.n_copy; i++)
                judge(&c, l, c.rows + i * c.n_entry, total + i * p->ep, out);
        }
    find_slowest(&c, n_scope, out);
    out->ranks = c.most > 0 ? c.mean / c.most : 1;
    out->experts = c.expert_most > 0 ? c.expert_mean / c.expert_most : 1;
    out->distinct_mean = c.n_distinct > 0 ? c.distinct / c.n_distinct : 0;
    return CORE_OK;
}
