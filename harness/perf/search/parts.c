/* harness/perf/search/parts.c -- parts of a plan, from their records.
 *
 * The records are those of cost/model.c, made for one rank of a small layout
 * that has the part's degrees: nothing of an operator is known here.  Only the
 * rows of a pair are this file's own: what a token group can be expected to
 * send, dealt in whole rows.
 *
 * Traps: a tensor rank dispatches only its slice of the tokens; every etp rank
 * of an expert gets all of its rows; with scope=replica an expert has rows of
 * its own for every stage; a newer part takes the place of an older one, so
 * parts are handed out by value.
 */
#include "harness/perf/search/impl.h"

#include "harness/perf/cost/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t har__rows_of(const har_quick *e, const har_shape *shape)
{
    const int64_t n_part = (int64_t)shape->dp * shape->mb;
    return (e->n_b + n_part - 1) / n_part;
}

/* A rank has two of 2 cp parts, number c from either end; the first parts are
 * longer where they are not equal. */
int64_t har__tokens_of(int cp, int64_t n_t)
{
    const int n_part = 2 * cp, n_long = (int)(n_t % n_part);
    return n_t / n_part * 2 + (n_long > cp ? 2 : n_long > 0 ? 1 : 0);
}

/* Which of cp ranks has them. */
static int longest_of(int cp, int64_t n_t)
{
    const int n_part = 2 * cp, n_long = (int)(n_t % n_part);
    return n_long > cp ? n_part - n_long : 0;
}

/* FNV-1a over the words of a key, mixed: keys differ in few low bits. */
static uint64_t hash_of(const void *key, size_t bytes)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < bytes; i += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, (const char *)key + i, sizeof word);
        h = (h ^ word) * 1099511628211u;
    }
    h = (h ^ h >> 32) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

/* --- a layout with the part's degrees --- */

/* Bytes of a rank's layers, without their experts. */
static double layer_bytes(const har_search_memo *m)
{
    double n = 0;
    for (int c = 0; c < m->n_class; c++)
        n += har__count(m, c, 0, (int)m->e->spec->n_l) *
             har_cost_layer_size(m->e->spec, &m->lay, &m->e->types,
                                 m->layer_of[c]);
    return n;
}

/* The tensor rank that holds most: what tp does not divide, as kv heads, one that
 * begins in the middle of it has one more of.  t0 is the first of those that
 * share all other coordinates.                                               */
static core_status find_fullest(har_search_memo *m, int tp, int t0)
{
    double most = -1;
    for (int t = 0; t < tp; t++) {
        CORE_TRY(par_layout_make(&m->lay, &m->layout, m->e->spec, &m->plan,
                                 t0 + t));
        const double n = layer_bytes(m);
        if (n > most) {
            most = n;
            m->fullest[tp] = t;
        }
    }
    m->knows[tp] = true;
    return CORE_OK;
}

/* One stage, all experts on etp ranks, for its fullest rank. */
static core_status make_layout(har_search_memo *m, const har_shape *shape)
{
    const int tp = shape->tp;
    m->lay_tp = 0;
    har_shape_plan(shape, &m->plan);
    const int t0 = longest_of(m->plan.cp, m->e->n_t) * tp;
    if (!m->knows[tp])
        CORE_TRY(find_fullest(m, tp, t0));
    CORE_TRY(par_layout_make(&m->lay, &m->layout, m->e->spec, &m->plan,
                             t0 + m->fullest[tp]));
    m->all_layers = m->lay.my_layer; /* one stage has them all */
    m->lay_tp = tp;
    m->lay_etp = shape->etp;
    m->lay_cp = shape->cp;
    m->lay_cp_kind = shape->cp_kind;
    return CORE_OK;
}

/* A plan is 84 KB, so the layout is kept where it is used; what parts
 * change of it is put right first. */
