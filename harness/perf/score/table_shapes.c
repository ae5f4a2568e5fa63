/* harness/perf/score/table_shapes.c -- what the columns of each table mean.
 *
 * Facts about the measurements, not about machines: aiconfigurator counts
 * messages in elements; its expert-parallel rows run every choice of the tokens
 * that reach a rank; its rows of grouped-query decode move up to 1.6 times what
 * the memory can deliver, so half of their cache must come from elsewhere; an
 * eager collective is started by the host; vidur counts bytes and says how many
 * devices of each node took part.
 */
#include "harness/perf/score/table_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double GROUPED_KV_SHARE = 0.5;
enum { MAX_SIZE = 1 << 24, MAX_RANKS = 1 << 16, NODE_GPUS = 8 };

/* --- fields --- */

static core_status field_whole(const har__line *l, int i, int least, int most,
                               int *out)
{
    double value = 0;
    CORE_TRY(har__field_number(l, i, least, most, &value));
    CORE_FAIL_IF(value != floor(value), CORE_E_FORMAT,
                 "%s:%d:%d: %s: expected a whole number, found '%.40s'",
                 l->path, l->number, i + 1, l->format->column[i], l->field[i]);
    *out = (int)value;
    return CORE_OK;
}

static core_status field_word(const har__line *l, int i,
                              const char *const words[], int n, int *out)
{
    for (int k = 0; k < n; k++)
        if (strcmp(l->field[i], words[k]) == 0) {
            *out = k;
            return CORE_OK;
        }
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: unknown word '%.40s'", l->path,
              l->number, i + 1, l->format->column[i], l->field[i]);
}

static core_status read_dtype(const har__line *l, int i, core_dtype *out)
{
    CORE_FAIL_IF(!core_dtype_of_word(out, l->field[i]), CORE_E_FORMAT,
                 "%s:%d:%d: %s: unknown word '%.40s'", l->path, l->number,
                 i + 1, l->format->column[i], l->field[i]);
    return CORE_OK;
}

static core_status read_mnk(const har__line *l, int first, har_op_shape *out)
{
    for (int i = 0; i < 3; i++)
        CORE_TRY(
            har__field_number(l, first + i, 1, MAX_SIZE, &out->as.gemm[i]));
    return CORE_OK;
}

static core_status read_gemm(const har__line *l, har_op_shape *out)
{
    return read_mnk(l, 0, out);
}

static core_status read_gemm_long(const har__line *l, har_op_shape *out)
{
    CORE_TRY(read_dtype(l, 1, &out->dtype));
    return read_mnk(l, 2, out);
}

static core_status read_popularity(const har__line *l, int i,
                                   har_popularity *out)
{
    const char *text = l->field[i];
    char *end = NULL;
    *out = (har_popularity){.is_power_law = false};
    if (strcmp(text, "balanced") == 0)
        return CORE_OK;
    if (strncmp(text, "power_law_", 10) == 0) {
        const double exponent = strtod(text + 10, &end);
        if (end != text + 10 && *end == '\0' && exponent > 0 && exponent < 10) {
            *out = (har_popularity){.is_power_law = true, .exponent = exponent};
            return CORE_OK;
        }
    }
    CORE_FAIL(CORE_E_FORMAT,
              "%s:%d:%d: %s: expected balanced or power_law_EXPONENT, found "
              "'%.40s'",
              l->path, l->number, i + 1, l->format->column[i], text);
}

static core_status read_moe(const har__line *l, har_op_shape *out)
{
    har_moe *moe = &out->as.moe;
    int tp = 0;
    *moe = (har_moe){.n_matrix = 3, .runs_all_choices = true};
    CORE_TRY(har__field_number(l, 1, 1, MAX_SIZE, &moe->n_token));
    CORE_TRY(har__field_number(l, 2, 1, MAX_SIZE, &moe->n_d));
    CORE_TRY(har__field_number(l, 3, 1, MAX_SIZE, &moe->n_f));
    CORE_TRY(field_whole(l, 5, 1, HAR_MAX_EXPERTS, &moe->n_expert));
    CORE_TRY(field_whole(l, 4, 1, moe->n_expert, &moe->n_k));
    CORE_TRY(field_whole(l, 6, 1, (int)moe->n_f, &tp));
    CORE_TRY(field_whole(l, 7, 1, moe->n_expert, &moe->ep));
    moe->n_f /= tp;
    return read_popularity(l, 8, &moe->popularity);
}

