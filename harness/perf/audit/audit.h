/* harness/perf/audit/audit.h -- are the published figures of a plan true?
 *
 * A claims file (docs/audit.md) lists what a document says: a quantity, a value,
 * a unit, the line it is from.  Figures are rounded, so every claim is an
 * interval; a claim is only called wrong when intervals cannot meet.  Rules
 * (rules.c) relate quantities; a quantity that nobody states is derived
 * from others where a rule gives it.  What the document leaves open is tried in
 * every way: which plan its degrees mean (a reading), and what its words mean.
 *
 * All values are in base units: seconds, bytes, FLOP/s, tokens/s, fractions.
 */
#ifndef HAR_PERF_AUDIT_H
#define HAR_PERF_AUDIT_H

#include "core/model/config.h"
#include "harness/perf/audit/identities.h"
#include "parallel/plan.h"

#include <stdio.h>

/* quantity, its name in files, dimension, what it is */
#define HAR_QUANTITY_LIST(X)                                                    \
    X(GPUS, "gpus", COUNT, "GPUs in all")                                       \
    X(NODES, "nodes", COUNT, "nodes in all")                                    \
    X(GPUS_PER_NODE, "gpus_per_node", COUNT, "GPUs of a node")                  \
    X(TP, "tp", COUNT, "tensor-parallel degree")                                \
    X(PP, "pp", COUNT, "pipeline stages")                                       \
    X(DP, "dp", COUNT, "data-parallel replicas")                                \
    X(EP, "ep", COUNT, "expert-parallel degree")                                \
    X(ETP, "etp", COUNT, "column parts of an expert")                           \
    X(CP, "cp", COUNT, "context-parallel degree")                               \
    X(VPP, "vpp", COUNT, "virtual stages of a pipeline stage")                  \
    X(MICRO_BATCHES, "micro_batches", COUNT, "micro-batches of a pass")         \
    X(MODULES, "modules", COUNT, "distinct parts that one replica is cut into") \
    X(MODULES_PER_GPU, "modules_per_gpu", RATIO, "such parts per GPU")          \
    X(LAYERS, "layers", COUNT, "layers of the model")                           \
    X(LAYERS_PER_STAGE, "layers_per_stage", COUNT, "layers of a stage")         \
    X(HEADS, "heads", COUNT, "query heads")                                     \
    X(HEADS_PER_GPU, "heads_per_gpu", COUNT, "query heads of a GPU")            \
    X(HEAD_SIZE, "head_size", COUNT, "elements of a head")                      \
    X(EXPERTS, "experts", COUNT, "experts of a layer")                          \
    X(EXPERTS_PER_GPU, "experts_per_gpu", COUNT,                                \
      "experts of a layer that a GPU holds, whole or a column part of each")    \
    X(REDUNDANT, "redundant_experts", COUNT,                                    \
      "copies of experts of a layer beyond the first of each")                  \
    X(TOP_K, "top_k", COUNT, "experts that a token uses")                       \
    X(CAPACITY_FACTOR, "capacity_factor", RATIO, "slots per expert / fair share") \
    X(PARAMETERS, "parameters", NUMBER, "parameters of the model")              \
    X(ACTIVE_PARAMETERS, "active_parameters", NUMBER, "of them used by a token") \
    X(BATCH, "batch", SEQUENCES, "sequences of a pass")                         \
    X(SEQUENCE_LENGTH, "sequence_length", TOKENS, "tokens of a sequence")       \
    X(SEQUENCE_MIN, "sequence_min", TOKENS, "shortest sequence served")         \
    X(SEQUENCE_MAX, "sequence_max", TOKENS, "longest sequence served")          \
    X(LATENCY, "latency", TIME, "time of one forward pass")                     \
    X(TOKENS_PER_S, "tokens_per_second", TOKEN_RATE, "tokens processed")        \
    X(TOKENS_PER_GPU, "tokens_per_second_per_gpu", TOKEN_RATE,                  \
      "tokens processed, over the GPUs")                                        \
    X(TOKENS_PER_NODE, "tokens_per_second_per_node", TOKEN_RATE,                \
      "tokens processed, over the nodes")                                       \
    X(USER_RATE, "tokens_per_second_per_user", TOKEN_RATE,                      \
      "tokens that a sequence gets while it decodes")                           \
    X(TTFT, "ttft", TIME, "time to the first token of a sequence")              \
    X(TPOT, "tpot", TIME, "time of an output token of a sequence after it")     \
    X(HIT_RATE, "hit_rate", FRACTION,                                           \
      "tokens that are found in a cache and not computed")                      \
    X(MTP_ACCEPTED, "mtp_accepted", RATIO,                                      \
      "drafted tokens that a step keeps besides its own")                       \
    X(TOKENS_TARGET, "tokens_target", TOKEN_RATE, "tokens/s that are required") \
    X(TARGET_EXCESS, "target_excess", FRACTION, "tokens/s over the target, less 1") \
    X(SEQUENCES_PER_S, "sequences_per_second", SEQUENCE_RATE, "sequences processed") \
    X(PEAK_FLOPS, "peak_flops", FLOPS, "peak of a GPU")                         \
    X(MFU, "mfu", FRACTION, "model FLOP/s over the peak of all GPUs")           \
    X(EFFECTIVE_FLOPS, "effective_flops", FLOPS, "model FLOP/s of a GPU")       \
    X(UTILISATION, "utilisation", FRACTION, "a word: busy time, or MFU")        \
    X(BUSY, "busy", FRACTION, "share of the GPUs' time that is not waiting")    \
    X(BUBBLE, "bubble", FRACTION, "share of the GPUs' time lost to the schedule") \
    X(COMMUNICATION, "communication_overhead", FRACTION,                        \
      "a word: all communication, or what is not hidden, over the latency")     \
    X(COMMUNICATION_TOTAL, "communication_total", FRACTION,                     \
      "time of all communication over the latency")                             \
    X(COMMUNICATION_EXPOSED, "communication_exposed", FRACTION,                 \
      "time of communication that nothing hides, over the latency")             \
    X(BALANCE, "balance", FRACTION, "mean load of a GPU over the largest")      \
    X(DROPPED, "dropped", FRACTION, "token choices that found no slot")         \
    X(MEMORY_CAPACITY, "memory_capacity", BYTES, "memory of a GPU")             \
    X(MEMORY_USED, "memory_used", BYTES, "memory used on the fullest GPU")      \
    X(MEMORY_FRACTION, "memory_fraction", FRACTION, "used / capacity")          \
    X(MEMORY_HEADROOM, "memory_headroom", FRACTION, "1 - used / capacity")      \
    X(MEMORY_BANDWIDTH, "memory_bandwidth", BANDWIDTH, "peak of a GPU's memory") \
    X(BANDWIDTH_UTILISATION, "bandwidth_utilisation", FRACTION,                 \
      "memory traffic over the memory's peak")                                  \
    X(BANDWIDTH_EFFECTIVE, "bandwidth_effective", BANDWIDTH, "memory traffic")  \
    X(LINK_BANDWIDTH, "link_bandwidth", BANDWIDTH, "peak of a GPU's links")     \
    X(LINK_EFFECTIVE, "link_effective", BANDWIDTH, "traffic over a GPU's links") \
    X(BYTES_PER_WEIGHT, "bytes_per_weight", RATIO, "bytes of a stored number")  \
    X(FLOP_PER_TOKEN, "flop_per_token", FLOP, "model FLOPs of a token")         \
    X(DENSE_PARAMETERS, "dense_parameters", NUMBER, "parameters outside experts") \
    X(EXPERT_PARAMETERS, "expert_parameters", NUMBER, "parameters of all experts") \
    X(EXPERT_STAGES, "expert_stages", COUNT, "stages that the experts are cut into") \
    X(KV_PER_TOKEN, "kv_per_token", NUMBER, "numbers a token leaves in the KV cache") \
    X(HIDDEN, "hidden", COUNT, "model width")                                   \
    X(PRODUCT_PARAMETERS, "product_parameters", NUMBER,                         \
      "active parameters that a token is multiplied with")                      \
    X(MIXER_PARAMETERS, "mixer_parameters", NUMBER,                             \
      "parameters of all layers outside the experts")                           \
    X(CHOSEN_PARAMETERS, "chosen_parameters", NUMBER,                           \
      "parameters of the experts that a token uses")                            \
    X(ATTENTION_SHARE, "attention_share", FRACTION, "FLOPs outside experts / all") \
    X(WEIGHT_BYTES, "weight_bytes", BYTES, "weights of a GPU, mean over GPUs")  \
    X(KV_BYTES, "kv_bytes", BYTES, "KV cache of a GPU, mean over GPUs")         \
    X(LEAST_READ, "least_read", BYTES, "weights that a pass reads, per GPU")    \
    X(TRAFFIC, "traffic", BYTES, "bytes that a GPU sends in a pass")

