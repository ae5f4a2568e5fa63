/* harness/launch/limits.h -- what this process may use: memory and processors.
 *
 * A batch system or a container puts a process into a control group, and the
 * groups above it have limits of their own: the narrowest of all of them
 * counts, beside what the machine has free.  Groups of version 1 and 2 are
 * read, both at once where a machine has both.
 */
#ifndef HAR_LAUNCH_LIMITS_H
#define HAR_LAUNCH_LIMITS_H

#include <stddef.h>

enum { HAR_LIMITS_PATH = 512 };

/* Of one processor while all work; 0: not measured.                          */
typedef struct har_rates {
    double weight_seconds; /* to make or read a weight                        */
    double flop_seconds;   /* of a product                                    */
} har_rates;

/* Who multiplies how: in exact numerics all; in others the reference, whose sums
 * are doubles, and ranks whose sums are floats.                              */
typedef enum har_kernel {
    HAR_KERNEL_EXACT, HAR_KERNEL_DOUBLES, HAR_KERNEL_FLOATS, HAR_N_KERNELS
} har_kernel;

/* In processor time; 0: not measured.                                        */
typedef struct har_pace {
    double start_seconds;   /* of a process of this program, until it begins  */
    double message_seconds; /* to wake a process that sleeps, by a few bytes  */
} har_pace;

typedef struct har_limits {
    size_t memory_bytes;  /* that can be used without swapping                */
    size_t process_bytes; /* of addresses, for one process (ulimit -v);
                           * SIZE_MAX: no limit                               */
    int n_core;           /* of the affinity mask, no more than the quota pays
                           * for, at least 1                                  */
    char group[HAR_LIMITS_PATH]; /* whose limit memory_bytes is; "": nobody's,
                                  * the machine has no more                   */
    har_rates rates[HAR_N_KERNELS]; /* harness/verify/rates.h                 */
    har_pace pace; /* harness/verify/pace.h                                   */
    const double *chance; /* [E] harness/verify/chances.h, borrowed; NULL: experts
                           * are alike                                        */
} har_limits;

/* root: "", or a folder that has proc/ and sys/ as a machine has them. [local]
 */
har_limits har_limits_read(const char *root);

/* Addresses that a thread reserves for products, though it uses few of them:
 * where there are not so many, OpenBLAS waits for them for ever.             */
#define HAR_THREAD_ADDRESSES ((size_t)140 << 20)

/* Bytes that this process can still take here, beside those, and its processors.
 *                                                                    [local] */
size_t har_memory_available(void);
int har_n_cores(void);

/* Threads of each of n_rank ranks that share these processors: one, but where there
 * are fewer ranks than processors.  Under ulimit -v always one.       [local] */
int har_share_threads(const har_limits *limits, int n_rank);

#endif
