/* core/model/spec.c -- questions about a model that its plain data answers.
 *
 * Nothing here knows a file format or a preset.  The traps: a Switch layer
 * (n_h == 0) has neither attention nor embedding; the capacity formula is
 * evaluated left to right in double, which for factor 1.1 gives 111 slots where
 * exact arithmetic would give 110.
 */
#include "core/model/spec.h"

#include <math.h>

bool core_spec_is_moe(const core_spec *spec, int layer)
{
    return spec->ffn[layer] == CORE_FFN_MOE;
}

bool core_spec_by_table(const core_spec *spec, int layer)
{
    return core_spec_is_moe(spec, layer) && spec->by_table[layer] != 0;
}

bool core_spec_has_ffn(const core_spec *spec, int layer)
{
    return spec->ffn[layer] != CORE_FFN_NONE;
}

core_mixer core_spec_mixer(const core_spec *spec, int layer)
{
    return spec->n_h > 0 ? (core_mixer)spec->mixer[layer] : CORE_N_MIXERS;
}

core_projection core_spec_projection(const core_spec *s)
{
#define PROJECTION_CHOSEN(kind, name)                                          \
    if (CORE_##kind##_CHOSEN)                                                  \
        return CORE_PROJECTION_##kind;
    CORE_PROJECTION_LIST(PROJECTION_CHOSEN)
#undef PROJECTION_CHOSEN
    return CORE_N_PROJECTIONS;
}

core_chooser core_spec_chooser(const core_spec *s, int layer)
{
    if (core_spec_seen(s, layer).n_set == 0 ||
        s->sight[layer] != CORE_SIGHT_CHOSEN)
        return CORE_N_CHOOSERS;
#define CHOOSER_CHOSEN(kind, name)                                             \
    if (CORE_##kind##_CHOSEN)                                                  \
        return CORE_CHOOSER_##kind;
    CORE_CHOOSER_LIST(CHOOSER_CHOSEN)
#undef CHOOSER_CHOSEN
    return CORE_N_CHOOSERS;
}

core_shared core_spec_shared(const core_spec *s, int l)
{
#define SHARED_HERE(kind, name)                                                \
    if (CORE_##kind##_HERE)                                                    \
        return CORE_SHARED_##kind;
    CORE_SHARED_LIST(SHARED_HERE)
#undef SHARED_HERE
    return CORE_N_SHARED;
}

core_connection core_spec_connection(const core_spec *s)
{
#define CONNECTION_CHOSEN(kind, name)                                          \
    if (CORE_##kind##_CHOSEN)                                                  \
        return CORE_CONNECTION_##kind;
    CORE_CONNECTION_LIST(CONNECTION_CHOSEN)
#undef CONNECTION_CHOSEN
    return CORE_N_CONNECTIONS;
}

static const struct {
    const char *name, *module;
    bool takes_padding;
} MIXERS[] = {
#define MIXER_ROW(kind, name)                                                  \
    {#name, CORE_##kind##_MODULE, CORE_##kind##_TAKES_PADDING},
    CORE_MIXER_LIST(MIXER_ROW)
#undef MIXER_ROW
};

const char *core_mixer_name(core_mixer mixer)
{
    return MIXERS[mixer].name;
}

const char *core_projection_name(core_projection projection)
{
    static const char *const NAMES[] = {
#define PROJECTION_NAME(kind, name) #name,
        CORE_PROJECTION_LIST(PROJECTION_NAME)
#undef PROJECTION_NAME
    };
    return NAMES[projection];
}

static const struct {
    const char *name;
    bool takes_padding;
} CHOOSERS[] = {
#define CHOOSER_ROW(kind, name) {#name, CORE_##kind##_TAKES_PADDING},
    CORE_CHOOSER_LIST(CHOOSER_ROW)
#undef CHOOSER_ROW
};

const char *core_chooser_name(core_chooser chooser)
{
    return CHOOSERS[chooser].name;
}

bool core_chooser_takes_padding(core_chooser chooser)
{
    return CHOOSERS[chooser].takes_padding;
}

const char *core_mixer_module(core_mixer mixer)
{
    return MIXERS[mixer].module;
}

bool core_mixer_takes_padding(core_mixer mixer)
{
    return MIXERS[mixer].takes_padding;
}

double core_mixer_flops(const core_spec *s, int layer)
{
    switch (core_spec_mixer(s, layer)) {
#define MIXER_FLOPS(kind, name)                                                \
    case CORE_MIXER_##kind:                                                    \
        return CORE_##kind##_FLOPS;
        CORE_MIXER_LIST(MIXER_FLOPS)
#undef MIXER_FLOPS
    case CORE_N_MIXERS:
        break;
    }
    return 0.0;
}

double core_pair_flops(const core_spec *s, int l)
{
    if (!core_spec_has_attention(s, l))
        return 0.0;
    const core_heads h = core_spec_heads(s, l);
    double flops = 2.0 * (double)(h.n_h * (h.n_dh + h.n_dv));
    switch (core_spec_chooser(s, l)) {
#define CHOOSER_FLOPS(kind, name)                                              \
    case CORE_CHOOSER_##kind:                                                  \
        flops += CORE_##kind##_PAIR_FLOPS;                                     \
        break;
        CORE_CHOOSER_LIST(CHOOSER_FLOPS)
#undef CHOOSER_FLOPS
    case CORE_N_CHOOSERS:
        break;
    }
    return flops;
}

bool core_spec_has_attention(const core_spec *spec, int layer)
{
    return spec->n_h > 0 && spec->mixer[layer] == CORE_MIXER_ATTENTION;
}

bool core_spec_has_rope(const core_spec *spec, int layer)
{
    return core_spec_has_attention(spec, layer) && spec->no_rope[layer] == 0;
}

core_gating core_spec_gating(const core_spec *spec)
{
    return (core_gating){
        .act = spec->act,
        .alpha = spec->act_alpha > 0.0 ? spec->act_alpha : 1.702,
        .limit = spec->act_limit > 0.0 ? spec->act_limit : 7.0,
    };
}

core_gating core_spec_gating_in(const core_spec *spec, int layer,
                                bool is_expert)
{
    core_gating gating = core_spec_gating(spec);
    gating.most = is_expert ? spec->expert_most[layer] : spec->mlp_most[layer];
    return gating;
}

core_heads core_spec_heads_of(const core_spec *spec, int kind)
{
    core_heads h = spec->other;
    if (kind == 0)
        h = (core_heads){.n_h = spec->n_h,
                         .n_g = spec->n_g,
                         .n_dh = spec->n_dh,
                         .n_dv = spec->n_dv,
                         .n_rot = spec->n_rot,
                         .scale = spec->score_scale,
                         .sinks = spec->sinks,
                         .v_is_k = spec->v_is_k,
                         .rope = spec->rope};
    h.rope.interleaved = spec->rope.interleaved;
    h.n_dv = h.n_dv > 0 ? h.n_dv : h.n_dh;
    h.n_rot = h.n_rot > 0 ? h.n_rot : h.n_dh;
    h.scale = h.scale > 0.0 ? h.scale : 1.0 / sqrt((double)h.n_dh);
    return h;
}

core_heads core_spec_heads(const core_spec *spec, int layer)
{
    return core_spec_heads_of(spec, spec->head_kind[layer]);
}

int core_spec_head_kinds(const core_spec *spec)
{
    for (int l = 0; l < (int)spec->n_l; l++)
        if (spec->head_kind[l] != 0)
            return 2;
    return 1;
}

int64_t core_spec_first_key(const core_spec *spec, int layer, int64_t i)
{
    const int64_t window = spec->sliding_window;
    switch ((core_span)spec->span[layer]) {
    case CORE_SPAN_WINDOW:
        return window > 0 && i >= window ? i - window + 1 : 0;
    case CORE_SPAN_CHUNK:
        return i / spec->chunk * spec->chunk;
    case CORE_SPAN_FULL:
        break;
    }
    return 0;
}

core_seen core_spec_seen(const core_spec *s, int l)
{
    if (!core_spec_has_attention(s, l) || s->sight[l] == CORE_SIGHT_SPAN)
        return (core_seen){0, 0, 1};
#define SEEN_BY(kind, name)                                                    \
    if (CORE_##kind##_CHOSEN)                                                  \
        return (core_seen){CORE_##kind##_SETS, s->n_seen, CORE_##kind##_WIDE};
    CORE_CHOOSER_LIST(SEEN_BY)
#undef SEEN_BY
    return (core_seen){1, s->n_seen, 1};
}

int core_spec_chooses(const core_spec *spec, int layer)
{
    int l = layer;
    while (l > 0 && spec->sight[l] != CORE_SIGHT_CHOSEN)
        l--;
    return l;
}

int64_t core_spec_kept(const core_spec *spec, int layer)
{
    for (int l = layer; l < (int)spec->n_l; l++) {
        const core_seen seen = core_spec_seen(spec, l);
        if (seen.n_set > 0)
            return spec->sight[l] == CORE_SIGHT_KEPT ? seen.n_set * seen.n_key
                                                     : 0;
    }
    return 0;
}

int64_t core_spec_n_mlp(const core_spec *spec, int layer)
{
    switch ((core_ffn)spec->ffn[layer]) {
    case CORE_FFN_MOE:
        return spec->n_f_shared;
    case CORE_FFN_DENSE:
        return spec->n_f_dense;
    case CORE_FFN_NONE:
        break;
    }
    return 0;
}

int64_t core_spec_n_x(const core_spec *s)
{
#define STREAMS_CHOSEN(kind, name)                                             \
    if (CORE_##kind##_CHOSEN)                                                  \
        return CORE_##kind##_STREAMS * s->n_d;
    CORE_CONNECTION_LIST(STREAMS_CHOSEN)
#undef STREAMS_CHOSEN
    return s->n_d;
}

int64_t core_spec_n_de(const core_spec *spec)
{
    return spec->n_de > 0 ? spec->n_de : spec->n_d;
}

double core_spec_sum_eps(const core_spec *spec)
{
    if (spec->sum_eps > 0.0)
        return spec->sum_eps;
    return spec->router == CORE_ROUTER_SIGMOID ? 1e-20 : 0.0;
}

int core_spec_count_moe(const core_spec *spec, int first, int end)
{
    int n = 0;
    for (int l = first; l < end; l++)
        n += core_spec_is_moe(spec, l) ? 1 : 0;
    return n;
}

int64_t core_spec_capacity(const core_spec *spec, int64_t n_t)
{
    const core_capacity *c = &spec->capacity;
    if (c->rule == CORE_CAPACITY_NONE)
        return INT64_MAX;
    if (c->rule == CORE_CAPACITY_ABSOLUTE)
        return c->absolute;
    const double slots =
        ceil((double)n_t * (double)spec->n_k / (double)spec->n_e * c->factor);
    return slots < 0x1p62 ? (int64_t)slots : INT64_MAX;
}
