/* tests/unit/test_har_pieces.c -- the observer, fed by hand.
 *
 * A real reference of one small model is made; then its own taps are shown to
 * the observer as if one rank had computed them, untouched or spoiled.
 */
#include "core/base/arena.h"
#include "core/pass/batch.h"
#include "harness/verify/pieces.h"
#include "harness/verify/routing.h"
#include "ref/ref.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_B = 2, N_T = 32, N_TOKEN = N_B * N_T, MAX_COLS = 256 };

static core_spec spec;
static core_tapfile *file;
static char path[64];
static core_numerics numerics;

static void make_reference(core_numerics how)
{
    core_weights *weights = NULL;
    core_batch batch;
    ref_model *model = NULL;
    core_tap_sink sink = {0};
    ref_stats stats;
    const int64_t first_row[2] = {0, N_B};
    const core_groups groups = {.n = 1, .first_row = first_row};
    const core_tapfile_part part = {"", N_B, N_T, NULL};
    const ref_options options = {.n_threads = 1,
                                 .weight_budget_bytes = (size_t)1 << 28,
                                 .bounds = core_has_bounds(how)};
    numerics = how;
    strcpy(path, "/tmp/test_har_pieces-XXXXXX");
    close(mkstemp(path));
    ck_assert_int_eq(core_spec_open(&spec, "shadow-b", NULL), CORE_OK);
    spec.n_l = 2;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 5), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, how, NULL), CORE_OK);
    ck_assert_int_eq(core_batch_make(&batch, &spec, N_B, N_T, 5), CORE_OK);
    ck_assert_int_eq(core_tapfile_create(&file, path, &spec, how, false,
                                         core_has_bounds(how), &part, 1, NULL),
                     CORE_OK);
    ck_assert_int_eq(core_tapfile_sink(&sink, file, ""), CORE_OK);
    ck_assert_int_eq(ref_model_open(&model, &spec, weights, how, &options),
                     CORE_OK);
    ck_assert_int_eq(ref_forward(model, &batch, &groups, &sink, &stats),
                     CORE_OK);
    ref_model_close(model);
    free(sink.self);
    core_batch_free(&batch);
    core_weights_close(weights);
    ck_assert_int_eq(core_tapfile_commit(file), CORE_OK);
    core_tapfile_close(file);
    ck_assert_int_eq(core_tapfile_open(&file, path, &spec, false, false),
                     CORE_OK);
}

static void teardown(void)
{
    core_tapfile_close(file);
    unlink(path);
}

static void setup_exact(void)
{
    make_reference(CORE_EXACT);
}
static void setup_fp32(void)
{
    make_reference(CORE_FP32);
}

static void setup_bf16(void)
{
    make_reference(CORE_BF16);
}

/* A tap of the reference as one piece, to be spoiled. */
typedef struct shown {
    par_piece piece;
    double *values;
    int64_t *ints, *rows;
} shown;

static shown take(core_tap_kind kind, int layer)
{
    const core_tap tap = {kind, layer};
    const int64_t n_row = core_tap_n_rows(&spec, tap, N_TOKEN);
    const int64_t n_col = core_tap_cols(&spec, tap);
    const core_st_tensor *t = core_tapfile_find(file, "", tap, false);
    const bool is_int = core_tap_grid(kind) == CORE_GRID_INT;
    shown s;
    s.values = calloc((size_t)(n_row * n_col), sizeof(double));
    s.ints = calloc((size_t)(n_row * n_col), sizeof(int64_t));
    s.rows = calloc((size_t)n_row, sizeof(int64_t));
    for (int64_t r = 0; r < n_row; r++) {
        s.rows[r] = r;
        if (!is_int)
            har_reference_row(t, r, 0, n_col, n_col, s.values + r * n_col);
        for (int64_t j = 0; is_int && j < n_col; j++)
            s.ints[r * n_col + j] = core_st_int(t, r * n_col + j);
    }
    s.piece = (par_piece){.tap = tap,
                          .values = is_int ? NULL : s.values,
                          .ints = is_int ? s.ints : NULL,
                          .ld = n_col,
                          .row_ids = s.rows,
                          .n_row = n_row,
                          .n_col = n_col,
                          .n_owners = 1};
    return s;
}

