/* harness/systems/systems.c -- the systems, and what is asked of any of them.
 *
 * Trap: vLLM, and SGLang's replicas, number their ranks tensor, then stage,
 * then data; all others number them as here.
 */
#include "harness/systems/impl.h"

static const har_system_row *const rows[HAR_N_SYSTEMS] = {
    [HAR_MEGATRON] = &har_row_megatron,
    [HAR_VLLM] = &har_row_vllm,
    [HAR_SGLANG] = &har_row_sglang,
    [HAR_DEEPSPEED] = &har_row_deepspeed,
    [HAR_TORCHTITAN] = &har_row_torchtitan,
    [HAR_BRIDGE] = &har_row_bridge,
    [HAR_TRANSFORMERS] = &har_row_transformers,
};

const har_system_row *har_system_get(har_system system)
{
    return rows[system];
}

const char *har_system_name(har_system system)
{
    return rows[system]->name;
}

core_status har_system_check(har_system system, const par_plan *plan,
                             const core_spec *spec)
{
    return har_system_get(system)->check(plan, spec);
}

core_status har_system_emit(har_system system, const par_plan *plan,
                            const core_spec *spec, FILE *out)
{
    CORE_TRY(har_system_check(system, plan, spec));
    har_system_get(system)->write(plan, spec, out);
    return CORE_OK;
}

static bool has_stage_before_data(har_system system, const par_plan *plan)
{
    const har_system_row *row = har_system_get(system);
    return row->stage_before_data != NULL && row->stage_before_data(plan);
}

int har_system_rank(har_system system, const par_plan *plan, int ours)
{
    const int t = ours % plan->tp, d = ours / plan->tp % plan->dp,
              stage = ours / plan->tp / plan->dp;
    return has_stage_before_data(system, plan)
               ? (d * plan->pp + stage) * plan->tp + t
               : ours;
}

int har_system_ours(har_system system, const par_plan *plan, int rank)
{
    const int t = rank % plan->tp, stage = rank / plan->tp % plan->pp,
              d = rank / plan->tp / plan->pp;
    return has_stage_before_data(system, plan)
               ? (stage * plan->dp + d) * plan->tp + t
               : rank;
}

void har_system_vocabulary(har_system system, const par_plan *plan,
                           const core_spec *spec, int t, int64_t *first,
                           int64_t *end)
{
    const har_system_row *row = har_system_get(system);
    *first = 0;
    *end = spec->n_v;
    if (row->padded == NULL)
        return;
    const int64_t part = row->padded(plan, spec) / plan->tp;
    *first = t * part;
    *end = (t + 1) * part;
    if (row->is_short) {
        *first = *first < spec->n_v ? *first : spec->n_v;
        *end = *end < spec->n_v ? *end : spec->n_v;
    }
}

har_rows har_system_rows(har_system system)
{
    return har_system_get(system)->rows;
}
