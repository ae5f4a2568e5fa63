/* harness/perf/cost/measured.c -- see measured.h.
 *
 * Slots are dealt here once more, from the text of ref/MODEL.md: token order,
 * or the larger weight first with ties by token, C per domain.  Traps: a slice
 * of tokens is cut from the whole token group, dropped choices included; which
 * replica serves a token goes by its number in the batch, not in its group; a
 * mapped tensor may be unaligned.
 */
#include "harness/perf/cost/measured.h"

#include "core/model/taps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSOR_NAME = 64 + CORE_NAME_BYTES };

/* --- the file --- */

static core_status find(const har_measured *m, core_tap_kind kind, int layer,
                        const core_st_tensor **out)
{
    char tap[CORE_NAME_BYTES], name[TENSOR_NAME];
    core_tap_name((core_tap){kind, layer}, tap);
    snprintf(name, sizeof name, "%s%s", m->prefix, tap);
    *out = core_st_find(m->file, name);
    CORE_FAIL_IF(*out == NULL, CORE_E_FORMAT,
                 "%s: tap '%s' is missing: the routing of %s cannot be read "
                 "from it",
                 core_st_path(m->file), name, m->spec->name);
    return CORE_OK;
}

static int first_moe(const core_spec *spec)
{
    int layer = 0;
    while (layer < (int)spec->n_l && !core_spec_is_moe(spec, layer))
        layer++;
    return layer;
}

/* The prefixes that stand before the choices of the first layer with experts;
 * the last one into m->prefix. */
static int count_prompts(har_measured *m)
{
    char tap[CORE_NAME_BYTES];
    int n = 0;
    core_tap_name((core_tap){CORE_TAP_TOPK_IDX, first_moe(m->spec)}, tap);
    for (int64_t i = 0; i < core_st_count(m->file); i++) {
        const char *name = core_st_at(m->file, i)->name;
        const size_t length = strlen(name), n_tap = strlen(tap);
        const size_t n_prefix = length - n_tap;
        if (length < n_tap || strcmp(name + n_prefix, tap) != 0 ||
            n_prefix >= sizeof m->prefix ||
            (n_prefix > 0 && name[n_prefix - 1] != '.'))
            continue;
        memcpy(m->prefix, name, n_prefix);
        m->prefix[n_prefix] = '\0';
        n++;
    }
    return n;
}

static core_status choose_prompt(har_measured *m, const int64_t *prompt)
{
    const int n = count_prompts(m);
    if (prompt != NULL) {
        snprintf(m->prefix, sizeof m->prefix, "p%lld.", (long long)*prompt);
        return CORE_OK;
    }
    CORE_FAIL_IF(n > 1, CORE_E_USAGE,
                 "%s: holds the routing of %d prompts: choose one with "
                 "--prompt",
                 core_st_path(m->file), n);
    return CORE_OK;
}

/* Tokens, and from the tap of the layer that has both its rows; a dump of
 * choices alone does not say how its tokens fall apart into rows.            */
static core_status read_shape(har_measured *m)
{
    const core_st_tensor *idx;
    char tap[CORE_NAME_BYTES], name[TENSOR_NAME];
    CORE_TRY(find(m, CORE_TAP_TOPK_IDX, first_moe(m->spec), &idx));
    m->n_token = idx->n_dim > 0 ? idx->shape[0] : 0;
    core_tap_name((core_tap){CORE_TAP_OUT, first_moe(m->spec)}, tap);
    snprintf(name, sizeof name, "%s%s", m->prefix, tap);
    const core_st_tensor *out = core_st_find(m->file, name);
    if (out == NULL)
        return CORE_OK;
    CORE_FAIL_IF(out->n_dim != 3 || out->shape[0] < 1 || out->shape[1] < 1,
                 CORE_E_FORMAT,
                 "%s: tensor '%s': expected rows, tokens and columns",
                 core_st_path(m->file), out->name);
    m->n_b = out->shape[0];
    m->n_t = out->shape[1];
    m->n_token = m->n_b * m->n_t;
    return CORE_OK;
}

static core_status check_shape(const har_measured *m, const core_st_tensor *t,
                               bool is_int)
{
    const int64_t want[2] = {m->n_token, m->spec->n_k};
    char a[CORE_ST_SHAPE_BYTES], b[CORE_ST_SHAPE_BYTES];
    CORE_FAIL_IF(
        t->n_dim != 2 || t->shape[0] != want[0] || t->shape[1] != want[1],
        CORE_E_FORMAT, "%s: tensor '%s': expected shape [%s], found [%s]",
        core_st_path(m->file), t->name, core_st_shape_text(a, want, 2),
        core_st_shape_text(b, t->shape, t->n_dim));
    CORE_FAIL_IF(is_int == core_dtype_is_float(t->dtype), CORE_E_FORMAT,
                 "%s: tensor '%s': expected %s, found %s",
                 core_st_path(m->file), t->name,
                 is_int ? "integers" : "floating-point numbers",
                 core_dtype_name(t->dtype));
    return CORE_OK;
}

