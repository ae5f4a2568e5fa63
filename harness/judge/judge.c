/* harness/judge/judge.c -- judging a foreign dump, see judge.h.
 *
 * One pass over the taps in the order of execution, of each tap over its rows.
 * Traps: a tap that no file holds has no bad row, so it must fail by its
 * absence; with half of the rows set aside a pass would say nothing; a dump of
 * which nothing was compared is no correct one.
 */
#include "harness/judge/judge_impl.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is remembered --- */

static bool is_worse(const har_spot *a, const har_spot *b)
{
    return a->ratio > b->ratio;
}

/* Put a spot into a list of at most `room`, the worst first. */
static void keep(har_spot *list, int *n, int room, const har_spot *spot)
{
    int at = *n;
    while (at > 0 && is_worse(spot, &list[at - 1]))
        at--;
    if (at >= room)
        return;
    const int last = *n < room ? *n : room - 1;
    memmove(list + at + 1, list + at, (size_t)(last - at) * sizeof *list);
    list[at] = *spot;
    *n = *n < room ? *n + 1 : room;
}

static void remember(har__pass *p, har_tap_judgement *t, const har_spot *spot,
                     bool good)
{
    const har_yard_tap *tap = &p->yard->tap[spot->i_tap];
    double *of_token =
        &p->judged->token_ratio[tap->part][spot->row / tap->extent.n_k];
    t->n_judged++;
    t->n_marginal += good && spot->ratio > 0.5;
    if (!good && t->n_failed++ == 0)
        t->first_bad = *spot;
    t->ratio = spot->ratio > t->ratio ? spot->ratio : t->ratio;
    *of_token = spot->ratio > *of_token ? spot->ratio : *of_token;
    keep(t->spot, &t->n_spot, HAR_TAP_SPOTS, spot);
}

/* --- a tap --- */

/* The tolerance of a row of the golden, against the row. */
static void see_width(har__pass *p, int64_t i_tap, int64_t row)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    double largest = 0.0, sum = 0.0;
    if (tap->tolerance == NULL)
        return;
    for (int64_t j = 0; j < tap->extent.n_col; j++) {
        largest = fmax(largest, fabs(p->expected[j]));
        sum += p->expected[j] * p->expected[j];
    }
    if (largest == 0.0) /* zeros have no size */
        return;
    const double rms = sqrt(sum / (double)tap->extent.n_col);
    p->judged->tap[i_tap].n_blind +=
        tap->rms_tolerance != NULL
            ? !(har_yardstick_allowed_rms(tap, row) <= HAR_BLIND * rms)
            : !(har_yardstick_allowed(tap, row) <= HAR_BLIND * largest);
    const double relative = har_yardstick_allowed(tap, row) / largest;
    if (!(relative > p->judged->widest))
        return;
    p->judged->widest = relative;
    p->judged->widest_tap = i_tap;
}

/* One row that the dump ought to have. */
static void see_row(har__pass *p, int64_t i_tap, int64_t row, har_diff *sum,
                    har_spot *first_missing)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    har_tap_judgement *t = &p->judged->tap[i_tap];
    har_yardstick_row(tap, row, p->expected);
    see_width(p, i_tap, row);
    const int64_t n_missing =
        har__read_row(p, i_tap, row, har__source_row(p, tap, row));
    t->n_row++;
    if (n_missing > 0 && har_is_choice(tap) && har__is_silent(p, i_tap, row)) {
        t->n_silent++;
        return;
    }
    if (n_missing > 0) {
        if (t->n_missing++ == 0)
            for (int64_t j = tap->extent.n_col - 1; j >= 0; j--)
                if (p->owner[j] < 0)
                    *first_missing = (har_spot){.row = row, .col = j};
        return;
    }
    if (tap->name.is_tap && tap->name.tap.kind == CORE_TAP_LOGITS)
        har_figures_add(&p->judged->figures, row, tap->extent.n_t,
                        tap->extent.n_col, p->expected, p->found);
    har_spot spot = har__blank_spot(p, i_tap, row);
    bool excluded = har__routing_excludes(p, tap, row);
    const har_diff before = *sum;
    const double allowed_before = p->sum_allowed;
    bool good = true;
    if (har_is_choice(tap))
        good = har__routing_judge(p, i_tap, row, &spot);
    else if (!excluded)
        good = har__judge_row(p, i_tap, row, &spot, sum);
    const bool is_open = har__keys_are_open(p, tap, row);
    const bool moved = !good && har__drops_excuse(p, tap, row);
    if (!good && (moved || is_open)) {
        har__set_aside(p, tap, row / tap->extent.n_k, 0);
        p->judged->n_moved_drops += moved ? 1 : 0;
        p->judged->n_open += moved ? 0 : 1;
        excluded = true;
    }
    if (excluded || is_open) {
        *sum = before;
        p->sum_allowed = allowed_before;
    }
    if (excluded) {
        t->n_excluded++;
        return;
    }
    if (!is_open)
        har__slope_row(p, tap, row);
    remember(p, t, &spot, good);
}

