/* harness/perf/cost/memory.c -- what a rank holds.
 *
 * A tensor is split along one axis, or not at all; my elements are those of the
 * whole tensor times my part of the axis.  Traps: a kv head that two tensor
 * ranks read is on both; a tied head is a second copy unless one stage has both
 * ends; experts follow the expert scope, not the stage.
 */
#include "harness/perf/cost/memory.h"

#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/walk.h"

/* How is a tensor of my stage split? */
static har__split split_of(const core_spec *spec, const par_layout *lay,
                           core_weight id)
{
    const har__operator *mixer =
        har__mixer_row[core_spec_mixer(spec, id.layer)];
    switch (id.kind) {
    case CORE_W_EMBED:
    case CORE_W_HEAD:
    case CORE_W_HEAD_BIAS:
        return har__split_of(lay->first_vocab, lay->t, lay->plan.tp);
    case CORE_W_MLP_GATE:
    case CORE_W_MLP_UP:
    case CORE_W_MLP_DOWN:
    case CORE_W_MLP_GATE_BIAS:
    case CORE_W_MLP_UP_BIAS:
        return har__split_tp(lay, core_spec_n_mlp(spec, id.layer));
    case CORE_W_EXPERT_GATE:
    case CORE_W_EXPERT_UP:
    case CORE_W_EXPERT_DOWN:
    case CORE_W_EXPERT_GATE_BIAS:
    case CORE_W_EXPERT_UP_BIAS:
        return har__split_of(lay->first_f, lay->etp_i, lay->plan.etp);
    default:
        return mixer->split != NULL ? mixer->split(spec, lay, id) : HAR__WHOLE;
    }
}

/* Bytes of an element of such a tensor; 1 without types. */
static double size_of(const core_types *types, core_weight_kind kind)
{
    if (types == NULL)
        return 1;
    if (core_weight_slot(kind) != CORE_SLOT_W || kind == CORE_W_EMBED ||
        kind == CORE_W_HEAD)
        return core_types_table_bytes(types);
    return core_weight_scope_of(kind) == CORE_SCOPE_EXPERT
               ? core_types_expert_bytes(types)
               : core_types_weight_bytes(types);
}

static double sizes(const core_spec *spec, const par_layout *lay,
                    const core_types *types, core_weight_kind kind, int layer)
{
    const core_weight id = {kind, layer, 0};
    int64_t n_row, n_col;
    if (!core_weight_exists(spec, id))
        return 0;
    core_weight_shape(spec, id, &n_row, &n_col);
    const har__split mine = split_of(spec, lay, id);
    return (double)(n_row * n_col / mine.all * mine.mine) *
           size_of(types, kind);
}

int64_t har_cost_weight_elements(const core_spec *spec, const par_layout *lay,
                                 core_weight_kind kind, int layer)
{
    return (int64_t)sizes(spec, lay, NULL, kind, layer);
}

static double scope_size(const core_spec *spec, const par_layout *lay,
                         const core_types *types, int layer,
                         core_weight_scope scope)
{
    double n = 0;
    for (int k = 0; k < (int)CORE_N_WEIGHT_KINDS; k++)
        if (core_weight_scope_of((core_weight_kind)k) == scope)
            n += sizes(spec, lay, types, (core_weight_kind)k, layer);
    return n;
}

double har_cost_layer_size(const core_spec *spec, const par_layout *lay,
                           const core_types *types, int layer)
{
    return scope_size(spec, lay, types, layer, CORE_SCOPE_LAYER);
}

double har_cost_expert_size(const core_spec *spec, const par_layout *lay,
                            const core_types *types, int layer)
{
    /* all experts are alike */
    return scope_size(spec, lay, types, layer, CORE_SCOPE_EXPERT) *
           lay->n_my_expert;
}

double har_cost_end_size(const core_spec *spec, const par_layout *lay,
                         const core_types *types)
{
    const bool is_first = lay->stage == 0;
    const bool is_last = lay->stage == lay->plan.pp - 1;
    double n = is_first ? sizes(spec, lay, types, CORE_W_EMBED, 0) : 0;
    for (int k = CORE_W_FINAL_NORM; is_last && k < CORE_N_WEIGHT_KINDS; k++)
        if (!(k == CORE_W_HEAD && spec->tied && is_first))
            n += sizes(spec, lay, types, (core_weight_kind)k, 0);
    return n;
}

double har_cost_weight_size(const core_spec *spec, const par_layout *lay,
                            const core_types *types)
{
    const bool all_stages = lay->plan.scope == PAR_SCOPE_REPLICA;
    double n = har_cost_end_size(spec, lay, types), layer = 0, experts = 0;
    for (int l = 0; l < (int)spec->n_l; l++) {
        const bool is_mine = lay->local_layer[l] >= 0;
        if (l == 0 || !har__is_like(spec, l - 1, l)) {
            layer = har_cost_layer_size(spec, lay, types, l);
            experts = har_cost_expert_size(spec, lay, types, l);
        }
        n += is_mine ? layer : 0;
        n += is_mine || all_stages ? experts : 0;
    }
    return n;
}

int64_t har_cost_kv_elements(const core_spec *spec, int layer,
                             int64_t n_kv_head)
{
    const har__operator *mixer = har__mixer_row[core_spec_mixer(spec, layer)];
    return mixer->kept != NULL ? mixer->kept(spec, layer, n_kv_head) : 0;
}

int64_t har_cost_kv(const core_spec *spec, const par_layout *lay)
{
    int64_t n = 0;
    for (int i = 0; i < lay->n_my_layer; i++) {
        const int l = lay->my_layer[i];
        n += har_cost_kv_elements(spec, l, lay->heads[spec->head_kind[l]].n_kv);
    }
    return n;
}

int64_t har_cost_state_elements(const core_spec *spec, const par_layout *lay,
                                int layer)
{
    const har__operator *mixer = har__mixer_row[core_spec_mixer(spec, layer)];
    return mixer->state != NULL ? mixer->state(spec, lay) : 0;
}

int64_t har_cost_state(const core_spec *spec, const par_layout *lay)
{
    int64_t n = 0;
    for (int i = 0; i < lay->n_my_layer; i++)
        n += har_cost_state_elements(spec, lay, lay->my_layer[i]);
    return n;
}

har_cost_memory har_cost_memory_of(const core_spec *spec,
                                   const par_layout *layout,
                                   core_numerics numerics, int64_t n_row,
                                   int64_t n_t, int64_t most_rows)
{
    return (har_cost_memory){
        .weights = (int64_t)har_cost_weight_size(spec, layout, NULL),
        .kv = har_cost_kv(spec, layout),
        .weight_bytes = par_weight_bytes(spec, layout, numerics),
        .work_bytes = par_arena_bytes(spec, layout, n_row, n_t),
        .pair_bytes = par_pair_bytes(spec, layout, most_rows)};
}
