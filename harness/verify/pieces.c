/* harness/verify/pieces.c -- the observer, see pieces.h.
 *
 * Traps: found values are hashed and compared before anything is replaced; a
 * row or column outside the tap is counted, never used as an index; the file's
 * bytes may be unaligned, so they are always copied out first.
 */
#include "harness/verify/pieces.h"

#include "core/base/arena.h"
#include "harness/verify/choosing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *har_mode_name(har_mode mode)
{
    switch (mode) {
    case HAR_FREE:
        return "free";
    case HAR_FORCED:
        return "forced";
    case HAR_FORCED_ROUTING:
        return "forced-routing";
    }
    return "?";
}

void har_reference_row(const core_st_tensor *tensor, int64_t row, int64_t col0,
                       int64_t n, int64_t n_col, double *out)
{
    core_st_read(tensor, row * n_col + col0, n, out);
}

/* --- open and close --- */

static int slot_of(core_tap tap)
{
    return tap.layer * (int)CORE_N_TAP_KINDS + (int)tap.kind;
}

/* What is shown as a tap: the last, with no rows, for one that the reference
 * does not have.                                                             */
static har_tap_watch *tap_of(har_watch *watch, core_tap tap)
{
    const bool is_known = tap.layer >= 0 && tap.layer < watch->spec->n_l;
    har_tap_watch *w =
        &watch->tap[is_known ? watch->index[slot_of(tap)] : watch->n_tap];
    if (w == &watch->tap[watch->n_tap] && w->n_outside + w->n_unwritten == 0)
        w->tap = tap;
    return w;
}

static core_status open_tap(har_watch *watch, har_tap_watch *w, core_tap tap,
                            const core_tapfile *file)
{
    const bool wants_bound =
        core_has_bounds(watch->numerics) &&
        (watch->mode == HAR_FORCED || tap.kind == CORE_TAP_ROUTER_LOGITS);
    char name[CORE_NAME_BYTES];
    w->tap = tap;
    w->n_row = core_tap_n_rows(watch->spec, tap, watch->n_token);
    w->n_col = core_tap_cols(watch->spec, tap);
    w->is_int = core_tap_grid(tap.kind) == CORE_GRID_INT;
    w->expected = core_tapfile_find(file, "", tap, false);
    w->bound = wants_bound && !w->is_int
                   ? core_tapfile_find(file, "", tap, true)
                   : NULL;
    w->first_mb = -1;
    har_diff_init(&w->diff);
    har_lattice_init(&w->lattice);
    CORE_FAIL_IF(w->expected == NULL || w->expected->n != w->n_row * w->n_col,
                 CORE_E_FORMAT,
                 "%s: reference holds %lld elements, expected %lld",
                 core_tap_name(tap, name),
                 w->expected == NULL ? 0LL : (long long)w->expected->n,
                 (long long)(w->n_row * w->n_col));
    CORE_FAIL_IF(wants_bound && !w->is_int && w->bound == NULL, CORE_E_FORMAT,
                 "%s: reference holds no bound", core_tap_name(tap, name));
    if (w->n_col > watch->n_scratch)
        watch->n_scratch = w->n_col;
    return CORE_OK;
}