static core_status read_heads(const har__line *l, int first, har_op_shape *out)
{
    har_attention *a = &out->as.attention;
    CORE_TRY(har__field_number(l, first, 1, MAX_RANKS, &a->n_h));
    CORE_TRY(har__field_number(l, first + 1, 1, a->n_h, &a->n_g));
    CORE_TRY(har__field_number(l, first + 2, 1, MAX_RANKS, &a->n_dh));
    CORE_TRY(har__field_number(l, first + 3, 0, MAX_SIZE, &a->window));
    return read_dtype(l, first + 4, &out->dtype);
}

static core_status read_context(const har__line *l, har_op_shape *out)
{
    out->as.attention = (har_attention){.kv_share = 1};
    out->op = "prefill";
    CORE_TRY(har__field_number(l, 0, 1, MAX_SIZE, &out->as.attention.n_row));
    CORE_TRY(har__field_number(l, 1, 1, MAX_SIZE, &out->as.attention.n_t));
    return read_heads(l, 2, out);
}

static core_status read_generation(const har__line *l, har_op_shape *out)
{
    har_attention *a = &out->as.attention;
    double step = 0;
    *a = (har_attention){.kv_share = 1};
    out->is_decode = true;
    out->op = "decode";
    CORE_TRY(har__field_number(l, 0, 1, MAX_SIZE, &a->n_row));
    CORE_TRY(har__field_number(l, 1, 1, MAX_SIZE, &a->n_t));
    CORE_TRY(har__field_number(l, 2, 0, MAX_SIZE, &step));
    a->n_t += step;
    CORE_TRY(read_heads(l, 3, out));
    if (a->n_h > a->n_g)
        a->kv_share = GROUPED_KV_SHARE;
    return CORE_OK;
}

static core_status read_message(const har__line *l, int gpus, int size,
                                har_op_shape *out)
{
    CORE_TRY(field_whole(l, gpus, 2, MAX_RANKS, &out->as.collective.n));
    CORE_TRY(har__field_number(l, size, 1, 1e12, &out->as.collective.bytes));
    out->as.collective.n_gpu = out->as.collective.n;
    return CORE_OK;
}

static core_status read_nccl(const har__line *l, har_op_shape *out)
{
    static const char *const ops[] = {"all_reduce", "all_gather",
                                      "reduce_scatter", "alltoall"};
    int op = 0;
    CORE_TRY(field_word(l, 0, ops, 4, &op));
    CORE_TRY(read_dtype(l, 1, &out->dtype));
    out->as.collective.kind = (har_collective)op;
    out->op = ops[op];
    CORE_TRY(read_message(l, 2, 3, out));
    out->as.collective.bytes *= (double)core_dtype_bytes(out->dtype);
    return CORE_OK;
}

static core_status read_custom(const har__line *l, har_op_shape *out)
{
    static const char *const backends[] = {"vllm_graph", "vllm_eager"};
    int backend = 0;
    CORE_TRY(read_dtype(l, 1, &out->dtype));
    CORE_TRY(field_word(l, 5, backends, 2, &backend));
    out->op = "all_reduce";
    out->as.collective.algorithm = HAR_SHOT;
    out->as.collective.is_eager = backend == 1;
    CORE_TRY(read_message(l, 2, 3, out));
    out->as.collective.bytes *= (double)core_dtype_bytes(out->dtype);
    return CORE_OK;
}

