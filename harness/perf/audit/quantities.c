/* harness/perf/audit/quantities.c -- names, units and words of an audit.
 *
 * Units are written as published: decimal prefixes are powers of ten, KiB, MiB
 * and GiB powers of two, "%" is a hundredth.  A count has no unit, or the thing
 * that is counted.
 */
#include "harness/perf/audit/audit.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name, *about;
    har_dimension dimension;
} quantities[HAR_N_QUANTITIES] = {
#define HAR_QUANTITY_ROW(id, text, dim, what) {text, what, HAR_DIM_##dim},
    HAR_QUANTITY_LIST(HAR_QUANTITY_ROW)
#undef HAR_QUANTITY_ROW
};

static const struct {
    har_dimension dimension;
    const char *unit;
    double factor;
} units[] = {
    {HAR_DIM_COUNT, "1", 1.0},
    {HAR_DIM_RATIO, "1", 1.0},
    {HAR_DIM_NUMBER, "1", 1.0},
    {HAR_DIM_NUMBER, "million", 1e6},
    {HAR_DIM_NUMBER, "billion", 1e9},
    {HAR_DIM_FRACTION, "%", 0.01},
    {HAR_DIM_FRACTION, "1", 1.0},
    {HAR_DIM_TIME, "us", 1e-6},
    {HAR_DIM_TIME, "ms", 1e-3},
    {HAR_DIM_TIME, "s", 1.0},
    {HAR_DIM_BYTES, "B", 1.0},
    {HAR_DIM_BYTES, "kB", 1e3},
    {HAR_DIM_BYTES, "MB", 1e6},
    {HAR_DIM_BYTES, "GB", 1e9},
    {HAR_DIM_BYTES, "TB", 1e12},
    {HAR_DIM_BYTES, "KiB", 0x1p10},
    {HAR_DIM_BYTES, "MiB", 0x1p20},
    {HAR_DIM_BYTES, "GiB", 0x1p30},
    {HAR_DIM_BANDWIDTH, "MB/s", 1e6},
    {HAR_DIM_BANDWIDTH, "GB/s", 1e9},
    {HAR_DIM_BANDWIDTH, "TB/s", 1e12},
    {HAR_DIM_FLOP, "FLOP", 1.0},
    {HAR_DIM_FLOP, "GFLOP", 1e9},
    {HAR_DIM_FLOP, "TFLOP", 1e12},
    {HAR_DIM_FLOPS, "GFLOPS", 1e9},
    {HAR_DIM_FLOPS, "TFLOPS", 1e12},
    {HAR_DIM_FLOPS, "PFLOPS", 1e15},
    {HAR_DIM_TOKENS, "tokens", 1.0},
    {HAR_DIM_SEQUENCES, "sequences", 1.0},
    {HAR_DIM_TOKEN_RATE, "tokens/s", 1.0},
    {HAR_DIM_SEQUENCE_RATE, "sequences/s", 1.0},
};
enum { N_UNITS = sizeof units / sizeof units[0] };

static const struct {
    const char *name, *meaning[2];
} words[HAR_N_WORDS] = {
    {"utilisation", {"busy", "mfu"}},
    {"communication_overhead", {"total", "exposed"}},
    {"latency", {"prefill", "decode"}},
};

const char *har_quantity_name(har_quantity q) { return quantities[q].name; }

const char *har_quantity_about(har_quantity q) { return quantities[q].about; }

har_dimension har_quantity_dimension(har_quantity q)
{
    return quantities[q].dimension;
}

bool har_quantity_find(har_quantity *out, const char *name)
{
    for (int q = 0; q < (int)HAR_N_QUANTITIES; q++) {
        if (strcmp(quantities[q].name, name) == 0) {
            *out = (har_quantity)q;
            return true;
        }
    }
    return false;
}

bool har_unit_factor(har_dimension dimension, const char *unit, double *factor)
{
    for (int i = 0; i < N_UNITS; i++) {
        if (units[i].dimension == dimension &&
            strcmp(units[i].unit, unit) == 0) {
            *factor = units[i].factor;
            return true;
        }
    }
    return false;
}

void har_unit_list(har_dimension dimension, char *out, size_t bytes)
{
    out[0] = '\0';
    for (int i = 0; i < N_UNITS; i++) {
        const size_t n = strlen(out);
        if (units[i].dimension == dimension)
            snprintf(out + n, bytes - n, "%s%s", n > 0 ? ", " : "",
                     units[i].unit);
    }
}

/* The unit in which x is at least 1, else the smallest. */
static int unit_for(har_dimension dimension, double x)
{
    int best = -1;
    for (int i = 0; i < N_UNITS; i++) {
        const bool binary = strchr(units[i].unit, 'i') != NULL &&
                            dimension == HAR_DIM_BYTES;
        if (units[i].dimension != dimension || binary)
            continue;
        if (best < 0 || (units[i].factor <= x &&
                         (units[i].factor > units[best].factor ||
                          units[best].factor > x)))
            best = i;
    }
    return dimension == HAR_DIM_FRACTION ? unit_for(HAR_DIM_RATIO, x) : best;
}

/* Four digits; thousands and more in full, rounded to four digits. */
static void write_number(char *out, size_t bytes, double x)
{
    const double size = fabs(x);
    if (size != 0.0 && (size < 1e-3 || size >= 1e9))
        snprintf(out, bytes, "%.4g", x);
    else if (size >= 1e4) {
        const double step = pow(10.0, floor(log10(size)) - 3.0);
        snprintf(out, bytes, "%.0f", round(x / step) * step);
    } else
        snprintf(out, bytes, "%.4g", x);
}

void har_quantity_write(char *out, size_t bytes, har_quantity q, har_interval x)
{
    const har_dimension dimension = quantities[q].dimension;
    const bool percent = dimension == HAR_DIM_FRACTION;
    const double size = isfinite(x.hi) ? x.hi : x.lo;
    const int u = unit_for(dimension, fabs(size));
    const double factor = percent ? 0.01 : units[u].factor;
    const char *unit = percent ? "%" : units[u].unit;
    char lo[32], hi[32];
    write_number(lo, sizeof lo, x.lo / factor);
    write_number(hi, sizeof hi, x.hi / factor);
    const char *space = strcmp(unit, "1") == 0 ? "" : " ";
    const char *shown = space[0] == '\0' ? "" : unit;
    if (isinf(x.hi))
        snprintf(out, bytes, "%s%s%s or more", lo, space, shown);
    else if (strcmp(lo, hi) == 0)
        snprintf(out, bytes, "%s%s%s", lo, space, shown);
    else
        snprintf(out, bytes, "%s to %s%s%s", lo, hi, space, shown);
}

int har_word_of(har_quantity q)
{
    for (int w = 0; w < (int)HAR_N_WORDS; w++)
        if (strcmp(words[w].name, quantities[q].name) == 0)
            return w;
    return -1;
}

const char *har_word_name(har_word word) { return words[word].name; }

const char *har_meaning_name(har_word word, int meaning)
{
    return words[word].meaning[meaning - 1];
}
