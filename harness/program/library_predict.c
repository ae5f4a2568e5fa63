/* harness/program/library_predict.c -- moeparity_predict, see moeparity.h. */
#include "harness/program/library_impl.h"

#include "harness/perf/predict/predict.h"
#include "harness/perf/predict/question.h"

#include <stdlib.h>

int har__library_end(core_status status, char message[MOEPARITY_MESSAGE])
{
    message[0] = '\0';
    if (status != CORE_OK && status != CORE_E_DIFFERS)
        snprintf(message, MOEPARITY_MESSAGE, "%s",
                 core_message()[0] != '\0' ? core_message()
                                           : core_status_name(status));
    core_message_clear();
    return core_status_exit_code(status);
}

static moeparity_range range_of(har_range r)
{
    return (moeparity_range){r.value, r.low, r.high};
}

static void fill(moeparity_prediction *out, const har_prediction *p,
                 const har_machine *machine)
{
    out->n_gpu = p->n_gpu;
    out->latency = range_of(p->latency);
    out->tokens_per_s = range_of(p->tokens_per_s);
    out->mfu = range_of(p->mfu);
    out->communication = range_of(p->communication);
    out->bubble = range_of(p->bubble);
    out->memory_bytes = p->memory;
    out->fits = p->memory <= machine->memory_bytes;
}

static core_status predict(moeparity_prediction *out, har_setup *setup,
                           har_prediction *p, const har_question *asked)
{
    har_predictor *predictor = NULL;
    CORE_TRY(har_setup_read(setup, asked));
    CORE_TRY(har_setup_check(setup));
    CORE_TRY(har_load_source_apply(&setup->source, &setup->what));
    CORE_TRY(har_predictor_make(&predictor, &setup->machine));
    const core_status status = har_predict(predictor, &setup->what, p);
    if (status == CORE_OK)
        fill(out, p, &setup->machine);
    har_predictor_free(predictor);
    return status;
}

int moeparity_predict(moeparity_prediction *out, const char *model,
                      const char *plan, const char *machine, const char *batch,
                      char message[MOEPARITY_MESSAGE])
{
    har_question asked = HAR_QUESTION;
    har_setup *setup = calloc(1, sizeof *setup);
    har_prediction *p = calloc(1, sizeof *p);
    core_status status = CORE_E_MEMORY;
    core_message_clear();
    asked.model = model;
    asked.plan = plan;
    asked.machine = machine;
    asked.batch = batch;
    if (setup != NULL && p != NULL) {
        status = predict(out, setup, p, &asked);
        har_setup_close(setup);
    }
    free(setup);
    free(p);
    return har__library_end(status, message);
}
