/* harness/verify/verdict.c -- merging the ranks' comparisons, see verdict.h.
 *
 * Three steps, so that a clean run costs one small reduction: sums per tap; for
 * taps that fail, the set of ranks; for the first few, every rank's first and
 * worst element (verdict_detail.c).  After each step all ranks know the same,
 * so all take the same branches.
 */
#include "harness/verify/impl.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *har_verdict_name(har_verdict verdict)
{
    switch (verdict) {
    case HAR_PASS:
        return "PASS";
    case HAR_MARGINAL:
        return "MARGINAL";
    case HAR_PARTIAL:
        return "PARTIAL";
    case HAR_UNPROVEN:
        return "UNPROVEN";
    case HAR_PRECISION:
        return "PRECISION";
    case HAR_FAIL:
        return "FAIL";
    }
    return "?";
}

bool har_verdict_is_bad(har_verdict verdict)
{
    return verdict == HAR_PRECISION || verdict == HAR_FAIL;
}

double har_tap_ratio(const har_tap_result *tap)
{
    return har_precision_ratio(&tap->grade, &tap->honest);
}

bool har_pass_has_rank(const har_pass *pass, int64_t i_tap, int rank)
{
    const uint64_t word = pass->rank_set[i_tap * pass->n_word + rank / 64];
    return ((word >> (rank % 64)) & 1) != 0;
}

void har_pass_drop_taps(har_pass *pass)
{
    free(pass->tap);
    free(pass->rank_set);
    pass->tap = NULL;
    pass->rank_set = NULL;
    pass->n_tap = 0;
}

void har_pass_free(har_pass *pass)
{
    har_pass_drop_taps(pass);
    memset(pass, 0, sizeof *pass);
}

/* --- step 1: sums per tap --- */

enum {
    SUM_N,
    SUM_BAD,
    SUM_BAD_ROWS,
    SUM_NAN,
    SUM_MARGINAL,
    SUM_RATIO,
    SUM_OUTSIDE,
    SUM_FLIP,
    SUM_EXCUSED,
    SUM_ONCE,
    SUM_BALANCE,
    SUM_REPLICA,
    SUM_LATTICE,
    N_SUM
};
enum {
    REAL_ERROR,
    REAL_EXPECTED,
    REAL_GRADE,
    N_REAL = REAL_GRADE + HAR_PRECISION_SUMS
};
enum { MAX_SCORE, MAX_MARGIN, MAX_RATIO_HIGH, MAX_RATIO_LOW, N_MAX };
enum { N_DOUBLE = (int)N_REAL > (int)N_MAX ? (int)N_REAL : (int)N_MAX };

static uint64_t sum_blocks(const uint64_t block[HAR_COVER_BLOCKS])
{
    uint64_t sum = 0;
    for (int i = 0; i < HAR_COVER_BLOCKS; i++)
        sum += block[i];
    return sum;
}

static void fill_counts(uint64_t *to, const har_tap_watch *w)
{
    to[SUM_N] = (uint64_t)w->diff.n;
    to[SUM_BAD] = (uint64_t)w->diff.n_bad;
    to[SUM_BAD_ROWS] = (uint64_t)w->diff.n_bad_rows;
    to[SUM_NAN] = (uint64_t)(w->diff.n_nan + w->n_unwritten);
    to[SUM_MARGINAL] = (uint64_t)w->n_marginal;
    to[SUM_RATIO] = (uint64_t)w->diff.n_ratio;
    to[SUM_OUTSIDE] = (uint64_t)w->n_outside;
    to[SUM_FLIP] = (uint64_t)w->n_flip;
    to[SUM_EXCUSED] = (uint64_t)w->n_flip_excused;
    to[SUM_ONCE] = sum_blocks(w->cover->once);
    to[SUM_BALANCE] = sum_blocks(w->cover->balance);
    to[SUM_REPLICA] = sum_blocks(w->cover->replica);
    to[SUM_LATTICE] = (uint64_t)w->lattice.n_off;
}

static void take_counts(har_tap_result *r, const uint64_t *from)
{
    r->diff.n = (int64_t)from[SUM_N];
    r->diff.n_bad = (int64_t)from[SUM_BAD];
    r->diff.n_bad_rows = (int64_t)from[SUM_BAD_ROWS];
    r->diff.n_nan = (int64_t)from[SUM_NAN];
    r->diff.n_marginal = (int64_t)from[SUM_MARGINAL];
    r->diff.n_ratio = (int64_t)from[SUM_RATIO];
    r->n_flip = (int64_t)from[SUM_FLIP];
    r->n_flip_excused = (int64_t)from[SUM_EXCUSED];
    r->lattice.n_off = (int64_t)from[SUM_LATTICE];
}

