/* harness/systems/impl.h -- within this room: settings, flags, facts.
 *
 * A setting is a name with a value as a line or a file has it.  A system is a
 * row: the flags that state something, the names that have no bearing, and how
 * its facts make a plan.  One mechanism (import.c) reads all of them.
 */
#ifndef HAR_SYSTEMS_IMPL_H
#define HAR_SYSTEMS_IMPL_H

#include "harness/systems/shell.h"
#include "harness/systems/systems.h"

/* --- settings --- */

typedef enum har_place {
    HAR_AT_SYSTEM,   /* an argument of the system, or a key of its file    */
    HAR_AT_TORCHRUN, /* arguments of a launcher                            */
    HAR_AT_MPIEXEC,
    HAR_AT_SLURM,
    HAR_AT_DEEPSPEED,
    HAR_AT_ACCELERATE,
    HAR_AT_WRAPPER,     /* of a container or a profiler: no bearing           */
    HAR_AT_ENVIRONMENT, /* NAME=value                                         */
    HAR_AT_HOSTFILE,
    HAR_N_PLACES
} har_place;

typedef struct har_setting {
    const char *name; /* as written, n_name characters                        */
    size_t n_name;
    const char *value; /* NULL: none                                          */
    const har_word *more; /* [n_more] words after the value                   */
    int n_more;
    bool has_equal; /* the value was written with =                           */
    bool is_maybe;  /* there only if a branch of the script is taken  */
    bool is_file;   /* of a configuration file: words of a line go before it  */
    har_place place;
} har_setting;

enum { HAR_MAX_SETTINGS = 4096, HAR_PATH_BYTES = 256, HAR_PASSED = 400 };

typedef struct har_settings {
    har_script script; /* holds the texts                                     */
    const char *program; /* NULL: no launch line names one                    */
    bool has_json;       /* one of the texts is JSON                          */
    bool has_config;     /* one is JSON, TOML or YAML                         */
    bool has_hosts;      /* one is a hostfile                                 */
    int launch; /* the launch line that counts, from 1; 0: there is but one   */
    int n_launch; /* of the script with most of them                          */
    char passed[HAR_PASSED]; /* commands that are no launch line beside one   */
    int n;
    har_setting item[HAR_MAX_SETTINGS];
} har_settings;

/* Add the settings of a text: a script, bare arguments, JSON, TOML, YAML or a
 * hostfile.  Errors: E_FORMAT with place; E_USAGE for a script with no launch
 * line, or with several of which none is chosen.                     [local] */
CORE_NODISCARD core_status har_settings_read(har_settings *out,
                                             const char *text,
                                             const char *name);
CORE_NODISCARD core_status har_settings_add(har_settings *out,
                                            const har_setting *setting);
/* The setting `path` of a configuration file; the texts are copied.          */
CORE_NODISCARD core_status har_settings_put(har_settings *out, const char *path,
                                            const char *value, size_t n_value);
CORE_NODISCARD core_status har_settings_json(har_settings *out,
                                             const char *text,
                                             const char *name);
CORE_NODISCARD core_status har_settings_toml(har_settings *out,
                                             const char *text,
                                             const char *name);
CORE_NODISCARD core_status har_settings_yaml(har_settings *out,
                                             const char *text,
                                             const char *name);
CORE_NODISCARD core_status har_settings_hosts(har_settings *out,
                                              const char *text,
                                              const char *name);
bool har_is_toml(const char *text);
bool har_is_yaml(const char *text);
bool har_is_hosts(const char *text);

/* --- facts --- */

