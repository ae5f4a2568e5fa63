/* harness/perf/machine/operands.c -- what products are made of, and whose units
 * multiply it.
 *
 * Two operands meet in units that take the wider of the two.  A machine that has
 * none for it multiplies in the plain type: weights are unpacked on their way,
 * and activations are not made narrow at all.
 */
#include "harness/perf/machine/impl.h"

#include <string.h>
#include <strings.h>

static const char *const F4_WORDS[] = {"f4", "fp4", "f4_e2m1", "mxfp4",
                                       "nvfp4"};

const char *har_unit_name(int unit)
{
    return unit == HAR_UNIT_F4 ? F4_WORDS[0]
                               : core_dtype_name((core_dtype)unit);
}

bool har_unit_of_word(int *out, const char *word)
{
    core_dtype type;
    for (size_t i = 0; i < sizeof F4_WORDS / sizeof F4_WORDS[0]; i++)
        if (strcasecmp(word, F4_WORDS[i]) == 0) {
            *out = HAR_UNIT_F4;
            return true;
        }
    if (!core_dtype_of_word(&type, word))
        return false;
    *out = (int)type;
    return true;
}

har_operands har_operands_plain(core_dtype dtype)
{
    const double size = (double)core_dtype_bytes(dtype);
    return (har_operands){(int)dtype, size, size, size, false};
}

static bool is_integer(core_narrow narrow)
{
    return narrow == CORE_NARROW_INT8 || narrow == CORE_NARROW_INT4;
}

/* -1: the machine has none for both. */
static int narrow_unit(const har_machine *m, core_narrow weights,
                       core_narrow act)
{
    const bool has_four = core_narrow_bits(weights) == 4 &&
                          core_narrow_bits(act) == 4 &&
                          !is_integer(weights);
    if (act == CORE_NARROW_NONE || weights == CORE_NARROW_NONE)
        return -1;
    if (has_four && m->peak[HAR_UNIT_F4] > 0)
        return HAR_UNIT_F4;
    const int eight = is_integer(act) ? CORE_DTYPE_I8 : CORE_DTYPE_F8_E4M3;
    return m->peak[eight] > 0 ? eight : -1;
}

static int unit_bits(int unit)
{
    return unit == HAR_UNIT_F4 ? 4 : 8 * (int)core_dtype_bytes((core_dtype)unit);
}

har_operands har_operands_of(const har_machine *m, const core_types *types,
                             core_narrow weights)
{
    if (weights == CORE_NARROW_NONE)
        return har_operands_plain(types->dtype);
    const int unit = narrow_unit(m, weights, types->act);
    const int used = unit >= 0 ? unit : (int)types->dtype;
    const core_types of = {.w = weights};
    return (har_operands){
        .unit = used,
        .a = unit >= 0 ? core_types_act_bytes(types)
                       : (double)core_dtype_bytes(types->dtype),
        .b = core_types_weight_bytes(&of),
        .out = (double)core_dtype_bytes(core_types_of(types, CORE_SLOT_OUT)),
        .is_unpacked = core_narrow_bits(weights) < unit_bits(used)};
}

double har_dispatch_bytes(const har_machine *m, const core_types *types)
{
    return types->act != CORE_NARROW_NONE
               ? har_operands_of(m, types, types->experts).a
               : (double)core_dtype_bytes(core_types_of(types, CORE_SLOT_OUT));
}
