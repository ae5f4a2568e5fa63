/* golden/mistakes.c -- see mistakes.h.
 *
 * The list has what a bound per row cannot see; what it can needs no line here.
 * Traps: values that are stored would hide a direction that is smaller than
 * their unit, so the passes store floats whatever the golden's numerics are; a
 * pass takes over the golden's choices, else one of them would be all that is
 * seen.
 */
#include "golden/mistakes.h"

#include "core/base/arena.h"
#include "core/base/wide.h"
#include "golden/slope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the list --- */

static const char *other_eps(core_spec *spec)
{
    const bool is_small = spec->norm_eps < 3e-6;
    spec->norm_eps = is_small ? 1e-5 : 1e-6;
    return is_small ? "norm eps 1e-5 for 1e-6" : "norm eps 1e-6 for 1e-5";
}

static const char *other_gelu(core_spec *spec)
{
    const bool is_erf = spec->act == CORE_ACT_GELU;
    if (!is_erf && spec->act != CORE_ACT_GELU_TANH)
        return NULL;
    spec->act = is_erf ? CORE_ACT_GELU_TANH : CORE_ACT_GELU;
    return is_erf ? "gelu by tanh for erf" : "gelu by erf for tanh";
}

static const char *other_theta(core_spec *spec)
{
    spec->rope.theta *= 2.0;
    return "rope's theta doubled";
}

const char *gold_mistake(core_spec *spec, int i)
{
    static const char *(*const all[GOLD_MISTAKES])(core_spec *) = {
        other_eps, other_gelu, other_theta};
    return spec->n_h > 0 ? all[i](spec) : NULL;
}

/* --- directions --- */

const gold_direction *gold_directions_find(const gold_directions *directions,
                                           core_tap tap)
{
    for (int64_t i = 0; i < directions->n; i++)
        if (directions->at[i].tap.kind == tap.kind &&
            directions->at[i].tap.layer == tap.layer)
            return &directions->at[i];
    return NULL;
}

/* A pass that keeps its taps (mistake < 0), or how they differ from those. */
typedef struct keeping {
    const gold_directions *directions;
    int mistake;
} keeping;

static bool keeps(void *self, core_tap tap)
{
    const keeping *k = self;
    return gold_directions_find(k->directions, tap) != NULL;
}

static void keep(void *self, core_tap tap, const double *values,
                 const int64_t *ints, const float *bound)
{
    const keeping *k = self;
    const gold_direction *d = gold_directions_find(k->directions, tap);
    (void)ints;
    (void)bound;
    for (int64_t i = 0; i < d->n_row * d->n_col; i++)
        if (k->mistake < 0)
            d->right[i] = values[i];
        else
            d->of[k->mistake][i] = (float)(values[i] - d->right[i]);
}

/* Directions to be made: of each forcing, fed alike otherwise. */
typedef struct making {
    gold_directions *out; /* [n]                                              */
    const ref_forcing *forcing;
    int n;
    const gold_feed *feed;
} making;

/* The passes [first, end) of mistakes, -1 the one without, which the model can
 * make: in floats, and with the feed's weights as they are.                  */
static core_status run(const making *m, ref_model *model, int first, int end)
{
    enum { MOST = (GOLD_MISTAKES + 1) * (REF_BLOCK + 1) };
    const gold_feed *feed = m->feed;
    core_spec spec[GOLD_MISTAKES + 1];
    keeping kept[MOST];
    ref_draw draw[MOST];
    core_tap_sink sink[MOST];
    int n = 0;
    for (int i = first; i < end; i++) {
        spec[i - first] = *feed->spec;
        if (i >= 0 && gold_mistake(&spec[i - first], i) == NULL)
            continue;
        for (int f = 0; f < m->n; f++, n++) {
            kept[n] = (keeping){&m->out[f], i};
            draw[n] = feed->draw;
            draw[n].forcing = m->forcing[f];
            draw[n].stated = draw[n].in_floats = true;
            draw[n].run = 0;
            draw[n].spec = &spec[i - first];
            sink[n] = (core_tap_sink){&kept[n], keep, keeps};
        }
    }
    const ref_draws all = {draw, sink, n, feed->options.n_threads};
    return n == 0 ? CORE_OK
                  : ref_forward_drawn(model, feed->batch, &feed->groups, &all);
}

static core_status list_taps(gold_directions *out, const gold_feed *feed)
{
    const int64_t n_all = core_taps(feed->spec, NULL, 0);
    const int64_t n_token = feed->batch->n_b * feed->batch->n_t;
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n_all, sizeof *out->at, "directions"));
    out->at = memory;
    CORE_TRY(core_alloc(&memory, n_all, sizeof(core_tap), "the list of taps"));
    core_tap *all = memory;
    core_taps(feed->spec, all, n_all);
    for (int64_t i = 0; i < n_all; i++)
        if (core_tap_grid(all[i].kind) != CORE_GRID_INT &&
            feed->wants(feed->draw.self, all[i]))
            out->at[out->n++] = (gold_direction){
                .tap = all[i],
                .n_row = core_tap_n_rows(feed->spec, all[i], n_token),
                .n_col = core_tap_cols(feed->spec, all[i])};
    free(all);
    return CORE_OK;
}

