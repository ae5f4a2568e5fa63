/* harness/perf/machine/machine.h -- what a machine is, and what an operator costs on it.
 *
 * A machine is the numbers of a data sheet (peaks, bandwidths, units, tiles,
 * links), a dozen coefficients that no data sheet has, and how far its
 * predictions were off.  One form serves processors and accelerators:
 *
 *     time = overhead + max(compute in whole tiles and waves, bytes / bandwidth)
 *
 * Units: seconds, bytes, flop; rates per second.  The har_time_* functions are
 * called millions of times by a search: no allocation, no strings, they cannot
 * fail and change nothing (any thread).  Their arguments are positive and a
 * machine comes from har_machine_open, which refuses what would divide by zero.
 */
#ifndef HAR_PERF_MACHINE_H
#define HAR_PERF_MACHINE_H

#include "core/base/status.h"
#include "core/numbers/deployed.h"
#include "harness/perf/machine/generation.h"
#include "harness/perf/machine/rates.h"

#include <stdint.h>
#include <stdio.h>

/* --- coefficients: what a data sheet does not say ---------------------------
 * enumerator, key in the file, what it is fitted on, start, least, most, text.
 * All are fractions of a data sheet's number, tiles or microseconds, so that
 * they carry over to a machine with other numbers.                           */
#define HAR_COEF_LIST(X)                                                       \
    X(LAUNCH, launch_us, GEMM, 2.5, 0.05, 50, "one kernel in a queue")         \
    X(COMPUTE, compute_fraction, GEMM, 0.8, 0.05, 1,                           \
      "sustained share of the peak")                                           \
    X(MEMORY, memory_fraction, GEMM, 0.85, 0.05, 1,                            \
      "sustained share of the memory bandwidth")                               \
    X(FILL, fill_us, GEMM, 1, 0.001, 50,                                       \
      "filling and draining the pipeline of a tile")                           \
    X(FEED, feed_fraction, GEMM, 0.5, 0.02, 1,                                 \
      "sustained share of the cache bandwidth into the units")                 \
    X(MOE, moe_fraction, MOE, 0.5, 0.05, 1.5,                                  \
      "grouped GEMM's share of the sustained peak")                            \
    X(ATTENTION, attention_fraction, ATTENTION, 0.6, 0.05, 1.5,                \
      "attention's share of the sustained peak")                               \
    X(LINK, link_fraction, COLLECTIVE, 0.75, 0.05, 1,                          \
      "sustained share of a link, large messages")                             \
    X(SMALL, small_fraction, COLLECTIVE, 0.3, 0.01, 1,                         \
      "share of a link, messages with flags in them")                          \
    X(HOP, hop_us, COLLECTIVE, 1, 0.01, 100, "one step between neighbours")    \
    X(RENDEZVOUS, rendezvous_us, COLLECTIVE, 20, 0.1, 500,                     \
      "starting the large-message protocol")                                   \
    X(HOST, host_us, PLAN, 40, 0.1, 500, "the host starting one operator")

typedef enum har_coef {
#define HAR_COEF_ENUM(name, key, kind, start, least, most, text)               \
    HAR_COEF_##name,
    HAR_COEF_LIST(HAR_COEF_ENUM)
#undef HAR_COEF_ENUM
    HAR_N_COEF
} har_coef;

/* Kinds of tables and of uncertainty.                                        */
typedef enum har_kind {
    HAR_GEMM,
    HAR_MOE,
    HAR_ATTENTION,
    HAR_COLLECTIVE,
    HAR_PLAN,
    HAR_N_KIND
} har_kind;

/* Where a number comes from.                                                 */
typedef enum har_origin {
    HAR_DATASHEET,   /* printed by the maker                                  */
    HAR_MEASURED,    /* fitted on measurements of this machine                */
    HAR_TRANSFERRED, /* measured on another machine, carried over             */
    HAR_ASSUMED,     /* nobody measured it                                    */
    HAR_N_ORIGIN
} har_origin;

