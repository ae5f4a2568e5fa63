/* harness/judge/others.c -- see others.h.
 *
 * Rows are tried as they stand, so a row that says two things (the scale of
 * scores and that of rotated keys, where both come from one number) may stand
 * beside those that say one.  A new row needs a dump in
 * tests/unit/explain_rows.h that it alone explains: two rows that are one
 * function on every prompt at hand are one row.
 */
#include "harness/judge/others.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SETS = 2, SET_BYTES = 2 * CORE_MAX_LAYERS * 8 };

/* Writes a FIELD=VALUE that depends on the model; false: it has no such. */
typedef bool write_set(const core_spec *spec, char out[SET_BYTES]);

static bool put(char out[SET_BYTES], const char *format, double value)
{
    snprintf(out, SET_BYTES, format, value);
    return true;
}

static bool scale_twice(const core_spec *s, char out[SET_BYTES])
{
    return put(out, "router.scale=%.17g", s->routed_scale * s->routed_scale);
}

static bool scores_scaled_twice(const core_spec *s, char out[SET_BYTES])
{
    const double scale = core_spec_heads_of(s, 0).scale;
    return put(out, "attention.scale=%.17g", scale * scale);
}

static bool residual_scaled_twice(const core_spec *s, char out[SET_BYTES])
{
    return put(out, "scale.residual=%.17g",
               s->residual_scale * s->residual_scale);
}

static bool embedding_by_root(const core_spec *s, char out[SET_BYTES])
{
    return put(out, "scale.embedding=%.17g", sqrt((double)s->n_d));
}

static bool window_less(const core_spec *s, char out[SET_BYTES])
{
    return s->sliding_window > 1 &&
           put(out, "sliding_window=%.0f", (double)s->sliding_window - 1.0);
}

static bool window_more(const core_spec *s, char out[SET_BYTES])
{
    return s->sliding_window > 0 &&
           put(out, "sliding_window=%.0f", (double)s->sliding_window + 1.0);
}

static bool half_rotated(const core_spec *s, char out[SET_BYTES])
{
    return s->n_dh % 4 == 0 && put(out, "rotated=%.0f", (double)s->n_dh / 2.0);
}

static bool theta_of_the_other(const core_spec *s, char out[SET_BYTES])
{
    return core_spec_head_kinds(s) > 1 &&
           put(out, "rope.theta=%.17g", s->other.rope.theta);
}

/* A word for each layer, `rare` in layer `first` and every `step` after it. */
static bool put_pattern(const core_spec *s, char out[SET_BYTES],
                        const char *field, const char *usual, const char *rare,
                        int64_t first, int64_t step)
{
    int n = snprintf(out, SET_BYTES, "%s=[", field);
    for (int64_t l = 0; l < s->n_l; l++)
        n += snprintf(out + n, (size_t)(SET_BYTES - n), "%s%s",
                      l > 0 ? ", " : "", l % step == first ? rare : usual);
    snprintf(out + n, (size_t)(SET_BYTES - n), "]");
    return s->n_l > 1;
}

static bool even_windows(const core_spec *s, char out[SET_BYTES])
{
    return s->sliding_window > 0 &&
           put_pattern(s, out, "span", "full", "window", 0, 2);
}

static bool odd_windows(const core_spec *s, char out[SET_BYTES])
{
    return s->sliding_window > 0 &&
           put_pattern(s, out, "span", "full", "window", 1, 2);
}

static bool fourth_without_rope(const core_spec *s, char out[SET_BYTES])
{
    return put_pattern(s, out, "positions", "rope", "none", 3, 4);
}

