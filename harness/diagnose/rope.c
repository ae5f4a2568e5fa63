/* harness/diagnose/rope.c -- a rotation by other pairs, positions or waves.
 *
 * Rotated queries and keys are computed anew from those that were not.
 */
#include "harness/diagnose/impl.h"

#include "core/model/elementary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct inputs {
    const double *x; /* [n, n_x] of which heads begin at x0                   */
    int64_t n_x, x0;
    int64_t n_head, n_dh;
    int64_t first;      /* of a head: its rotated part                        */
    int64_t n_position; /* of the tables                                      */
    double *cos_tj, *sin_tj, *line;
    int64_t *position; /* [n]                                                 */
    core_heads heads;
} inputs;

/* How heads are turned.                                                      */
typedef struct turn {
    bool interleaved;
    int64_t first;
    double sign; /* of sin                                                    */
} turn;

static void turn_row(const har__case *c, const inputs *in, const turn *how,
                     int64_t i, int64_t position)
{
    const int64_t half = in->heads.n_rot / 2;
    const int64_t step = how->interleaved ? 2 : 1;
    const int64_t apart = how->interleaved ? 1 : half;
    const double *cos_j = in->cos_tj + position * half;
    const double *sin_j = in->sin_tj + position * half;
    memcpy(in->line, in->x + i * in->n_x + in->x0,
           (size_t)(in->n_head * in->n_dh) * sizeof *in->line);
    for (int64_t h = 0; h < in->n_head; h++)
        for (int64_t j = 0; j < half; j++) {
            double *a = in->line + h * in->n_dh + how->first + j * step;
            double *b = a + apart;
            const double turned = *a * cos_j[j] - how->sign * *b * sin_j[j];
            *b = *b * cos_j[j] + how->sign * *a * sin_j[j];
            *a = turned;
        }
    memcpy(c->guess + i * c->n_col, in->line + c->scene->col0,
           (size_t)c->n_col * sizeof *c->guess);
}

static void turn_all(har__case *c, const inputs *in, const turn *how)
{
    for (int64_t i = 0; i < c->n; i++)
        turn_row(c, in, how, i, in->position[i]);
    har__store(c);
}

static turn right(const inputs *in)
{
    return (turn){in->heads.rope.interleaved, in->first, 1.0};
}

/* The tap that is rotated: the norm if there is one. */
static core_tap source_of(const har__case *c)
{
    const core_spec *spec = c->scene->spec;
    const bool is_query = c->scene->tap.kind == CORE_TAP_Q_ROPE;
    const core_tap norm =
        har__beside(c, is_query ? CORE_TAP_Q_NORM : CORE_TAP_K_NORM);
    if (core_tap_exists(spec, norm))
        return norm;
    if (!is_query && spec->n_kv_rank > 0)
        return har__beside(c, CORE_TAP_KV_A);
    return har__beside(c, is_query ? CORE_TAP_Q : CORE_TAP_K);
}

static bool open_inputs(har__case *c, inputs *in)
{
    const int64_t most = INT64_C(1) << 22;
    const har_scene *s = c->scene;
    const bool is_query = har__is_kind(c, CORE_TAP_Q_ROPE);
    if ((!is_query && !har__is_kind(c, CORE_TAP_K_ROPE)) || s->n_t < 1)
        return false;
    const core_spec *spec = s->spec;
    in->heads = core_spec_heads(spec, s->tap.layer);
    const int64_t n_dh = in->heads.n_dh;
    const int64_t n_rot = in->heads.n_rot, half = n_rot / 2;
    const bool is_latent = spec->n_kv_rank > 0;
    const core_tap from = source_of(c);
    in->n_head = is_query ? in->heads.n_h : is_latent ? 1 : in->heads.n_g;
    in->n_dh = is_latent && !is_query ? n_rot : n_dh;
    in->first = is_latent && is_query ? n_dh - n_rot : 0;
    in->x0 = is_latent && !is_query ? spec->n_kv_rank : 0;
    in->n_x = s->n_col_of(s->self, from);
    in->n_position = s->n_b * s->n_t + 1;
    if (in->n_x < in->x0 + in->n_head * in->n_dh || half < 1 ||
        in->n_position > most / half)
        return false;
    in->x = har__tap_rows(c, from);
    in->cos_tj = har__room(c, in->n_position * half);
    in->sin_tj = har__room(c, in->n_position * half);
    in->line = har__room(c, in->n_head * in->n_dh);
    in->position = (int64_t *)har__room(c, c->n);
    if (in->x == NULL || in->cos_tj == NULL || in->sin_tj == NULL ||
        in->line == NULL || in->position == NULL)
        return false;
    core_rope_table(&in->heads, s->numerics, in->n_position, in->cos_tj,
                    in->sin_tj);
    for (int64_t i = 0; i < c->n; i++)
        in->position[i] = c->row[i] % s->n_t;
    const turn how = right(in);
    turn_all(c, in, &how);
    return har__is_expected(c);
}

