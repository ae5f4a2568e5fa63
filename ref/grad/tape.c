/* ref/grad/tape.c -- what the forward pass stored, kept for the way back.
 */
#include "ref/grad/grad_impl.h"

/* Taps that the backward pass reads. */
bool ref__is_taped(core_tap_kind kind)
{
    static const core_tap_kind READ[] = {
        CORE_TAP_IN,         CORE_TAP_ATTN_NORM,   CORE_TAP_Q_ROPE,
        CORE_TAP_K_ROPE,     CORE_TAP_V,           CORE_TAP_CONTEXT,
        CORE_TAP_MID,        CORE_TAP_FFN_NORM,    CORE_TAP_ROUTER_PROBS,
        CORE_TAP_TOPK_IDX,   CORE_TAP_TOPK_WEIGHT, CORE_TAP_SLOT,
        CORE_TAP_RECV,       CORE_TAP_EXPERT_GATE, CORE_TAP_EXPERT_UP,
        CORE_TAP_EXPERT_ACT, CORE_TAP_BACK,        CORE_TAP_MLP_GATE,
        CORE_TAP_MLP_UP,     CORE_TAP_MLP_ACT,     CORE_TAP_OUT,
        CORE_TAP_FINAL_NORM};
    for (size_t i = 0; i < sizeof READ / sizeof READ[0]; i++)
        if (READ[i] == kind)
            return true;
    return false;
}

static int64_t tape_index(const core_spec *spec, core_tap_kind kind, int layer)
{
    return (int64_t)kind * spec->n_l + layer;
}

const double *ref__taped(const ref__back *b, core_tap_kind kind, int layer)
{
    const double *tap = b->tape[tape_index(b->spec, kind, layer)];
    core_assert(tap != NULL);
    return tap;
}

double *ref__grad_room(const ref__back *b, core_tap_kind kind, int layer)
{
    return b->room->at(b->room->self, core_grad_of_tap(kind, layer));
}

double *ref__weight_room(const ref__back *b, core_weight id)
{
    return b->room->at(b->room->self, core_grad_of_weight(id));
}

static bool wants(void *self, core_tap tap)
{
    (void)self;
    return ref__is_taped(tap.kind);
}

static void put(void *self, core_tap tap, const double *values,
                const int64_t *ints, const float *bound)
{
    const ref__back *b = self;
    double *to = b->tape[tape_index(b->spec, tap.kind, tap.layer)];
    const int64_t n =
        core_tap_n_rows(b->spec, tap, b->n) * core_tap_cols(b->spec, tap);
    (void)bound;
    for (int64_t i = 0; i < n; i++)
        to[i] = values != NULL ? values[i] : (double)ints[i];
}

core_tap_sink ref__tape_sink(ref__back *b)
{
    return (core_tap_sink){b, put, wants};
}

void ref__tape_take(ref__back *b)
{
    const core_spec *s = b->spec;
    const int64_t n = CORE_N_TAP_KINDS * s->n_l;
    b->tape = core_arena_take(&b->arena, n, sizeof *b->tape);
    for (int64_t i = 0; b->tape != NULL && i < n; i++)
        b->tape[i] = NULL;
    for (int l = 0; l < (int)s->n_l; l++)
        for (int k = 0; k < CORE_N_TAP_KINDS; k++) {
            const core_tap tap = {(core_tap_kind)k, l};
            if (!ref__is_taped(tap.kind) || !core_tap_exists(s, tap) ||
                (core_tap_is_global(tap.kind) && l > 0))
                continue;
            double *room =
                core_arena_f64(&b->arena, core_tap_n_rows(s, tap, b->n) *
                                              core_tap_cols(s, tap));
            if (b->tape != NULL)
                b->tape[tape_index(s, tap.kind, l)] = room;
        }
}
