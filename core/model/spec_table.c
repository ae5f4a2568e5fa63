/* core/model/spec_table.c -- the fields of our own spec file.
 *
 * A field that does not apply (a capacity factor where nothing is ever dropped)
 * is refused like an unknown one: whoever wrote it expected it to do something.
 * Trap: `when` looks at fields that stand earlier in the table, so their order
 * matters.
 */
#include "core/model/spec_table.h"

#include "core/model/elementary.h"

#include <stddef.h>

_Static_assert(sizeof(core_family) == sizeof(unsigned) &&
                   sizeof(core_act) == sizeof(unsigned) &&
                   sizeof(core_rope_scaling) == sizeof(unsigned) &&
                   sizeof(core_router) == sizeof(unsigned),
               "words are stored through an unsigned");

#define WORD(kind, name) #name,
static const char *const FAMILIES[] = {CORE_FAMILY_LIST(WORD) NULL};
static const char *const SCALINGS[] = {"plain", "linear", "yarn", "llama3",
                                       NULL};
static const char *const ACTS[] = {
    "silu",  "gelu",    "gelu_tanh",    "relu", "clamped_swiglu",
    "relu2", "sigmoid", "clamped_silu", "situ", NULL};
static const char *const NORMS[] = {"rms", "layer", "rms_plus_one", NULL};
static const char *const MIXERS[] = {CORE_MIXER_LIST(WORD) "none", NULL};
static const char *const SPANS[] = {"window", "full", "chunk", NULL};
static const char *const SIGHTS[] = {"span", "chosen", "kept", NULL};
static const char *const POSITIONS[] = {"rope", "none", NULL};
static const char *const QK_NORMS[] = {"none",  "head",  "all",
                                       "roped", "after", NULL};
static const char *const ROUTERS[] = {"softmax",     "softmax_top",   "sigmoid",
                                      "sparsemixer", "sqrt_softplus", NULL};
static const char *const DIGESTS[] = {"none", "all", "best", NULL};
static const char *const CHOICES[] = {"scores", "table", NULL};
static const char *const GROUP_SCORES[] = {"max", "best_two", NULL};
static const char *const RULES[] = {"none", "factor", "absolute", NULL};
static const char *const DOMAINS[] = {"group", "sequence", "batch", NULL};
static const char *const PRIORITIES[] = {"position", "prob", NULL};
static const char *const DROPPED[] = {"zero", "passthrough", NULL};
static const char *const FFNS[] = {"moe", "dense", "none", NULL};
static const char *const HEAD_KINDS[] = {"first", "other", NULL};

static const char *name_of(const char *const *names, int i)
{
    for (int k = 0; k <= i; k++)
        if (names[k] == NULL)
            return NULL;
    return i < 0 ? NULL : names[i];
}

const char *core_act_name(int act)
{
    return name_of(ACTS, act);
}

const char *core_router_name(int router)
{
    return name_of(ROUTERS, router);
}

static bool has_other(const core_spec *spec)
{
    return core_spec_head_kinds(spec) > 1;
}

static bool is_switch(const core_spec *spec)
{
    return spec->family == CORE_FAMILY_SWITCH;
}

static bool is_scaled(const core_spec *spec)
{
    return spec->rope.scaling != CORE_ROPE_PLAIN;
}

static bool has_original(const core_spec *spec)
{
    return spec->rope.scaling == CORE_ROPE_YARN ||
           spec->rope.scaling == CORE_ROPE_LLAMA3;
}

static bool is_llama3(const core_spec *spec)
{
    return spec->rope.scaling == CORE_ROPE_LLAMA3;
}

static bool has_groups(const core_spec *spec)
{
    return spec->n_group > 0;
}

static bool is_sparsemixer(const core_spec *spec)
{
    return spec->router == CORE_ROUTER_SPARSEMIXER;
}

static bool has_temper(const core_spec *spec)
{
    return spec->temper_scale > 0.0;
}

static bool is_yarn(const core_spec *spec)
{
    return spec->rope.scaling == CORE_ROPE_YARN;
}

static bool is_clamped(const core_spec *spec)
{
    return core_act_is_clamped(spec->act);
}

static bool has_width(const core_spec *spec)
{
    return spec->n_de > 0;
}

static bool has_factor(const core_spec *spec)
{
    return spec->capacity.rule == CORE_CAPACITY_FACTOR;
}