typedef enum har_fact {
    HAR_F_NONE,
    /* of the launcher */
    HAR_F_WORLD,
    HAR_F_NODES,
    HAR_F_PER_NODE,
    HAR_F_RANKS,
    HAR_F_TASKS,
    HAR_F_TASK_NODES,
    HAR_F_TASKS_PER_NODE,
    HAR_F_FIRST_HOSTS, /* so many of the hostfile, and so many ranks on each  */
    HAR_F_FIRST_SLOTS,
    HAR_F_HOSTS,
    HAR_F_SLOTS,       /* of all hosts                                        */
    HAR_F_EQUAL_SLOTS, /* of each, where all have as many                     */
    HAR_F_HOSTFILE,    /* its name                                            */
    HAR_F_CONFIG,      /* the name of a configuration file                    */
    /* of the plan */
    HAR_F_TP,
    HAR_F_CP,
    HAR_F_CP_KIND,
    HAR_F_PP,
    HAR_F_DP,
    HAR_F_DP_SHARD,
    HAR_F_EP,
    HAR_F_ETP,
    HAR_F_A2A,
    HAR_F_DENSE_TP,
    HAR_F_EP_ON,
    HAR_F_DP_ATTENTION,
    HAR_F_FIRST,
    HAR_F_LAST,
    HAR_F_COUNT_EMBEDDING,
    HAR_F_COUNT_HEAD,
    HAR_F_LAYOUT,
    HAR_F_VPP,
    HAR_F_VPP_LAYERS,
    HAR_F_PARTITION,
    HAR_F_LESS_FIRST,
    HAR_F_LESS_LAST,
    HAR_F_MICRO,
    HAR_F_LOCAL,
    HAR_F_GLOBAL,
    HAR_F_ACCUMULATE,
    HAR_F_SEQUENCE,
    HAR_F_PRE_SOFTMAX,
    HAR_F_DP_HEAD,
    HAR_F_STAGE_BEFORE_DATA,
    /* of the model: compared with it (facts.c) */
    HAR_F_N_L,
    HAR_F_N_D,
    HAR_F_N_H,
    HAR_F_N_G,
    HAR_F_N_DH,
    HAR_F_N_DV,
    HAR_F_N_E,
    HAR_F_N_K,
    HAR_F_N_F,
    HAR_F_N_F_DENSE,
    HAR_F_N_F_SHARED,
    HAR_F_N_V,
    HAR_F_N_DE,
    HAR_F_N_Q_RANK,
    HAR_F_N_KV_RANK,
    HAR_F_N_GROUP,
    HAR_F_N_GROUP_KEPT,
    HAR_F_GATED,
    HAR_F_TIED,
    HAR_F_BIAS_FFN,
    HAR_F_BIAS_QKV,
    HAR_F_QK_NORM,
    HAR_F_LATENT,
    HAR_F_SHARED_GATE,
    HAR_F_CORRECTION,
    HAR_F_SCORE,
    HAR_F_RMS,
    HAR_F_EPS,
    HAR_F_THETA,
    HAR_F_ROUTED_SCALE,
    HAR_F_FACTOR,
    HAR_F_POLICY,
    HAR_N_FACTS
} har_fact;

typedef struct har_value {
    bool is_given;
    bool is_said; /* by a line, be it that it is off                          */
    double number;
    const char *text;
    const char *name; /* as it was written, n_name characters                 */
    int n_name;
    const struct har_flag *flag;
} har_value;

typedef struct har_facts {
    har_value of[HAR_N_FACTS];
    int world; /* ranks of the launch; 0: it does not say                     */
} har_facts;

/* A whole number from 1; or_one: 1 where it is not given.                    */
int har_fact_int(const har_facts *facts, har_fact fact);
int har_fact_or_one(const har_facts *facts, har_fact fact);

/* Does what is said about the model hold for it?  E_USAGE otherwise. [local] */
CORE_NODISCARD core_status har_facts_check(const har_facts *facts,
                                           const core_spec *spec);

/* --- flags --- */

typedef enum har_take {
    HAR_TAKE_COUNT, /* a whole number from 1                                  */
    HAR_TAKE_WHOLE, /* a whole number from -1                                 */
    HAR_TAKE_REAL,
    HAR_TAKE_TEXT,
    HAR_TAKE_WORD, /* one of words: its number, from 0                        */
    HAR_TAKE_ON,   /* no value, or true: 1; false: as if it were not there    */
    HAR_TAKE_OFF,  /* no value, or true: 0                                    */
    HAR_TAKE_ONLY, /* any of words; another value is refused: why             */
} har_take;

typedef struct har_flag {
    const char *names; /* blanks between; - stands for _, too                 */
    har_fact fact;
    har_take take;
    const char *words, *why; /* of a text: NAME=TEXT is refused, why          */
} har_flag;

