/* harness/diagnose/offset.c -- something was added, left out or taken instead.
 */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* found - expected in units of offset[], least squares over bad columns. */
static double fit(const har__case *c, const double *offset)
{
    double xx = 0.0, xy = 0.0;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++) {
            const int64_t at = i * c->n_col + j;
            if (!c->is_bad[j])
                continue;
            xx += offset[at] * offset[at];
            xy += offset[at] * (c->found[at] - c->expected[at]);
        }
    return xy / xx;
}

/* Was a whole multiple of offset [n, n_col] added?  *times: which. */
static bool is_multiple(har__case *c, const double *offset, double *times)
{
    *times = round(fit(c, offset));
    if (!(fabs(*times) >= 1.0))
        return false;
    for (int64_t i = 0; i < c->n * c->n_col; i++)
        c->guess[i] = c->expected[i] + *times * offset[i];
    return har__accepts(c);
}

static void say_times(double times, const char *what, char *text)
{
    if (times == -1.0)
        snprintf(text, HAR_LIKENESS_TEXT, "%s is missing", what);
    else if (times == 1.0)
        snprintf(text, HAR_LIKENESS_TEXT, "%s is added once more", what);
    else if (times > 0.0)
        snprintf(text, HAR_LIKENESS_TEXT, "%s is added %g times too often",
                 what, times);
    else
        snprintf(text, HAR_LIKENESS_TEXT, "%s is subtracted: %g times too few",
                 what, -times);
}

/* --- a bias --- */

bool har__try_bias(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    core_weight_kind kind = CORE_W_NONE;
    char name[CORE_NAME_BYTES];
    double times;
    double *offset = har__room(c, c->n * c->n_col);
    if (offset == NULL || !har__bias_rows(c, offset, &kind) ||
        !is_multiple(c, offset, &times))
        return false;
    core_weight_name((core_weight){kind, c->scene->tap.layer, 0}, name);
    say_times(times,
              core_weight_scope_of(kind) == CORE_SCOPE_EXPERT
                  ? "the expert's bias"
                  : name,
              text);
    return true;
}

/* The same values in every row: what a bias makes, known or not. */
bool har__try_same_offset(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    enum { MIN_ROWS = 4 };
    if (c->n < MIN_ROWS)
        return false;
    for (int64_t j = 0; j < c->n_col; j++) {
        double mean = 0.0;
        for (int64_t i = 0; i < c->n; i++)
            mean += c->found[i * c->n_col + j] - c->expected[i * c->n_col + j];
        mean /= (double)c->n;
        for (int64_t i = 0; i < c->n; i++)
            c->guess[i * c->n_col + j] = c->expected[i * c->n_col + j] + mean;
    }
    snprintf(text, HAR_LIKENESS_TEXT,
             "every row is off by the same values, as "
             "a bias left out or added once more makes it");
    return har__accepts(c);
}

/* --- other taps --- */

/* Columns of another tap's rows, at the place of what was found; false: it is
 * not known, or of another shape. */
static bool take(har__case *c, core_tap tap, double *out)
{
    const har_scene *s = c->scene;
    if (s->n_col_of(s->self, tap) != s->n_col ||
        core_tap_row_kind(tap.kind) != core_tap_row_kind(s->tap.kind))
        return false;
    double *line = har__room(c, s->n_col);
    for (int64_t i = 0; line != NULL && i < c->n; i++) {
        s->read(s->self, tap, c->row[i], line);
        memcpy(out + i * c->n_col, line + s->col0,
               (size_t)c->n_col * sizeof *out);
    }
    return line != NULL;
}

/* What a tap is the sum of; and what a half of a layer is added to later. */
static const struct {
    core_tap_kind sum, part;
} addends[] = {{CORE_TAP_MID, CORE_TAP_IN},
               {CORE_TAP_MID, CORE_TAP_ATTN_OUT},
               {CORE_TAP_MID, CORE_TAP_ATTN_POST},
               {CORE_TAP_OUT, CORE_TAP_MID},
               {CORE_TAP_OUT, CORE_TAP_FFN_OUT},
               {CORE_TAP_OUT, CORE_TAP_FFN_POST},
               {CORE_TAP_OUT, CORE_TAP_IN},
               {CORE_TAP_OUT, CORE_TAP_ATTN_OUT},
               {CORE_TAP_FFN_OUT, CORE_TAP_MLP_OUT},
               {CORE_TAP_FFN_OUT, CORE_TAP_SHARED_WEIGHTED},
               {CORE_TAP_FFN_OUT, CORE_TAP_MLP_POST},
               {CORE_TAP_FFN_OUT, CORE_TAP_COMBINE},
               {CORE_TAP_FFN_OUT, CORE_TAP_MOE_POST},
               {CORE_TAP_FFN_OUT, CORE_TAP_MID},
               {CORE_TAP_ATTN_OUT, CORE_TAP_IN}};

bool har__try_addend(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    char name[CORE_NAME_BYTES];
    double times, *offset = har__room(c, c->n * c->n_col);
    for (size_t i = 0; offset != NULL && c->scene->is_tap &&
                       i < sizeof addends / sizeof *addends;
         i++) {
        const core_tap part = har__beside(c, addends[i].part);
        if (addends[i].sum != c->scene->tap.kind || !take(c, part, offset) ||
            !is_multiple(c, offset, &times))
            continue;
        say_times(times, core_tap_name(part, name), text);
        return true;
    }
    return false;
}

static bool is_it(har__case *c, core_tap tap, char *text)
{
    char name[CORE_NAME_BYTES];
    if (!take(c, tap, c->guess) || !har__accepts(c))
        return false;
    snprintf(text, HAR_LIKENESS_TEXT, "the values of %s (%s)",
             core_tap_name(tap, name), core_tap_words(tap.kind));
    return true;
}

/* Another tap of the layer, the same of another layer, or the ends' stream. */
bool har__try_other_tap(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const har_scene *s = c->scene;
    if (!s->is_tap)
        return false;
    for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++) {
        const core_tap tap = har__beside(c, (core_tap_kind)kind);
        if (tap.kind != s->tap.kind && !core_tap_is_global(tap.kind) &&
            !core_tap_is_global(s->tap.kind) && is_it(c, tap, text))
            return true;
    }
    for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++) {
        const core_tap tap = {(core_tap_kind)kind, s->tap.layer - 1};
        if (s->tap.kind == CORE_TAP_IN && tap.layer >= 0 && is_it(c, tap, text))
            return true;
    }
    for (int layer = 0; layer < CORE_MAX_LAYERS; layer++) {
        const core_tap_kind kind =
            core_tap_is_global(s->tap.kind) ? CORE_TAP_OUT : s->tap.kind;
        const core_tap tap = {kind, layer};
        if (s->n_col_of(s->self, tap) > 0 && is_it(c, tap, text))
            return true;
    }
    return false;
}