typedef enum har_quantity {
#define HAR_QUANTITY_ENUM(name, text, dimension, about) HAR_Q_##name,
    HAR_QUANTITY_LIST(HAR_QUANTITY_ENUM)
#undef HAR_QUANTITY_ENUM
        HAR_N_QUANTITIES
} har_quantity;

typedef enum har_dimension {
    HAR_DIM_COUNT, /* a whole number, exact as written                         */
    HAR_DIM_RATIO, HAR_DIM_NUMBER, HAR_DIM_FRACTION, HAR_DIM_TIME,
    HAR_DIM_BYTES, HAR_DIM_BANDWIDTH, HAR_DIM_FLOP, HAR_DIM_FLOPS,
    HAR_DIM_TOKENS, HAR_DIM_SEQUENCES, /* counts too                           */
    HAR_DIM_TOKEN_RATE, HAR_DIM_SEQUENCE_RATE,
} har_dimension;

typedef enum har_relation {
    HAR_REL_EQ,    /* "=": rounded in the last digit written, or as `rounding` */
    HAR_REL_ABOUT, /* "~": rounded as `rounding`                               */
    HAR_REL_LT, HAR_REL_LE, HAR_REL_GT, HAR_REL_GE, /* a requirement           */
} har_relation;

/* Words with two meanings. */
typedef enum har_word {
    HAR_WORD_UTILISATION, /* 1 busy, 2 mfu                                     */
    HAR_WORD_OVERHEAD,    /* 1 total, 2 exposed                                */
    HAR_WORD_PASS,        /* 1 prefill, 2 decode                               */
    HAR_N_WORDS
} har_word;

