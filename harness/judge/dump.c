/* harness/judge/dump.c -- comparing two files, see dump.h.
 *
 * What must not pass: a missing or misshapen tensor, an empty one, NaN on
 * either side, and experts in another order mistaken for other experts (or the
 * reverse).
 */
#include "harness/judge/dump.h"

#include "core/base/arena.h"
#include "harness/judge/flip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- names --- */

static int by_order(const void *x, const void *y)
{
    const har_dump_tap *a = x, *b = y;
    const int order = har_tapname_compare(a->parsed.order, b->parsed.order);
    return order != 0 ? order : strcmp(a->name, b->name);
}

static bool body_is(const har_dump_tap *t, const char *body)
{
    return strcmp(t->name + t->parsed.prefix_bytes, body) == 0;
}

/* The tensor PREFIX of t + body in a file. */
static const core_st_tensor *sibling(const core_st *file, const har_dump_tap *t,
                                     const char *body)
{
    char name[2 * HAR_DUMP_NAME];
    snprintf(name, sizeof name, "%.*s%s", t->parsed.prefix_bytes, t->name,
             body);
    return core_st_find(file, name);
}

/* --- tensors --- */

/* Of four dimensions, [rows, tokens, streams, columns], those of a token. */
static int64_t n_cols(const core_st_tensor *t)
{
    if (t->n_dim == 4)
        return t->shape[2] * t->shape[3];
    return t->n_dim > 0 ? t->shape[t->n_dim - 1] : 1;
}

static void read_row(const core_st_tensor *t, int64_t row, double *out)
{
    core_st_read(t, row * n_cols(t), n_cols(t), out);
}

static bool says(const core_st *file, const char *key, const char *value)
{
    const char *found = core_st_metadata(file, key);
    return found != NULL && strcmp(found, value) == 0;
}

double har_dump_tolerance(const core_st *file, const core_st_tensor *tensor,
                          const core_st_tensor *logits)
{
    const double size = core_st_rms(tensor);
    const char *text = core_st_metadata(file, "logits_fp32_vs_fp64_max_abs");
    const double logits_rms = logits != NULL ? core_st_rms(logits) : size;
    const double d = text != NULL ? strtod(text, NULL) : 1e-6 * logits_rms;
    const double free_run =
        logits_rms > 0.0 ? 10.0 * d * size / logits_rms : 0.0;
    return free_run > 2e-5 * size ? free_run : 2e-5 * size;
}

static bool are_exact(const core_st *a, const core_st *b)
{
    return says(a, "numerics", "exact") && says(b, "numerics", "exact");
}

/* The rule of a tap; see dump.h. */
static har_rule rule_of(const har_dump_tap *t, const core_st *a,
                        const core_st *b)
{
    har_rule rule = {HAR_RULE_BITS, 0.0};
    if (!core_dtype_is_float(t->a->dtype) ||
        (are_exact(a, b) && t->a->dtype == CORE_DTYPE_F64 && t->b->dtype == CORE_DTYPE_F64))
        return rule;
    rule.kind = HAR_RULE_TOLERANCE;
    rule.tolerance = har_dump_tolerance(a, t->a, sibling(a, t, "logits"));
    if (body_is(t, "logits_f64") && says(b, "numerics", "fp64"))
        rule.tolerance = 1e-9;
    return rule;
}

/* [rows, tokens, columns], or the same tokens in one list [rows * tokens,
 * columns]: families hand their feed-forward outputs on in either form.      */