static core_status open_arrays(har_watch *watch, const core_tapfile *file)
{
    const core_spec *spec = watch->spec;
    const int64_t n_slot = spec->n_l * (int64_t)CORE_N_TAP_KINDS;
    watch->n_tap = core_taps(spec, NULL, 0);
    core_tap *taps = NULL;
    void *p = NULL;
    CORE_TRY(
        core_alloc(&p, watch->n_tap + 1, sizeof *watch->tap, "tap watches"));
    watch->tap = p;
    memset(watch->tap, 0, (size_t)(watch->n_tap + 1) * sizeof *watch->tap);
    har_diff_init(&watch->tap[watch->n_tap].diff);
    watch->cover = calloc((size_t)watch->n_tap + 1, sizeof *watch->cover);
    CORE_FAIL_IF(watch->cover == NULL, CORE_E_MEMORY,
                 "no memory for the cover of %lld taps",
                 (long long)watch->n_tap);
    for (int64_t i = 0; i <= watch->n_tap; i++)
        watch->tap[i].cover = &watch->cover[i];
    CORE_TRY(core_alloc(&p, n_slot, sizeof *watch->index, "tap index"));
    watch->index = p;
    CORE_TRY(core_alloc(&p, watch->n_tap, sizeof *taps, "tap list"));
    taps = p;
    core_taps(spec, taps, watch->n_tap);
    for (int64_t i = 0; i < n_slot; i++)
        watch->index[i] = (int)watch->n_tap;
    core_status status = CORE_OK;
    for (int64_t i = 0; i < watch->n_tap && status == CORE_OK; i++) {
        watch->index[slot_of(taps[i])] = (int)i;
        status = open_tap(watch, &watch->tap[i], taps[i], file);
    }
    free(taps);
    CORE_TRY(status);
    CORE_TRY(core_alloc(&p, watch->n_scratch, sizeof(double), "a row"));
    watch->expected_row = p;
    CORE_TRY(core_alloc(&p, watch->n_scratch, sizeof(double), "a row"));
    watch->bound_row = p;
    CORE_TRY(core_alloc(&p, watch->n_scratch, sizeof(double), "a row"));
    watch->error_row = p;
    CORE_TRY(core_alloc(&p, watch->n_scratch, sizeof(double), "a row"));
    watch->stored_row = p;
    CORE_TRY(core_alloc(&p, watch->n_scratch, sizeof(int64_t), "a row"));
    watch->expected_ints = p;
    if (watch->mode == HAR_FORCED_ROUTING) {
        watch->score_capacity = watch->n_token;
        CORE_TRY(core_alloc(&p, watch->n_token * spec->n_e, sizeof(double),
                            "router scores"));
        watch->score = p;
        CORE_TRY(core_alloc(&p, watch->n_token, sizeof(int64_t), "rows"));
        watch->score_row = p;
        CORE_TRY(core_alloc(&p, (2 + HAR_FLIP_ROOM) * spec->n_e, sizeof(double),
                            "router scores"));
        watch->flip_room = p;
    }
    return CORE_OK;
}

core_status har_watch_open(har_watch **out, const core_spec *spec,
                           core_numerics numerics, har_mode mode,
                           const core_tapfile *file, int64_t n_token)
{
    har_watch *watch = calloc(1, sizeof *watch);
    CORE_FAIL_IF(watch == NULL, CORE_E_MEMORY, "no memory for the observer");
    watch->spec = spec;
    watch->numerics = numerics;
    watch->mode = mode;
    watch->n_token = n_token;
    const core_status status = open_arrays(watch, file);
    if (status != CORE_OK) {
        har_watch_close(watch);
        return status;
    }
    *out = watch;
    return CORE_OK;
}

void har_watch_close(har_watch *watch)
{
    if (watch == NULL)
        return;
    free(watch->tap);
    free(watch->cover);
    free(watch->index);
    free(watch->expected_row);
    free(watch->bound_row);
    free(watch->error_row);
    free(watch->stored_row);
    free(watch->expected_ints);
    free(watch->score);
    free(watch->score_row);
    free(watch->flip_room);
    har_kept_free(&watch->kept);
    free(watch);
}

const har_tap_watch *har_watch_tap(const har_watch *watch, core_tap tap)
{
    if (tap.layer < 0 || tap.layer >= watch->spec->n_l)
        return NULL;
    const int at = watch->index[slot_of(tap)];
    return at >= 0 ? &watch->tap[at] : NULL;
}

/* --- routing that drifts --- */

