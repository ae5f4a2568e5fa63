/* harness/perf/predict/memory.c -- bytes on each GPU.
 *
 * Elements are those of the emulation (cost/memory.h), bytes those of their
 * types, with the scales of narrow ones.  Weights: the rank's shards.  KV: what
 * my tokens of a replica's rows leave
 * behind (keys and values, and states, which are stored as results are), with
 * the whole of a row even where a window would let go of some.
 * Activations: the buffers of the largest micro-batch, each operator's result
 * in a place of its own, of the wider of stream and results.  Buffers: rows of
 * experts of the largest pair.
 */
#include "harness/perf/cost/memory.h"
#include "harness/perf/predict/impl.h"

#include <math.h>

static double bytes_of(const har_predict_case *r, core_slot slot)
{
    return (double)core_dtype_bytes(core_types_of(&r->types, slot));
}

/* Rows of replica d; of its largest micro-batch into *most. */
static int64_t rows_of(const har_predict_case *r, int d, int64_t *most)
{
    int64_t row0, row1, n = 0;
    *most = 0;
    for (int round = 0; round < r->plan->rounds; round++)
        for (int m = 0; m < r->plan->mb; m++) {
            par_layout_rows(r->plan, r->n_b, round, d, m, &row0, &row1);
            n += row1 - row0;
            *most = row1 - row0 > *most ? row1 - row0 : *most;
        }
    return n;
}

/* Memory of a rank into out->stage, if it is the stage's fullest so far, of as
 * full ones the first. */
static core_status add_rank(har_predictor *p, const har_predict_case *r,
                            int rank, int64_t most_rows, har_prediction *out)
{
    par_layout lay;
    int64_t most;
    CORE_TRY(par_layout_make(&lay, &p->layout, r->spec, r->plan, rank));
    const double widest =
        fmax(bytes_of(r, CORE_SLOT_OUT), bytes_of(r, CORE_SLOT_RESIDUAL));
    const double of_double = widest / sizeof(double);
    const int64_t n_row = rows_of(r, lay.d, &most);
    const int64_t n_kept =
        r->is_decode ? r->n_kv : par_layout_n_t(r->plan, lay.c, r->n_t);
    const double work = (double)par_arena_bytes(r->spec, &lay, most, r->n_t);
    const double pair = (double)par_pair_bytes(r->spec, &lay, most_rows);
    const double keys = (double)har_cost_kv(r->spec, &lay) * (double)n_kept *
                        core_types_kv_bytes(&r->types);
    const double states =
        (double)har_cost_state(r->spec, &lay) * bytes_of(r, CORE_SLOT_OUT);
    har_stage_memory s = {.weights =
                              har_cost_weight_size(r->spec, &lay, &r->types),
                          .kv = (keys + states) * (double)n_row,
                          .states = states * (double)n_row,
                          .activations = work * of_double,
                          .buffers = pair * of_double,
                          .rank = rank};
    s.total = s.weights + s.kv + s.activations + s.buffers;
    har_stage_memory *most_full = &out->stage[lay.stage];
    if (s.total > most_full->total ||
        (s.total == most_full->total && rank < most_full->rank))
        *most_full = s;
    return CORE_OK;
}

/* Ranks that differ in nothing but the rows of their experts, of which more
 * take more: the first that has most speaks for them. */
typedef struct alike {
    par_place at;
    int64_t n_row, most;
    int lane;
} alike;

static bool is_alike(const par_plan *plan, const alike *a, const alike *b)
{
    const bool is_placed = plan->n_placed > 0 || plan->n_mapped > 0;
    return a->at.stage == b->at.stage && a->at.c == b->at.c &&
           a->at.t == b->at.t && a->at.etp_i == b->at.etp_i &&
           (!is_placed || a->at.ep_i == b->at.ep_i) && a->n_row == b->n_row &&
           a->most == b->most;
}

/* The lanes that speak, [n_lane] at most; ranks ascend, so those of a stage
 * follow each other. */
static int find_alike(const har_predictor *p, const har_predict_case *r,
                      alike *list)
{
    int n = 0;
    for (int i = 0; i < p->schedule.n_lane; i++) {
        alike one = {.at = par_layout_place(r->plan, p->rank_of[i]), .lane = i};
        one.n_row = rows_of(r, one.at.d, &one.most);
        int k = n - 1;
        while (k >= 0 && list[k].at.stage == one.at.stage &&
               !is_alike(r->plan, &list[k], &one))
            k--;
        if (k < 0 || list[k].at.stage != one.at.stage)
            list[n++] = one;
        else if (p->most_rows[i] > p->most_rows[list[k].lane])
            list[k].lane = i;
    }
    return n;
}

static void conclude(const par_plan *plan, har_prediction *out)
{
    out->n_stage = plan->pp;
    out->memory = 0;
    for (int s = 0; s < plan->pp; s++)
        if (out->stage[s].total > out->memory) {
            out->memory = out->stage[s].total;
            out->memory_stage = s;
        }
}

core_status har__memory(har_predictor *p, const har_predict_case *r,
                        har_prediction *out)
{
    core_arena need = core_arena_measure();
    core_arena_take(&need, p->schedule.n_lane, sizeof(alike));
    CORE_TRY(core_arena_room(&p->counts, &need));
    alike *list = core_arena_take(&p->counts, p->schedule.n_lane, sizeof *list);
    const int n = find_alike(p, r, list);
    for (int s = 0; s < r->plan->pp; s++)
        out->stage[s] = (har_stage_memory){0};
    for (int i = 0; i < n; i++)
        CORE_TRY(add_rank(p, r, p->rank_of[list[i].lane],
                          p->most_rows[list[i].lane], out));
    conclude(r->plan, out);
    return CORE_OK;
}
