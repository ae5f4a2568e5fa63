/* harness/perf/cost/memory.c -- what a rank holds.
 *
 * A tensor is split along one axis, or not at all; my elements are those of the
 * whole tensor times my part of the axis.  Traps: a kv head that two tensor
 * ranks read is on both; a tied head is a second copy unless one stage has both
 * ends; experts follow the expert scope, not the stage.
 */
#include "harness/perf/cost/sum.h"

/* My part of an axis: mine of all. */
typedef struct part {
    int64_t mine, all;
} part;

static const part WHOLE = {1, 1};

static part of_first(const int64_t *first, int i, int n)
{
    return (part){first[i + 1] - first[i], first[n]};
}

static part of_heads(const par_layout *lay)
{
    return of_first(lay->first_head, lay->t, lay->plan.tp);
}

static part of_kv_heads(const core_spec *spec, const par_layout *lay)
{
    return (part){lay->kv1 - lay->kv0, spec->n_g};
}

/* Of an axis of n that is split over tp. */
static part of_tp(const par_layout *lay, int64_t n)
{
    const int tp = lay->plan.tp;
    return (part){core_split_first(n, tp, lay->t + 1) -
                      core_split_first(n, tp, lay->t),
                  n};
}

static part of_mlp(const core_spec *spec, const par_layout *lay, int layer)
{
    int64_t n_f = 0;
    (void)core_spec_has_mlp(spec, layer, &n_f);
    return of_tp(lay, n_f);
}

/* Along which axis is a tensor of my stage split? */
static part part_of(const core_spec *spec, const par_layout *lay,
                    core_weight id)
{
    const bool by_head = spec->qk_norm == CORE_QK_NORM_HEAD;
    switch (id.kind) {
    case CORE_W_EMBED:
    case CORE_W_HEAD:
    case CORE_W_HEAD_BIAS:
        return of_first(lay->first_vocab, lay->t, lay->plan.tp);
    case CORE_W_Q:
    case CORE_W_Q_BIAS:
    case CORE_W_KV_B:
    case CORE_W_O:
    case CORE_W_SINKS:
        return of_heads(lay);
    case CORE_W_Q_NORM:
        return by_head ? WHOLE : of_heads(lay);
    case CORE_W_K:
    case CORE_W_V:
    case CORE_W_K_BIAS:
    case CORE_W_V_BIAS:
        return of_kv_heads(spec, lay);
    case CORE_W_K_NORM:
        return by_head ? WHOLE : of_kv_heads(spec, lay);
    case CORE_W_MAMBA_DT_NORM:
    case CORE_W_MAMBA_B_NORM:
    case CORE_W_MAMBA_C_NORM:
    case CORE_W_MAMBA_OUT_BIAS:
        return WHOLE;
    case CORE_W_MLP_GATE:
    case CORE_W_MLP_UP:
    case CORE_W_MLP_DOWN:
    case CORE_W_MLP_GATE_BIAS:
    case CORE_W_MLP_UP_BIAS:
        return of_mlp(spec, lay, id.layer);
    case CORE_W_EXPERT_GATE:
    case CORE_W_EXPERT_UP:
    case CORE_W_EXPERT_DOWN:
    case CORE_W_EXPERT_GATE_BIAS:
    case CORE_W_EXPERT_UP_BIAS:
        return of_first(lay->first_f, lay->etp_i, lay->plan.etp);
    default:
        if (id.kind >= CORE_W_MAMBA_U && id.kind <= CORE_W_MAMBA_OUT)
            return of_tp(lay, spec->mamba.n_c);
        return WHOLE;
    }
}

static int64_t elements(const core_spec *spec, const par_layout *lay,
                        core_weight_kind kind, int layer, int expert)
{
    const core_weight id = {kind, layer, expert};
    int64_t n_row, n_col;
    if (!core_weight_exists(spec, id))
        return 0;
    core_weight_shape(spec, id, &n_row, &n_col);
    const part mine = part_of(spec, lay, id);
    return n_row * n_col / mine.all * mine.mine;
}