static void drop(shown *s)
{
    free(s->values);
    free(s->ints);
    free(s->rows);
}

static har_tap_watch show_in(shown *s, har_mode mode, bool is_exercise)
{
    har_watch *watch = NULL;
    ck_assert_int_eq(
        har_watch_open(&watch, &spec, numerics, mode, file, N_TOKEN), CORE_OK);
    watch->is_exercise = is_exercise;
    const par_observer observer = har_watch_observer(watch);
    observer.observe(observer.self, &s->piece);
    har_tap_watch seen = {0};
    for (int64_t i = 0; i < watch->n_tap; i++)
        if (watch->tap[i].tap.kind == s->piece.tap.kind &&
            watch->tap[i].tap.layer == s->piece.tap.layer)
            seen = watch->tap[i];
    har_watch_close(watch);
    return seen;
}

static har_tap_watch show(shown *s, har_mode mode)
{
    return show_in(s, mode, false);
}

START_TEST(the_reference_agrees_with_itself)
{
    for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++) {
        const core_tap tap = {(core_tap_kind)kind,
                              core_tap_is_global((core_tap_kind)kind) ? 0 : 1};
        if (!core_tap_exists(&spec, tap))
            continue;
        shown s = take(tap.kind, tap.layer);
        const har_tap_watch w = show(&s, HAR_FREE);
        ck_assert_int_eq(w.diff.n_bad, 0);
        ck_assert_int_eq(w.diff.n, s.piece.n_row * s.piece.n_col);
        drop(&s);
    }
}
END_TEST

START_TEST(another_layer_is_not_this_one)
{
    shown s = take(CORE_TAP_OUT, 0);
    s.piece.tap.layer = 1;
    ck_assert_int_gt(show(&s, HAR_FREE).diff.n_bad, 0);
    drop(&s);
}
END_TEST

/* What is kept: rows that differ, as they were found, of the earliest tap. */
START_TEST(the_first_difference_is_kept)
{
    har_watch *watch = NULL;
    shown late = take(CORE_TAP_OUT, 1), early = take(CORE_TAP_OUT, 0);
    shown ids = take(CORE_TAP_TOPK_IDX, 0);
    ck_assert_int_eq(
        har_watch_open(&watch, &spec, numerics, HAR_FORCED, file, N_TOKEN),
        CORE_OK);
    const par_observer observer = har_watch_observer(watch);
    late.values[3] += 1.0;
    observer.observe(observer.self, &late.piece);
    ck_assert_int_eq(watch->kept.n, 1);
    ck_assert_int_eq(watch->kept.row[0], 0);
    const int64_t n_col = early.piece.n_col;
    early.values[7 * n_col + 2] = 42.0;
    early.values[9 * n_col] = 43.0;
    observer.observe(observer.self, &early.piece);
    ck_assert_int_eq(watch->kept.n, 2);
    ck_assert_int_eq(watch->kept.row[1], 9);
    ck_assert(watch->tap[watch->kept.i_tap].tap.layer == 0);
    ck_assert(watch->kept.values[2] == 42.0);
    ck_assert(watch->kept.values[n_col] == 43.0);
    ck_assert(early.values[9 * n_col] != 43.0); /* replaced */
    late.values[3] += 1.0;
    observer.observe(observer.self, &late.piece);
    ck_assert_int_eq(watch->kept.n, 2);
    ids.ints[5 * ids.piece.n_col] += 1;
    observer.observe(observer.self, &ids.piece);
    ck_assert_int_eq(watch->kept.n, 1);
    ck_assert(watch->kept.values[0] == (double)core_st_int(
                                           har_watch_tap(watch, ids.piece.tap)
                                               ->expected,
                                           5 * ids.piece.n_col) +
                                           1.0);
    har_watch_close(watch);
    drop(&late);
    drop(&early);
    drop(&ids);
}
END_TEST

