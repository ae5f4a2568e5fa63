/* harness/verify/distinct.c -- which weights on different owners are equal.
 *
 * A unit is what one owner holds of an axis in one layer: rectangles of some
 * tensors.  Units are sieved: all begin in one class, a tile of each is hashed,
 * and the class falls apart by hash; what stays beside a unit of another owner
 * is read on.  So a model whose weights differ costs one tile of each unit, and
 * only what is equal is read to its end.
 *
 * An axis counts as told apart as soon as one of a unit's tensors differs.
 * Norms of ones and biases of zeros are no sign of anything by themselves: they
 * stand in units with matrices, or in none (of queries and keys).  Procedural
 * weights are looked at like others; their streams differ by tensor and place.
 */
#include "harness/verify/distinct.h"

#include "core/base/arena.h"
#include "core/pass/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { TILE = 4096 }; /* numbers, or one row */

static const struct {
    const char *name, *degree;
} AXES[HAR_N_AXES] = {
    {"experts", "ep"},
    {"expert columns", "etp"},
    {"layers", "pp"},
    {"experts of layers", "pp"},
    {"heads", "tp"},
    {"kv heads", "tp"},
    {"mamba channels", "tp"},
    {"key heads", "tp"},
    {"state space heads", "tp"},
    {"channels of the short convolution", "tp"},
    {"MLP columns", "tp"},
    {"vocabulary rows", "tp"},
};

/* Tensors of which a plan cuts rows, or columns: of a vector, its entries. */
static const struct {
    har_axis axis;
    core_weight_kind kind;
    bool by_row;
} CUTS[] = {
    {HAR_AXIS_INNER, CORE_W_EXPERT_UP, true},
    {HAR_AXIS_INNER, CORE_W_EXPERT_GATE, true},
    {HAR_AXIS_INNER, CORE_W_EXPERT_DOWN, false},
    {HAR_AXIS_INNER, CORE_W_EXPERT_UP_BIAS, false},
    {HAR_AXIS_INNER, CORE_W_EXPERT_GATE_BIAS, false},
    {HAR_AXIS_HEADS, CORE_W_Q, true},
    {HAR_AXIS_HEADS, CORE_W_KV_B, true},
    {HAR_AXIS_HEADS, CORE_W_O, false},
    {HAR_AXIS_HEADS, CORE_W_Q_BIAS, false},
    {HAR_AXIS_HEADS, CORE_W_SINKS, false},
    {HAR_AXIS_KV_HEADS, CORE_W_K, true},
    {HAR_AXIS_KV_HEADS, CORE_W_V, true},
    {HAR_AXIS_KV_HEADS, CORE_W_BLOCK_Q, true},
    {HAR_AXIS_KV_HEADS, CORE_W_K_BIAS, false},
    {HAR_AXIS_KV_HEADS, CORE_W_V_BIAS, false},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_U, true},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_GATE, true},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_CONV, true},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_X, false},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_DT, true},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_A_LOG, true},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_OUT, false},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_U_BIAS, false},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_GATE_BIAS, false},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_CONV_BIAS, false},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_DT_BIAS, false},
    {HAR_AXIS_CHANNELS, CORE_W_MAMBA_D, false},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_B, true},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_C, true},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_X, true},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_CONV, true},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_OUT, false},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_B_BIAS, false},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_C_BIAS, false},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_X_BIAS, false},
    {HAR_AXIS_CONV_CHANNELS, CORE_W_SHORTCONV_CONV_BIAS, false},
    {HAR_AXIS_HEADS, CORE_W_CONTEXT_GATE, true},
    {HAR_AXIS_HEADS, CORE_W_O_A, true},
    {HAR_AXIS_HEADS, CORE_W_CONTEXT_GATE_BIAS, false},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_Q, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_K, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_V, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_GATE, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_BETA, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_DT, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_Q_CONV, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_K_CONV, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_V_CONV, true},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_OUT, false},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_DT_BIAS, false},
    {HAR_AXIS_KEY_HEADS, CORE_W_DELTANET_A_LOG, false},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_GATE, true},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_DT, true},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_OUT, false},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_GATE_BIAS, false},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_DT_BIAS, false},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_STEP, false},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_A_LOG, false},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_D, false},
    {HAR_AXIS_STATE_HEADS, CORE_W_SSD_NORM, false},
    {HAR_AXIS_MLP, CORE_W_MLP_UP, true},
    {HAR_AXIS_MLP, CORE_W_MLP_GATE, true},
    {HAR_AXIS_MLP, CORE_W_MLP_DOWN, false},
    {HAR_AXIS_MLP, CORE_W_MLP_UP_BIAS, false},
    {HAR_AXIS_MLP, CORE_W_MLP_GATE_BIAS, false},
    {HAR_AXIS_VOCABULARY, CORE_W_EMBED, true},
    {HAR_AXIS_VOCABULARY, CORE_W_HEAD, true},
    {HAR_AXIS_VOCABULARY, CORE_W_HEAD_BIAS, false},
};
enum { N_CUTS = sizeof CUTS / sizeof CUTS[0] };

