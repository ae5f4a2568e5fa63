/* harness/perf/audit/rules.c -- which quantities a figure is held against.
 *
 * A row is a rule: target, kind, inputs, formula.  The engine applies every
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
     {Q(EXPERTS), Q(EP)}, .formula = "$0 / $1", .f = har_id_share_up},
    {"layers of a stage", Q(LAYERS_PER_STAGE), HAR_RULE_IS, 2,
     {Q(LAYERS), Q(PP)}, .formula = "$0 / $1", .f = har_id_share_up},
    {"heads of a GPU", Q(HEADS_PER_GPU), HAR_RULE_IS, 2, {Q(HEADS), Q(TP)},
     .formula = "$0 / $1"},
    {"parts per GPU", Q(MODULES_PER_GPU), HAR_RULE_IS, 2, {Q(MODULES), Q(GPUS)},
     .formula = "$0 / $1"},

    /* --- throughput and latency --- */
    {"tokens per sequence", Q(SEQUENCE_LENGTH), HAR_RULE_IS, 2,
     {Q(TOKENS_PER_S), Q(SEQUENCES_PER_S)}, .formula = "$0 / $1"},
    {"sequences of a pass", Q(SEQUENCES_PER_S), HAR_RULE_IS, 2,
     {Q(BATCH), Q(LATENCY)}, .formula = "$0 / $1", .word = HAR_WORD_PASS,
     .meaning = 1},
    {"sequences in flight", Q(BATCH), HAR_RULE_CHECK, 2,
     {Q(SEQUENCES_PER_S), Q(LATENCY)}, .formula = "$0 * $1",
     .word = HAR_WORD_PASS, .meaning = 1},
    {"tokens of a pass", Q(TOKENS_PER_S), HAR_RULE_IS, 3,
     {Q(BATCH), Q(SEQUENCE_LENGTH), Q(LATENCY)}, .formula = "$0 * $1 / $2",
     .word = HAR_WORD_PASS, .meaning = 1},
    {"tokens of a step", Q(TOKENS_PER_S), HAR_RULE_IS, 2,
     {Q(BATCH), Q(LATENCY)}, .formula = "$0 / $1", .word = HAR_WORD_PASS,
     .meaning = 2},
    {"over the target", Q(TARGET_EXCESS), HAR_RULE_IS, 2,
     {Q(TOKENS_PER_S), Q(TOKENS_TARGET)}, .formula = "$0 / $1 - 1",
     .f = har_id_excess},
    {"shortest sequence", Q(SEQUENCE_LENGTH), HAR_RULE_AT_LEAST, 1,
     {Q(SEQUENCE_MIN)}, .formula = "$0"},
    {"longest sequence", Q(SEQUENCE_LENGTH), HAR_RULE_AT_MOST, 1,
     {Q(SEQUENCE_MAX)}, .formula = "$0"},

    /* --- compute --- */
    {"FLOPs of a token", Q(FLOP_PER_TOKEN), HAR_RULE_IS, 5,
     {Q(PRODUCT_PARAMETERS), Q(LAYERS), Q(HEADS), Q(HEAD_SIZE),
      Q(SEQUENCE_LENGTH)},
     .formula = "2 * $0 up to + 4 * $1 * $2 * $3 * $4 of scores",
     .f = har_id_flop_per_token},
    {"FLOPs of a token at least", Q(FLOP_PER_TOKEN), HAR_RULE_IS, 1,
     {Q(PRODUCT_PARAMETERS)}, .formula = "2 * $0 or more",
     .f = har_id_flop_at_least},
    {"MFU of the throughput", Q(MFU), HAR_RULE_IS, 4,
     {Q(TOKENS_PER_S), Q(FLOP_PER_TOKEN), Q(GPUS), Q(PEAK_FLOPS)},
     .formula = "$0 * $1 / ($2 * $3)"},
    {"MFU of a pass", Q(MFU), HAR_RULE_CHECK, 6,
     {Q(BATCH), Q(SEQUENCE_LENGTH), Q(FLOP_PER_TOKEN), Q(LATENCY), Q(GPUS),
      Q(PEAK_FLOPS)}, .formula = "$0 * $1 * $2 / ($3 * $4 * $5)",
     .word = HAR_WORD_PASS, .meaning = 1},
    {"compute of a pass", Q(LATENCY), HAR_RULE_AT_LEAST, 5,
     {Q(BATCH), Q(SEQUENCE_LENGTH), Q(FLOP_PER_TOKEN), Q(GPUS), Q(PEAK_FLOPS)},
     .formula = "$0 * $1 * $2 / ($3 * $4)", .word = HAR_WORD_PASS,
     .meaning = 1},
    {"compute of a step", Q(LATENCY), HAR_RULE_AT_LEAST, 4,
     {Q(BATCH), Q(FLOP_PER_TOKEN), Q(GPUS), Q(PEAK_FLOPS)},
     .formula = "$0 * $1 / ($2 * $3)", .word = HAR_WORD_PASS, .meaning = 2},
    {"effective compute", Q(EFFECTIVE_FLOPS), HAR_RULE_IS, 2,
     {Q(MFU), Q(PEAK_FLOPS)}, .formula = "$0 * $1"},
    {"MFU within busy time", Q(MFU), HAR_RULE_AT_MOST, 1, {Q(BUSY)},
     .formula = "$0"},

    /* --- schedule --- */
    {"bubble of the schedule", Q(BUBBLE), HAR_RULE_IS, 2,
     {Q(PP), Q(MICRO_BATCHES)}, .formula = "($0 - 1) / ($1 + $0 - 1)",
     .f = har_id_bubble, .scope = HAR_STAGE_ONLY},
    {"bubble of the lockstep schedule", Q(BUBBLE), HAR_RULE_IS, 3,
     {Q(PP), Q(MICRO_BATCHES), Q(ATTENTION_SHARE)},
     .formula = "($0 - 1) a / ($1 + ($0 - 1) a) to ($0 - 1) / ($1 + $0 - 1) "
                "with a = $2",
     .f = har_id_bubble_lockstep, .scope = HAR_REPLICA_ONLY},
    {"FLOPs outside experts", Q(ATTENTION_SHARE), HAR_RULE_IS, 6,
     {Q(MIXER_PARAMETERS), Q(CHOSEN_PARAMETERS), Q(LAYERS), Q(HEADS),
      Q(HEAD_SIZE), Q(SEQUENCE_LENGTH)},
     .formula = "$0 / ($0 + $1), to both $0 with 2 * $2 * $3 * $4 * $5 of "
                "scores",
     .f = har_id_attention_share},
    {"FLOPs outside experts at least", Q(ATTENTION_SHARE), HAR_RULE_IS, 2,
     {Q(MIXER_PARAMETERS), Q(CHOSEN_PARAMETERS)},
     .formula = "$0 / ($0 + $1) or more", .f = har_id_attention_at_least},
    {"part that nothing hides", Q(COMMUNICATION_EXPOSED), HAR_RULE_IS, 1,
     {Q(COMMUNICATION_TOTAL)}, .formula = "0 to $0", .f = har_id_part_of},
    {"busy time", Q(BUSY), HAR_RULE_CEILING, 2,
     {Q(BUBBLE), Q(COMMUNICATION_EXPOSED)}, .formula = "1 - $0 - $1"},
    {"busy time under the schedule", Q(BUSY), HAR_RULE_AT_MOST, 2,
     {Q(PP), Q(MICRO_BATCHES)}, .formula = "1 - ($0 - 1) / ($1 + $0 - 1)",
     .f = har_id_busy_schedule, .scope = HAR_STAGE_ONLY},
    {"busy time under the lockstep schedule", Q(BUSY), HAR_RULE_AT_MOST, 3,
     {Q(PP), Q(MICRO_BATCHES), Q(ATTENTION_SHARE)},
     .formula = "1 - ($0 - 1) a / ($1 + ($0 - 1) a) with a = $2",
     .f = har_id_busy_lockstep, .scope = HAR_REPLICA_ONLY},
    {"busy time and balance", Q(BUSY), HAR_RULE_CEILING, 4,
     {Q(BUBBLE), Q(COMMUNICATION_EXPOSED), Q(ATTENTION_SHARE), Q(BALANCE)},
     .formula = "(1 - $0 - $1) / (a + (1 - a) / $3) with a = $2",
     .f = har_id_busy_balanced},
    /* no expert, so no GPU, has more than factor times the mean of choices */
    {"balance and capacity", Q(BALANCE), HAR_RULE_AT_LEAST, 2,
     {Q(CAPACITY_FACTOR), Q(DROPPED)}, .formula = "(1 - $1) / $0"},

    /* --- memory --- */
    /* activations: the hidden states of one micro-batch */
    {"weights, KV and activations", Q(MEMORY_USED), HAR_RULE_AT_LEAST, 8,
     {Q(WEIGHT_BYTES), Q(KV_BYTES), Q(BATCH), Q(SEQUENCE_LENGTH), Q(HIDDEN),
      Q(BYTES_PER_WEIGHT), Q(DP), Q(MICRO_BATCHES)},
     .formula = "$0 + $1 + $2 * $3 * $4 * $5 / ($6 * $7)"},
    {"share of memory", Q(MEMORY_FRACTION), HAR_RULE_IS, 2,
     {Q(MEMORY_USED), Q(MEMORY_CAPACITY)}, .formula = "$0 / $1"},
    {"headroom", Q(MEMORY_HEADROOM), HAR_RULE_IS, 2,
     {Q(MEMORY_USED), Q(MEMORY_CAPACITY)}, .formula = "1 - $0 / $1"},
    {"weights of a GPU", Q(WEIGHT_BYTES), HAR_RULE_IS, 8,
     {Q(DENSE_PARAMETERS), Q(EXPERT_PARAMETERS), Q(BYTES_PER_WEIGHT), Q(TP),
      Q(PP), Q(EP), Q(ETP), Q(EXPERT_STAGES)},
     .formula = "($0 / ($3 * $4) + $1 / ($5 * $6 * $7)) * $2"},
    {"KV cache of a GPU", Q(KV_BYTES), HAR_RULE_IS, 7,
     {Q(KV_PER_TOKEN), Q(BATCH), Q(SEQUENCE_LENGTH), Q(BYTES_PER_WEIGHT),
      Q(TP), Q(PP), Q(DP)}, .formula = "$0 * $1 * $2 * $3 / ($4 * $5 * $6)"},
    {"weights alone", Q(MEMORY_USED), HAR_RULE_AT_LEAST, 1, {Q(WEIGHT_BYTES)},
     .formula = "$0"},
    {"memory that there is", Q(MEMORY_USED), HAR_RULE_AT_MOST, 1,
     {Q(MEMORY_CAPACITY)}, .formula = "$0"},
    {"memory at the longest sequence", Q(MEMORY_CAPACITY), HAR_RULE_AT_LEAST, 8,
     {Q(WEIGHT_BYTES), Q(KV_PER_TOKEN), Q(BATCH), Q(SEQUENCE_MAX),
      Q(BYTES_PER_WEIGHT), Q(TP), Q(PP), Q(DP)},
     .formula = "$0 + $1 * $2 * $3 * $4 / ($5 * $6 * $7)"},

    /* --- bandwidth --- */
    {"weights that a pass reads", Q(LEAST_READ), HAR_RULE_IS, 5,
     {Q(DENSE_PARAMETERS), Q(EXPERT_PARAMETERS), Q(BYTES_PER_WEIGHT), Q(GPUS),
      Q(CAPACITY_FACTOR)}, .formula = "($0 + $1 / $4) * $2 / $3",
     .f = har_id_least_read},
    {"time to read the weights", Q(LATENCY), HAR_RULE_AT_LEAST, 2,
     {Q(LEAST_READ), Q(MEMORY_BANDWIDTH)}, .formula = "$0 / $1"},
    {"traffic of the weights", Q(BANDWIDTH_UTILISATION), HAR_RULE_AT_LEAST, 3,
     {Q(LEAST_READ), Q(LATENCY), Q(MEMORY_BANDWIDTH)},
     .formula = "$0 / ($1 * $2)"},
    {"effective bandwidth", Q(BANDWIDTH_EFFECTIVE), HAR_RULE_IS, 2,
     {Q(BANDWIDTH_UTILISATION), Q(MEMORY_BANDWIDTH)}, .formula = "$0 * $1"},
    {"the memory's own figure", Q(LINK_EFFECTIVE), HAR_RULE_IS_OTHER, 2,
     {Q(BANDWIDTH_UTILISATION), Q(MEMORY_BANDWIDTH)}, .formula = "$0 * $1"},
    {"links and memory", Q(LINK_EFFECTIVE), HAR_RULE_AT_MOST, 1,
     {Q(MEMORY_BANDWIDTH)}, .formula = "$0"},
    {"peak of the links", Q(LINK_EFFECTIVE), HAR_RULE_AT_MOST, 1,
     {Q(LINK_BANDWIDTH)}, .formula = "$0"},

    /* --- communication --- */
    {"traffic of a pass", Q(TRAFFIC), HAR_RULE_IS, 10,
     {Q(BATCH), Q(SEQUENCE_LENGTH), Q(HIDDEN), Q(BYTES_PER_WEIGHT), Q(LAYERS),
      Q(TP), Q(PP), Q(DP), Q(EP), Q(TOP_K)},
     .formula = "$0 * $1 * $2 * $3 / $7 * $4 / $6 * (2 ($5 - 1) / $5 + 2 * $9 "
                "/ $5 * ($8 - 1) / $8)",
     .f = har_id_traffic, .word = HAR_WORD_PASS, .meaning = 1},
    {"time of the traffic", Q(COMMUNICATION_TOTAL), HAR_RULE_AT_LEAST, 3,
     {Q(TRAFFIC), Q(LATENCY), Q(LINK_EFFECTIVE)}, .formula = "$0 / ($1 * $2)"},
};

enum { N_RULES = sizeof rules / sizeof rules[0] };

const har_rule *har_rule_at(int i)
{
    return i >= 0 && i < N_RULES ? &rules[i] : NULL;
}

har_interval har_rule_value(const har_rule *rule, const har_interval *x)
{
    return rule->f != NULL ? rule->f(x) : har_formula(rule->formula, x);
}
