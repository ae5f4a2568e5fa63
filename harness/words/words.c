/* harness/words/words.c -- see words.h. */
#include "harness/words/words.h"

#include "core/files/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

core_status har_parse_count(int64_t *out, const char *option, const char *text)
{
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    CORE_FAIL_IF(end == text || *end != '\0' || errno != 0 || value < 1,
                 CORE_E_USAGE, "%s: expected a positive number, found '%s'",
                 option, text);
    *out = value;
    return CORE_OK;
}

core_status har_parse_number(double *out, const char *option, const char *text,
                             double least, double most, const char *expected)
{
    CORE_FAIL_IF(!core_text_number(out, text, least, most), CORE_E_USAGE,
                 "%s: expected %s, found '%s'", option, expected, text);
    return CORE_OK;
}

core_status har_parse_range(int64_t *first, int64_t *last, const char *option,
                            const char *text, int64_t most)
{
    char low[32];
    const char *dots = strstr(text, "..");
    const size_t n = dots != NULL ? (size_t)(dots - text) : strlen(text);
    snprintf(low, sizeof low, "%.*s", n < sizeof low ? (int)n : 0, text);
    CORE_TRY(har_parse_count(first, option, low));
    *last = *first;
    if (dots != NULL)
        CORE_TRY(har_parse_count(last, option, dots + 2));
    CORE_FAIL_IF(*first > *last || *last > most, CORE_E_USAGE,
                 "%s: expected N or N..N2, rising, at most %lld, found '%s'",
                 option, (long long)most, text);
    return CORE_OK;
}

core_status har_parse_batch(int64_t *n_b, int64_t *n_t, const char *option,
                            const char *text)
{
    char *end = NULL;
    const long long rows = strtoll(text, &end, 10);
    const bool has_x = end != text && *end == 'x';
    const char *second = has_x ? end + 1 : end;
    const long long tokens = has_x ? strtoll(second, &end, 10) : 0;
    CORE_FAIL_IF(
        !has_x || end == second || *end != '\0' || rows < 1 || tokens < 1,
        CORE_E_USAGE, "%s: expected ROWSxTOKENS such as 16x16, found '%s'",
        option, text);
    *n_b = rows;
    *n_t = tokens;
    return CORE_OK;
}

/* One word that stands for a type. */
static bool is_type(const char *text)
{
    core_narrow narrow;
    core_dtype type;
    if (core_narrow_of_word(&narrow, text))
        return true;
    return core_dtype_of_word(&type, text) && core_dtype_is_float(type);
}

core_status har_parse_types(core_types *out, const char *option,
                            const char *text)
{
    bool is_known = strpbrk(text, "=+") != NULL || is_type(text);
    for (const core_profile *p = core_profiles; p->name != NULL; p++)
        is_known |= strcmp(p->name, text) == 0;
    CORE_FAIL_IF(!is_known, CORE_E_USAGE,
                 "%s: expected f16, bf16, f32, f64, fp8, int8, mxfp4, nvfp4, "
                 "int4, a profile or slot=type+..., found '%s'",
                 option, text);
    return core_types_parse(out, text);
}

core_status har_choose(int *out, const char *option, const char *text,
                       const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return CORE_OK;
        }
    char all[128];
    int at = 0;
    for (int i = 0; i < n; i++)
        at += snprintf(all + at, sizeof all - (size_t)at, "%s%s",
                       i == 0       ? ""
                       : i == n - 1 ? " or "
                                    : ", ",
                       names[i]);
    CORE_FAIL(CORE_E_USAGE, "%s: expected %s, found '%s'", option, all, text);
}

core_status har_refuse_without(const char *option, const char *const *names,
                               const char *const *texts, int n)
{
    for (int i = 0; i < n; i++)
        CORE_FAIL_IF(texts[i] != NULL, CORE_E_USAGE, "--%s belongs to --%s",
                     names[i], option);
    return CORE_OK;
}

const char *har_format_bytes(size_t bytes, char text[16])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int i = 0;
    while (value >= 1024.0 && i < 4) {
        value /= 1024.0;
        i++;
    }
    snprintf(text, 16, i == 0 ? "%.0f %s" : "%.1f %s", value, unit[i]);
    return text;
}