static core_status read_vidur(const har__line *l, har_op_shape *out)
{
    static const char *const ops[] = {"all_reduce", "send_recv"};
    int op = 0, per_node = 0;
    CORE_TRY(field_word(l, 9, ops, 2, &op));
    out->op = ops[op];
    out->as.collective.kind = op == 0 ? HAR_ALL_REDUCE : HAR_SEND_RECV;
    CORE_TRY(read_message(l, 7, 8, out));
    CORE_TRY(field_whole(l, 10, 1, NODE_GPUS, &per_node));
    if (per_node < out->as.collective.n)
        out->as.collective.n_gpu = NODE_GPUS + 1;
    return CORE_OK;
}

/* Ten columns from `first` on. */
static core_status read_plan(const har__line *l, int first, har_op_shape *out)
{
    har_training *t = &out->as.training;
    int *const fields[] = {&t->n_gpu, &t->batch, &t->micro_batch, &t->n_d,
                           &t->n_h,   &t->n_l,   &t->n_t,         &t->tp,
                           &t->dp,    &t->pp};
    for (int i = 0; i < 10; i++)
        CORE_TRY(field_whole(l, first + i, 1, 1 << 20, fields[i]));
    CORE_FAIL_IF((int64_t)t->tp * t->dp * t->pp != t->n_gpu, CORE_E_FORMAT,
                 "%s:%d:%d: tensor x data x pipeline parallelism = %lld, "
                 "expected the %d GPUs",
                 l->path, l->number, first + 8,
                 (long long)t->tp * t->dp * t->pp, t->n_gpu);
    CORE_FAIL_IF(t->batch % ((int64_t)t->dp * t->micro_batch) != 0,
                 CORE_E_FORMAT,
                 "%s:%d:%d: a batch of %d does not split into micro-batches of "
                 "%d over %d replicas",
                 l->path, l->number, first + 2, t->batch, t->micro_batch,
                 t->dp);
    return CORE_OK;
}

static core_status read_training(const har__line *l, har_op_shape *out)
{
    return read_plan(l, 0, out);
}

/* The parameters follow from the other columns: a name. */
static core_status read_named_training(const har__line *l, har_op_shape *out)
{
    double billions = 0;
    CORE_TRY(har__field_number(l, 0, 1e-6, 1e6, &billions));
    return read_plan(l, 1, out);
}

#define VIDUR_COLUMNS(op)                                                      \
    {                                                                          \
        "", "time_stats." op ".min", "time_stats." op ".max",                  \
            "time_stats." op ".mean", "time_stats." op ".median",              \
            "time_stats." op ".std", "rank", "num_workers", "size",            \
            "collective", "devices_per_node", "max_devices_per_node"           \
    }

#define DEEPEP_COLUMNS                                                         \
    "framework", "version", "device", "op_name", "kernel_source", "node_num",  \
        "hidden_size", "num_token", "num_topk", "num_experts"

#define PLAN_COLUMNS                                                           \
    "# GPUs", "global batch", "micro batch", "hidden size", "attention heads", \
        "# layers", "sequence length", "tensor parallelism",                   \
        "data parallelism", "pipeline parallelism", "iteration time (ms)"