bool har__try_pairs(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    turn how = right(&in);
    how.interleaved = !how.interleaved;
    turn_all(c, &in, &how);
    if (har__accepts(c)) {
        snprintf(
            text, HAR_LIKENESS_TEXT,
            how.interleaved
                ? "rotated in pairs of neighbours (interleaved) instead of "
                  "halves"
                : "rotated in halves (split) instead of pairs of "
                  "neighbours (interleaved)");
        return true;
    }
    const int64_t n_rest = in.n_dh - in.heads.n_rot;
    how = right(&in);
    how.first = n_rest - in.first;
    if (n_rest <= 0)
        return false;
    turn_all(c, &in, &how);
    snprintf(text, HAR_LIKENESS_TEXT,
             "the %s elements of a head are rotated instead of the %s",
             how.first == 0 ? "first" : "last",
             how.first == 0 ? "last" : "first");
    return har__accepts(c);
}

bool har__try_rope_sign(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    turn how = right(&in);
    how.sign = -1.0;
    turn_all(c, &in, &how);
    snprintf(text, HAR_LIKENESS_TEXT,
             "rotated the other way round (sin with "
             "the other sign)");
    return har__accepts(c);
}

/* --- positions --- */

/* The position that row i was rotated by; -1: none. */
static int64_t look_for(har__case *c, const inputs *in, const turn *how,
                        int64_t i)
{
    int64_t at = -1;
    double best = INFINITY;
    for (int64_t p = 0; p < in->n_position; p++) {
        double sum = 0.0;
        turn_row(c, in, how, i, p);
        for (int64_t j = 0; j < c->n_col && sum < best; j++) {
            const double error =
                c->guess[i * c->n_col + j] - c->found[i * c->n_col + j];
            sum += c->is_bad[j] ? error * error : 0.0;
        }
        if (sum < best) {
            best = sum;
            at = p;
        }
    }
    return at;
}

static bool all_shifted(const har__case *c, const inputs *in, int64_t by)
{
    for (int64_t i = 0; i < c->n; i++)
        if (in->position[i] != c->row[i] % c->scene->n_t + by)
            return false;
    return true;
}

static bool all_of_batch(const har__case *c, const inputs *in)
{
    for (int64_t i = 0; i < c->n; i++)
        if (in->position[i] != c->row[i])
            return false;
    return true;
}

bool har__try_position(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const int64_t most = INT64_C(1) << 26; /* elements to turn                */
    inputs in;
    if (!open_inputs(c, &in) ||
        c->n * in.n_position > most / (in.n_head * in.n_dh))
        return false;
    const int64_t n_t = c->scene->n_t;
    const turn how = right(&in);
    for (int64_t i = 0; i < c->n; i++)
        if ((in.position[i] = look_for(c, &in, &how, i)) < 0)
            return false;
    turn_all(c, &in, &how);
    if (!har__accepts(c))
        return false;
    const int64_t by = in.position[0] - c->row[0] % n_t;
    if (all_of_batch(c, &in))
        snprintf(text, HAR_LIKENESS_TEXT,
                 "rotated by the token's number in the batch instead of its "
                 "position in the row");
    else if (all_shifted(c, &in, by))
        snprintf(text, HAR_LIKENESS_TEXT,
                 "rotated by positions that are off by %+lld", (long long)by);
    else
        snprintf(text, HAR_LIKENESS_TEXT,
                 "rotated by other positions: row %lld position %lld by %lld",
                 (long long)(c->row[0] / n_t), (long long)(c->row[0] % n_t),
                 (long long)in.position[0]);
    return true;
}

/* --- waves --- */

static bool is_by(har__case *c, const inputs *in, const core_rope *rope)
{
    core_heads heads = in->heads;
    const turn how = right(in);
    heads.rope = *rope;
    core_rope_table(&heads, c->scene->numerics, in->n_position, in->cos_tj,
                    in->sin_tj);
    turn_all(c, in, &how);
    return har__accepts(c);
}

bool har__try_theta(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    static const double usual[] = {1e3, 1e4, 1e5, 1.5e5, 5e5,
                                   1e6, 5e6, 8e6, 1e7};
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    core_rope rope = in.heads.rope;
    const double theta = rope.theta;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        rope.theta = usual[i];
        if (usual[i] == theta || !is_by(c, &in, &rope))
            continue;
        snprintf(text, HAR_LIKENESS_TEXT, "rotated with theta %g instead of %g",
                 usual[i], theta);
        return true;
    }
    rope = in.heads.rope;
    rope.scaling = CORE_ROPE_PLAIN;
    if (in.heads.rope.scaling != CORE_ROPE_PLAIN && is_by(c, &in, &rope)) {
        snprintf(text, HAR_LIKENESS_TEXT,
                 "rotated without the scaling of its waves");
        return true;
    }
    rope.attention_factor = 1.0;
    snprintf(text, HAR_LIKENESS_TEXT,
             "rotated without the scaling of its waves and its factor");
    return in.heads.rope.scaling != CORE_ROPE_PLAIN && is_by(c, &in, &rope);
}
