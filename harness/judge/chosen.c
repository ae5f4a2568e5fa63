/* harness/judge/chosen.c -- see chosen.h.
 *
 * Traps: a stack may count all layers of the model or only those with experts;
 * a mask is told from ids by its width alone, unless it is of booleans; a list
 * of physical experts has holes (-1), where no copy lies; an id that is out of
 * range says nothing of where a token went, so it is no wrong choice.
 */
#include "harness/judge/chosen.h"

#include <stdio.h>
#include <string.h>

bool har_is_choice(const har_yard_tap *tap)
{
    return tap->name.is_tap && tap->name.tap.kind == CORE_TAP_TOPK_IDX;
}

int64_t har_chosen_layer(const har_yardstick *yard, const char *name, int64_t i)
{
    const int n_prefix = (int)(strlen(name) - strlen(HAR_STACKED));
    for (int64_t k = 0; k < yard->n_tap; k++) {
        char body[CORE_NAME_BYTES], full[2 * HAR_DUMP_NAME];
        if (!har_is_choice(&yard->tap[k]))
            continue;
        snprintf(full, sizeof full, "%.*s%s", n_prefix, name,
                 core_tap_name(yard->tap[k].name.tap, body));
        if (har_yardstick_index(yard, full) == k && i-- == 0)
            return k;
    }
    return -1;
}

/* Layers with experts in the tap's part: how many, and which one this is. */
static int64_t count_layers(const har_yardstick *yard, const har_yard_tap *tap,
                            int64_t *which)
{
    int64_t n = 0;
    for (int64_t k = 0; k < yard->n_tap; k++) {
        const har_yard_tap *other = &yard->tap[k];
        if (!har_is_choice(other) || other->part != tap->part)
            continue;
        if (other == tap)
            *which = n;
        n++;
    }
    return n;
}

/* Which of n rows is the tap's layer?  They are those with experts, or all. */
static bool choose_layer(const har_yardstick *yard, const har_yard_tap *tap,
                         int64_t n, const char *what, int64_t *out,
                         char problem[HAR_PLACE_TEXT])
{
    const int64_t n_moe = count_layers(yard, tap, out);
    if (n == n_moe)
        return true;
    *out = tap->name.tap.layer;
    if (n == yard->spec.n_l)
        return true;
    snprintf(problem, HAR_PLACE_TEXT,
             "expected %s of %lld layers with experts%s, found %lld", what,
             (long long)n_moe, yard->spec.n_l > n_moe ? " (or of all)" : "",
             (long long)n);
    return false;
}

static int64_t count_experts(const har_yardstick *yard, const har_yard_tap *tap)
{
    const har_yard_tap *logits = har_yardstick_find(
        yard, tap->part,
        (core_tap){CORE_TAP_ROUTER_LOGITS, tap->name.tap.layer});
    return logits != NULL ? logits->extent.n_col : yard->spec.n_e;
}

static bool take_logical(har_chosen *c, const har_yardstick *yard,
                         const har_yard_tap *tap, char problem[HAR_PLACE_TEXT])
{
    const core_st_tensor *l = c->logical;
    int64_t row = 0;
    c->n_physical = l->n_dim > 0 ? l->shape[l->n_dim - 1] : 0;
    if (l->n_dim == 2 &&
        !choose_layer(yard, tap, l->shape[0], "lists of physical experts", &row,
                      problem))
        return false;
    c->logical0 = row * c->n_physical;
    if (l->n_dim >= 1 && l->n_dim <= 2 && !core_dtype_is_float(l->dtype))
        return true;
    snprintf(problem, HAR_PLACE_TEXT,
             "'%.60s': expected integers [physical experts] or [layers, "
             "physical experts]",
             l->name);
    return false;
}

/* One choice of a token needs no dimension of its own. */
static bool has_columns(const har_chosen *c, const core_st_tensor *t)
{
    return t->n_dim > 1 || c->n_k > 1;
}

