/* golden/compute.c -- one numerics of a bundle: the reference's passes.
 *
 * An honest pass gives the values.  Where the numerics rounds, drawn passes
 * follow: each takes over the honest routing, because a rounding that makes
 * a token choose another expert says nothing about the others, and the bundle's
 * tolerances are for dumps with the bundle's routing.  Exact mode makes files
 * that hold for every machine, BLAS and thread count, and for every plan with
 * the same token groups.
 */
#include "golden/golden_impl.h"

#include <math.h>
#include <string.h>

core_spec gold__short_spec(const gold_case *gold)
{
    core_spec spec = gold->spec;
    spec.n_l = gold->n_l;
    return spec;
}

/* The model that the files of a checkpoint hold. */
static core_status open_stored(core_spec *out, const gold_case *gold)
{
    *out = gold->spec;
    if (!gold->is_checkpoint || gold->overrides.n_set == 0)
        return CORE_OK;
    CORE_TRY(core_config_stored(out, &gold->overrides, gold->model));
    CORE_TRY_CTX(core_weight_check_within(&gold->spec, out),
                 "setting fields of %s", gold->model);
    return CORE_OK;
}

core_status gold_open_weights(core_weights **out, const gold_case *gold)
{
    core_weights *weights = NULL;
    core_spec stored;
    CORE_TRY(open_stored(&stored, gold));
    CORE_TRY(gold->is_checkpoint
                 ? core_weights_open_checkpoint(&weights, &stored, gold->model,
                                                gold->act_quant)
                 : core_weights_open_procedural(&weights, &gold->spec,
                                                gold->seed));
    const core_status status =
        gold->is_quantised ? core_weights_quantise(weights, &gold->quantiser)
                           : CORE_OK;
    if (status == CORE_OK)
        *out = weights;
    else
        core_weights_close(weights);
    return status;
}

/* --- progress: the share of the passes of one numerics that is done --- */

typedef struct showing {
    const gold_options *options;
    core_numerics numerics;
    double first; /* what comes before the passes at hand                     */
    double share; /* of one pass                                              */
    int n;        /* of them are at hand                                      */
} showing;

static void show_progress(void *self, double done)
{
    const showing *s = self;
    s->options->progress(s->options->progress_self, s->numerics,
                         s->first + done * s->n * s->share);
}

/* --- the passes --- */

static void honest_values(void *self, core_tap tap, int64_t first, int64_t n,
                          double *out)
{
    memcpy(out, gold__taps_find(self, tap)->v + first, (size_t)n * sizeof *out);
}

static const int64_t *honest_routing(void *self, core_tap tap)
{
    return gold__taps_find(self, tap)->ints;
}

static int n_draws(const core_spec *spec)
{
    return GOLD__DRAWS * gold__n_forcings(spec);
}

static bool is_measured(void *self, core_tap tap)
{
    const gold__tap *t = gold__taps_find(self, tap);
    return t != NULL && t->is_output;
}

/* The reach of roundings is so many times that of the draw that leans most. */
static void raise_reach(gold_reach *reach, const gold__measuring *m)
{
    for (int i = 0; i < GOLD_MISTAKES; i++)
        for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++) {
            const gold_lean lean =
                gold_leaning_of(&m->leaning, i, (core_tap_kind)kind);
            double *of = &reach->of[m->forcing][i][kind];
            if (lean.moves)
                *of = fmax(*of, fmax(GOLD__FACTOR * fabs(lean.sigmas),
                                     GOLD__LEAST_SIGMAS));
        }
}

/* Sums over taps are asked of forced draws, but not where operands are rounded:
 * one that falls the other way makes more of a slope, and leans further, than
 * all else does, and so seldom that no draw tells how far.                   */
static core_status make_directions(gold_directions out[GOLD__FORCINGS],
                                   const gold_case *gold, const gold_feed *feed,
                                   core_numerics numerics)
{
    static const ref_forcing forced[] = {REF_LAYER, REF_BLOCK};
    for (int i = 0; i < GOLD__FORCINGS; i++)
        out[i] = (gold_directions){0, NULL};
    if (gold__n_forcings(feed->spec) == 1 ||
        gold__rounds_operands(gold, numerics))
        return CORE_OK;
    return gold_directions_make(out + REF_LAYER, forced, 2, feed);
}

/* Each draw in every forcing, one after the other: they are one pass. */
static core_status draw(const gold_case *gold, const gold_feed *feed,
                        gold__pass *pass, const gold_directions *directions,
                        showing *progress, gold_summary *summary)
{
    enum { MOST = GOLD__DRAWS * GOLD__FORCINGS };
    const core_numerics numerics = progress->numerics;
    const int n_forcing = gold__n_forcings(&pass->spec);
    gold__measuring measuring[MOST];
    ref_draw draw[MOST];
    core_tap_sink sink[MOST];
    for (int i = 0; i < GOLD__DRAWS * n_forcing; i++) {
        const ref_forcing forcing = (ref_forcing)(i % n_forcing);
        draw[i] = feed->draw;
        draw[i].run = (uint64_t)(i / n_forcing);
        draw[i].forcing = forcing;
        measuring[i] = (gold__measuring){
            .taps = &pass->taps, .spec = &pass->spec, .forcing = forcing};
        const bool turns = ref_turns(numerics, &draw[i]);
        if (directions[forcing].n > 0 && !turns)
            measuring[i].directions = &directions[forcing];
        measuring[i].turns_operands =
            turns && gold__turns_operands(gold, numerics);
        sink[i] = gold__spread_sink(&measuring[i]);
    }
    const ref_draws draws = {draw, sink, GOLD__DRAWS * n_forcing,
                             progress->options->n_beside};
    CORE_TRY(
        ref_forward_drawn(feed->model, feed->batch, &feed->groups, &draws));
    for (int i = 0; i < draws.n; i++)
        raise_reach(&summary->reach, &measuring[i]);
    return CORE_OK;
}

