/* core/numbers/operand_format.c -- see operand_format.h. */
#include "core/numbers/operand_format.h"

#include "core/numbers/rng.h"

#include <math.h>
#include <string.h>

/* What a code can say: digits behind the point of a number from 1 to 2, the
 * least exponent, the largest number, on both sides. */
typedef struct code {
    const char *name;
    int digits, least;
    double most, most_negative;
} code;

static code code_of(core_code which)
{
    switch (which) {
    case CORE_CODE_E4M3:
        return (code){"FP8 E4M3", 3, -6, 448.0, 448.0};
    case CORE_CODE_E5M2:
        return (code){"FP8 E5M2", 2, -14, 57344.0, 57344.0};
    case CORE_CODE_E2M1:
        return (code){"FP4 E2M1", 1, 0, 6.0, 6.0};
    case CORE_CODE_OFFSET4:
        return (code){"INT4", 0, 0, 7.0, 8.0};
    default:
        core_assert(which == CORE_CODE_INT8);
        return (code){"INT8", 0, 0, 127.0, 128.0};
    }
}

const char *core_code_name(core_code which)
{
    return code_of(which).name;
}

/* Between two numbers of the code next to a magnitude. */
static double step_at(const code *c, double size)
{
    if (c->digits == 0) /* an integer */
        return 1.0;
    const int e = size > 0.0 ? ilogb(size) : c->least;
    return ldexp(1.0, (e > c->least ? e : c->least) - c->digits);
}

static double rounded(const code *c, double x)
{
    if (isnan(x))
        return x;
    const double most = x < 0.0 ? c->most_negative : c->most;
    const double size = fmin(fabs(x), most), step = step_at(c, size);
    return copysign(rint(size / step) * step, x);
}

/* --- scales --- */

static double next_power(double x)
{
    int e;
    return frexp(x, &e) == 0.5 ? x : ldexp(1.0, e);
}

static double near_power(const code *c, double largest)
{
    int e = ilogb(largest);
    if (ldexp(largest, -e) >= 1.75)
        e++;
    return ldexp(1.0, e - ilogb(c->most));
}

static bool is_fixed(const core_operand_format *format)
{
    return format->scale == CORE_OPERAND_SCALE_FLOAT && format->fixed > 0.0;
}

static double scale_of(const core_operand_format *format, const code *c,
                       double largest)
{
    const code of_scales = code_of(CORE_CODE_E4M3);
    if (format->most > 0.0 && largest > format->most)
        largest = format->most;
    if (is_fixed(format))
        return format->fixed;
    if (!(largest > 0.0) || isinf(largest))
        return largest; /* 0, NaN, infinity */
    const double scale = (double)((float)largest / (float)c->most);
    switch (format->scale) {
    case CORE_OPERAND_SCALE_UP:
        return next_power(scale);
    case CORE_OPERAND_SCALE_NEAR:
        return near_power(c, largest);
    case CORE_OPERAND_SCALE_E4M3:
        return format->fixed * rounded(&of_scales, scale / format->fixed);
    case CORE_OPERAND_SCALE_FLOAT:
    case CORE_OPERAND_SCALE_F16:
        break;
    }
    return scale;
}

bool core_operand_needs_row(const core_operand_format *format)
{
    return format->group == 0 && !is_fixed(format);
}

/* --- values --- */

/* 1 or -1. */
static double up_or_down(const core_operand_draw *draw, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return core_rng(draw->seed, draw->stream, bits).word[0] % 2 != 0 ? 1.0
                                                                     : -1.0;
}

/* The code of x, or of what a draw makes of it; `reach` and x over the scale. */
static double number_of(const code *c, double x, double reach,
                        const core_operand_draw *draw)
{
    const double below = rounded(c, x - reach), above = rounded(c, x + reach);
    if (draw == NULL || below == above)
        return rounded(c, x);
    return up_or_down(draw, x) > 0.0 ? above : below;
}

static void quantise(const core_operand_format *format, const code *c,
                     double largest, double *x, int64_t n,
                     const core_operand_draw *draw)
{
    const bool rounds_scale = format->scale != CORE_OPERAND_SCALE_FLOAT;
    const double reach = draw != NULL ? draw->reach : 0.0;
    const double moved =
        draw != NULL && rounds_scale
            ? largest * (1.0 + reach * up_or_down(draw, largest))
            : largest;
    const double scale = scale_of(format, c, moved);
    double kept = scale; /* beside the codes */
    if (format->scale == CORE_OPERAND_SCALE_F16)
        core_store(CORE_FP16, CORE_GRID_ACT, &kept, 1);
    for (int64_t i = 0; i < n; i++)
        x[i] = scale > 0.0 ? kept * number_of(c, x[i] / scale,
                                              reach * largest / scale, draw)
                           : scale * x[i];
}

void core_operand_quantise(const core_operand_format *format,
                           core_numerics numerics, double largest, double *x,
                           int64_t n, const core_operand_draw *draw)
{
    const code c = code_of(format->code);
    if (format->group == 0)
        quantise(format, &c, largest, x, n, draw);
    for (int64_t i = 0; format->group > 0 && i < n; i += format->group) {
        const int64_t left = n - i;
        const int64_t n_i = left < format->group ? left : format->group;
        quantise(format, &c, core_largest(x + i, n_i), x + i, n_i, draw);
    }
    if (numerics == CORE_EXACT)
        core_store(numerics, CORE_GRID_ACT, x, n);
}
