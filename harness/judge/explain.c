/* harness/judge/explain.c -- see explain.h.
 *
 * A trial runs the layers up to the first one that fails, whose inputs are
 * right, and only what passes those runs the whole model.  Of pairs, those are
 * tried in which one model alone brings the failure to a later tap, or in which
 * both touch the first tap that fails.  Traps: a model whose choices are all
 * near ties would excuse everything after them, so a tap that was told before
 * must still be; the golden's own model must give the golden, or it is another
 * one.
 */
#include "harness/judge/explain.h"

#include "core/base/arena.h"
#include "harness/judge/judge_impl.h"
#include "harness/judge/model.h"
#include "harness/judge/other_yard.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Products of all passes together: half a minute or so.                      */
static const double max_products = 3e10;

enum { MOST_FIRST = 6, MOST_TOUCHING = 40 };

typedef struct score {
    int64_t first;      /* first tap that fails; the number of taps: none     */
    double ratio_first; /* of that tap                                        */
    double ratio;       /* of the worst tap                                   */
} score;

typedef struct trial {
    int row; /* of others.h                                                   */
    har_other other;
    score score;
} trial;

typedef struct explaining {
    const har_judgement *judged;
    const har_yardstick *yard;
    har_foreign *dump;
    const har_namemap *map;
    har__model model;
    har_explanation *out;
    score before; /* of the golden itself                                     */
    int64_t n_trial;
    trial *trial; /* that could be made; owned                                */
    double n_product;
    void (*progress)(void *self, double done);
    void *progress_self;
} explaining;

/* --- a trial --- */

static score score_of(const har_judgement *g, const har_judgement *before)
{
    score s = {.first = g->n_tap};
    for (int64_t i = 0; i < g->n_tap; i++) {
        const har_tap_judgement *t = &g->tap[i];
        const bool is_lost = t->is_undecided && !before->tap[i].is_undecided;
        s.ratio = fmax(s.ratio, fmax(t->ratio, t->tap_ratio));
        if ((t->verdict != HAR_FAIL && !is_lost) || s.first < g->n_tap)
            continue;
        s.first = i;
        s.ratio_first = t->ratio;
    }
    return s;
}

static core_status judge(explaining *e, const har_yardstick *yard,
                         score *out)
{
    const int64_t n_finding = e->dump->n_finding;
    har_judgement judged;
    CORE_TRY(har__judge_trial(&judged, yard, e->dump, e->map,
                              e->judged->forced_routing));
    *out = score_of(&judged, e->judged);
    har_judge_free(&judged);
    e->dump->n_finding = n_finding;
    return CORE_OK;
}

static core_status run(explaining *e, gold_other **out, const har_other *other,
                       int64_t n_l)
{
    const gold_case *gold = &e->model.gold;
    core_weights *weights = NULL;
    core_spec spec = other->spec;
    spec.n_l = n_l;
    e->n_product += (double)core_spec_active_parameters(&spec) *
                    (double)(gold->batch.n_b * gold->batch.n_t);
    if (other->alteration != CORE_ALTER_NOTHING)
        CORE_TRY(core_weights_alter(&weights, e->model.weights,
                                    other->alteration));
    const core_status status = gold_other_make(
        out, gold, &spec, weights != NULL ? weights : e->model.weights,
        e->model.numerics, other->otherwise);
    core_weights_close(weights);
    return status;
}

/* The taps of the first n_l layers; they are in the order of execution. */
static int64_t taps_before(const har_yardstick *yard, int64_t n_l)
{
    int64_t n = 0;
    while (n < yard->n_tap) {
        const har_tapname *name = &yard->tap[n].name;
        const bool is_last = core_tap_is_global(name->tap.kind) &&
                             name->tap.kind != CORE_TAP_EMBED;
        if (name->is_tap && n_l < yard->spec.n_l &&
            (is_last || name->tap.layer >= n_l))
            break;
        n++;
    }
    return n;
}

/* Hold the dump against the first n_l layers of the other model; a model that
 * gives no finite values is as wrong as the golden.                          */
static core_status try_layers(explaining *e, const har_other *other,
                              int64_t n_l, score *out)
{
    gold_other *taps = NULL;
    har__other_yard y;
    core_status status = run(e, &taps, other, n_l);
    *out = e->before;
    if (status == CORE_E_INPUT) {
        core_message_clear();
        return CORE_OK;
    }
    CORE_TRY(status);
    status = har__other_yard_make(&y, e->yard, taps_before(e->yard, n_l), taps);
    if (status == CORE_OK)
        status = judge(e, &y.yard, out);
    har__other_yard_free(&y);
    gold_other_free(taps);
    return status;
}

