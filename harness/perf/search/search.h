/* harness/perf/search/search.h -- the plans of a model that are worth a look.
 *
 * Every legal plan on each number of GPUs, with every number of micro-batches
 * that changes their size, is asked for its memory; those that fit are timed;
 * what is left is the front: plans that no other with as few GPUs beats in both
 * latency and throughput.  What a plan costs is the business of a har_search_cost, which
 * must be fast; a har_search_replay, if there is one, has the last word on the
 * plans that may be on the front.
 *
 * Units: seconds, bytes, tokens per second.
 */
#ifndef HAR_PERF_SEARCH_H
#define HAR_PERF_SEARCH_H

#include "parallel/plan.h"

/* A plan without stage lengths and placement: a search holds thousands. */
typedef struct har_shape {
    int dp, pp, tp, ep, etp, mb;
    par_scope scope;
    int sp;  /* 1: sequence parallel                                          */
    int vpp; /* virtual stages of a stage; 0 is 1                             */
    int cp;  /* ranks that share the tokens of a row; 0 is 1                  */
    par_cp_kind cp_kind;
} har_shape;

static inline int har_shape_cp(const har_shape *shape)
{
    return shape->cp > 1 ? shape->cp : 1;
}

static inline int har_shape_vpp(const har_shape *shape)
{
    return shape->vpp > 1 ? shape->vpp : 1;
}

static inline int har_shape_world(const har_shape *shape)
{
    return shape->dp * har_shape_cp(shape) * shape->pp * shape->tp;
}

/* Where the latency goes, mean over the GPUs; they add up to the latency. */
typedef enum har_search_term {
    HAR_TERM_ARITHMETIC, /* operators bound by arithmetic                     */
    HAR_TERM_MEMORY,     /* ... by reading weights, KV and activations        */
    HAR_TERM_SMALL,      /* ... by launches, or too small to fill the machine */
    HAR_TERM_TENSOR,     /* collectives of the tensor and column groups       */
    HAR_TERM_EXPERT,     /* all-to-all of the expert group                    */
    HAR_TERM_SEND,       /* from stage to stage                               */
    HAR_TERM_BUBBLE,     /* waiting: for a micro-batch or for slower stages   */
    HAR_N_TERM
} har_search_term;

typedef struct har_figures {
    double memory;       /* of the fullest GPU                                */
    double weight_bytes; /* of them weights                                   */
    double latency;      /* of a pass, pipeline empty before and after        */
    double tokens_per_s; /* with the pipeline kept full                       */
    double term[HAR_N_TERM];
    double balance;    /* mean work of a GPU / that of the busiest          */
    double next_token; /* decode: until a row's next token may start        */
} har_figures;

typedef struct har_search_cost { /* both may be called by several threads at
                                  * once, each with its own number            */
    void *self;
    void (*memory)(void *self, const har_shape *shape, har_figures *out);
    void (*time)(void *self, int thread, const har_shape *shape,
                 har_figures *out);
} har_search_cost;

/* A better opinion on a plan: figures holds what the cost said on entry, and
 * figures of the same meaning on return.  Called by several threads at once,
 * each with its own number.                                                  */
typedef struct har_search_replay {
    void *self;
    core_status (*run)(void *self, int thread, const har_shape *shape,
                       har_figures *figures);
} har_search_replay;

/* What the best plan is best in.                                             */
typedef enum har_objective {
    HAR_OBJECTIVE_LATENCY,
    HAR_OBJECTIVE_TOKENS,         /* tokens/s                                 */
    HAR_OBJECTIVE_TOKENS_PER_GPU, /* tokens/s of a GPU                        */
    HAR_OBJECTIVE_COST,           /* of a token, all GPUs at one price        */
    HAR_N_OBJECTIVE
} har_objective;

