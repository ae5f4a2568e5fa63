/* harness/perf/calibrate/cpuinfo.h -- what the kernel says about the processor. */
#ifndef HAR_PERF_CPUINFO_H
#define HAR_PERF_CPUINFO_H

#include <stdbool.h>
#include <stdio.h>

/* The value of the first line "KEY : VALUE" of a stream like /proc/cpuinfo, in
 * printable ASCII, cut to n - 1 bytes; false and "" if there is none or the
 * stream is NULL.                                                     [local] */
bool har_cpuinfo_value(char *out, size_t n, FILE *cpuinfo, const char *key);

/* Of this machine's /proc/cpuinfo; a name and a frequency that are made up if
 * it does not say.                                                    [local] */
void har_cpuinfo_name(char *out, size_t n);
double har_cpuinfo_hz(void);

/* Bytes of a size as sysfs writes it, "32768K" or "32M"; 0 for anything else.
 *                                                                     [local] */
double har_cpuinfo_size(const char *text);

/* The largest cache that the first core sees, shared or not.  Not sysconf's:
 * that may be the sum over a socket's dies, of which a core sees one. [local] */
double har_cpuinfo_cache_bytes(void);

/* "about: 'one core of NAME, measured DATE'": a line of YAML, whatever NAME
 * has in it.                                                          [local] */
void har_cpuinfo_about(FILE *out, const char *name, const char *date);

#endif