static core_status drawn_passes(const gold_case *gold, gold__pass *pass,
                                const core_weights *weights, ref_model *model,
                                showing *progress, gold_summary *summary)
{
    const gold_feed feed = {
        .spec = &pass->spec,
        .weights = weights,
        .model = model,
        .batch = &gold->batch,
        .groups = {gold->n_group, gold->first_row},
        .options = {.n_threads = progress->options->n_threads,
                    .weight_budget_bytes =
                        progress->options->weight_budget_bytes},
        .draw = {.seed = GOLD__SEED,
                 .values = honest_values,
                 .routing = honest_routing,
                 .self = &pass->taps},
        .wants = is_measured};
    gold_directions directions[GOLD__FORCINGS];
    core_status status =
        make_directions(directions, gold, &feed, progress->numerics);
    if (status == CORE_OK)
        status = draw(gold, &feed, pass, directions, progress, summary);
    for (int i = 0; i < GOLD__FORCINGS; i++)
        gold_directions_free(&directions[i]);
    return status;
}

static core_status run_pass(const gold_case *gold, gold__pass *pass,
                            const core_weights *weights, ref_model **model,
                            core_numerics numerics, const gold_options *options,
                            gold_summary *summary)
{
    const bool rounds = gold__rounds(numerics);
    const double n_pass = rounds ? 1.0 + n_draws(&pass->spec) : 1.0;
    showing progress = {options, numerics, 0.0, 1.0 / n_pass, 1};
    const ref_options ref = {
        .n_threads = options->n_threads,
        .weight_budget_bytes = options->weight_budget_bytes,
        .progress = options->progress != NULL ? show_progress : NULL,
        .progress_self = &progress};
    const core_groups groups = {.n = gold->n_group,
                                .first_row = gold->first_row};
    const core_tap_sink sink = gold__taps_sink(&pass->taps);
    ref_stats stats;
    if (*model == NULL)
        CORE_TRY(ref_model_open(model, &pass->spec, weights, numerics, &ref));
    else
        CORE_TRY(
            ref_model_reopen(*model, &pass->spec, weights, numerics, &ref));
    core_status status =
        ref_forward(*model, &gold->batch, &groups, &sink, &stats);
    if (status == CORE_OK && numerics == CORE_EXACT && !isfinite(stats.bits))
        status =
            core_fail(CORE_E_INPUT, "%s: a sum overflows, or is over a NaN",
                      stats.not_exact);
    if (status == CORE_OK && numerics == CORE_EXACT && !stats.exact)
        status = core_fail(CORE_E_EXACT,
                           "%s: a sum does not fit the 53 bits of exact mode; "
                           "leave exact out of --numerics",
                           stats.not_exact);
    progress.first = progress.share;
    progress.n = n_draws(&pass->spec);
    if (status == CORE_OK && rounds)
        status = drawn_passes(gold, pass, weights, *model, &progress, summary);
    CORE_TRY(status);
    CORE_TRY(gold__routing_margins(&pass->taps, &pass->spec, weights));
    summary->bits = fmax(summary->bits, stats.bits);
    return gold__taps_are_finite(&pass->taps);
}

/* The row whose tolerance is the largest part of its largest magnitude. */
static void summarise(gold_summary *summary, const gold__taps *taps,
                      core_numerics numerics)
{
    for (int64_t i = 0; i < taps->n; i++) {
        const gold__tap *t = &taps->at[i];
        const double roundoff =
            gold__roundoff(core_tap_numerics(numerics, t->tap.kind));
        const double *spread = t->spread[REF_FREE].largest;
        for (int64_t r = 0; spread != NULL && r < t->n_row; r++) {
            const double largest = gold__largest_of(t, r);
            const double relative =
                GOLD__FACTOR * spread[r] / largest + 2.0 * roundoff;
            if (largest == 0.0 || !(relative > summary->worst_relative))
                continue;
            summary->worst_relative = relative;
            core_tap_name(t->tap, summary->worst_tap);
        }
    }
}

core_status gold__compute(const gold_case *gold, core_weights *weights,
                          ref_model **model, core_numerics numerics,
                          const gold_options *options, const char *path,
                          gold_summary *summary)
{
    const bool rounds = gold__rounds(numerics);
    const int n_pass = gold->spec.n_h > 0 ? 1 : 2;
    const core_dropped rule[] = {CORE_DROPPED_ZERO, CORE_DROPPED_PASSTHROUGH};
    gold_summary seen = {0};
    gold__pass pass[2] = {{.spec = gold__short_spec(gold)},
                          {.spec = gold__short_spec(gold)}};
    core_status status = core_weights_prepare(weights, numerics, NULL);
    for (int i = 0; i < n_pass && status == CORE_OK; i++) {
        if (n_pass > 1)
            pass[i].spec.capacity.dropped = rule[i];
        status = gold__taps_make(&pass[i].taps, &pass[i].spec,
                                 gold->batch.n_b * gold->batch.n_t,
                                 gold->all_taps, rounds);
        if (status == CORE_OK)
            status = run_pass(gold, &pass[i], weights, model, numerics, options,
                              &seen);
        if (status == CORE_OK && rounds)
            summarise(&seen, &pass[i].taps, numerics);
    }
    if (status == CORE_OK)
        status = gold__write_outputs(gold, pass, numerics, path);
    gold__taps_free(&pass[0].taps);
    gold__taps_free(&pass[1].taps);
    if (status == CORE_OK && summary != NULL)
        *summary = seen;
    return status;
}
