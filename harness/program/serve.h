/* harness/program/serve.h -- `predict --serve`: what a plan serves. */
#ifndef HAR_PROGRAM_SERVE_H
#define HAR_PROGRAM_SERVE_H

#include "harness/perf/predict/question.h"

typedef struct har_serve_options { /* as given; NULL: not                     */
    const char *mix, *slots, *chunk, *slo, *prefill;
} har_serve_options;

/* Rows of a command's har_option list, for the har_serve_options at q.       */
#define HAR_SERVE_OPTIONS(q)                                                   \
    {"serve", .text = &(q)->mix, .argument = "MIX",                            \
     .help = "what the plan serves in steady state: INxOUT tokens of each "    \
             "request, or a file of lengths (docs/serving.md)"},               \
        {"slots", .text = &(q)->slots, .argument = "N",                        \
         .help = "serve: requests in flight; the most that fit and meet "      \
                 "--slo"},                                                     \
        {"chunk", .text = &(q)->chunk, .argument = "N",                        \
         .help = "serve: prompts in chunks of N tokens inside the steps; "     \
                 "whole, between them"},                                       \
        {"slo", .text = &(q)->slo, .argument = "S",                            \
         .help = "serve: ttft_ms<X,tpot_ms<Y"},                                \
        {"prefill", .text = &(q)->prefill, .argument = "PLAN",                 \
         .help = "serve: other GPUs take the prompts by this plan"}

/* Before a question is read: options that go together, and the routing that
 * serving takes unless one is asked for.  Errors: E_USAGE.           [local] */
CORE_NODISCARD core_status har_serve_ask(const har_serve_options *options,
                                         har_question *asked);

/* Print what is served, and write it to `json` unless that is NULL.  Exit code
 * 1 where --slo is not met: *met.  Errors:
 * those of har_mix_read, har_slo_parse, par_plan_parse, har_serve.    [local] */
CORE_NODISCARD core_status har_serve_answer(const har_serve_options *options,
                                            const har_question *asked,
                                            const char *json,
                                            har_setup *setup, bool *met);

#endif
