/* core/model/quant_packed.c -- what is multiplied with a tensor of a GGUF file,
 * as llama.cpp's CPU quantises it (vec_dot_type of ggml-cpu.c).
 *
 * Blocks of 32 values meet Q8_0: codes by the float scale, which is kept as F16.
 * Blocks of 256 meet Q8_K, whose scale is a float.  Blocks of 32 with an offset
 * meet Q8_1, whose sum of the values is kept as F16 too: no function of the
 * values alone.
 */
#include "core/model/quant.h"

core_act_scheme core_quant_of_packed(core_packed_kind kind)
{
    switch (kind) {
    case CORE_PACKED_Q4_0:
    case CORE_PACKED_Q5_0:
    case CORE_PACKED_Q8_0:
    case CORE_PACKED_MXFP4:
        return (core_act_scheme){CORE_ACT_QUANT_DYNAMIC,
                                 {.code = CORE_CODE_INT8,
                                  .scale = CORE_OPERAND_SCALE_F16,
                                  .group = 32}};
    case CORE_PACKED_Q4_K:
    case CORE_PACKED_Q5_K:
    case CORE_PACKED_Q6_K:
        return (core_act_scheme){CORE_ACT_QUANT_DYNAMIC,
                                 {.code = CORE_CODE_INT8,
                                  .scale = CORE_OPERAND_SCALE_FLOAT,
                                  .group = 256}};
    case CORE_PACKED_Q4_1:
    case CORE_PACKED_Q5_1:
        return (core_act_scheme){.how = CORE_ACT_QUANT_OTHER};
    case CORE_PACKED_F32:
    case CORE_PACKED_F16:
    case CORE_PACKED_BF16:
    case CORE_N_PACKED_KINDS:
        break;
    }
    return (core_act_scheme){.how = CORE_ACT_QUANT_NONE};
}
