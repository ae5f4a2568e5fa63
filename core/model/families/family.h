/* core/model/families/family.h -- a family: how its config.json is read, and
 * what its tensors are called.
 *
 * A family is one file here with one core__family, and one line of
 * core/model/families.h.  A key that a file lacks has the value that the
 * model's class of transformers 5 gives it: `defaults` has those of sizes, counts, eps
 * and theta, the calls that read flags have theirs.  Every key that no call asks
 * for is refused, but for those of `ignores`: keys that say nothing of the
 * forward pass, or nothing in the files of this family that we read.
 */
#ifndef CORE_FAMILY_H
#define CORE_FAMILY_H

#include "core/model/config_impl.h"
#include "core/model/file_tensor.h"

typedef enum core__head_rule {
    CORE_HEAD_OF_KEY,   /* head_dim, and hidden / heads where it is absent    */
    CORE_HEAD_REQUIRED, /* head_dim                                           */
    CORE_HEAD_OF_WIDTH, /* hidden / heads, whatever head_dim says             */
    CORE_HEAD_OF_PARTS, /* qk_nope_head_dim + qk_rope_head_dim                */
} core__head_rule;

/* A tensor that is not called as in the operators' rows; a list of them ends
 * with CORE_PLACES_END.  A %d is the layer, the next one the expert.         */
typedef struct core__place {
    core_weight_kind kind;
    core_layout layout;
    const char *format;
} core__place;
#define CORE_PLACES_END {CORE_W_NONE, CORE_LAYOUT_NONE, NULL}
extern const core__place core__mixtral_places[]; /* which PhiMoE has, too     */
extern const core__place core__minimax_places[]; /* of M2, and of M3          */

/* A part of a name that transformers 5 writes otherwise.                     */
typedef struct core__rename {
    const char *from, *to;
} core__rename;
#define CORE_RENAMES_END {NULL, NULL}

typedef struct core__family {
    const char *model_type;      /* in config.json; NULL: none                */
    const char *also;            /* other model_types read so, blanks between */
    const char *published;       /* models, for docs/families.md              */
    const char *witness;         /* whose code agrees; NULL: none was asked   */
    const char *defaults;        /* CORE_JSON({...}) of the class, or NULL    */
    const char *ignores;         /* keys, as core__config_refuse_unread takes */
    /* A whole file, or what a decoder has beside what all have:              */
    core_status (*parse)(core_spec *spec, core__reader r);
    core_status (*add)(core_spec *spec, core__reader r);
    /* Before anything else: how many layers; NULL: num_hidden_layers. */
    core_status (*layers)(core_spec *spec, core__reader r);
    const char *experts, *inner; /* keys of the expert count and inner size   */
    const char *norm_eps, *act;  /* keys; NULL: rms_norm_eps, hidden_act      */
    const char *chosen;          /* of experts per token; NULL: the usual one */
    core__head_rule head;
    bool no_rope;                /* the file says nothing of rope             */
    bool partial_rope;           /* a part of a head may be rotated           */
    bool alpha_rope;             /* "dynamic" with alpha is another theta     */
    bool own_act;                /* add reads the activation                  */
    const core__place *own;      /* or NULL                                   */
    const core__rename *renames; /* the first that applies does; or NULL      */
    /* Of which tensors it holds blocks only, or NULL.                        */
    core_blocks (*blocks)(const core_spec *spec, core_weight_kind kind);
    const char *dense, *shared;  /* prefixes of the two MLPs, NULL: has none  */
    const char *attention;       /* prefix, NULL: that of the operators' rows */
    bool looks_ahead;            /* files hold a layer beyond the last        */
} core__family;

#define CORE_FAMILY_DECLARE(kind, name)                                        \
    extern const core__family core__family_##name;
CORE_FAMILY_LIST(CORE_FAMILY_DECLARE)
#undef CORE_FAMILY_DECLARE

const core__family *core__family_of(core_family family);

/* --- shared.c: all return E_SPEC with file and key --- */

/* hidden_act: silu, which `whose` (the convolutions have, ...).              */
CORE_NODISCARD core_status core__expect_silu(const core_spec *spec,
                                             core__reader r, const char *whose);