static void see_rows(har__pass *p, int64_t i_tap, har_diff *sum)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const har_yard_part *part = &p->yard->part[tap->part];
    har_tap_judgement *t = &p->judged->tap[i_tap];
    const int64_t n_row = part->n_b * part->n_t * tap->extent.n_k;
    har_spot missing = {.row = 0};
    for (int64_t row = 0; row < n_row; row++)
        if (har__wants(p, i_tap, row))
            see_row(p, i_tap, row, sum, &missing);
    if (t->n_missing > 0)
        har_foreign_find(
            p->dump, HAR_FOUND_MISSING, i_tap, -1, tap->data->name,
            "expected %lld rows, %lld of them are not whole; the first is row "
            "%lld, position %lld, from column %lld on",
            (long long)t->n_row, (long long)t->n_missing,
            (long long)(missing.row / tap->extent.n_k / part->n_t),
            (long long)(missing.row / tap->extent.n_k % part->n_t),
            (long long)missing.col);
}

/* A tap of which the dump holds nothing at all. */
static void absent_tap(har__pass *p, int64_t i_tap, bool is_misshapen)
{
    har_tap_judgement *t = &p->judged->tap[i_tap];
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    bool optional = false;
    const bool expected =
        har_namemap_expects(p->map, har_yard_body(tap), &optional);
    optional |= tap->is_spare;
    if (tap->is_input || !expected || (optional && !is_misshapen)) {
        snprintf(t->problem, sizeof t->problem,
                 tap->is_input || expected ? "not in the dump"
                                           : "the map has no name for it");
        return;
    }
    t->verdict = HAR_FAIL;
    if (!is_misshapen)
        har_foreign_find(p->dump, HAR_FOUND_MISSING, i_tap, -1, tap->data->name,
                         "expected in the dump, found nothing");
}

static bool has_finding(const har__pass *p, int64_t i_tap)
{
    for (int64_t i = 0; i < p->dump->n_finding; i++)
        if (p->dump->finding[i].i_tap == i_tap)
            return true;
    return false;
}

static void tell_unreadable(har__pass *p, const har_piece *piece)
{
    const har_chosen *c = &piece->chosen;
    const har_extent *e = &p->yard->tap[piece->i_tap].extent;
    const int64_t n =
        c->is_mask || c->logical == NULL ? c->n_expert : c->n_physical;
    char expected[80];
    snprintf(expected, sizeof expected,
             c->is_mask ? "masks that mark %lld experts"
             : n > 0    ? "experts below %lld"
                        : "experts",
             (long long)(c->is_mask ? c->n_k : n));
    har_foreign_find(
        p->dump, HAR_FOUND_UNREADABLE, piece->i_tap, piece->file,
        piece->tensor->name,
        "layer %d, %lld tokens; expected %s, found %.0f at row %lld, position "
        "%lld%s",
        p->yard->tap[piece->i_tap].name.tap.layer,
        (long long)piece->n_unreadable, expected, piece->bad_value,
        (long long)(piece->bad_row / e->n_t),
        (long long)(piece->bad_row % e->n_t),
        c->logical == NULL ? "; of physical experts, say which they are "
                             "(logical)"
                           : "");
}

