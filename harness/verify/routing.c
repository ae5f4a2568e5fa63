/* harness/verify/routing.c -- routing and vacuity, read from the reference's taps.
 *
 * Nothing here looks at the emulation: the question is what an agreement with
 * this reference would be worth.  Traps: rows of dropped choices are zeros that
 * mean nothing; a token all of whose choices were dropped has such a row in
 * combine and ffn_out, too; relu makes zeros of its own.
 */
#include "harness/verify/routing.h"

#include "core/base/arena.h"
#include "harness/verify/choosing.h"
#include "harness/verify/pieces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const core_st_tensor *find(const core_tapfile *file, core_tap_kind kind,
                                  int layer)
{
    return core_tapfile_find(file, "", (core_tap){kind, layer}, false);
}

void har_live_free(uint8_t **live, const core_spec *spec)
{
    if (live == NULL)
        return;
    for (int64_t l = 0; l < spec->n_l; l++)
        free(live[l]);
    free(live);
}

core_status har_live_make(uint8_t ***out, const core_spec *spec,
                          const core_tapfile *file, int64_t n_token)
{
    uint8_t **live = calloc((size_t)spec->n_l, sizeof *live);
    core_status status = CORE_OK;
    CORE_FAIL_IF(live == NULL, CORE_E_MEMORY, "no memory for the slots");
    for (int l = 0; l < (int)spec->n_l && status == CORE_OK; l++) {
        const core_st_tensor *slot = find(file, CORE_TAP_SLOT, l);
        void *p = NULL;
        if (slot == NULL)
            continue;
        status = core_alloc(&p, n_token * spec->n_k, 1, "slots");
        live[l] = p;
        for (int64_t i = 0; status == CORE_OK && i < n_token * spec->n_k; i++)
            live[l][i] = core_st_int(slot, i) >= 0;
    }
    if (status == CORE_OK)
        *out = live;
    else
        har_live_free(live, spec);
    return status;
}

/* --- load and ties --- */

/* The last chosen and the first rejected expert have the same score; where all
 * that could be chosen were, nothing ties.                                   */
static bool is_tied(const core_spec *spec, const double *correction,
                    const core_st_tensor *score, const core_st_tensor *idx,
                    int64_t row, double *p)
{
    const int64_t n_e = spec->n_e, n_k = spec->n_k;
    double chosen = INFINITY, rejected = -INFINITY;
    har_reference_row(score, row, 0, n_e, n_e, p);
    har_choosing(spec, correction, p);
    for (int64_t j = 0; j < n_k; j++) {
        const int64_t e = core_st_int(idx, row * n_k + j);
        chosen = p[e] < chosen ? p[e] : chosen;
        p[e] = -INFINITY;
    }
    for (int64_t e = 0; e < n_e; e++)
        rejected = p[e] > rejected ? p[e] : rejected;
    return chosen == rejected;
}

static void read_layer(har_routing *r, const core_spec *spec,
                       const double *correction, const core_tapfile *file,
                       int layer, int64_t n_token, double *p, int64_t *load)
{
    const core_st_tensor *score = find(file, har_choosing_tap(spec), layer);
    const core_st_tensor *idx = find(file, CORE_TAP_TOPK_IDX, layer);
    const core_st_tensor *slot = find(file, CORE_TAP_SLOT, layer);
    if (score == NULL || idx == NULL || slot == NULL)
        return;
    memset(load, 0, (size_t)spec->n_e * sizeof *load);
    for (int64_t row = 0; row < n_token; row++) {
        r->n_tie += !core_spec_by_table(spec, layer) &&
                    is_tied(spec, correction, score, idx, row, p);
        for (int64_t j = 0; j < spec->n_k; j++) {
            const int64_t c = row * spec->n_k + j;
            const bool kept = core_st_int(slot, c) >= 0;
            r->n_choice++;
            r->n_dropped += kept ? 0 : 1;
            load[core_st_int(idx, c)] += kept ? 1 : 0;
        }
    }
    for (int64_t e = 0; e < spec->n_e; e++) {
        r->n_expert++;
        r->n_idle += load[e] == 0;
        if (load[e] > r->busy_rows) {
            r->busy_rows = load[e];
            r->busy_expert = e;
            r->busy_layer = layer;
        }
    }
}

core_status har_routing_read(har_routing *out, const core_spec *spec,
                             const double *correction,
                             const core_tapfile *file, int64_t n_token)
{
    void *p = NULL, *load = NULL;
    core_status status = core_alloc(&p, spec->n_e, sizeof(double), "scores");
    if (status == CORE_OK)
        status = core_alloc(&load, spec->n_e, sizeof(int64_t), "loads");
    if (status == CORE_OK) {
        memset(out, 0, sizeof *out);
        out->busy_expert = -1;
        for (int l = 0; l < (int)spec->n_l; l++)
            read_layer(out, spec,
                       correction != NULL ? correction + l * spec->n_e : NULL,
                       file, l, n_token, p, load);
    }
    free(p);
    free(load);
    return status;
}

/* --- vacuity --- */

