/* ref/forward_drawn.c -- drawn passes, one after the other or side by side.
 *
 * Draws that differ in what they take over alone round alike, so they are one
 * pass over as many copies of the batch: products of few rows, as experts have,
 * spend their time on reading weights.  Passes that round otherwise do not wait
 * for each other, as threads do at every operator of a pass.  So where their
 * workspaces fit, each runs in one thread.  What a pass computes depends on no
 * thread count.  Trap: a parallel region inside another, even one of a single
 * thread, starts its threads anew each time; so passes one after the other are
 * in no region.
 */
#include "ref/ref_impl.h"

#include "core/blas/blas.h"

#include <omp.h>
#include <stdlib.h>

/* Draws [first, first + n) that differ in nothing but what they take over. */
typedef struct alike {
    int first, n;
} alike;

typedef struct side_by_side {
    ref_model *model;
    core_batch batch; /* [n_copy] times, owned                                */
    int64_t n_row;    /* of one copy                                          */
    const core_groups *groups;
    const ref_draws *draws;
    alike *pass; /* [n_pass]                                                  */
    int n_pass, n_copy;
    core_arena *work; /* [n_beside]                                           */
    int n_beside, n_done;
} side_by_side;

static bool are_alike(const ref_draw *a, const ref_draw *b)
{
    return a->seed == b->seed && a->run == b->run && a->stated == b->stated &&
           a->spec == b->spec && a->in_floats == b->in_floats;
}

static core_status list_passes(side_by_side *s)
{
    const ref_draws *draws = s->draws;
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, draws->n, sizeof *s->pass, "drawn passes"));
    s->pass = memory;
    for (int i = 0; i < draws->n; i++) {
        if (i > 0 && are_alike(&draws->draw[i - 1], &draws->draw[i]))
            s->pass[s->n_pass - 1].n++;
        else
            s->pass[s->n_pass++] = (alike){i, 1};
        if (s->pass[s->n_pass - 1].n > s->n_copy)
            s->n_copy = s->pass[s->n_pass - 1].n;
    }
    return CORE_OK;
}

static ref__run begin(const side_by_side *s, int i, const core_batch *batch,
                      ref_stats *stats)
{
    const ref_draws *draws = s->draws;
    const alike pass = s->pass[i];
    const ref_draw *draw = &draws->draw[pass.first];
    core_assert(core_coarsest_roundoff(s->model->numerics) >
                core_store_roundoff(CORE_FP64));
    for (int c = 0; c < pass.n; c++) {
        core_assert(draw[c].routing != NULL);
        core_assert(draw[c].values != NULL || draw[c].forcing == REF_FREE);
    }
    ref__run run =
        ref__begin(s->model, batch, s->groups, &draws->sink[pass.first], stats);
    run.n_copy = pass.n;
    run.draw = draw;
    if (draw->spec != NULL)
        run.spec = draw->spec;
    if (draw->in_floats)
        run.numerics = CORE_FP32;
    run.draw_stream = ref__draw_stream(draw);
    run.bounds = false;
    run.n_threads = s->n_beside > 1 ? 1 : run.n_threads;
    run.before = (double)pass.first / (double)draws->n;
    run.share = s->n_beside > 1 ? 0.0 : (double)pass.n / (double)draws->n;
    return run;
}

/* The copies that a pass takes. */
static core_batch batch_of(const side_by_side *s, int i)
{
    core_batch batch = s->batch;
    batch.n_b = s->pass[i].n * s->n_row;
    return batch;
}

/* Room for any of the passes. */
static core_arena measure(const side_by_side *s)
{
    core_arena need = core_arena_measure();
    for (int i = 0; i < s->n_pass; i++) {
        ref_stats stats = {0};
        const core_batch batch = batch_of(s, i);
        ref__run run = begin(s, i, &batch, &stats);
        ref__pass(&run, true);
        if (run.arena.peak_bytes > need.peak_bytes)
            need = run.arena;
    }
    return need;
}

/* As many workspaces as are wanted, but no more than an eighth of the memory
 * holds; of one the size is that of a pass of many threads.                  */
static core_status take_work(side_by_side *s)
{
    const ref_options *options = &s->model->options;
    core_arena need = measure(s);
    const size_t room = options->weight_budget_bytes / 4 / need.peak_bytes;
    if (s->n_beside > 1 && room < (size_t)s->n_beside) {
        s->n_beside = room > 1 ? (int)room : 1;
        need = measure(s);
    }
    void *p = NULL;
    CORE_TRY(core_alloc(&p, s->n_beside, sizeof *s->work, "workspaces"));
    s->work = p;
    for (int i = 0; i < s->n_beside; i++)
        s->work[i] = core_arena_measure();
    s->work[0] = s->model->work;
    for (int i = 0; i < s->n_beside; i++)
        CORE_TRY(core_arena_room(&s->work[i], &need));
    return CORE_OK;
}

static void give_work_back(side_by_side *s)
{
    if (s->work != NULL)
        s->model->work = s->work[0];
    for (int i = 1; s->work != NULL && i < s->n_beside; i++)
        core_arena_free(&s->work[i]);
    free(s->work);
}

static void pass(const side_by_side *s, int i, core_arena *work)
{
    ref_stats stats = {0};
    const core_batch batch = batch_of(s, i);
    ref__run run = begin(s, i, &batch, &stats);
    run.arena = *work;
    ref__pass(&run, false);
    core_arena_rewind(&run.arena, 0);
}

static void tell(side_by_side *s, int i)
{
    const ref_options *options = &s->model->options;
    s->n_done += s->pass[i].n;
    if (options->progress != NULL)
        options->progress(options->progress_self,
                          (double)s->n_done / (double)s->draws->n);
}

static void run_all(side_by_side *s)
{
    for (int i = 0; s->n_beside == 1 && i < s->n_pass; i++)
        pass(s, i, &s->work[0]);
    if (s->n_beside == 1)
        return;
#pragma omp parallel for schedule(dynamic) num_threads(s->n_beside)
    for (int i = 0; i < s->n_pass; i++) {
        pass(s, i, &s->work[omp_get_thread_num()]);
#pragma omp critical(ref_progress)
        tell(s, i);
    }
}

static core_status run_passes(side_by_side *s)
{
    CORE_TRY(ref__make_floats(s->model));
    const core_status status = take_work(s);
    if (status == CORE_OK) {
        const core_blas_threads before = core_blas_set_threads(1);
        run_all(s);
        core_blas_restore_threads(before);
    }
    give_work_back(s);
    return status;
}

core_status ref_forward_drawn(ref_model *model, const core_batch *batch,
                              const core_groups *groups, const ref_draws *draws)
{
    core_assert(draws->n_beside >= 1);
    side_by_side s = {
        .model = model, .n_row = batch->n_b, .groups = groups, .draws = draws};
    core_status status = list_passes(&s);
    s.n_beside = s.n_pass < draws->n_beside ? s.n_pass : draws->n_beside;
    if (status == CORE_OK)
        status = core_batch_repeat(&s.batch, model->spec, batch, s.n_copy);
    if (status == CORE_OK)
        status = run_passes(&s);
    core_batch_free(&s.batch);
    free(s.pass);
    return status;
}