/* Layers up to that of the tap. */
static int64_t layers_to(const explaining *e, int64_t i_tap)
{
    const int64_t n_l = e->model.gold.n_l;
    if (i_tap >= e->yard->n_tap || !e->yard->tap[i_tap].name.is_tap)
        return n_l;
    const core_tap tap = e->yard->tap[i_tap].name.tap;
    return tap.kind == CORE_TAP_EMBED       ? 1
           : core_tap_is_global(tap.kind)   ? n_l
                                            : tap.layer + 1;
}

/* Up to the tap that is to be explained, and on if that succeeds. */
static core_status try_other(explaining *e, const har_other *other,
                             int64_t i_tap, score *out)
{
    const int64_t n_l = layers_to(e, i_tap);
    CORE_TRY(try_layers(e, other, n_l, out));
    if (n_l < e->model.gold.n_l && out->first >= taps_before(e->yard, n_l))
        return try_layers(e, other, e->model.gold.n_l, out);
    return CORE_OK;
}

/* --- what was found --- */

static har_explained told(const explaining *e, const har_other *other,
                          const score *s)
{
    har_explained out = {.ratio = s->ratio,
                         .first = s->first < e->yard->n_tap ? s->first : -1};
    memcpy(out.text, other->text, sizeof out.text);
    return out;
}

static void keep(explaining *e, const har_other *other, const score *s)
{
    har_explanation *out = e->out;
    const har_explained one = told(e, other, s);
    if (one.first >= 0) {
        if (one.first > e->before.first &&
            (!out->has_nearest || one.first > out->nearest.first)) {
            out->has_nearest = true;
            out->nearest = one;
        }
        return;
    }
    int at = out->n;
    while (at > 0 && one.ratio < out->found[at - 1].ratio)
        at--;
    if (at == HAR_MAX_EXPLANATIONS)
        return;
    out->n += out->n < HAR_MAX_EXPLANATIONS ? 1 : 0;
    memmove(out->found + at + 1, out->found + at,
            (size_t)(out->n - 1 - at) * sizeof one);
    out->found[at] = one;
}

static bool is_over(explaining *e)
{
    e->out->is_cut |= e->n_product > max_products;
    return e->out->is_cut;
}

static void show(const explaining *e)
{
    if (e->progress != NULL)
        e->progress(e->progress_self, fmin(1.0, e->n_product / max_products));
}

/* --- one at a time, then two --- */

static core_status try_singles(explaining *e)
{
    const har_other none = har_other_none(&e->model.gold.spec);
    for (int i = 0; har_other_name(i) != NULL && !is_over(e); i++) {
        trial *t = &e->trial[e->n_trial];
        t->row = i;
        if (!har_other_make(&t->other, i, &none, &e->model.gold.spec))
            continue;
        CORE_TRY(try_other(e, &t->other, e->before.first, &t->score));
        keep(e, &t->other, &t->score);
        e->n_trial++;
        e->out->n_single++;
        show(e);
    }
    return CORE_OK;
}

static core_status try_pair(explaining *e, const trial *a, int row,
                            int64_t i_tap)
{
    har_other both;
    score s;
    if (strcmp(har_other_name(a->row), har_other_name(row)) == 0 ||
        !har_other_make(&both, row, &a->other, &e->model.gold.spec))
        return CORE_OK;
    CORE_TRY(try_other(e, &both, i_tap, &s));
    keep(e, &both, &s);
    e->out->n_pair++;
    show(e);
    return CORE_OK;
}

static int later_first(const void *x, const void *y)
{
    const trial *a = *(const trial *const *)x, *b = *(const trial *const *)y;
    if (a->score.first != b->score.first)
        return a->score.first > b->score.first ? -1 : 1;
    return a->score.ratio_first < b->score.ratio_first ? -1 : 1;
}

/* One brings the failure to a later tap, the other one explains that. */
static core_status try_after(explaining *e, trial *const *sorted)
{
    for (int64_t i = 0; i < e->n_trial && i < MOST_FIRST; i++) {
        const trial *a = sorted[i];
        if (a->score.first <= e->before.first)
            break;
        for (int j = 0; har_other_name(j) != NULL && !is_over(e); j++)
            CORE_TRY(try_pair(e, a, j, a->score.first));
    }
    return CORE_OK;
}

/* Both change the first tap that fails, and none before it. */
static bool touches(const explaining *e, const trial *t)
{
    return t->score.first == e->before.first &&
           fabs(t->score.ratio_first - e->before.ratio_first) >
               1e-6 * e->before.ratio_first;
}

