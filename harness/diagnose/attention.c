/* harness/diagnose/attention.c -- keys seen, scores' scale, heads of keys.
 *
 * The context is computed anew from queries, keys and values.  Not with latent
 * keys, and only where no key is padding: else it would not come out as
 * expected.
 */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdio.h>

typedef struct inputs {
    core_heads heads;
    const double *q;     /* [n, H*Dh]                                         */
    const double *k, *v; /* [N, G*Dh], [N, G*Dv] all rows                     */
    const double *sinks; /* [H] or NULL                                       */
    double *p;           /* [T] of a query                                    */
} inputs;

/* How a query attends.                                                       */
typedef struct attending {
    double scale;
    int64_t ahead;  /* keys beyond the query that it sees; -1: not its
                     * own either                                             */
    int64_t behind; /* keys more (less: negative) before the first            */
    bool sees_all;
    bool in_turn; /* query head h reads kv head h % G                         */
} attending;

static void attend(har__case *c, const inputs *in, const attending *how,
                   int64_t i, int64_t h)
{
    const har_scene *s = c->scene;
    const core_spec *spec = s->spec;
    const core_heads *heads = &in->heads;
    const int64_t n_h = heads->n_h, n_g = heads->n_g, n_t = s->n_t;
    const int64_t n_dh = heads->n_dh, n_dv = heads->n_dv;
    const int64_t t = c->row[i] % n_t, row0 = c->row[i] - t;
    const int64_t g = how->in_turn ? h % n_g : h * n_g / n_h;
    int64_t first = core_spec_first_key(spec, s->tap.layer, t) - how->behind;
    int64_t end = t + 1 + how->ahead;
    first = first < 0 || how->sees_all ? 0 : first;
    end = end > n_t || how->sees_all ? n_t : end;
    const double *q = in->q + i * n_h * n_dh + h * n_dh;
    const double scale_v = spec->value_scale > 0.0 ? spec->value_scale : 1.0;
    double largest = in->sinks != NULL ? in->sinks[h] : (double)-INFINITY;
    double sum = 0.0;
    for (int64_t j = first; j < end; j++) {
        const double *k = in->k + (row0 + j) * n_g * n_dh + g * n_dh;
        double dot = 0.0;
        for (int64_t d = 0; d < n_dh; d++)
            dot += q[d] * k[d];
        in->p[j] = dot * how->scale;
        largest = fmax(largest, in->p[j]);
    }
    for (int64_t j = first; j < end; j++)
        in->p[j] = exp(in->p[j] - largest);
    double sink = in->sinks != NULL ? exp(in->sinks[h] - largest) : 0.0;
    if (end > first)
        core_store(s->numerics, CORE_GRID_EXP, in->p + first, end - first);
    core_store(s->numerics, CORE_GRID_EXP, &sink, 1);
    for (int64_t j = first; j < end; j++)
        sum += in->p[j];
    for (int64_t j = first; j < end; j++)
        in->p[j] /= sum + sink;
    if (end > first)
        core_store(s->numerics, CORE_GRID_PROB, in->p + first, end - first);
    for (int64_t d = 0; d < n_dv; d++) {
        const int64_t at = h * n_dv + d - s->col0;
        double out = 0.0;
        for (int64_t j = first; j < end; j++)
            out += in->p[j] * in->v[(row0 + j) * n_g * n_dv + g * n_dv + d];
        if (at >= 0 && at < c->n_col)
            c->guess[i * c->n_col + at] = scale_v * out;
    }
}

static void compute(har__case *c, const inputs *in, const attending *how)
{
    const int64_t n_dv = in->heads.n_dv, col0 = c->scene->col0;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t h = col0 / n_dv; h * n_dv < col0 + c->n_col; h++)
            attend(c, in, how, i, h);
    har__store(c);
}

static attending right(const inputs *in)
{
    return (attending){.scale = in->heads.scale};
}