static int64_t expert_at(const core_st_tensor *idx, int64_t i)
{
    return (int64_t)core_st_value(idx, i);
}

static core_status check_choices(const har_measured *m, const core_st_tensor *t)
{
    const int64_t n_k = m->spec->n_k, n_e = m->spec->n_e;
    for (int64_t i = 0; i < t->n; i++) {
        const int64_t e = expert_at(t, i);
        bool is_good = e >= 0 && e < n_e;
        for (int64_t k = i - i % n_k; k < i; k++)
            is_good = is_good && expert_at(t, k) != e;
        CORE_FAIL_IF(!is_good, CORE_E_INPUT,
                     "%s: tensor '%s': token %lld: expected %lld different "
                     "experts below %lld, found %lld",
                     core_st_path(m->file), t->name, (long long)(i / n_k),
                     (long long)n_k, (long long)n_e, (long long)e);
    }
    return CORE_OK;
}

static bool needs_weights(const core_spec *spec)
{
    return spec->capacity.rule != CORE_CAPACITY_NONE &&
           spec->capacity.priority == CORE_PRIORITY_PROB;
}

static core_status check_weights(const har_measured *m, int layer)
{
    const core_st_tensor *t;
    CORE_TRY(find(m, CORE_TAP_TOPK_WEIGHT, layer, &t));
    CORE_TRY(check_shape(m, t, false));
    for (int64_t i = 0; i < t->n; i++)
        CORE_FAIL_IF(!isfinite(core_st_value(t, i)), CORE_E_INPUT,
                     "%s: tensor '%s': choice %lld: expected a finite weight",
                     core_st_path(m->file), t->name, (long long)i);
    return CORE_OK;
}

static core_status check_all(har_measured *m, const int64_t *prompt)
{
    const core_st_tensor *idx;
    CORE_TRY(choose_prompt(m, prompt));
    CORE_TRY(read_shape(m));
    for (int l = 0; l < (int)m->spec->n_l; l++) {
        if (!core_spec_is_moe(m->spec, l))
            continue;
        CORE_TRY(find(m, CORE_TAP_TOPK_IDX, l, &idx));
        CORE_TRY(check_shape(m, idx, true));
        CORE_TRY(check_choices(m, idx));
        if (needs_weights(m->spec))
            CORE_TRY(check_weights(m, l));
    }
    return CORE_OK;
}

core_status har_measured_open(har_measured *out, const char *path,
                              const core_spec *spec, const int64_t *prompt)
{
    har_measured m = {.spec = spec};
    CORE_FAIL_IF(first_moe(spec) == (int)spec->n_l, CORE_E_INPUT,
                 "%s: %s has no experts, and no routing", path, spec->name);
    CORE_TRY(core_st_open(&m.file, path));
    const core_status status = check_all(&m, prompt);
    if (status != CORE_OK) {
        core_st_close(m.file);
        return status;
    }
    *out = m;
    return CORE_OK;
}

void har_measured_close(har_measured *measured)
{
    core_st_close(measured->file);
    *measured = (har_measured){0};
}

/* --- slots --- */

typedef struct claim { /* a choice that wants a slot                          */
    double weight;
    int64_t choice; /* token * K + k                                       */
} claim;

typedef struct dealing {
    const har_measured *m;
    const par_layout *lay;
    const core_st_tensor *idx, *weight; /* of the layer; weight: or NULL      */
    claim *claim;                       /* [tokens of a domain * K]           */
    int64_t taken[PAR_MAX_EXPERTS];
} dealing;