/* --- the sieve --- */

typedef struct rect { /* empty where the unit has no such tensor */
    core_weight id;
    int64_t r0, r1, c0, c1;
} rect;

typedef struct unit {
    int64_t first, last; /* its indices of the axis                           */
    int owner;
    int same;       /* the first unit that is equal so far               */
    bool is_open;   /* another one of another owner is, too              */
    uint64_t print; /* of the tile at hand                               */
} unit;

typedef struct sieve {
    const core_weights *weights;
    int n_unit;
    unit *unit;
    int64_t n_rect; /* of a unit, the same tensors in the same order          */
    rect *rect;     /* [n_unit, n_rect]                                       */
    double *tile;
} sieve;

static void sieve_close(sieve *s)
{
    free(s->unit);
    free(s->rect);
    free(s->tile);
}

static core_status sieve_open(sieve *s, const core_weights *weights, int n_unit,
                              int64_t n_rect)
{
    void *p = NULL;
    *s = (sieve){.weights = weights, .n_unit = n_unit, .n_rect = n_rect};
    CORE_TRY(core_alloc(&p, n_unit, sizeof *s->unit, "units of weights"));
    s->unit = p;
    memset(p, 0, (size_t)n_unit * sizeof *s->unit);
    core_status status = core_alloc(&p, n_unit * n_rect, sizeof *s->rect,
                                    "rectangles of weights");
    if (status != CORE_OK) {
        sieve_close(s);
        return status;
    }
    s->rect = p;
    memset(p, 0, (size_t)(n_unit * n_rect) * sizeof *s->rect);
    return CORE_OK;
}

/* Does it matter to the plan which of the two is which? */
static bool are_told_apart(const unit *a, const unit *b)
{
    return a->owner != b->owner && a->first != b->first;
}

/* Units of a class that differ in the tile at hand part.  Who stays open?  (In
 * a class with an open unit all are open, so all have hashed that tile.)     */
static void split(sieve *s)
{
    for (int i = s->n_unit - 1; i >= 0; i--) {
        unit *u = &s->unit[i];
        int j = u->same; /* the first of the class; later ones may be it, too */
        while (j < i &&
               (s->unit[j].same != u->same || s->unit[j].print != u->print))
            j++;
        u->same = j;
    }
    for (int i = 0; i < s->n_unit; i++) {
        s->unit[i].is_open = false;
        for (int j = 0; j < s->n_unit && !s->unit[i].is_open; j++)
            s->unit[i].is_open = s->unit[j].same == s->unit[i].same &&
                                 are_told_apart(&s->unit[i], &s->unit[j]);
    }
}

static int64_t rows_of_tile(const rect *r)
{
    const int64_t n_col = r->c1 - r->c0;
    return n_col < TILE ? TILE / (n_col > 0 ? n_col : 1) : 1;
}

/* Hash tile k of a rectangle; one that does not exist differs from zeros. */
static uint64_t fingerprint(const sieve *s, const rect *r, int64_t k)
{
    const int64_t rows = rows_of_tile(r), n_col = r->c1 - r->c0;
    const int64_t r0 = r->r0 + k * rows;
    const int64_t r1 = r0 + rows < r->r1 ? r0 + rows : r->r1;
    if (r0 >= r1 || n_col == 0)
        return 0;
    core_weights_read(s->weights, r->id, r0, r1, r->c0, r->c1, s->tile, n_col);
    return XXH3_64bits(s->tile, (size_t)((r1 - r0) * n_col) * sizeof *s->tile);
}

static bool has_open(const sieve *s)
{
    bool any = false;
    for (int i = 0; i < s->n_unit; i++)
        any |= s->unit[i].is_open;
    return any;
}