/* Does the row of this tap carry information, i.e. was it not dropped? */
static bool row_is_live(const core_spec *spec, core_tap tap, int64_t row,
                        uint8_t *const *live)
{
    const int64_t k = spec->n_k;
    if (core_tap_row_kind(tap.kind) == CORE_ROWS_CHOICE)
        return live[tap.layer][row] != 0;
    if ((tap.kind != CORE_TAP_COMBINE && tap.kind != CORE_TAP_WIDE &&
         tap.kind != CORE_TAP_WIDE_NORM &&
         tap.kind != CORE_TAP_MOE_POST && tap.kind != CORE_TAP_FFN_OUT &&
         tap.kind != CORE_TAP_FFN_POST) ||
        live[tap.layer] == NULL)
        return true;
    for (int64_t j = 0; j < k; j++)
        if (live[tap.layer][row * k + j])
            return true;
    return false;
}

/* The weights of the chosen may all be one number: of one expert that is
 * normalised, and of sparsemixer's, each near 1 when no other is close.      */
static bool has_constant_weights(const core_spec *spec)
{
    if (spec->router == CORE_ROUTER_SPARSEMIXER)
        return true;
    return spec->n_k == 1 && (spec->router == CORE_ROUTER_SOFTMAX_TOP ||
                              spec->renormalise);
}

/* Taps that may be constant or zero in a perfectly telling run: integers (their
 * scores are looked at instead), weights that are constant by definition, and
 * the edges of choices that leave nothing.                                   */
static bool is_exempt(const core_spec *spec, core_tap tap)
{
    return core_tap_grid(tap.kind) == CORE_GRID_INT ||
           tap.kind == CORE_TAP_EDGE ||
           (tap.kind == CORE_TAP_TOPK_WEIGHT && has_constant_weights(spec));
}

/* relu makes zeros; but not nothing else. */
static bool may_be_sparse(const core_spec *spec, core_tap tap)
{
    const bool cuts =
        spec->act == CORE_ACT_RELU || spec->act == CORE_ACT_RELU2;
    return cuts &&
           (tap.kind == CORE_TAP_EXPERT_ACT || tap.kind == CORE_TAP_MLP_ACT);
}

typedef struct tap_look {
    int64_t n_row, n_value, n_zero;
    bool is_constant;
} tap_look;

static tap_look look(const core_spec *spec, const core_st_tensor *tensor,
                     core_tap tap, int64_t n_token, uint8_t *const *live,
                     double *row, double *first)
{
    const int64_t n_row = core_tap_n_rows(spec, tap, n_token);
    const int64_t n_col = core_tap_cols(spec, tap);
    tap_look seen = {0, 0, 0, true};
    for (int64_t r = 0; r < n_row; r++) {
        if (!row_is_live(spec, tap, r, live))
            continue;
        har_reference_row(tensor, r, 0, n_col, n_col, row);
        if (seen.n_row++ == 0)
            memcpy(first, row, (size_t)n_col * sizeof *row);
        else if (memcmp(first, row, (size_t)n_col * sizeof *row) != 0)
            seen.is_constant = false;
        for (int64_t j = 0; j < n_col; j++)
            seen.n_zero += row[j] == 0.0;
        seen.n_value += n_col;
    }
    return seen;
}

static bool tap_is_telling(const core_spec *spec, const tap_look *seen,
                           core_tap tap, char reason[160])
{
    char name[CORE_NAME_BYTES];
    core_tap_name(tap, name);
    if (may_be_sparse(spec, tap) ? seen->n_zero == seen->n_value
                                 : 2 * seen->n_zero > seen->n_value) {
        snprintf(reason, 160,
                 "%s: %lld of %lld values are zero, so agreement "
                 "would prove nothing",
                 name, (long long)seen->n_zero, (long long)seen->n_value);
        return false;
    }
    if (seen->is_constant && seen->n_row > 2) {
        snprintf(reason, 160,
                 "%s: all %lld rows are the same, so agreement "
                 "would prove nothing",
                 name, (long long)seen->n_row);
        return false;
    }
    return true;
}

core_status har_taps_are_telling(bool *out, const core_spec *spec,
                                 const core_tapfile *file, int64_t n_token,
                                 uint8_t *const *live, char reason[160])
{
    const int64_t n_tap = core_taps(spec, NULL, 0);
    core_tap *taps = calloc((size_t)n_tap, sizeof *taps);
    bool telling = true;
    int64_t widest = 1;
    if (taps != NULL)
        core_taps(spec, taps, n_tap);
    for (int64_t i = 0; taps != NULL && i < n_tap; i++)
        if (core_tap_cols(spec, taps[i]) > widest)
            widest = core_tap_cols(spec, taps[i]);
    double *row = calloc((size_t)widest * 2, sizeof *row);
    if (taps == NULL || row == NULL) {
        free(taps);
        free(row);
        CORE_FAIL(CORE_E_MEMORY, "no memory to look at the reference");
    }
    for (int64_t i = 0; i < n_tap && telling; i++) {
        if (is_exempt(spec, taps[i]))
            continue;
        const tap_look seen =
            look(spec, core_tapfile_find(file, "", taps[i], false), taps[i],
                 n_token, live, row, row + widest);
        telling = tap_is_telling(spec, &seen, taps[i], reason);
    }
    free(taps);
    free(row);
    *out = telling;
    return CORE_OK;
}