enum { HAR_MAX_CLAIMS = 64, HAR_MAX_INPUTS = 10, HAR_MAX_CHECKS = 136,
       HAR_MAX_READINGS = 64 };

typedef struct har_claim {
    char id[40];
    char quote[200];   /* "" if none                                          */
    char written[56];  /* "27 ms", "< 50 ms", "20..22 tokens/s"               */
    har_quantity quantity;
    har_relation relation;
    double value;       /* of a range its middle                              */
    har_interval range; /* what the relation and the rounding allow           */
    int line;           /* of the document; 0: not given                      */
    int at_line, at_column; /* of the claims file                             */
} har_claim;

typedef struct har_claims {
    char document[200], source[300];
    core_spec spec;
    bool has_plan;
    par_plan plan;
    bool has_fact[HAR_N_QUANTITIES];      /* hardware and bytes_per_weight    */
    har_interval fact[HAR_N_QUANTITIES];
    bool has_model[HAR_N_QUANTITIES];     /* what the spec fixes              */
    double model[HAR_N_QUANTITIES];
    int meaning[HAR_N_WORDS]; /* 0: not said; else 1 or 2, see har_meaning_name */
    int n;
    har_claim at[HAR_MAX_CLAIMS];
} har_claims;

/* The keys of a claims file, what they may hold and mean, as a table. [local] */
void har_claims_write_fields(FILE *out);

