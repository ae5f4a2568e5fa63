/* core/model/gguf_model.h -- a GGUF file as a model of one of our families.
 *
 * Its metadata become the config.json that they amount to, and its tensors get
 * the names that the family's files have: whoever reads a model afterwards
 * does not know that it was a GGUF file.  What the metadata have no key for is
 * what llama.cpp computes for the architecture, as families/gguf_archs.c says.
 */
#ifndef CORE_GGUF_MODEL_H
#define CORE_GGUF_MODEL_H

#include "core/files/gguf.h"
#include "core/files/st_folder.h"
#include "core/model/config.h"

/* The model of a GGUF file, as core_config_open opens that of a folder; facts
 * has_weights.  Errors: those of core_gguf_open and core_config_parse; E_SPEC
 * for an architecture that is not read.                              [local] */
CORE_NODISCARD core_status core_gguf_spec(core_spec *out,
                                          core_config_facts *facts,
                                          const core_overrides *overrides,
                                          const char *path);

/* The tensors of a checkpoint: a folder of safetensors or a GGUF file.  [local]
 * Errors: those of core_st_folder_open and core_gguf_open; E_WEIGHTS naming
 * file and tensor.                                                           */
CORE_NODISCARD core_status core_model_files_open(core_st_folder **out,
                                                 const core_spec *spec,
                                                 const char *path);

/* Who says a field of the spec, by its path, in a GGUF file: "ARCH.key" of the
 * file, or that there is no such key, and what stands for it then.
 * Errors: E_SPEC.                                                    [local] */
enum { CORE_GGUF_SOURCE_BYTES = 192 };
CORE_NODISCARD core_status core_gguf_source_of(const core_gguf *file,
                                               const char *path,
                                               char text[CORE_GGUF_SOURCE_BYTES]);

#endif
