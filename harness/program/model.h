/* harness/program/model.h -- the model that a command line asks for. */
#ifndef HAR_PROGRAM_MODEL_H
#define HAR_PROGRAM_MODEL_H

#include "core/model/config.h"
#include "core/weights/weights.h"

#include <stdio.h>

typedef struct har_model {
    const char *name;     /* preset, spec file, checkpoint; borrowed           */
    bool is_checkpoint;   /* else weights are procedural                       */
    core_config_facts facts;
    core_spec full, spec; /* as opened; shortened                             */
    core_spec stored;     /* what the weights belong to: full, but for what is
                           * set of a checkpoint                              */
    bool cuts_blocks;     /* --cut-blocks                                     */
    bool act_quant;       /* har_model_quantise                               */
    uint64_t seed;        /* of procedural weights and of batches              */
} har_model;

/* Read what --layers (or NULL) and --seed say.  Errors: those of
 * core_config_open; E_USAGE naming the option; E_SPEC for fields that are set
 * and need other weights than a checkpoint has.                       [local] */
CORE_NODISCARD core_status har_model_read(har_model *out, const char *name,
                                          const char *layers, const char *seed,
                                          const core_overrides *overrides);

/* For the top of a report: that a config.json stands alone, and what `weights`
 * are then; which of its keys were left out on request, which fields set.  Else
 * nothing.                                                                   */
void har_config_write(FILE *out, const char *model,
                      const core_config_facts *facts, const char *weights);
void har_model_write(FILE *out, const har_model *model);

/* The rows of a command that opens a model.                                  */
#define HAR_OVERRIDE_OPTIONS(overrides)                                        \
    {"ignore-key", .text = (overrides)->key, .n = &(overrides)->n_key,         \
     .most = CORE_MAX_OVERRIDES},                                              \
    {"set", .text = (overrides)->set, .n = &(overrides)->n_set,                \
     .most = CORE_MAX_OVERRIDES}

/* The row of a command that runs a model.                                    */
#define HAR_ACT_QUANT_OPTION(act_quant)                                        \
    {"act-quant", .flag = (act_quant),                                         \
     .help = "quantise activations as the files say that engines do"}

/* What --act-quant says.  Errors: E_USAGE where weights are procedural.      */
CORE_NODISCARD core_status har_model_quantise(har_model *model, bool act_quant);

/* Open the weights; close them with core_weights_close.  Errors: those of
 * core_weights_open_checkpoint and core_weights_open_procedural.      [local] */
CORE_NODISCARD core_status har_model_weights(const har_model *model,
                                             core_weights **out);

/* Where the weights come from, and in which state: the seed, or the names, sizes
 * and times of the folder's files, in one word; with the whole model, of which
 * the first layers may be meant.  Errors: E_FILE, E_MEMORY.           [local] */
enum { HAR_MODEL_MARK = 120 };
CORE_NODISCARD core_status har_model_mark(char out[HAR_MODEL_MARK],
                                          const har_model *model);

#endif