/* bias_qkv, and bias_o if output_too, from a flag.                           */
CORE_NODISCARD core_status core__get_attention_bias(core_spec *spec,
                                                    core__reader r,
                                                    const char *key,
                                                    bool fallback,
                                                    bool output_too);
CORE_NODISCARD core_status core__get_window(core_spec *spec, core__reader r);
/* The rotated part of a head in elements, which may not contradict the
 * fraction.                                                                  */
CORE_NODISCARD core_status core__get_rotary_dim(core_spec *spec,
                                                core__reader r);
/* layer_types, and whether the file has them.                                */
CORE_NODISCARD core_status core__get_spans(core_spec *spec, core__reader r,
                                           bool *found);
/* The inner size of dense layers, if there are any.                          */
CORE_NODISCARD core_status core__get_dense_inner(core_spec *spec,
                                                 core__reader r,
                                                 const char *key);
CORE_NODISCARD core_status core__get_sparse_step(core_spec *spec,
                                                 core__reader r);
CORE_NODISCARD core_status core__get_first_dense(core_spec *spec,
                                                 core__reader r);
CORE_NODISCARD core_status core__get_groups(core_spec *spec, core__reader r);
CORE_NODISCARD core_status core__get_v3_router(core_spec *spec, core__reader r,
                                               bool renormalise);
/* Granite's router, scales and bias of attention.                            */
CORE_NODISCARD core_status core__get_granite(core_spec *spec, core__reader r);
/* Inner size of the shared expert: that of `key` experts.                    */
CORE_NODISCARD core_status core__get_shared_count(core_spec *spec,
                                                  core__reader r,
                                                  const char *key);
/* Which layers are dense, by mlp_layer_types or first_k_dense_replace, which
 * may not contradict each other; neither: the first n_dense.                 */
CORE_NODISCARD core_status core__get_mlp_types(core_spec *spec, core__reader r,
                                               int64_t n_dense);
/* MiniMax's router and the rotated part of a head.                           */
CORE_NODISCARD core_status core__get_minimax(core_spec *spec, core__reader r);
/* DeepSeek-V3's router and the shared experts, as Kimi Linear calls them.     */
CORE_NODISCARD core_status core__get_kimi_router(core_spec *spec,
                                                 core__reader r);
/* What Qwen3-MoE and the text parts after it have in common.                 */
CORE_NODISCARD core_status core__get_qwen3(core_spec *spec, core__reader r);
CORE_NODISCARD core_status core__get_latent(core_spec *spec, core__reader r);
/* DeepSeek-V3.2, of which GLM-5 has all: latents, an indexer by which every
 * layer chooses, V3's router.  layer_types may say so in one of `types`.
 *   interleaved  of the indexer's rotation                                   */
CORE_NODISCARD core_status core__get_v32(core_spec *spec, core__reader r,
                                         const char *const *types,
                                         bool interleaved);
/* Layers of a delta rule by rows between latent attention, and their experts. */
CORE_NODISCARD core_status core__get_kimi(core_spec *spec, core__reader r);
/* Layers of a delta rule, and those with attention: by layer_types, or every
 * n-th one from the n-th on, n under `period`.                               */
CORE_NODISCARD core_status core__get_mixers_by_period(core_spec *spec,
                                                      core__reader r,
                                                      const char *period);
/* Qwen's layers of a gated delta rule between those of gated attention.      */
CORE_NODISCARD core_status core__get_gated_mixers(core_spec *spec,
                                                  core__reader r);
/* Step: the object in the spelling of the class; the caller frees *out.
 * (step3p5_keys.c)                                                           */
CORE_NODISCARD core_status core__step_keys(core__reader r, int64_t n_l,
                                           json_t **out);
/* Blocks that both keep alike: of queries, each head before its gate; of the
 * one convolution over queries, keys and values.                             */
core_blocks core__blocks_of_gated(const core_spec *spec, core_weight_kind kind);
/* Of a state space's tensor of gate, (x | B | C) and time step.              */
core_blocks core__blocks_of_ssd(const core_spec *spec, core_weight_kind kind);

#endif