/* The last of the taps that a model has. */
static core_tap last_of(const har__case *c, const core_tap_kind *kinds, int n)
{
    core_tap tap = har__beside(c, kinds[0]);
    for (int i = 1; i < n; i++)
        if (core_tap_exists(c->scene->spec, har__beside(c, kinds[i])))
            tap = har__beside(c, kinds[i]);
    return tap;
}

static bool open_inputs(har__case *c, inputs *in)
{
    static const core_tap_kind queries[] = {
        CORE_TAP_Q, CORE_TAP_Q_NORM, CORE_TAP_Q_ROPE, CORE_TAP_Q_ROPE_NORM,
        CORE_TAP_Q_TEMPER};
    static const core_tap_kind keys[] = {CORE_TAP_K, CORE_TAP_K_NORM,
                                         CORE_TAP_K_ROPE, CORE_TAP_K_ROPE_NORM};
    static const core_tap_kind values[] = {CORE_TAP_V, CORE_TAP_V_NORM};
    static const core_tap_kind of_keys[] = {CORE_TAP_K, CORE_TAP_V_NORM};
    const int64_t most = INT64_C(1) << 27; /* products                        */
    const har_scene *s = c->scene;
    if (!har__is_kind(c, CORE_TAP_CONTEXT) || s->spec->n_kv_rank > 0 ||
        s->n_t < 2 || c->n > most / (s->n_col * s->n_t))
        return false;
    in->heads = core_spec_heads(s->spec, s->tap.layer);
    in->q = har__tap_rows(c, last_of(c, queries, 5));
    in->k = har__tap_whole(c, last_of(c, keys, 4));
    in->v = har__tap_whole(
        c, last_of(c, in->heads.v_is_k ? of_keys : values, 2));
    in->sinks = har__weight_of(c, (core_weight){CORE_W_SINKS, s->tap.layer, 0});
    in->p = har__room(c, s->n_t);
    if (in->q == NULL || in->k == NULL || in->v == NULL || in->p == NULL)
        return false;
    const attending how = right(in);
    compute(c, in, &how);
    return har__is_expected(c);
}

static bool is(har__case *c, const inputs *in, attending how)
{
    compute(c, in, &how);
    return har__accepts(c);
}

bool har__try_mask(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    static const struct {
        int64_t ahead, behind;
        bool sees_all;
        const char *words;
    } wrong[] = {{1, 0, false, "a query sees the key after it, too"},
                 {-1, 0, false, "a query does not see its own key"},
                 {0, 0, true, "a query sees all keys: no causal mask"},
                 {0, 1, false, "the window is one key too long"},
                 {0, -1, false, "the window is one key too short"},
                 {0, INT64_C(1) << 40, false,
                  "no window: a query sees all "
                  "keys before it"}};
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        attending how = right(&in);
        how.ahead = wrong[i].ahead;
        how.behind = wrong[i].behind;
        how.sees_all = wrong[i].sees_all;
        if (is(c, &in, how)) {
            snprintf(text, HAR_LIKENESS_TEXT, "%s", wrong[i].words);
            return true;
        }
    }
    return false;
}

bool har__try_score_scale(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    const double scale = right(&in).scale;
    const struct {
        double scale;
        const char *words;
    } wrong[] = {{1.0, "scores without their scale"},
                 {scale * scale, "scores with the square of their scale"},
                 {1.0 / scale, "scores divided by their scale"},
                 {sqrt(scale), "scores with the root of their scale"},
                 {1.0 / sqrt((double)c->scene->spec->n_d),
                  "scores with 1 / sqrt of the width instead of their scale"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        attending how = right(&in);
        how.scale = wrong[i].scale;
        if (is(c, &in, how)) {
            snprintf(text, HAR_LIKENESS_TEXT, "%s", wrong[i].words);
            return true;
        }
    }
    return false;
}

bool har__try_kv_heads(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    attending how = right(&in);
    how.in_turn = true;
    snprintf(text, HAR_LIKENESS_TEXT,
             "query heads read the kv heads in turn "
             "(h modulo G) instead of in groups");
    return is(c, &in, how);
}