/* The tiles of rectangle j of all open units. */
static void sieve_rect(sieve *s, int64_t j)
{
    int64_t n_tile = 0;
    for (int i = 0; i < s->n_unit; i++) {
        const rect *r = &s->rect[i * s->n_rect + j];
        const int64_t rows = rows_of_tile(r);
        const int64_t n = (r->r1 - r->r0 + rows - 1) / rows;
        n_tile = n > n_tile ? n : n_tile;
    }
    for (int64_t k = 0; k < n_tile && has_open(s); k++) {
        for (int i = 0; i < s->n_unit; i++)
            if (s->unit[i].is_open)
                s->unit[i].print =
                    fingerprint(s, &s->rect[i * s->n_rect + j], k);
        split(s);
    }
}

/* Add the equal pairs; units without any weights are none. */
static core_status sieve_run(sieve *s, har_equal *out, int layer)
{
    void *p = NULL;
    int64_t widest = 0;
    for (int64_t i = 0; i < s->n_unit * s->n_rect; i++) {
        const rect *r = &s->rect[i];
        if (r->r1 > r->r0 && r->c1 - r->c0 > widest)
            widest = r->c1 - r->c0;
    }
    if (widest == 0)
        return CORE_OK;
    CORE_TRY(core_alloc(&p, widest > TILE ? widest : TILE, sizeof *s->tile,
                        "a tile of weights"));
    s->tile = p;
    split(s); /* all are in one class, of unit 0 */
    for (int64_t j = 0; j < s->n_rect && has_open(s); j++)
        sieve_rect(s, j);
    for (int i = 0; i < s->n_unit; i++)
        for (int j = i + 1; j < s->n_unit; j++) {
            const unit *a = &s->unit[i], *b = &s->unit[j];
            if (a->same != b->same || !are_told_apart(a, b))
                continue;
            if (out->n_pair++ == 0) {
                out->layer = layer;
                out->first[0] = a->first;
                out->first[1] = a->last;
                out->second[0] = b->first;
                out->second[1] = b->last;
            }
        }
    return CORE_OK;
}

/* --- experts and layers: whole tensors --- */

static rect whole(const core_spec *spec, core_weight id)
{
    rect r = {.id = id};
    if (core_weight_exists(spec, id))
        core_weight_shape(spec, id, &r.r1, &r.c1);
    return r;
}

/* In the layer with experts that comes i-th. */
static bool has_holder(const par_plan *plan, int i_moe, int64_t e, int ep_i)
{
    const int n_slot = plan->n_physical / plan->ep;
    const uint16_t *slot = plan->physical +
                           (int64_t)i_moe * plan->n_physical + ep_i * n_slot;
    for (int i = 0; plan->n_mapped > 0 && i < n_slot; i++)
        if (slot[i] == e)
            return true;
    for (int i = 0; plan->n_mapped == 0 && i < plan->n_replica[e]; i++)
        if (plan->replica[e][i] == ep_i)
            return true;
    return false;
}

/* An expert with the same holders, the first one. */
static int owner_of_expert(const core_spec *spec, const par_plan *plan,
                           int i_moe, int64_t e)
{
    int owner = 0;
    if (plan->n_placed == 0 && plan->n_mapped == 0) {
        while (core_split_first(spec->n_e, plan->ep, owner + 1) <= e)
            owner++;
        return owner;
    }
    for (;; owner++) {
        bool same = true;
        for (int p = 0; p < plan->ep; p++)
            same &= has_holder(plan, i_moe, owner, p) ==
                    has_holder(plan, i_moe, e, p);
        if (same)
            return owner;
    }
}

static core_status find_experts(har_distinct *out, const core_spec *spec,
                                const par_plan *plan,
                                const core_weights *weights, int l)
{
    sieve s;
    if (!core_spec_is_moe(spec, l))
        return CORE_OK;
    const int i_moe = core_spec_count_moe(spec, 0, l);
    CORE_TRY(sieve_open(&s, weights, (int)spec->n_e, CORE_N_WEIGHT_KINDS));
    for (int e = 0; e < s.n_unit; e++) {
        s.unit[e] = (unit){.first = e,
                           .last = e,
                           .owner = owner_of_expert(spec, plan, i_moe, e)};
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++)
            if (core_weight_scope_of((core_weight_kind)k) == CORE_SCOPE_EXPERT)
                s.rect[e * s.n_rect + k] =
                    whole(spec, (core_weight){(core_weight_kind)k, l, e});
    }
    const core_status status = sieve_run(&s, &out->axis[HAR_AXIS_EXPERTS], l);
    sieve_close(&s);
    return status;
}