static void tell_bad_values(har__pass *p, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        const har_piece *piece = &p->dump->piece[i];
        const har_extent *e = &p->yard->tap[piece->i_tap].extent;
        if (piece->n_unreadable > 0)
            tell_unreadable(p, piece);
        if (piece->n_nonfinite > 0)
            har_foreign_find(p->dump, HAR_FOUND_NONFINITE, piece->i_tap,
                             piece->file, piece->tensor->name,
                             "%lld elements; expected finite numbers, found %g "
                             "at row %lld, position %lld, column %lld",
                             (long long)piece->n_nonfinite, piece->bad_value,
                             (long long)(piece->bad_row / e->n_k / e->n_t),
                             (long long)(piece->bad_row / e->n_k % e->n_t),
                             (long long)piece->bad_col);
    }
}

/* Errors that every row may have and not all of them: over the whole tap. */
static void judge_all_rows(har__pass *p, har_tap_judgement *t,
                           const har_diff *sum)
{
    if (!(p->sum_allowed > 0.0) || !isfinite(p->sum_allowed))
        return;
    const double n = (double)t->n_judged;
    t->width = sqrt(p->sum_allowed / sum->sum_sq_expected);
    t->tap_ratio = sqrt(sum->sum_sq_error / p->sum_allowed) / HAR_TAP_SHARE;
    if (!(t->tap_ratio <= 1.0) && n > 0.0 && t->problem[0] == '\0')
        snprintf(t->problem, sizeof t->problem,
                 "rms error of its rows together %.3g times what roundings "
                 "make, %.2g of the tap's rms",
                 t->tap_ratio, har_diff_relative_rms(sum));
}

/* The verdict of a tap whose rows have been seen. */
static void conclude(har__pass *p, int64_t i_tap, const har_diff *sum)
{
    har_tap_judgement *t = &p->judged->tap[i_tap];
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    t->is_judged = t->n_judged > 0;
    t->relative_rms = har_diff_relative_rms(sum);
    judge_all_rows(p, t, sum);
    har__slope_judge(p, tap, t);
    if (t->n_row > 0 && t->n_silent == t->n_row)
        snprintf(t->problem, sizeof t->problem,
                 "no token's choices can be read");
    const bool is_left = 2 * t->n_excluded <= t->n_row;
    if (t->n_failed > 0 || t->problem[0] != '\0' || has_finding(p, i_tap) ||
        (t->n_judged == 0 && t->n_row > 0 && is_left))
        t->verdict = HAR_FAIL;
    else if (t->n_marginal > 0)
        t->verdict = HAR_MARGINAL;
    t->is_undecided =
        t->verdict != HAR_FAIL &&
        (!is_left || (t->is_judged && (double)t->n_blind >
                                          HAR_MAY_BLIND * (double)t->n_judged));
    if (t->is_undecided && !is_left)
        snprintf(t->problem, sizeof t->problem,
                 "%lld of %lld rows follow a certified flip: too little is "
                 "left to compare, feed the golden's inputs or dump with its "
                 "routing and use --forced-routing",
                 (long long)t->n_excluded, (long long)t->n_row);
    if (t->verdict == HAR_FAIL && t->is_judged &&
        is_left && !has_finding(p, i_tap) && !(t->slope_ratio > 1.0))
        t->bits = har__grade_bits(p, tap);
    if (p->judged->forced_routing && har_is_choice(tap) &&
        t->verdict != HAR_FAIL) {
        t->is_judged = false;
        snprintf(t->problem, sizeof t->problem,
                 "the dump used the golden's routing");
    }
}

static core_status judge_tap(har__pass *p, int64_t i_tap)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    har_diff sum;
    int64_t begin, end;
    har_diff_init(&sum);
    p->sum_allowed = 0.0;
    p->grade = (har_precision){0};
    CORE_TRY(har__routing_enter(p, tap));
    CORE_TRY(har__slope_enter(p, tap));
    if (tap->name.is_tap && tap->name.tap.kind > CORE_TAP_SLOT &&
        p->routing.layer >= 0 && !p->routing.is_marked) {
        CORE_TRY(har__drops_enter(p));
        p->routing.is_marked = true;
    }
    har_foreign_pieces(p->dump, i_tap, &begin, &end);
    if (begin == end) {
        absent_tap(p, i_tap, has_finding(p, i_tap));
        return CORE_OK;
    }
    see_rows(p, i_tap, &sum);
    tell_bad_values(p, begin, end);
    conclude(p, i_tap, &sum);
    if (!p->is_trial && p->judged->tap[i_tap].n_failed > 0 &&
        p->judged->diagnosed < 0)
        CORE_TRY(har__diagnose(p, i_tap));
    return CORE_OK;
}

