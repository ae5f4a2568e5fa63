/* parallel/my_heads.c -- which heads of a layer are mine, and how they are
 * shown.
 *
 * All that makes, changes or reads heads asks here: a head is one rank's, a kv
 * head of all whose query heads read it.
 */
#include "parallel/forward_impl.h"

const par_heads *par__heads_of(const par_model *m, int l)
{
    return &m->layout->heads[m->spec->head_kind[l]];
}

void par__tap_heads(par_model *m, core_tap tap, double *values, int64_t width)
{
    const par_heads *mine = par__heads_of(m, tap.layer);
    par__tap_columns(m, tap, values, mine->h0 * width, mine->n_h * width);
}

/* The piece, which has values or ints, as columns [col0, col0 + n_col) that
 * those have who have kv head g of `all`.                                    */
static void show_group(par_model *m, core_tap tap, const core_heads *all,
                       int64_t g, int64_t col0, int64_t n_col, par_piece piece)
{
    const par_layout *lay = m->layout;
    piece.tap = tap;
    piece.row_ids = m->work.token_id;
    piece.n_row = m->now.n;
    piece.col0 = col0;
    piece.n_col = n_col;
    piece.round = m->now.round;
    piece.mb = m->now.mb;
    piece.n_owners = par_layout_kv_owners(lay, all, g, lay->t, &piece.i_owner);
    par__observe(m, &piece);
}

void par__tap_repeated(par_model *m, core_tap tap, double *values,
                       const par__repeated *repeated)
{
    const par_heads *mine = &repeated->heads;
    const int64_t width = repeated->width, ld = mine->n_kv * width;
    par__store(m, tap.kind, values, m->now.n * ld);
    for (int64_t g = mine->kv0; g < mine->kv0 + mine->n_kv; g++)
        show_group(
            m, tap, &mine->all, g, repeated->col0 + g * width, width,
            (par_piece){.values = values + (g - mine->kv0) * width, .ld = ld});
}

void par__tap_groups(par_model *m, core_tap tap, double *values, int64_t width)
{
    const par__repeated all = {*par__heads_of(m, tap.layer), 0, width};
    par__tap_repeated(m, tap, values, &all);
}

void par__tap_kv(par_model *m, core_tap tap, double *values, int64_t width)
{
    par__cost_is_kv(m);
    par__tap_groups(m, tap, values, width);
}

void par__tap_sets(par_model *m, core_tap tap, int64_t *sets)
{
    const par_heads *mine = par__heads_of(m, tap.layer);
    const core_seen seen = core_spec_seen(m->spec, tap.layer);
    const int64_t n_key = seen.n_key;
    if (seen.n_set == 1) {
        par__tap_ints(m, tap, sets);
        return;
    }
    for (int64_t g = mine->kv0; g < mine->kv0 + mine->n_kv; g++)
        show_group(
            m, tap, &mine->all, g, g * n_key, n_key,
            (par_piece){.ints = sets + g * n_key, .ld = seen.n_set * n_key});
}
