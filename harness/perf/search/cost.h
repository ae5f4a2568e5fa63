/* harness/perf/search/cost.h -- what a plan costs, in closed form, fast.
 *
 * The records of the fullest micro-batch on one rank of every stage, made once
 * for all plans that share them, and the pipeline as a formula: docs/search.md.
 */
#ifndef HAR_PERF_SEARCH_COST_H
#define HAR_PERF_SEARCH_COST_H

#include "harness/perf/machine/machine.h"
#include "harness/perf/search/search.h"

typedef struct har_search_memo har_search_memo;

typedef struct har_quick { /* borrows spec and machine                      */
    const core_spec *spec;
    const har_machine *machine;
    int64_t n_b, n_t; /* rows; tokens of each in a pass                */
    int64_t n_kv;     /* decode (n_t 1): cached tokens of a row; else 0 */
    core_types types;
    const double *share; /* [E] of the choices, adding up to 1; NULL: even */
    int n_thread;
    har_search_memo *memo; /* [n_thread] owned                              */
} har_quick;

/* Fill memo of an estimate whose other members are set; to be freed with
 * har_quick_free also after an error.
 * Errors: E_MEMORY; E_SPEC; E_USAGE: the machine has no such dtype.  [local] */
CORE_NODISCARD core_status har_quick_make(har_quick *estimate);
void har_quick_free(har_quick *estimate);

/* What went wrong since, if anything: plans have then no times (NaN).
 * Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status har_quick_status(const har_quick *estimate);

/* Each expert's share of the rows that find a slot in a micro-batch of a shape:
 * what a placement has to deal with where capacity drops choices.
 *   share  [E] adds up to 1                                          [local] */
void har_quick_load(const har_quick *estimate, const har_shape *shape,
                    double *share);

/* The members of a har_search_cost; self is a har_quick.  har_quick_memory
 * counts on omp_get_thread_num() being below n_thread.               [local] */
void har_quick_memory(void *self, const har_shape *shape, har_figures *out);
void har_quick_time(void *self, int thread, const har_shape *shape,
                    har_figures *out);

#endif
