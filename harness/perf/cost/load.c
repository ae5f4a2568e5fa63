/* harness/perf/cost/load.c -- see load.h.
 *
 * A rank is shown the choices of its whole tensor group; it counts those of the
 * tokens that it dispatches itself, so that nothing is counted tp times.  A
 * choice without a slot is not counted: nobody works on it.
 */
#include "harness/perf/cost/load.h"

#include <stdlib.h>

core_status har_load_make(har_load *out, const core_spec *spec,
                          const par_layout *layout)
{
    const par_plan *plan = &layout->plan;
    har_load load = {.n_layer = spec->n_l,
                     .n_part = (int64_t)plan->rounds * plan->dp * plan->mb,
                     .n_slice = (int64_t)plan->cp * plan->tp,
                     .n_entry = layout->experts->replica_first[spec->n_e]};
    void *n_row = NULL;
    CORE_TRY(core_alloc(&n_row, har_load_size(&load) + 1, sizeof *load.n_row,
                        "rows of experts"));
    load.n_row = n_row;
    for (int64_t i = 0; i < har_load_size(&load); i++)
        load.n_row[i] = 0;
    *out = load;
    return CORE_OK;
}

void har_load_free(har_load *load)
{
    free(load->n_row);
    load->n_row = NULL;
}

int64_t har_load_size(const har_load *load)
{
    return load->n_layer * load->n_part * load->n_slice * load->n_entry;
}

uint64_t *har_load_at(const har_load *load, int64_t layer, int64_t part,
                      int64_t slice)
{
    return load->n_row +
           ((layer * load->n_part + part) * load->n_slice + slice) *
               load->n_entry;
}

static void count(har_load_watch *watch, const par_piece *slot)
{
    const par_layout *lay = watch->layout;
    const par_plan *plan = &lay->plan;
    const int64_t n_k = watch->spec->n_k;
    const int64_t part =
        ((int64_t)slot->round * plan->dp + lay->d) * plan->mb + slot->mb;
    uint64_t *n_row = har_load_at(watch->load, slot->tap.layer, part,
                                  lay->c * plan->tp + lay->t);
    int64_t t0, t1, chosen = 0; /* the first row whose choices were shown */
    par_layout_slice(lay, slot->n_row, &t0, &t1);
    while (t0 < t1 && slot->row_ids[chosen] != watch->row)
        chosen++;
    for (int64_t c = t0 * n_k; c < t1 * n_k; c++) {
        if (slot->ints[c] < 0)
            continue;
        const int64_t e = watch->idx[c - chosen * n_k];
        const int *at = lay->experts[slot->tap.layer].replica_first + e;
        const int first = at[0], n = at[1] - first;
        n_row[first + (int)(slot->row_ids[c / n_k] % n)]++;
    }
}

void har_load_see(har_load_watch *watch, const par_piece *piece)
{
    if (piece->tap.kind == CORE_TAP_TOPK_IDX) {
        watch->idx = piece->ints;
        watch->row = piece->n_row > 0 ? piece->row_ids[0] : -1;
    } else if (piece->tap.kind == CORE_TAP_SLOT)
        count(watch, piece);
}