static core_status lay_out(har_search_memo *m, int tp, int etp, int cp,
                           par_cp_kind cp_kind, int sp)
{
    const har_shape shape = {.dp = etp,
                             .pp = 1,
                             .tp = tp,
                             .ep = 1,
                             .etp = etp,
                             .mb = 1,
                             .scope = PAR_SCOPE_STAGE,
                             .cp = cp,
                             .cp_kind = cp_kind};
    par_layout *lay = &m->lay;
    if (m->lay_tp != tp || m->lay_etp != etp || m->lay_cp != cp ||
        m->lay_cp_kind != cp_kind)
        CORE_TRY(make_layout(m, &shape));
    lay->plan.pp = lay->plan.ep = 1;
    lay->plan.sp = sp == 1;
    lay->stage = lay->etp_i = 0;
    lay->n_my_expert = lay->ep_group.n = 1;
    lay->my_layer = m->all_layers;
    lay->n_my_layer = (int)m->e->spec->n_l;
    return CORE_OK;
}

/* --- rows of a pair --- */

/* Running sums over the experts: choices with a slot of n_row rows. */
static const double *kept_of(har_search_memo *m, int64_t n_row)
{
    const int at = (int)(n_row % HAR__KEPT), n_e = m->demand.n_e;
    double *sum = m->kept + (int64_t)at * (n_e + 1);
    if (m->kept_row[at] == n_row)
        return sum;
    har_demand_kept(&m->demand, m->e->spec, n_row, m->e->n_t, sum + 1);
    sum[0] = 0;
    for (int e = 0; e < n_e; e++)
        sum[e + 1] += sum[e];
    m->kept_row[at] = n_row;
    return sum;
}

static double of_rank(const har_search_memo *m, const double *sum, int ep,
                      int p)
{
    return sum[core_split_first(m->demand.n_e, ep, p + 1)] -
           sum[core_split_first(m->demand.n_e, ep, p)];
}

static int fullest(const har_search_memo *m, const double *sum, int ep)
{
    int most = 0;
    for (int p = 1; p < ep; p++)
        if (of_rank(m, sum, ep, p) > of_rank(m, sum, ep, most) * (1 + 1e-12))
            most = p;
    return most;
}

/* Whole rows of what is expected: x to date, of which *dealt are given; `up` is
 * what is added before rounding down. */
static int64_t deal(double x, double up, int64_t *dealt)
{
    const int64_t to = (int64_t)floor(x + up), mine = to - *dealt;
    *dealt = to;
    return mine;
}

static core_status room_for_flow(har_search_memo *m, int n_member,
                                 int64_t n_bucket)
{
    core_arena need = core_arena_measure();
    har__walk *w = &m->walk;
    for (int pass = 0; pass < 2; pass++) {
        core_arena *a = pass == 0 ? &need : &m->flow;
        w->to = core_arena_i64(a, n_member);
        w->from = core_arena_i64(a, n_member);
        w->bucket = core_arena_i64(a, n_bucket);
        w->sees = core_arena_take(a, m->e->n_t, 1);
        if (pass == 0)
            CORE_TRY(core_arena_room(&m->flow, &need));
    }
    return CORE_OK;
}

/* What the members of a pair send, in rows. */
typedef struct flow {
    const double *sum; /* running sums of a token group's choices             */
    int n_set, n_sender, n_bucket, n_slice; /* slices of a token group        */
    double n_group; /* token groups that send to a bucket                     */
    int me;         /* the fullest member of those with etp_i = 0, / etp      */
    int64_t e0, e1; /* its experts                                            */
} flow;

static flow find_flow(har_search_memo *m, const har__part_key *k)
{
    const int n_e = m->demand.n_e, n_set = k->ep * k->etp;
    flow f = {.sum = kept_of(m, k->n_row),
              .n_set = n_set,
              .n_sender = n_set,
              .n_bucket = 1,
              .n_slice = k->cp * k->tp,
              .n_group = (double)n_set / (k->cp * k->tp)};
    if (k->i != 0) {
        f.n_bucket = k->i == HAR__NOBODY ? 1 : k->i;
        f.n_sender = k->i == HAR__NOBODY ? 0 : k->i * f.n_slice;
        f.n_group = k->i == HAR__NOBODY ? 0 : 1;
    }
    f.me = fullest(m, f.sum, k->ep);
    f.e0 = core_split_first(n_e, k->ep, f.me);
    f.e1 = core_split_first(n_e, k->ep, f.me + 1);
    return f;
}

static double rows_of(const flow *f)
{
    return f->n_bucket * f->n_group * (f->sum[f->e1] - f->sum[f->e0]);
}