bool har_chosen_make(har_chosen *out, const har_yardstick *yard, int64_t i_tap,
                     const core_st_tensor *t, int64_t i,
                     const core_st_tensor *logical,
                     char problem[HAR_PLACE_TEXT])
{
    const har_yard_tap *tap = &yard->tap[i_tap];
    har_chosen c = {.is_stacked = i >= 0,
                    .n_layer = 1,
                    .n_k = tap->extent.n_col,
                    .n_expert = count_experts(yard, tap),
                    .logical = logical};
    if (t->n_dim < (c.is_stacked ? 3 : 1)) {
        snprintf(problem, HAR_PLACE_TEXT,
                 "expected dimensions for tokens%s and choices, found %d",
                 c.is_stacked ? ", layers" : "", t->n_dim);
        return false;
    }
    c.width = has_columns(&c, t) ? t->shape[t->n_dim - 1] : 1;
    if (c.is_stacked) {
        c.n_layer = t->shape[t->n_dim - 2];
        if (!choose_layer(yard, tap, c.n_layer, "choices", &c.i_layer, problem))
            return false;
    }
    if (logical != NULL && !take_logical(&c, yard, tap, problem))
        return false;
    const int64_t n_marked = logical != NULL ? c.n_physical : c.n_expert;
    c.is_mask = c.width == n_marked && n_marked > 0 &&
                (t->dtype == CORE_DTYPE_BOOL || c.width != c.n_k);
    if (c.is_mask || c.width == c.n_k) {
        *out = c;
        return true;
    }
    snprintf(problem, HAR_PLACE_TEXT,
             "expected %lld choices of a token, or a mask of %lld experts, "
             "found %lld columns",
             (long long)c.n_k, (long long)n_marked, (long long)c.width);
    return false;
}

int har_chosen_shape(const har_chosen *c, const core_st_tensor *t,
                     int64_t shape[CORE_ST_MAX_DIM + 1])
{
    const int n_dim = t->n_dim + !has_columns(c, t) - c->is_stacked;
    memcpy(shape, t->shape, sizeof t->shape);
    shape[n_dim - 1] = c->n_k;
    return n_dim;
}

/* The model's expert that an id stands for. */
static double expert_of(const har_chosen *c, int64_t id)
{
    if (c->logical != NULL) {
        if (id < 0 || id >= c->n_physical)
            return HAR_UNREADABLE;
        id = (int64_t)core_st_value(c->logical, c->logical0 + id);
    }
    return id < 0 || (c->n_expert > 0 && id >= c->n_expert) ? HAR_UNREADABLE
                                                            : (double)id;
}

static void read_mask(const har_chosen *c, const core_st_tensor *t, int64_t at,
                      double *out, double *bad)
{
    int64_t n = 0;
    for (int64_t e = 0; e < c->width; e++) {
        if (core_st_value(t, at + e) == 0.0)
            continue;
        if (n < c->n_k)
            out[n] = expert_of(c, e);
        n++;
    }
    if (n != c->n_k)
        *bad = (double)n;
    for (int64_t k = 0; k < c->n_k && n != c->n_k; k++)
        out[k] = HAR_UNREADABLE;
}

void har_chosen_row(const har_chosen *c, const core_st_tensor *t, int64_t row,
                    double *out, double *bad)
{
    const int64_t at = (row * c->n_layer + c->i_layer) * c->width;
    int64_t n_silent = 0;
    if (c->is_mask) {
        read_mask(c, t, at, out, bad);
        return;
    }
    core_st_read(t, at, c->n_k, out);
    for (int64_t k = 0; k < c->n_k; k++)
        n_silent += out[k] == HAR_NOT_CAPTURED;
    for (int64_t k = 0; k < c->n_k && n_silent < c->n_k; k++) {
        const double id = out[k];
        out[k] = expert_of(c, id >= 0.0 && id < 0x1p31 ? (int64_t)id : -1);
        if (out[k] == HAR_UNREADABLE)
            *bad = id;
    }
}

bool har_chosen_same(const double *a, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t in_a = 0, in_b = 0;
        for (int64_t j = 0; j < n; j++) {
            in_a += a[j] == a[i];
            in_b += b[j] == a[i];
        }
        if (in_a != in_b)
            return false;
    }
    return true;
}