/* Read a claims file; overrides, or NULL: keys of its model's config.json. [local]
 * Errors: E_FILE; E_FORMAT as file:line:column; what core_config_open and
 * par_plan_parse refuse; *out unspecified.                                    */
CORE_NODISCARD core_status har_claims_read(har_claims *out, const char *path,
                                           const core_overrides *overrides);

const char *har_quantity_name(har_quantity q);
const char *har_quantity_about(har_quantity q);
har_dimension har_quantity_dimension(har_quantity q);

/* A quantity by name; false if there is none.                        [local] */
bool har_quantity_find(har_quantity *out, const char *name);

/* Factor of a unit; false if it is no unit of the dimension.  units: all of
 * them, for a message.                                               [local] */
bool har_unit_factor(har_dimension dimension, const char *unit, double *factor);
void har_unit_list(har_dimension dimension, char *out, size_t bytes);

/* "27 ms", "26.5 to 27.5 ms": three or four significant digits.      [local] */
void har_quantity_write(char *out, size_t bytes, har_quantity q,
                        har_interval x);

/* The word behind a quantity (har_word) or -1; the name of meaning 1 or 2.   */
int har_word_of(har_quantity q);
const char *har_word_name(har_word word);
const char *har_meaning_name(har_word word, int meaning);

/* --- rules ----------------------------------------------------------------- */

typedef enum har_rule_kind {
    HAR_RULE_IS,       /* target = f(inputs); derives a target nobody states   */
    HAR_RULE_CHECK,    /* target = f(inputs), never derives                    */
    HAR_RULE_AT_MOST,  /* target <= f                                          */
    HAR_RULE_CEILING,  /* the same, and only the target is judged by it: the
                        * inputs are its parts, stated on their own            */
    HAR_RULE_AT_LEAST, /* target >= f                                          */
    HAR_RULE_IS_OTHER, /* target = f means that the figure is another thing's  */
} har_rule_kind;

typedef enum har_rule_scope { HAR_ANY_PLAN, HAR_STAGE_ONLY, HAR_REPLICA_ONLY }
    har_rule_scope;

typedef struct har_rule {
    const char *name;
    har_quantity target;
    har_rule_kind kind;
    int n_input;
    har_quantity input[HAR_MAX_INPUTS];
    const char *formula; /* with $0 $1 for the inputs                          */
    har_interval (*f)(const har_interval *x); /* NULL: as the formula says     */
    har_rule_scope scope;
    int word, meaning;   /* applies under this meaning only; meaning 0: always */
    har_quantity unless; /* stated, this does not hold; GPUS: always           */
} har_rule;

/* Rule i, NULL after the last; what a rule gives for its inputs. */
const har_rule *har_rule_at(int i);
har_interval har_rule_value(const har_rule *rule, const har_interval *x);

/* --- readings and verdicts ------------------------------------------------- */

typedef struct har_reading {
    bool exists; /* false: the document names no degrees and no plan           */
    int tp, pp, dp, ep, etp, mb, rounds;
    par_scope scope;
    int n_broken_degree; /* structural claims that it contradicts              */
    int cp, vpp;
} har_reading;

/* GPUs of a reading. */
int har_reading_gpus(const har_reading *reading);

typedef enum har_claim_verdict {
    HAR_CLAIM_HOLDS,
    HAR_CLAIM_NOT_REACHED,  /* a requirement that its figure misses            */
    HAR_CLAIM_CONTRADICTED, /* by other claims                                 */
    HAR_CLAIM_IMPOSSIBLE,   /* by hardware, model or arithmetic alone          */
    HAR_CLAIM_UNDEFINED,    /* nothing in the document decides it              */
} har_claim_verdict;

