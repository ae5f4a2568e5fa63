/* tests/unit/test_har_distinct.c -- weights that are equal where a plan tells
 * them apart.
 *
 * The weights are a function of (tensor, row, column) without repeats; a case
 * plants one symmetry by moving coordinates before they are asked.
 */
#include "core/weights/weights_impl.h"
#include "harness/verify/distinct.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <string.h>

enum { MAX_LAYERS = 7 };

typedef struct place {
    core_weight id;
    int64_t r, c;
} place;

typedef void symmetry(place *p);

static symmetry *planted;
static core_weight_kind exempt = CORE_W_NONE; /* has no part in the symmetry */
static int64_t n_read;

static void read(const void *self, const core_spec *spec, core_weight id,
                 int64_t r0, int64_t r1, int64_t c0, int64_t c1, double *out,
                 int64_t ld)
{
    (void)self;
    (void)spec;
    for (int64_t r = r0; r < r1; r++)
        for (int64_t c = c0; c < c1; c++) {
            place p = {id, r, c};
            if (planted != NULL && id.kind != exempt)
                planted(&p);
            out[(r - r0) * ld + c - c0] =
                (double)p.id.kind * 0x1p40 + p.id.layer * 0x1p33 +
                p.id.expert * 0x1p26 + (double)p.r * 0x1p13 + (double)p.c;
        }
    n_read += (r1 - r0) * (c1 - c0);
}

static void do_nothing(void *self)
{
    (void)self;
}

static har_distinct find(const char *model, const char *text, symmetry *what)
{
    core_spec spec;
    par_plan plan;
    core_weights *weights = NULL;
    har_distinct found;
    const core__weight_source source = {
        .is_dyadic = true, .close = do_nothing, .read = read};
    ck_assert_msg(core_spec_open(&spec, model, NULL) == CORE_OK, "%s",
                  core_message());
    if (spec.n_l > MAX_LAYERS)
        spec.n_l = MAX_LAYERS; /* of seed-mini, whose experts are large */
    ck_assert_msg(par_plan_parse(&plan, text) == CORE_OK &&
                      par_plan_check(&plan, &spec) == CORE_OK,
                  "%s: %s", text, core_message());
    ck_assert_int_eq(core__weights_make(&weights, &spec, source, "planted"),
                     CORE_OK);
    planted = what;
    n_read = 0;
    ck_assert_int_eq(
        har_distinct_find(&found, &spec, &plan, weights, do_nothing, NULL),
        CORE_OK);
    core_weights_close(weights);
    return found;
}

/* --- symmetries --- */

static bool is_of_expert(const place *p)
{
    return core_weight_scope_of(p->id.kind) == CORE_SCOPE_EXPERT;
}

static void all_experts(place *p)
{
    p->id.expert = 0;
}

static void two_experts_of_layer_2(place *p)
{
    if (p->id.layer == 2 && p->id.expert == 17)
        p->id.expert = 4;
}

static void experts_but_for_a_bias(place *p)
{
    if (p->id.kind != CORE_W_EXPERT_DOWN_BIAS)
        p->id.expert = 0;
}

/* Of a matrix that is many tiles. */
static void experts_but_for_the_last_number(place *p)
{
    if (p->id.kind != CORE_W_EXPERT_DOWN || p->r != 127 || p->c != 255)
        p->id.expert = 0;
}

static void layers_1_and_5(place *p)
{
    if (p->id.layer == 5)
        p->id.layer = 1;
}

static void experts_of_layers_1_and_5(place *p)
{
    if (is_of_expert(p))
        layers_1_and_5(p);
}

static void all_but_experts_of_layers_1_and_5(place *p)
{
    if (!is_of_expert(p))
        layers_1_and_5(p);
}

static void layers_but_for_a_norm(place *p)
{
    if (p->id.kind != CORE_W_FFN_NORM)
        p->id.layer = 0;
}

