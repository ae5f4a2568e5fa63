/* ref/layer.c -- one layer: x + c mix(norm x), then x + c ffn(norm x), or one
 * of the two; in models that say so another connection for each of the sums; in
 * some what a part gives is normed before it is added, and the layer's output is
 * multiplied.
 *
 * The order of the taps is the order of this text.  An MoE layer may have a
 * shared expert beside it (an MLP that every token takes), and that a factor; the
 * sum of the layer's last part is its output.  Mixers and factors are those
 * of core/model/operators.h.  c is 1 but in models that scale their residuals.
 */
#include "ref/ref_impl.h"

static ref__operator *const MIXER[CORE_N_MIXERS] = {
#define MIXER_ROW(kind, name) [CORE_MIXER_##kind] = ref__##name,
    CORE_MIXER_LIST(MIXER_ROW)
#undef MIXER_ROW
};

static ref__operator *const SHARED[CORE_N_SHARED] = {
#define SHARED_ROW(kind, name) [CORE_SHARED_##kind] = ref__##name,
    CORE_SHARED_LIST(SHARED_ROW)
#undef SHARED_ROW
};

static const ref__connection *const CONNECTION[] = {
#define CONNECTION_ROW(kind, name) [CORE_CONNECTION_##kind] = &ref__##name,
    CORE_CONNECTION_LIST(CONNECTION_ROW)
#undef CONNECTION_ROW
    [CORE_N_CONNECTIONS] = NULL};

const ref__connection *ref__connection_of(const core_spec *spec)
{
    return CONNECTION[core_spec_connection(spec)];
}

/* What a layer's output is multiplied by. */
static double layer_scale(const ref__run *run, int layer)
{
    double scale = 1.0;
    if (run->spec->layer_scale)
        ref__read_vector(run, CORE_W_LAYER_SCALE, layer, &scale);
    return scale;
}

/* r := its norm, in models that norm what a part gives. */
static void norm_after(ref__run *run, core_weight_kind weight, int layer,
                       core_tap_kind kind)
{
    if (run->spec->post_norm)
        ref__norm_rows(run, weight, layer, kind, run->r, run->r);
}

/* a := store(a + scale * b), delivered as tap `kind`; b NULL: a as it is.  A
 * layer's output times its scale.                                            */
static void add(ref__run *run, core_tap_kind kind, int layer, double *a,
                const double *b, double scale)
{
    const int64_t n = run->n * run->spec->n_d;
    const double times = kind == CORE_TAP_OUT ? layer_scale(run, layer) : 1.0;
    float *bound = ref__bound_buffer(run, kind, layer);
    if (b != NULL && run->draw != NULL) {
        const ref__drawn drawn = ref__draw_operator(run, kind, layer);
        ref__drawn_add(&drawn, a, b, n, scale);
        if (times != 1.0 && drawn.eager)
            ref__store_in(run, core_tap_slot(kind), CORE_GRID_ACT, a, n);
        if (times != 1.0)
            ref__drawn_scale(&drawn, a, n, times);
    } else if (b != NULL) {
#pragma omp parallel for num_threads(run->n_threads)
        for (int64_t i = 0; i < n; i++)
            a[i] = (a[i] + scale * b[i]) * times;
    }
    ref__store_in(run, core_tap_slot(kind), CORE_GRID_ACT, a, n);
    if (bound != NULL)
        ref__bound_residual(ref__u(run, kind), bound, a, b, n, scale, times);
    ref__put(run, kind, layer, a, bound);
}

/* xn = the norm of what the part reads of the stream. */
static void enter(ref__run *run, int layer, ref__part part)
{
    const ref__connection *connection = ref__connection_of(run->spec);
    if (connection != NULL)
        connection->collapse(run, layer, part);
    if (part == REF__MIXER)
        ref__norm_stream(run, CORE_W_ATTN_NORM, CORE_W_ATTN_NORM_BIAS, layer,
                         CORE_TAP_ATTN_NORM);
    else
        ref__norm_stream(run, CORE_W_FFN_NORM, CORE_W_FFN_NORM_BIAS, layer,
                         CORE_TAP_FFN_NORM);
}

/* What the part gave joins the stream. */
static void leave(ref__run *run, int layer, core_tap_kind kind)
{
    const ref__connection *connection = ref__connection_of(run->spec);
    if (connection != NULL)
        connection->expand(run, layer, kind);
    else
        add(run, kind, layer, run->x, run->r, run->spec->residual_scale);
}

static void mixer_part(ref__run *run, int layer, bool dry)
{
    const core_mixer mixer = core_spec_mixer(run->spec, layer);
    const bool is_last = !core_spec_has_ffn(run->spec, layer);
    if (mixer == CORE_N_MIXERS)
        return;
    if (!dry)
        enter(run, layer, REF__MIXER);
    MIXER[mixer](run, layer, run->r, dry);
    if (dry)
        return;
    norm_after(run, CORE_W_ATTN_POST, layer, CORE_TAP_ATTN_POST);
    leave(run, layer, is_last ? CORE_TAP_OUT : CORE_TAP_MID);
}

static void ffn_part(ref__run *run, int layer, bool dry)
{
    const int64_t n_f = core_spec_n_mlp(run->spec, layer);
    const bool is_moe = core_spec_is_moe(run->spec, layer);
    const core_shared factor = core_spec_shared(run->spec, layer);
    const int64_t n = run->n * run->spec->n_d;
    if (!core_spec_has_ffn(run->spec, layer))
        return;
    double *shared = is_moe && n_f > 0 ? core_arena_f64(&run->arena, n) : NULL;
    if (!dry)
        enter(run, layer, REF__FFN);
    const size_t mark = run->arena.used_bytes;
    if (is_moe)
        ref__moe(run, layer, run->r, dry);
    core_arena_rewind(&run->arena, mark);
    if (n_f > 0)
        ref__mlp(run, layer, n_f, is_moe ? shared : run->r, dry);
    core_arena_rewind(&run->arena, mark);
    if (factor != CORE_N_SHARED)
        SHARED[factor](run, layer, shared, dry);
    if (dry)
        return;
    if (is_moe && run->spec->branch_norm)
        ref__norm_rows(run, CORE_W_MLP_POST, layer, CORE_TAP_MLP_POST, shared,
                       shared);
    add(run, CORE_TAP_FFN_OUT, layer, run->r, shared, 1.0);
    norm_after(run, CORE_W_FFN_POST, layer, CORE_TAP_FFN_POST);
    leave(run, layer, CORE_TAP_OUT);
}

void ref__layer(ref__run *run, int layer, bool dry)
{
    const size_t mark = run->arena.used_bytes;
    if (!dry)
        ref__put_transfer(run, CORE_TAP_IN, layer, run->x,
                          run->n * core_spec_n_x(run->spec));
    mixer_part(run, layer, dry);
    core_arena_rewind(&run->arena, mark);
    ffn_part(run, layer, dry);
    core_arena_rewind(&run->arena, mark);
}
