/* parallel/plan.h -- a parallel plan as written, before it meets a model.
 *
 * "tp=4,pp=4,dp=2,ep=16,scope=replica,mb=8", a preset, a preset extended
 * ("seed-32,mb=4"), or a YAML file with the same keys.
 */
#ifndef PAR_PLAN_H
#define PAR_PLAN_H

#include "core/model/spec.h"

typedef enum par_scope {
    PAR_SCOPE_STAGE,   /* a layer's experts live on the ranks of its own stage  */
    PAR_SCOPE_REPLICA, /* ... on all ranks of one data-parallel replica         */
} par_scope;

/* How the ranks of a cp group attend to tokens of one another.               */
typedef enum par_cp_kind {
    PAR_CP_GATHER,  /* keys and values of whole rows on each of them          */
    PAR_CP_RING,    /* they go round, and parts of the keys are merged        */
    PAR_CP_ULYSSES, /* each has some of the heads and all tokens              */
    PAR_N_CP_KINDS
} par_cp_kind;

/* What goes on beside other work: the rows of a micro-batch on their way while
 * another computes, or its shared expert; what a stage sends.                */
typedef enum par_overlap {
    PAR_OVERLAP_DISPATCH = 1,
    PAR_OVERLAP_SHARED = 2,
    PAR_OVERLAP_P2P = 4
} par_overlap;

enum {
    PAR_MAX_EXPERTS = 1024,
    PAR_MAX_REPLICAS = 8,
    PAR_MAX_PHYSICAL = 1 << 15, /* physical experts of all layers            */
    PAR_PLAN_TEXT = 256
};

typedef struct par_plan {
    char text[PAR_PLAN_TEXT]; /* as the user wrote it: for reports              */
    int dp, cp, pp, vpp, tp, ep, etp; /* >= 1                                   */
    par_scope scope;
    par_cp_kind cp_kind;
    bool sp; /* the stream's tokens are cut over tp                      */
    unsigned overlap;         /* par_overlap                                    */
    int batch_reduce;         /* micro-batches whose sums over tp are one       */
    int mb, rounds;           /* micro-batches; successive parts of the batch   */
    int n_stage;              /* 0: layers are split evenly, first stages longer;
                               * else pp * vpp, and stage_layers holds lengths  */
    int stage_layers[CORE_MAX_LAYERS];
    int n_placed;             /* 0: contiguous placement; else E                */
    int n_mapped;             /* 0: one placement for all layers; else layers
                               * with experts, each with physical experts of
                               * its own                                        */
    int n_physical;           /* of a layer: p is slot p % n of ep index p / n,
                               * n = n_physical / ep                            */
    /* room: the first n_placed, and n_mapped * n_physical, are there          */
    uint8_t n_replica[PAR_MAX_EXPERTS];
    uint16_t replica[PAR_MAX_EXPERTS][PAR_MAX_REPLICAS]; /* ep indices          */
    uint16_t physical[PAR_MAX_PHYSICAL]; /* [n_mapped, n_physical] the logical
                               * expert that each is                            */
} par_plan;

/* Read a plan: preset, string or YAML file (its name ends in .yaml or .yml), the
 * first and last extended by ",key=value" at will.  In a string stages=3/2/2 are
 * layers per stage, virtual ones counted, placement=0/0+3/1 the ep indices of
 * experts 0, 1, 2, and physical=0/1/1/2+2/0/1/0 the logical experts of four
 * physical ones, of two layers.
 * Errors: E_USAGE (string), E_FORMAT (YAML, with file:line:column), E_FILE, and
 * E_PLAN for an edp that does not follow from the others.            [local] */
CORE_NODISCARD core_status par_plan_parse(par_plan *out, const char *text);

/* The same plan.  Most of the struct is room for replicas and physical experts:
 * only those that there are are copied.                              [local] */
void par_plan_copy(par_plan *to, const par_plan *from);

/* Experts of a layer that ranks hold, copies of one counted, of n_e: in one set of
 * them.                                                              [local] */
int par_plan_stored(const par_plan *plan, int64_t n_e);

/* "gather", "ring", "ulysses".                                       [local] */
const char *par_cp_kind_name(par_cp_kind kind);

/* The canonical string of a plan: every degree that is not 1.        [local] */
void par_plan_format(const par_plan *plan, char out[PAR_PLAN_TEXT]);

/* Name and text of preset i; false after the last.                   [local] */
bool par_plan_preset(int i, const char **name, const char **text);

/* The keys of a plan as a table of Markdown.                         [local] */
void par_plan_write_fields(FILE *out);

/* dp * cp * pp * tp.                                                 [local] */
int par_plan_world(const par_plan *plan);

/* Parts that the layers are cut into: pp * vpp virtual stages.        [local] */
int par_plan_parts(const par_plan *plan);

/* Micro-batches that a stage works on side by side in a turn.        [local] */
int par_plan_lanes(const par_plan *plan);

/* Layers of a virtual stage, of n_l; with vpp = 1, of a stage.       [local] */
int par_plan_layers(const par_plan *plan, int64_t n_l, int part);

/* What the mixers of the model ask of tp, the i-th of it, into text: "H % tp =
 * 0", "tp <= C"; NULL after the last.                                [local] */
enum { PAR_RULE_TEXT = 32 };
const char *par_plan_tp_rule(const core_spec *spec, int i,
                             char text[PAR_RULE_TEXT]);

/* Is the plan legal for the model?  E_PLAN names the equation that fails and up
 * to three nearest legal plans with as many ranks.                   [local] */
CORE_NODISCARD core_status par_plan_check(const par_plan *plan,
                                          const core_spec *spec);

/* The same for a batch of n_b rows (capacity domain "batch" wants rounds = dp =
 * mb = 1; left padding and empty parts are legal).                   [local] */
CORE_NODISCARD core_status par_plan_check_batch(const par_plan *plan,
                                                const core_spec *spec,
                                                int64_t n_b);

/* Call visit for every legal plan of the model on n_rank ranks (mb = 1, rounds =
 * 1, even stages, contiguous placement).                             [local] */
void par_plan_each_legal(const core_spec *spec, int n_rank,
                         void (*visit)(void *self, const par_plan *plan),
                         void *self);

/* The same of plans whose rows are cut over cp ranks, a divisor of n_rank above
 * 1, in a kind.                                                      [local] */
void par_plan_each_legal_cp(const core_spec *spec, int n_rank, int cp,
                            par_cp_kind kind,
                            void (*visit)(void *self, const par_plan *plan),
                            void *self);

#endif
