/* ref/grad/backward.c -- the whole pass, from the loss to the embedding.
 *
 * First an ordinary forward pass, whose taps are kept; then layer by layer in
 * descending order.  Gradients are made where they will be looked for, so that
 * a pass holds the taps, the gradients and a few rows.
 */
#include "ref/grad/grad_impl.h"

#include "core/base/clock.h"
#include "core/blas/blas.h"

#include <stdlib.h>
#include <string.h>

/* The widest rows of an operator, and the largest weight. */
static void find_sizes(const core_spec *s, int64_t *widest, int64_t *weight)
{
    *widest = *weight = 0;
    for (int l = 0; l < (int)s->n_l; l++) {
        for (int k = 0; k < CORE_N_TAP_KINDS; k++) {
            const core_tap tap = {(core_tap_kind)k, l};
            if (!ref__is_taped(tap.kind) || !core_tap_exists(s, tap))
                continue;
            const int64_t n = core_tap_cols(s, tap);
            *widest = n > *widest ? n : *widest;
        }
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
            const core_weight id = {(core_weight_kind)k, l, 0};
            int64_t n_row, n_col;
            if (!core_weight_exists(s, id))
                continue;
            core_weight_shape(s, id, &n_row, &n_col);
            *weight = n_row * n_col > *weight ? n_row * n_col : *weight;
        }
    }
}

static void carve(ref__back *b)
{
    const core_spec *s = b->spec;
    const int64_t n_c = b->n * (s->n_k > 1 ? s->n_k : 1);
    core_arena *a = &b->arena;
    int64_t widest, weight;
    find_sizes(s, &widest, &weight);
    widest = widest > b->batch->n_t ? widest : b->batch->n_t;
    b->choice = core_arena_i64(a, n_c);
    b->w = core_arena_f64(a, weight);
    b->logits = core_arena_f64(a, b->n * s->n_v);
    for (int i = 0; i < REF__BACK_ROWS; i++)
        b->rows[i] = core_arena_f64(a, n_c * widest);
    b->cos_tj = core_arena_f64(a, b->batch->n_t * (s->n_dh / 2));
    b->sin_tj = core_arena_f64(a, b->batch->n_t * (s->n_dh / 2));
    ref__tape_take(b);
}

/* --- the two ends --- */

/* The loss's weights are the gradients of the logits; from them follow those of
 * the final norm and of the head, which may be the embedding.       */
static void head(ref__back *b, ref__sum *of_table)
{
    const core_spec *s = b->spec;
    const core_weight id = {s->tied ? CORE_W_EMBED : CORE_W_HEAD, 0, 0};
    const core_weight norm = {CORE_W_FINAL_NORM, 0, 0};
    const core_grad of = core_grad_of_tap(CORE_TAP_FINAL_NORM, 0);
    const core_grad out = core_grad_of_tap(CORE_TAP_OUT, (int)s->n_l - 1);
    const double *y = ref__taped(b, CORE_TAP_FINAL_NORM, 0);
    double *dy = ref__grad_room(b, CORE_TAP_FINAL_NORM, 0);
    for (int64_t t = 0; t < b->n; t++)
        for (int64_t v = 0; v < s->n_v; v++)
            b->logits[t * s->n_v + v] = core_grad_loss(s, b->seed, t, v);
    ref__sum sum = ref__no_sum();
    ref__back_input(b, &sum, id, b->logits, b->n, dy);
    ref__finish(b, &sum, of, dy, b->n * s->n_d);
    ref__back_weight(b, of_table, id, b->logits, y, b->n);
    ref__back_norm(b, norm, out, ref__taped(b, CORE_TAP_OUT, (int)s->n_l - 1),
                   dy, NULL, ref__grad_room(b, CORE_TAP_OUT, (int)s->n_l - 1));
}

/* Rows of the table, by the tokens that looked them up. */
static void embed(ref__back *b, ref__sum *sum)
{
    const core_weight id = {CORE_W_EMBED, 0, 0};
    const int64_t n_d = b->spec->n_d;
    const double *dx = ref__grad_room(b, CORE_TAP_IN, 0);
    double *dw = ref__weight_room(b, id);
    for (int64_t t = 0; t < b->n; t++)
        for (int64_t d = 0; d < n_d; d++)
            dw[b->batch->ids[t] * n_d + d] += dx[t * n_d + d];
    ref__more(b, sum, (double)b->n * core_largest(dx, b->n * n_d),
              CORE_STEP_GRAD);
}

/* A table is whole when both ends have given what they have. */
static void finish_tables(ref__back *b, const ref__sum *of_head,
                          const ref__sum *of_embed)
{
    const core_weight embed_id = {CORE_W_EMBED, 0, 0};
    const core_weight head_id = {CORE_W_HEAD, 0, 0};
    const int64_t n = b->spec->n_v * b->spec->n_d;
    ref__sum sum = *of_embed;
    if (b->spec->tied)
        ref__more(b, &sum, of_head->magnitude, of_head->step);
    ref__finish(b, &sum, core_grad_of_weight(embed_id),
                ref__weight_room(b, embed_id), n);
    if (!b->spec->tied)
        ref__finish(b, of_head, core_grad_of_weight(head_id),
                    ref__weight_room(b, head_id), n);
}

/* --- a layer --- */