static const struct row {
    const char *name;
    const char *set[MAX_SETS]; /* literally, or                               */
    write_set *write;
    core_alteration alteration; /* or this                                    */
    ref_otherwise otherwise;    /* or this                                    */
} ROWS[] = {
    /* the router */
    {"weights divided by their sum", .set = {"renormalise=true"}},
    {"weights divided by their sum", .set = {"renormalise=false"}},
    {"scores", .set = {"router.scores=softmax"}},
    {"scores", .set = {"router.scores=softmax_top"}},
    {"scores", .set = {"router.scores=sigmoid"}},
    {"scores", .set = {"router.scores=sqrt_softplus"}},
    {"sparsemixer",
     .set = {"router.scores=sparsemixer", "router.jitter=0.01"}},
    {"groups of experts", .set = {"router.groups=0"}},
    {"rule that ranks groups", .set = {"router.group_score=max"}},
    {"rule that ranks groups", .set = {"router.group_score=best_two"}},
    {"correction bias", .set = {"router.correction=false"}},
    {"correction bias", .otherwise = REF_CORRECTION_WEIGHS},
    {"equal scores", .otherwise = REF_LAST_OF_EQUAL},
    {"scale of the weights", .set = {"router.scale=1"}},
    {"scale of the weights", .write = scale_twice},
    {"clamp of the sum", .set = {"router.sum_floor=0"}},
    {"what weights multiply", .set = {"router.weigh_input=true"}},
    {"what weights multiply", .set = {"router.weigh_input=false"}},
    {"bias of the router", .set = {"bias.router=false"}},
    {"norm of the router", .set = {"router.norm=false"}},
    {"scales of the experts", .set = {"router.expert_scale=false"}},
    {"capacity", .set = {"capacity.rule=none"}},
    {"priority", .set = {"capacity.priority=position"}},
    {"priority", .set = {"capacity.priority=prob"}},
    /* experts and MLPs */
    {"activation", .set = {"activation=silu"}},
    {"activation", .set = {"activation=gelu"}},
    {"activation", .set = {"activation=gelu_tanh"}},
    {"activation", .set = {"activation=relu"}},
    {"activation", .set = {"activation=relu2"}},
    {"activation", .set = {"activation=sigmoid"}},
    {"activation", .set = {"activation=clamped_silu"}},
    {"activation", .set = {"activation=clamped_swiglu"}},
    {"limit of the activation", .set = {"activation_limit=1e30"}},
    {"slope of the activation", .set = {"activation_alpha=1"}},
    {"limits of gate and up", .set = {"limits.experts=0"}},
    {"limits of gate and up", .set = {"limits.mlp=0"}},
    {"gate", .set = {"gated=false"}},
    {"gate and up", .alteration = CORE_ALTER_EXPERTS_SWAPPED},
    {"gate and up", .alteration = CORE_ALTER_MLPS_SWAPPED},
    {"order of gate and up", .alteration = CORE_ALTER_EXPERTS_HALVED},
    {"order of gate and up", .alteration = CORE_ALTER_EXPERTS_WOVEN},
    {"experts transposed", .alteration = CORE_ALTER_EXPERTS_TURNED},
    {"shared expert", .set = {"branch_norm=false", "shared_inner=0"}},
    {"shared expert", .set = {"shared_inner=0"}},
    {"gate of the shared expert", .set = {"shared_gate=false"}},
    {"biases of the experts", .set = {"bias.ffn=false"}},
    {"biases of MLPs", .set = {"bias.mlp=false"}},
    /* attention */
    {"window", .set = {"sliding_window=0"}},
    {"window", .write = window_less},
    {"window", .write = window_more},
    {"layers with a window", .set = {"span=window"}},
    {"layers with a window", .set = {"span=full"}},
    {"layers with a window", .write = even_windows},
    {"layers with a window", .write = odd_windows},
    {"chunk", .set = {"chunk=8192"}},
    {"sinks", .set = {"attention.sinks=false"}},
    {"norm of queries and keys", .set = {"attention.qk_norm=none"}},
    {"norm of queries and keys", .set = {"attention.qk_norm=head"}},
    {"norm of values", .set = {"attention.value_norm=false"}},
    {"scale of values", .set = {"attention.value_scale=0"}},
    {"scale of scores", .set = {"attention.scale=0"}},
    {"scale of scores", .set = {"attention.scale=1"}},
    {"scale of scores", .write = scores_scaled_twice},
    {"clip", .set = {"attention.clip=0"}},
    /* a floor of 8192 is the same for prompts of up to 8191 tokens */
    {"temperature", .set = {"attention.temper_scale=0"}},
    {"gate of attention", .set = {"attention.gate=false"}},
    {"bias of q, k and v", .set = {"bias.qkv=false"}},
    {"bias of attention", .set = {"bias.attention_out=false"}},
    /* rotation */
    {"pairs", .set = {"rope.interleaved=true"}},
    {"pairs", .set = {"rope.interleaved=false"}},
    {"theta", .set = {"rope.theta=10000"}},
    {"theta", .set = {"rope.theta=50000"}},
    {"theta", .set = {"rope.theta=100000"}},
    {"theta", .set = {"rope.theta=150000"}},
    {"theta", .set = {"rope.theta=500000"}},
    {"theta", .set = {"rope.theta=1000000"}},
    {"theta", .set = {"rope.theta=5000000"}},
    {"theta", .set = {"rope.theta=10000000"}},
    {"theta", .write = theta_of_the_other},
    {"scaling", .set = {"rope.scaling=plain"}},
    {"truncation", .set = {"rope.truncate=true"}},
    {"truncation", .set = {"rope.truncate=false"}},
    {"attention factor", .set = {"rope.attention_factor=1"}},
    {"mscale", .set = {"rope.attention_factor=1", "attention.scale=0"}},
    {"position", .otherwise = REF_ROTATIONS_FROM_ONE},
    {"position", .otherwise = REF_QUERIES_ONE_ON},
    {"rotated part", .set = {"rotated=0"}},
    {"rotated part", .write = half_rotated},
    {"layers with rope", .set = {"positions=rope"}},
    {"layers with rope", .set = {"positions=none"}},
    {"layers with rope", .write = fourth_without_rope},
    /* norms and ends */
    {"norm", .set = {"norm=rms"}},
    {"norm", .set = {"norm=rms_plus_one"}},
    {"norm", .otherwise = REF_MEAN_KEPT},
    {"eps", .set = {"norm_eps=1e-12"}},
    {"eps", .set = {"norm_eps=1e-08"}},
    {"eps", .set = {"norm_eps=1e-06"}},
    {"eps", .set = {"norm_eps=1e-05"}},
    {"eps", .set = {"norm_eps=0.0001"}},
    {"eps", .set = {"norm_eps=0.001"}},
    {"norm behind a part", .set = {"post_norm=false"}},
    {"norms of branches", .set = {"branch_norm=false"}},
    {"scale of a layer", .set = {"layer_scale=false"}},
    {"scale of the embedding", .set = {"scale.embedding=1"}},
    {"scale of the embedding", .write = embedding_by_root},
    {"scale of the residual", .set = {"scale.residual=1"}},
    {"scale of the residual", .write = residual_scaled_twice},
    {"divisor of the logits", .set = {"scale.logits_divisor=1"}},
    {"cap of the logits", .set = {"scale.logits_cap=0"}},
    {"bias of the head", .set = {"bias.head=false"}},
};