/* Its virtual stage: chunks of one stage could be mistaken for each other. */
static int part_of_layer(const core_spec *spec, const par_plan *plan, int l)
{
    int part = 0;
    for (int end = par_plan_layers(plan, spec->n_l, 0); l >= end;)
        end += par_plan_layers(plan, spec->n_l, ++part);
    return part;
}

/* Nobody for layers without experts, which are then not told apart. */
static int owner_of_layers_experts(const core_spec *spec, int l)
{
    return core_spec_is_moe(spec, l) ? l : -1;
}

/* Layers, or of each only its experts.  A stage owns whole layers, so any
 * tensor tells two of them apart.  But where experts are spread over all stages
 * a rank has those of many layers, and each row says of which: only they tell
 * whether a row went to another layer's. */
static core_status find_layers(har_distinct *out, const core_spec *spec,
                               const par_plan *plan,
                               const core_weights *weights, har_axis axis)
{
    sieve s;
    const int64_t n_e = spec->n_e > 0 ? spec->n_e : 1;
    const bool only_experts = axis == HAR_AXIS_LAYER_EXPERTS;
    if (plan->pp == 1 || (only_experts && plan->scope != PAR_SCOPE_REPLICA))
        return CORE_OK;
    CORE_TRY(
        sieve_open(&s, weights, (int)spec->n_l, CORE_N_WEIGHT_KINDS * n_e));
    for (int l = 0; l < s.n_unit; l++) {
        s.unit[l] =
            (unit){.first = l,
                   .last = l,
                   .owner = only_experts ? owner_of_layers_experts(spec, l)
                                         : part_of_layer(spec, plan, l)};
        rect *r = s.rect + l * s.n_rect;
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++)
            for (int e = 0; e < n_e; e++) {
                const core_weight id = {(core_weight_kind)k, l, e};
                const core_weight_scope scope = core_weight_scope_of(id.kind);
                if (only_experts ? scope == CORE_SCOPE_EXPERT
                                 : scope != CORE_SCOPE_ONCE)
                    r[k * n_e + e] = whole(spec, id);
            }
    }
    const core_status status = sieve_run(&s, &out->axis[axis], -1);
    sieve_close(&s);
    return status;
}

/* --- what is cut: parts of tensors --- */

/* Indices of an axis in a layer. */
static int64_t axis_size(const core_spec *spec, har_axis axis, int l)
{
    switch (axis) {
    case HAR_AXIS_INNER:
        return spec->n_f;
    case HAR_AXIS_HEADS:
        return core_spec_heads(spec, l).n_h;
    case HAR_AXIS_KV_HEADS:
        return core_spec_heads(spec, l).n_g;
    case HAR_AXIS_CHANNELS:
        return spec->mamba.n_c;
    case HAR_AXIS_KEY_HEADS:
        return spec->deltanet.n_kh;
    case HAR_AXIS_STATE_HEADS:
        return spec->ssd.n_h;
    case HAR_AXIS_CONV_CHANNELS:
        return spec->n_d;
    case HAR_AXIS_MLP:
        return core_spec_n_mlp(spec, l);
    case HAR_AXIS_VOCABULARY:
        return spec->n_v;
    case HAR_AXIS_EXPERTS:
    case HAR_AXIS_LAYERS:
    case HAR_AXIS_LAYER_EXPERTS:
    case HAR_N_AXES:
        break;
    }
    return 0;
}

/* Indices [*first, *end) of part p.  A kv head belongs to all parts that have a
 * query head of it.                                                          */
static void part_of(const core_spec *spec, har_axis axis, int l, int n_part,
                    int p, int64_t *first, int64_t *end)
{
    const int64_t n = axis_size(spec, axis, l);
    *first = core_split_first(n, n_part, p);
    *end = core_split_first(n, n_part, p + 1);
    if (axis != HAR_AXIS_KV_HEADS)
        return;
    const int64_t n_h = axis_size(spec, HAR_AXIS_HEADS, l);
    const int64_t h0 = core_split_first(n_h, n_part, p);
    const int64_t h1 = core_split_first(n_h, n_part, p + 1);
    *first = h0 * n / n_h;
    *end = (h1 - 1) * n / n_h + 1;
}

/* The part of a tensor that indices [first, last] of n are. */
static rect cut(const core_spec *spec, core_weight id, bool by_row,
                const unit *u, int64_t n)
{
    rect r = whole(spec, id);
    int64_t *from = by_row ? &r.r0 : &r.c0, *to = by_row ? &r.r1 : &r.c1;
    const int64_t width = *to / n;
    *from = u->first * width;
    *to = (u->last + 1) * width;
    return r;
}