static void keep_scores(har_watch *watch, const par_piece *piece)
{
    const int64_t n_e = watch->spec->n_e;
    watch->n_score_row = 0;
    if (piece->col0 != 0 || piece->n_col != n_e ||
        piece->n_row > watch->score_capacity)
        return;
    for (int64_t i = 0; i < piece->n_row; i++) {
        memcpy(watch->score + i * n_e, piece->values + i * piece->ld,
               (size_t)n_e * sizeof(double));
        watch->score_row[i] = piece->row_ids[i];
    }
    watch->n_score_row = piece->n_row;
}

static bool has_id(const int64_t *ids, int64_t k, int64_t e)
{
    for (int64_t j = 0; j < k; j++)
        if (ids[j] == e)
            return true;
    return false;
}

/* What rounding may have added to a score of a free run: in bf16, where units of
 * storage add up from layer to layer, four stores per layer so far, a unit of
 * the largest score each.  An estimate, a cap against scores that are no drift
 * at all; nothing where storing is as fine as computing.                     */
static double stored_drift(const har_watch *watch, const har_tap_watch *logits,
                           const double *score)
{
    double largest = 0.0;
    const double u = core_coarsest_roundoff(watch->numerics);
    if (u == core_sum_roundoff(watch->numerics))
        return 0.0;
    for (int64_t e = 0; e < watch->spec->n_e; e++)
        largest = fmax(largest, fabs(score[e]));
    return 4.0 * (logits->tap.layer + 1) * 2.0 * u * largest * (1.0 + u);
}

/* A token chose expert `in` where the reference chose `out`: har_flip has the
 * rule.  Without the scores that were chosen by there is no excuse, nor where a
 * table chose.                                                               */
static bool excuse(har_watch *watch, const har_tap_watch *logits, int64_t i,
                   int64_t row, int64_t out, int64_t in, double *margin)
{
    const int64_t n_e = watch->spec->n_e;
    double *expected = watch->flip_room, *bound = expected + n_e;
    if (i >= watch->n_score_row || watch->score_row[i] != row ||
        logits->bound == NULL || core_spec_by_table(watch->spec, logits->tap.layer))
        return false;
    har_reference_row(logits->expected, row, 0, n_e, n_e, expected);
    har_reference_row(logits->bound, row, 0, n_e, n_e, bound);
    const double drift = stored_drift(watch, logits, expected);
    for (int64_t e = 0; e < n_e; e++)
        bound[e] += drift;
    const double *correction = watch->correction;
    const har_flip flip = {
        .spec = watch->spec,
        .correction = correction != NULL ? correction + logits->tap.layer * n_e
                                         : NULL,
        .expected = expected,
        .bound = bound,
        .found = watch->score + i * n_e,
        .room = bound + n_e,
        .u = core_sum_roundoff(watch->numerics),
        .u_store = core_store_roundoff(
            core_tap_numerics(watch->numerics, CORE_TAP_ROUTER_PROBS))};
    return har_flip_is_excused(&flip, out, in, margin);
}

/* Compare one row of chosen experts; flips without excuse are differences. */
static void see_choice(har_watch *watch, har_tap_watch *w, int64_t i,
                       int64_t row, const int64_t *expected,
                       const int64_t *found, int64_t k)
{
    const core_tap logits_tap = {CORE_TAP_ROUTER_LOGITS, w->tap.layer};
    const har_tap_watch *logits =
        &watch->tap[watch->index[slot_of(logits_tap)]];
    bool flipped = false, excused = true;
    for (int64_t a = 0; a < k; a++) {
        if (has_id(found, k, expected[a]))
            continue;
        flipped = true;
        for (int64_t b = 0; b < k; b++) {
            double margin = INFINITY;
            if (found[b] < 0 || found[b] >= watch->spec->n_e) {
                excused = false;
                continue;
            }
            if (has_id(expected, k, found[b]))
                continue;
            excused &=
                excuse(watch, logits, i, row, expected[a], found[b], &margin);
            w->flip_margin = fmax(w->flip_margin, margin);
        }
    }
    w->n_flip += flipped ? 1 : 0;
    w->n_flip_excused += flipped && excused ? 1 : 0;
    if (flipped && excused)
        w->diff.n += k;
    else if (flipped)
        har_diff_row_ints(&w->diff, row, 0, k, expected, found);
    else /* the order within a token may drift too */
        har_diff_row_topk(&w->diff, (har_rule){HAR_RULE_BITS, 0.0}, row, k,
                          expected, found, NULL, NULL);
}