static bool same_shape(const core_st_tensor *a, const core_st_tensor *b)
{
    if (a->n_dim == 2 && b->n_dim == 3)
        return same_shape(b, a);
    if (a->n_dim == 3 && b->n_dim == 2)
        return a->shape[0] * a->shape[1] == b->shape[0] &&
               a->shape[2] == b->shape[1];
    if (a->n_dim == 3 && b->n_dim == 4) /* streams, side by side or apart */
        return same_shape(b, a);
    if (a->n_dim == 4 && b->n_dim == 3)
        return a->shape[0] == b->shape[0] && a->shape[1] == b->shape[1] &&
               a->shape[2] * a->shape[3] == b->shape[2];
    if (a->n_dim != b->n_dim)
        return false;
    for (int i = 0; i < a->n_dim; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    return true;
}

/* Can the two be compared at all? */
static bool pair_up(har_dump_tap *t, const core_st *b)
{
    char want[CORE_ST_SHAPE_BYTES], have[CORE_ST_SHAPE_BYTES];
    t->b = body_is(t, "logits_f64") ? sibling(b, t, "logits")
                                    : core_st_find(b, t->name);
    if (t->b == NULL)
        snprintf(t->problem, sizeof t->problem, "missing in the candidate");
    else if (!same_shape(t->a, t->b)) {
        snprintf(t->problem, sizeof t->problem,
                 "expected shape [%.60s], found [%.60s]",
                 core_st_shape_text(want, t->a->shape, t->a->n_dim),
                 core_st_shape_text(have, t->b->shape, t->b->n_dim));
    } else if (core_dtype_is_float(t->a->dtype) !=
               core_dtype_is_float(t->b->dtype))
        snprintf(t->problem, sizeof t->problem, "expected type %s, found %s",
                 core_dtype_name(t->a->dtype), core_dtype_name(t->b->dtype));
    else if (t->parsed.is_tap &&
             core_tap_grid(t->parsed.tap.kind) == CORE_GRID_INT &&
             core_dtype_is_float(t->a->dtype)) /* a NaN is no integer */
        snprintf(t->problem, sizeof t->problem,
                 "expected integers, found type %s",
                 core_dtype_name(t->a->dtype));
    else if (t->a->n == 0)
        snprintf(t->problem, sizeof t->problem, "empty, so it proves nothing");
    return t->problem[0] == '\0';
}

/* --- routing --- */

/* Rows from which on a part's tokens are not comparable: layer[token] is the
 * first layer whose routing differs for it or for an earlier token of its row.
 */
typedef struct excluded {
    int64_t part;
    int64_t n_token, n_t;
    int *layer;
} excluded;

enum { NEVER = 1 << 30 };

static bool row_excluded(const excluded *x, const har_dump_tap *t, int64_t row,
                         int64_t n_row)
{
    if (x->layer == NULL)
        return false;
    const int since = x->layer[row * x->n_token / n_row];
    if (t->parsed.order[1] >= 8) /* final norm, logits */
        return since != NEVER;
    if (!t->parsed.is_tap || t->parsed.tap.kind == CORE_TAP_EMBED)
        return false;
    return since < t->parsed.tap.layer ||
           (since == t->parsed.tap.layer &&
            t->parsed.tap.kind >= CORE_TAP_TOPK_IDX);
}

static int64_t tokens_per_row(const core_st *a, const har_dump_tap *t,
                              int64_t n_token)
{
    static const char *const body[] = {"input_ids", "embed", "logits"};
    for (int i = 0; i < 3; i++) {
        const core_st_tensor *x = sibling(a, t, body[i]);
        if (x != NULL && x->n_dim >= 2 && x->shape[1] > 0)
            return x->shape[1];
    }
    return n_token;
}

static void read_ids(const core_st_tensor *t, int64_t row, double *tmp,
                     int64_t *out)
{
    read_row(t, row, tmp);
    for (int64_t j = 0; j < n_cols(t); j++)
        out[j] = (int64_t)tmp[j];
}

/* Were the yardstick's logits so close that either list might be the right one?
 */
static bool is_certified(const har_dump_tap *t, const core_st *a,
                         const core_st *b, const excluded *x, int64_t row,
                         double *tmp, const int64_t *ids)
{
    char body[CORE_NAME_BYTES];
    const int64_t k = n_cols(t->a);
    core_tap_name((core_tap){CORE_TAP_ROUTER_LOGITS, t->parsed.tap.layer},
                  body);
    const core_st_tensor *logits = sibling(a, t, body);
    double gap = 0.0;
    if (logits == NULL || !core_dtype_is_float(logits->dtype) ||
        logits->n != x->n_token * n_cols(logits) ||
        !har_flip_are_experts(ids, k, n_cols(logits)) ||
        !har_flip_are_experts(ids + k, k, n_cols(logits)))
        return false;
    read_row(logits, row, tmp);
    const double allowed =
        are_exact(a, b)
            ? 0.0
            : 2.0 * har_dump_tolerance(a, logits, sibling(a, t, "logits"));
    return har_flip_gap(&gap, ids, ids + k, k, tmp, n_cols(logits)) &&
           gap <= allowed;
}

/* Note the tokens of one topk_idx tap that chose other experts: all of them, or
 * those with a certificate. */
static void exclude_flips(har_dump *dump, excluded *x, const har_dump_tap *t,
                          const core_st *a, const core_st *b,
                          bool forced_routing, double *tmp, int64_t *ids)
{
    const int64_t k = n_cols(t->a);
    for (int64_t row = 0; row < x->n_token; row++) {
        har_diff diff;
        if (x->layer[row] < t->parsed.tap.layer)
            continue;
        har_diff_init(&diff);
        read_ids(t->a, row, tmp, ids);
        read_ids(t->b, row, tmp, ids + k);
        har_diff_row_topk(&diff, (har_rule){HAR_RULE_BITS, 0.0}, row, k, ids,
                          ids + k, NULL, NULL);
        if (diff.n_bad == 0 ||
            (!forced_routing && !is_certified(t, a, b, x, row, tmp, ids)))
            continue;
        dump->n_flip++;
        for (int64_t r = row; r < x->n_token && r / x->n_t == row / x->n_t; r++)
            if (x->layer[r] > t->parsed.tap.layer)
                x->layer[r] = t->parsed.tap.layer;
    }
}

static core_status find_flips(har_dump *dump, excluded *x, const core_st *a,
                              const core_st *b, int64_t part,
                              bool forced_routing, double *tmp, int64_t *ids)
{
    free(x->layer);
    memset(x, 0, sizeof *x);
    x->part = part;
    for (int64_t i = 0; i < dump->n_tap; i++) {
        const har_dump_tap *t = &dump->tap[i];
        if (t->parsed.order[0] != part || !t->parsed.is_tap ||
            t->parsed.tap.kind != CORE_TAP_TOPK_IDX || t->problem[0] != '\0')
            continue;
        if (x->layer == NULL) {
            void *p = NULL;
            x->n_token = t->a->n / n_cols(t->a);
            x->n_t = tokens_per_row(a, t, x->n_token);
            CORE_TRY(core_alloc(&p, x->n_token, sizeof *x->layer, "tokens"));
            x->layer = p;
            for (int64_t r = 0; r < x->n_token; r++)
                x->layer[r] = NEVER;
        }
        if (t->a->n / n_cols(t->a) == x->n_token)
            exclude_flips(dump, x, t, a, b, forced_routing, tmp, ids);
    }
    return CORE_OK;
}

/* --- comparing --- */

typedef struct scratch {
    double *a, *b, *tmp; /* a row each                                    */
    int64_t *ids;        /* two rows                                      */
} scratch;

/* The topk_idx tensors that belong to a topk_weight tap, if both are usable. */
static bool find_ids(const har_dump_tap *t, const core_st *a, const core_st *b,
                     const core_st_tensor **ia, const core_st_tensor **ib)
{
    char body[CORE_NAME_BYTES];
    if (!t->parsed.is_tap || t->parsed.tap.kind != CORE_TAP_TOPK_WEIGHT)
        return false;
    core_tap_name((core_tap){CORE_TAP_TOPK_IDX, t->parsed.tap.layer}, body);
    *ia = sibling(a, t, body);
    *ib = sibling(b, t, body);
    return *ia != NULL && *ib != NULL && same_shape(*ia, t->a) &&
           same_shape(*ib, t->a) && !core_dtype_is_float((*ia)->dtype) &&
           !core_dtype_is_float((*ib)->dtype);
}

static void compare_row(har_dump_tap *t, int64_t row, const scratch *s,
                        const core_st_tensor *ia, const core_st_tensor *ib)
{
    const int64_t n_col = n_cols(t->a);
    read_row(t->a, row, s->a);
    read_row(t->b, row, s->b);
    if (t->parsed.is_tap && t->parsed.tap.kind == CORE_TAP_TOPK_IDX) {
        for (int64_t j = 0; j < n_col; j++) {
            s->ids[j] = (int64_t)s->a[j];
            s->ids[n_col + j] = (int64_t)s->b[j];
        }
        har_diff_row_topk(&t->diff, t->rule, row, n_col, s->ids, s->ids + n_col,
                          NULL, NULL);
    } else if (ia != NULL) {
        read_ids(ia, row, s->tmp, s->ids);
        read_ids(ib, row, s->tmp, s->ids + n_col);
        har_diff_row_topk(&t->diff, t->rule, row, n_col, s->ids, s->ids + n_col,
                          s->a, s->b);
    } else {
        har_diff_row(&t->diff, t->rule, row, 0, n_col, s->a, s->b, NULL);
    }
}

static void compare_tap(har_dump *dump, har_dump_tap *t, const core_st *a,
                        const core_st *b, const scratch *s, const excluded *x)
{
    const core_st_tensor *ia = NULL, *ib = NULL;
    const int64_t n_row = t->a->n / n_cols(t->a);
    const bool is_logits =
        t->parsed.is_tap && t->parsed.tap.kind == CORE_TAP_LOGITS;
    for (int64_t row = 0; is_logits && row < n_row; row++) {
        read_row(t->a, row, s->a);
        read_row(t->b, row, s->b);
        har_figures_add(&dump->figures, row,
                        t->a->n_dim == 3 ? t->a->shape[1] : n_row,
                        n_cols(t->a), s->a, s->b);
    }
    if (!find_ids(t, a, b, &ia, &ib))
        ia = ib = NULL;
    t->rule = rule_of(t, a, b);
    for (int64_t row = 0; row < n_row; row++) {
        if (row_excluded(x, t, row, n_row)) {
            t->n_excluded++;
            continue;
        }
        compare_row(t, row, s, ia, ib);
    }
    if (2 * t->n_excluded > n_row)
        snprintf(t->problem, sizeof t->problem,
                 "%lld of %lld rows follow a "
                 "different routing: nothing is left to compare",
                 (long long)t->n_excluded, (long long)n_row);
    t->failed = t->diff.n_bad > 0 || t->problem[0] != '\0';
}

static core_status compare_all(har_dump *dump, const core_st *a,
                               const core_st *b, bool forced_routing,
                               const scratch *s)
{
    excluded x = {-1, 0, 0, NULL};
    core_status status = CORE_OK;
    double score = -1.0;
    dump->first = -1;
    for (int64_t i = 0; i < dump->n_tap && status == CORE_OK; i++) {
        har_dump_tap *t = &dump->tap[i];
        if (t->parsed.order[0] != x.part)
            status = find_flips(dump, &x, a, b, t->parsed.order[0],
                                forced_routing, s->tmp, s->ids);
        if (t->problem[0] == '\0')
            compare_tap(dump, t, a, b, s, &x);
        else
            t->failed = true;
        dump->n_failed += t->failed ? 1 : 0;
        if (t->failed && dump->first < 0)
            dump->first = i;
        if (t->diff.n > 0 && t->diff.worst_score > score) {
            score = t->diff.worst_score;
            dump->worst = i;
        }
    }
    free(x.layer);
    return status;
}

/* What a file of coarse taps holds beside them, a golden's what it may feed, is
 * not asked of the other.                                                    */
static bool is_spare(const core_st *a, const core_st *b,
                     const core_st_tensor *tensor, const har_tapname *name)
{
    const char *taps = core_st_metadata(a, "taps");
    return taps != NULL && strcmp(taps, "coarse") == 0 && name->is_tap &&
           !core_tap_is_coarse(name->tap.kind) &&
           core_st_find(b, tensor->name) == NULL;
}

static core_status list_taps(har_dump *dump, const core_st *a, const core_st *b,
                             int64_t *widest)
{
    void *p = NULL;
    har_tapname extra;
    CORE_TRY(core_alloc(&p, core_st_count(a) + 1, sizeof *dump->tap, "taps"));
    dump->tap = p;
    *widest = 1;
    for (int64_t i = 0; i < core_st_count(a); i++) {
        const core_st_tensor *tensor = core_st_at(a, i);
        har_dump_tap *t = &dump->tap[dump->n_tap];
        *t = (har_dump_tap){.name = tensor->name, .a = tensor};
        if (!har_tapname_parse(&t->parsed, tensor->name) ||
            is_spare(a, b, tensor, &t->parsed)) {
            dump->n_ignored++;
            continue;
        }
        har_diff_init(&t->diff);
        pair_up(t, b);
        if (n_cols(tensor) > *widest)
            *widest = n_cols(tensor);
        dump->n_tap++;
    }
    for (int64_t i = 0; i < core_st_count(b); i++)
        if (har_tapname_parse(&extra, core_st_at(b, i)->name) &&
            core_st_find(a, core_st_at(b, i)->name) == NULL)
            dump->n_extra++;
    CORE_FAIL_IF(dump->n_tap == 0, CORE_E_INPUT,
                 "%s: holds no tensor with the name of a tap", core_st_path(a));
    qsort(dump->tap, (size_t)dump->n_tap, sizeof *dump->tap, by_order);
    return CORE_OK;
}

core_status har_dump_compare(har_dump *out, const core_st *a, const core_st *b,
                             bool forced_routing)
{
    har_dump dump = {.diagnosed = -1};
    void *rows = NULL, *ids = NULL;
    int64_t widest = 1;
    core_status status = list_taps(&dump, a, b, &widest);
    if (status == CORE_OK)
        status = core_alloc(&rows, 3 * widest, sizeof(double), "rows");
    if (status == CORE_OK)
        status = core_alloc(&ids, 2 * widest, sizeof(int64_t), "ids");
    if (status == CORE_OK) {
        double *r = rows;
        const scratch s = {r, r + widest, r + 2 * widest, ids};
        status = compare_all(&dump, a, b, forced_routing, &s);
    }
    free(rows);
    free(ids);
    if (status == CORE_OK)
        status = har_dump_diagnose(&dump, a);
    if (status == CORE_OK)
        *out = dump;
    else
        har_dump_free(&dump);
    return status;
}

void har_dump_free(har_dump *dump)
{
    free(dump->tap);
    memset(dump, 0, sizeof *dump);
}
