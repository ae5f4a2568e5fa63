/* harness/perf/calibrate/calibrate.h -- measuring this machine.
 *
 * Two stages in processes of their own, because what several ranks do would
 * disturb what one rank measures: kernels on one rank, links on several.  Each
 * leaves its results in a file of the run folder; har_calibration_machine makes
 * a machine of both.
 *
 * Units: seconds, bytes, flop.  A "device" of the machine is one rank with a
 * core to itself.
 */
#ifndef HAR_PERF_CALIBRATE_H
#define HAR_PERF_CALIBRATE_H

#include "harness/perf/score/spread.h"
#include "harness/perf/score/table.h"
#include "parallel/comm.h"

#include <stdio.h>

typedef struct har_calibration {
    har_rates rates;
    double peak[2];       /* largest rate of a product: F64, F32               */
    double copy_bw;       /* read + written by one core, beyond all caches     */
    double cache_bw;      /* the same within the core's own cache              */
    double link_bw;       /* of the largest message between two ranks          */
    har_noise products, operators, links;
    int64_t n_row;
    har_row *row;         /* owned: for har_fit, of several kinds              */
    int64_t room;
    char *samples;        /* owned: lines of the file's section `samples`      */
    size_t n_samples;
} har_calibration;

void har_calibration_free(har_calibration *calibration);

/* Bytes of the cache that all cores share.                                    */
double har_shared_cache_bytes(void);

/* Add a row for har_fit.  Errors: E_MEMORY.                           [local] */
CORE_NODISCARD core_status har_calibration_add(har_calibration *calibration,
                                               const har_op_shape *shape,
                                               double seconds);

/* Where measurements go: lines of the file's section `samples`, and progress.
 * quick: a small part of everything, to see that all works.                  */
typedef struct har_measuring {
    par_comm *comm;
    FILE *samples;
    bool quick;
} har_measuring;

/* Said (E_PROGRAM) where processor time does not pass while something runs. */
#define HAR_COARSE_CLOCK                                                       \
    "the clock of processor time stands still during a measurement: expected " \
    "one that counts parts of a microsecond"

/* Measure collectives among the first 2, 4, 8 .. ranks.  Rank 0 gets the
 * results.  Errors: E_MEMORY, agreed.                            [collective] */
CORE_NODISCARD core_status har_calibrate_links(har_calibration *out,
                                               const har_measuring *how);

/* The stage of the kernels, in this order: bandwidths, products over the grid,
 * operators, to which rates are fitted; comm has one rank.  Errors: E_MEMORY;
 * E_PROGRAM if the clock stands still.                           [collective] */
CORE_NODISCARD core_status har_calibrate_memory(har_calibration *out,
                                                const har_measuring *how);
CORE_NODISCARD core_status har_calibrate_products(har_calibration *out,
                                                  const har_measuring *how);
CORE_NODISCARD core_status har_calibrate_operators(har_calibration *out,
                                                   const har_measuring *how);

/* To and from a file of the run folder; *out only changes on success.  Errors:
 * E_FILE, E_MEMORY.                                                   [local] */
CORE_NODISCARD core_status har_calibration_save(const har_calibration *c,
                                                const char *path);
CORE_NODISCARD core_status har_calibration_load(har_calibration *out,
                                                const char *path);

/* A machine of both stages: data of the processor, coefficients fitted on the
 * rows, rates.  Errors: E_MEMORY, E_INPUT.                            [local] */
CORE_NODISCARD core_status har_calibration_machine(har_machine *out,
                                                   har_calibration *kernels,
                                                   har_calibration *links);

#endif
