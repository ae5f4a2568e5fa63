/* harness/perf/cost/ssd.c -- Mamba-2's state space, split by heads.
 *
 * B and C of a group are made wherever a head of it is.  Squares of a norm are
 * summed over tp where a group is not whole on a rank.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

/* Of my rank. */
typedef struct own {
    int64_t n_g, n_h, n_c; /* groups, heads, channels                         */
    int64_t n_b;           /* columns of B                                    */
} own;

static own own_of(const core_spec *spec, const par_layout *lay)
{
    const core_ssd *s = &spec->ssd;
    const core_heads all = {.n_h = s->n_h, .n_g = s->n_g};
    const par_heads mine = par_layout_heads(&all, lay->plan.tp, lay->t);
    return (own){mine.n_kv, mine.n_h, mine.n_h * s->n_p, mine.n_kv * s->n_s};
}

static void put_in(har__walk *w, const own *o)
{
    const int64_t part[] = {o->n_c, o->n_b, o->n_b}; /* x, B, C */
    const int64_t n_d = w->spec->n_d;
    const bool has_bias = w->spec->ssd.bias_proj;
    har__put(w, har__gemm(w, CORE_TAP_SSD_GATE, w->n, o->n_c, n_d, has_bias));
    for (int p = 0; p < 3; p++)
        har__put(w,
                 har__gemm(w, CORE_TAP_SSD_XBC, w->n, part[p], n_d, has_bias));
    har__put(w, har__gemm(w, CORE_TAP_SSD_DT_RAW, w->n, o->n_h, n_d, has_bias));
    for (int p = 0; p < 3; p++)
        har__put_convolution(w, CORE_TAP_SSD_ACT, CORE_W_SSD_CONV, part[p]);
}

static void put_scan(har__walk *w, const own *o)
{
    const int64_t n_s = w->spec->ssd.n_s;
    core_cost cost =
        har__rows(w, CORE_TAP_SSD_Y, w->n, o->n_c,
                  n_s * (2 * CORE_FLOPS_MULTIPLY_ADD + CORE_FLOPS_SCALE) +
                      CORE_FLOPS_MULTIPLY_ADD);
    cost.k = n_s;
    cost.read = w->n * (o->n_c + o->n_h + 2 * o->n_b);
    cost.weights = w->n > 0 ? 2 * o->n_h : 0;
    har__put(w, cost);
}

static void put_norm(har__walk *w, const own *o)
{
    const int64_t n = w->n, n_g = w->spec->ssd.n_g;
    if (n_g % w->lay->plan.tp == 0) {
        for (int64_t g = 0; g < o->n_g; g++)
            har__put(w, har__rms(w, CORE_TAP_SSD_NORM, n, o->n_c / o->n_g,
                                 o->n_c / o->n_g));
        return;
    }
    core_cost squares =
        har__rows(w, CORE_TAP_SSD_NORM, n, o->n_c, CORE_FLOPS_SQUARES);
    squares.written = n * n_g;
    har__put(w, squares);
    har__put_all_reduce(w, CORE_TAP_SSD_NORM, n * n_g);
    core_cost apply =
        har__rows(w, CORE_TAP_SSD_NORM, n, o->n_c, 2 * CORE_FLOPS_SCALE);
    apply.weights = n > 0 ? o->n_c : 0;
    har__put(w, apply);
}

static void put_ssd(har__walk *w)
{
    const own o = own_of(w->spec, w->lay);
    const int64_t n_d = w->spec->n_d;
    w->op = par_operator_name(PAR_OP_SSD);
    put_in(w, &o);
    core_cost dt = har__rows(w, CORE_TAP_SSD_DT, w->n, o.n_h,
                             CORE_FLOPS_ADD + CORE_FLOPS_FUNCTION);
    dt.weights = w->n > 0 ? o.n_h : 0;
    har__put(w, dt);
    put_scan(w, &o);
    har__put_gate(w, CORE_TAP_SSD_GATED, o.n_c);
    put_norm(w, &o);
    har__put(w, har__gemm(w, CORE_TAP_ATTN_OUT, w->n, n_d, o.n_c, false));
    har__put_sum(w, CORE_TAP_ATTN_OUT, n_d, w->spec->ssd.bias_proj);
}

/* --- beside its records --- */

static har__split split(const core_spec *spec, const par_layout *lay,
                        core_weight id)
{
    const core_ssd *s = &spec->ssd;
    const own o = own_of(spec, lay);
    switch (id.kind) {
    case CORE_W_SSD_XBC:
    case CORE_W_SSD_XBC_BIAS:
    case CORE_W_SSD_CONV:
    case CORE_W_SSD_CONV_BIAS:
        return (har__split){o.n_c + 2 * o.n_b,
                            s->n_h * s->n_p + 2 * s->n_g * s->n_s};
    default:
        return id.kind >= CORE_W_SSD_GATE && id.kind <= CORE_W_SSD_OUT
                   ? (har__split){o.n_h, s->n_h}
                   : HAR__WHOLE;
    }
}

static int64_t state(const core_spec *spec, const par_layout *lay)
{
    const own o = own_of(spec, lay);
    return o.n_c * spec->ssd.n_s + (o.n_c + 2 * o.n_b) * (spec->ssd.n_conv - 1);
}

/* The scan has its state: it is read and written. */
static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    (void)n_key;
    if (c->kind != CORE_COST_ELEMENTWISE)
        return;
    if (c->tap.kind == CORE_TAP_SSD_ACT)
        har__step_convolution(step, c, spec->ssd.n_conv);
    else if (c->tap.kind == CORE_TAP_SSD_Y)
        step->elements += 2 * (double)(c->m * c->n) * (double)spec->ssd.n_s;
}

/* The chunked form of the paper (Dao and Gu 2024, section 6), with its authors'
 * chunks.  Of a token and a head of n_p columns: products with B of a chunk,
 * 2 chunk n_s, with its x, 2 chunk n_p; into the state and out of it, 2 n_s n_p
 * each. */
static har__work work(const core_spec *spec, const core_cost *c)
{
    const double chunk = 256, n_s = (double)spec->ssd.n_s;
    const double of_column =
        2 * chunk * n_s / (double)spec->ssd.n_p + 2 * chunk + 4 * n_s;
    return (har__work){
        c->tap.kind == CORE_TAP_SSD_Y ? (double)(c->m * c->n) * of_column : 0,
        0};
}

static void probe(har_dice *d, core_spec *s)
{
    const int64_t n_g = har_dice_between(d, 1, 8);
    s->ssd = (core_ssd){.n_h = n_g * har_dice_between(d, 1, 8),
                        .n_p = har_dice_between(d, 4, 64),
                        .n_s = har_dice_between(d, 8, 128),
                        .n_g = n_g,
                        .n_conv = 4,
                        .bias_conv = true};
}

const har__operator har__mixer_ssd = {.put = put_ssd,
                                      .split = split,
                                      .state = state,
                                      .decode = decode,
                                      .work = work,
                                      .probe = probe};
