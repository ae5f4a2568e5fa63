/* core/pass/cost.c -- see cost.h. */
#include "core/pass/cost.h"

bool core_cost_is_empty(const core_cost *c)
{
    return c->kind != CORE_COST_COLLECTIVE && c->flops == 0 &&
           c->weights == 0 && c->read == 0 && c->written == 0 &&
           c->kv_read == 0 && c->kv_written == 0;
}

const char *core_cost_kind_name(core_cost_kind kind)
{
    static const char *const name[CORE_N_COST_KINDS] = {
        "gemm", "grouped gemm", "attention", "elementwise", "collective"};
    return kind < CORE_N_COST_KINDS ? name[kind] : "nothing";
}

const char *core_collective_name(core_collective collective)
{
    static const char *const name[CORE_N_COLLECTIVES] = {
        "none",       "all-reduce", "all-gather", "reduce-scatter",
        "all-to-all", "ring",       "send",           "receive"};
    return collective < CORE_N_COLLECTIVES ? name[collective] : "nothing";
}

const char *core_axis_name(core_axis axis)
{
    static const char *const name[CORE_N_AXES] = {"none", "tp", "ep",
                                                  "etp",  "pp", "cp",
                                                  "dp",   "edp", "ends"};
    return axis < CORE_N_AXES ? name[axis] : "nothing";
}