typedef struct har_system_row {
    const char *name;
    const har_flag *flags;         /* ends with NULL names                   */
    const char *const *no_bearing; /* lists of names; NAME* : any ending     */
    const char *const *not_compared; /* say something about what is computed
                                      * that no plan has                      */
    core_status (*plan)(par_plan *out, const har_facts *facts,
                        const core_spec *spec);
    /* What differs in spite of equal words: # lines.  May be NULL.           */
    void (*notes)(const har_facts *facts, const core_spec *spec, FILE *out);
    /* Can it run the plan?  E_PLAN with the reason.  NULL: it is only read.  */
    core_status (*check)(const par_plan *plan, const core_spec *spec);
    void (*write)(const par_plan *plan, const core_spec *spec, FILE *out);
    bool takes_json;
    bool cuts_names; /* --tensor is --tensor-parallel-size where no other
                      * name begins so                                       */
    bool takes_no; /* --no-NAME is NAME=false                                 */
    bool pairs_switches; /* --disable-NAME is enable-NAME=false, and back     */
    /* Are its ranks numbered tensor, stage, data?  NULL: no, as here. */
    bool (*stage_before_data)(const par_plan *plan);
    har_rows rows;
    /* Vocabulary rows, those of padding included, of which tensor ranks have
     * equal parts; NULL: each has all rows of the model.                     */
    int64_t (*padded)(const par_plan *plan, const core_spec *spec);
    bool is_short; /* nothing is padded: there are no rows beyond the model's */
} har_system_row;

const har_system_row *har_system_get(har_system system);

extern const har_system_row har_row_megatron, har_row_bridge, har_row_vllm,
    har_row_sglang, har_row_deepspeed, har_row_torchtitan, har_row_transformers;

/* Megatron-Bridge runs Megatron-Core. */
CORE_NODISCARD core_status har_megatron_plan(par_plan *out,
                                             const har_facts *facts,
                                             const core_spec *spec);
void har_megatron_notes(const har_facts *facts, const core_spec *spec,
                        FILE *out);

/* Its words for what ranks exchange that share rows, the first where none is
 * said.                                                                      */
#define HAR_CP_COMM_TYPES "p2p all_gather a2a"

extern const char *const har_megatron_no_bearing[];
extern const char *const har_megatron_not_compared[];
extern const char *const har_vllm_no_bearing[], *const har_vllm_not_compared[];
extern const char *const har_sglang_no_bearing[];
extern const char *const har_sglang_not_compared[];

/* Flags of a launcher, and of the environment.                               */
const har_system_row *har_launcher(har_place place);

/* --- what several systems share --- */

/* Layers of each stage, of each virtual one, into the plan, unless an even
 * split gives the same.                                                      */
void har_plan_stages(par_plan *plan, const core_spec *spec, const int *layers);
/* "4,4,3" as such lengths.  E_USAGE if they are not pp numbers that add up.  */
CORE_NODISCARD core_status har_plan_partition(par_plan *plan,
                                              const core_spec *spec,
                                              const har_value *partition);
/* world / n, which must divide; E_USAGE also where the world is unknown.     */
CORE_NODISCARD core_status har_plan_rest(int *out, const har_facts *facts,
                                         int64_t n, const char *what);

/* What no system of these can do; who: for messages.  E_PLAN.        [local] */
CORE_NODISCARD core_status har_check_common(const char *who,
                                            const par_plan *plan,
                                            const core_spec *spec);
CORE_NODISCARD core_status har_check_divides(const char *who, const char *what,
                                             int64_t n, int degree);
/* ... of those without flags for sp and cp.                                  */
CORE_NODISCARD core_status har_check_tokens(const char *who,
                                            const par_plan *plan);
/* ... of those that drop no token.                                           */
CORE_NODISCARD core_status har_check_drops(const char *who,
                                           const core_spec *spec);
/* NAME=4,4,3 where stages differ from an even split.                         */
void har_write_partition(const char *name, const par_plan *plan,
                         const core_spec *spec, FILE *out);
int64_t har_round_up(int64_t n, int64_t multiple);

#endif