static int by_weight(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

/* Which slice of the token group [t0, t1) a token is in. */
static int slice_of(const dealing *d, int64_t token, int64_t t0, int64_t t1)
{
    const par_plan *plan = &d->lay->plan;
    const int64_t n_t = d->m->n_t > 0 ? d->m->n_t : t1 - t0; /* one row */
    const int64_t place = (token - t0) % n_t;
    int c = 0;
    int64_t at = -1, n = 0; /* its number among the n tokens of c in a row */
    for (; at < 0; c++) {
        par_run run[2];
        par_layout_runs(plan, c, n_t, run);
        n = run[0].n + run[1].n;
        if (place >= run[0].i0 && place < run[0].i0 + run[0].n)
            at = place - run[0].i0;
        else if (place >= run[1].i0 && place < run[1].i0 + run[1].n)
            at = run[0].n + place - run[1].i0;
    }
    at += (token - t0) / n_t * n;
    int t = 0;
    while (core_split_first((t1 - t0) / n_t * n, plan->tp, t + 1) <= at)
        t++;
    return (c - 1) * plan->tp + t;
}

/* The domain of tokens [a, b) of the token group [t0, t1); rows [tp, entries]
 * of the group. */
static void deal(dealing *d, const int *replica_first, int64_t a, int64_t b,
                 int64_t t0, int64_t t1, uint64_t *rows)
{
    const core_spec *spec = d->m->spec;
    const int64_t n_k = spec->n_k, n = (b - a) * n_k;
    const int64_t capacity = core_spec_capacity(spec, b - a);
    const int64_t n_entry = replica_first[spec->n_e];
    for (int64_t i = 0; i < n; i++)
        d->claim[i] = (claim){
            d->weight != NULL ? core_st_value(d->weight, a * n_k + i) : 0.0,
            a * n_k + i};
    if (d->weight != NULL && n > 0)
        qsort(d->claim, (size_t)n, sizeof *d->claim, by_weight);
    memset(d->taken, 0, (size_t)spec->n_e * sizeof *d->taken);
    for (int64_t i = 0; i < n; i++) {
        const int64_t e = expert_at(d->idx, d->claim[i].choice);
        const int64_t token = d->claim[i].choice / n_k;
        const int first = replica_first[e];
        const int n_copy = replica_first[e + 1] - first;
        if (d->taken[e]++ < capacity)
            rows[slice_of(d, token, t0, t1) * n_entry + first +
                 token % n_copy]++;
    }
}

static void deal_layer(dealing *d, int layer, har_load *load)
{
    const int64_t n_t = d->m->n_t;
    const bool by_row = d->m->spec->capacity.domain == CORE_DOMAIN_SEQUENCE;
    for (int64_t part = 0; part < load->n_part; part++) {
        const int64_t t0 =
            core_split_first(d->m->n_b, load->n_part, part) * n_t;
        const int64_t t1 =
            core_split_first(d->m->n_b, load->n_part, part + 1) * n_t;
        const int64_t step = by_row ? n_t : t1 - t0;
        uint64_t *rows = har_load_at(load, layer, part, 0);
        for (int64_t a = t0; a < t1; a += step)
            deal(d, d->lay->experts[layer].replica_first, a, a + step, t0, t1,
                 rows);
    }
}

static core_status deal_all(const har_measured *m, const par_layout *lay,
                            har_load *load)
{
    dealing d = {.m = m, .lay = lay};
    void *claims = NULL;
    core_status status = CORE_OK;
    CORE_TRY(core_alloc(&claims, m->n_b * m->n_t * m->spec->n_k, sizeof(claim),
                        "choices"));
    d.claim = claims;
    for (int l = 0; l < (int)m->spec->n_l && status == CORE_OK; l++) {
        if (!core_spec_is_moe(m->spec, l))
            continue;
        status = find(m, CORE_TAP_TOPK_IDX, l, &d.idx);
        if (status == CORE_OK && needs_weights(m->spec))
            status = find(m, CORE_TAP_TOPK_WEIGHT, l, &d.weight);
        if (status == CORE_OK)
            deal_layer(&d, l, load);
    }
    free(claims);
    return status;
}

core_status har_measured_load(const har_measured *measured,
                              const par_plan *plan, int64_t n_b, int64_t n_t,
                              har_load *out)
{
    core_arena arena = core_arena_measure();
    par_layout lay;
    har_load load = {0};
    har_measured m = *measured;
    if (m.n_b == 0) {
        CORE_FAIL_IF(n_b * n_t != m.n_token, CORE_E_INPUT,
                     "%s: holds the routing of %lld tokens, the batch is "
                     "%lld x %lld",
                     core_st_path(m.file), (long long)m.n_token, (long long)n_b,
                     (long long)n_t);
        m.n_b = n_b;
        m.n_t = n_t;
    }
    CORE_FAIL_IF(n_b != m.n_b || n_t != m.n_t, CORE_E_INPUT,
                 "%s: holds the routing of %lld x %lld tokens, the batch is "
                 "%lld x %lld",
                 core_st_path(m.file), (long long)m.n_b, (long long)m.n_t,
                 (long long)n_b, (long long)n_t);
    CORE_TRY(par_layout_make(&lay, &arena, m.spec, plan, 0));
    core_status status = har_load_make(&load, m.spec, &lay);
    if (status == CORE_OK)
        status = deal_all(&m, &lay, &load);
    core_arena_free(&arena);
    if (status == CORE_OK)
        *out = load;
    else
        har_load_free(&load);
    return status;
}

void har_measured_shares(const har_measured *m, double *share)
{
    const int64_t n_e = m->spec->n_e;
    for (int l = 0; l < (int)m->spec->n_l; l++) {
        const core_st_tensor *idx;
        double *of_layer = share + l * n_e;
        for (int64_t e = 0; e < n_e; e++)
            of_layer[e] = 0;
        if (!core_spec_is_moe(m->spec, l) ||
            find(m, CORE_TAP_TOPK_IDX, l, &idx) != CORE_OK)
            continue;
        for (int64_t i = 0; i < idx->n; i++)
            of_layer[expert_at(idx, i)] += 1.0 / (double)idx->n;
    }
}