static bool has_slots(const core_spec *spec)
{
    return spec->capacity.rule == CORE_CAPACITY_ABSOLUTE;
}

/* The fields of operators: when_ID says when one applies. */
#define FIELD_WHEN(id, path, type, member, when, optional, what)               \
    static bool when_##id(const core_spec *s)                                  \
    {                                                                          \
        (void)s;                                                               \
        return when;                                                           \
    }
CORE_PROJECTION_FIELDS(FIELD_WHEN)
CORE_CHOOSER_FIELDS(FIELD_WHEN)
CORE_MIXER_FIELDS(FIELD_WHEN)
CORE_SHARED_FIELDS(FIELD_WHEN)
CORE_CONNECTION_FIELDS(FIELD_WHEN)

#define AT(member) offsetof(core_spec, member)
#define OPERATOR_FIELD(id, path, type, member, when, optional, what)           \
    {path, CORE__FIELD_##type, AT(member), NULL, when_##id, optional, what},

static const core__field FIELDS[] = {
    {"name", CORE__FIELD_NAME, AT(name), NULL, NULL, false,
     "what reports call it"},
    {"family", CORE__FIELD_WORD, AT(family), FAMILIES, NULL, false,
     "whose names its tensors have in files; `seed`: our own"},
    {"layers", CORE__FIELD_I64, AT(n_l), NULL, NULL, false, "layers"},
    {"hidden", CORE__FIELD_I64, AT(n_d), NULL, NULL, false,
     "columns of the residual stream"},
    {"heads", CORE__FIELD_I64, AT(n_h), NULL, NULL, false,
     "query heads; 0 in a switch model alone"},
    {"kv_heads", CORE__FIELD_I64, AT(n_g), NULL, NULL, false,
     "heads of keys and values; divides heads"},
    {"head_size", CORE__FIELD_I64, AT(n_dh), NULL, NULL, false,
     "elements of a query and of a key"},
    {"rotated", CORE__FIELD_I64, AT(n_rot), NULL, NULL, true,
     "elements of a head that rope turns (head_size)"},
    {"value_size", CORE__FIELD_I64, AT(n_dv), NULL, NULL, true,
     "elements of a value (head_size)"},
    CORE_PROJECTION_FIELDS(OPERATOR_FIELD){"experts", CORE__FIELD_I64, AT(n_e),
                                           NULL, NULL, false,
                                           "routed experts of a layer"},
    {"experts_per_token", CORE__FIELD_I64, AT(n_k), NULL, NULL, false,
     "experts that a token goes to"},
    {"expert_inner", CORE__FIELD_I64, AT(n_f), NULL, NULL, false,
     "columns between the two products of an expert"},
    {"expert_width", CORE__FIELD_I64, AT(n_de), NULL, NULL, true,
     "columns that experts read and write (hidden)"},
    {"expert_width_norm", CORE__FIELD_FLAG, AT(norm_de), NULL, has_width, true,
     "their sum is normed before it is projected back (false)"},
    {"shared_inner", CORE__FIELD_I64, AT(n_f_shared), NULL, NULL, false,
     "inner columns of the expert that all tokens go to; 0: none"},
    {"dense_inner", CORE__FIELD_I64, AT(n_f_dense), NULL, NULL, false,
     "inner columns of dense layers; 0: there are none"},
    {"vocabulary", CORE__FIELD_I64, AT(n_v), NULL, NULL, false,
     "rows of the embedding and of the head"},
    {"ffn", CORE__FIELD_LAYERS, AT(ffn), FFNS, NULL, false,
     "feed-forward part of each layer"},
    {"mixer", CORE__FIELD_LAYERS, AT(mixer), MIXERS, NULL, true,
     "what mixes tokens in each layer (attention)"},
    {"norm", CORE__FIELD_WORD, AT(norm), NORMS, NULL, true,
     "of the residual stream (rms)"},
    {"norm_eps", CORE__FIELD_REAL, AT(norm_eps), NULL, NULL, false,
     "added to the mean square, or to the variance"},
    {"post_norm", CORE__FIELD_FLAG, AT(post_norm), NULL, NULL, true,
     "what a part of a layer gives is normed, too (false)"},
    {"branch_norm", CORE__FIELD_FLAG, AT(branch_norm), NULL, NULL, true,
     "routed and shared experts have norms of their own (false)"},
    {"layer_scale", CORE__FIELD_FLAG, AT(layer_scale), NULL, NULL, true,
     "a layer's output times a learnt number (false)"},
    {"rope.theta", CORE__FIELD_REAL, AT(rope.theta), NULL, NULL, false,
     "base of the angles"},
    {"rope.scaling", CORE__FIELD_WORD, AT(rope.scaling), SCALINGS, NULL, false,
     "how they are stretched"},
    {"rope.factor", CORE__FIELD_REAL, AT(rope.factor), NULL, is_scaled, false,
     "by how much"},
    {"rope.beta_fast", CORE__FIELD_REAL, AT(rope.beta_fast), NULL, is_yarn,
     false,
     "turns in the training's positions, from which on nothing is stretched"},
    {"rope.beta_slow", CORE__FIELD_REAL, AT(rope.beta_slow), NULL, is_yarn,
     false, "turns, up to which all is stretched"},
    {"rope.original_positions", CORE__FIELD_REAL, AT(rope.original_positions),
     NULL, has_original, false, "tokens that the model was trained on"},
    {"rope.attention_factor", CORE__FIELD_REAL, AT(rope.attention_factor), NULL,
     is_yarn, false, "cosines and sines times this"},
    {"rope.truncate", CORE__FIELD_FLAG, AT(rope.truncate), NULL, is_yarn, false,
     "the range of stretched pairs is rounded to whole pairs"},
    {"rope.low_freq", CORE__FIELD_REAL, AT(rope.low_freq), NULL, is_llama3,
     false, "turns, up to which all is stretched"},
    {"rope.high_freq", CORE__FIELD_REAL, AT(rope.high_freq), NULL, is_llama3,
     false, "turns, from which on nothing is stretched"},
    {"rope.interleaved", CORE__FIELD_FLAG, AT(rope.interleaved), NULL, NULL,
     true, "pairs are neighbours, not elements half a head apart (false)"},
    {"rope.turned", CORE__FIELD_I64, AT(rope.n_turned), NULL, NULL, true,
     "pairs that turn, the first ones (all)"},
    {"positions", CORE__FIELD_LAYERS, AT(no_rope), POSITIONS, NULL, true,
     "does each layer have rope? (rope)"},
    {"sliding_window", CORE__FIELD_I64, AT(sliding_window), NULL, NULL, false,
     "keys that a query sees, its own included; 0: all"},
    {"span", CORE__FIELD_LAYERS, AT(span), SPANS, NULL, true,
     "the earlier keys that queries of each layer see (window)"},
    {"chunk", CORE__FIELD_I64, AT(chunk), NULL, NULL, true,
     "tokens of a chunk, for span chunk"},
    {"sight", CORE__FIELD_LAYERS, AT(sight), SIGHTS, NULL, true,
     "which of those keys queries attend to (span)"},
    {"digest", CORE__FIELD_LAYERS, AT(digest), DIGESTS, NULL, true,
     "digests of earlier runs of tokens in each layer (none)"},
    {"seen", CORE__FIELD_I64, AT(n_seen), NULL, core__any_chosen, false,
     "keys, or blocks of keys, that are chosen for a query"},
    CORE_CHOOSER_FIELDS(OPERATOR_FIELD){"attention.qk_norm", CORE__FIELD_WORD,
                                        AT(qk_norm), QK_NORMS, NULL, true,
                                        "norm of queries and keys (none)"},
    {"attention.clip", CORE__FIELD_REAL, AT(clip_qkv), NULL, NULL, true,
     "queries, keys and values stay within it both ways (any)"},
    {"attention.sinks", CORE__FIELD_FLAG, AT(sinks), NULL, NULL, true,
     "a learnt logit of each head takes probability and gives nothing (false)"},
    {"attention.scale", CORE__FIELD_REAL, AT(score_scale), NULL, NULL, true,
     "of scores (1 / sqrt(head_size))"},
    {"attention.values_are_keys", CORE__FIELD_FLAG, AT(v_is_k), NULL, NULL,
     true, "values are the keys as projected (false)"},
    {"attention.value_norm", CORE__FIELD_FLAG, AT(value_norm), NULL, NULL, true,
     "values are normed head by head, without a weight (false)"},
    {"attention.value_scale", CORE__FIELD_REAL, AT(value_scale), NULL, NULL,
     true, "values times this (not)"},
    {"attention.temper_scale", CORE__FIELD_REAL, AT(temper_scale), NULL, NULL,
     true,
     "layers without rope: queries times 1 + this * log(1 + floor((t + 1) / "
     "floor)) (not)"},
    {"attention.temper_floor", CORE__FIELD_REAL, AT(temper_floor), NULL,
     has_temper, false, "tokens of one step of that"},
    CORE_MIXER_FIELDS(OPERATOR_FIELD){"head_kind", CORE__FIELD_LAYERS,
                                      AT(head_kind), HEAD_KINDS, NULL, true,
                                      "which heads each layer has (first)"},
    {"other.heads", CORE__FIELD_I64, AT(other.n_h), NULL, has_other, false,
     "of the second kind of heads"},
    {"other.kv_heads", CORE__FIELD_I64, AT(other.n_g), NULL, has_other, false,
     "likewise"},
    {"other.head_size", CORE__FIELD_I64, AT(other.n_dh), NULL, has_other, false,
     "likewise"},
    {"other.value_size", CORE__FIELD_I64, AT(other.n_dv), NULL, has_other, true,
     "likewise (other.head_size)"},
    {"other.rotated", CORE__FIELD_I64, AT(other.n_rot), NULL, has_other, true,
     "likewise (other.head_size)"},
    {"other.theta", CORE__FIELD_REAL, AT(other.rope.theta), NULL, has_other,
     false, "likewise"},
    {"other.turned", CORE__FIELD_I64, AT(other.rope.n_turned), NULL, has_other,
     true, "likewise (all)"},
    {"other.scale", CORE__FIELD_REAL, AT(other.scale), NULL, has_other, true,
     "likewise (1 / sqrt(other.head_size))"},
    {"other.sinks", CORE__FIELD_FLAG, AT(other.sinks), NULL, has_other, true,
     "likewise (false)"},
    {"other.values_are_keys", CORE__FIELD_FLAG, AT(other.v_is_k), NULL,
     has_other, true, "likewise (false)"},
    CORE_CONNECTION_FIELDS(OPERATOR_FIELD){"scale.embedding", CORE__FIELD_REAL,
                                           AT(embed_scale), NULL, NULL, true,
                                           "the embedding times this (1)"},
    {"scale.residual", CORE__FIELD_REAL, AT(residual_scale), NULL, NULL, true,
     "what a part gives times this before it is added (1)"},
    {"scale.logits_divisor", CORE__FIELD_REAL, AT(logits_divisor), NULL, NULL,
     true, "logits divided by this (1)"},
    {"scale.logits_cap", CORE__FIELD_REAL, AT(logits_cap), NULL, NULL, true,
     "logits become cap * tanh(logits / cap) (not)"},
    {"gated", CORE__FIELD_FLAG, AT(gated), NULL, NULL, false,
     "experts: down(act(gate x) * up x); false: down(act(up x))"},
    {"activation", CORE__FIELD_WORD, AT(act), ACTS, NULL, false,
     "of experts and MLPs"},
    {"activation_alpha", CORE__FIELD_REAL, AT(act_alpha), NULL, is_clamped,
     true, "slope of a clamped activation (1.702)"},
    {"activation_limit", CORE__FIELD_REAL, AT(act_limit), NULL, is_clamped,
     true, "bound of a clamped activation (7)"},
    {"limits.experts", CORE__FIELD_REALS, AT(expert_most), NULL, NULL, true,
     "in routed experts of each layer act(gate) is at most this, up within it "
     "both ways (any)"},
    {"limits.mlp", CORE__FIELD_REALS, AT(mlp_most), NULL, NULL, true,
     "likewise in MLPs (any)"},
    {"router.scores", CORE__FIELD_WORD, AT(router), ROUTERS, NULL, true,
     "how logits become scores (softmax)"},
    {"router.scale", CORE__FIELD_REAL, AT(routed_scale), NULL, NULL, true,
     "weights times this (1)"},
    {"router.groups", CORE__FIELD_I64, AT(n_group), NULL, NULL, true,
     "groups of experts, of which only the best count (0: none)"},
    {"router.groups_kept", CORE__FIELD_I64, AT(n_group_kept), NULL, has_groups,
     false, "how many of them count"},
    {"router.group_score", CORE__FIELD_WORD, AT(group_score), GROUP_SCORES,
     has_groups, false,
     "what ranks them: the best score, or the sum of the best two"},
    {"router.correction", CORE__FIELD_FLAG, AT(correction), NULL, NULL, true,
     "a bias for choosing, not for weights (false)"},
    {"router.choice", CORE__FIELD_LAYERS, AT(by_table), CHOICES, NULL, true,
     "each layer's experts by scores, or by a table of token ids (scores)"},
    {"router.jitter", CORE__FIELD_REAL, AT(jitter), NULL, is_sparsemixer, false,
     "eps of sparsemixer's threshold"},
    {"router.sum_floor", CORE__FIELD_REAL, AT(sum_floor), NULL, NULL, true,
     "renormalise: the sum counts as this at least (not)"},
    {"router.norm", CORE__FIELD_FLAG, AT(router_norm), NULL, NULL, true,
     "the router reads a norm of its own of the stream (false)"},
    {"router.expert_scale", CORE__FIELD_FLAG, AT(expert_scale), NULL, NULL,
     true, "a weight times a learnt number of its expert (false)"},
    {"router.sum_eps", CORE__FIELD_REAL, AT(sum_eps), NULL, NULL, true,
     "renormalise: added to the sum (1e-20 with sigmoid scores, else 0)"},
    {"router.weigh_input", CORE__FIELD_FLAG, AT(weigh_input), NULL, NULL, true,
     "weights multiply what experts read, not what they give (false)"},
    CORE_SHARED_FIELDS(OPERATOR_FIELD){
        "renormalise", CORE__FIELD_FLAG, AT(renormalise), NULL, NULL, false,
        "weights of the chosen experts are divided by their sum"},
    {"tied_head", CORE__FIELD_FLAG, AT(tied), NULL, NULL, false,
     "the head is the embedding"},
    {"bias.qkv", CORE__FIELD_FLAG, AT(bias_qkv), NULL, NULL, false,
     "of queries, keys and values"},
    {"bias.attention_out", CORE__FIELD_FLAG, AT(bias_o), NULL, NULL, false,
     "of the output projection"},
    {"bias.router", CORE__FIELD_FLAG, AT(bias_router), NULL, NULL, false,
     "of the router"},
    {"bias.ffn", CORE__FIELD_FLAG, AT(bias_ffn), NULL, NULL, false,
     "of experts"},
    {"bias.mlp", CORE__FIELD_FLAG, AT(bias_mlp), NULL, NULL, true,
     "of MLPs, where experts have none (false)"},
    {"bias.head", CORE__FIELD_FLAG, AT(bias_head), NULL, NULL, true,
     "of the head (false)"},
    {"capacity.rule", CORE__FIELD_WORD, AT(capacity.rule), RULES, NULL, false,
     "slots of an expert: any number, a factor of its fair share, or a number"},
    {"capacity.factor", CORE__FIELD_REAL, AT(capacity.factor), NULL, has_factor,
     false, "slots = ceil(tokens * experts_per_token / experts * this)"},
    {"capacity.slots", CORE__FIELD_I64, AT(capacity.absolute), NULL, has_slots,
     false, "slots of an expert"},
    {"capacity.domain", CORE__FIELD_WORD, AT(capacity.domain), DOMAINS, NULL,
     false, "the tokens that compete for them"},
    {"capacity.priority", CORE__FIELD_WORD, AT(capacity.priority), PRIORITIES,
     NULL, false, "who gets them: earlier tokens, or larger weights"},
    {"capacity.dropped", CORE__FIELD_WORD, AT(capacity.dropped), DROPPED, NULL,
     false,
     "what a token without a slot gets of that expert: nothing, or its input"},
    {"twin_expert", CORE__FIELD_INT, AT(twin_expert), NULL, NULL, false,
     "procedural weights: this expert and the next tie for every token; -1: "
     "none"},
    {"switch_block", CORE__FIELD_INT, AT(switch_block), NULL, is_switch, false,
     "encoder block of the layer, for names in files"},
};

enum { N_FIELDS = sizeof FIELDS / sizeof FIELDS[0] };

const core__field *core__spec_field(int i)
{
    return i < (int)N_FIELDS ? &FIELDS[i] : NULL;
}