enum { N_ROWS = sizeof ROWS / sizeof ROWS[0] };

static const char *const ALTERED[CORE_N_ALTERATIONS] = {
    [CORE_ALTER_EXPERTS_SWAPPED] = "the experts' gate and up exchanged",
    [CORE_ALTER_MLPS_SWAPPED] = "gate and up of MLPs exchanged",
    [CORE_ALTER_EXPERTS_HALVED] =
        "the experts' rows gate, up, gate, up read as halves",
    [CORE_ALTER_EXPERTS_WOVEN] =
        "the experts' halves read as gate, up, gate, up",
    [CORE_ALTER_EXPERTS_TURNED] = "the experts' matrices read transposed",
};

static const char *const OTHERWISE[] = {
    [REF_CORRECTION_WEIGHS] = "the correction bias in the weights",
    [REF_ROTATIONS_FROM_ONE] = "positions of rotations counted from 1",
    [REF_QUERIES_ONE_ON] = "queries rotated one position on",
    [REF_LAST_OF_EQUAL] = "equal scores to the highest expert",
    [REF_MEAN_KEPT] = "LayerNorm without subtracting the mean",
};

const char *har_other_name(int i)
{
    return i >= 0 && i < N_ROWS ? ROWS[i].name : NULL;
}

har_other har_other_none(const core_spec *spec)
{
    return (har_other){.spec = *spec};
}