/* Sums of doubles: errors for the norms, and the grade. */
static void merge_real_sums(par_comm *comm, har_pass *pass,
                            const har_watch *watch, double *buf)
{
    for (int64_t i = 0; i < pass->n_tap; i++) {
        double *to = buf + i * N_REAL;
        to[REAL_ERROR] = watch->tap[i].diff.sum_sq_error;
        to[REAL_EXPECTED] = watch->tap[i].diff.sum_sq_expected;
        memcpy(to + REAL_GRADE, &watch->tap[i].grade, sizeof(har_precision));
    }
    par_all_reduce(comm, &comm->world, buf, pass->n_tap * N_REAL, PAR_SUM,
                   CORE_FP64);
    for (int64_t i = 0; i < pass->n_tap; i++) {
        const double *from = buf + i * N_REAL;
        pass->tap[i].diff.sum_sq_error = from[REAL_ERROR];
        pass->tap[i].diff.sum_sq_expected = from[REAL_EXPECTED];
        memcpy(&pass->tap[i].grade, from + REAL_GRADE, sizeof(har_precision));
    }
}

static void merge_maxima(par_comm *comm, har_pass *pass, const har_watch *watch,
                         double *buf)
{
    const int64_t n = pass->n_tap;
    for (int64_t i = 0; i < n; i++) {
        const har_tap_watch *w = &watch->tap[i];
        buf[i * N_MAX + MAX_SCORE] = har__score(&w->diff);
        buf[i * N_MAX + MAX_MARGIN] = w->flip_margin;
        buf[i * N_MAX + MAX_RATIO_HIGH] = w->diff.ratio_high;
        buf[i * N_MAX + MAX_RATIO_LOW] = -w->diff.ratio_low;
    }
    par_all_reduce(comm, &comm->world, buf, n * N_MAX, PAR_MAX, CORE_FP64);
    for (int64_t i = 0; i < n; i++) {
        har_tap_result *r = &pass->tap[i];
        r->diff.worst_score = buf[i * N_MAX + MAX_SCORE];
        r->flip_margin = buf[i * N_MAX + MAX_MARGIN];
        r->diff.ratio_high = buf[i * N_MAX + MAX_RATIO_HIGH];
        r->diff.ratio_low = -buf[i * N_MAX + MAX_RATIO_LOW];
    }
}

static void judge(har_tap_result *r, const har_watch *watch,
                  const uint64_t *sums)
{
    const bool is_int = core_tap_grid(r->tap.kind) == CORE_GRID_INT;
    if (r->diff.n_bad > 0)
        r->fault |= HAR_FAULT_VALUE;
    if (r->diff.n_nan > 0)
        r->fault |= HAR_FAULT_POISON;
    if (r->n_row == 0 && sums[SUM_OUTSIDE] != 0)
        r->fault |= HAR_FAULT_NO_TAP;
    else if (sums[SUM_ONCE] != 0 || sums[SUM_BALANCE] != 0 ||
             sums[SUM_OUTSIDE] != 0)
        r->fault |= HAR_FAULT_COVERAGE;
    /* in floats copies made by differently shaped products may differ by
     * rounding, and each is held against its bound; discrete data may not */
    if (sums[SUM_REPLICA] != 0 &&
        (is_int || !core_has_bounds(watch->numerics)) &&
        !(is_int && watch->mode == HAR_FORCED_ROUTING))
        r->fault |= HAR_FAULT_REPLICA;
    const core_numerics numerics =
        core_tap_coarsest(watch->numerics, r->tap.kind);
    const bool imprecise =
        r->fault == HAR_FAULT_VALUE
            ? har_precision_is_rounding(&r->grade, &r->honest, numerics,
                                        sums[SUM_REPLICA] == 0)
            : r->fault == 0 && !(har_tap_ratio(r) <= 1.0);
    if (imprecise)
        r->fault = HAR_FAULT_PRECISION;
    const bool is_wrong = r->fault != 0 && !imprecise;
    if (r->lattice.n_off > 0)
        r->fault |= HAR_FAULT_LATTICE;
    r->verdict = is_wrong                 ? HAR_FAIL
                 : r->fault != 0          ? HAR_PRECISION
                 : r->diff.n_marginal > 0 ? HAR_MARGINAL
                                          : HAR_PASS;
}

