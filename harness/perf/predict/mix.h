/* harness/perf/predict/mix.h -- lengths of the requests that a system serves, and
 * what their answers may take.
 */
#ifndef HAR_PERF_MIX_H
#define HAR_PERF_MIX_H

#include "core/base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { HAR_MAX_MIX = 4096 };

/* Sums over the requests of a mix, each by its weight; weights add up to 1.   */
typedef struct har_mix {
    double input, output;  /* tokens of a prompt, of an answer: means          */
    double keys;           /* that a decoding step of a request sees: the mean
                            * over all steps                                   */
    int n_item;
    struct {
        double input, output, weight;
    } item[HAR_MAX_MIX];
} har_mix;

/* "2048x512", input and output tokens of every request, or a file: a line
 * `input,output` or `input,output,weight`, then a line for each length.
 * Errors: E_USAGE naming the option; E_FILE; E_FORMAT as FILE:LINE:FIELD: name:
 * expected, found.                                                    [local] */
CORE_NODISCARD core_status har_mix_read(har_mix *out, const char *option,
                                        const char *text);

/* Mean over the prompts' tokens of the tokens of their prompt; of those that an
 * earlier chunk of so many tokens had; mean over the prompts of their chunks.  */
double har_mix_run(const har_mix *mix, double chunk);
double har_mix_past(const har_mix *mix, double chunk);
double har_mix_chunks(const har_mix *mix, double chunk);

/* Limits in ms; HUGE_VAL: none.                                               */
typedef struct har_slo {
    double ttft, tpot;
} har_slo;

/* "ttft_ms<500,tpot_ms<50", one or both; NULL: no limit.  Errors: E_USAGE naming
 * the option and the word.                                            [local] */
CORE_NODISCARD core_status har_slo_parse(har_slo *out, const char *option,
                                         const char *text);

#endif