enum { HAR_MAX_TILES = 12, HAR_MAX_LINKS = 4, HAR_MACHINE_NAME = 64 };

/* Of an assumed link whose file gives none.                                  */
#define HAR_ASSUMED_LINK_SIGMA 0.5

typedef enum har_link_kind {
    HAR_LINK_UNSAID, /* as plain                                              */
    HAR_LINK_PLAIN,  /* peers write into each other                           */
    HAR_LINK_SWITCH, /* the same through a switch that adds up                */
    HAR_LINK_PCIE,   /* through the memory of the host                        */
    HAR_N_LINK_KIND
} har_link_kind;

typedef struct har_link {
    char name[32];
    int n_gpu;      /* reaches that many devices (the tier inside included)   */
    double bw;      /* bytes/s out of one device, one direction               */
    double alpha;   /* seconds added to every step over this tier             */
    double sigma;   /* relative, one sigma, of bw: a judgement where the link
                     * is assumed; 0: the sigma of collectives says all       */
    har_origin origin;
    har_link_kind kind;
} har_link;

/* Whose units multiply: a core_dtype, or four bits.                          */
enum { HAR_UNIT_F4 = CORE_N_DTYPES, HAR_N_UNIT };

typedef struct har_value {
    double value;
    har_origin origin;
} har_value;

/* What a carried coefficient was measured on.                                 */
typedef struct har_origin_machine {
    har_arch arch;
    double clock_hz;
} har_origin_machine;

typedef struct har_machine {
    char name[HAR_MACHINE_NAME];
    har_arch arch;              /* whose rules (generation.h)                 */
    bool is_carried;            /* some coefficients came from elsewhere      */
    har_origin_machine from[HAR_N_COEF]; /* where a transferred one was
                                          * measured                          */
    double peak[HAR_N_UNIT];    /* flop/s; 0: the machine has no such unit    */
    double memory_bytes, memory_bw;
    double price;               /* of a GPU for an hour; 0: not said          */
    double n_unit, clock_hz;    /* SMs or cores                               */
    double unit_bytes_per_clock; /* from the shared cache into one unit       */
    double l2_bytes;
    int n_tile;
    int tile[HAR_MAX_TILES][2]; /* rows, columns of an output tile            */
    int max_split;              /* most parts of K: a power of two            */
    int n_link;
    har_link link[HAR_MAX_LINKS]; /* nearest first                            */
    har_value coef[HAR_N_COEF];   /* in the units of their keys; transferred
                                   * ones as har_carry made them              */
    har_value sigma[HAR_N_KIND];  /* relative, one sigma                      */
    har_rates rates;              /* of a processor; none: all zero           */
} har_machine;

/* Open a preset by its name (har_machine_preset) or a file by its path.
 *   out   written only on success; plain data, nothing to free        [local]
 * Errors: E_FILE; E_FORMAT as FILE:LINE:COLUMN: key: expected, found.        */
CORE_NODISCARD core_status har_machine_open(har_machine *out, const char *name);

/* The keys of a machine file, what they may hold and mean, as a table. [local] */
void har_machine_write_fields(FILE *out);

/* The same from a text; `name` stands in messages.                   [local] */
CORE_NODISCARD core_status har_machine_parse(har_machine *out, const char *text,
                                             const char *name);

/* What a coefficient that was measured on the machine's `from` is worth here,
 * as a factor: 1 for one that was not transferred, or without an arch. [local] */
double har_carry(const har_machine *m, har_coef coef);

/* How far off such a coefficient may be, relative, one sigma: a judgement that
 * grows with the generations between; 0 where har_carry is 1 by rule.  [local] */
double har_prior(const har_machine *m, har_coef coef);

/* The sigma of a kind, with that of what carries it.                  [local] */
double har_sigma(const har_machine *m, har_kind kind);

/* Put every number that was measured or fitted into the range that a machine
 * file may have: what har_machine_print writes is then read again.  [local] */
void har_machine_clamp(har_machine *m);

/* Name and YAML text of preset i; false beyond the last.             [local] */
bool har_machine_preset(int i, const char **name, const char **text);