/* Which rows a tap ought to have, in live [N*K]: those of choices that have a
 * slot.  NULL: all.  Read when it is asked for: of 512 ranks each is asked for a
 * tap or none.                                                               */
static const uint8_t *live_of(const har_tap_result *r, const har_watch *watch,
                              uint8_t *live)
{
    const core_tap slot = {CORE_TAP_SLOT, r->tap.layer};
    if (r->n_row == 0 || core_tap_row_kind(r->tap.kind) != CORE_ROWS_CHOICE)
        return NULL;
    const core_st_tensor *expected = har_watch_tap(watch, slot)->expected;
    for (int64_t i = 0; expected != NULL && i < r->n_row; i++)
        live[i] = core_st_int(expected, i) >= 0;
    return expected != NULL ? live : NULL;
}

/* The last result is of what no tap of the reference is: agree on its name, or
 * drop it.                                                                   */
static void merge_no_tap(har_pass *pass, par_comm *comm,
                         const har_tap_watch *mine)
{
    har_tap_result *r = &pass->tap[pass->n_tap - 1];
    if (r->fault == 0) {
        pass->n_tap--;
        return;
    }
    double name = -1.0; /* of those that were seen, the last */
    if (mine->n_outside + mine->n_unwritten > 0)
        name = (double)mine->tap.layer * CORE_N_TAP_KINDS + mine->tap.kind;
    par_all_reduce(comm, &comm->world, &name, 1, PAR_MAX, CORE_FP64);
    const int64_t at = name < 0.0 ? 0 : (int64_t)name;
    r->tap = (core_tap){(core_tap_kind)(at % CORE_N_TAP_KINDS),
                        (int)(at / CORE_N_TAP_KINDS)};
}

/* What the cover of a tap ought to add up to: one rank takes it away, so that
 * nothing is left, and 512 ranks do not compute the same.                    */
static uint64_t expected_once(const har_tap_result *r, const har_watch *watch,
                              uint8_t *live)
{
    uint64_t once[HAR_COVER_BLOCKS];
    har_cover_expect(once, live_of(r, watch, live), r->n_row, r->n_col);
    return sum_blocks(once);
}

static void merge_sums(har_pass *pass, par_comm *comm, const har_watch *watch,
                       uint8_t *live, uint64_t *counts, double *reals)
{
    for (int64_t i = 0; i < pass->n_tap; i++) {
        fill_counts(counts + i * N_SUM, &watch->tap[i]);
        if (i % comm->size == comm->rank)
            counts[i * N_SUM + SUM_ONCE] -=
                expected_once(&pass->tap[i], watch, live);
    }
    par_all_reduce_u64(comm, &comm->world, counts, pass->n_tap * N_SUM);
    merge_real_sums(comm, pass, watch, reals);
    merge_maxima(comm, pass, watch, reals);
    for (int64_t i = 0; i < pass->n_tap; i++) {
        har_tap_result *r = &pass->tap[i];
        take_counts(r, counts + i * N_SUM);
        judge(r, watch, counts + i * N_SUM);
    }
    merge_no_tap(pass, comm, &watch->tap[watch->n_tap]);
}

/* Noise too small for one layer to tell, but not for all of them: the tap that
 * has most of it stands for the operator.                                    */
static void pool_layers(har_pass *pass, core_tap_kind kind)
{
    har_tap_result all = {0}, *most = NULL;
    for (int64_t i = 0; i < pass->n_tap; i++) {
        har_tap_result *r = &pass->tap[i];
        if (r->tap.kind != kind || r->fault != 0 || !(r->honest.n > 0.0))
            continue;
        har_precision_add(&all.grade, &r->grade);
        har_precision_add(&all.honest, &r->honest);
        if (most == NULL || har_tap_ratio(r) > har_tap_ratio(most))
            most = r;
    }
    if (most == NULL || har_tap_ratio(&all) <= 1.0)
        return;
    most->grade = all.grade;
    most->honest = all.honest;
    most->is_pooled = true;
    most->fault = HAR_FAULT_PRECISION;
    most->verdict = HAR_PRECISION;
}

