/* harness/perf/machine/impl.h -- private: the parts of a time. */
#ifndef HAR_PERF_MACHINE_IMPL_H
#define HAR_PERF_MACHINE_IMPL_H

#include "core/files/yaml_list.h"
#include "harness/perf/machine/machine.h"

#include <math.h>

static inline double har__coef(const har_machine *m, har_coef coef)
{
    return m->coef[coef].value;
}

/* The same in seconds, for keys that end in _us.                             */
static inline double har__seconds(const har_machine *m, har_coef coef)
{
    return m->coef[coef].value * 1e-6;
}

/* Between max(a, b) and a + b: two things that overlap, not perfectly.       */
static inline double har__overlap(double a, double b)
{
    const double a2 = a * a, b2 = b * b;
    return sqrt(sqrt(a2 * a2 + b2 * b2));
}

static inline double har__peak(const har_machine *m, int unit)
{
    return m->peak[unit] > 0 ? m->peak[unit] : m->peak[CORE_DTYPE_F32];
}

static inline double har__memory_bw(const har_machine *m)
{
    return m->memory_bw * har__coef(m, HAR_COEF_MEMORY);
}

/* The same for kernels that gather rows by their addresses, without the bulk
 * copies that rules.memory stands for.                                       */
static inline double har__gather_bw(const har_machine *m)
{
    return har__memory_bw(m) / har_generation_of(m->arch)->memory;
}

/* Of a unit, for a code: two instructions of the 128 lanes of a unit, shifted and
 * masked in pairs, and a product with the scale.  Nothing was measured.       */
#define HAR__CLOCKS_UNPACK (1.0 / 64)

/* From the cache into all units.                                             */
static inline double har__feed_bw(const har_machine *m)
{
    return m->n_unit * m->clock_hz * m->unit_bytes_per_clock *
           har__coef(m, HAR_COEF_FEED);
}

/* E_FORMAT: FILE:LINE:COLUMN: key: expected ..., found '...'.        [local] */
CORE_NODISCARD core_status har__read_refuse(const char *file,
                                            const core_yaml_entry *entry,
                                            const char *expected);

/* The entry as a number in [least, most].  Errors: E_FORMAT.         [local] */
CORE_NODISCARD core_status har__read_number(const char *file,
                                            const core_yaml_entry *entry,
                                            double least, double most,
                                            double *out);

enum { HAR__MAX_PATH = 1024 };

/* What a machine file says of coefficients and sigmas: value, origin.        */
typedef struct har__stated {
    const char *file, *reference; /* coefficients_from; "" if it is not there */
    int depth; /* of files that name files                                    */
    bool *coef, *coef_from, *sigma, *sigma_from;
} har__stated;

/* har_machine_open of a file that another names.                      [local]
 */
CORE_NODISCARD core_status har__machine_open(har_machine *out, const char *name,
                                             int depth);

/* Put in what the file leaves to its arch, and say it is there; carry over what
 * was transferred.  Errors: E_FILE, E_FORMAT.                        [local] */
CORE_NODISCARD core_status har__fill_in(har_machine *m,
                                        const har__stated *stated);

/* x, or the limit that it is beyond; NaN is below.                           */
static inline double har__within(double x, double least, double most)
{
    return fmin(most, fmax(least, x));
}

/* Products of a tile on a unit, and unpacking n_code codes beside them.       */
static inline double har__unpacked(const har_machine *m,
                                   const har_operands *operands,
                                   double products, double n_code)
{
    if (!operands->is_unpacked)
        return products;
    const double unpack = n_code * HAR__CLOCKS_UNPACK / m->clock_hz;
    return har_generation_of(m->arch)->is_async
               ? har__overlap(products, unpack)
               : products + unpack;
}

/* What a kernel's parts are, before they are put together.                   */
typedef struct har__parts {
    double overhead, latency, compute, memory;
} har__parts;

/* Of a link: starting anything over it; bytes/s of large messages; a step; and
 * a time of both with its sigma. */
double har__link_start(const har_machine *machine);
double har__link_bw(const har_machine *machine, const har_link *link);
double har__link_hop(const har_machine *machine, const har_link *link);
har_time har__link_time(const har_machine *machine, double overhead,
                        double moving);

/* overhead + latency + overlap(compute, memory), and which is the largest.   */
har_time har__together(const har_machine *m, har_kind kind, har__parts parts);

#endif