/* A tap of no operator of the model, of no layer, and of the poison pattern. */
static const core_tap strange_tap[] = {{CORE_TAP_MAMBA_U, 0},
                                       {CORE_TAP_OUT, 2},
                                       {CORE_TAP_OUT, -1},
                                       {CORE_TAP_OUT, 0x7ff8dead}};

START_TEST(what_is_no_tap_of_the_reference_is_kept_apart)
{
    har_watch *watch = NULL;
    shown s = take(CORE_TAP_OUT, 1);
    ck_assert_int_eq(
        har_watch_open(&watch, &spec, numerics, HAR_FREE, file, N_TOKEN),
        CORE_OK);
    const par_observer observer = har_watch_observer(watch);
    const har_tap_watch *spare = &watch->tap[watch->n_tap];
    observer.observe(observer.self, &s.piece);
    ck_assert_int_eq(spare->n_outside, 0);
    s.piece.tap = strange_tap[_i];
    observer.observe(observer.self, &s.piece);
    ck_assert_int_eq(spare->n_outside, s.piece.n_row * s.piece.n_col);
    ck_assert_int_eq(spare->tap.layer, strange_tap[_i].layer);
    for (int64_t i = 0; i < watch->n_tap; i++)
        ck_assert_int_eq(watch->tap[i].n_outside, 0);
    har_watch_close(watch);
    drop(&s);
}
END_TEST

START_TEST(one_wrong_value_is_placed_and_replaced)
{
    shown s = take(CORE_TAP_ATTN_OUT, 0);
    const int64_t at = 5 * s.piece.n_col + 3;
    const double good = s.values[at];
    s.values[at] += 0x1p-10;
    s.piece.mb = 7;
    har_tap_watch w = show(&s, HAR_FREE);
    ck_assert_int_eq(w.diff.n_bad, 1);
    ck_assert_int_eq(w.diff.first.row, 5);
    ck_assert_int_eq(w.diff.first.col, 3);
    ck_assert_int_eq(w.first_mb, 7);
    ck_assert(s.values[at] != good); /* a free pass changes nothing           */
    w = show(&s, HAR_FORCED);
    ck_assert_int_eq(w.diff.n_bad, 1); /* compared before it is replaced */
    ck_assert(s.values[at] == good);
    drop(&s);
}
END_TEST

START_TEST(poison_is_counted)
{
    shown s = take(CORE_TAP_FFN_OUT, 1);
    s.values[0] = (double)NAN;
    const har_tap_watch w = show(&s, HAR_FORCED);
    ck_assert_int_eq(w.diff.n_nan, 1);
    ck_assert_int_eq(w.diff.n_bad, 1);
    ck_assert(!isnan(s.values[0]));
    drop(&s);
}
END_TEST

START_TEST(an_expert_and_a_slot_are_exact)
{
    shown s = take(CORE_TAP_TOPK_IDX, 0);
    s.ints[2] = (s.ints[2] + 1) % spec.n_e;
    ck_assert_int_eq(show(&s, HAR_FREE).diff.n_bad, 1);
    drop(&s);
    s = take(CORE_TAP_SLOT, 0);
    s.ints[2]++;
    ck_assert_int_eq(show(&s, HAR_FORCED_ROUTING).diff.n_bad, 1);
    drop(&s);
}
END_TEST

