/* harness/perf/predict/serve.h -- what a plan serves, in steady state.
 *
 * Requests of a mix come as fast as answers end: a fixed number of them is in
 * flight, in slots.  Every step decodes a token of each that has its prompt;
 * prompts go between the steps, by chunks inside them, or on GPUs of their own
 * with another plan.  docs/serving.md has the formulas.
 */
#ifndef HAR_PERF_SERVE_H
#define HAR_PERF_SERVE_H

#include "harness/perf/predict/figures.h"
#include "harness/perf/predict/mix.h"

#include <stdio.h>

typedef struct har_serve_case { /* borrows everything                         */
    har_predict_case what;      /* its batch is not read; demand, no load      */
    const par_plan *prefill;    /* of other GPUs that take the prompts; NULL   */
    const har_mix *mix;
    int64_t chunk;              /* tokens of a prompt in a step of a replica's
                                 * micro-batch; 0: whole prompts between steps */
    int64_t n_slot;             /* in flight; 0: the most that fit and meet the
                                 * limits                                     */
    har_slo slo;
} har_serve_case;

typedef enum har_serve_end { /* why there are no more slots                    */
    HAR_SERVE_SAID,
    HAR_SERVE_MEMORY,
    HAR_SERVE_SLO,
    HAR_SERVE_PROMPTS, /* as many tokens of prompts come as chunks take       */
    HAR_SERVE_MOST     /* the program looks no further                        */
} har_serve_end;

typedef struct har_served {
    int n_gpu, n_prefill_gpu; /* of a deployment: of the plan, of the other one */
    int64_t n_slot;
    double n_decoding;     /* slots that have their prompt, mean               */
    double chunk_share;    /* steps that carry a chunk                         */
    har_range step;        /* s, decoding alone                                */
    har_range prompt;      /* s, a pass that takes prompts or chunks           */
    double transfer;       /* s, keys and values of a prompt to its decoder    */
    double n_prefill;      /* plans of the other kind for one of this          */
    har_range ttft, tpot;  /* s: to the first token, between the others        */
    har_range request;     /* s, a whole answer                                */
    har_range tokens_per_s, requests_per_s; /* output tokens; of a deployment  */
    double gpus;           /* of a deployment, with its share of the others    */
    double node_gpus;      /* of a node                                        */
    double memory, kv;     /* bytes on the fullest GPU                         */
    int n_stored;          /* experts of a layer, copies counted               */
    double balance;        /* of a step: mean rows of an EP rank / most of one,
                            * of each layer its own                            */
    bool fits, meets;      /* the limits                                       */
    har_serve_end end;
} har_served;

/* Errors: those of har_predict; E_PLAN for cp, E_USAGE for slots that the plan
 * does not divide or a prefill plan without links to it.             [local] */
CORE_NODISCARD core_status har_serve(har_predictor *predictor,
                                     const har_machine *machine,
                                     const har_serve_case *request,
                                     har_served *out);

/* Why there are no more slots; figure i, false beyond the last.       [local] */
const char *har_serve_end_text(har_serve_end end);
bool har_serve_figure_at(har_figure *out, const har_serve_case *request,
                         const har_served *served, int i);

/* The same for machines, into a file.  Errors: E_FILE, E_MEMORY.      [local] */
CORE_NODISCARD core_status har_serve_json(const char *path,
                                          const har_serve_case *request,
                                          const har_machine *machine,
                                          const har_served *served);

/* The report.                                                         [local] */
void har_serve_write(FILE *out, const har_serve_case *request,
                     const har_machine *machine, const har_served *served);

#endif
