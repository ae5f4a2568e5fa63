/* core/model/config.h -- a config.json, and what it says beside the model.
 *
 * Every key of the file is accounted for: it is read, or known to change
 * nothing, or it is the value of a feature that is off; any other key is
 * refused by name, because it might change the result.  A key that the file
 * lacks has the value of the family's class in transformers 5, and is told.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "core/model/spec.h"

enum { CORE_MAX_OVERRIDES = 32, CORE_CONFIG_TEXT_BYTES = 2048 };

/* What whoever asks knows better.  Borrows all texts.                        */
typedef struct core_overrides {
    const char *key[CORE_MAX_OVERRIDES]; /* of the file, that change nothing  */
    int n_key;
    const char *set[CORE_MAX_OVERRIDES]; /* core_spec_set                     */
    int n_set;
} core_overrides;

typedef struct core_config_facts {
    bool is_config;   /* the model was read from a config.json: all below     */
    bool has_weights; /* and files of weights lie beside it                   */
    char model_type[CORE_NAME_BYTES]; /* the file's own, of the whole         */
    char text_key[CORE_NAME_BYTES];   /* where its text model stands, or ""   */
    char dtype[CORE_NAME_BYTES];      /* that the file says of weights, or "" */
    int64_t n_ahead; /* layers that predict further tokens: not computed      */
    /* "a, b": keys and values of the class; keys left out on request; other
     * parts of the whole, the older of two generations of a key              */
    char defaults[CORE_CONFIG_TEXT_BYTES];
    char ignored[CORE_CONFIG_TEXT_BYTES];
    char passed_over[CORE_CONFIG_TEXT_BYTES];
    char set[CORE_CONFIG_TEXT_BYTES]; /* "norm_eps=1e-5, gated=true"; of any
                                       * model                                */
} core_config_facts;

/* A Hugging Face config.json, family by model_type.
 *   overrides  or NULL: their keys are left out;   facts  or NULL
 * Errors: E_FORMAT; E_SPEC naming file and key; both unchanged.       [local] */
CORE_NODISCARD core_status core_config_parse(core_spec *out,
                                             core_config_facts *facts,
                                             const core_overrides *overrides,
                                             const char *text,
                                             const char *name);

/* As core_spec_open, with these two, and what overrides set is set.  [local]
 * Errors: those of core_spec_open and core_spec_set.                         */
CORE_NODISCARD core_status core_config_open(core_spec *out,
                                            core_config_facts *facts,
                                            const core_overrides *overrides,
                                            const char *model);

/* The same with nothing set: what the files of a checkpoint hold.    [local] */
CORE_NODISCARD core_status core_config_stored(core_spec *out,
                                              const core_overrides *overrides,
                                              const char *model);

const char *core_family_name(core_family family);

/* What docs/families.md says of a family; "" where there is nothing. [local] */
typedef struct core_family_words {
    const char *model_type, *also; /* also: others, with blanks between        */
    const char *published, *witness;
} core_family_words;
core_family_words core_family_words_of(core_family family);

/* Model i whose file holds a text model: its model_type, and the key of that;
 * false after the last.                                              [local] */
bool core_config_wrapper(int i, const char **model_type, const char **key);

/* A model_type that is known and not read, and why; false after the last.    */
bool core_config_refused(int i, const char **model_type, const char **reason);

#endif