/* Of an exercise: what is dealt is taken over and not judged, all else is. */
START_TEST(what_is_dealt_is_taken_over)
{
    shown idx = take(CORE_TAP_TOPK_IDX, 1);
    shown weight = take(CORE_TAP_TOPK_WEIGHT, 1);
    shown slot = take(CORE_TAP_SLOT, 1), out = take(CORE_TAP_OUT, 1);
    const int64_t expert = idx.ints[5];
    const double dealt = weight.values[7];
    idx.ints[5] = 25 - idx.ints[5];
    weight.values[7] = NAN;
    slot.ints[3]++;
    out.values[4] += 1.0;
    ck_assert_int_eq(show_in(&idx, HAR_FREE, true).diff.n_bad, 0);
    ck_assert_int_eq(idx.ints[5], expert);
    const har_tap_watch w = show_in(&weight, HAR_FREE, true);
    ck_assert(w.diff.n_bad == 0 && w.diff.n_nan == 0);
    ck_assert(weight.values[7] == dealt);
    ck_assert_int_eq(show_in(&slot, HAR_FREE, true).diff.n_bad, 1);
    ck_assert_int_eq(show_in(&out, HAR_FREE, true).diff.n_bad, 1);
    drop(&idx);
    drop(&weight);
    drop(&slot);
    drop(&out);
}
END_TEST

START_TEST(rows_outside_the_tap_are_counted_not_used)
{
    shown s = take(CORE_TAP_OUT, 0);
    s.rows[0] = N_TOKEN;
    s.rows[1] = -1;
    const har_tap_watch w = show(&s, HAR_FREE);
    ck_assert_int_eq(w.n_outside, 2 * s.piece.n_col);
    s.piece.col0 = 1;
    ck_assert_int_gt(show(&s, HAR_FREE).n_outside, 2 * s.piece.n_col);
    drop(&s);
}
END_TEST

/* Off by 0.9 of its bound an element passes, by 1.1 it does not: one element of
 * every tap, the one whose bound leaves most room beside fp32's roundings.   */
START_TEST(a_bound_is_an_edge_at_every_tap)
{
    int n_seen = 0;
    for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++) {
        const core_tap tap = {(core_tap_kind)kind, 0};
        if (!core_tap_exists(&spec, tap) ||
            core_tap_grid(tap.kind) == CORE_GRID_INT)
            continue;
        shown s = take(tap.kind, 0);
        const core_st_tensor *t = core_tapfile_find(file, "", tap, true);
        double bound[MAX_COLS], *at = NULL, room = 0.0, of_it = 0.0;
        ck_assert_int_le(s.piece.n_col, MAX_COLS);
        for (int64_t r = 0; r < s.piece.n_row; r++) {
            har_reference_row(t, r, 0, s.piece.n_col, s.piece.n_col, bound);
            for (int64_t j = 0; j < s.piece.n_col; j++) {
                double *y = s.values + r * s.piece.ld + j;
                if (*y == 0.0 || !(bound[j] / fabs(*y) > room))
                    continue;
                room = bound[j] / fabs(*y);
                of_it = bound[j];
                at = y;
            }
        }
        if (room > 0x1p-20) { /* 16 units of the last place */
            const double y = *at;
            *at = (double)(float)(y + 0.9 * of_it);
            ck_assert_int_eq(show(&s, HAR_FORCED).diff.n_bad, 0);
            *at = (double)(float)(y - 1.1 * of_it);
            ck_assert_int_eq(show(&s, HAR_FORCED).diff.n_bad, 1);
            n_seen++;
        }
        drop(&s);
    }
    ck_assert_int_gt(n_seen, 10);
}
END_TEST

START_TEST(fp32_is_judged_by_the_stored_bound)
{
    shown s = take(CORE_TAP_ATTN_OUT, 0);
    const core_st_tensor *bound =
        core_tapfile_find(file, "", s.piece.tap, true);
    double b;
    har_reference_row(bound, 0, 0, 1, s.piece.n_col, &b);
    ck_assert(b > 0.0 && isfinite(b));
    s.values[0] += 0.75 * b;
    har_tap_watch w = show(&s, HAR_FORCED);
    ck_assert_int_eq(w.diff.n_bad, 0);
    ck_assert_int_eq(w.n_marginal, 1);
    s.values[0] += 1.5 * b; /* it was replaced by the reference's value */
    w = show(&s, HAR_FORCED);
    ck_assert_int_eq(w.diff.n_bad, 1);
    s.values[0] += 1.5 * b;
    ck_assert_int_eq(show(&s, HAR_FORCED_ROUTING).diff.n_bad, 0);
    drop(&s);
}
END_TEST

