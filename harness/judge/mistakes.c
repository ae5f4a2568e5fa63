/* harness/judge/mistakes.c -- mistakes smaller than roundings:
 * golden/mistakes.h.
 *
 * A forced dump in which nothing fails is held against what the model gives
 * with each of them, over all layers together.  That needs the bundle's model;
 * where it is not at hand, or too large to be run for a try, nothing is looked
 * at and nothing is said.
 */
#include "core/base/arena.h"
#include "harness/judge/judge_impl.h"
#include "harness/judge/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the golden's values, for passes that are fed them --- */

static const har_yard_tap *find(const har__pass *p, core_tap tap)
{
    return har_yardstick_find(p->yard, 0, tap);
}

static void fed_values(void *self, core_tap tap, int64_t first, int64_t n,
                       double *out)
{
    core_st_read(find(self, tap)->data, first, n, out);
}

/* Slots follow from the golden's choices where it does not hold them. */
static const int64_t *fed_routing(void *self, core_tap tap)
{
    const har_yard_tap *t = find(self, tap);
    return t != NULL && t->data->dtype == CORE_DTYPE_I64 ? t->data->data : NULL;
}

static bool is_compared(void *self, core_tap tap)
{
    const har__pass *p = self;
    const har_yard_tap *t = find(p, tap);
    return t != NULL && p->judged->tap[t - p->yard->tap].is_judged;
}

/* Has the bundle all that such a pass asks for? */
static bool can_feed(har__pass *p, const core_spec *spec, ref_forcing forcing)
{
    for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++)
        for (int l = 0; l < (int)spec->n_l; l++) {
            const core_tap tap = {(core_tap_kind)kind, l};
            const bool asked = ref_is_forced(forcing, tap.kind) ||
                               tap.kind == CORE_TAP_TOPK_IDX;
            const har_yard_tap *t = find(p, tap);
            if (asked && core_tap_exists(spec, tap) &&
                (!core_tap_is_global(tap.kind) || l == 0) &&
                (t == NULL || t->extent.n_col != core_tap_cols(spec, tap)))
                return false;
        }
    return true;
}

/* --- the dump --- */

static void lean(har__pass *p, const gold_directions *directions,
                 gold_leaning *leaning)
{
    for (int64_t i = 0; i < directions->n; i++) {
        const gold_direction *d = &directions->at[i];
        const int64_t i_tap = find(p, d->tap) - p->yard->tap;
        if (har__routing_enter(p, &p->yard->tap[i_tap]) != CORE_OK)
            continue;
        for (int64_t row = 0; row < d->n_row; row++)
            if (har__read_judged(p, i_tap, row))
                gold_leaning_add(leaning, d, row, p->expected, p->found);
    }
}

static void note(har__pass *p, const gold_leaning *leaning)
{
    har_judgement *g = p->judged;
    for (int i = 0; i < GOLD_MISTAKES; i++)
        for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++) {
            const gold_lean l =
                gold_leaning_of(leaning, i, (core_tap_kind)kind);
            const double reach = p->yard->reach.of[p->yard->forcing][i][kind];
            core_spec spec = p->yard->spec;
            if (l.moves && reach > 0.0 && g->n_lean < HAR_MAX_LEANS)
                g->lean[g->n_lean++] =
                    (har_lean){gold_mistake(&spec, i),
                               (core_tap_kind)kind,
                               l.lean,
                               l.sigmas,
                               reach,
                               l.lean >= GOLD_HALF && l.sigmas > reach};
        }
}

/* The first tap of the kind that was compared fails. */
static void fail(har__pass *p, const har_lean *l)
{
    har_judgement *g = p->judged;
    int64_t i = 0;
    while (!g->tap[i].is_judged || !p->yard->tap[i].name.is_tap ||
           p->yard->tap[i].name.tap.kind != l->kind)
        i++;
    g->tap[i].verdict = HAR_FAIL;
    snprintf(g->tap[i].problem, sizeof g->tap[i].problem,
             "with all such taps together it has %.2f of what %s makes, by "
             "%.3g of its own errors where roundings reach %.3g",
             l->lean, l->what, l->sigmas, l->reach);
}

static core_status look(har__pass *p, const har__model *model)
{
    core_spec spec = model->gold.spec;
    gold_directions directions;
    gold_leaning leaning = {{{{0.0}}}};
    const ref_forcing forcing =
        p->yard->forcing == HAR_FED_LAYERS ? REF_LAYER : REF_BLOCK;
    spec.n_l = model->gold.n_l;
    const gold_feed feed = {
        .spec = &spec,
        .weights = model->weights,
        .batch = &model->gold.batch,
        .groups = {model->gold.n_group, model->gold.first_row},
        .options = {.n_threads = 1, .weight_budget_bytes = (size_t)1 << 28},
        .draw = {.values = fed_values, .routing = fed_routing, .self = p},
        .wants = is_compared};
    if (!har__model_is_small(model, &spec) || !can_feed(p, &spec, forcing))
        return CORE_OK;
    CORE_TRY(gold_directions_make(&directions, &forcing, 1, &feed));
    lean(p, &directions, &leaning);
    gold_directions_free(&directions);
    note(p, &leaning);
    return CORE_OK;
}

/* Something fails already, or there is nothing to look for. */
static bool is_settled(const har__pass *p)
{
    bool settled = p->yard->forcing == HAR_FED_NOTHING || !p->yard->has_reach;
    for (int64_t i = 0; i < p->judged->n_tap; i++)
        settled |= p->judged->tap[i].verdict == HAR_FAIL;
    return settled;
}

core_status har__mistakes(har__pass *p)
{
    har__model model;
    if (is_settled(p))
        return CORE_OK;
    har__model_open(&model, p->yard, har__numerics(p->yard));
    core_status status = CORE_OK;
    if (model.weights != NULL)
        status = look(p, &model);
    har__model_close(&model);
    for (int i = 0; i < p->judged->n_lean && status == CORE_OK; i++)
        if (p->judged->lean[i].is_found) {
            fail(p, &p->judged->lean[i]);
            break;
        }
    return status;
}
