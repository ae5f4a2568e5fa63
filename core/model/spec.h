/* core/model/spec.h -- the description of a model: plain data, no behaviour.
 *
 * A family of published models is a row of settings here, plus the names of its
 * tensors (core/model/families/): no forward pass ever asks for the family.
 * In a field that a model does not use, 0 means "none".
 *
 * Axis letters used in names everywhere (see ref/MODEL.md):
 *   T tokens, D model width, H query heads, G kv heads, Dh head size,
 *   E experts, K experts per token, F expert inner size, V vocabulary, L layers.
 */
#ifndef CORE_SPEC_H
#define CORE_SPEC_H

#include "core/base/status.h"
#include "core/model/families.h"
#include "core/model/operators.h"

#include <stdint.h>
#include <stdio.h>

enum { CORE_MAX_LAYERS = 256, CORE_NAME_BYTES = 64 };

typedef enum core_norm {
    CORE_NORM_RMS,
    CORE_NORM_LAYER, /* mean and variance, weight and bias                    */
    CORE_NORM_RMS_PLUS_ONE, /* RMS, times 1 + weight: of the stream, and of
                             * queries and keys per head                      */
} core_norm;

/* The earlier keys that a query of a layer sees. */
typedef enum core_span {
    CORE_SPAN_WINDOW, /* the last sliding_window, itself included; all if 0   */
    CORE_SPAN_FULL,   /* all                                                  */
    CORE_SPAN_CHUNK,  /* those of its own chunk: j / chunk == i / chunk       */
} core_span;

/* Which of those keys it attends to. */
typedef enum core_sight {
    CORE_SIGHT_SPAN,   /* all of them                                         */
    CORE_SIGHT_CHOSEN, /* those that the layer chooses for it                 */
    CORE_SIGHT_KEPT,   /* those that the last layer that chose has chosen     */
} core_sight;

/* What queries of a layer are given: sets of keys, side by side; of n_h query
 * heads, head h attends to set h n_set / n_h.  Entry e of a set means the n_wide
 * keys from e n_wide on.                                                     */
typedef struct core_seen {
    int64_t n_set; /* 0: they attend to all keys of their span                */
    int64_t n_key; /* the most entries of a set                               */
    int64_t n_wide;
} core_seen;

/* Norm of queries and keys. */
typedef enum core_qk_norm {
    CORE_QK_NORM_NONE,
    CORE_QK_NORM_HEAD,  /* over each head, before rope, weight [Dh]           */
    CORE_QK_NORM_ALL,   /* over all heads together, before rope, weight [H*Dh]
                         * and [G*Dh]                                         */
    CORE_QK_NORM_ROPED, /* over each head, after rope, no weight, only in
                         * layers that have rope                              */
    CORE_QK_NORM_AFTER, /* over each head, after rope, which all layers have,
                         * weight [Dh]                                        */
} core_qk_norm;

/* How router logits become scores and weights (ref/MODEL.md, "Router"). */
typedef enum core_router {
    CORE_ROUTER_SOFTMAX,     /* softmax over all experts                      */
    CORE_ROUTER_SOFTMAX_TOP, /* K largest logits, softmax over those          */
    CORE_ROUTER_SIGMOID,
    CORE_ROUTER_SPARSEMIXER, /* K is 2                                        */
    CORE_ROUTER_SQRT_SOFTPLUS,
} core_router;

typedef enum core_group_score {
    CORE_GROUP_SCORE_MAX,
    CORE_GROUP_SCORE_BEST_TWO, /* sum of the two largest                      */
} core_group_score;

typedef enum core_rope_scaling {
    CORE_ROPE_PLAIN,
    CORE_ROPE_LINEAR,
    CORE_ROPE_YARN,
    CORE_ROPE_LLAMA3,
} core_rope_scaling;

typedef struct core_rope {
    double theta;
    core_rope_scaling scaling;
    double factor;             /* linear, yarn, llama3                        */
    double beta_fast, beta_slow;
    double low_freq, high_freq; /* llama3: low_ and high_freq_factor          */
    double original_positions; /* yarn, llama3: max_position_embeddings of
                                * the training                              */
    double attention_factor;   /* multiplies cos and sin; resolved at parsing */
    int64_t n_turned;          /* pairs that turn, the first ones; the others
                                * have no position; 0: all turn               */
    bool truncate;             /* yarn: floor/ceil the correction range       */
    bool interleaved;          /* pairs (2j, 2j+1) instead of (j, j + half)   */
} core_rope;

