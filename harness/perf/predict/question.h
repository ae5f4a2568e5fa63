/* harness/perf/predict/question.h -- which prediction is asked for: options and what they
 * name.
 *
 * Shared by the commands that predict a plan, so that the same words mean the
 * same case and `report` cannot show other figures than `predict` prints.
 */
#ifndef HAR_QUESTION_H
#define HAR_QUESTION_H

#include "core/model/config.h"
#include "harness/perf/predict/load_source.h"

typedef struct har_question { /* as given on the command line; borrowed       */
    core_overrides overrides;
    const char *model, *plan, *machine, *batch, *dtype, *kv, *overlap;
    const char *popularity, *routing, *prompt, *draws, *shots;
    bool is_decode;
} har_question;

/* What is asked without any option: the seed's own plan.                     */
#define HAR_QUESTION                                                           \
    {                                                                          \
        .model = "seed-30b", .plan = "seed-32", .machine = "gpu-400t-64g",     \
        .dtype = "f16", .routing = "drawn",            \
        .shots = "library"                                                     \
    }

typedef struct har_setup {
    core_spec spec;
    core_config_facts facts;
    core_overrides overrides;
    par_plan plan;
    har_machine machine;
    har_load_source source;
    har_predict_case what; /* borrows the others; its load once it is applied */
} har_setup;

/* Open what the question names.  Errors: those of core_config_open,
 * par_plan_parse, har_machine_open, har_load_source_open; E_USAGE naming the
 * option.  The plan is not yet held against the model, and what has no load.
 * Close it whatever was returned; start with {0}.    [local] */
CORE_NODISCARD core_status har_setup_read(har_setup *out,
                                          const har_question *asked);
void har_setup_close(har_setup *setup);

/* Is the plan legal for model and batch?  Errors: E_PLAN.    [local] */
CORE_NODISCARD core_status har_setup_check(const har_setup *setup);

#endif
