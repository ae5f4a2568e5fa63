/* harness/verify/generate.c -- see generate.h. */
#include "harness/verify/generate.h"

#include "core/base/arena.h"

#include <stdlib.h>
#include <string.h>

static int64_t *ids_of(core_batch *batch)
{
    return (int64_t *)(uintptr_t)batch->ids; /* ours: har_generate_batch */
}

/* Rows of n_t tokens: as many as there are of those of `from`. */
static core_status take_rows(core_batch *out, const core_batch *from,
                             int64_t n_t)
{
    const int64_t n = n_t < from->n_t ? n_t : from->n_t;
    void *memory;
    CORE_TRY(core_alloc(&memory, from->n_b * n_t, sizeof(int64_t), "token ids"));
    int64_t *ids = memory;
    memset(ids, 0, (size_t)(from->n_b * n_t) * sizeof *ids);
    for (int64_t b = 0; b < from->n_b; b++)
        memcpy(ids + b * n_t, from->ids + b * from->n_t,
               (size_t)n * sizeof *ids);
    *out = (core_batch){.n_b = from->n_b, .n_t = n_t, .ids = ids};
    return CORE_OK;
}

core_status har_generate_batch(core_batch *out, const core_batch *prompt,
                               int64_t n)
{
    CORE_FAIL_IF(prompt->mask != NULL, CORE_E_USAGE,
                 "--decode: rows of a cache are not padded");
    return take_rows(out, prompt, prompt->n_t + n);
}

/* --- by the reference --- */

/* What is behind the last token of every row. */
typedef struct choice {
    const core_batch *batch;
    int64_t n_v;
    int64_t *token; /* [B]                                                    */
} choice;

static bool wants_logits(void *self, core_tap tap)
{
    (void)self;
    return tap.kind == CORE_TAP_LOGITS;
}

static void choose(void *self, core_tap tap, const double *logits,
                   const int64_t *ints, const float *bound)
{
    const choice *c = self;
    const int64_t n_t = c->batch->n_t;
    (void)tap, (void)ints, (void)bound;
    for (int64_t b = 0; b < c->batch->n_b; b++)
        c->token[b] = har_best_token(
            logits + ((b + 1) * n_t - 1) * c->n_v, c->n_v);
}

/* The tokens behind the rows of *known. */
static core_status choose_next(ref_model *model, const core_spec *spec,
                               const core_batch *known, const har_decode *steps,
                               int64_t *token)
{
    choice c = {.batch = known, .n_v = spec->n_v, .token = token};
    const core_tap_sink sink = {
        .self = &c, .put = choose, .wants = wants_logits};
    core_groups groups = {0};
    har_decode so_far = {0};
    ref_stats stats;
    core_status status =
        har_decode_rows(&so_far, known->n_b, steps->most_prompt, known->n_t,
                        steps->n_chunk);
    if (status == CORE_OK)
        status =
            har_decode_groups(&groups, &so_far, NULL, spec->capacity.domain);
    if (status == CORE_OK)
        status = ref_forward(model, known, &groups, &sink, &stats);
    core_groups_free(&groups);
    har_decode_free(&so_far);
    return status;
}

core_status har_generate_serial(ref_model *model, const core_spec *spec,
                                core_batch *batch, const har_decode *steps)
{
    const int64_t n_t = batch->n_t;
    void *token;
    CORE_TRY(core_alloc(&token, batch->n_b, sizeof(int64_t), "tokens"));
    core_status status = CORE_OK;
    for (int64_t i = steps->most_prompt; i < n_t && status == CORE_OK; i++) {
        core_batch known = {0};
        status = take_rows(&known, batch, i);
        if (status == CORE_OK)
            status = choose_next(model, spec, &known, steps, token);
        for (int64_t b = 0; status == CORE_OK && b < batch->n_b; b++)
            ids_of(batch)[b * n_t + i] = ((int64_t *)token)[b];
        core_batch_free(&known);
    }
    free(token);
    return status;
}

/* --- by the plan --- */

/* What the last stage chose, on every rank: the tokens of the next step. */
static void feed_back(par_comm *comm, core_batch *batch, const par_step *step,
                      int64_t n_prompt, double *token)
{
    const int64_t n_t = batch->n_t;
    for (int64_t r = 0; r < step->n_row; r++)
        token[r] = (double)step->greedy[r];
    par_all_reduce(comm, &comm->world, token, step->n_row, PAR_MAX, CORE_FP64);
    for (int64_t r = 0; r < step->n_row; r++) {
        const par_step_row *row = &step->row[r];
        const int64_t next = row->i0 + row->n;
        if (next >= n_prompt && next < n_t)
            ids_of(batch)[row->row * n_t + next] = (int64_t)token[r];
    }
}

core_status har_generate_steps(par_model *model, par_comm *comm,
                               core_batch *batch, const har_decode *steps,
                               par_stats *stats)
{
    void *token = NULL;
    CORE_TRY(par_agree(comm, core_alloc(&token, steps->n_slot, sizeof(double),
                                        "tokens")));
    core_status status = CORE_OK;
    *stats = (par_stats){.exact = true, .is_written = true};
    for (int64_t i = 0; i < steps->n_step && status == CORE_OK; i++) {
        const par_step *step = &steps->step[i];
        status = har_decode_step(model, batch, step, stats);
        if (status == CORE_OK)
            feed_back(comm, batch, step, steps->most_prompt, token);
    }
    free(token);
    return status;
}