static void norms_and_biases(place *p)
{
    int64_t n_row, n_col;
    core_spec spec;
    if (core_spec_open(&spec, "shadow-a", NULL) != CORE_OK)
        return;
    core_weight_shape(&spec, p->id, &n_row, &n_col);
    if (n_row == 1)
        *p = (place){{CORE_W_ATTN_NORM, 0, 0}, 0, 0};
}

static void heads(place *p)
{
    const bool by_row = p->id.kind == CORE_W_Q || p->id.kind == CORE_W_KV_B;
    int64_t *at = by_row ? &p->r : &p->c;
    if (p->id.kind == CORE_W_KV_B)
        *at %= 3 * (10 - 4 + 7); /* of the latent model, three heads each */
    else if (by_row || p->id.kind == CORE_W_O || p->id.kind == CORE_W_Q_BIAS)
        *at %= p->id.kind == CORE_W_O ? 3 * 7 : 3 * 10;
}

static void heads_but_not_their_output(place *p)
{
    if (p->id.kind != CORE_W_O)
        heads(p);
}

static void kv_heads(place *p)
{
    if (p->id.kind == CORE_W_K || p->id.kind == CORE_W_V)
        p->r %= 2 * 6;
    if (p->id.kind == CORE_W_K_BIAS || p->id.kind == CORE_W_V_BIAS)
        p->c %= 2 * 6;
}

static void mlp_columns(place *p)
{
    if (p->id.kind == CORE_W_MLP_UP || p->id.kind == CORE_W_MLP_GATE)
        p->r %= 17;
    if (p->id.kind == CORE_W_MLP_DOWN || p->id.kind == CORE_W_MLP_UP_BIAS ||
        p->id.kind == CORE_W_MLP_GATE_BIAS)
        p->c %= 17;
}

static void expert_columns(place *p)
{
    if (p->id.kind == CORE_W_EXPERT_UP || p->id.kind == CORE_W_EXPERT_GATE)
        p->r %= 14;
    else if (is_of_expert(p) && p->id.kind != CORE_W_EXPERT_DOWN_BIAS)
        p->c %= 14;
}

static void columns_of_all_experts_but_one(place *p)
{
    if (p->id.expert != 11)
        expert_columns(p);
}

static void channels(place *p)
{
    switch (p->id.kind) {
    case CORE_W_MAMBA_U:
    case CORE_W_MAMBA_GATE:
    case CORE_W_MAMBA_CONV:
    case CORE_W_MAMBA_DT:
    case CORE_W_MAMBA_A_LOG:
        p->r %= 12;
        break;
    case CORE_W_MAMBA_X:
    case CORE_W_MAMBA_OUT:
    case CORE_W_MAMBA_U_BIAS:
    case CORE_W_MAMBA_GATE_BIAS:
    case CORE_W_MAMBA_CONV_BIAS:
    case CORE_W_MAMBA_DT_BIAS:
    case CORE_W_MAMBA_D:
        p->c %= 12;
        break;
    default:
        break;
    }
}

/* Of the delta net's model, three key heads and six value heads each. */
static void key_heads(place *p)
{
    switch (p->id.kind) {
    case CORE_W_DELTANET_Q:
    case CORE_W_DELTANET_K:
    case CORE_W_DELTANET_Q_CONV:
    case CORE_W_DELTANET_K_CONV:
        p->r %= 3 * 9;
        break;
    case CORE_W_DELTANET_V:
    case CORE_W_DELTANET_GATE:
    case CORE_W_DELTANET_V_CONV:
        p->r %= 6 * 17;
        break;
    case CORE_W_DELTANET_BETA:
    case CORE_W_DELTANET_DT:
        p->r %= 6;
        break;
    case CORE_W_DELTANET_DT_BIAS:
    case CORE_W_DELTANET_A_LOG:
        p->c %= 6;
        break;
    case CORE_W_DELTANET_OUT:
        p->c %= 6 * 17;
        break;
    default:
        break;
    }
}

/* Time steps for each of nine rows. */
static void key_heads_of_rows(place *p)
{
    if (p->id.kind == CORE_W_DELTANET_DT)
        p->r %= 6 * 9;
    else if (p->id.kind == CORE_W_DELTANET_DT_BIAS)
        p->c %= 6 * 9;
    else
        key_heads(p);
}