/* Keys that were chosen by scores that drifted: counted.  From the scores that
 * the reference stored they follow, and there they are compared (HAR_FORCED).  */
static void see_keys(har_tap_watch *w, const int64_t *expected,
                     const int64_t *found, int64_t n)
{
    w->diff.n += n;
    w->n_flip +=
        memcmp(expected, found, (size_t)n * sizeof *found) != 0 ? 1 : 0;
}

/* --- observing --- */

static har_rule rule_of(const har_watch *watch)
{
    har_rule rule = {HAR_RULE_BITS, 0.0};
    if (watch->mode == HAR_FORCED_ROUTING)
        rule.kind = HAR_RULE_DRIFT;
    else if (core_has_bounds(watch->numerics))
        rule.kind = HAR_RULE_BOUND;
    return rule;
}

static bool replaces(const har_watch *watch, core_tap_kind kind)
{
    if (watch->mode == HAR_FORCED)
        return true;
    return watch->mode == HAR_FORCED_ROUTING &&
           (core_tap_grid(kind) == CORE_GRID_INT ||
            kind == CORE_TAP_TOPK_WEIGHT);
}

/* Keep row i, which is about to be replaced, if it has more bad elements than
 * the n_bad before.                                                          */
static void keep_bad_row(har_watch *watch, const har_tap_watch *w,
                         const par_piece *piece, int64_t i, int64_t n_bad)
{
    if (watch->mode != HAR_FORCED || w->diff.n_bad == n_bad)
        return;
    har_kept_row(&watch->kept, w - watch->tap, piece->row_ids[i], piece->col0,
                 piece->n_col, w->is_int ? NULL : piece->values + i * piece->ld,
                 w->is_int ? piece->ints + i * piece->ld : NULL);
}

static void see_int_row(har_watch *watch, har_tap_watch *w,
                        const par_piece *piece, int64_t i)
{
    int64_t *expected = watch->expected_ints;
    const int64_t row = piece->row_ids[i];
    const int64_t n_bad = w->diff.n_bad;
    int64_t *found = piece->ints + i * piece->ld;
    for (int64_t j = 0; j < piece->n_col; j++)
        expected[j] =
            core_st_int(w->expected, row * w->n_col + piece->col0 + j);
    if (watch->mode == HAR_FORCED_ROUTING && w->tap.kind == CORE_TAP_TOPK_IDX &&
        piece->n_col == w->n_col)
        see_choice(watch, w, i, row, expected, found, piece->n_col);
    else if (watch->mode == HAR_FORCED_ROUTING &&
             w->tap.kind == CORE_TAP_SEEN)
        see_keys(w, expected, found, piece->n_col);
    else
        har_diff_row_ints(&w->diff, row, piece->col0, piece->n_col, expected,
                          found);
    keep_bad_row(watch, w, piece, i, n_bad);
    if (replaces(watch, w->tap.kind))
        memcpy(found, expected, (size_t)piece->n_col * sizeof *found);
}

