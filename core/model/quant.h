/* core/model/quant.h -- what a checkpoint folder says of its quantised weights.
 *
 * Publishers say it in one of three places: quantization_config of config.json,
 * the same in its text_config, or hf_quant_config.json beside it; and in one of
 * several languages (quant_read.c).  All come to a list of modules and a scheme
 * for each.  What is said is held against what the
 * files hold when they are opened (core/weights/).
 */
#ifndef CORE_QUANT_H
#define CORE_QUANT_H

#include "core/model/file_tensor.h"
#include "core/numbers/operand_format.h"
#include "core/numbers/packed.h"

typedef struct core_quant core_quant; /* opaque; read-only                    */

/* Which values share a scale.                                                */
typedef enum core_scale_grid {
    CORE_SCALES_TENSOR,
    CORE_SCALES_ROWS,   /* one for each output                                */
    CORE_SCALES_BLOCKS, /* rows x cols of a scheme                            */
} core_scale_grid;

typedef enum core_act_quant {
    CORE_ACT_QUANT_NONE,
    CORE_ACT_QUANT_STATIC,  /* a scale in the files: `fixed` of the format    */
    CORE_ACT_QUANT_DYNAMIC, /* none there                                     */
    CORE_ACT_QUANT_BATCH,   /* one of all tokens that are computed together   */
    CORE_ACT_QUANT_OTHER,   /* asymmetric, or a code that is not known        */
} core_act_quant;

typedef struct core_act_scheme {
    core_act_quant how;
    core_operand_format format; /* `fixed` not yet known                      */
} core_act_scheme;

typedef struct core_quant_scheme {
    core_block_kind kind; /* NONE: plain values                               */
    core_scale_grid grid;
    int64_t rows, cols; /* of a block                                         */
    core_act_scheme act; /* of what is multiplied with it                     */
} core_quant_scheme;

/* Read what the folder says; *out NULL if it says nothing.           [local]
 * Errors: E_SPEC naming file and key, for what is not supported and where two
 * places do not agree; E_FILE, E_FORMAT.                                     */
CORE_NODISCARD core_status core_quant_open(core_quant **out,
                                           const char *folder);
void core_quant_close(core_quant *quant); /* accepts NULL */

/* The scheme of a module, "model.layers.0.self_attn.q_proj"; NULL `quant`: of
 * plain values.                                                      [local] */
core_quant_scheme core_quant_of(const core_quant *quant, const char *module);

/* The scheme of a weight that lies as `layout` in the tensor `name`, which may
 * be a part of a larger model (core_file_nesting).  Where no rule names its
 * module, vectors, tables and routers are plain: they are no linear modules.
 * [local] */
core_quant_scheme core_quant_of_weight(const core_quant *quant,
                                       core_weight_kind kind,
                                       core_layout layout, const char *name);

/* What llama.cpp does with what it multiplies with a tensor of that kind of a
 * GGUF file.                                                         [local] */
core_act_scheme core_quant_of_packed(core_packed_kind kind);

/* The module of a tensor's name: without ".weight".                          */
void core_quant_module(const char *name, char module[CORE_FILE_TENSOR_BYTES]);

/* The file that says it.                                                     */
const char *core_quant_source(const core_quant *quant);

/* "NVFP4, a scale for 16 columns"; returns text.                     [local] */
enum { CORE_QUANT_TEXT_BYTES = 96 };
const char *core_quant_text(core_quant_scheme scheme,
                            char text[CORE_QUANT_TEXT_BYTES]);

/* "as FP8 E4M3, a scale for 128 values"; returns text.               [local] */
const char *core_quant_act_text(core_act_scheme act,
                                char text[CORE_QUANT_TEXT_BYTES]);

/* Bytes of all weights in files of the spec's family: codes and scales, the
 * rest in two bytes.                                                 [local] */
size_t core_quant_bytes(const core_quant *quant, const core_spec *spec);

#endif
