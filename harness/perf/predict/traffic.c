/* harness/perf/predict/traffic.c -- see traffic.h.
 *
 * Two sources.  The records of cost say what every collective moves, but not
 * to whom; for a ring and for a stage's successor the layout says that.  Rows
 * of experts go where the load says.  An exchange first tells everybody how
 * many rows come: that is the record of words that does not follow another
 * record of words.
 */
#include "harness/perf/predict/traffic.h"

#include "harness/perf/cost/walk.h"
#include "harness/perf/machine/tiers.h"

#include <stdlib.h>

typedef struct tracing {
    har_traffic *traffic;
    const har_predict_case *request;
    const har_machine *machine;
    const har_load *load;
    par_layout lay;
    double value_bytes, dispatch_bytes; /* the latter on the way to an expert */
    bool follows_words;
} tracing;

static void add(tracing *w, har_flow flow, int from, int to, double bytes)
{
    har_traffic *t = w->traffic;
    if (from == to)
        return;
    const int64_t row = (int64_t)flow * t->n_cell + from / t->block;
    t->sent[row * t->n_cell + to / t->block] += bytes;
    t->out[from] += bytes;
    t->by_link[flow][har_tier_between(w->machine, from, to)] += bytes;
}

/* Each member sends its share to the next one. */
static void add_ring(tracing *w, har_flow flow, const par_group *g,
                     double bytes)
{
    add(w, flow, w->lay.rank, g->rank[(g->me + 1) % g->n], bytes);
}

/* ... a block to every other one. */
static void add_pairs(tracing *w, har_flow flow, const par_group *g,
                      double bytes)
{
    for (int i = 0; i < g->n; i++)
        add(w, flow, w->lay.rank, g->rank[i], bytes);
}

/* How many rows come: a word for each member. */
static void add_counts(tracing *w)
{
    const par_group *g = &w->lay.ep_group;
    for (int i = 0; i < g->n; i++)
        add(w, HAR_FLOW_EXPERT, w->lay.rank, g->rank[i], sizeof(int64_t));
}

static void take_record(void *self, const core_cost *c)
{
    tracing *w = self;
    if (c->kind != CORE_COST_COLLECTIVE || c->group < 2)
        return;
    const bool is_words = c->type == CORE_COST_WORDS;
    const double size = is_words ? sizeof(int64_t) : w->value_bytes;
    const double whole = (double)(c->in > c->out ? c->in : c->out) * size;
    const double share = whole * (c->group - 1) / c->group;
    const har_flow flow = c->axis == CORE_AXIS_TP   ? HAR_FLOW_TENSOR
                          : c->axis == CORE_AXIS_CP ? HAR_FLOW_CONTEXT
                                                    : HAR_FLOW_EXPERT;
    const par_group *ring = c->axis == CORE_AXIS_TP   ? &w->lay.tp_group
                            : c->axis == CORE_AXIS_CP ? &w->lay.cp_group
                                                      : &w->lay.etp_group;
    switch (c->collective) {
    case CORE_ALL_REDUCE:
        add_ring(w, flow, ring, 2 * share);
        break;
    case CORE_ALL_GATHER:
    case CORE_REDUCE_SCATTER:
    case CORE_RING:
        add_ring(w, flow, ring, share);
        break;
    case CORE_ALL_TO_ALL:
        if (c->axis == CORE_AXIS_CP)
            add_pairs(w, flow, ring, (double)c->sent * size / (c->group - 1));
        else if (is_words && !w->follows_words)
            add_counts(w);
        break;
    case CORE_SEND:
        add(w, HAR_FLOW_STAGE, w->lay.rank, w->lay.next_rank, whole);
        break;
    case CORE_RECEIVE:
    case CORE_COLLECTIVE_NONE:
    case CORE_N_COLLECTIVES:
        break;
    }
    w->follows_words = is_words;
}

/* n rows go to the experts of ep index p, and come back in etp parts. */
static void add_rows(tracing *w, int p, int64_t n)
{
    const int etp = w->lay.plan.etp, me = w->lay.rank;
    const double n_d = (double)core_spec_n_de(w->request->spec);
    for (int j = 0; j < etp; j++) {
        const int to = w->lay.ep_group.rank[p * etp + j];
        const int64_t share = n * (j + 1) / etp - n * j / etp;
        w->traffic->rows[to] += (double)n;
        add(w, HAR_FLOW_EXPERT, me, to,
            (double)n *
                (n_d * w->dispatch_bytes + HAR__META_WORDS * sizeof(int64_t)));
        add(w, HAR_FLOW_EXPERT, to, me, (double)share * n_d * w->value_bytes);
    }
}