static void summarise(har_pass *pass)
{
    double score = -1.0;
    pass->first = -1;
    for (int64_t i = 0; i < pass->n_tap; i++) {
        const har_tap_result *r = &pass->tap[i];
        pass->n_element += r->diff.n;
        if (r->tap.kind == CORE_TAP_SEEN)
            pass->n_key_flip += r->n_flip;
        else
            pass->n_flip += r->n_flip;
        pass->n_flip_excused += r->n_flip_excused;
        pass->flip_margin = fmax(pass->flip_margin, r->flip_margin);
        if (r->verdict > pass->verdict)
            pass->verdict = r->verdict;
        if (har_verdict_is_bad(r->verdict)) {
            pass->n_failed++;
            if (pass->first < 0)
                pass->first = i;
        }
        if (r->diff.worst_score > score) {
            score = r->diff.worst_score;
            pass->worst = i;
        }
    }
}

/* --- all of it --- */

static core_status make_pass(har_pass *pass, par_comm *comm,
                             const har_watch *watch, uint64_t **counts,
                             double **reals, uint8_t **live)
{
    void *p = NULL;
    memset(pass, 0, sizeof *pass);
    pass->mode = watch->mode;
    pass->is_exercise = watch->is_exercise;
    pass->numerics = watch->numerics;
    pass->n_rank = comm->size;
    pass->n_tap = watch->n_tap + 1;
    pass->n_word = (comm->size + 63) / 64;
    CORE_TRY(core_alloc(&p, pass->n_tap, sizeof *pass->tap, "tap results"));
    pass->tap = p;
    memset(pass->tap, 0, (size_t)pass->n_tap * sizeof *pass->tap);
    CORE_TRY(core_alloc(&p, pass->n_tap * pass->n_word, sizeof(uint64_t),
                        "rank sets"));
    pass->rank_set = p;
    memset(p, 0, (size_t)(pass->n_tap * pass->n_word) * sizeof(uint64_t));
    CORE_TRY(core_alloc(&p, pass->n_tap * N_SUM, sizeof(uint64_t), "sums"));
    *counts = p;
    CORE_TRY(core_alloc(&p, pass->n_tap * N_DOUBLE, sizeof(double), "sums"));
    *reals = p;
    CORE_TRY(core_alloc(&p, watch->n_token * watch->spec->n_k + 1, 1, "slots"));
    *live = p;
    for (int64_t i = 0; i < pass->n_tap; i++) {
        har_diff_init(&pass->tap[i].diff);
        pass->tap[i].tap = watch->tap[i].tap;
        pass->tap[i].n_row = watch->tap[i].n_row;
        pass->tap[i].n_col = watch->tap[i].n_col;
        har_lattice_init(&pass->tap[i].lattice);
        if (watch->honest != NULL && i < watch->n_tap) /* the last is no tap */
            pass->tap[i].honest = watch->honest[i];
        pass->tap[i].first_rank = pass->tap[i].worst_rank = -1;
        pass->tap[i].lattice_rank = -1;
        pass->tap[i].row0 = pass->tap[i].row1 = -1;
        pass->tap[i].expert = -1;
    }
    return CORE_OK;
}

core_status har_pass_agree(har_pass *out, par_comm *comm,
                           const har_watch *watch)
{
    har_pass pass;
    uint64_t *counts = NULL;
    double *reals = NULL;
    uint8_t *live = NULL;
    core_status status = make_pass(&pass, comm, watch, &counts, &reals, &live);
    status = par_agree(comm, status);
    if (status == CORE_OK) {
        merge_sums(&pass, comm, watch, live, counts, reals);
        for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++)
            pool_layers(&pass, (core_tap_kind)kind);
        summarise(&pass);
        if (pass.n_failed > 0)
            har__merge_rank_sets(&pass, comm, watch);
        int n_detailed = 0;
        for (int64_t i = 0; i < pass.n_tap && status == CORE_OK; i++) {
            har_tap_result *r = &pass.tap[i];
            if (!har_verdict_is_bad(r->verdict) ||
                n_detailed++ >= HAR_MAX_DETAILS)
                continue;
            status = har__merge_details(&pass, comm, watch, i);
            if ((r->fault & (HAR_FAULT_COVERAGE | HAR_FAULT_REPLICA)) != 0)
                har__merge_blocks(&pass, comm, i, &watch->tap[i],
                                  live_of(r, watch, live));
        }
        /* the worst tap of a clean pass is shown too */
        if (status == CORE_OK && pass.n_failed == 0)
            status = har__merge_details(&pass, comm, watch, pass.worst);
    }
    free(counts);
    free(reals);
    free(live);
    if (status == CORE_OK)
        *out = pass;
    else
        har_pass_free(&pass);
    return status;
}
