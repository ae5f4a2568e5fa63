/* core/weights/stored.h -- a tensor as safetensors hold it: values, or codes
 * and scales under the names that publishers give them.
 */
#ifndef CORE_STORED_H
#define CORE_STORED_H

#include "core/files/st_folder.h"
#include "core/model/quant.h"

typedef struct core__stored {
    core_st_place codes;          /* tensor NULL: there is none               */
    const core_st_tensor *scale;  /* NULL where values are plain              */
    const core_st_tensor *second; /* of the whole tensor, or NULL             */
    const core_st_tensor *extent; /* that says the shape, or NULL             */
    core_block_kind kind;         /* NONE: plain                              */
    bool divides;                 /* the second scale does                    */
    core_act_scheme act;          /* of what engines multiply with it         */
    const core_st_tensor *input;  /* its scale, or NULL                       */
    bool input_divides;
    int n_dim;                    /* of the values                            */
    int64_t shape[CORE_ST_MAX_DIM];
    /* The last two dimensions are matrices [n_row, n_col].                   */
    int64_t n_row, n_col;
    int64_t row_codes;            /* from row to row: padded to whole words   */
    int64_t rows, cols;           /* of a block                               */
    int64_t grid_rows, grid_cols; /* scales of a matrix                       */
} core__stored;

/* Look for the tensor `name` in all the ways it may be stored, under the name
 * of transformers 5 as well.  Knows shape and kind afterwards; nothing is
 * checked. quant  tells packed integers of 4 bits from those of 8 [local] */
core__stored core__stored_find(const core_st_folder *folder,
                               const core_spec *spec, const core_quant *quant,
                               const char *name);

/* Does it fit what config.json says of it, and do the scales fit the codes?
 *   quant  NULL: config.json says nothing
 *   must   it may not be plain where config.json says it is not
 * Errors: E_WEIGHTS naming file and tensor.                          [local] */
CORE_NODISCARD core_status core__stored_check(core__stored *stored,
                                              const core_quant *quant,
                                              bool must);

/* out[i] = value first + i of the tensor, i < n: rows one after the other.   */
void core__stored_read(const core__stored *stored, int64_t first, int64_t n,
                       double *out);

/* The scale of what is multiplied with matrix i of the tensor, 0 if the files
 * have none.                                                         [local] */
double core__stored_input_scale(const core__stored *stored, int64_t matrix);

/* May a tensor of that name stand beside quantised weights, and say nothing of
 * the model: the scales of activations and of the cache?             [local] */
bool core__stored_is_beside(const char *name);

#endif