/* The rows that this rank sends out for one layer and one token group: those
 * for one ep index are one block, which is returned in whole rows.           */
static void add_group(tracing *w, int layer, int64_t part)
{
    const uint64_t *rows = har_load_at(
        w->load, layer, part, w->lay.c * w->lay.plan.tp + w->lay.t);
    for (int p = 0; p < w->lay.plan.ep; p++) {
        int64_t n = 0;
        for (int64_t e = 0; e < w->load->n_entry; e++)
            n += w->lay.experts[layer].replica_ep[e] == p ? (int64_t)rows[e] : 0;
        if (n > 0)
            add_rows(w, p, n);
    }
}

static void add_experts(tracing *w)
{
    const par_layout *lay = &w->lay;
    const par_plan *plan = &lay->plan;
    for (int k = 0; k < lay->n_my_layer; k++) {
        const int l = lay->my_layer[k];
        if (!core_spec_is_moe(w->request->spec, l))
            continue;
        for (int i = 0; i < plan->rounds * plan->mb; i++)
            add_group(w, l,
                      ((int64_t)(i / plan->mb) * plan->dp + lay->d) * plan->mb +
                          i % plan->mb);
    }
}

static core_status add_rank(tracing *w, core_arena *arena, int rank)
{
    const har_predict_case *r = w->request;
    const core_batch batch = {.n_b = r->n_b, .n_t = r->n_t};
    const har_cost_case records = {
        .spec = r->spec, .plan = r->plan, .batch = &batch, .load = w->load};
    CORE_TRY(par_layout_make(&w->lay, arena, r->spec, r->plan, rank));
    w->follows_words = false;
    add_experts(w);
    return har_cost_rank(&records, rank, take_record, w);
}

static core_status make_tables(har_traffic *t)
{
    const struct {
        double **at;
        int64_t n;
    } table[] = {{&t->sent, (int64_t)HAR_N_FLOW * t->n_cell * t->n_cell},
                 {&t->out, t->n_gpu},
                 {&t->rows, t->n_gpu}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        void *memory;
        CORE_TRY(core_alloc(&memory, table[i].n, sizeof(double), "traffic"));
        *table[i].at = memory;
        for (int64_t k = 0; k < table[i].n; k++)
            (*table[i].at)[k] = 0;
    }
    return CORE_OK;
}

core_status har_traffic_make(har_traffic *out, const har_predict_case *request,
                             const har_machine *machine, const har_load *load,
                             int block)
{
    const int n_gpu = par_plan_world(request->plan);
    tracing w = {.traffic = out,
                 .request = request,
                 .machine = machine,
                 .load = load,
                 .value_bytes = (double)core_dtype_bytes(
                     core_types_of(&request->types, CORE_SLOT_OUT)),
                 .dispatch_bytes = har_dispatch_bytes(machine, &request->types)};
    core_arena arena = core_arena_measure();
    core_status status = CORE_OK;
    *out = (har_traffic){
        .n_gpu = n_gpu, .block = block, .n_cell = (n_gpu + block - 1) / block};
    core_assert(request->algorithm == HAR_LIBRARY);
    status = make_tables(out);
    for (int rank = 0; rank < n_gpu && status == CORE_OK; rank++)
        status = add_rank(&w, &arena, rank);
    core_arena_free(&arena);
    return status;
}

void har_traffic_free(har_traffic *t)
{
    free(t->sent);
    free(t->out);
    free(t->rows);
    *t = (har_traffic){0};
}

double har_traffic_at(const har_traffic *t, har_flow flow, int i, int j)
{
    const int64_t row = (int64_t)flow * t->n_cell + i;
    return t->sent[row * t->n_cell + j];
}

bool har_traffic_has(const har_traffic *t, har_flow flow)
{
    double bytes = 0;
    for (int i = 0; i < HAR_MAX_LINKS; i++)
        bytes += t->by_link[flow][i];
    return flow != HAR_FLOW_CONTEXT || bytes > 0;
}

const char *har_flow_name(har_flow flow)
{
    static const char *const names[HAR_N_FLOW] = {
        [HAR_FLOW_TENSOR] = "tensor group",
        [HAR_FLOW_EXPERT] = "experts",
        [HAR_FLOW_STAGE] = "next stage",
        [HAR_FLOW_CONTEXT] = "context group"};
    return names[flow];
}