typedef struct har_search_case { /* borrows everything                        */
    const core_spec *spec;
    const har_search_cost *cost;
    int n_gpu0, n_gpu1;        /* from .. to, both included, at most
                                * HAR_SEARCH_GPUS                           */
    int64_t n_b;               /* rows of the batch                         */
    double memory_bytes;       /* of a GPU                                  */
    double most_latency;       /* 0: no limit                               */
    double least_tokens_per_s; /* 0: no limit                               */
    har_objective objective;
    int n_thread;              /* at most HAR_SEARCH_THREADS                */

    bool has_sp; /* of a plan with tp > 1 with sp and without it, which are one
                  * plan, the better is a candidate: what fits, the faster    */

    bool has_vpp; /* virtual stages, too: of layers that pp * vpp divides, with
                   * micro-batches that pp divides                            */

    /* Tokens of a row, whose parts of HAR_LEAST_TOKENS and more may be on cp
     * ranks where a micro-batch has fewer rows than cp: with as many, cp times
     * the replicas have as many tokens each and exchange none.  0: no cp.    */
    int64_t n_t;

    /* Is a legal plan a candidate?  NULL: all are.                           */
    bool (*allows)(const void *self, const par_plan *plan);
    const void *allows_self;

    const har_search_replay *replay; /* NULL: the cost has the last word      */
    int most_replays; /* 0: no limit                                         */
    void (*progress)(void *self, int64_t n_replayed, int64_t n); /* or NULL   */
    void *progress_self;
} har_search_case;

enum {
    HAR_SEARCH_THREADS = 64,
    HAR_SEARCH_GPUS = 4096, /* the most of a search                           */
    HAR_LEAST_TOKENS = 1024 /* of a row on one of cp ranks                     */
};

typedef struct har_search_point {
    har_shape shape;
    har_figures figures;
    bool is_replayed;
} har_search_point;

typedef struct har_search_result {
    int64_t n_illegal; /* meshes of those numbers of GPUs that no rule allows */
    int64_t n_barred;  /* legal meshes that are no candidates                 */
    int64_t n_priced;  /* asked for their costs, with sp counted apart        */
    int64_t n_plan;    /* legal, micro-batches counted apart                  */
    int64_t n_large;   /* of them do not fit memory: not timed                */
    int64_t n_missed;  /* timed, but beyond a limit                           */
    int64_t n_good;    /* the others                                          */
    int n_front;
    har_search_point *front; /* [n_front] latency ascending, owned */
    double least_memory;  /* of all plans: what the smallest needs          */
    double least_latency; /* of the plans timed                             */
    double seconds;       /* of the search, without replays                 */
    int64_t n_replayed;
    int64_t n_open; /* not replayed, for most_replays, and may be on the front */
    double off_latency, off_tokens; /* largest |replay / cost - 1|            */
    double replay_seconds;
} har_search_result;

/* Search.  Free with har_search_free also after an error.
 *
 * With a replay: the cost's front, a sample of all plans, and whatever may be
 * on the front by the ratios replay / cost that are seen (replay.c), are
 * replayed.  If the ratios of all other plans are no further apart than those of
 * the sample by half, the front is that of the replay.
 * Errors: E_MEMORY; those of the replay.                             [local] */
CORE_NODISCARD core_status har_search_run(har_search_result *out,
                                          const har_search_case *request);
void har_search_free(har_search_result *result);

/* Keep the front of n points, sorted by latency; returns how many: those that no
 * other with as few GPUs beats in both figures.  Of plans with equal figures and
 * GPUs the one with least memory, earliest is kept.  A figure that is not a number is never on it.                      [local] */
int64_t har_search_front(har_search_point *point, int64_t n);

void har_shape_plan(const har_shape *shape, par_plan *out);
void har_shape_of(const par_plan *plan, har_shape *out);

/* The point of the front that is best in the objective, of equal ones the one
 * with least latency; NULL for an empty front.                       [local] */
const har_search_point *har_search_best(const har_search_result *result,
                                        const har_search_case *request);

/* What a million tokens cost at a price of a GPU for an hour.        [local] */
double har_search_price(double price, const har_search_point *point);

/* Is it the model of the seed, whose plans have names?               [local] */
bool har_search_is_seed(const core_spec *spec);

/* Words for a term; the term with the largest share of the latency, bubble
 * included.                                                          [local] */
const char *har_term_text(har_search_term term);
har_search_term har_term_largest(const har_figures *figures);

#endif