const char *har_claim_verdict_name(har_claim_verdict v);

/* One rule applied to one claim. */
typedef struct har_check {
    bool ok;
    int rule;             /* index, or HAR_CHECK_*                             */
    uint64_t others; /* claims that took part, a bit each                 */
    char text[520];       /* the arithmetic; "" unless asked for               */
} har_check;

enum { HAR_CHECK_SAME = -1, HAR_CHECK_FACT = -2, HAR_CHECK_PLAN = -3,
       HAR_CHECK_REQUIREMENT = -4, HAR_CHECK_FRACTION = -5 };

typedef struct har_finding {
    har_claim_verdict verdict;
    int n_check;
    har_check check[HAR_MAX_CHECKS];
    char missing[120]; /* UNDEFINED without a check: what would be needed      */
} har_finding;

/* The verdict on every claim under one reading and one meaning of each word
 * (1 or 2).  with_text: fill har_check.text.  findings: [claims->n].  [local] */
void har_audit_one(har_finding *findings, const har_claims *claims,
                   const har_reading *reading, const int meaning[HAR_N_WORDS],
                   bool with_text);

/* Verdict of a claim when every meaning that the document leaves open is
 * tried. */
typedef struct har_claim_result {
    har_claim_verdict verdict;
    har_finding finding;     /* under the meanings shown                       */
    int meaning[HAR_N_WORDS]; /* 0: the verdict is the same in both            */
    bool depends[HAR_N_WORDS]; /* UNDEFINED because of this word               */
    char note[700];          /* more to say, "" if nothing                     */
} har_claim_result;

typedef struct har_reading_result {
    har_reading reading;
    int n_alike; /* others like it but for degrees that nobody states          */
    int n_verdict[HAR_CLAIM_UNDEFINED + 1];
    har_claim_result *claim; /* [n], owned                                     */
} har_reading_result;

typedef struct har_audit {
    const har_claims *claims;  /* borrowed                                     */
    int64_t n_searched;        /* legal plans looked at                        */
    int n_best;                /* readings that satisfy the most claims        */
    int n_reading;             /* then the best of each way to count GPUs      */
    har_reading_result *reading;
} har_audit;

/* Search the readings and judge; free with har_audit_free.            [local]
 * Errors: E_MEMORY; E_PLAN if the file's plan is not legal for the model.     */
CORE_NODISCARD core_status har_audit_run(har_audit *out,
                                         const har_claims *claims);
void har_audit_free(har_audit *audit);

/* The readings of the claimed degrees, best structure first: at most
 * HAR_MAX_READINGS.  cut: instead, those whose rows are cut (cp above 1) though
 * nobody says so; none of a plan or of decoding.  *n_searched: legal plans
 * looked at.                                                          [local] */
int har_readings_find(har_reading *out, const har_claims *claims, bool cut,
                      int64_t *n_searched);

/* "seed-16: tp=4,..." or the plan's string.                           [local] */
void har_reading_write(const har_reading *reading, char *out, size_t bytes);

/* 1 if a claim is not HOLDS, for the exit code.                       [local] */
bool har_audit_is_clean(const har_audit *audit);

enum { HAR_MAX_REASONS = 3, HAR_REASON_TEXT = 200 };

/* Why the verdict, in lines: the first checks that speak for it, two at most,
 * and the note; `own` is room for a line that stands nowhere else.  Returns
 * their number.                                                       [local] */
int har_claim_reasons(const har_claim_result *result,
                      const char *line[HAR_MAX_REASONS],
                      char own[HAR_REASON_TEXT]);

/* "8 claims: 5 hold, ..." under the best reading.                     [local] */
const char *har_audit_counts(const har_audit *audit,
                             char text[HAR_REASON_TEXT]);

void har_audit_write(const har_audit *audit, FILE *out);
CORE_NODISCARD core_status har_audit_write_json(const har_audit *audit,
                                                const char *path);

#endif