/* Fill the walk for the fullest rank of a pair. */
static core_status set_flow(har_search_memo *m, const har__part_key *k,
                            const flow *f, double up)
{
    har__walk *w = &m->walk;
    const int64_t n_mine = f->e1 - f->e0;
    int64_t dealt = 0, next = 0;
    CORE_TRY(room_for_flow(m, f->n_set, f->n_bucket * n_mine));
    m->lay.plan.pp = f->n_bucket;
    m->lay.plan.ep = k->ep;
    m->lay.ep_group.n = f->n_set;
    m->lay.ep_group.me = f->me * k->etp;
    m->lay.n_my_expert = (int)n_mine;
    m->timer.ep = k->ep;
    m->timer.n_held = f->n_bucket * (int)n_mine;
    for (int i = 0; i < f->n_set; i++) {
        const int64_t end =
            core_split_first(m->demand.n_e, k->ep, i / k->etp + 1);
        if (i % k->etp == 0)
            next = f->n_sender == 0 ? 0 : deal(f->sum[end] / f->n_slice, up, &dealt);
        w->to[i] = next;
    }
    dealt = 0;
    for (int64_t i = 0; i < f->n_bucket * n_mine; i++) {
        const double before =
            (double)(i / n_mine) * (f->sum[f->e1] - f->sum[f->e0]);
        const int64_t e = f->e0 + i % n_mine + 1;
        w->bucket[i] =
            deal(f->n_group * (before + f->sum[e] - f->sum[f->e0]), up, &dealt);
    }
    for (int i = 0; i < f->n_set; i++)
        w->from[i] = i >= f->n_sender
                         ? 0
                         : core_split_first(dealt, f->n_sender, i + 1) -
                               core_split_first(dealt, f->n_sender, i);
    return CORE_OK;
}

/* --- times --- */

typedef struct adding {
    har_search_memo *memo;
    const uint8_t *tier;
    har__part *part;
} adding;

static har_search_term term_of(const core_cost *c, har_bound bound)
{
    if (c->kind == CORE_COST_COLLECTIVE)
        return c->axis == CORE_AXIS_EP   ? HAR_TERM_EXPERT
               : c->axis == CORE_AXIS_PP ? HAR_TERM_SEND
                                         : HAR_TERM_TENSOR;
    return bound == HAR_BOUND_COMPUTE  ? HAR_TERM_ARITHMETIC
           : bound == HAR_BOUND_MEMORY ? HAR_TERM_MEMORY
                                       : HAR_TERM_SMALL;
}

static void add_record(void *self, const core_cost *c)
{
    const adding *a = self;
    if (c->kind == CORE_COST_COLLECTIVE && c->group < 2)
        return;
    const har_time time =
        har_timer_ask(&a->memo->timer, c, a->tier[c->axis]);
    a->part->seconds += time.seconds;
    a->part->term[term_of(c, time.bound)] += time.seconds;
}

static void put_part(har_search_memo *m, const har__part_key *k)
{
    har__walk *w = &m->walk;
    switch ((har__part_kind)k->kind) {
    case HAR__OWN:
        w->layer = m->layer_of[k->i];
        har__put_layer(w, -1);
        break;
    case HAR__PAIR:
        for (int i = 0; i < m->n_class; i++)
            if (m->is_moe[i])
                w->layer = m->layer_of[i];
        har__put_flow(w, w->layer, k->i != HAR__NOBODY);
        break;
    case HAR__EMBED:
        har__put_embed(w);
        break;
    case HAR__HEAD:
        har__put_head(w);
        break;
    case HAR__SEND:
        m->lay.plan.pp = 2;
        har__put_stage(w, CORE_SEND, k->i);
        break;
    case HAR__NO_PART:
        break;
    }
}

static core_status prepare(har_search_memo *m, const har__part_key *k,
                           adding *a)
{
    har__walk *w = &m->walk;
    CORE_TRY(lay_out(m, k->tp, k->etp, k->cp, k->cp_kind, k->sp));
    m->reader.self = a;
    w->n_row = k->n_row;
    w->n = k->n_row * har__tokens_of(k->cp, m->e->n_t);
    w->n_slice = core_split_first(w->n, k->tp, 1);
    w->n_s = k->sp == 1 ? w->n_slice : w->n;
    w->n_sum = w->n;
    w->n_sum_s = w->n_s;
    m->batch = (core_batch){.n_b = k->n_row, .n_t = m->e->n_t};
    m->timer.n_cut = k->cp_kind == PAR_CP_ULYSSES ? 1 : k->cp;
    m->timer.n_near = k->n_near;
    m->timer.before = 0; /* whatever part was asked for before this one */
    return CORE_OK;
}