/* Units of storage pass one by one; all together they are too many. */
START_TEST(bf16_is_judged_by_element_and_by_tap)
{
    shown s = take(CORE_TAP_ATTN_OUT, 0);
    const int64_t n = s.piece.n_row * s.piece.n_col;
    s.values[0] *= 1.004; /* half a unit to one */
    core_store(CORE_BF16, CORE_GRID_ACT, s.values, 1);
    har_tap_watch w = show(&s, HAR_FORCED);
    ck_assert(w.diff.sum_sq_error > 0.0);
    ck_assert_int_eq(w.diff.n_bad + w.n_marginal, 0);
    const har_precision honest = {.n = 4.0 * (double)n};
    ck_assert(har_precision_ratio(&w.grade, &honest) <= 1.0);
    for (int64_t i = 0; i < n; i += 2)
        s.values[i] *= 1.004;
    core_store(CORE_BF16, CORE_GRID_ACT, s.values, n);
    w = show(&s, HAR_FORCED);
    ck_assert_int_eq(w.diff.n_bad, 0);
    ck_assert(har_precision_ratio(&w.grade, &honest) > 1.0);
    s.values[0] *= 1.03;
    ck_assert_int_eq(show(&s, HAR_FORCED).diff.n_bad, 1);
    drop(&s);
}
END_TEST

/* Nearer to the truth than any number of the type: no bound sees it. */
START_TEST(a_value_that_was_not_rounded_is_placed)
{
    static const har_mode modes[] = {HAR_FORCED, HAR_FORCED_ROUTING};
    shown s = take(CORE_TAP_ATTN_OUT, 0);
    const int64_t at = 5 * s.piece.n_col + 3;
    for (int i = 0; i < 2; i++) {
        const double good = s.values[at];
        ck_assert_int_eq(show(&s, modes[i]).lattice.n_off, 0);
        s.values[at] = good * (1.0 + 0x1p-26);
        const har_tap_watch w = show(&s, modes[i]);
        ck_assert_int_eq(w.diff.n_bad, 0);
        ck_assert_int_eq(w.lattice.n_off, 1);
        ck_assert_int_eq(w.lattice.first.row, 5);
        ck_assert_int_eq(w.lattice.first.col, 3);
        ck_assert(w.lattice.first.expected == good);
        s.values[at] = good;
    }
    s.values[at] = (double)NAN; /* which is poison */
    ck_assert_int_eq(show(&s, HAR_FORCED).lattice.n_off, 0);
    drop(&s);
}
END_TEST

/* The expert with the best score but for `out`. */
static int64_t runner_up(const double *score, int64_t out)
{
    int64_t in = out == 0 ? 1 : 0;
    for (int64_t e = 0; e < spec.n_e; e++)
        if (e != out && score[e] > score[in])
            in = e;
    return in;
}

/* A token that chose one of the twins (which tie), or one that did not. */
static int64_t find_token(const int64_t *idx, bool wants_twin)
{
    for (int64_t t = 0; t < N_TOKEN; t++)
        if ((idx[t] == spec.twin_expert) == wants_twin)
            return t;
    ck_abort_msg("the batch has no such token");
    return 0;
}

/* Show router scores in which the runner-up of a token has `shift` more, then
 * a choice in which the token took it.                                       */
static har_tap_watch flip(bool among_twins, double shift)
{
    shown scores = take(CORE_TAP_ROUTER_LOGITS, 0);
    shown choice = take(CORE_TAP_TOPK_IDX, 0);
    har_watch *watch = NULL;
    const int64_t token = find_token(choice.ints, among_twins);
    const int64_t out = choice.ints[token];
    double *score = scores.values + token * spec.n_e;
    const int64_t in = runner_up(score, out);
    score[in] += shift;
    choice.ints[token] = in;
    ck_assert_int_eq(har_watch_open(&watch, &spec, numerics, HAR_FORCED_ROUTING,
                                    file, N_TOKEN),
                     CORE_OK);
    const par_observer observer = har_watch_observer(watch);
    observer.observe(observer.self, &scores.piece);
    observer.observe(observer.self, &choice.piece);
    ck_assert_int_eq(choice.ints[token], out);
    const har_tap_watch w = watch->tap[watch->index[(int)CORE_TAP_TOPK_IDX]];
    har_watch_close(watch);
    drop(&scores);
    drop(&choice);
    return w;
}