static void see_value_row(har_watch *watch, har_tap_watch *w,
                          const par_piece *piece, int64_t i)
{
    const har_rule rule = rule_of(watch);
    const int64_t row = piece->row_ids[i], n_bad = w->diff.n_bad;
    double *found = piece->values + i * piece->ld;
    har_reference_row(w->expected, row, piece->col0, piece->n_col, w->n_col,
                      watch->expected_row);
    if (w->bound != NULL)
        har_reference_row(w->bound, row, piece->col0, piece->n_col, w->n_col,
                          watch->bound_row);
    har_diff_row(&w->diff, rule, row, piece->col0, piece->n_col,
                 watch->expected_row, found, watch->bound_row);
    const core_numerics numerics =
        core_tap_numerics(watch->numerics, w->tap.kind);
    har_lattice_row(&w->lattice, numerics, core_tap_grid(w->tap.kind), row,
                    piece->col0, piece->n_col, found, watch->stored_row);
    if (rule.kind == HAR_RULE_BOUND) {
        const core_numerics coarsest =
            core_tap_coarsest(watch->numerics, w->tap.kind);
        const int64_t n_marginal = har_precision_row(
            &w->grade, coarsest, 1.0 / piece->n_owners, piece->n_col,
            watch->expected_row, found, watch->bound_row, watch->error_row,
            i > 0);
        /* a unit of a coarser store on the way is most of a bound */
        w->n_marginal += coarsest == numerics ? n_marginal : 0;
    }
    keep_bad_row(watch, w, piece, i, n_bad);
    if (replaces(watch, w->tap.kind))
        memcpy(found, watch->expected_row,
               (size_t)piece->n_col * sizeof *found);
}

/* In an exercise: what the deal decides, not the router. */
static bool is_dealt(const har_watch *watch, core_tap_kind kind)
{
    return watch->is_exercise &&
           (kind == CORE_TAP_TOPK_IDX || kind == CORE_TAP_TOPK_WEIGHT);
}

static void take_dealt(const har_tap_watch *w, const par_piece *piece,
                       int64_t i)
{
    const int64_t at = piece->row_ids[i] * w->n_col + piece->col0;
    for (int64_t j = 0; w->is_int && j < piece->n_col; j++)
        piece->ints[i * piece->ld + j] = core_st_int(w->expected, at + j);
    if (!w->is_int)
        core_st_read(w->expected, at, piece->n_col,
                     piece->values + i * piece->ld);
}

static void look_for_reach(const har_watch *watch, const par_piece *piece)
{
    const core_tap chosen = {CORE_TAP_TOPK_IDX, piece->tap.layer};
    if (watch->reach != NULL)
        har_reach_see(watch->reach, piece,
                      watch->tap[watch->index[slot_of(chosen)]].expected);
}

static void observe(void *self, const par_piece *piece)
{
    har_watch *watch = self;
    har_tap_watch *w = tap_of(watch, piece->tap);
    if (piece->col0 < 0 || piece->col0 + piece->n_col > w->n_col ||
        w->is_int != (piece->ints != NULL)) {
        w->n_outside += piece->n_row * piece->n_col;
        return;
    }
    har_cover_add(w->cover, piece, w->n_row);
    if (w->n_row > 0)
        look_for_reach(watch, piece);
    if (watch->mode == HAR_FORCED_ROUTING &&
        piece->tap.kind == CORE_TAP_ROUTER_LOGITS)
        keep_scores(watch, piece);
    for (int64_t i = 0; i < piece->n_row; i++) {
        if (piece->row_ids[i] < 0 || piece->row_ids[i] >= w->n_row) {
            w->n_outside += piece->n_col;
            continue;
        }
        if (is_dealt(watch, piece->tap.kind)) {
            take_dealt(w, piece, i);
            continue;
        }
        const har_element before = w->diff.first;
        const int64_t n_bad = w->diff.n_bad;
        if (w->is_int)
            see_int_row(watch, w, piece, i);
        else
            see_value_row(watch, w, piece, i);
        if (w->diff.n_bad > n_bad &&
            (n_bad == 0 || w->diff.first.row != before.row)) {
            w->first_round = piece->round;
            w->first_mb = piece->mb;
        }
    }
}

void har_watch_unwritten(har_watch *watch, core_tap tap)
{
    tap_of(watch, tap)->n_unwritten++;
}

par_observer har_watch_observer(har_watch *watch)
{
    return (par_observer){watch, observe};
}