typedef enum core_act {
    CORE_ACT_SILU,
    CORE_ACT_GELU,      /* erf form                                           */
    CORE_ACT_GELU_TANH, /* "gelu_new"                                         */
    CORE_ACT_RELU,
    CORE_ACT_CLAMPED_SWIGLU, /* GPT-OSS, only gated: core_gated               */
    CORE_ACT_RELU2,          /* relu squared; only not gated                  */
    CORE_ACT_SIGMOID,        /* of gates                                      */
    CORE_ACT_CLAMPED_SILU,   /* silu of clamped values, only gated            */
    CORE_ACT_SITU,           /* bounded by tanh, only gated: core_gated       */
} core_act;

/* The inner activation of a network (core_gated). */
typedef struct core_gating {
    core_act act;
    double alpha, limit; /* of clamped forms; alpha of the swiglu             */
    double most; /* of act(gate), and of up both ways; 0: any                 */
} core_gating;

typedef enum core_capacity_rule {
    CORE_CAPACITY_NONE,     /* nothing is ever dropped                        */
    CORE_CAPACITY_FACTOR,   /* C = ceil((double)tokens*K/E*factor), left to right */
    CORE_CAPACITY_ABSOLUTE, /* C is a number of the spec                      */
} core_capacity_rule;

/* The tokens that compete for an expert's slots. */
typedef enum core_capacity_domain {
    CORE_DOMAIN_GROUP,    /* one token group (see core_groups)                */
    CORE_DOMAIN_SEQUENCE, /* one row of the batch                             */
    CORE_DOMAIN_BATCH,    /* all tokens                                       */
} core_capacity_domain;

typedef enum core_priority {
    CORE_PRIORITY_POSITION, /* lower token index first                        */
    CORE_PRIORITY_PROB,     /* larger topk_weight first, ties by token index  */
} core_priority;

/* What the sub-layer returns for a (token, choice) that found no slot. */
typedef enum core_dropped {
    CORE_DROPPED_ZERO,        /* nothing; the other weights stay as they are  */
    CORE_DROPPED_PASSTHROUGH, /* weight * normed input (Switch before 4.52)   */
} core_dropped;

typedef struct core_capacity {
    core_capacity_rule rule;
    core_capacity_domain domain;
    core_priority priority;
    core_dropped dropped;
    double factor;
    int64_t absolute;
} core_capacity;

typedef enum core_ffn {
    CORE_FFN_MOE,
    CORE_FFN_DENSE,
    CORE_FFN_NONE
} core_ffn;

/* Layers of one model may have heads of two kinds, local and global ones say.
 */
enum { CORE_HEAD_KINDS = 2 };

typedef struct core_heads {
    int64_t n_h, n_g, n_dh; /* query heads, kv heads, elements of one         */
    int64_t n_dv;           /* elements of a value                            */
    int64_t n_rot;          /* elements of a head that are rotated            */
    double scale;           /* of the scores                                  */
    bool sinks;             /* a learnt logit per head that takes probability
                             * and gives nothing                              */
    bool v_is_k;            /* values are the keys as projected               */
    core_rope rope;
} core_heads;