START_TEST(a_flip_needs_a_certificate)
{
    const har_tap_watch tie = flip(true, 1e-6);
    ck_assert_int_eq(tie.n_flip, 1);
    ck_assert_int_eq(tie.n_flip_excused, 1);
    ck_assert_int_eq(tie.diff.n_bad, 0);
    ck_assert(tie.flip_margin == 0.0);
    /* the scores at hand say so, but no correct router errs that much */
    const har_tap_watch far = flip(false, 100.0);
    ck_assert_int_eq(far.n_flip, 1);
    ck_assert_int_eq(far.n_flip_excused, 0);
    ck_assert_int_gt(far.diff.n_bad, 0);
    ck_assert(far.flip_margin > 0.0);
}
END_TEST

/* In bf16 a margin of many bounds is excused where the scores have drifted so
 * far, but not where they have not, and not any drift.                       */
START_TEST(a_flip_in_bf16_needs_its_drift)
{
    ck_assert_int_eq(flip(true, 1e-6).n_flip_excused, 1);
    const double margin = flip(false, 100.0).flip_margin;
    ck_assert(margin > 4.0 * 0x1p-8); /* more than a store of p explains */
    ck_assert_int_eq(flip(false, 0.0).n_flip_excused, 0);
    ck_assert_int_eq(flip(false, 100.0).n_flip_excused, 0);
}
END_TEST

static bool are_telling(const core_spec *model, const core_tapfile *taps,
                        int64_t n_token, uint8_t *const *live,
                        char reason[160])
{
    bool out = false;
    ck_assert_int_eq(
        har_taps_are_telling(&out, model, taps, n_token, live, reason),
        CORE_OK);
    return out;
}

START_TEST(a_reference_tells_something_and_zeros_do_not)
{
    uint8_t **live = NULL;
    char reason[160];
    ck_assert_int_eq(har_live_make(&live, &spec, file, N_TOKEN), CORE_OK);
    ck_assert_msg(are_telling(&spec, file, N_TOKEN, live, reason),
                  "%s", reason);
    har_live_free(live, &spec);

    core_tapfile *empty = NULL;
    char other[80];
    const core_tapfile_part part = {"", N_B, N_T, NULL};
    snprintf(other, sizeof other, "%s.zeros", path);
    ck_assert_int_eq(core_tapfile_create(&empty, other, &spec, CORE_EXACT,
                                         false, false, &part, 1, NULL),
                     CORE_OK);
    ck_assert_int_eq(har_live_make(&live, &spec, empty, N_TOKEN), CORE_OK);
    ck_assert(!are_telling(&spec, empty, N_TOKEN, live, reason));
    ck_assert(strstr(reason, "embed") != NULL);
    har_live_free(live, &spec);
    core_tapfile_close(empty);
}
END_TEST

/* The reference again, in `other`, without what the activation made. */
static core_tapfile *without_activations(const char *other)
{
    core_tapfile *copy = NULL;
    core_tap_sink sink = {0};
    core_tap taps[128];
    const core_tapfile_part part = {"", N_B, N_T, NULL};
    const int64_t n_tap = core_taps(&spec, taps, 128);
    ck_assert_int_le(n_tap, 128);
    ck_assert_int_eq(core_tapfile_create(&copy, other, &spec, numerics, false,
                                         false, &part, 1, NULL),
                     CORE_OK);
    ck_assert_int_eq(core_tapfile_sink(&sink, copy, ""), CORE_OK);
    for (int64_t i = 0; i < n_tap; i++) {
        if (taps[i].kind == CORE_TAP_EXPERT_ACT)
            continue;
        shown s = take(taps[i].kind, taps[i].layer);
        sink.put(sink.self, taps[i], s.piece.values, s.piece.ints, NULL);
        drop(&s);
    }
    free(sink.self);
    return copy;
}

