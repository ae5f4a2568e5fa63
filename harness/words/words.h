/* harness/words/words.h -- values as they are written in options and reports. */
#ifndef HAR_WORDS_H
#define HAR_WORDS_H

#include "core/numbers/deployed.h"

#include <stddef.h>
#include <stdint.h>

/* Positive decimal integer of an option; E_USAGE naming it.          [local] */
CORE_NODISCARD core_status har_parse_count(int64_t *out, const char *option,
                                           const char *text);

/* A number of an option, from least to most.  Errors: E_USAGE naming it and what
 * is `expected`: "a share from 0 to 1".                              [local] */
CORE_NODISCARD core_status har_parse_number(double *out, const char *option,
                                            const char *text, double least,
                                            double most, const char *expected);

/* "16..64", rising, or "16" for both ends, at most `most`; E_USAGE naming the
 * option.                                                            [local] */
CORE_NODISCARD core_status har_parse_range(int64_t *first, int64_t *last,
                                           const char *option, const char *text,
                                           int64_t most);

/* "16x11": rows and tokens of an option.  Errors: E_USAGE naming it. [local] */
CORE_NODISCARD core_status har_parse_batch(int64_t *n_b, int64_t *n_t,
                                           const char *option,
                                           const char *text);

/* The types that an option's text means.  Errors: E_USAGE naming the option, or
 * the word.                                                          [local] */
CORE_NODISCARD core_status har_parse_types(core_types *out, const char *option,
                                           const char *text);

/* *out: which of n names (2 to 8) the text is.  Errors: E_USAGE.    [local] */
CORE_NODISCARD core_status har_choose(int *out, const char *option,
                                      const char *text,
                                      const char *const *names, int n);

/* Options that mean nothing without another, which was not given.
 * Errors: E_USAGE naming the first of n texts that is not NULL.      [local] */
CORE_NODISCARD core_status har_refuse_without(const char *option,
                                              const char *const *names,
                                              const char *const *texts, int n);

/* "1.5 GiB" into text[16]; returns text. */
const char *har_format_bytes(size_t bytes, char text[16]);

#endif
