/* harness/diagnose/product.c -- the products with weights, and their biases.
 *
 * A product that reads another tap in some models has a line for each; the first
 * whose input the model has is it.
 */
#include "harness/diagnose/impl.h"

#include <string.h>

static const har__product products[] = {
    {CORE_TAP_Q, CORE_W_Q, CORE_TAP_ATTN_NORM, false},
    {CORE_TAP_K, CORE_W_K, CORE_TAP_ATTN_NORM, false},
    {CORE_TAP_V, CORE_W_V, CORE_TAP_ATTN_NORM, false},
    {CORE_TAP_Q_A, CORE_W_Q_A, CORE_TAP_ATTN_NORM, false},
    {CORE_TAP_KV_A, CORE_W_KV_A, CORE_TAP_ATTN_NORM, false},
    {CORE_TAP_KV_B, CORE_W_KV_B, CORE_TAP_KV_A_NORM, false},
    {CORE_TAP_ATTN_OUT, CORE_W_O, CORE_TAP_CONTEXT, true},
    {CORE_TAP_ROUTER_LOGITS, CORE_W_ROUTER, CORE_TAP_ROUTER_IN, false},
    {CORE_TAP_ROUTER_LOGITS, CORE_W_ROUTER, CORE_TAP_FFN_NORM, false},
    {CORE_TAP_NARROW, CORE_W_NARROW, CORE_TAP_MOE_NORM, false},
    {CORE_TAP_NARROW, CORE_W_NARROW, CORE_TAP_FFN_NORM, false},
    {CORE_TAP_WIDE, CORE_W_WIDE, CORE_TAP_COMBINE, false},
    {CORE_TAP_EXPERT_GATE, CORE_W_EXPERT_GATE, CORE_TAP_RECV, false},
    {CORE_TAP_EXPERT_UP, CORE_W_EXPERT_UP, CORE_TAP_RECV, false},
    {CORE_TAP_EXPERT_OUT, CORE_W_EXPERT_DOWN, CORE_TAP_EXPERT_ACT, true},
    {CORE_TAP_MLP_GATE, CORE_W_MLP_GATE, CORE_TAP_FFN_NORM, false},
    {CORE_TAP_MLP_UP, CORE_W_MLP_UP, CORE_TAP_FFN_NORM, false},
    {CORE_TAP_MLP_OUT, CORE_W_MLP_DOWN, CORE_TAP_MLP_ACT, true},
    {CORE_TAP_LOGITS, CORE_W_HEAD, CORE_TAP_FINAL_NORM, false}};

const har__product *har__product_of(const har__case *c)
{
    if (c->scene->spec == NULL || !c->scene->is_tap ||
        c->scene->weights == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        if (products[i].out == c->scene->tap.kind &&
            core_tap_exists(c->scene->spec, har__beside(c, products[i].in)))
            return &products[i];
    return NULL;
}

const int64_t *har__experts_of(har__case *c)
{
    const har_scene *s = c->scene;
    const core_tap idx = har__beside(c, CORE_TAP_TOPK_IDX);
    const int64_t k = s->spec->n_k;
    int64_t *out = (int64_t *)har__room(c, c->n);
    double *line = har__room(c, k);
    if (out == NULL || line == NULL)
        return NULL;
    memset(out, 0, (size_t)c->n * sizeof *out);
    if (core_tap_row_kind(s->tap.kind) != CORE_ROWS_CHOICE)
        return out;
    if (s->n_col_of(s->self, idx) != k)
        return NULL;
    for (int64_t i = 0; i < c->n; i++) {
        s->read(s->self, idx, c->row[i] / k, line);
        out[i] = (int64_t)line[c->row[i] % k];
        if (out[i] < 0 || out[i] >= s->spec->n_e)
            return NULL;
    }
    return out;
}

bool har__is_affordable(const har__case *c, const int64_t *expert, int64_t n_k)
{
    const double most_weights = 0x1p26, most_products = 0x1p30;
    double n_expert = 0.0;
    for (int64_t i = 0; i < c->n; i++) {
        int64_t k = 0;
        while (k < i && expert[k] != expert[i])
            k++;
        n_expert += k == i;
    }
    const double n = (double)c->n_col * (double)n_k;
    return n_k > 0 && n_expert * n <= most_weights &&
           (double)c->n * n <= most_products;
}

bool har__bias_rows(har__case *c, double *out, core_weight_kind *kind)
{
    const har_scene *s = c->scene;
    const har__product *of = har__product_of(c);
    if (of == NULL || (*kind = core_weight_bias(of->weight)) == CORE_W_NONE)
        return false;
    const int64_t *expert = har__experts_of(c);
    for (int64_t i = 0; i < c->n; i++) {
        if (expert == NULL)
            return false;
        const core_weight bias = {*kind, s->tap.layer, (int)expert[i]};
        if (!core_weight_exists(s->spec, bias))
            return false;
        core_weights_read(s->weights, bias, 0, 1, s->col0, s->col0 + c->n_col,
                          out + i * c->n_col, c->n_col);
    }
    return true;
}