/* The preset's or file's text; the caller frees *out.  Errors: E_FILE.       */
CORE_NODISCARD core_status har_machine_text(char **out, const char *name);

/* The text of a machine file with its coefficients and sigma sections
 * replaced by those of `m`, everything else kept letter for letter.  [local] */
void har_machine_write(FILE *out, const char *text, const har_machine *m);

/* Everything but the name, as a machine file has it.                  [local] */
void har_machine_print(FILE *out, const har_machine *m);

/* Write a line for each thing that two numbers of a machine say of each other,
 * and for each coefficient that was carried over; returns how many contradict.
 *                                                                    [local] */
int har_machine_check(FILE *out, const har_machine *m);

/* The name of a unit; the unit that a word names, false if none does. [local] */
const char *har_unit_name(int unit);
bool har_unit_of_word(int *out, const char *word);

const char *har_coef_key(har_coef coef);
har_kind har_coef_kind(har_coef coef);
const char *har_kind_name(har_kind kind);
const char *har_origin_name(har_origin origin);
const char *har_link_kind_name(har_link_kind kind); /* of HAR_LINK_UNSAID: ""  */

/* --- times ------------------------------------------------------------------ */

typedef enum har_bound {
    HAR_BOUND_OVERHEAD, /* launches, host, latency of links                   */
    HAR_BOUND_LATENCY,  /* too few tiles to fill the machine                  */
    HAR_BOUND_COMPUTE,
    HAR_BOUND_MEMORY,
    HAR_BOUND_LINK
} har_bound;

typedef struct har_time {
    double seconds;
    double sigma; /* relative, one sigma; 1.645 of it is the 90 % interval    */
    har_bound bound;
} har_time;

/* What a product is made of.  Weights in codes that no unit multiplies are
 * unpacked to what the units take on their way into them.                    */
typedef struct har_operands {
    int unit;
    double a, b, out; /* bytes of an element, its scale included              */
    bool is_unpacked;
} har_operands;

/* All of one type.                                                           */
har_operands har_operands_plain(core_dtype dtype);

/* Of a deployment, with weights in `weights` (its w or experts): in the
 * narrowest units that the machine has for both operands, else in those of the
 * plain type; what comes out is plain.                                       */
har_operands har_operands_of(const har_machine *machine,
                             const core_types *types, core_narrow weights);

/* Bytes of a value of a row on its way to its expert: as the expert's products
 * read it, its scale included, where `act` is narrow, else as results are.   */
double har_dispatch_bytes(const har_machine *machine, const core_types *types);

/* out [m, n] = a [m, k] times b [k, n].                                       */
har_time har_time_product(const har_machine *machine,
                          const har_operands *operands, double m, double n,
                          double k);
har_time har_time_gemm(const har_machine *machine, core_dtype dtype, double m,
                       double n, double k);

/* Rows of n_group groups: one has `most` of all, others of the n_some with rows an
 * even share of the rest.                                                     */
typedef struct har_uneven {
    double all, most;
    int n_some, n_group; /* n_some >= 1                                        */
} har_uneven;

/* Products of the rows of groups, each with its own b [k, n], in one kernel, for
 * choices of n_token tokens; groups of no row are not read.                   */
har_time har_time_uneven_product(const har_machine *machine,
                                 const har_operands *operands,
                                 const har_uneven *rows, double n_token,
                                 double n, double k);
/* The same of row[i] rows of group i < n_group, in one type.                  */
har_time har_time_grouped_gemm(const har_machine *machine, core_dtype dtype,
                               const double *row, int n_group,
                               double n_token, double n, double k);

/* Which experts are popular.  A power law has each expert's share drawn from
 * p(x) ~ x^-exponent between 1 and 0.8 times the tokens.                      */
typedef struct har_popularity {
    bool is_power_law;
    double exponent;
} har_popularity;