static void groups(place *p)
{
    switch (p->id.kind) {
    case CORE_W_SSD_GATE:
        p->r %= 30;
        break;
    case CORE_W_SSD_DT:
        p->r %= 6;
        break;
    case CORE_W_SSD_OUT:
    case CORE_W_SSD_GATE_BIAS:
    case CORE_W_SSD_NORM:
        p->c %= 30;
        break;
    case CORE_W_SSD_DT_BIAS:
    case CORE_W_SSD_STEP:
    case CORE_W_SSD_A_LOG:
    case CORE_W_SSD_D:
        p->c %= 6;
        break;
    default:
        break;
    }
}

/* Of the model of short convolutions, seventeen channels. */
static void conv_channels(place *p)
{
    switch (p->id.kind) {
    case CORE_W_SHORTCONV_B:
    case CORE_W_SHORTCONV_C:
    case CORE_W_SHORTCONV_X:
    case CORE_W_SHORTCONV_CONV:
        p->r %= 17;
        break;
    case CORE_W_SHORTCONV_OUT:
    case CORE_W_SHORTCONV_B_BIAS:
    case CORE_W_SHORTCONV_C_BIAS:
    case CORE_W_SHORTCONV_X_BIAS:
    case CORE_W_SHORTCONV_CONV_BIAS:
        p->c %= 17;
        break;
    default:
        break;
    }
}

static void gated_heads(place *p)
{
    if (p->id.kind == CORE_W_Q || p->id.kind == CORE_W_CONTEXT_GATE)
        p->r %= 4 * 14;
    if (p->id.kind == CORE_W_O || p->id.kind == CORE_W_Q_BIAS ||
        p->id.kind == CORE_W_CONTEXT_GATE_BIAS)
        p->c %= 4 * 14;
}

static void vocabulary(place *p)
{
    if (p->id.kind == CORE_W_EMBED || p->id.kind == CORE_W_HEAD)
        p->r %= 19;
}

static void embedding(place *p)
{
    if (p->id.kind == CORE_W_EMBED)
        p->r %= 19;
}

/* --- cases --- */

#define LATENT MODELS_DIR "/latent.yaml"
#define MAMBA  MODELS_DIR "/mamba.yaml"
#define DELTANET MODELS_DIR "/deltanet.yaml"
#define KDA    MODELS_DIR "/kda.yaml"
#define SSD    MODELS_DIR "/ssd.yaml"
#define SHORTCONV MODELS_DIR "/shortconv.yaml"

