/* harness/verify/verdict_detail.c -- of taps that fail: who, and what exactly.
 *
 * Only for the few that are shown, so that a clean run never comes here but for
 * its worst tap.
 */
#include "harness/verify/impl.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double har__score(const har_diff *diff)
{
    if (isnan(diff->worst_score))
        return INFINITY;
    return diff->worst_score;
}

void har__merge_rank_sets(har_pass *pass, par_comm *comm,
                          const har_watch *watch)
{
    for (int64_t i = 0; i < pass->n_tap; i++)
        if (watch->tap[i].diff.n_bad + watch->tap[i].n_outside +
                watch->tap[i].n_unwritten + watch->tap[i].lattice.n_off >
            0)
            pass->rank_set[i * pass->n_word + comm->rank / 64] |=
                UINT64_C(1) << (comm->rank % 64);
    par_all_reduce_u64(comm, &comm->world, pass->rank_set,
                       pass->n_tap * pass->n_word);
}

typedef struct detail {
    har_element first, worst;
    har_lattice lattice;
    double score;
    int64_t n_bad;
    int round, mb;
} detail;

static void take_details(har_tap_result *r, const detail *d, int n_rank)
{
    r->first_rank = r->worst_rank = r->lattice_rank = -1;
    double score = -1.0;
    for (int rank = 0; rank < n_rank; rank++) {
        const har_element *e = &d[rank].first, *f = &r->diff.first;
        if (d[rank].n_bad > 0 &&
            (r->first_rank < 0 || har_element_is_before(e, f))) {
            r->diff.first = *e;
            r->first_rank = rank;
            r->first_round = d[rank].round;
            r->first_mb = d[rank].mb;
        }
        if (d[rank].lattice.n_off > 0 &&
            (r->lattice_rank < 0 ||
             har_element_is_before(&d[rank].lattice.first,
                                   &r->lattice.first))) {
            r->lattice.first = d[rank].lattice.first;
            r->lattice_rank = rank;
        }
        if (d[rank].score > score) {
            score = d[rank].score;
            r->diff.worst = d[rank].worst;
            r->worst_rank = rank;
        }
    }
    r->detailed = true;
}

core_status har__merge_details(har_pass *pass, par_comm *comm,
                               const har_watch *watch, int64_t i)
{
    har_tap_result *r = &pass->tap[i];
    const har_tap_watch *w = &watch->tap[i];
    void *p = NULL, *q = NULL;
    core_status status = core_alloc(&p, comm->size, sizeof(detail), "details");
    if (status == CORE_OK)
        status = core_alloc(&q, comm->size, sizeof(int64_t), "counts");
    status = par_agree(comm, status);
    if (status == CORE_OK) {
        detail *all = p;
        int64_t *count = q;
        detail mine;
        memset(&mine, 0, sizeof mine);
        mine.first = w->diff.first;
        mine.worst = w->diff.worst;
        mine.lattice = w->lattice;
        mine.score = har__score(&w->diff);
        mine.n_bad = w->diff.n_bad;
        mine.round = w->first_round;
        mine.mb = w->first_mb;
        for (int rank = 0; rank < comm->size; rank++)
            count[rank] = (int64_t)sizeof(detail);
        par_all_gather(comm, &comm->world, &mine, all, count);
        take_details(r, all, comm->size);
    }
    free(p);
    free(q);
    return status;
}

static bool is_empty(const har_pass *pass, int64_t i)
{
    uint64_t any = 0;
    for (int j = 0; j < pass->n_word; j++)
        any |= pass->rank_set[i * pass->n_word + j];
    return any == 0;
}

/* The set becomes the ranks that show rows of the blocks [first, last].      */
static void merge_showing(har_pass *pass, par_comm *comm, int64_t i,
                          const har_cover *mine, int first, int last)
{
    uint64_t *set = pass->rank_set + i * pass->n_word, any = 0;
    for (int b = first; b <= last; b++)
        any |= mine->once[b] | mine->balance[b];
    if (any != 0)
        set[comm->rank / 64] |= UINT64_C(1) << (comm->rank % 64);
    par_all_reduce_u64(comm, &comm->world, set, pass->n_word);
}

/* Which rows are not covered once, or have unequal copies. */
void har__merge_blocks(har_pass *pass, par_comm *comm, int64_t i,
                       const har_tap_watch *w, const uint8_t *live)
{
    har_tap_result *r = &pass->tap[i];
    har_cover sum = *w->cover;
    uint64_t once[HAR_COVER_BLOCKS];
    par_all_reduce_u64(comm, &comm->world, (uint64_t *)&sum,
                       (int64_t)(sizeof sum / sizeof(uint64_t)));
    har_cover_expect(once, live, r->n_row, r->n_col);
    r->row0 = r->row1 = -1;
    for (int64_t row = 0; row < r->n_row; row++) {
        const int b = har_cover_block(row, r->n_row);
        if (sum.once[b] == once[b] && sum.balance[b] == 0 &&
            sum.replica[b] == 0) {
            if (r->row0 >= 0)
                break;
            continue;
        }
        if (r->row0 < 0)
            r->row0 = row;
        r->row1 = row + 1;
        r->n_wanted += live == NULL || live[row] ? r->n_col : 0;
    }
    if (r->row0 < 0)
        return;
    const int first = har_cover_block(r->row0, r->n_row);
    const int last = har_cover_block(r->row1 - 1, r->n_row);
    for (int b = first; b <= last; b++)
        r->n_owned += (int64_t)sum.n_owned[b];
    if (!is_empty(pass, i))
        return;
    r->ranks = HAR_RANKS_ROWS;
    merge_showing(pass, comm, i, w->cover, first, last);
    if (!is_empty(pass, i))
        return;
    r->ranks = HAR_RANKS_TAP;
    merge_showing(pass, comm, i, w->cover, 0, HAR_COVER_BLOCKS - 1);
}
