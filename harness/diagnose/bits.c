/* harness/diagnose/bits.c -- stored with fewer bits.
 *
 * Values that all lie on the lattice of a coarser type, next to what they
 * should be, were stored in it.  An operator's own rounding may push a value
 * over to the next one, so the lattice and the distance tell, not the value.
 */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdio.h>

/* The unit of x's binade in a type with that many bits. */
static double unit(double x, int n_bit)
{
    int exponent;
    frexp(x, &exponent);
    return ldexp(1.0, exponent - n_bit);
}

static bool is_on_lattice(double x, int n_bit)
{
    const double step = unit(x, n_bit);
    return x == 0.0 || x / step == floor(x / step);
}

/* Bits that hold all that was found in bad columns; 54: more than there are. */
static int bits_of(const har__case *c)
{
    int n_bit = 1;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++)
            while (n_bit < 54 && c->is_bad[j] &&
                   !is_on_lattice(c->found[i * c->n_col + j], n_bit))
                n_bit++;
    return n_bit;
}

static const char *type_of(int n_bit)
{
    return n_bit == 8    ? " (bf16)"
           : n_bit == 11 ? " (fp16)"
           : n_bit == 24 ? " (fp32)"
                         : "";
}

/* Bits that a tap of these numerics has; found values need fewer. */
static int promised_bits(const har__case *c)
{
    const double u = core_store_roundoff(c->scene->numerics);
    return u > 0.0 ? (int)-log2(u) : 53;
}

/* found[] where it is no farther from what was expected than rounding to n_bit
 * bits does, `share` of a unit; else the value expected.                     */
static bool is_stored_in(har__case *c, int n_bit, double share)
{
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++) {
            const int64_t at = i * c->n_col + j;
            const double e = c->expected[at], f = c->found[at];
            const double most = share * unit(e, n_bit) + c->tolerance[i];
            c->guess[at] = fabs(f - e) <= most ? f : e;
        }
    return har__accepts(c);
}

/* Lower bound of bits: values with one or two tell nothing. */
enum { MIN_BITS = 3, MIN_VALUES = 16 };

static bool is_coarse(const har__case *c, int *n_bit)
{
    if (c->n * c->n_bad_col < MIN_VALUES || c->scene->numerics == CORE_EXACT)
        return false;
    *n_bit = bits_of(c);
    return *n_bit >= MIN_BITS && *n_bit + 2 <= promised_bits(c);
}

bool har__try_rounded(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    int n_bit;
    if (!is_coarse(c, &n_bit) || !is_stored_in(c, n_bit, 0.5))
        return false;
    snprintf(text, HAR_LIKENESS_TEXT, "rounded to %d bits%s", n_bit,
             type_of(n_bit));
    return true;
}

/* All towards zero, and farther than rounding to nearest would. */
bool har__try_truncated(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    int n_bit;
    if (!is_coarse(c, &n_bit) || is_stored_in(c, n_bit, 0.5))
        return false;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++)
            if (c->is_bad[j] &&
                fabs(c->found[i * c->n_col + j]) >
                    fabs(c->expected[i * c->n_col + j]) + c->tolerance[i])
                return false;
    if (!is_stored_in(c, n_bit, 1.0))
        return false;
    snprintf(text, HAR_LIKENESS_TEXT,
             "cut off to %d bits%s, not rounded to nearest", n_bit,
             type_of(n_bit));
    return true;
}