typedef struct har_moe {
    double n_token;            /* tokens of the layer, over all EP ranks      */
    double n_d, n_f;           /* width; an expert's inner width on one rank  */
    int n_expert, n_k, ep;
    int n_matrix;              /* of an expert: 3 gated, 2 plain              */
    har_popularity popularity;
    bool runs_all_choices;     /* a rank computes every choice of the tokens
                                  that reach it, its own experts' or not      */
} har_moe;

/* A fused MoE layer on its slowest EP rank, without communication.            */
har_time har_time_moe(const har_machine *machine, core_dtype dtype,
                      const har_moe *moe);

/* Tokens on each of the ep * (n_expert / ep) experts of a layer, as expected;
 * count [n_expert], the slowest rank's experts first.                         */
void har_moe_counts(const har_moe *moe, double *count);

enum { HAR_MAX_EXPERTS = 1024 };

typedef struct har_attention {
    double n_row;       /* sequences                                          */
    double n_t;         /* prefill: tokens of each; decode: cached tokens     */
    double n_past;      /* prefill: cached tokens before those                */
    double n_h, n_g;    /* heads, kv heads of this rank                       */
    double n_dh;
    double window;      /* tokens a query sees; 0: all                        */
    double kv_share;    /* of the cached bytes that come from memory; 1       */
    double kv_bytes;    /* of a key's or value's element; 0: of the dtype     */
    double n_shared;    /* decode, absorbed: all heads ask the same vector of a
                         * key, n_shared elements, which are its value too,
                         * and n_rot rotated ones; 0: each kv head its own    */
    double n_rot;
} har_attention;

har_time har_time_prefill(const har_machine *machine, core_dtype dtype,
                          const har_attention *attention);
har_time har_time_decode(const har_machine *machine, core_dtype dtype,
                         const har_attention *attention);

/* A kernel that only moves bytes.                                             */
har_time har_time_elementwise(const har_machine *machine, double bytes);

/* A recurrence: moves bytes, multiplies chunks of tokens with so many flop, as
 * well as attention multiplies, and does the rest number by number.           */
har_time har_time_recurrence(const har_machine *machine, core_dtype dtype,
                             double bytes, double multiplied,
                             double single);

typedef enum har_collective {
    HAR_ALL_REDUCE,
    HAR_ALL_GATHER,
    HAR_REDUCE_SCATTER,
    HAR_ALL_TO_ALL,
    HAR_SEND_RECV
} har_collective;

typedef enum har_algorithm {
    HAR_LIBRARY, /* ring, in the faster of two protocols                      */
    HAR_SHOT     /* all-reduce by peers reading each other: one or two shots  */
} har_algorithm;

/* A collective of n devices on tier `tier` of the machine.  bytes: the whole
 * buffer (all-gather: gathered; reduce-scatter, all-to-all: before).          */
har_time har_time_collective(const har_machine *machine, har_collective kind,
                             har_algorithm algorithm, double bytes, int n,
                             int tier);

/* An all-to-all of n devices, n_near of them in the node of each: bytes to those
 * go over the nearest links, beside the others' over tier `tier`.             */
har_time har_time_all_to_all(const har_machine *machine, double bytes, int n,
                             int n_near, int tier);

/* Dispatch or combine of experts by a kernel made for it.                     */
typedef struct har_exchange {
    double n_token;     /* of one rank                                        */
    double n_d;
    double value_bytes; /* of a value on the links, its scale included        */
    int n_k, n_gpu;     /* choices of a token; ranks                          */
    int n_unit;         /* units that copy; 0: all                            */
    bool is_combine;
    bool is_quick;      /* made for few tokens: one copy for each choice      */
} har_exchange;

har_time har_time_exchange(const har_machine *machine,
                           const har_exchange *exchange);

/* The nearest tier that reaches n devices; the last if none does.             */
int har_tier(const har_machine *machine, int n_gpu);

/* A step of training a GPT with activation recompute, vTrain's columns.       */
typedef struct har_training {
    int n_gpu, batch, micro_batch, n_d, n_h, n_l, n_t, tp, dp, pp;
} har_training;

har_time har_time_training(const har_machine *machine,
                           const har_training *step);

#endif
