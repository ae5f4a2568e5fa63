/* core/model/gguf_impl.h -- private to core/model: what is known of the
 * architectures of GGUF files.
 */
#ifndef CORE_GGUF_MODEL_IMPL_H
#define CORE_GGUF_MODEL_IMPL_H

#include "core/files/gguf.h"
#include "core/files/repack.h"
#include "core/model/file_tensor.h"

#include <jansson.h>

/* A key "ARCH.suffix" under the name that config.json has for it.  "": it says
 * nothing, or add reads it.                                                  */
typedef struct core__gguf_name {
    const char *suffix, *config;
} core__gguf_name;

/* A flag of config.json that is true where the file has a tensor: "blk.%d.x" in
 * any layer, or a name.                                                      */
typedef struct core__gguf_flag {
    const char *config, *tensor;
} core__gguf_flag;

enum { CORE__GGUF_MAX_NAMES = 12, CORE__GGUF_MAX_FLAGS = 4 };

typedef struct core__gguf_arch {
    const char *name; /* general.architecture                                */
    const char *model_type;
    const char *fixed; /* JSON: what is true where no key says otherwise      */
    core__gguf_name own[CORE__GGUF_MAX_NAMES]; /* before those of all         */
    core__gguf_flag flags[CORE__GGUF_MAX_FLAGS];
    bool pairs; /* q and k lie in the order of pairs                          */
    bool tiled; /* heads of values of a delta net lie in the order of tiles   */
    bool plus_one; /* norms that add 1 are stored with it                     */
    bool no_rope;
    /* What takes more than a name, into the object under `config`.           */
    core_status (*add)(const core_gguf *file, json_t *config);
    /* What no config.json can say.                                           */
    void (*adjust)(core_spec *spec);
} core__gguf_arch;

/* families/gguf_archs.c: NULL after the last.                                */
const core__gguf_arch *core__gguf_arch_at(int i);

/* gguf_config.c: that of the file.  Errors: E_SPEC.                  [local] */
CORE_NODISCARD core_status core__gguf_arch_of(const core__gguf_arch **out,
                                              const core_gguf *file);
/* gguf_get.c: the key "ARCH.suffix" of the file; NULL: there is none. [local] */
const core_gguf_key *core__gguf_get(const core_gguf *file, const char *suffix);
/* Its number, where it has one; false: *out is as it was.            [local] */
bool core__gguf_value(const core_gguf *file, const char *suffix, double *out);
/* Layers to look through: what block_count says, from 0 to CORE_MAX_LAYERS,
 * whatever it says.                                                  [local] */
int core__gguf_layers(const core_gguf *file);
/* A tensor "blk.LAYER.rest".  NULL: there is none.                   [local] */
const core_gguf_tensor *
core__gguf_layer_tensor(const core_gguf *file, int64_t layer, const char *rest);

/* families/gguf_names.c: the weight that a tensor's name means in the model:
 * `rest` stands behind "blk.LAYER.", or is the whole name where layer is -1.
 * How its experts are written, and its values.  False: none of ours. [local] */
typedef struct core__gguf_meaning {
    core_weight_kind kind;
    int way; /* of core_file_tensor_in                                        */
    int expert;
    core_order order;
    core_stored_as as;
} core__gguf_meaning;
bool core__gguf_meaning_of(const core_spec *spec, int64_t layer,
                           const char *rest, core__gguf_meaning *out);

#endif
