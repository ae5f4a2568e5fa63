/* harness/program/serve.c -- see serve.h. */
#include "harness/program/serve.h"

#include "core/base/arena.h"
#include "harness/perf/predict/serve.h"
#include "harness/program/model.h"
#include "harness/program/question_options.h"
#include "harness/words/words.h"

#include <stdlib.h>
#include <string.h>

core_status har_serve_ask(const har_serve_options *o, har_question *asked)
{
    const char *const given[] = {o->slots, o->chunk, o->slo, o->prefill};
    static const char *const name[] = {"slots", "chunk", "slo", "prefill"};
    if (o->mix == NULL)
        return har_refuse_without("serve", name, given, 4);
    CORE_FAIL_IF(asked->batch != NULL || asked->is_decode || asked->kv != NULL,
                 CORE_E_USAGE, "--serve makes its steps itself: not with "
                 "--batch, --decode, --kv");
    CORE_FAIL_IF(o->chunk != NULL && o->prefill != NULL, CORE_E_USAGE,
                 "--chunk and --prefill: prompts go one way alone");
    if (strcmp(asked->routing, "drawn") == 0)
        asked->routing = "expected";
    return CORE_OK;
}

typedef struct answer {
    har_mix mix;
    par_plan prefill;
    har_serve_case ask;
    har_served served;
} answer;

static core_status read_ask(answer *a, const har_serve_options *o, har_setup *s)
{
    CORE_FAIL_IF(s->source.is_measured, CORE_E_USAGE,
                 "--serve: %s has the routing of one batch", s->source.routing);
    CORE_TRY(har_mix_read(&a->mix, "--serve", o->mix));
    CORE_TRY(har_slo_parse(&a->ask.slo, "--slo", o->slo));
    if (o->slots != NULL)
        CORE_TRY(har_parse_count(&a->ask.n_slot, "--slots", o->slots));
    if (o->chunk != NULL)
        CORE_TRY(har_parse_count(&a->ask.chunk, "--chunk", o->chunk));
    CORE_TRY(har_setup_check(s));
    if (o->prefill != NULL) {
        CORE_TRY(par_plan_parse(&a->prefill, o->prefill));
        CORE_TRY(par_plan_check(&a->prefill, &s->spec));
        a->ask.prefill = &a->prefill;
    }
    CORE_TRY(har_load_source_apply(&s->source, &s->what));
    s->what.n_draw = 0;
    a->ask.what = s->what;
    a->ask.mix = &a->mix;
    return CORE_OK;
}

static core_status answer_it(answer *a, const har_serve_options *o,
                             har_setup *s)
{
    har_predictor *predictor = NULL;
    CORE_TRY(read_ask(a, o, s));
    CORE_TRY(har_predictor_make(&predictor, &s->machine));
    const core_status status =
        har_serve(predictor, &s->machine, &a->ask, &a->served);
    har_predictor_free(predictor);
    return status;
}

core_status har_serve_answer(const har_serve_options *o,
                             const har_question *asked, const char *json,
                             har_setup *s, bool *met)
{
    void *memory;
    CORE_TRY(core_alloc(&memory, 1, sizeof(answer), "an answer"));
    answer *a = memory;
    *a = (answer){.mix = {0}};
    core_status status = answer_it(a, o, s);
    if (status == CORE_OK && json != NULL)
        status = har_serve_json(json, &a->ask, &s->machine, &a->served);
    if (status == CORE_OK) {
        har_config_write(stdout, asked->model, &s->facts, HAR_NO_WEIGHTS);
        har_serve_write(stdout, &a->ask, &s->machine, &a->served);
        *met = a->served.meets;
    }
    free(a);
    return status;
}
