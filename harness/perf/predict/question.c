/* harness/perf/predict/question.c -- see question.h.
 *
 * Nothing is timed and no file but those named is read, so a question that
 * makes no sense is refused at once.
 */
#include "harness/perf/predict/question.h"

#include "harness/words/words.h"

#include <string.h>

static core_status read_batch(har_setup *s, const har_question *q)
{
    har_predict_case *w = &s->what;
    const bool is_measured = s->source.is_measured && q->batch == NULL;
    w->is_decode = q->is_decode;
    CORE_FAIL_IF(q->is_decode != (q->kv != NULL), CORE_E_USAGE,
                 "--decode and --kv L go together, found one of them");
    CORE_FAIL_IF(is_measured && s->source.measured.n_b == 0, CORE_E_USAGE,
                 "--batch: needed, since %s has choices only, which do not say "
                 "how many rows its %lld tokens are",
                 core_st_path(s->source.measured.file),
                 (long long)s->source.measured.n_token);
    if (is_measured) {
        w->n_b = s->source.measured.n_b;
        w->n_t = q->is_decode ? 1 : s->source.measured.n_t;
    }
    if (is_measured && !q->is_decode)
        return CORE_OK;
    if (!q->is_decode)
        return har_parse_batch(&w->n_b, &w->n_t, "--batch",
                               q->batch != NULL ? q->batch : "256x256");
    w->n_t = 1;
    CORE_TRY(har_parse_count(&w->n_kv, "--kv", q->kv));
    if (is_measured)
        return CORE_OK;
    return har_parse_count(&w->n_b, "--batch",
                           q->batch != NULL ? q->batch : "256");
}

static core_status read_routing(har_setup *s, const har_question *q)
{
    int64_t prompt = 0;
    if (q->prompt != NULL && strcmp(q->prompt, "0") != 0)
        CORE_TRY(har_parse_count(&prompt, "--prompt", q->prompt));
    return har_load_source_open(&s->source, &s->spec, q->routing, q->popularity,
                                q->prompt != NULL ? &prompt : NULL);
}

enum { MAX_DRAWS = 64, DRAWS = 7 };

static core_status read_draws(har_setup *s, const har_question *q)
{
    int64_t n = DRAWS;
    if (q->draws != NULL && strcmp(q->draws, "0") == 0)
        n = 0;
    else if (q->draws != NULL)
        CORE_TRY(har_parse_count(&n, "--draws", q->draws));
    CORE_FAIL_IF(n > MAX_DRAWS, CORE_E_USAGE,
                 "--draws: expected 0 to %d, found '%s'", MAX_DRAWS, q->draws);
    CORE_FAIL_IF(q->draws != NULL &&
                     (!s->source.all_ranks || s->source.is_measured),
                 CORE_E_USAGE, "--draws: %s draws nothing", q->routing);
    s->what.n_draw = (int)n;
    return CORE_OK;
}

/* As the plan says; transfers between stages go aside unless it says more. */
static har_overlap overlap_of(const par_plan *plan)
{
    const unsigned meets = PAR_OVERLAP_DISPATCH + PAR_OVERLAP_SHARED;
    return (plan->overlap & meets) != 0 ? HAR_OVERLAP_PLANNED
                                        : HAR_OVERLAP_PIPELINE;
}

core_status har_setup_read(har_setup *s, const har_question *q)
{
    static const char *const overlaps[] = {"none", "pipeline", "all"};
    static const char *const algorithms[] = {"library", "shot"};
    int overlap, algorithm = 0;
    s->overrides = q->overrides;
    CORE_TRY(core_config_open(&s->spec, &s->facts, &q->overrides, q->model));
    CORE_TRY(par_plan_parse(&s->plan, q->plan));
    CORE_TRY(har_machine_open(&s->machine, q->machine));
    CORE_TRY(har_parse_types(&s->what.types, "--dtype", q->dtype));
    overlap = overlap_of(&s->plan);
    if (q->overlap != NULL)
        CORE_TRY(har_choose(&overlap, "--overlap", q->overlap, overlaps, 3));
    CORE_TRY(har_choose(&algorithm, "--collectives", q->shots, algorithms, 2));
    CORE_TRY(read_routing(s, q));
    CORE_TRY(read_draws(s, q));
    CORE_TRY(read_batch(s, q));
    s->what.spec = &s->spec;
    s->what.plan = &s->plan;
    s->what.overlap = (har_overlap)overlap;
    s->what.algorithm = (har_algorithm)algorithm;
    return CORE_OK;
}

core_status har_setup_check(const har_setup *s)
{
    CORE_TRY(par_plan_check(&s->plan, &s->spec));
    CORE_FAIL_IF(s->plan.cp > 1 && s->what.is_decode, CORE_E_PLAN,
                 "cp = %d, expected 1: a step of decode has one token of each "
                 "row, which nobody can share",
                 s->plan.cp);
    return par_plan_check_batch(&s->plan, &s->spec, s->what.n_b);
}

void har_setup_close(har_setup *s)
{
    har_load_source_close(&s->source);
}
