/* harness/diagnose/diagnose.c -- trying signatures one by one, see diagnose.h.
 *
 * Trap: a guess that was fitted to every row fits much, so those with less to
 * fit are preferred.
 */
#include "harness/diagnose/impl.h"

#include <stdio.h>
#include <string.h>

/* --- the signatures --- */

typedef struct signature {
    const char *name;
    har__try *try_it;
    int n_fitted; /* 0 nothing, 1 a number or some names, 2 a map or a number of
                   * each part, 3 a number of each row or column              */
} signature;

static const signature signatures[] = {
    {"nonfinite", har__try_nonfinite, 0},
    {"zeros", har__try_zeros, 0},
    {"maximum", har__try_maximum, 0},
    {"rounded", har__try_rounded, 0},
    {"truncated", har__try_truncated, 0},
    {"ratio", har__try_ratio, 1},
    {"row_ratios", har__try_row_ratios, 3},
    {"column_ratios", har__try_column_ratios, 3},
    {"bias", har__try_bias, 1},
    {"same_offset", har__try_same_offset, 2},
    {"addend", har__try_addend, 1},
    {"other_tap", har__try_other_tap, 0},
    {"shift", har__try_shift, 0},
    {"sequence_first", har__try_sequence_first, 0},
    {"reversed", har__try_reversed, 0},
    {"batch_rows", har__try_batch_rows, 1},
    {"stale", har__try_stale, 2},
    {"rows", har__try_rows, 2},
    {"transposed", har__try_transposed, 0},
    {"axes", har__try_axes, 0},
    {"roll", har__try_roll, 1},
    {"columns", har__try_columns, 2},
    {"act", har__try_act, 0},
    {"gate_up", har__try_gate_up, 0},
    {"norm_weight", har__try_norm_weight, 0},
    {"eps", har__try_eps, 0},
    {"norm_kind", har__try_norm_kind, 0},
    {"norm_share", har__try_norm_share, 0},
    {"pairs", har__try_pairs, 0},
    {"position", har__try_position, 1},
    {"rope_sign", har__try_rope_sign, 0},
    {"theta", har__try_theta, 0},
    {"scores", har__try_scores, 0},
    {"renormalised", har__try_renormalised, 0},
    {"ids", har__try_ids, 1},
    {"combine", har__try_combine, 0},
    {"mask", har__try_mask, 0},
    {"score_scale", har__try_score_scale, 0},
    {"kv_heads", har__try_kv_heads, 0},
    {"weights", har__try_weights, 1},
    {"input", har__try_input, 0},
    {"untransposed", har__try_untransposed, 0},
    {"parts", har__try_parts, 2},
    {"setting", har__try_setting, 1},
};

enum { N_SIGNATURE = sizeof signatures / sizeof *signatures };

const char *har_signature_name(int i)
{
    return i >= 0 && i < N_SIGNATURE ? signatures[i].name : NULL;
}

/* --- words --- */

static void say_where(const har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const har_scene *s = c->scene;
    int64_t first = 0, last = c->n_col - 1;
    int used = 0;
    text[0] = '\0';
    if (c->n < s->n_seen)
        used = snprintf(text, HAR_LIKENESS_TEXT, "in %lld of %lld rows",
                        (long long)c->n, (long long)s->n_seen);
    if (c->n_bad_col == c->n_col)
        return;
    while (!c->is_bad[first])
        first++;
    while (!c->is_bad[last])
        last--;
    const char *comma = used > 0 ? ", " : "in ";
    if (last - first + 1 == c->n_bad_col)
        snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used,
                 "%scolumns %lld to %lld", comma, (long long)(s->col0 + first),
                 (long long)(s->col0 + last));
    else
        snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used,
                 "%s%lld of %lld columns", comma, (long long)c->n_bad_col,
                 (long long)c->n_col);
}

/* --- all of them --- */

/* Numbers of experts and slots are not computed: they have their own.        */
static bool is_for(const signature *s, const har__case *c)
{
    const bool is_int =
        c->scene->is_tap && core_tap_grid(c->scene->tap.kind) == CORE_GRID_INT;
    return !is_int || s->try_it == har__try_ids;
}

static void try_all(har_diagnosis *out, har__case *c)
{
    int n_fitted = INT32_MAX;
    for (int i = 0; i < N_SIGNATURE; i++) {
        char text[HAR_LIKENESS_TEXT] = "";
        if (signatures[i].n_fitted > n_fitted || !is_for(&signatures[i], c))
            continue;
        memset(c->skip, 0, (size_t)c->n * sizeof *c->skip);
        if (!signatures[i].try_it(c, text))
            continue;
        if (signatures[i].n_fitted < n_fitted)
            out->n = 0;
        n_fitted = signatures[i].n_fitted;
        if (out->n == HAR_MAX_LIKENESSES)
            continue;
        har_likeness *l = &out->likeness[out->n++];
        l->signature = i;
        l->explained = c->explained;
        memcpy(l->text, text, sizeof text);
    }
}

void har_diagnose(har_diagnosis *out, const har_scene *scene)
{
    har__case c;
    memset(out, 0, sizeof *out);
    har__case_make(&c, scene);
    if (c.n > 0) {
        try_all(out, &c);
        say_where(&c, out->where);
    }
    har__case_free(&c);
}