/* --- the whole --- */

static void sum_up(har__pass *p)
{
    har_judgement *g = p->judged;
    int64_t n_imprecise = 0;
    g->first = -1;
    for (int64_t i = 0; i < g->n_tap; i++) {
        const har_tap_judgement *t = &g->tap[i];
        const bool counts =
            t->is_judged || t->is_undecided || t->verdict == HAR_FAIL;
        g->n_judged += counts;
        g->n_undecided += t->is_undecided;
        g->n_passed += counts && t->verdict == HAR_PASS && !t->is_undecided;
        g->n_marginal += t->verdict == HAR_MARGINAL && !t->is_undecided;
        g->n_failed += t->verdict == HAR_FAIL;
        n_imprecise += t->bits > 0.0;
        g->n_excluded += t->n_excluded;
        g->n_silent += t->n_silent;
        if (t->verdict == HAR_FAIL && g->first < 0)
            g->first = i;
        for (int k = 0; k < t->n_spot; k++)
            keep(g->worst, &g->n_worst, HAR_WORST_ROWS, &t->spot[k]);
        g->verdict = t->verdict > g->verdict ? t->verdict : g->verdict;
    }
    for (int i = 0; i < g->n_routing; i++) {
        g->n_choice += g->routing[i].n_token;
        g->n_same += g->routing[i].n_same;
    }
    for (int64_t i = 0; i < p->dump->n_finding; i++) {
        if (har_finding_is_note(p->dump->finding[i].kind))
            g->n_note++;
        else
            g->verdict = HAR_FAIL;
    }
    if (g->n_judged == 0)
        g->verdict = HAR_FAIL;
    g->is_imprecise = n_imprecise > 0 && n_imprecise == g->n_failed &&
                      g->n_note == p->dump->n_finding;
}

/* Would the first wrong tap fit in another order of its axes? */
static void tell_misfit(har__pass *p)
{
    har_judgement *g = p->judged;
    int64_t begin = 0, end = 0;
    if (g->first >= 0 && g->tap[g->first].n_failed > 0)
        har_foreign_pieces(p->dump, g->first, &begin, &end);
    for (int64_t i = begin; i < end && g->misfit[0] == '\0'; i++) {
        const har_piece *piece = &p->dump->piece[i];
        const har_place *at = &piece->place;
        const bool is_whole = at->n_row == at->whole.n_b * at->whole.n_t *
                                               at->whole.n_k &&
                              at->c.end - at->c.begin == at->whole.n_col;
        const har_slice slice = {.b = at->b, .t = at->t, .c = at->c};
        const har_misfit about = {p->yard,
                                  &p->yard->tap[g->first],
                                  piece->tensor,
                                  at->whole.n_col,
                                  at->axes,
                                  is_whole ? NULL : &slice,
                                  NULL};
        if (piece->chosen.n_k == 0 && at->local == NULL && !at->is_flat)
            (void)har_misfit_text(g->misfit, &about);
    }
}

