/* harness/verify/need.h -- does a run fit here, and if not, what would?
 *
 * What a run needs at the least is held against what there is before anything
 * is started.  Whatever can be read anew is not counted as kept: with little
 * memory a run takes longer, and is refused only where that does not help.
 */
#ifndef HAR_NEED_H
#define HAR_NEED_H

#include "harness/verify/estimate.h"

typedef struct har_wish { /* a run; borrows everything                        */
    const core_spec *spec;
    const par_plan *plan; /* [n_plan]                                         */
    int n_plan;
    const core_numerics *numerics; /* [n_numerics]                            */
    int n_numerics;
    int64_t n_b, n_t;
    par_order order;
    bool keeps_files; /* of one numerics while the next runs                  */
    const char *folder; /* they lie in; NULL: the run folder                  */
} har_wish;

/* Would so many bytes of files in the folder lie in memory? */
typedef bool har_in_memory(const char *folder, size_t bytes);
bool har_files_in_memory(const char *folder, size_t bytes); /* as it is here */

typedef struct har_need {
    size_t least_bytes;     /* of all processes together                      */
    size_t address_bytes;   /* of the largest process                         */
    size_t folder_bytes;    /* files in the run folder                        */
    size_t all_ranks_bytes; /* that ranks will hold, as memory allows         */
    double seconds;
} har_need;

/* plan [n_plan]: the estimate of each, in the first numerics; NULL: nobody
 * asks. Errors: E_MEMORY. [local] */
CORE_NODISCARD core_status har_need_make(har_need *out, har_estimate *plan,
                                         const har_wish *wish,
                                         const har_limits *limits);

/* At the least: of processes, and of files where they are in memory. [local] */
size_t har_need_memory(const har_need *need, const char *folder,
                       har_in_memory *in_memory);

/* Errors: E_MEMORY with what is needed, what there is, and the smallest change
 * that would fit: one numerics, fewer tokens, files on a disk, fewer layers.
 *                                                                    [local] */
CORE_NODISCARD core_status har_need_check(const har_need *need,
                                          const har_wish *wish,
                                          const har_limits *limits,
                                          har_in_memory *in_memory);

#endif