static core_status try_together(explaining *e, trial *const *sorted)
{
    int64_t n = 0;
    for (int64_t i = 0; i < e->n_trial && n < MOST_TOUCHING; i++) {
        if (!touches(e, sorted[i]))
            continue;
        n++;
        for (int64_t j = i + 1; j < e->n_trial && !is_over(e); j++)
            if (touches(e, sorted[j]))
                CORE_TRY(
                    try_pair(e, sorted[i], sorted[j]->row, e->before.first));
    }
    return CORE_OK;
}

static core_status try_pairs(explaining *e)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, e->n_trial + 1, sizeof(trial *), "models"));
    trial **sorted = memory;
    for (int64_t i = 0; i < e->n_trial; i++)
        sorted[i] = &e->trial[i];
    qsort(sorted, (size_t)e->n_trial, sizeof *sorted, later_first);
    core_status status = try_after(e, sorted);
    if (status == CORE_OK && e->out->n == 0)
        status = try_together(e, sorted);
    free(sorted);
    return status;
}

/* --- may it be tried at all? --- */

static void say_not(explaining *e, const char *why)
{
    snprintf(e->out->why_not, sizeof e->out->why_not, "%s", why);
}

/* Does the model give the golden? */
static core_status check_model(explaining *e)
{
    const har_other none = har_other_none(&e->model.gold.spec);
    const har_yardstick *yard = e->yard;
    gold_other *taps = NULL;
    void *memory = NULL;
    int64_t widest = 1;
    for (int64_t i = 0; i < yard->n_tap; i++)
        if (yard->tap[i].extent.n_col > widest)
            widest = yard->tap[i].extent.n_col;
    CORE_TRY(core_alloc(&memory, widest, sizeof(double), "a row"));
    double *row = memory;
    const core_status status = run(e, &taps, &none, e->model.gold.n_l);
    for (int64_t i = 0; status == CORE_OK && i < yard->n_tap; i++) {
        const har_yard_tap *t = &yard->tap[i];
        gold_other_tap from;
        if (!t->name.is_tap || !gold_other_find(&from, taps, t->name.tap) ||
            from.values == NULL)
            continue;
        for (int64_t r = 0; r < har_yardstick_rows(t); r++) {
            har_yardstick_row(t, r, row);
            for (int64_t j = 0; j < t->extent.n_col; j++)
                if (!(fabs(from.values[r * t->extent.n_col + j] - row[j]) <=
                      har_yardstick_allowed(t, r)))
                    say_not(e, "the model at hand does not give the golden");
        }
    }
    gold_other_free(taps);
    free(row);
    return status;
}

static bool has_wrong_files(const har_foreign *dump)
{
    for (int64_t i = 0; i < dump->n_finding; i++)
        if (!har_finding_is_note(dump->finding[i].kind))
            return true;
    return false;
}

/* Open what is needed, or say why not. */
static core_status prepare(explaining *e, const char *model)
{
    const har_yardstick *yard = e->yard;
    if (!yard->is_bundle || yard->spec.n_l == 0 || yard->spec.n_h == 0)
        say_not(e, "only a dump against a golden bundle is explained");
    else if (yard->forcing != HAR_FED_NOTHING)
        say_not(e, "only a free dump is explained, and this was fed");
    else if (has_wrong_files(e->dump) || e->judged->n_judged == 0)
        say_not(e, "the dump lacks values, or has some that are not finite");
    if (e->out->why_not[0] != '\0')
        return CORE_OK;
    const core_status status = har__model_find(
        &e->model, yard, har__numerics(yard), model);
    if (status != CORE_OK) {
        say_not(e, core_message());
        core_message_clear();
        return CORE_OK;
    }
    return check_model(e);
}

core_status har_explain(har_explanation *out, const har_judgement *judged,
                        har_foreign *dump, const har_namemap *map,
                        const char *model,
                        void (*progress)(void *self, double done),
                        void *progress_self)
{
    explaining e = {.judged = judged,
                    .yard = judged->yard,
                    .dump = dump,
                    .map = map,
                    .out = out,
                    .progress = progress,
                    .progress_self = progress_self};
    void *memory = NULL;
    int n_row = 0;
    memset(out, 0, sizeof *out);
    while (har_other_name(n_row) != NULL)
        n_row++;
    CORE_TRY(core_alloc(&memory, n_row, sizeof *e.trial, "other models"));
    e.trial = memory;
    core_status status = prepare(&e, model);
    if (status == CORE_OK && out->why_not[0] == '\0') {
        e.before = score_of(judged, judged);
        status = try_singles(&e);
        if (status == CORE_OK && out->n == 0)
            status = try_pairs(&e);
    }
    har__model_close(&e.model);
    free(e.trial);
    return status;
}