/* Buffers of a pass, and what the judgement holds. */
static core_status make_room(har__pass *p)
{
    har_judgement *g = p->judged;
    int64_t widest = 1;
    void *m = NULL;
    for (int64_t i = 0; i < p->yard->n_tap; i++)
        if (p->yard->tap[i].extent.n_col > widest)
            widest = p->yard->tap[i].extent.n_col;
    for (int64_t i = 0; i < p->dump->n_piece; i++) /* with their padding */
        if (p->dump->piece[i].place.c.end > widest)
            widest = p->dump->piece[i].place.c.end;
    CORE_TRY(core_alloc(&m, 5 * widest, sizeof(double), "rows"));
    p->expected = m;
    p->found = p->expected + widest;
    p->tmp = p->found + widest;
    p->error = p->tmp + widest;
    p->bound = p->error + widest;
    CORE_TRY(core_alloc(&m, 2 * widest, sizeof(int64_t), "ids"));
    p->ids = m;
    CORE_TRY(core_alloc(&m, widest, sizeof(int), "owners"));
    p->owner = m;
    CORE_TRY(core_alloc(&m, p->yard->n_tap, sizeof *g->tap, "judgements"));
    g->tap = m;
    g->n_tap = p->yard->n_tap;
    memset(g->tap, 0, (size_t)g->n_tap * sizeof *g->tap);
    CORE_TRY(core_alloc(&m, p->yard->n_tap, sizeof *g->routing, "layers"));
    g->routing = m;
    CORE_TRY(
        core_alloc(&m, p->yard->n_part, sizeof *g->token_ratio, "prompts"));
    g->token_ratio = m;
    memset(m, 0, (size_t)p->yard->n_part * sizeof *g->token_ratio);
    return CORE_OK;
}

static core_status list_tokens(har__pass *p)
{
    for (int i = 0; i < p->yard->n_part; i++) {
        const har_yard_part *part = &p->yard->part[i];
        const int64_t n = part->n_b * part->n_t;
        void *m = NULL;
        CORE_TRY(core_alloc(&m, n, sizeof(double), "tokens"));
        p->judged->token_ratio[i] = m;
        for (int64_t token = 0; token < n; token++) {
            p->judged->token_ratio[i][token] = -1.0;
            p->judged->n_padding += !har_yardstick_is_real(part, token);
        }
    }
    return CORE_OK;
}

static core_status make(har_judgement *out, const har_yardstick *yard,
                        har_foreign *dump, const har_namemap *map,
                        bool forced_routing, bool is_trial)
{
    har_judgement judged;
    memset(&judged, 0, sizeof judged);
    judged.yard = yard;
    judged.dump = dump;
    judged.map_name = map->name;
    judged.forced_routing = forced_routing;
    judged.diagnosed = -1;
    har__pass p = {.judged = &judged,
                   .yard = yard,
                   .dump = dump,
                   .map = map,
                   .is_trial = is_trial};
    p.routing.part = -1;
    core_status status = make_room(&p);
    if (status == CORE_OK)
        status = list_tokens(&p);
    for (int64_t i = 0; i < yard->n_tap && status == CORE_OK; i++)
        status = judge_tap(&p, i);
    if (status == CORE_OK && !is_trial)
        status = har__mistakes(&p);
    if (status == CORE_OK)
        sum_up(&p);
    if (status == CORE_OK && !is_trial)
        tell_misfit(&p);
    free(p.expected);
    free(p.ids);
    free(p.owner);
    free(p.routing.found);
    free(p.routing.is_known);
    free(p.routing.from);
    free(p.routing.may_move);
    gold_slope_free(&p.slope);
    if (status == CORE_OK)
        *out = judged;
    else
        har_judge_free(&judged);
    return status;
}

core_status har_judge_make(har_judgement *out, const har_yardstick *yard,
                           har_foreign *dump, const har_namemap *map,
                           bool forced_routing)
{
    return make(out, yard, dump, map, forced_routing, false);
}

core_status har__judge_trial(har_judgement *out, const har_yardstick *yard,
                             har_foreign *dump, const har_namemap *map,
                             bool forced_routing)
{
    return make(out, yard, dump, map, forced_routing, true);
}

void har_judge_free(har_judgement *judged)
{
    for (int i = 0; i < judged->n_routing; i++)
        free(judged->routing[i].load);
    const int n_part = judged->token_ratio != NULL ? judged->yard->n_part : 0;
    for (int i = 0; i < n_part; i++)
        free(judged->token_ratio[i]);
    free(judged->token_ratio);
    free(judged->routing);
    free(judged->tap);
    memset(judged, 0, sizeof *judged);
}

const char *har_judge_owner(const har_judgement *judged, int file)
{
    return file >= 0 && file < judged->dump->n_file
               ? judged->dump->file[file].owner
               : "-";
}
