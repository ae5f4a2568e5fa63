/* harness/perf/audit/rules.c -- which quantities a figure is held against.
 *
 * A row is a rule: target, kind, inputs, identity.  The engine applies every
 * rule in which a claim takes part, as target or as input.  The order matters
 * where two rules derive one quantity: the first whose inputs are known gives
 * it.  A rule without inputs of other claims (hardware, model, plan only) makes
 * a broken claim impossible instead of contradicted.
 */
#include "harness/perf/audit/audit.h"

#define Q(name) HAR_Q_##name

static const har_rule rules[] = {
    /* --- degrees --- */
    {"experts of a GPU", Q(EXPERTS_PER_GPU), HAR_RULE_IS, 2,
     {Q(EXPERTS), Q(EP)}, har_id_share_up, "$0 / $1", HAR_ANY_PLAN, 0, 0},
    {"layers of a stage", Q(LAYERS_PER_STAGE), HAR_RULE_IS, 2,
     {Q(LAYERS), Q(PP)}, har_id_share_up, "$0 / $1", HAR_ANY_PLAN, 0, 0},
    {"heads of a GPU", Q(HEADS_PER_GPU), HAR_RULE_IS, 2, {Q(HEADS), Q(TP)},
     har_id_quotient, "$0 / $1", HAR_ANY_PLAN, 0, 0},
    {"parts per GPU", Q(MODULES_PER_GPU), HAR_RULE_IS, 2,
     {Q(MODULES), Q(GPUS)}, har_id_quotient, "$0 / $1", HAR_ANY_PLAN, 0, 0},

    /* --- throughput and latency --- */
    {"tokens per sequence", Q(SEQUENCE_LENGTH), HAR_RULE_IS, 2,
     {Q(TOKENS_PER_S), Q(SEQUENCES_PER_S)}, har_id_quotient, "$0 / $1",
     HAR_ANY_PLAN, 0, 0},
    {"sequences of a pass", Q(SEQUENCES_PER_S), HAR_RULE_IS, 2,
     {Q(BATCH), Q(LATENCY)}, har_id_quotient, "$0 / $1", HAR_ANY_PLAN,
     HAR_WORD_PASS, 1},
    {"sequences in flight", Q(BATCH), HAR_RULE_CHECK, 2,
     {Q(SEQUENCES_PER_S), Q(LATENCY)}, har_id_product, "$0 * $1", HAR_ANY_PLAN,
     HAR_WORD_PASS, 1},
    {"tokens of a pass", Q(TOKENS_PER_S), HAR_RULE_IS, 3,
     {Q(BATCH), Q(SEQUENCE_LENGTH), Q(LATENCY)}, har_id_tokens_of_pass,
     "$0 * $1 / $2", HAR_ANY_PLAN, HAR_WORD_PASS, 1},
    {"tokens of a step", Q(TOKENS_PER_S), HAR_RULE_IS, 2,
     {Q(BATCH), Q(LATENCY)}, har_id_quotient, "$0 / $1", HAR_ANY_PLAN,
     HAR_WORD_PASS, 2},
    {"over the target", Q(TARGET_EXCESS), HAR_RULE_IS, 2,
     {Q(TOKENS_PER_S), Q(TOKENS_TARGET)}, har_id_excess, "$0 / $1 - 1",
     HAR_ANY_PLAN, 0, 0},
    {"shortest sequence", Q(SEQUENCE_LENGTH), HAR_RULE_AT_LEAST, 1,
     {Q(SEQUENCE_MIN)}, har_id_same, "$0", HAR_ANY_PLAN, 0, 0},
    {"longest sequence", Q(SEQUENCE_LENGTH), HAR_RULE_AT_MOST, 1,
     {Q(SEQUENCE_MAX)}, har_id_same, "$0", HAR_ANY_PLAN, 0, 0},

    /* --- compute --- */
    {"FLOPs of a token", Q(FLOP_PER_TOKEN), HAR_RULE_IS, 5,
     {Q(PRODUCT_PARAMETERS), Q(LAYERS), Q(HEADS), Q(HEAD_SIZE),
      Q(SEQUENCE_LENGTH)}, har_id_flop_per_token,
     "2 * $0 up to + 4 * $1 * $2 * $3 * $4 of scores", HAR_ANY_PLAN, 0, 0},
    {"FLOPs of a token at least", Q(FLOP_PER_TOKEN), HAR_RULE_IS, 1,
     {Q(PRODUCT_PARAMETERS)}, har_id_flop_at_least, "2 * $0 or more",
     HAR_ANY_PLAN, 0, 0},
    {"MFU of the throughput", Q(MFU), HAR_RULE_IS, 4,
     {Q(TOKENS_PER_S), Q(FLOP_PER_TOKEN), Q(GPUS), Q(PEAK_FLOPS)}, har_id_mfu,
     "$0 * $1 / ($2 * $3)", HAR_ANY_PLAN, 0, 0},
    {"MFU of a pass", Q(MFU), HAR_RULE_CHECK, 6,
     {Q(BATCH), Q(SEQUENCE_LENGTH), Q(FLOP_PER_TOKEN), Q(LATENCY), Q(GPUS),
      Q(PEAK_FLOPS)}, har_id_mfu_of_pass, "$0 * $1 * $2 / ($3 * $4 * $5)",
     HAR_ANY_PLAN, HAR_WORD_PASS, 1},
    {"compute of a pass", Q(LATENCY), HAR_RULE_AT_LEAST, 5,
     {Q(BATCH), Q(SEQUENCE_LENGTH), Q(FLOP_PER_TOKEN), Q(GPUS), Q(PEAK_FLOPS)},
     har_id_least_latency, "$0 * $1 * $2 / ($3 * $4)", HAR_ANY_PLAN,
     HAR_WORD_PASS, 1},
    {"compute of a step", Q(LATENCY), HAR_RULE_AT_LEAST, 4,
     {Q(BATCH), Q(FLOP_PER_TOKEN), Q(GPUS), Q(PEAK_FLOPS)}, har_id_least_step,
     "$0 * $1 / ($2 * $3)", HAR_ANY_PLAN, HAR_WORD_PASS, 2},
    {"effective compute", Q(EFFECTIVE_FLOPS), HAR_RULE_IS, 2,
     {Q(MFU), Q(PEAK_FLOPS)}, har_id_product, "$0 * $1", HAR_ANY_PLAN, 0, 0},
    {"MFU within busy time", Q(MFU), HAR_RULE_AT_MOST, 1, {Q(BUSY)},
     har_id_same, "$0", HAR_ANY_PLAN, 0, 0},

    /* --- schedule --- */
    {"bubble of the schedule", Q(BUBBLE), HAR_RULE_IS, 2,
     {Q(PP), Q(MICRO_BATCHES)}, har_id_bubble, "($0 - 1) / ($1 + $0 - 1)",
     HAR_STAGE_ONLY, 0, 0},
    {"bubble of the lockstep schedule", Q(BUBBLE), HAR_RULE_IS, 3,
     {Q(PP), Q(MICRO_BATCHES), Q(ATTENTION_SHARE)}, har_id_bubble_lockstep,
     "($0 - 1) a / ($1 + ($0 - 1) a) to ($0 - 1) / ($1 + $0 - 1) with a = $2",
     HAR_REPLICA_ONLY, 0, 0},
    {"FLOPs outside experts", Q(ATTENTION_SHARE), HAR_RULE_IS, 6,
     {Q(MIXER_PARAMETERS), Q(CHOSEN_PARAMETERS), Q(LAYERS), Q(HEADS),
      Q(HEAD_SIZE), Q(SEQUENCE_LENGTH)}, har_id_attention_share,
     "$0 / ($0 + $1), to both $0 with 2 * $2 * $3 * $4 * $5 of scores",
     HAR_ANY_PLAN, 0, 0},
    {"FLOPs outside experts at least", Q(ATTENTION_SHARE), HAR_RULE_IS, 2,
     {Q(MIXER_PARAMETERS), Q(CHOSEN_PARAMETERS)}, har_id_attention_at_least,
     "$0 / ($0 + $1) or more", HAR_ANY_PLAN, 0, 0},
    {"part that nothing hides", Q(COMMUNICATION_EXPOSED), HAR_RULE_IS, 1,
     {Q(COMMUNICATION_TOTAL)}, har_id_part_of, "0 to $0", HAR_ANY_PLAN, 0, 0},
    {"busy time", Q(BUSY), HAR_RULE_CEILING, 2,
     {Q(BUBBLE), Q(COMMUNICATION_EXPOSED)}, har_id_busy, "1 - $0 - $1",
     HAR_ANY_PLAN, 0, 0},
    {"busy time under the schedule", Q(BUSY), HAR_RULE_AT_MOST, 2,
     {Q(PP), Q(MICRO_BATCHES)}, har_id_busy_schedule,
     "1 - ($0 - 1) / ($1 + $0 - 1)", HAR_STAGE_ONLY, 0, 0},
    {"busy time under the lockstep schedule", Q(BUSY), HAR_RULE_AT_MOST, 3,
     {Q(PP), Q(MICRO_BATCHES), Q(ATTENTION_SHARE)}, har_id_busy_lockstep,
     "1 - ($0 - 1) a / ($1 + ($0 - 1) a) with a = $2", HAR_REPLICA_ONLY, 0, 0},
    {"busy time and balance", Q(BUSY), HAR_RULE_CEILING, 4,
     {Q(BUBBLE), Q(COMMUNICATION_EXPOSED), Q(ATTENTION_SHARE), Q(BALANCE)},
     har_id_busy_balanced, "(1 - $0 - $1) / (a + (1 - a) / $3) with a = $2",
     HAR_ANY_PLAN, 0, 0},
    {"balance and capacity", Q(BALANCE), HAR_RULE_AT_LEAST, 2,
     {Q(CAPACITY_FACTOR), Q(DROPPED)}, har_id_least_balance, "(1 - $1) / $0",
     HAR_ANY_PLAN, 0, 0},

    /* --- memory --- */
    {"weights, KV and activations", Q(MEMORY_USED), HAR_RULE_AT_LEAST, 8,
     {Q(WEIGHT_BYTES), Q(KV_BYTES), Q(BATCH), Q(SEQUENCE_LENGTH), Q(HIDDEN),
      Q(BYTES_PER_WEIGHT), Q(DP), Q(MICRO_BATCHES)}, har_id_memory,
     "$0 + $1 + $2 * $3 * $4 * $5 / ($6 * $7)", HAR_ANY_PLAN, 0, 0},
    {"share of memory", Q(MEMORY_FRACTION), HAR_RULE_IS, 2,
     {Q(MEMORY_USED), Q(MEMORY_CAPACITY)}, har_id_quotient, "$0 / $1",
     HAR_ANY_PLAN, 0, 0},
    {"headroom", Q(MEMORY_HEADROOM), HAR_RULE_IS, 2,
     {Q(MEMORY_USED), Q(MEMORY_CAPACITY)}, har_id_headroom, "1 - $0 / $1",
     HAR_ANY_PLAN, 0, 0},
    {"weights of a GPU", Q(WEIGHT_BYTES), HAR_RULE_IS, 8,
     {Q(DENSE_PARAMETERS), Q(EXPERT_PARAMETERS), Q(BYTES_PER_WEIGHT), Q(TP),
      Q(PP), Q(EP), Q(ETP), Q(EXPERT_STAGES)}, har_id_weight_bytes,
     "($0 / ($3 * $4) + $1 / ($5 * $6 * $7)) * $2", HAR_ANY_PLAN, 0, 0},
    {"KV cache of a GPU", Q(KV_BYTES), HAR_RULE_IS, 7,
     {Q(KV_PER_TOKEN), Q(BATCH), Q(SEQUENCE_LENGTH), Q(BYTES_PER_WEIGHT),
      Q(TP), Q(PP), Q(DP)}, har_id_kv_bytes,
     "$0 * $1 * $2 * $3 / ($4 * $5 * $6)", HAR_ANY_PLAN, 0, 0},
    {"weights alone", Q(MEMORY_USED), HAR_RULE_AT_LEAST, 1, {Q(WEIGHT_BYTES)},
     har_id_same, "$0", HAR_ANY_PLAN, 0, 0},
    {"memory that there is", Q(MEMORY_USED), HAR_RULE_AT_MOST, 1,
     {Q(MEMORY_CAPACITY)}, har_id_same, "$0", HAR_ANY_PLAN, 0, 0},
    {"memory at the longest sequence", Q(MEMORY_CAPACITY), HAR_RULE_AT_LEAST, 8,
     {Q(WEIGHT_BYTES), Q(KV_PER_TOKEN), Q(BATCH), Q(SEQUENCE_MAX),
      Q(BYTES_PER_WEIGHT), Q(TP), Q(PP), Q(DP)}, har_id_memory_longest,
     "$0 + $1 * $2 * $3 * $4 / ($5 * $6 * $7)", HAR_ANY_PLAN, 0, 0},

    /* --- bandwidth --- */
    {"weights that a pass reads", Q(LEAST_READ), HAR_RULE_IS, 5,
     {Q(DENSE_PARAMETERS), Q(EXPERT_PARAMETERS), Q(BYTES_PER_WEIGHT), Q(GPUS),
      Q(CAPACITY_FACTOR)}, har_id_least_read, "($0 + $1 / $4) * $2 / $3",
     HAR_ANY_PLAN, 0, 0},
    {"time to read the weights", Q(LATENCY), HAR_RULE_AT_LEAST, 2,
     {Q(LEAST_READ), Q(MEMORY_BANDWIDTH)}, har_id_quotient, "$0 / $1",
     HAR_ANY_PLAN, 0, 0},
    {"traffic of the weights", Q(BANDWIDTH_UTILISATION), HAR_RULE_AT_LEAST, 3,
     {Q(LEAST_READ), Q(LATENCY), Q(MEMORY_BANDWIDTH)}, har_id_bandwidth_share,
     "$0 / ($1 * $2)", HAR_ANY_PLAN, 0, 0},
    {"effective bandwidth", Q(BANDWIDTH_EFFECTIVE), HAR_RULE_IS, 2,
     {Q(BANDWIDTH_UTILISATION), Q(MEMORY_BANDWIDTH)}, har_id_product,
     "$0 * $1", HAR_ANY_PLAN, 0, 0},
    {"the memory's own figure", Q(LINK_EFFECTIVE), HAR_RULE_IS_OTHER, 2,
     {Q(BANDWIDTH_UTILISATION), Q(MEMORY_BANDWIDTH)}, har_id_product,
     "$0 * $1", HAR_ANY_PLAN, 0, 0},
    {"links and memory", Q(LINK_EFFECTIVE), HAR_RULE_AT_MOST, 1,
     {Q(MEMORY_BANDWIDTH)}, har_id_same, "$0", HAR_ANY_PLAN, 0, 0},
    {"peak of the links", Q(LINK_EFFECTIVE), HAR_RULE_AT_MOST, 1,
     {Q(LINK_BANDWIDTH)}, har_id_same, "$0", HAR_ANY_PLAN, 0, 0},

    /* --- communication --- */
    {"traffic of a pass", Q(TRAFFIC), HAR_RULE_IS, 10,
     {Q(BATCH), Q(SEQUENCE_LENGTH), Q(HIDDEN), Q(BYTES_PER_WEIGHT), Q(LAYERS),
      Q(TP), Q(PP), Q(DP), Q(EP), Q(TOP_K)}, har_id_traffic,
     "$0 * $1 * $2 * $3 / $7 * $4 / $6 * (2 ($5 - 1) / $5 + 2 * $9 / $5 * "
     "($8 - 1) / $8)", HAR_ANY_PLAN, HAR_WORD_PASS, 1},
    {"time of the traffic", Q(COMMUNICATION_TOTAL), HAR_RULE_AT_LEAST, 3,
     {Q(TRAFFIC), Q(LATENCY), Q(LINK_EFFECTIVE)}, har_id_bandwidth_share,
     "$0 / ($1 * $2)", HAR_ANY_PLAN, 0, 0},
};

enum { N_RULES = sizeof rules / sizeof rules[0] };

const har_rule *har_rule_at(int i)
{
    return i >= 0 && i < N_RULES ? &rules[i] : NULL;
}