/* Few rows: the mean over the layers, some of which have a row more.  With
 * scope=replica the ranks wait for the one that has. */
static core_status make_pair(har_search_memo *m, const har__part_key *k,
                             har__part *out)
{
    static const double EXACT = 1e-9, FEW = 256;
    const flow f = find_flow(m, k);
    const double rows = rows_of(&f), part_of_row = rows - floor(rows + EXACT);
    const bool is_mixed = part_of_row > EXACT && rows < FEW && k->i == 0;
    adding a = {m, k->tier, out};
    CORE_TRY(prepare(m, k, &a));
    CORE_TRY(set_flow(m, k, &f, 1 - EXACT));
    put_part(m, k);
    out->rows = ceil(rows - EXACT);
    out->balance = f.sum[m->demand.n_e] / (k->ep * (f.sum[f.e1] - f.sum[f.e0]));
    if (!is_mixed)
        return m->status;
    har__part low = {0};
    a.part = &low;
    CORE_TRY(prepare(m, k, &a));
    CORE_TRY(set_flow(m, k, &f, EXACT));
    put_part(m, k);
    out->seconds += (1 - part_of_row) * (low.seconds - out->seconds);
    for (int i = 0; i < HAR_N_TERM; i++)
        out->term[i] += (1 - part_of_row) * (low.term[i] - out->term[i]);
    return m->status;
}

static core_status make_part(har_search_memo *m, const har__part_key *k,
                             har__part *out)
{
    adding a = {m, k->tier, out};
    if (k->kind == HAR__PAIR)
        return make_pair(m, k, out);
    CORE_TRY(prepare(m, k, &a));
    CORE_TRY(room_for_flow(m, 0, 0));
    put_part(m, k);
    return m->status;
}

har__part har__part_of(har_search_memo *m, const har__part_key *key)
{
    const uint64_t at = hash_of(key, sizeof *key) % HAR__PARTS;
    if (memcmp(&m->part_key[at], key, sizeof *key) == 0)
        return m->part[at];
    har__part part = {0};
    const core_status status = make_part(m, key, &part);
    if (status != CORE_OK) {
        m->status = status;
        part = (har__part){.seconds = NAN, .rows = NAN, .balance = NAN};
    }
    m->part_key[at] = *key;
    m->part[at] = part;
    return part;
}

/* --- sizes --- */

static double bytes_of(const core_types *types, core_slot slot)
{
    return (double)core_dtype_bytes(core_types_of(types, slot));
}

/* Of buffers, which hold results or the stream. */
static double widest_bytes(const core_types *types)
{
    return fmax(bytes_of(types, CORE_SLOT_OUT),
                bytes_of(types, CORE_SLOT_RESIDUAL));
}

/* The layers of a stage, chunk by chunk. */
static void set_layers(har_search_memo *m, const har__size_key *k)
{
    const int64_t n_l = m->e->spec->n_l, n_part = (int64_t)k->pp * k->vpp;
    int n = 0;
    for (int64_t part = k->stage; part < n_part; part += k->pp)
        for (int64_t l = core_split_first(n_l, n_part, part);
             l < core_split_first(n_l, n_part, part + 1); l++)
            m->some_layers[n++] = m->all_layers[l];
    m->lay.my_layer = m->some_layers;
    m->lay.n_my_layer = n;
}