static const struct {
    const char *model, *plan;
    symmetry *what;
    const char *says; /* NULL: all is told apart */
} cases[] = {
    {"shadow-a", "dp=2,pp=2,tp=2,ep=2,etp=2", NULL, NULL},
    {"shadow-b", "tp=6,pp=2,ep=2,etp=3", NULL, NULL},
    {LATENT, "tp=3,pp=2,ep=3", NULL, NULL},
    {MAMBA, "tp=4,pp=2,ep=2", NULL, NULL},
    {DELTANET, "tp=4,pp=2,ep=2", NULL, NULL},
    {KDA, "tp=4,pp=2,ep=2", NULL, NULL},
    {SSD, "tp=2,pp=2,ep=2", NULL, NULL},
    {SHORTCONV, "tp=3,pp=2,ep=3", NULL, NULL},
    {"shadow-a", "dp=2,ep=2", norms_and_biases, NULL},
    {"shadow-a", "tp=2,pp=7", norms_and_biases, NULL},

    {"shadow-a", "dp=4,ep=4", all_experts,
     "experts 0 and 5 of layer 0 are equal bit for bit, and 1049 more pairs"},
    {"shadow-a", "tp=2", all_experts, NULL},
    {"shadow-a", "dp=2,ep=2", two_experts_of_layer_2,
     "experts 4 and 17 of layer 2 are equal bit for bit"},
    {"shadow-a", "pp=2,ep=2,scope=replica", two_experts_of_layer_2,
     "experts 4 and 17 of layer 2 are equal bit for bit"},
    {"shadow-a", "dp=2,ep=2,placement=0/1/0/1/0/1/0/1/0/1/0/1/0/1/0/1/0/0/1/1",
     two_experts_of_layer_2, NULL},
    {"shadow-a",
     "dp=2,ep=2,placement=0/1/0/1/0+1/1/0/1/0/1/0/1/0/1/0/1/0/0/1/1",
     two_experts_of_layer_2,
     "experts 4 and 17 of layer 2 are equal bit for bit"},
    {"shadow-a",
     "dp=2,ep=2,placement=0/1/0/1/0+1/1/0/1/0/1/0/1/0/1/0/1/0/1+0/1/1",
     two_experts_of_layer_2, NULL},
    {"shadow-a", "dp=2,ep=2", experts_but_for_a_bias, NULL},
    {"seed-mini", "dp=2,ep=2", experts_but_for_the_last_number, NULL},
    {"seed-mini", "dp=2,ep=2", all_experts,
     "experts 0 and 32 of layer 0 are equal bit for bit, and 7167 more pairs"},

    {"shadow-a", "pp=2", layers_1_and_5,
     "layers 1 and 5 are equal bit for bit"},
    /* chunks of one stage */
    {"shadow-a", "pp=2,vpp=2", layers_1_and_5,
     "layers 1 and 5 are equal bit for bit"},
    {"shadow-a", "pp=2,stages=6/1", layers_1_and_5, NULL},
    {"shadow-a", "pp=2", layers_but_for_a_norm, NULL},
    {"shadow-b", "pp=5", layers_1_and_5, NULL},
    {"shadow-a", "pp=2,ep=2,scope=replica", layers_1_and_5,
     "layers 1 and 5 are equal bit for bit"},
    {"shadow-a", "pp=2,ep=2,scope=replica", experts_of_layers_1_and_5,
     "experts of layers 1 and 5 are equal bit for bit"},
    {"shadow-a", "pp=2,ep=2,stages=6/1,scope=replica",
     experts_of_layers_1_and_5,
     "experts of layers 1 and 5 are equal bit for bit"},
    {"shadow-a", "pp=2", experts_of_layers_1_and_5, NULL},
    {"shadow-a", "ep=2,dp=2", experts_of_layers_1_and_5, NULL},
    {"shadow-a", "pp=2,ep=2,scope=replica", all_but_experts_of_layers_1_and_5,
     NULL},

    {LATENT, "tp=2", heads,
     "heads 0-2 and 3-5 of layer 0 are equal bit for bit, and 2 more pairs"},
    {LATENT, "tp=2", heads_but_not_their_output, NULL},
    {LATENT, "tp=3", heads, NULL}, /* other parts, none of them alike */
    {"shadow-a", "tp=2", kv_heads,
     "kv heads 0-2 and 2-4 of layer 0 are equal bit for bit, and 6 more pairs"},
    {"shadow-b", "tp=6", NULL, NULL}, /* two ranks share each kv head */
    {"shadow-a", "tp=2", mlp_columns,
     "MLP columns 0-16 and 17-33 of layer 0 are equal bit for bit, and 6 more "
     "pairs"},
    {"shadow-a", "dp=2,etp=2", expert_columns,
     "expert columns 0-13 and 14-27 of layer 0 are equal bit for bit, and 6 "
     "more pairs"},
    {"shadow-a", "dp=2,etp=2", columns_of_all_experts_but_one, NULL},
    {MAMBA, "tp=2", channels,
     "mamba channels 0-10 and 12-22 of layer 0 are equal bit for bit, and 1 "
     "more pair"},
    {DELTANET, "tp=2", key_heads,
     "key heads 0-1 and 3-4 of layer 0 are equal bit for bit, and 1 more pair"},
    {KDA, "tp=2", key_heads_of_rows,
     "key heads 0-1 and 3-4 of layer 0 are equal bit for bit, and 1 more pair"},
    {DELTANET, "tp=2", gated_heads,
     "heads 0-3 and 4-7 of layer 2 are equal bit for bit"},
    {SSD, "tp=2", groups,
     "state space heads 0-5 and 6-11 of layer 0 are equal bit for bit, and 2 "
     "more pairs"},
    {SHORTCONV, "tp=2", conv_channels,
     "channels of the short convolution 0-16 and 17-33 of layer 0 are equal "
     "bit for bit, and 1 more pair"},
    {"shadow-a", "tp=2", vocabulary,
     "vocabulary rows 0-17 and 19-36 are equal bit for bit"},
    {"shadow-a", "tp=2", embedding, NULL},
};