START_TEST(relu_may_make_many_zeros_but_not_only_zeros)
{
    uint8_t **live = NULL;
    char reason[160], other[80];
    core_spec relu = spec;
    relu.act = CORE_ACT_RELU;
    snprintf(other, sizeof other, "%s.zeros", path);
    core_tapfile *copy = without_activations(other);
    ck_assert_int_eq(har_live_make(&live, &spec, file, N_TOKEN), CORE_OK);
    ck_assert_msg(are_telling(&relu, file, N_TOKEN, live, reason),
                  "%s", reason);
    ck_assert(!are_telling(&relu, copy, N_TOKEN, live, reason));
    ck_assert(strstr(reason, "moe.act") != NULL);
    har_live_free(live, &spec);
    core_tapfile_close(copy);
}
END_TEST

START_TEST(drops_are_counted_from_the_slots)
{
    har_routing r;
    const shown slots[2] = {take(CORE_TAP_SLOT, 0), take(CORE_TAP_SLOT, 1)};
    int64_t n_dropped = 0, n_choice = 0;
    ck_assert_int_eq(har_routing_read(&r, &spec, NULL, file, N_TOKEN), CORE_OK);
    for (int l = 0; l < 2; l++) {
        if (!core_spec_is_moe(&spec, l))
            continue;
        n_choice += N_TOKEN * spec.n_k;
        for (int64_t i = 0; i < N_TOKEN * spec.n_k; i++)
            n_dropped += slots[l].ints[i] < 0;
    }
    ck_assert_int_eq(r.n_choice, n_choice);
    ck_assert_int_eq(r.n_dropped, n_dropped);
    for (int l = 0; l < 2; l++) {
        shown s = slots[l];
        drop(&s);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_pieces");
    TCase *exact = tcase_create("exact"), *fp32 = tcase_create("fp32");
    tcase_add_checked_fixture(exact, setup_exact, teardown);
    tcase_add_test(exact, the_reference_agrees_with_itself);
    tcase_add_test(exact, another_layer_is_not_this_one);
    tcase_add_test(exact, the_first_difference_is_kept);
    tcase_add_loop_test(exact, what_is_no_tap_of_the_reference_is_kept_apart, 0,
                        sizeof strange_tap / sizeof strange_tap[0]);
    tcase_add_test(exact, one_wrong_value_is_placed_and_replaced);
    tcase_add_test(exact, poison_is_counted);
    tcase_add_test(exact, an_expert_and_a_slot_are_exact);
    tcase_add_test(exact, what_is_dealt_is_taken_over);
    tcase_add_test(exact, rows_outside_the_tap_are_counted_not_used);
    tcase_add_test(exact, a_reference_tells_something_and_zeros_do_not);
    tcase_add_test(exact, relu_may_make_many_zeros_but_not_only_zeros);
    tcase_add_test(exact, drops_are_counted_from_the_slots);
    suite_add_tcase(suite, exact);
    tcase_add_checked_fixture(fp32, setup_fp32, teardown);
    tcase_add_test(fp32, fp32_is_judged_by_the_stored_bound);
    tcase_add_test(fp32, a_value_that_was_not_rounded_is_placed);
    tcase_add_test(fp32, a_bound_is_an_edge_at_every_tap);
    tcase_add_test(fp32, a_flip_needs_a_certificate);
    suite_add_tcase(suite, fp32);
    TCase *bf16 = tcase_create("bf16");
    tcase_add_checked_fixture(bf16, setup_bf16, teardown);
    tcase_add_test(bf16, bf16_is_judged_by_element_and_by_tap);
    tcase_add_test(bf16, a_value_that_was_not_rounded_is_placed);
    tcase_add_test(bf16, a_flip_in_bf16_needs_its_drift);
    suite_add_tcase(suite, bf16);
    return check_main(suite);
}
