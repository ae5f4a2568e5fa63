/* core/model/file_tensor.h -- where a weight lies in the files of its family.
 */
#ifndef CORE_FILE_TENSOR_H
#define CORE_FILE_TENSOR_H

#include "core/model/weight_list.h"

enum { CORE_FILE_TENSOR_BYTES = 160 };

/* How a matrix of ours, [rows, cols], lies in a file tensor.  E experts. */
typedef enum core_layout {
    CORE_LAYOUT_NONE,       /* the family has no such tensor                 */
    CORE_LAYOUT_MATRIX,     /* [rows, cols]                                  */
    CORE_LAYOUT_VECTOR,     /* [cols], rows is 1                             */
    CORE_LAYOUT_CONV,       /* [rows, 1, cols]                               */
    CORE_LAYOUT_PER_HEAD,   /* [1, 1, cols, 1], rows is 1                    */
    CORE_LAYOUT_FIRST_ROWS, /* [2 rows, cols], the first half                */
    CORE_LAYOUT_LAST_ROWS,  /* the other one                                 */
    CORE_LAYOUT_FIRST_COLS, /* [2 cols], rows is 1                           */
    CORE_LAYOUT_LAST_COLS,
    CORE_LAYOUT_EVEN_ROWS, /* [2 rows, cols], every second, from the first  */
    CORE_LAYOUT_ODD_ROWS,
    CORE_LAYOUT_EVEN_COLS, /* [2 cols], rows is 1                           */
    CORE_LAYOUT_ODD_COLS,
    CORE_LAYOUT_E_IN_OUT, /* [E, cols, rows]                               */
    CORE_LAYOUT_E_EVEN,   /* [E, cols, 2 rows], every second, from the first */
    CORE_LAYOUT_E_ODD,
    CORE_LAYOUT_E_LEFT, /* [E, cols, 2 rows], the first half             */
    CORE_LAYOUT_E_RIGHT,
    CORE_LAYOUT_E_OUT_IN, /* [E, rows, cols]                               */
    CORE_LAYOUT_E_TOP,    /* [E, 2 rows, cols], the first half             */
    CORE_LAYOUT_E_BOTTOM,
    CORE_LAYOUT_E_EVEN_ROWS, /* [E, 2 rows, cols], every second             */
    CORE_LAYOUT_E_ODD_ROWS,
    CORE_LAYOUT_E_VECTOR, /* [E, cols], rows is 1                          */
    CORE_LAYOUT_E_VECTOR_EVEN, /* [E, 2 cols]                                 */
    CORE_LAYOUT_E_VECTOR_ODD,
    CORE_LAYOUT_E_VECTOR_FIRST, /* [E, 2 cols], the first half              */
    CORE_LAYOUT_E_VECTOR_LAST,
} core_layout;

/* The file tensor of a weight: its name, and how the weight lies in it.
 * CORE_LAYOUT_NONE if the family has none.                           [local] */
core_layout core_file_tensor(const core_spec *spec, core_weight id,
                             char name[CORE_FILE_TENSOR_BYTES]);

/* Where a file tensor holds only blocks of a weight's rows (of a vector: of its
 * entries), between those of others: n blocks, the i-th of which begins at row
 * i * period + first of the tensor.  n 0: all of them, and nothing else.     */
typedef struct core_blocks {
    int64_t n, first, period;
} core_blocks;

core_blocks core_file_blocks(const core_spec *spec, core_weight_kind kind);

/* The same where another saver wrote the routed experts: gate and up together,
 * all experts in one tensor, either side first.  Way 0 is the family's own; a
 * layer of a checkpoint has one way for all its experts.  CORE_LAYOUT_NONE if
 * that way has no such tensor.                                       [local] */
int core_file_ways(void);
/* One tensor for each matrix of each expert; one for each matrix, of all experts,
 * outputs first.                                                             */
enum { CORE_FILE_WAY_ALONE = 1, CORE_FILE_WAY_STACKED = 6 };
core_layout core_file_tensor_in(const core_spec *spec, core_weight id, int way,
                                char name[CORE_FILE_TENSOR_BYTES]);

/* What the names of the experts of a layer begin with.               [local] */
void core_file_experts(const core_spec *spec, int layer,
                       char prefix[CORE_FILE_TENSOR_BYTES]);

/* The name that transformers 5 gives the tensor `name`, where that is another;
 * false: it is not.                                                  [local] */
bool core_file_renamed(const core_spec *spec, const char *name,
                       char renamed[CORE_FILE_TENSOR_BYTES]);

/* Where the tensors of a text model stand among those of a model that sees or
 * hears: names that begin with *inner begin with *outer.  i = 0: at their own
 * place; false after the last.                                       [local] */
bool core_file_nesting(int i, const char **inner, const char **outer);

/* True for a tensor of another part of such a model.                         */
bool core_file_is_other_part(const char *name);

/* True for a tensor that may be in the files and is no weight of the model. */
bool core_file_is_tolerated(const core_spec *spec, const char *name);

#endif
