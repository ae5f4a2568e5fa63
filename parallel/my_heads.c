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

void par__tap_repeated(par_model *m, core_tap tap, double *values,
                       const par__repeated *repeated)
{
    const par_layout *lay = m->layout;
    const par_heads *mine = &repeated->heads;
    const int64_t width = repeated->width, ld = mine->n_kv * width;
    par__store(m, tap.kind, values, m->now.n * ld);
    for (int64_t g = mine->kv0; g < mine->kv0 + mine->n_kv; g++) {
        par_piece piece = {.tap = tap,
                           .values = values + (g - mine->kv0) * width,
                           .ld = ld,
                           .row_ids = m->work.token_id,
                           .n_row = m->now.n,
                           .col0 = repeated->col0 + g * width,
                           .n_col = width,
                           .round = m->now.round,
                           .mb = m->now.mb};
        piece.n_owners =
            par_layout_kv_owners(lay, &mine->all, g, lay->t, &piece.i_owner);
        par__observe(m, &piece);
    }
}

void par__tap_kv(par_model *m, core_tap tap, double *values, int64_t width)
{
    const par__repeated all = {*par__heads_of(m, tap.layer), 0, width};
    par__cost_is_kv(m);
    par__tap_repeated(m, tap, values, &all);
}