typedef struct core_spec {
    char name[CORE_NAME_BYTES];
    core_family family;

    int64_t n_l, n_d, n_h, n_g, n_dh; /* n_h == 0: no attention, embedding,
                                       * final norm or head (Switch layer)    */
    int64_t n_e, n_k, n_f, n_v;
    int64_t n_de;                     /* columns that experts read and write, 0: D */
    bool norm_de;                     /* then: their sum is normed before it is
                                       * projected to D                       */
    int64_t n_f_shared;               /* shared expert's inner size, 0: none  */
    int64_t n_f_dense;                /* dense layers' inner size, 0: none    */
    uint8_t ffn[CORE_MAX_LAYERS];     /* core_ffn of each layer               */
    uint8_t mixer[CORE_MAX_LAYERS];   /* core_mixer of each layer; CORE_N_MIXERS:
                                       * none.  A layer may lack one of the two,
                                       * its norm and its sum                 */

    core_norm norm;
    double norm_eps;
    bool post_norm;   /* what a part of a layer gives is normed, too          */
    bool layer_scale; /* a layer's output times a learnt number               */

    core_rope rope;
    int64_t n_rot;                    /* rotated elements of a head, 0: all   */
    uint8_t no_rope[CORE_MAX_LAYERS]; /* 1: the layer has no rope             */
    int64_t sliding_window;           /* keys per query, itself included; 0 = all */
    int64_t chunk;                    /* of CORE_SPAN_CHUNK                   */
    uint8_t span[CORE_MAX_LAYERS];    /* core_span of each layer              */
    uint8_t sight[CORE_MAX_LAYERS];   /* core_sight of each layer             */
    int64_t n_seen;                   /* keys, or blocks of keys, that are
                                       * chosen for a query; 0: no layer
                                       * chooses                              */
    core_block_index block_index;
    int64_t n_kv_rank;                /* columns of compressed keys and values,
                                       * 0: they are not compressed           */
    int64_t n_q_rank;                 /* of the short query, 0: none          */
    int64_t n_dv;                     /* then: value head size; else 0: Dh    */
    bool one_kv;                      /* a token has one vector, key and value
                                       * of all heads                         */
    core_o_groups o_groups;
    uint8_t digest[CORE_MAX_LAYERS];  /* core_digest of each layer            */
    core_digests digests;
    core_qk_norm qk_norm;
    double clip_qkv;                  /* q, k, v clamped to [-c, c]; 0: not   */
    bool sinks;                       /* a learnt logit per head that takes
                                       * probability and gives nothing        */
    bool v_is_k;                      /* values are the keys as projected     */
    bool value_norm;                  /* of values over each head, no weight  */
    double value_scale;               /* of values; 0: none                   */
    double score_scale;               /* 0: 1 / sqrt(Dh)                      */
    double temper_scale, temper_floor; /* layers without rope: q times
                                       * 1 + scale * log1p(floor((t+1)/floor));
                                       * scale 0: not                         */
    bool context_gate; /* what attention gives times sigmoid(xn . g)          */
    bool gate_per_head; /* then: one score for a head                         */
    core_heads other;                  /* the second kind of heads, of the
                                        * layers that have it; 0 as above      */
    uint8_t head_kind[CORE_MAX_LAYERS]; /* 0: as above; 1: other              */
    core_indexer indexer;
    core_mamba mamba;
    core_deltanet deltanet;
    core_ssd ssd;
    core_hyper hyper;
    core_shortconv shortconv;
    core_attn_res attn_res;
    double embed_scale, residual_scale, logits_divisor; /* 1: none            */
    double logits_cap; /* logits are cap * tanh(logits / cap); 0: not         */

    bool gated;       /* experts: true down(act(gate x) * up x), false down(act(up x)) */
    core_act act;
    double expert_most[CORE_MAX_LAYERS]; /* gated, in routed experts and in   */
    double mlp_most[CORE_MAX_LAYERS];    /* MLPs: act(gate) is at most that, up
                                          * within it both ways; 0: any       */
    double act_alpha, act_limit; /* of clamped forms, 0: GPT-OSS's 1.702, 7   */
    core_router router;
    bool renormalise; /* the K chosen probabilities are divided by their sum  */
    double routed_scale;          /* multiplies the K weights; 1: none        */
    int64_t n_group, n_group_kept; /* experts in groups of which only the best
                                   * n_group_kept are eligible; n_group 0: no */
    core_group_score group_score;
    bool correction;  /* a bias per expert, for choosing only; not in layers
                       * that choose by a table                               */
    uint8_t by_table[CORE_MAX_LAYERS]; /* 1: the layer's experts are those that
                                        * a table has for the token's id      */
    double jitter;    /* SPARSEMIXER: eps of its threshold                    */
    double sum_floor; /* renormalise: the sum counts as this at least; 0: not */
    bool router_norm; /* the router reads a norm of its own of the stream,
                       * over the root of D                                   */
    bool expert_scale; /* a weight times a learnt number of its expert        */
    bool branch_norm; /* routed and shared experts have norms of their own    */
    double sum_eps;   /* renormalise: is added to the sum; 0: to that of
                       * SIGMOID 1e-20                                        */
    bool weigh_input; /* the weight multiplies the expert's input, not output */
    bool shared_gate; /* the shared expert times sigmoid(xn . g)              */
    bool tied;        /* the head is the embedding                            */
    bool own_head;    /* config.json says so, but the files hold another head */
    bool bias_qkv;    /* of q, k, v; of what compresses q and kv instead      */
    bool bias_o, bias_router, bias_ffn, bias_head;
    bool bias_mlp;    /* of a feed-forward part, but not of its routed experts */
    core_capacity capacity;

    int twin_expert;  /* procedural weights: expert twin_expert+1 has the same
                       * router row as expert twin_expert, so every token ties
                       * between the two; -1: none                            */
    int switch_block; /* Switch: encoder block of the sub-layer, file names   */
} core_spec;