static core_status make_size(har_search_memo *m, const har__size_key *k,
                             double *out)
{
    const core_spec *s = m->e->spec;
    const core_types *types = &m->e->types;
    CORE_TRY(lay_out(m, k->tp, k->etp, k->cp, k->cp_kind, k->sp));
    par_layout *lay = &m->lay;
    switch ((har__size_kind)k->kind) {
    case HAR__LAYER_SIZE:
        *out = har_cost_layer_size(s, lay, types, m->layer_of[k->i]);
        break;
    case HAR__EXPERT_SIZE:
        *out = har_cost_expert_size(s, lay, types, m->layer_of[k->i]);
        break;
    case HAR__KV_SIZE:
        *out = core_types_kv_bytes(types) *
               (double)har_cost_kv_elements(
                   s, m->layer_of[k->i],
                   lay->heads[s->head_kind[m->layer_of[k->i]]].n_kv);
        break;
    case HAR__STATE_SIZE:
        *out = bytes_of(types, CORE_SLOT_OUT) *
               (double)har_cost_state_elements(s, lay, m->layer_of[k->i]);
        break;
    case HAR__END_SIZE:
        lay->stage = (k->i & 1) == 0;
        lay->plan.pp = lay->stage + ((k->i & 2) != 0 ? 1 : 2);
        *out = har_cost_end_size(s, lay, types);
        break;
    case HAR__WORK_SIZE:
        if (k->pp > 0)
            set_layers(m, k);
        lay->plan.pp = k->i == 1 ? 1 : 2;
        *out = widest_bytes(types) / sizeof(double) *
               (double)par_arena_bytes(s, lay, k->n_row, m->e->n_t);
        break;
    case HAR__ROW_SIZE:
        *out = widest_bytes(types) / sizeof(double) *
               (double)par_pair_bytes(s, lay, 1);
        break;
    case HAR__NO_SIZE:
        break;
    }
    return CORE_OK;
}

double har__size_of(har_search_memo *m, const har__size_key *key)
{
    const uint64_t at = hash_of(key, sizeof *key) % HAR__SIZES;
    if (memcmp(&m->size_key[at], key, sizeof *key) == 0)
        return m->size[at];
    double size = 0;
    const core_status status = make_size(m, key, &size);
    if (status != CORE_OK) {
        m->status = status;
        size = NAN;
    }
    m->size_key[at] = *key;
    m->size[at] = size;
    return size;
}

void har_quick_load(const har_quick *e, const har_shape *shape, double *share)
{
    const har_demand *demand = &e->memo[0].demand;
    double sum = 0;
    har_demand_kept(demand, e->spec, har__rows_of(e, shape), e->n_t, share);
    for (int i = 0; i < demand->n_e; i++)
        sum += share[i];
    for (int i = 0; i < demand->n_e; i++)
        share[i] /= sum;
}

/* --- making --- */

static void find_classes(har_search_memo *m, const core_spec *s)
{
    for (int l = 0; l < (int)s->n_l; l++) {
        int i = 0;
        while (i < m->n_class && !har__is_like(s, m->layer_of[i], l))
            i++;
        if (i == m->n_class)
            m->layer_of[m->n_class++] = l;
        m->class_of[l] = i;
        m->is_moe[i] = core_spec_is_moe(s, l);
        m->is_mixed |= s->mixer[l] != s->mixer[0] ||
                       s->head_kind[l] != s->head_kind[0];
        for (int k = 0; k < (int)s->n_l; k++)
            m->n_before[k][l + 1] = m->n_before[k][l] + (k == i);
    }
}

core_status har__memo_make(har_search_memo *m, const har_quick *e)
{
    void *kept;
    const int n_e = (int)e->spec->n_e;
    m->e = e;
    m->layout = m->flow = core_arena_measure();
    m->demand = (har_demand){.text = "popularity", .n_e = n_e};
    for (int i = 0; i < n_e; i++)
        m->demand.share[i] = e->share != NULL ? e->share[i] : 1.0 / n_e;
    find_classes(m, e->spec);
    m->request = (har_cost_case){.spec = e->spec, .batch = &m->batch};
    m->walk.request = &m->request;
    m->walk.spec = e->spec;
    m->walk.lay = &m->lay;
    m->walk.reader = &m->reader;
    m->reader.put = add_record;
    CORE_TRY(har_timer_make(&m->timer, e->machine));
    har_timer_aim(&m->timer, e->spec, &e->types);
    m->timer.algorithm = HAR_LIBRARY;
    m->timer.is_decode = e->n_kv > 0;
    m->timer.n_kv = e->n_kv;
    CORE_TRY(core_alloc(&kept, HAR__KEPT * ((int64_t)n_e + 1), sizeof(double),
                        "rows of experts"));
    m->kept = kept;
    return CORE_OK;
}

void har__memo_free(har_search_memo *m)
{
    har_timer_free(&m->timer);
    core_arena_free(&m->layout);
    core_arena_free(&m->flow);
    free(m->kept);
}