int64_t har_cost_layer_elements(const core_spec *spec, const par_layout *lay,
                                int layer)
{
    int64_t n = 0;
    for (int k = CORE_W_ATTN_NORM; k < CORE_W_FINAL_NORM; k++)
        if (k < CORE_W_EXPERT_GATE || k > CORE_W_EXPERT_DOWN_BIAS)
            n += elements(spec, lay, (core_weight_kind)k, layer, 0);
    return n;
}

int64_t har_cost_expert_elements(const core_spec *spec, const par_layout *lay,
                                 int layer)
{
    int64_t n = 0;
    if (!core_spec_is_moe(spec, layer))
        return 0;
    for (int k = CORE_W_EXPERT_GATE; k <= CORE_W_EXPERT_DOWN_BIAS; k++)
        n += elements(spec, lay, (core_weight_kind)k, layer, 0);
    return n * lay->n_my_expert; /* all experts are alike */
}

int64_t har_cost_end_elements(const core_spec *spec, const par_layout *lay)
{
    const bool is_first = lay->stage == 0;
    const bool is_last = lay->stage == lay->plan.pp - 1;
    int64_t n = is_first ? elements(spec, lay, CORE_W_EMBED, 0, 0) : 0;
    for (int k = CORE_W_FINAL_NORM; is_last && k < CORE_N_WEIGHT_KINDS; k++)
        if (!(k == CORE_W_HEAD && spec->tied && is_first))
            n += elements(spec, lay, (core_weight_kind)k, 0, 0);
    return n;
}

int64_t har_cost_weights(const core_spec *spec, const par_layout *lay)
{
    const bool all_stages = lay->plan.scope == PAR_SCOPE_REPLICA;
    const int l0 = lay->first_layer[lay->stage];
    const int l1 = lay->first_layer[lay->stage + 1];
    int64_t n = har_cost_end_elements(spec, lay);
    for (int l = 0; l < (int)spec->n_l; l++) {
        const bool is_mine = l >= l0 && l < l1;
        n += is_mine ? har_cost_layer_elements(spec, lay, l) : 0;
        n += is_mine || all_stages ? har_cost_expert_elements(spec, lay, l) : 0;
    }
    return n;
}

int64_t har_cost_kv_elements(const core_spec *spec, const par_layout *lay,
                             int layer)
{
    const int64_t latent = spec->n_kv_rank + core_spec_n_rot(spec);
    const int64_t heads = (lay->kv1 - lay->kv0) * 2 * spec->n_dh;
    if (!core_spec_has_attention(spec, layer))
        return 0;
    return core_spec_is_mla(spec) ? latent : heads;
}

int64_t har_cost_kv(const core_spec *spec, const par_layout *lay)
{
    int64_t n = 0;
    for (int l = lay->first_layer[lay->stage];
         l < lay->first_layer[lay->stage + 1]; l++)
        n += har_cost_kv_elements(spec, lay, l);
    return n;
}

int64_t har_cost_state_elements(const core_spec *spec, const par_layout *lay,
                                int layer)
{
    const int64_t n_c = of_tp(lay, spec->mamba.n_c).mine;
    return core_spec_has_mamba(spec, layer)
               ? n_c * (spec->mamba.n_s + spec->mamba.n_conv - 1)
               : 0;
}

int64_t har_cost_state(const core_spec *spec, const par_layout *lay)
{
    int64_t n = 0;
    for (int l = lay->first_layer[lay->stage];
         l < lay->first_layer[lay->stage + 1]; l++)
        n += har_cost_state_elements(spec, lay, l);
    return n;
}

har_cost_memory har_cost_memory_of(const core_spec *spec,
                                   const par_layout *layout,
                                   core_numerics numerics, int64_t n_row,
                                   int64_t n_t, int64_t most_rows)
{
    return (har_cost_memory){
        .weights = har_cost_weights(spec, layout),
        .kv = har_cost_kv(spec, layout),
        .weight_bytes = par_weight_bytes(spec, layout, numerics),
        .work_bytes = par_arena_bytes(spec, layout, n_row, n_t),
        .pair_bytes = par_pair_bytes(spec, layout, most_rows)};
}
