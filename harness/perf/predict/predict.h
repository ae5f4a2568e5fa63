/* harness/perf/predict/predict.h -- what a plan costs on a machine.
 *
 * The records of cost of a plan (cost/model.h) get their times from a machine
 * (machine.h), and the schedule is replayed with them: who waits for whom.
 * Nothing is printed here.  docs/predict.md has the definitions.
 *
 * Two ways: `all_ranks` replays every rank and every micro-batch, for the
 * routing that `load` or the demand gives; without it one rank speaks for each
 * stage, with the slowest links of any group there, and one micro-batch for all,
 * which is the same where the batch splits evenly and the load is even, and is
 * fast enough for a search.  Where replicas with slow links are others in one
 * stage than in the next, it says more than all ranks would, never less.
 *
 * Units: seconds, bytes, flop.  A pass is one forward pass of the whole batch.
 */
#ifndef HAR_PERF_PREDICT_H
#define HAR_PERF_PREDICT_H

#include "harness/perf/cost/demand.h"
#include "harness/perf/cost/model.h"
#include "harness/perf/machine/machine.h"

/* What may go on while a rank computes.                                      */
typedef enum har_overlap {
    HAR_OVERLAP_NONE,     /* nothing: a send keeps the sender                 */
    HAR_OVERLAP_PIPELINE, /* sends between stages                             */
    HAR_OVERLAP_ALL,      /* collectives too: each hides behind what its rank
                           * computed since the one before                    */
    HAR_OVERLAP_PLANNED   /* sends, and exchanges of experts as the steps of
                           * the plan have it (parallel/steps.h); where ranks
                           * speak for their stages as ALL                    */
} har_overlap;

typedef struct har_predict_case { /* borrows everything                       */
    const core_spec *spec;
    const par_plan *plan;         /* legal for spec and batch                 */
    int64_t n_b, n_t;             /* rows; tokens of each                     */
    bool is_decode;               /* one token per row (n_t 1) with n_kv
                                   * cached, itself included                  */
    int64_t n_kv;
    int64_t n_prompt;             /* decode: so many of the rows are tokens of
                                   * prompts, in runs of n_run tokens that each
                                   * have n_past cached before them           */
    double n_run, n_past;
    double logit_share;           /* of the rows, those whose logits are made;
                                   * 0: all                                   */
    core_types types;
    har_overlap overlap;
    har_algorithm algorithm;      /* of collectives                           */
    bool is_eager;                /* none takes less than the host to start it */
    const har_demand *demand;     /* of the model; NULL: every expert alike;
                                   * drawn only with all_ranks               */
    const har_load *load;         /* measured counts of this plan and batch, for
                                   * all_ranks; NULL: of the demand           */
    const char *load_from;        /* whose counts, for reports; NULL: unsaid  */
    bool all_ranks;
    bool no_interval;             /* leave low = high = value                 */
    int n_draw;                   /* of a drawn load: the interval holds how far
                                   * that many other draws are off; 0: none   */
} har_predict_case;

/* Whose units multiply most of a model's weights.                    [local] */
int har_predict_unit(const har_machine *machine,
                     const har_predict_case *request);

/* A figure and its 90 % interval.                                            */
typedef struct har_range {
    double value, low, high;
} har_range;

/* One cause of uncertainty.                                                  */
typedef enum har_doubt_kind {
    HAR_DOUBT_OPERATORS, /* index: har_kind                                    */
    HAR_DOUBT_LINK,      /* index: the tier                                    */
    HAR_DOUBT_ROUTING,
} har_doubt_kind;

typedef struct har_doubt {
    har_doubt_kind kind;
    int index;
    double sigma;       /* of ln(latency)                                     */
} har_doubt;

enum { HAR_N_DOUBT = HAR_COLLECTIVE + 1 + HAR_MAX_LINKS + 1 };

/* What the intervals hold: one sigma of ln(latency) from each source, which are
 * taken as independent.                                                      */
typedef struct har_sources {
    double operators;          /* errors of the kinds of operators            */
    double links;              /* bandwidths of links that have a sigma       */
    int n_draw;                /* other draws of the routing; 0: not held     */
    double routing;            /* rms of their distances                      */
    int n_doubt;
    har_doubt doubt[HAR_N_DOUBT]; /* the same one by one, largest first        */
} har_sources;

enum { HAR_N_BOUND = HAR_BOUND_LINK + 1, HAR_MAX_CLASS = 96 };

