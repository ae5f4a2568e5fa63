/* harness/diagnose/hole.c -- nothing was written there. */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* NaN and infinities cannot be weighed: nearly all that differs must be such.
 */
bool har__try_nonfinite(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    int64_t n_nan = 0, n_inf = 0;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++) {
            if (!c->is_bad[j])
                continue;
            const double x = c->found[i * c->n_col + j];
            n_nan += isnan(x);
            n_inf += isinf(x);
        }
    const double share =
        (double)(n_nan + n_inf) / (double)(c->n * c->n_bad_col);
    if (!(share >= 0.99))
        return false;
    snprintf(text, HAR_LIKENESS_TEXT,
             n_inf == 0   ? "no number at all (NaN), as if never written"
             : n_nan == 0 ? "infinite: an overflow"
                          : "infinities and NaN: an overflow");
    c->explained = share;
    return true;
}

bool har__try_zeros(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    memset(c->guess, 0, (size_t)(c->n * c->n_col) * sizeof *c->guess);
    snprintf(text, HAR_LIKENESS_TEXT,
             "zeros, as if nothing had been computed or had arrived");
    return har__accepts(c);
}

/* The largest of several shares that are 0 where they have nothing. */
bool har__try_maximum(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    for (int64_t i = 0; i < c->n * c->n_col; i++)
        c->guess[i] = fmax(c->expected[i], 0.0);
    snprintf(text, HAR_LIKENESS_TEXT,
             "zero where it should be negative, as a maximum in place of a sum "
             "makes it");
    return har__accepts(c);
}