/* OUT's gradient goes round the feed-forward part and through it: MID's.     */
static void feed_forward(ref__back *b, int layer)
{
    const core_weight norm = {CORE_W_FFN_NORM, layer, 0};
    const core_grad of = core_grad_of_tap(CORE_TAP_FFN_NORM, layer);
    const core_grad mid = core_grad_of_tap(CORE_TAP_MID, layer);
    const double *dout = ref__grad_room(b, CORE_TAP_OUT, layer);
    double *dxn = ref__grad_room(b, CORE_TAP_FFN_NORM, layer);
    ref__sum sum = ref__no_sum();
    if (core_spec_is_moe(b->spec, layer) && b->room->slots != NULL)
        b->room->slots(b->room->self, layer,
                       ref__taped(b, CORE_TAP_SLOT, layer));
    if (core_spec_is_moe(b->spec, layer))
        ref__back_moe(b, layer, dout, &sum, dxn);
    if (core_spec_n_mlp(b->spec, layer) > 0)
        ref__back_mlp(b, layer, dout, &sum, dxn);
    ref__finish(b, &sum, of, dxn, b->n * b->spec->n_d);
    ref__back_norm(b, norm, mid, ref__taped(b, CORE_TAP_MID, layer), dxn, dout,
                   ref__grad_room(b, CORE_TAP_MID, layer));
}

/* The same of the mixer: from MID's to IN's. */
static void mixer(ref__back *b, int layer)
{
    const core_weight norm = {CORE_W_ATTN_NORM, layer, 0};
    const core_grad in = core_grad_of_tap(CORE_TAP_IN, layer);
    const double *dmid = ref__grad_room(b, CORE_TAP_MID, layer);
    ref__back_attention(b, layer, dmid);
    ref__back_norm(b, norm, in, ref__taped(b, CORE_TAP_IN, layer),
                   ref__grad_room(b, CORE_TAP_ATTN_NORM, layer), dmid,
                   ref__grad_room(b, CORE_TAP_IN, layer));
}

static void backwards(ref__back *b)
{
    const core_spec *s = b->spec;
    ref__sum of_head = ref__no_sum(), of_embed = ref__no_sum();
    head(b, &of_head);
    for (int l = (int)s->n_l - 1; l >= 0; l--) {
        feed_forward(b, l);
        mixer(b, l);
        if (l > 0)
            memcpy(ref__grad_room(b, CORE_TAP_OUT, l - 1),
                   ref__grad_room(b, CORE_TAP_IN, l),
                   (size_t)(b->n * s->n_d) * sizeof(double));
    }
    embed(b, &of_embed);
    finish_tables(b, &of_head, &of_embed);
}

static void clear_room(const ref__back *b, const core_weight *weight)
{
    const core_spec *s = b->spec;
    int64_t n_row, n_col;
    for (int l = 0; l < (int)s->n_l; l++)
        for (int k = 0; k < CORE_N_TAP_KINDS; k++) {
            const core_grad grad = core_grad_of_tap((core_tap_kind)k, l);
            if (!core_grad_exists(s, grad.tap))
                continue;
            core_grad_shape(s, grad, b->n, &n_row, &n_col);
            memset(ref__grad_room(b, grad.tap.kind, l), 0,
                   (size_t)(n_row * n_col) * sizeof(double));
        }
    for (int64_t i = 0; i < core_weight_count(s); i++) {
        core_weight_shape(s, weight[i], &n_row, &n_col);
        memset(ref__weight_room(b, weight[i]), 0,
               (size_t)(n_row * n_col) * sizeof(double));
    }
}

/* The passes, in memory that is there. */
static core_status run(ref__back *b, ref_model *model,
                       const core_groups *groups, const ref_dealt *dealt)
{
    const core_tap_sink sink = ref__tape_sink(b);
    void *weight = NULL;
    CORE_TRY(core_alloc(&weight, core_weight_count(b->spec),
                        sizeof(core_weight), "the list of weights"));
    core_weight_list(b->spec, weight);
    clear_room(b, weight);
    free(weight);
    CORE_TRY(dealt == NULL ? ref_forward(model, b->batch, groups, &sink,
                                         b->stats)
                           : ref_forward_dealt(model, b->batch, groups, dealt,
                                               &sink, b->stats));
    const core_heads heads = core_spec_heads(b->spec, 0);
    core_rope_table(&heads, b->numerics, b->batch->n_t, b->cos_tj, b->sin_tj);
    const double wall = core_seconds(CLOCK_MONOTONIC);
    const double cpu = core_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const core_blas_threads before =
        core_blas_set_threads(model->options.n_threads);
    backwards(b);
    core_blas_restore_threads(before);
    b->stats->wall_seconds += core_seconds(CLOCK_MONOTONIC) - wall;
    b->stats->cpu_seconds += core_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    return CORE_OK;
}

core_status ref_gradients(ref_model *model, const core_batch *batch,
                          const core_groups *groups, const ref_dealt *dealt,
                          uint64_t seed, const ref_grad_room *room,
                          ref_stats *stats)
{
    ref__back b = {.spec = model->spec,
                   .weights = model->weights,
                   .batch = batch,
                   .numerics = model->numerics,
                   .exact = model->numerics == CORE_EXACT,
                   .n = batch->n_b * batch->n_t,
                   .seed = seed,
                   .room = room,
                   .stats = stats,
                   .arena = core_arena_measure()};
    core_assert(batch->mask == NULL);
    CORE_TRY(core_grad_check(model->spec));
    carve(&b);
    CORE_TRY_CTX(core_arena_make(&b.arena), "making room for gradients");
    carve(&b);
    const core_status status = run(&b, model, groups, dealt);
    core_arena_free(&b.arena);
    return status;
}

size_t ref_gradients_bytes(const core_spec *spec, int64_t n_b, int64_t n_t)
{
    const core_batch batch = {.n_b = n_b, .n_t = n_t};
    ref__back b = {.spec = spec,
                   .batch = &batch,
                   .n = n_b * n_t,
                   .arena = core_arena_measure()};
    carve(&b);
    return b.arena.peak_bytes + ref_workspace_bytes(spec, n_b, n_t);
}
