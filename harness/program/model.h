/* harness/program/model.h -- the model that a command line asks for. */
#ifndef HAR_PROGRAM_MODEL_H
#define HAR_PROGRAM_MODEL_H

#include "core/weights/weights.h"

typedef struct har_model {
    const char *name;     /* preset, spec file or checkpoint folder; borrowed  */
    bool is_checkpoint;
    core_spec full, spec; /* as opened: what the weights belong to; shortened  */
    bool cuts_blocks;     /* --cut-blocks                                     */
    uint64_t seed;        /* of procedural weights and of batches              */
} har_model;

/* Read what --layers (or NULL) and --seed say.  Errors: those of
 * core_spec_open; E_USAGE naming the option.                          [local] */
CORE_NODISCARD core_status har_model_read(har_model *out, const char *name,
                                          const char *layers, const char *seed);

/* Open the weights; close them with core_weights_close.  Errors: those of
 * core_weights_open_checkpoint and core_weights_open_procedural.      [local] */
CORE_NODISCARD core_status har_model_weights(const har_model *model,
                                             core_weights **out);

#endif
