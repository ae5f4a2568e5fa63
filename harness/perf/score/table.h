/* harness/perf/score/table.h -- tables of measured times, in the columns of others.
 *
 * The header line says whose table it is: aiconfigurator's gemm (two layouts),
 * moe, attention (context, generation), nccl and custom all-reduce; vidur's
 * all_reduce and send_recv; vTrain's plans, with the model's parameters or
 * without; FasterTransformer's answers.  A row that cannot be read, or whose
 * numbers are out of range, is refused with its line and column.
 */
#ifndef HAR_PERF_TABLE_H
#define HAR_PERF_TABLE_H

#include "harness/perf/score/gpt.h"

#include <stddef.h>
#include <stdio.h>

typedef struct har_op_shape {
    har_kind kind;
    core_dtype dtype;
    union {
        double gemm[3]; /* m, n, k                                            */
        har_moe moe;
        har_attention attention;
        struct {
            har_collective kind;
            har_algorithm algorithm;
            double bytes;
            int n, n_gpu;  /* n_gpu: how far apart, chooses the tier          */
            bool is_eager; /* started by the host each time                   */
        } collective;
        har_training training;
        har_exchange exchange;
        har_gpt gpt;
    } as;
    bool is_exchange;        /* of HAR_COLLECTIVE                             */
    bool is_gpt;      /* of HAR_PLAN                                   */
    const char *op;          /* static: all_reduce, decode, dispatch ...      */
    bool is_decode;
} har_op_shape;

typedef struct har_row {
    har_op_shape shape;
    double seconds; /* measured                                               */
    uint64_t hash;  /* of the columns that make the shape                     */
    int line;
} har_row;

typedef struct har_table {
    har_kind kind;
    const char *source; /* whose columns, e.g. "aiconfigurator gemm"          */
    har_row *row;
    int64_t n;
} har_table;

/* Read a table of the given kind; free with har_table_free also after errors.
 * Errors: E_FILE; E_FORMAT as FILE:LINE:COLUMN: name: expected, found (the
 * column counts fields from 1).                                      [local] */
CORE_NODISCARD core_status har_table_read(har_table *out, const char *path,
                                          har_kind kind);

/* The columns of every table that is read, as a table.                [local] */
void har_table_write_formats(FILE *out);

/* Put the rows of `more` behind those of `table` and free it.  Errors:
 * E_MEMORY.                                                           [local] */
CORE_NODISCARD core_status har_table_join(har_table *table, har_table *more);
void har_table_free(har_table *table);

/* The model's time for a shape.                                       [local] */
har_time har_op_time(const har_machine *machine, const har_op_shape *shape);

/* What a rule of thumb says of it (naive.c).                          [local] */
double har_naive_time(const har_machine *machine, const har_op_shape *shape);

/* One shape in five is for fitting; the same shape always falls on the same
 * side, in whatever table and row it stands.                                  */
bool har_is_for_fitting(uint64_t hash);

#endif
