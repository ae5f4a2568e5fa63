/* harness/perf/search/impl.h -- private to the closed form: parts of a plan.
 *
 * A plan is made of few different parts: a layer of some class without its
 * experts, a pair (dispatch, experts, combine), the two ends, a send.  A part's
 * records are made once (parts.c) and its time is remembered;
 * cost.c adds parts up to a pass, memory.c to a GPU's memory.
 */
#ifndef HAR_PERF_SEARCH_IMPL_H
#define HAR_PERF_SEARCH_IMPL_H

#include <stddef.h>

#include "harness/perf/cost/demand.h"
#include "harness/perf/cost/walk.h"
#include "harness/perf/machine/record_time.h"
#include "harness/perf/search/cost.h"

typedef struct har__part {
    double seconds, term[HAR_N_TERM]; /* the terms add up to the seconds      */
    double rows;                      /* pair: of the fullest rank            */
    double balance;                   /* pair: mean rows of a rank / most     */
} har__part;

/* What a part depends on; what does not matter to its kind is 0.             */
typedef enum har__part_kind {
    HAR__NO_PART, /* an empty place                                           */
    HAR__OWN,     /* i: class of the layer                                    */
    HAR__PAIR,    /* i: stages that send to an expert; 0: its own, all of it  */
    HAR__EMBED,
    HAR__HEAD,
    HAR__SEND,    /* i: the layer that sends; 0 where all send as much        */
} har__part_kind;

enum { HAR__NOBODY = -1 }; /* pair: no stage sends rows                       */

typedef struct har__part_key {
    int64_t n_row; /* of the micro-batch                                      */
    int kind, i, tp, cp, ep, etp;
    int n_near;                /* of the expert group in a node               */
    uint8_t tier[CORE_N_AXES]; /* of links                                    */
    uint8_t sp, cp_kind;
    uint8_t none; /* 0: keys are compared byte for byte                       */
} har__part_key;

_Static_assert(sizeof(har__part_key) ==
                   offsetof(har__part_key, none) +
                       sizeof(((har__part_key *)0)->none),
               "no byte of a key is left to the compiler");

/* The bytes that the memory of a rank is made of, by har__size_kind.         */
typedef enum har__size_kind {
    HAR__NO_SIZE,
    HAR__LAYER_SIZE,  /* i: class; a layer without experts                    */
    HAR__EXPERT_SIZE, /* i: class; one expert                                 */
    HAR__KV_SIZE,     /* i: class; what a token leaves                        */
    HAR__STATE_SIZE,  /* i: class; what a row leaves                          */
    HAR__END_SIZE,    /* i: bit 0 first stage, bit 1 last                     */
    HAR__WORK_SIZE,   /* i: 1 last stage; buffers of a pass                   */
    HAR__ROW_SIZE,    /* buffers of a row of experts                          */
} har__size_kind;

typedef struct har__size_key {
    int64_t n_row;
    int16_t kind, sp;
    int i, tp, etp, cp, cp_kind;
    int stage, pp, vpp; /* WORK_SIZE of a model with two sorts of mixer: whose
                         * layers; else 0                                     */
    int none;           /* 0                                                  */
} har__size_key;

/* One thread's. */
enum {
    HAR__PARTS = 1 << 16,
    HAR__SIZES = 1 << 12,
    HAR__KEPT = 1 << 8,
    HAR__MOST_TP = HAR_SEARCH_GPUS
};

struct har_search_memo {
    const har_quick *e;
    core_status status; /* the first error: times are then NaN                */
    har_timer timer;
    har_demand demand;
    core_batch batch; /* of a micro-batch                                     */
    har_cost_case request;

    har__part_key part_key[HAR__PARTS];
    har__part part[HAR__PARTS];
    har__size_key size_key[HAR__SIZES];
    double size[HAR__SIZES];
    int64_t kept_row[HAR__KEPT];
    double *kept; /* [HAR__KEPT, n_e + 1] running sums; owned                 */

    int n_class; /* layers that have the same records                         */
    int layer_of[CORE_MAX_LAYERS]; /* one of each class       */
    int n_before[CORE_MAX_LAYERS][CORE_MAX_LAYERS + 1]; /* by class           */
    int class_of[CORE_MAX_LAYERS]; /* by layer                */
    bool is_moe[CORE_MAX_LAYERS];  /* by class                */
    bool is_mixed;                 /* two sorts of mixers     */

    core_arena layout, flow;
    par_plan plan;       /* that of lay                                       */
    int lay_tp, lay_etp; /* its degrees                                       */
    int lay_cp;
    par_cp_kind lay_cp_kind;
    int *all_layers;     /* [L] of lay                                        */
    int some_layers[CORE_MAX_LAYERS]; /* those of a stage                     */
    bool knows[HAR__MOST_TP + 1];     /* by tp: is there one in fullest?      */
    int fullest[HAR__MOST_TP + 1];    /* the tensor rank that holds most      */
    par_layout lay;
    har_cost_reader reader;
    har__walk walk;
};

/* Layers of a class in [first, end).                                         */
static inline int har__count(const har_search_memo *m, int class_i, int first,
                             int end)
{
    return m->n_before[class_i][end] - m->n_before[class_i][first];
}

har__part har__part_of(har_search_memo *memo, const har__part_key *key);
double har__size_of(har_search_memo *memo, const har__size_key *key);

/* Rows of the fullest micro-batch of a shape; tokens of each that the fullest of
 * cp ranks has.                                                              */
int64_t har__rows_of(const har_quick *e, const har_shape *shape);
int64_t har__tokens_of(int cp, int64_t n_t);

/* The pair of a stage; n_stage: how many send to an expert at once (or
 * HAR__NOBODY), 0 with scope=stage.                                          */
har__part_key har__pair_key(const har_quick *e, const har_shape *shape,
                            int stage, int n_stage);

/* --- scope=replica --- */

/* What parts (stages; virtual ones: number chunk * pp + stage) do of their own
 * before each pair, [n_pair, n_part], and after the last: stages meet at pairs,
 * so it is the slowest that counts each time.                                */
typedef struct har__segments {
    int pp, vpp, n_pair, n_moe[CORE_MAX_LAYERS];
    double seconds[2 * CORE_MAX_LAYERS], after[CORE_MAX_LAYERS];
} har__segments;

/* How many pairs have 0, 1, ... pp stages that send rows.                    */
typedef struct har__pair_count {
    double n[CORE_MAX_LAYERS + 1];
} har__pair_count;

typedef struct har__turns {
    double seconds; /* of the stages' own work, the slowest at each pair      */
    har__pair_count pairs;
} har__turns;

/* The turns of a group of pp micro-batches with an empty pipeline before and
 * after; those that each further group adds.                         [local] */
void har__turns_of_group(const har__segments *own, har__turns *out);
void har__turns_of_more(const har__segments *own, har__turns *out);

/* Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status har__memo_make(har_search_memo *memo,
                                          const har_quick *e);
void har__memo_free(har_search_memo *memo);

#endif