/* Has every expert a score, that is a probability or a function of its logit
 * alone?  Then ROUTER_PROBS is a tap.                                [local] */
static inline bool core_router_scores_all(core_router router)
{
    return router == CORE_ROUTER_SOFTMAX || router == CORE_ROUTER_SIGMOID ||
           router == CORE_ROUTER_SQRT_SOFTPLUS;
}

/* True if the layer's experts are looked up by the token's id.       [local] */
bool core_spec_by_table(const core_spec *spec, int layer);

/* True if the layer's feed-forward part is a mixture of experts.     [local] */
bool core_spec_is_moe(const core_spec *spec, int layer);
/* True if the layer has a feed-forward part at all.                  [local] */
bool core_spec_has_ffn(const core_spec *spec, int layer);

/* Which operator of a list (operators.h) the layer has; CORE_N_...: none: a
 * layer may be of one part alone, and a Switch layer has no mixer.   [local] */
core_mixer core_spec_mixer(const core_spec *spec, int layer);
core_projection core_spec_projection(const core_spec *spec);
core_chooser core_spec_chooser(const core_spec *spec, int layer);
core_shared core_spec_shared(const core_spec *spec, int layer);
core_connection core_spec_connection(const core_spec *spec);

/* Of a mixer: its word, the module of a Hugging Face layer that it is, and
 * whether it leaves rows alone that padding stands before.           [local] */
const char *core_mixer_name(core_mixer mixer);
const char *core_mixer_module(core_mixer mixer);
const char *core_projection_name(core_projection projection);
bool core_mixer_takes_padding(core_mixer mixer);
const char *core_chooser_name(core_chooser chooser);
bool core_chooser_takes_padding(core_chooser chooser);
/* Operations per token of the layer's mixer, beyond products and scores.     */
double core_mixer_flops(const core_spec *spec, int layer);
/* Operations per pair of query and key, of the scores and of what chooses keys
 * in the layer.                                                      [local] */
double core_pair_flops(const core_spec *spec, int layer);

/* True if the layer has attention, true if it has rope.              [local] */
bool core_spec_has_attention(const core_spec *spec, int layer);
bool core_spec_has_rope(const core_spec *spec, int layer);
/* The heads of a kind, and of a layer's kind, every "0 means" resolved. [local]
 */
core_heads core_spec_heads_of(const core_spec *spec, int kind);
core_heads core_spec_heads(const core_spec *spec, int layer);
/* How many kinds there are: 1 if no layer has the second.            [local] */
int core_spec_head_kinds(const core_spec *spec);
/* The first key that query i of the layer may see: 0 if all earlier ones.    */
int64_t core_spec_first_key(const core_spec *spec, int layer, int64_t i);
/* The sets of keys of the layer's queries, and, where there are some, the layer
 * that chooses them.                                                 [local] */
core_seen core_spec_seen(const core_spec *spec, int layer);
int core_spec_chooses(const core_spec *spec, int layer);
/* Tokens of a digest of the layer, 0: it has none, and the vectors that each of
 * them has for digests.                                              [local] */
int64_t core_spec_digest_run(const core_spec *spec, int layer);
int64_t core_spec_digest_vectors(const core_spec *spec, int layer);
/* Columns of such sets that layers from this one on take over from one before
 * it.                                                                [local] */
int64_t core_spec_kept(const core_spec *spec, int layer);

/* The activation, every "0 means" resolved.                          [local] */
core_gating core_spec_gating(const core_spec *spec);
/* In a layer's routed experts, or in its MLP: with what limits it there.     */
core_gating core_spec_gating_in(const core_spec *spec, int layer,
                                bool is_expert);