static void cut_unit(sieve *s, int i, const core_spec *spec, har_axis axis,
                     int l, int64_t n)
{
    rect *to = s->rect + i * s->n_rect;
    for (int c = 0; c < N_CUTS; c++) {
        const bool many =
            core_weight_scope_of(CUTS[c].kind) == CORE_SCOPE_EXPERT;
        for (int e = 0; CUTS[c].axis == axis && e < (many ? spec->n_e : 1); e++)
            *to++ = cut(spec, (core_weight){CUTS[c].kind, l, e}, CUTS[c].by_row,
                        &s->unit[i], n);
    }
}

static core_status find_parts(har_distinct *out, const core_spec *spec,
                              const par_plan *plan, const core_weights *weights,
                              har_axis axis, int l)
{
    sieve s;
    const int n_part = axis == HAR_AXIS_INNER ? plan->etp : plan->tp;
    const int64_t n = axis_size(spec, axis, l);
    if (n == 0 || n_part == 1)
        return CORE_OK;
    CORE_TRY(sieve_open(&s, weights, n_part,
                        N_CUTS * (spec->n_e > 0 ? spec->n_e : 1)));
    int64_t common = n;
    for (int p = 0; p < n_part; p++) {
        int64_t end;
        s.unit[p].owner = p;
        part_of(spec, axis, l, n_part, p, &s.unit[p].first, &end);
        common =
            end - s.unit[p].first < common ? end - s.unit[p].first : common;
    }
    for (int p = 0; p < n_part; p++) {
        s.unit[p].last = s.unit[p].first + common - 1;
        cut_unit(&s, p, spec, axis, l, n);
    }
    const core_status status =
        sieve_run(&s, &out->axis[axis], axis == HAR_AXIS_VOCABULARY ? -1 : l);
    sieve_close(&s);
    return status;
}

static core_status find_in_layer(har_distinct *out, const core_spec *spec,
                                 const par_plan *plan,
                                 const core_weights *weights, int l)
{
    for (int a = 0; a < HAR_N_AXES; a++)
        if (a != HAR_AXIS_VOCABULARY)
            CORE_TRY(find_parts(out, spec, plan, weights, (har_axis)a, l));
    return find_experts(out, spec, plan, weights, l);
}

core_status har_distinct_find(har_distinct *out, const core_spec *spec,
                              const par_plan *plan, const core_weights *weights,
                              void (*step)(void *self), void *self)
{
    memset(out, 0, sizeof *out);
    for (int l = 0; l < (int)spec->n_l; l++) {
        CORE_TRY(find_in_layer(out, spec, plan, weights, l));
        step(self);
    }
    CORE_TRY(find_layers(out, spec, plan, weights, HAR_AXIS_LAYERS));
    if (out->axis[HAR_AXIS_LAYERS].n_pair == 0)
        CORE_TRY(find_layers(out, spec, plan, weights, HAR_AXIS_LAYER_EXPERTS));
    return find_parts(out, spec, plan, weights, HAR_AXIS_VOCABULARY, 0);
}

/* --- words --- */

har_axis har_distinct_next(const har_distinct *distinct, int after)
{
    int a = after + 1;
    while (a < HAR_N_AXES && distinct->axis[a].n_pair == 0)
        a++;
    return (har_axis)a;
}

const char *har_axis_name(har_axis axis)
{
    return AXES[axis].name;
}

const char *har_axis_degree(har_axis axis)
{
    return AXES[axis].degree;
}

static const char *range_text(const int64_t range[2], char text[48])
{
    if (range[0] == range[1])
        snprintf(text, 48, "%lld", (long long)range[0]);
    else
        snprintf(text, 48, "%lld-%lld", (long long)range[0],
                 (long long)range[1]);
    return text;
}

const char *har_distinct_format(const har_distinct *distinct, har_axis axis,
                                char text[HAR_DISTINCT_TEXT])
{
    const har_equal *e = &distinct->axis[axis];
    char first[48], second[48], layer[32] = "", more[48] = "";
    if (e->layer >= 0)
        snprintf(layer, sizeof layer, " of layer %d", e->layer);
    if (e->n_pair > 1)
        snprintf(more, sizeof more, ", and %lld more pair%s",
                 (long long)e->n_pair - 1, e->n_pair == 2 ? "" : "s");
    snprintf(text, HAR_DISTINCT_TEXT, "%s %s and %s%s are equal bit for bit%s",
             har_axis_name(axis), range_text(e->first, first),
             range_text(e->second, second), layer, more);
    return text;
}