const har__format har__format_list[] = {
    {"aiconfigurator gemm",
     HAR_GEMM,
     4,
     {"m", "n", "k", "latency"},
     3,
     1 << 3,
     .read = read_gemm},
    {"aiconfigurator gemm, long",
     HAR_GEMM,
     6,
     {"kernel_source", "gemm_dtype", "m", "n", "k", "latency"},
     5,
     1 << 5 | 1 << 1 | 1 << 0,
     .read = read_gemm_long},
    {"aiconfigurator moe",
     HAR_MOE,
     10,
     {"kernel_source", "num_tokens", "hidden_size", "inter_size", "topk",
      "num_experts", "moe_tp_size", "moe_ep_size", "distribution", "latency"},
     9,
     1 << 9,
     .read = read_moe},
    {"aiconfigurator attention, context",
     HAR_ATTENTION,
     9,
     {"batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim",
      "window_size", "attn_dtype", "kv_cache_dtype", "latency"},
     8,
     1 << 8,
     .read = read_context},
    {"aiconfigurator attention, generation",
     HAR_ATTENTION,
     10,
     {"batch_size", "isl", "step", "num_heads", "num_key_value_heads",
      "head_dim", "window_size", "attn_dtype", "kv_cache_dtype", "latency"},
     9,
     1 << 9,
     .read = read_generation},
    {"aiconfigurator nccl",
     HAR_COLLECTIVE,
     5,
     {"op_name", "nccl_dtype", "num_gpus", "message_size", "latency"},
     4,
     1 << 4,
     .read = read_nccl},
    {"aiconfigurator custom all-reduce",
     HAR_COLLECTIVE,
     6,
     {"kernel_source", "allreduce_dtype", "num_gpus", "message_size", "latency",
      "backend"},
     4,
     1 << 4,
     .read = read_custom},
    {"vidur all_reduce", HAR_COLLECTIVE, 12, VIDUR_COLUMNS("all_reduce"), 4,
     0x3f, .read = read_vidur},
    {"vidur send_recv", HAR_COLLECTIVE, 12, VIDUR_COLUMNS("send_recv"), 4, 0x3f,
     .read = read_vidur},
    {"deepep, quick",
     HAR_COLLECTIVE,
     14,
     {DEEPEP_COLUMNS, "combine_avg_t_us", "combine_bandwidth_gbps",
      "dispatch_avg_t_us", "dispatch_bandwidth_gbps"},
     12,
     0xf << 10 | 0x1f,
     har__read_quick,
     .second = 10,
     .unit = 1e-6},
    {"deepep, normal",
     HAR_COLLECTIVE,
     16,
     {DEEPEP_COLUMNS, "dispatch_sms", "dispatch_transmit_us",
      "dispatch_notify_us", "combine_sms", "combine_transmit_us",
      "combine_notify_us"},
     11,
     1 << 11 | 1 << 12 | 1 << 14 | 1 << 15 | 0x1f,
     har__read_normal,
     .second = 14,
     .unit = 1e-6},
    {"vtrain plans", HAR_PLAN, 11, {PLAN_COLUMNS}, 10, 1 << 10,
     .read = read_training},
    {"vtrain plans, with parameters",
     HAR_PLAN,
     12,
     {"Parameters (billion)", PLAN_COLUMNS},
     11,
     1 << 11 | 1 << 0,
     .read = read_named_training},
    {"FasterTransformer gpt",
     HAR_PLAN,
     6,
     {"section", "batch", "input_len", "output_len", "column", "value_ms"},
     5,
     1 << 5,
     har__read_gpt,
     .skips = har__skips_gpt},
};
const int har__n_format =
    (int)(sizeof har__format_list / sizeof har__format_list[0]);

static har_time collective_time(const har_machine *machine,
                                const har_op_shape *shape)
{
    if (shape->is_exchange)
        return har_time_exchange(machine, &shape->as.exchange);
    har_time time = har_time_collective(
        machine, shape->as.collective.kind, shape->as.collective.algorithm,
        shape->as.collective.bytes, shape->as.collective.n,
        har_tier(machine, shape->as.collective.n_gpu));
    const double host = machine->coef[HAR_COEF_HOST].value * 1e-6;
    if (shape->as.collective.is_eager && time.seconds < host)
        time.seconds = host;
    return time;
}

har_time har_op_time(const har_machine *machine, const har_op_shape *shape)
{
    switch (shape->kind) {
    case HAR_GEMM:
        return har_time_gemm(machine, shape->dtype, shape->as.gemm[0],
                             shape->as.gemm[1], shape->as.gemm[2]);
    case HAR_MOE:
        return har_time_moe(machine, shape->dtype, &shape->as.moe);
    case HAR_ATTENTION:
        return shape->is_decode ? har_time_decode(machine, shape->dtype,
                                                  &shape->as.attention)
                                : har_time_prefill(machine, shape->dtype,
                                                   &shape->as.attention);
    case HAR_COLLECTIVE:
        return collective_time(machine, shape);
    default:
        return shape->is_gpt
                   ? har_time_gpt(machine, &shape->as.gpt)
                   : har_time_training(machine, &shape->as.training);
    }
}