/* Operators of one sort.                                                     */
typedef struct har_class {
    const char *op;            /* core_cost.op; static                        */
    core_cost_kind kind;
    core_collective collective;
    core_axis axis;
    double seconds;            /* in a pass, mean over the ranks              */
    double bound[HAR_N_BOUND]; /* of them, by what binds                      */
    double exposed;            /* of a transfer: what computing does not hide */
    double flops, bytes;       /* in a pass, mean over the ranks: through
                                * memory, of a transfer over links            */
    double n_record;           /* in a pass, mean over the ranks              */
} har_class;

/* Memory of the fullest rank of a stage, bytes.                              */
typedef struct har_stage_memory {
    double weights, kv, activations, buffers, total;
    double states;             /* of kv: what does not grow with the rows     */
    int rank;
} har_stage_memory;

typedef struct har_prediction {
    int n_gpu;
    double n_row, n_token;     /* of a pass: one token per row in decode      */
    har_sources sources;       /* of the intervals                            */

    har_range latency;         /* of a pass, pipeline empty before and after  */
    har_range period;          /* from batch to batch, pipeline kept full     */
    har_range tokens_per_s, rows_per_s;           /* kept full                */
    har_range pass_tokens_per_s, pass_rows_per_s; /* one pass by itself       */
    har_range mfu, bandwidth;  /* of a pass: shares of the peaks              */
    har_range serving_mfu, serving_bandwidth;

    har_range compute;         /* shares of latency, means over ranks, adding */
    har_range communication;   /* up to 1: computing, transfers not hidden,   */
    har_range bubble;          /* waiting for a micro-batch, waiting for      */
    har_range imbalance;       /* slower peers of a transfer                  */
    double most_idle;          /* bubble + imbalance of the idlest rank       */
    int most_idle_rank;
    double comm_total, comm_exposed; /* seconds of a pass, mean over ranks    */

    double model_flops;        /* of a pass: what the model asks for          */
    double record_flops;       /* of a pass: what all ranks do                */
    double record_bytes;       /* of a pass: through memory, all ranks        */

    bool has_experts;          /* else the next are 0                         */
    har_range balance;         /* mean / largest rows of an EP rank, a layer
                                * and token group at a time, weighted by the
                                * largest; the interval is that of the draws  */
    double expert_balance;     /* the same over experts                       */
    double dropped;            /* share of the choices                        */
    double distinct_mean;      /* experts with rows, per rank and pair        */
    double distinct_most;
    int slowest_ep_rank;       /* rank with the most rows of experts          */
    double slowest_ep_share;   /* its rows / the mean over ranks              */

    int n_class;
    har_class class_of[HAR_MAX_CLASS];

    int n_stage;
    har_stage_memory stage[CORE_MAX_LAYERS];
    double memory;             /* of the fullest rank                         */
    int memory_stage;
} har_prediction;

/* One interval of a predicted timeline.                                      */
typedef struct har_span {
    int rank;
    double start, end;         /* of the pass                                 */
    const char *op;
    core_cost_kind kind;
    core_collective collective;
    core_axis axis;
    int layer, mb;
    int64_t tick;
    bool goes_on;              /* beside what its rank computes meanwhile     */
} har_span;

/* Times once asked for, and buffers; used by one thread at a time.           */
typedef struct har_predictor har_predictor;

/* Borrows machine.  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har_predictor_make(har_predictor **out,
                                              const har_machine *machine);
void har_predictor_free(har_predictor *predictor); /* accepts NULL            */

/* From now on, say what share of a prediction is done while it is made; NULL:
 * say nothing.    [local] */
void har_predictor_watch(har_predictor *predictor,
                         void (*tell)(void *self, double done), void *self);

/* What har_predict would refuse of a case.  E_USAGE.    [local] */
CORE_NODISCARD core_status har_predict_check(const har_predictor *predictor,
                                             const har_predict_case *request);

/* Predict a case.  Buffers of the predictor grow with the largest case so far
 * and are kept.  Errors: E_MEMORY; E_USAGE for a dtype the machine lacks or a
 * load of another plan; out is then unspecified.    [local] */
CORE_NODISCARD core_status har_predict(har_predictor *predictor,
                                       const har_predict_case *request,
                                       har_prediction *out);

/* Show the timeline of the case last predicted, which is still there: of each rank in order of time,
 * ranks interleaved.  Without all_ranks: of the rank that speaks for a stage.
 * Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har_predict_spans(
    har_predictor *predictor, void (*show)(void *self, const har_span *span),
    void *self);

#endif