/* Inner size of the layer's tensor-parallel MLP: a dense layer, or the shared
 * expert of an MoE layer; 0: it has none.                            [local] */
int64_t core_spec_n_mlp(const core_spec *spec, int layer);

/* Columns of a token's residual stream: D, of every one of its streams.      */
int64_t core_spec_n_x(const core_spec *spec);
/* Do both layers read as much of it?                                 [local] */
bool core_spec_looks_alike(const core_spec *spec, int a, int b);

/* Columns of the rows that travel to the experts and back.           [local] */
int64_t core_spec_n_de(const core_spec *spec);

/* What is added to the sum of the K scores by which they are divided. [local]
 */
double core_spec_sum_eps(const core_spec *spec);

/* Number of MoE layers in [first, end).                              [local] */
int core_spec_count_moe(const core_spec *spec, int first, int end);

/* Parameters in all / used by one token.                             [local] */
int64_t core_spec_parameters(const core_spec *spec);
int64_t core_spec_active_parameters(const core_spec *spec);

/* Slots per expert for a capacity domain of n_t tokens; INT64_MAX if nothing
 * can be dropped.                                                    [local] */
int64_t core_spec_capacity(const core_spec *spec, int64_t n_t);

/* Fill *out from MODEL: a preset's name ("seed-30b", "seed-mini", "shadow-a",
 * "shadow-b"), a spec file (*.yaml), a checkpoint folder (its config.json) or a
 * GGUF file (its metadata).
 * *is_checkpoint (may be NULL): weights lie beside the config.json.  [local]
 * Errors: E_SPEC, E_FILE, E_FORMAT naming file, line and field; *out unchanged. */
CORE_NODISCARD core_status core_spec_open(core_spec *out, const char *model,
                                          bool *is_checkpoint);

/* Our own YAML form, without the fields of operators that the model lacks if it
 * likes.  `name` is used in messages.                                        */
CORE_NODISCARD core_status core_spec_parse_yaml(core_spec *out,
                                                const char *text,
                                                const char *name);

/* A Hugging Face config.json, family by model_type.                          */
CORE_NODISCARD core_status core_spec_parse_config(core_spec *out,
                                                  const char *text,
                                                  const char *name);

/* The first real setting that applies and whose magnitude is above `most` or
 * below 1/most, zero aside: its path in a spec file.                 [local] */
bool core_spec_beyond(const core_spec *spec, double most, const char **path,
                      double *value);

/* Set fields, each a text such as "rope.theta=1e4" or "ffn=[dense, moe]", of the
 * names and values that our own YAML form has.  Fields of the model that then no
 * longer apply go; those that then are needed must be set, too.      [local]
 * Errors: E_USAGE for a text without '=' or a field that is set twice; else those
 * of core_spec_parse_yaml; *spec unchanged.                                  */
CORE_NODISCARD core_status core_spec_set(core_spec *spec,
                                         const char *const *set, int n);

/* Write the spec in our own YAML form: core_spec_parse_yaml reads it back.   */
void core_spec_write_yaml(const core_spec *spec, FILE *out);
/* The same as a text that the caller frees.  Errors: E_MEMORY.       [local] */
CORE_NODISCARD core_status core_spec_yaml(char **out, const core_spec *spec);

/* The fields of that form as a table of Markdown: name, whether it must stand
 * there, its values, what it is.                                             */
void core_spec_write_fields(FILE *out);

/* Called for a field in which two specs differ, with what each would write
 * ("-": nothing); names are no such field.                                */
typedef void (*core_spec_differs)(void *self, const char *path, const char *a,
                                  const char *b);
/* Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status core_spec_compare(const core_spec *a,
                                             const core_spec *b,
                                             core_spec_differs differs,
                                             void *self);

/* Check sizes and combinations; every parser ends with it.                   */
CORE_NODISCARD core_status core_spec_validate(const core_spec *spec);

/* The name of preset i; NULL after the last.                         [local] */
const char *core_spec_preset_name(int i);

/* The word of a spec file for an activation, for how a router scores; NULL after
 * the last.                                                          [local] */
const char *core_act_name(int act);
const char *core_router_name(int router);

#endif