static void say(har_other *out, const char *text)
{
    const size_t n = strlen(out->text);
    snprintf(out->text + n, sizeof out->text - n, "%s%s",
             n > 0 ? " and " : "", text);
}

static void note_difference(void *self, const char *path, const char *a,
                            const char *b)
{
    (void)path;
    (void)a;
    (void)b;
    *(bool *)self = true;
}

/* Is it another model, and one that these weights serve? */
static bool is_another(const core_spec *spec, const core_spec *from,
                       const core_spec *weights)
{
    bool differs = false;
    return core_spec_compare(spec, from, note_difference, &differs) ==
               CORE_OK &&
           differs && core_weight_check_within(spec, weights) == CORE_OK;
}

/* Is each of the fields needed for it?  Else it is the model of the row that
 * sets the other one alone.                                                  */
static bool all_matter(const har_other *out, const core_spec *from,
                       const char *const *set, int n)
{
    for (int k = 0; n > 1 && k < n; k++) {
        core_spec without = *from;
        bool differs = false;
        if (core_spec_set(&without, &set[1 - k], 1) == CORE_OK &&
            core_spec_compare(&without, &out->spec, note_difference,
                              &differs) == CORE_OK &&
            !differs)
            return false;
    }
    return true;
}

static bool alter(har_other *out, const struct row *row)
{
    if (out->alteration != CORE_ALTER_NOTHING ||
        !core_alteration_applies(row->alteration, &out->spec))
        return false;
    out->alteration = row->alteration;
    say(out, ALTERED[row->alteration]);
    return true;
}

static bool has_rope(const core_spec *spec)
{
    for (int l = 0; l < (int)spec->n_l; l++)
        if (core_spec_has_rope(spec, l))
            return true;
    return false;
}

/* Has the model what would be done otherwise? */
static bool has(const core_spec *spec, ref_otherwise how)
{
    switch (how) {
    case REF_CORRECTION_WEIGHS:
        return spec->correction;
    case REF_ROTATIONS_FROM_ONE:
    case REF_QUERIES_ONE_ON:
        return has_rope(spec);
    case REF_LAST_OF_EQUAL:
        return spec->n_e > 0 && spec->router != CORE_ROUTER_SPARSEMIXER;
    case REF_MEAN_KEPT:
        return spec->norm == CORE_NORM_LAYER;
    case REF_AS_WRITTEN:
        break;
    }
    return false;
}

static bool do_otherwise(har_other *out, ref_otherwise how)
{
    if (out->otherwise != REF_AS_WRITTEN || !has(&out->spec, how))
        return false;
    out->otherwise = how;
    say(out, OTHERWISE[how]);
    return true;
}

bool har_other_make(har_other *out, int i, const har_other *from,
                    const core_spec *weights)
{
    const struct row *row = &ROWS[i];
    char written[SET_BYTES];
    const char *set[MAX_SETS] = {written};
    int n = 1;
    *out = *from;
    if (row->alteration != CORE_ALTER_NOTHING)
        return alter(out, row);
    if (row->otherwise != REF_AS_WRITTEN)
        return do_otherwise(out, row->otherwise);
    if (row->write == NULL)
        for (n = 0; n < MAX_SETS && row->set[n] != NULL; n++)
            set[n] = row->set[n];
    else if (!row->write(&from->spec, written))
        return false;
    const bool made = core_spec_set(&out->spec, set, n) == CORE_OK &&
                      is_another(&out->spec, &from->spec, weights) &&
                      all_matter(out, &from->spec, set, n);
    core_message_clear();
    for (int k = 0; made && k < n; k++)
        say(out, set[k]);
    return made;
}
