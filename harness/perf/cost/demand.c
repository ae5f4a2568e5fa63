/* harness/perf/cost/demand.c -- shares of experts, from a name or a file.
 *
 * Trap: with popular experts in the order of their numbers, the first rank
 * would have all of them, and the balance over ranks would be that of the worst
 * placement there is.  So places are dealt out by a permutation: the order of a
 * random word per expert.
 */
#include "harness/perf/cost/demand.h"

#include "core/files/text.h"
#include "core/numbers/rng.h"
#include "harness/words/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PERMUTATION_SEED = 1, HIGHEST_WEIGHT = 1000, MAX_FILE_BYTES = 1 << 20 };

static uint32_t word_of(int e)
{
    return core_rng(PERMUTATION_SEED, core_rng_stream("demand"), (uint64_t)e)
        .word[0];
}

/* How many experts come before expert e. */
static int place_of(int e, int n_e)
{
    const uint32_t mine = word_of(e);
    int place = 0;
    for (int other = 0; other < n_e; other++) {
        const uint32_t w = word_of(other);
        place += w < mine || (w == mine && other < e);
    }
    return place;
}

static core_status normalise(har_demand *d, const char *text)
{
    double sum = 0;
    for (int e = 0; e < d->n_e; e++)
        sum += d->share[e];
    CORE_FAIL_IF(!(sum > 0) || !isfinite(sum), CORE_E_FORMAT,
                 "%s: expected numbers with a sum above 0", text);
    for (int e = 0; e < d->n_e; e++)
        d->share[e] /= sum;
    return CORE_OK;
}

double har_power_quantile(double a, double low, double high, double u)
{
    const double e = 1 - a;
    if (fabs(e) < 1e-6)
        return low * pow(high / low, u);
    return pow((pow(high, e) - pow(low, e)) * u + pow(low, e), 1 / e);
}

static core_status from_exponent(har_demand *d, const char *text,
                                 const char *digits, bool is_zipf)
{
    double x;
    CORE_TRY(har_parse_number(&x, text, digits, 0, 10,
                              "an exponent from 0 to 10"));
    for (int e = 0; e < d->n_e; e++) {
        const int place = place_of(e, d->n_e);
        d->share[e] = is_zipf ? pow(place + 1, -x)
                              : har_power_quantile(x, 1, HIGHEST_WEIGHT,
                                                   1 - (place + 0.5) / d->n_e);
    }
    return normalise(d, text);
}

/* --- files --- */

static const char *skip(const char *p)
{
    for (;; p++) {
        if (*p == '#')
            p += strcspn(p, "\n");
        if (*p == '\0' || strchr(" \t\r\n,[]", *p) == NULL)
            return p;
    }
}

static core_status parse_numbers(har_demand *d, const char *path,
                                 const char *text)
{
    int n = 0;
    for (const char *p = skip(text); *p != '\0'; p = skip(p)) {
        char *end = NULL;
        const double x = strtod(p, &end);
        CORE_FAIL_IF(end == p || !(x >= 0) || !isfinite(x), CORE_E_FORMAT,
                     "%s: number %d: expected 0 or more, found '%.*s'", path,
                     n + 1, (int)strcspn(p, " \t\r\n,[]"), p);
        if (n < d->n_e)
            d->share[n] = x;
        n++;
        p = end;
    }
    CORE_FAIL_IF(n != d->n_e, CORE_E_FORMAT,
                 "%s: expected one number for each of %d experts, found %d",
                 path, d->n_e, n);
    return normalise(d, path);
}

static core_status from_file(har_demand *d, const char *path)
{
    char *text = NULL;
    CORE_TRY_CTX(core_text_read(&text, path, MAX_FILE_BYTES),
                 "reading a popularity: uniform, zipf:S, power:A or a file");
    const core_status status = parse_numbers(d, path, text);
    free(text);
    return status;
}

core_status har_demand_parse(har_demand *out, const char *text, int n_e)
{
    har_demand d = {.n_e = n_e, .is_drawn = true, .seed = 1};
    snprintf(d.text, sizeof d.text, "%s", text);
    core_assert(n_e <= PAR_MAX_EXPERTS);
    if (n_e == 0 || strcmp(text, "uniform") == 0)
        for (int e = 0; e < n_e; e++)
            d.share[e] = 1.0 / n_e;
    else if (strncmp(text, "zipf:", 5) == 0)
        CORE_TRY(from_exponent(&d, text, text + 5, true));
    else if (strncmp(text, "power:", 6) == 0)
        CORE_TRY(from_exponent(&d, text, text + 6, false));
    else
        CORE_TRY(from_file(&d, text));
    *out = d;
    return CORE_OK;
}