START_TEST(what_is_equal_is_named)
{
    char text[HAR_DISTINCT_TEXT];
    const har_distinct d =
        find(cases[_i].model, cases[_i].plan, cases[_i].what);
    const har_axis axis = har_distinct_next(&d, -1);
    if (axis != HAR_N_AXES)
        ck_assert_str_eq(har_distinct_format(&d, axis, text),
                         cases[_i].says != NULL ? cases[_i].says : "nothing");
    else
        ck_assert_ptr_null(cases[_i].says);
    if (axis != HAR_N_AXES)
        ck_assert_int_eq(har_distinct_next(&d, (int)axis), HAR_N_AXES);
}
END_TEST

/* Does the symmetry move a coordinate of a tensor of this kind? */
static bool is_moved(const core_spec *spec, symmetry *what,
                     core_weight_kind kind)
{
    bool any = false;
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int e = 0; e < (int)spec->n_e; e++) {
            const core_weight id = {kind, l, e};
            int64_t n_row = 0, n_col = 0;
            if (core_weight_exists(spec, id))
                core_weight_shape(spec, id, &n_row, &n_col);
            for (int64_t i = 0; i < n_row * n_col && !any; i++) {
                const place at = {id, i / n_col, i % n_col};
                place p = at;
                what(&p);
                any = memcmp(&p, &at, sizeof p) != 0;
            }
        }
    return any;
}

/* One kind of tensor that differs is enough to tell units apart: so every kind
 * that a plan cuts is looked at.  (Where layers differ, their experts may be
 * equal.)                                                                    */
START_TEST(any_kind_that_differs_is_enough)
{
    core_spec spec;
    ck_assert(core_spec_open(&spec, cases[_i].model, NULL) == CORE_OK);
    const har_distinct all =
        find(cases[_i].model, cases[_i].plan, cases[_i].what);
    const har_axis axis = har_distinct_next(&all, -1);
    for (int k = 0; cases[_i].says != NULL && k < CORE_N_WEIGHT_KINDS; k++) {
        exempt = (core_weight_kind)k;
        if (!is_moved(&spec, cases[_i].what, exempt))
            continue;
        const har_distinct d =
            find(cases[_i].model, cases[_i].plan, cases[_i].what);
        ck_assert_msg(d.axis[axis].n_pair == 0, "case %d, kind %d", _i, k);
    }
}
END_TEST

/* What differs costs a tile of each unit, what agrees all of it. */
START_TEST(only_what_agrees_is_read_on)
{
    enum { N_L = 7, N_E = 20, GATE = 28 * 60, EXPERT = 3 * GATE + 2 * 28 + 60 };
    find("shadow-a", "dp=2,ep=2", NULL);
    ck_assert_int_eq(n_read, N_L * N_E * GATE);
    find("shadow-a", "dp=2,ep=2", all_experts);
    ck_assert_int_eq(n_read, N_L * N_E * EXPERT);
    find("shadow-a", "dp=2", all_experts);
    ck_assert_int_eq(n_read, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_distinct");
    TCase *tcase = tcase_create("distinct");
    tcase_add_loop_test(tcase, what_is_equal_is_named, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(tcase, any_kind_that_differs_is_enough, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_test(tcase, only_what_agrees_is_read_on);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