/* Room for the right values, or for a mistake's directions. */
static core_status make_room(gold_directions *out, int mistake)
{
    for (int64_t i = 0; i < out->n; i++) {
        gold_direction *d = &out->at[i];
        void *memory = NULL;
        CORE_TRY(core_alloc(&memory, d->n_row * d->n_col,
                            mistake < 0 ? sizeof *d->right : sizeof(float),
                            "the directions of mistakes"));
        if (mistake < 0)
            d->right = memory;
        else
            d->of[mistake] = memory;
    }
    return CORE_OK;
}

static core_status make(const making *m, ref_model *model)
{
    for (int f = 0; f < m->n; f++) {
        CORE_TRY(list_taps(&m->out[f], m->feed));
        for (int i = -1; i < GOLD_MISTAKES; i++) {
            core_spec spec = *m->feed->spec;
            if (i < 0 || gold_mistake(&spec, i) != NULL)
                CORE_TRY(make_room(&m->out[f], i));
        }
    }
    CORE_TRY(run(m, model, -1, 0));
    return run(m, model, 0, GOLD_MISTAKES);
}

core_status gold_directions_make(gold_directions *out,
                                 const ref_forcing *forcing, int n,
                                 const gold_feed *feed)
{
    const making m = {out, forcing, n, feed};
    ref_model *opened = NULL;
    for (int f = 0; f < n; f++)
        out[f] = (gold_directions){0, NULL};
    if (feed->model == NULL)
        CORE_TRY(ref_model_open(&opened, feed->spec, feed->weights, CORE_FP32,
                                &feed->options));
    const core_status status =
        make(&m, feed->model != NULL ? feed->model : opened);
    ref_model_close(opened);
    for (int f = 0; f < n && status != CORE_OK; f++)
        gold_directions_free(&out[f]);
    return status;
}

void gold_directions_free(gold_directions *directions)
{
    for (int64_t i = 0; i < directions->n; i++) {
        free(directions->at[i].right);
        for (int k = 0; k < GOLD_MISTAKES; k++)
            free(directions->at[i].of[k]);
    }
    free(directions->at);
    *directions = (gold_directions){0, NULL};
}

/* --- leaning --- */

/* x, x^2 and d^2 / s^2 of n elements; lanes, so that no addition waits for the
 * one before it.                                                             */
static inline void add_elements(double sum[3], const float *of,
                                const double *moved, const double *scale,
                                int64_t n)
{
    enum { LANES = 4 };
    double x[LANES] = {0.0}, squares[LANES] = {0.0}, shares[LANES] = {0.0};
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = (double)of[c + j], along = moved[c + j] * d;
            x[j] += along;
            squares[j] += along * along;
            shares[j] += scale[c + j] * d * d;
        }
    for (; c < n; c++) {
        const double d = (double)of[c], along = moved[c] * d;
        x[0] += along;
        squares[0] += along * along;
        shares[0] += scale[c] * d * d;
    }
    sum[0] += (x[0] + x[1]) + (x[2] + x[3]);
    sum[1] += (squares[0] + squares[1]) + (squares[2] + squares[3]);
    sum[2] += (shares[0] + shares[1]) + (shares[2] + shares[3]);
}

CORE_WIDE void gold_leaning_add(gold_leaning *leaning, const gold_direction *d,
                                int64_t row, const double *honest,
                                const double *found)
{
    enum { STEP = 256 };
    const double square = gold_mean_square(honest, d->n_col);
    double scale[STEP], moved[STEP];
    for (int64_t c0 = 0; square > 0.0 && c0 < d->n_col; c0 += STEP) {
        const int64_t n = d->n_col - c0 < STEP ? d->n_col - c0 : STEP;
        const double *h = honest + c0, *f = found + c0;
        for (int64_t c = 0; c < n; c++) {
            scale[c] = 1.0 / (square + h[c] * h[c]);
            moved[c] = scale[c] * (f[c] - h[c]);
        }
        for (int i = 0; i < GOLD_MISTAKES; i++)
            if (d->of[i] != NULL)
                add_elements(leaning->sum[i][d->tap.kind],
                             d->of[i] + row * d->n_col + c0, moved, scale, n);
    }
}

gold_lean gold_leaning_of(const gold_leaning *leaning, int mistake,
                          core_tap_kind kind)
{
    const double *sum = leaning->sum[mistake][kind];
    if (!(sum[2] > 0.0))
        return (gold_lean){.moves = false};
    return (gold_lean){true, sum[0] / sum[2],
                       sum[1] > 0.0 ? sum[0] / sqrt(sum[1]) : 0.0};
}
