/* harness/perf/score/table_exchange.c -- DeepEP's dispatch and combine.
 *
 * Facts about the measurements: a line has both; nodes have eight devices;
 * dispatch carries one byte a value and a float of scale for 128 of them,
 * combine bf16; bandwidths beside the times follow from them.
 */
#include "harness/perf/score/table_impl.h"

enum { NODE_GPUS = 8, MOST = 1 << 24, NODES = 5, MANY_UNITS = 1024 };
static const double DISPATCH_BYTES = 1 + 4.0 / 128, COMBINE_BYTES = 2;

static core_status read_tokens(const har__line *l, har_op_shape *out)
{
    har_exchange *x = &out->as.exchange;
    double nodes = 0, k = 0;
    CORE_TRY(har__field_number(l, NODES, 1, 1024, &nodes));
    CORE_TRY(har__field_number(l, NODES + 1, 1, MOST, &x->n_d));
    CORE_TRY(har__field_number(l, NODES + 2, 1, MOST, &x->n_token));
    CORE_TRY(har__field_number(l, NODES + 3, 1, HAR_MAX_EXPERTS, &k));
    x->n_k = (int)k;
    x->n_gpu = NODE_GPUS * (int)nodes;
    x->is_combine = l->is_second;
    x->value_bytes = l->is_second ? COMBINE_BYTES : DISPATCH_BYTES;
    out->op = l->is_second ? "combine" : "dispatch";
    out->is_exchange = true;
    return CORE_OK;
}

core_status har__read_quick(const har__line *l, har_op_shape *out)
{
    out->as.exchange = (har_exchange){.is_quick = true};
    return read_tokens(l, out);
}

core_status har__read_normal(const har__line *l, har_op_shape *out)
{
    double units = 0;
    out->as.exchange = (har_exchange){.is_quick = false};
    CORE_TRY(
        har__field_number(l, l->is_second ? 13 : 10, 1, MANY_UNITS, &units));
    out->as.exchange.n_unit = (int)units;
    return read_tokens(l, out);
}
