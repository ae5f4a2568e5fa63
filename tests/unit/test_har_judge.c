/* tests/unit/test_har_judge.c -- a foreign dump against a golden bundle.
 *
 * A golden of 4 rows x 64 positions and two layers is written once per test,
 * and a dump of it; each test changes the dump (or the golden) in one way.  The
 * unchanged dump passes, every change is found and named.
 */
#include "harness/judge/judge.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    N_B = 4, N_T = 64, N = N_B * N_T, N_D = 6, N_E = 5, N_K = 2, N_V = 7,
    N_Q = 20, N_L = 2, N_TAP = 3 + N_L * 6, MAX_FILE = 4, MAX_TENSOR = 64,
    MAX_META = 64, WIDEST = N_Q,
};

typedef struct table { /* a tap: values of all tokens                     */
    char name[64];
    int64_t n_col;
    bool is_int, is_batched;
    double x[N * WIDEST];
    float tolerance[N];
} table;

typedef struct dump_tensor {
    char name[96];
    core_dtype dtype;
    int n_dim;
    int64_t shape[3];
    double *x;
} dump_tensor;

typedef struct dump_file {
    int n, n_meta;
    dump_tensor tensor[MAX_TENSOR];
    const char *meta[2 * MAX_META + 1];
    char text[MAX_META][2][96];
} dump_file;

static table golden[N_TAP];
static double pool[MAX_FILE * N_TAP][N * WIDEST]; /* of what put() makes     */
static int n_pool;
static double margin[N_L][N];
static dump_file file[MAX_FILE];
static int n_file;
static bool forced;
static const char *map_name, *positions;
static char schema[64];
static bool has_mask, is_latent, is_exact;
static table edge; /* of the keys that layer 0 chooses and layer 1 keeps     */
static bool chooses_keys;

/* What the last comparison found. */
static har_namemap map;
static har_yardstick yard;
static har_foreign dump;
static har_judgement judged;

static double noise(int i, int j)
{
    return (double)((i * 7919 + j * 104729) % 2003 - 1001) / 512.0 + 0x1p-11;
}

static table *tap(const char *name)
{
    for (int i = 0; i < N_TAP; i++)
        if (strcmp(golden[i].name, name) == 0)
            return &golden[i];
    ck_abort_msg("no tap %s", name);
}

static table *layer_tap(int layer, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "layers.%d.%s", layer, what);
    return tap(name);
}

static void make_table(int i, const char *name, int64_t n_col, bool is_batched)
{
    table *t = &golden[i];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->n_col = n_col;
    t->is_batched = is_batched;
    t->is_int = strstr(name, "topk_idx") != NULL;
    for (int r = 0; r < N; r++) {
        t->tolerance[r] = 0x1p-10f;
        for (int c = 0; c < n_col; c++)
            t->x[r * n_col + c] = noise(i + 1 + r * 3, c);
    }
}

/* The two largest scores, and how far the third is behind. */
static void route(int layer)
{
    table *logits = layer_tap(layer, "router_logits");
    table *idx = layer_tap(layer, "topk_idx");
    for (int r = 0; r < N; r++) {
        const double *z = logits->x + r * N_E;
        int order[N_E];
        for (int e = 0; e < N_E; e++) {
            int at = e;
            while (at > 0 && z[order[at - 1]] < z[e]) {
                order[at] = order[at - 1];
                at--;
            }
            order[at] = e;
        }
        idx->x[r * N_K] = order[0];
        idx->x[r * N_K + 1] = order[1];
        margin[layer][r] = z[order[1]] - z[order[2]];
    }
}

static void write_st(const char *name, const dump_tensor *tensors, int n,
                     const char *const *meta)
{
    char path[160];
    core_st *st = NULL;
    core_st_tensor list[MAX_TENSOR];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (int i = 0; i < n; i++) {
        list[i] = (core_st_tensor){.name = tensors[i].name,
                                   .dtype = tensors[i].dtype,
                                   .n_dim = tensors[i].n_dim};
        memcpy(list[i].shape, tensors[i].shape, sizeof tensors[i].shape);
    }
    ck_assert_int_eq(core_st_create(&st, path, list, n, meta), CORE_OK);
    for (int i = 0; i < n; i++) {
        const core_st_tensor *t = core_st_find(st, tensors[i].name);
        if (t->dtype != CORE_DTYPE_I64) {
            core_dtype_from_f64(t->data, tensors[i].x, t->dtype, t->n);
            continue;
        }
        for (int64_t j = 0; j < t->n; j++)
            ((int64_t *)t->data)[j] = (int64_t)tensors[i].x[j];
    }
    ck_assert_int_eq(core_st_commit(st), CORE_OK);
    core_st_close(st);
}

static dump_tensor whole(const char *prefix, const table *t)
{
    dump_tensor out = {.dtype = t->is_int ? CORE_DTYPE_I64 : CORE_DTYPE_F32,
                       .n_dim = t->is_batched ? 3 : 2,
                       .x = (double *)t->x};
    snprintf(out.name, sizeof out.name, "%s%.63s", prefix, t->name);
    const int64_t three[3] = {N_B, N_T, t->n_col}, two[3] = {N, t->n_col, 0};
    memcpy(out.shape, t->is_batched ? three : two, sizeof out.shape);
    return out;
}

static void write_golden(void)
{
    static dump_tensor list[MAX_TENSOR];
    static double ids[N], mask[N], tolerance[N_TAP][N];
    int n = 0;
    for (int i = 0; i < N_TAP; i++) {
        list[n++] = whole("p0.", &golden[i]);
        if (golden[i].is_int || is_exact)
            continue;
        for (int r = 0; r < N; r++)
            tolerance[i][r] = (double)golden[i].tolerance[r];
        list[n] = (dump_tensor){.dtype = CORE_DTYPE_F32, .n_dim = 1,
                                .shape = {N}, .x = tolerance[i]};
        snprintf(list[n].name, sizeof list[n].name, "p0.%.63s.tolerance",
                 golden[i].name);
        n++;
    }
    if (chooses_keys) {
        static double allowed[N];
        for (int r = 0; r < N; r++)
            allowed[r] = (double)edge.tolerance[r];
        list[n++] = whole("p0.", &edge);
        list[n++] = (dump_tensor){"p0.layers.0.attn.edge.tolerance",
                                  CORE_DTYPE_F32, 1, {N}, allowed};
    }
    for (int layer = 0; layer < N_L; layer++) {
        list[n] = (dump_tensor){.dtype = CORE_DTYPE_F64, .n_dim = 1,
                                .shape = {N}, .x = margin[layer]};
        snprintf(list[n].name, sizeof list[n].name,
                 "p0.layers.%d.routing_margin", layer);
        n++;
    }
    write_st(is_exact ? "gold/exact.safetensors" : "gold/fp32.safetensors",
             list, n, NULL);
    for (int r = 0; r < N; r++) {
        ids[r] = r % 11;
        mask[r] = r % N_T >= 3;
    }
    dump_tensor input[2] = {
        {"p0.input_ids", CORE_DTYPE_I64, 2, {N_B, N_T, 0}, ids},
        {"p0.attention_mask", CORE_DTYPE_I64, 2, {N_B, N_T, 0}, mask}};
    write_st("gold/input.safetensors", input, has_mask ? 2 : 1, NULL);
    char path[160];
    snprintf(path, sizeof path, "%s/gold/manifest.json", folder);
    FILE *out = fopen(path, "w");
    fprintf(out, "{\"schema\": \"%s\"}\n", schema);
    fclose(out);
}

static void meta(int i, const char *key, const char *value)
{
    dump_file *f = &file[i];
    snprintf(f->text[f->n_meta][0], 96, "%s", key);
    snprintf(f->text[f->n_meta][1], 96, "%s", value);
    f->meta[2 * f->n_meta] = f->text[f->n_meta][0];
    f->meta[2 * f->n_meta + 1] = f->text[f->n_meta][1];
    f->meta[2 * ++f->n_meta] = NULL;
}

static dump_tensor *find(int i, const char *name)
{
    for (int j = 0; j < file[i].n; j++)
        if (strcmp(file[i].tensor[j].name, name) == 0)
            return &file[i].tensor[j];
    ck_abort_msg("no tensor %s", name);
}

/* Rows [b0, b1) x positions [t0, t1) x columns [c0, c1) of a tap, said in the
 * file's metadata.                                                           */
static dump_tensor *put(int i, const table *t, int b0, int b1, int t0, int t1,
                        int64_t c0, int64_t c1)
{
    char key[128], value[96];
    dump_tensor *d = &file[i].tensor[file[i].n++];
    *d = (dump_tensor){.dtype = t->is_int ? CORE_DTYPE_I64 : CORE_DTYPE_F32,
                       .n_dim = 3,
                       .shape = {b1 - b0, t1 - t0, c1 - c0}};
    snprintf(d->name, sizeof d->name, "p0.%s", t->name);
    ck_assert_int_lt(n_pool, MAX_FILE * N_TAP);
    d->x = pool[n_pool++];
    int64_t n = 0;
    for (int b = b0; b < b1; b++)
        for (int p = t0; p < t1; p++)
            for (int64_t c = c0; c < c1; c++)
                d->x[n++] = t->x[(b * N_T + p) * t->n_col + c];
    snprintf(key, sizeof key, "slice:%s", d->name);
    snprintf(value, sizeof value, "%d:%d,%d:%d,%lld:%lld", b0, b1, t0, t1,
             (long long)c0, (long long)c1);
    meta(i, key, value);
    return d;
}

static void no_files(void)
{
    memset(file, 0, sizeof file);
    n_pool = 0;
}

static void fill_file(int i, int b0, int b1, int part, int n_part)
{
    for (int k = 0; k < N_TAP; k++) {
        const bool split = strcmp(golden[k].name, "logits") == 0;
        const int64_t n = golden[k].n_col;
        put(i, &golden[k], b0, b1, 0, N_T, split ? n * part / n_part : 0,
            split ? n * (part + 1) / n_part : n);
    }
}

/* One file with everything. */
static void one_file(void)
{
    n_file = 1;
    no_files();
    fill_file(0, 0, N_B, 0, 1);
}

/* dp = 2 over rows, tp = 2 over the columns of the logits, the rest doubled. */
static void four_ranks(void)
{
    n_file = 4;
    no_files();
    for (int r = 0; r < 4; r++) {
        char plan[96];
        fill_file(r, r / 2 * 2, r / 2 * 2 + 2, r % 2, 2);
        snprintf(plan, sizeof plan, "{\"tp\": %d, \"dp\": %d}", r % 2, r / 2);
        meta(r, "plan", plan);
    }
}

static void setup(void)
{
    make_folder();
    int n = 0;
    make_table(n++, "embed", N_D, true);
    for (int layer = 0; layer < N_L; layer++) {
        static const struct {
            const char *name;
            int64_t n_col;
            bool is_batched;
        } of_layer[6] = {
            {"attn.q", N_Q, false},        {"attn_out", N_D, true},
            {"router_logits", N_E, false}, {"topk_idx", N_K, false},
            {"topk_weight", N_K, false},   {"out", N_D, true}};
        for (int k = 0; k < 6; k++) {
            char name[64];
            snprintf(name, sizeof name, "layers.%d.%s", layer,
                     of_layer[k].name);
            make_table(n++, name, of_layer[k].n_col, of_layer[k].is_batched);
        }
    }
    make_table(n++, "final_norm", N_D, true);
    make_table(n++, "logits", N_V, true);
    for (int layer = 0; layer < N_L; layer++)
        route(layer);
    forced = has_mask = is_latent = is_exact = chooses_keys = false;
    map_name = positions = NULL;
    snprintf(schema, sizeof schema, "moeparity.golden/3");
    one_file();
}

static void close_all(void)
{
    har_judge_free(&judged);
    har_yardstick_close(&yard);
    har_foreign_close(&dump);
    har_namemap_free(&map);
}

static void teardown(void)
{
    close_all();
    remove_folder();
}

/* Write both and compare. */
static core_status compare(void)
{
    char path[160];
    har_foreign_options with = {&map, {{0, -1}, {0, -1}}, NULL};
    core_message_clear();
    snprintf(path, sizeof path, "%s/gold", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    write_golden();
    for (int i = 0; i < n_file; i++) {
        snprintf(path, sizeof path, "%s/dump", folder);
        mkdir(path, 0700);
        snprintf(path, sizeof path, "dump/rank_%05d.safetensors", i);
        write_st(path, file[i].tensor, file[i].n, file[i].meta);
    }
    if (positions != NULL)
        ck_assert(har_range_parse(&with.claim.t, positions));
    CORE_TRY(har_namemap_open(&map, map_name));
    snprintf(path, sizeof path, "%s/dump", folder);
    CORE_TRY(har_foreign_open(&dump, path, &with));
    snprintf(path, sizeof path, "%s/gold", folder);
    CORE_TRY(
        har_yardstick_open(&yard, path, is_exact ? "exact" : "fp32", false));
    yard.spec.n_h = 10; /* as a manifest with a spec would say */
    yard.spec.n_g = 5;
    yard.spec.n_kv_rank = is_latent;
    if (chooses_keys) {
        yard.spec.n_l = N_L;
        yard.spec.n_seen = 3;
        yard.spec.sight[0] = CORE_SIGHT_CHOSEN;
        yard.spec.sight[1] = CORE_SIGHT_KEPT;
    }
    CORE_TRY(har_foreign_place(&dump, &yard, &with));
    return har_judge_make(&judged, &yard, &dump, &map, forced);
}

static void ok(void)
{
    const core_status status = compare();
    ck_assert_msg(status == CORE_OK, "%s", core_message());
}

static const char *first(void)
{
    return judged.first >= 0 ? yard.tap[judged.first].data->name : "-";
}

static const har_tap_judgement *judged_tap(const char *name)
{
    const int64_t i = har_yardstick_index(&yard, name);
    ck_assert_int_ge(i, 0);
    return &judged.tap[i];
}

static int count_found(har_finding_kind kind)
{
    int n = 0;
    for (int64_t i = 0; i < dump.n_finding; i++)
        n += dump.finding[i].kind == kind;
    return n;
}

/* --- what passes --- */

static void as_f64(void)
{
    for (int i = 0; i < file[0].n; i++)
        if (file[0].tensor[i].dtype == CORE_DTYPE_F32)
            file[0].tensor[i].dtype = CORE_DTYPE_F64;
}

static void other_order(void)
{
    double *idx = find(0, "p0.layers.1.topk_idx")->x;
    double *w = find(0, "p0.layers.1.topk_weight")->x;
    for (int r = 0; r < N; r++) {
        const double e = idx[2 * r], x = w[2 * r];
        idx[2 * r] = idx[2 * r + 1];
        idx[2 * r + 1] = e;
        w[2 * r] = w[2 * r + 1];
        w[2 * r + 1] = x;
    }
}

static void below_half(void)
{
    double *x = find(0, "p0.layers.0.out")->x;
    for (int i = 0; i < N * N_D; i++)
        x[i] += (i % 2 != 0 ? 0x1.8p-12 : -0x1.8p-12);
}

static void unchanged(void) {}

static void (*const harmless[])(void) = {unchanged, four_ranks, as_f64,
                                         other_order, below_half};

START_TEST(a_correct_dump_passes)
{
    harmless[_i]();
    ok();
    ck_assert_msg(judged.verdict == HAR_PASS, "%d: %s", _i, first());
    ck_assert_int_eq(judged.n_judged, N_TAP);
    ck_assert_int_eq(dump.n_finding, 0);
    ck_assert_int_eq(judged_tap("logits")->n_judged, N);
}
END_TEST

static void hide(const char *name)
{
    dump_tensor *d = find(0, name);
    char key[128];
    snprintf(key, sizeof key, "slice:%s", name);
    *d = file[0].tensor[--file[0].n];
    for (int i = 0; i < file[0].n_meta; i++)
        if (strcmp(file[0].text[i][0], key) == 0)
            snprintf(file[0].text[i][0], 96, "gone %d", i);
}

/* Without ids, weights may stand in any order. */
START_TEST(weights_of_experts_that_nobody_names_are_compared_by_size)
{
    other_order();
    if (_i == 1)
        find(0, "p0.layers.1.topk_weight")->x[7] += 0x1p-8;
    hide("p0.layers.1.topk_idx");
    ok();
    ck_assert_int_eq(judged_tap("layers.1.topk_weight")->n_failed, _i);
    ck_assert_int_eq(judged.n_failed, 1 + _i); /* the ids are missing */
}
END_TEST

START_TEST(over_half_of_the_bound_is_marginal)
{
    find(0, "p0.layers.0.out")->x[9 * N_D] += 0.75 * 0x1p-10;
    ok();
    ck_assert_int_eq(judged.verdict, HAR_MARGINAL);
    ck_assert_int_eq(judged_tap("layers.0.out")->n_marginal, 1);
    ck_assert(fabs(judged_tap("layers.0.out")->ratio - 0.75) < 1e-3);
}
END_TEST

/* --- mutants --- */

static double *out_values(void)
{
    return find(0, "p0.layers.1.out")->x;
}

static void zeros(void)
{
    memset(out_values(), 0, N * N_D * sizeof(double));
}

static void twice(void)
{
    for (int i = 0; i < N * N_D; i++)
        out_values()[i] *= 2.0;
}

static void sign(void)
{
    for (int i = 0; i < N * N_D; i++)
        out_values()[i] = -out_values()[i];
}

static void nan_found(void)
{
    out_values()[100] = (double)NAN;
}

static void nan_both(void)
{
    out_values()[100] = (double)NAN;
    layer_tap(1, "out")->x[100] = (double)NAN;
}

static void nan_all_both(void)
{
    for (int i = 0; i < N * N_D; i++)
        out_values()[i] = layer_tap(1, "out")->x[i] = (double)NAN;
}

static void inf_found(void)
{
    out_values()[100] = (double)INFINITY;
}

static void inf_sign(void)
{
    out_values()[100] = (double)INFINITY;
    layer_tap(1, "out")->x[100] = -(double)INFINITY;
}

static void swapped_rows(void)
{
    memcpy(out_values(), layer_tap(1, "out")->x + N_D, N_D * sizeof(double));
    memcpy(out_values() + N_D, layer_tap(1, "out")->x, N_D * sizeof(double));
}

static void one_row(void)
{
    for (int j = 0; j < N_D; j++)
        out_values()[200 * N_D + j] += 0x1p-8;
}

static void one_element(void)
{
    out_values()[N * N_D - 1] += 0x1.1p-10;
}

static void missing(void)
{
    snprintf(find(0, "p0.layers.1.out")->name, 96, "p0.layers.1.unknown");
    snprintf(file[0].text[0][0], 96, "other");
    for (int i = 0; i < file[0].n_meta; i++)
        if (strcmp(file[0].text[i][0], "slice:p0.layers.1.out") == 0)
            snprintf(file[0].text[i][0], 96, "gone");
}

static void misshapen(void)
{
    find(0, "p0.layers.1.out")->shape[2] = N_D - 1;
}

static void other_type(void)
{
    find(0, "p0.layers.1.out")->dtype = CORE_DTYPE_I64;
}

static void nan_tolerance(void)
{
    layer_tap(1, "out")->tolerance[7] = NAN;
}

static void infinite_tolerance(void)
{
    layer_tap(1, "out")->tolerance[7] = INFINITY;
    out_values()[7 * N_D] += 1.0;
}

static void (*const mutants[])(void) = {
    zeros,     twice,     sign,         nan_found,   nan_both,
    nan_all_both, inf_found, inf_sign,  swapped_rows, one_row,
    one_element, missing, misshapen,    other_type,  nan_tolerance,
    infinite_tolerance};

START_TEST(every_mutant_is_caught_and_named)
{
    mutants[_i]();
    ok();
    ck_assert_int_eq(judged.verdict, HAR_FAIL);
    ck_assert_int_eq(judged.n_failed, 1);
    ck_assert_str_eq(first(), "p0.layers.1.out");
}
END_TEST

/* Integers with the right values are still no floating-point numbers. */
START_TEST(another_type_does_not_fit)
{
    for (int i = 0; i < N * N_D; i++)
        out_values()[i] = layer_tap(1, "out")->x[i] = (double)(i % 7);
    if (_i == 1)
        other_type();
    ok();
    ck_assert_int_eq(count_found(HAR_FOUND_MISSHAPEN), _i);
    ck_assert_str_eq(first(), _i == 1 ? "p0.layers.1.out" : "-");
}
END_TEST

/* --- precision --- */

static void to_bf16(void)
{
    uint16_t half[N * N_D];
    core_dtype_from_f64(half, out_values(), CORE_DTYPE_BF16, N * N_D);
    core_dtype_to_f64(out_values(), half, CORE_DTYPE_BF16, N * N_D);
}

static void to_bf16_in_one_row(void)
{
    uint16_t half[N_D];
    core_dtype_from_f64(half, out_values(), CORE_DTYPE_BF16, N_D);
    core_dtype_to_f64(out_values(), half, CORE_DTYPE_BF16, N_D);
}

static void a_little_more(void)
{
    for (int i = 0; i < N * N_D; i++)
        out_values()[i] *= 1.003;
}

static void a_bias_too_few(void)
{
    for (int i = 0; i < N * N_D; i++)
        out_values()[i] -= 0x1p-8 * (i % N_D - 2.6);
}

static void bf16_and_one_row(void)
{
    to_bf16();
    find(0, "p0.logits")->x[7] += 1.0;
}

static void bf16_and_a_part_missing(void)
{
    to_bf16();
    hide("p0.layers.1.topk_weight");
}

static void bf16_and_nan(void)
{
    to_bf16();
    nan_found();
}

static void bf16_and_a_rank_missing(void)
{
    to_bf16();
    meta(0, "world", "2");
}

static const struct {
    void (*change)(void);
    bool tap, whole; /* graded as lost bits                               */
} lost_bits[] = {{to_bf16, true, true},
                 {to_bf16_in_one_row, false, false},
                 {a_little_more, false, false},
                 {a_bias_too_few, false, false},
                 {bf16_and_one_row, true, false},
                 {bf16_and_a_part_missing, true, false},
                 {bf16_and_nan, false, false},
                 {bf16_and_a_rank_missing, true, false}};

START_TEST(errors_like_rounding_are_graded_by_their_bits)
{
    lost_bits[_i].change();
    ok();
    const har_tap_judgement *t = judged_tap("layers.1.out");
    ck_assert_int_eq(judged.verdict, HAR_FAIL);
    ck_assert_int_eq(t->verdict, HAR_FAIL);
    ck_assert_int_eq(t->bits > 0.0, lost_bits[_i].tap);
    if (t->bits > 0.0)
        ck_assert(fabs(t->bits - 8.0) < 0.5);
    ck_assert_int_eq(judged.is_imprecise, lost_bits[_i].whole);
}
END_TEST

START_TEST(one_wrong_row_is_located)
{
    one_row();
    ok();
    const har_tap_judgement *t = judged_tap("layers.1.out");
    ck_assert_int_eq(t->n_failed, 1);
    ck_assert_int_eq(t->first_bad.b, 200 / N_T);
    ck_assert_int_eq(t->first_bad.t, 200 % N_T);
    ck_assert(fabs(t->ratio - 4.0) < 1e-3);
    ck_assert_int_eq(judged.worst[0].row, 200);
    ck_assert(fabs(judged.token_ratio[0][200] - 4.0) < 1e-3);
    ck_assert(judged.token_ratio[0][201] == 0.0);
}
END_TEST

START_TEST(where_nothing_is_allowed_the_ratio_is_infinite)
{
    layer_tap(1, "out")->tolerance[7] = 0.0f;
    if (_i == 1)
        out_values()[7 * N_D] += 0x1p-20;
    ok();
    ck_assert_int_eq(judged.verdict, _i == 1 ? HAR_FAIL : HAR_PASS);
    ck_assert((isinf(judged_tap("layers.1.out")->ratio) != 0) == (_i == 1));
}
END_TEST

START_TEST(swapped_prompts_differ_from_the_first_tap_on)
{
    for (int k = 0; k < N_TAP; k++) {
        double *x = file[0].tensor[k].x;
        const int64_t n = N_T * golden[k].n_col;
        memcpy(x, golden[k].x + n, (size_t)n * sizeof *x);
        memcpy(x + n, golden[k].x, (size_t)n * sizeof *x);
    }
    ok();
    ck_assert_str_eq(first(), "p0.embed");
    ck_assert_int_eq(judged_tap("embed")->n_failed, 2 * N_T);
    ck_assert_int_eq(judged_tap("embed")->first_bad.b, 0);
}
END_TEST

START_TEST(other_inputs_are_seen)
{
    static double ids[N];
    for (int r = 0; r < N; r++)
        ids[r] = r % 11;
    dump_tensor *d = &file[0].tensor[file[0].n++];
    *d = (dump_tensor){"input_ids", CORE_DTYPE_I64, 2, {N_B, N_T, 0}, ids};
    if (_i == 1)
        ids[70] += 1.0;
    ok();
    ck_assert_str_eq(first(), _i == 1 ? "p0.input_ids" : "-");
}
END_TEST

/* What follows a flip is remembered prompt by prompt. */
START_TEST(the_taps_of_a_prompt_lie_together)
{
    static const char *const name[] = {"a.logits", "b.embed", "a.embed",
                                       "b.logits"};
    dump_tensor list[4];
    char path[160];
    for (int i = 0; i < 4; i++) {
        list[i] = whole("", tap(name[i] + 2));
        snprintf(list[i].name, sizeof list[i].name, "%s", name[i]);
    }
    write_st("plain.safetensors", list, 4, NULL);
    snprintf(path, sizeof path, "%s/plain.safetensors", folder);
    ck_assert_int_eq(har_yardstick_open(&yard, path, NULL, true), CORE_OK);
    ck_assert_int_eq(yard.n_part, 2);
    ck_assert_int_eq(yard.n_tap, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(yard.tap[i].part, i / 2);
}
END_TEST

/* --- heads and experts --- */

START_TEST(heads_are_named_inside_attention)
{
    find(0, "p0.layers.0.attn.q")->x[5 * N_Q + 13] += 1.0;
    ok();
    ck_assert_int_eq(judged_tap("layers.0.attn.q")->first_bad.head, 6);
    ck_assert_int_eq(judged_tap("layers.0.attn.q")->first_bad.col, 13);
}
END_TEST

/* Column 13 of 20, with 10 heads and 5 of keys. */
static const struct {
    const char *name;
    bool is_latent;
    int64_t head;
} headed[] = {
    {"attn.q_norm", false, 6}, {"attn.q_rope", false, 6},
    {"attn.q_rope_norm", false, 6}, {"attn.q_temper", false, 6},
    {"attn.kv_b", true, 6}, {"attn.k", false, 3},
    {"attn.v", false, 3}, {"attn.k_norm", false, 3},
    {"attn.k_rope", false, 3}, {"attn.k_rope", true, -1},
    {"attn.k_rope_norm", false, 3}, {"attn.kv_a", true, -1},
    {"attn.norm", false, -1},
};

START_TEST(heads_are_those_of_the_tap)
{
    table *t = layer_tap(0, "attn.q");
    char name[64];
    snprintf(t->name, sizeof t->name, "layers.0.%s", headed[_i].name);
    one_file();
    snprintf(name, sizeof name, "p0.%.48s", t->name);
    find(0, name)->x[5 * N_Q + 13] += 1.0;
    is_latent = headed[_i].is_latent;
    ok();
    ck_assert_int_eq(judged_tap(t->name)->first_bad.head, headed[_i].head);
}
END_TEST

START_TEST(experts_are_named_at_their_taps)
{
    find(0, "p0.layers.0.topk_weight")->x[5 * N_K + 1] += 1.0;
    find(0, "p0.layers.1.router_logits")->x[5 * N_E + 3] += 1.0;
    ok();
    ck_assert_int_eq(judged_tap("layers.0.topk_weight")->first_bad.expert,
                     (int64_t)layer_tap(0, "topk_idx")->x[5 * N_K + 1]);
    ck_assert_int_eq(judged_tap("layers.1.router_logits")->first_bad.expert, 3);
    ck_assert_int_eq(judged_tap("layers.1.router_logits")->first_bad.head, -1);
}
END_TEST

/* --- ranks, coverage, replicas --- */

START_TEST(a_wrong_shard_names_its_rank)
{
    four_ranks();
    find(3, "p0.logits")->x[(1 * N_T + 9) * 4 + 2] += 1.0;
    ok();
    const har_spot *s = &judged_tap("logits")->first_bad;
    ck_assert_int_eq(judged.n_failed, 1);
    ck_assert_int_eq(s->b, 3);
    ck_assert_int_eq(s->t, 9);
    ck_assert_int_eq(s->col, 3 + 2);
    ck_assert_int_eq(dump.file[s->file].rank, 3);
    ck_assert_str_eq(har_judge_owner(&judged, s->file), "rank 3 (tp 1, dp 1)");
}
END_TEST

/* What two ranks differ by, in units of the tolerance, and whether they may. */
static const struct {
    bool is_exact;
    double of_rank_0, of_rank_1;
    int n_replica;
    har_verdict verdict;
    int file; /* whose copy is judged                                     */
} copies[] = {{false, 0.0, 0x1p-10, 0, HAR_PASS, 1},
              {false, 0.0, 0.9, 0, HAR_MARGINAL, 1},
              {false, 0.9, 0.0, 0, HAR_MARGINAL, 0},
              {false, 0.6, 1.2, 0, HAR_FAIL, 1}, /* by the golden, not by rank 0 */
              {false, 0.0, 1.1, 1, HAR_FAIL, 0},
              {false, -0.6, 0.6, 1, HAR_FAIL, 0},
              {true, 0.0, 0x1p-10, 1, HAR_FAIL, 0}};

START_TEST(copies_are_held_to_the_tolerance_or_to_the_bits)
{
    is_exact = copies[_i].is_exact;
    four_ranks();
    find(0, "p0.layers.0.out")->x[0] += copies[_i].of_rank_0 * 0x1p-10;
    find(1, "p0.layers.0.out")->x[0] += copies[_i].of_rank_1 * 0x1p-10;
    ok();
    ck_assert_int_eq(judged.verdict, copies[_i].verdict);
    ck_assert_int_eq(count_found(HAR_FOUND_REPLICA), copies[_i].n_replica);
    ck_assert_int_eq(judged_tap("layers.0.out")->spot[0].file,
                     copies[_i].file);
    if (copies[_i].n_replica == 0)
        return;
    ck_assert_int_eq(dump.finding[0].file, 1);
    ck_assert_str_eq(dump.finding[0].tensor, "p0.layers.0.out");
    ck_assert_str_eq(first(), "p0.layers.0.out");
    ck_assert_ptr_nonnull(strstr(dump.finding[0].text, "row 0, position 0, "
                                                       "column 0"));
}
END_TEST

/* Rank 1 lists experts and their weights the other way round. */
START_TEST(copies_may_list_experts_in_another_order)
{
    four_ranks();
    for (int r = 0; r < N / 2; r++) {
        double *idx = find(1, "p0.layers.1.topk_idx")->x + r * N_K;
        double *w = find(1, "p0.layers.1.topk_weight")->x + r * N_K;
        const double e = idx[0], x = w[0];
        idx[0] = idx[1];
        idx[1] = e;
        w[0] = w[1];
        w[1] = x;
    }
    if (_i == 1)
        find(1, "p0.layers.1.topk_weight")->x[6 * N_K] += 0x1p-9;
    if (_i == 2)
        find(1, "p0.layers.1.topk_idx")->x[6 * N_K] = N_E - 1 -
            find(1, "p0.layers.1.topk_idx")->x[6 * N_K + 1];
    ok();
    ck_assert_int_eq(judged.verdict, _i == 0 ? HAR_PASS : HAR_FAIL);
    ck_assert_int_eq(count_found(HAR_FOUND_REPLICA), _i > 0);
}
END_TEST

START_TEST(elements_that_nobody_holds_are_missing)
{
    four_ranks();
    dump_tensor *d = find(2, "p0.logits");
    *d = file[2].tensor[--file[2].n];
    for (int i = 0; i < file[2].n_meta; i++)
        if (strcmp(file[2].text[i][0], "slice:p0.logits") == 0)
            snprintf(file[2].text[i][0], 96, "gone");
    ok();
    ck_assert_int_eq(count_found(HAR_FOUND_MISSING), 1);
    ck_assert_int_eq(judged_tap("logits")->n_missing, N / 2);
    ck_assert_int_eq(judged_tap("logits")->n_judged, N / 2);
    ck_assert_ptr_nonnull(strstr(dump.finding[0].text, "row 2, position 0, "
                                                       "from column 0"));
}
END_TEST

START_TEST(a_lost_rank_is_missing_even_if_it_was_a_replica)
{
    n_file = 2;
    no_files();
    fill_file(0, 0, N_B, 0, 1);
    fill_file(1, 0, N_B, 0, 1);
    meta(0, "world", _i == 0 ? "2" : "3");
    ok();
    ck_assert_int_eq(judged.verdict, _i == 0 ? HAR_PASS : HAR_FAIL);
    ck_assert_int_eq(count_found(HAR_FOUND_MISSING), _i);
    if (_i == 1)
        ck_assert_str_eq(dump.finding[0].text,
                         "expected 3 ranks, found 2; the first that is missing "
                         "is rank 2");
}
END_TEST

START_TEST(what_is_not_compared_is_told)
{
    static double x[4];
    file[0].tensor[file[0].n++] =
        (dump_tensor){"optimizer.state", CORE_DTYPE_F32, 1, {4, 0, 0}, x};
    file[0].tensor[file[0].n++] =
        (dump_tensor){"p0.layers.9.out", CORE_DTYPE_F32, 1, {4, 0, 0}, x};
    ok();
    ck_assert_int_eq(judged.verdict, HAR_PASS);
    ck_assert_int_eq(judged.n_note, 2);
    ck_assert_int_eq(count_found(HAR_FOUND_UNKNOWN), 1);
    ck_assert_int_eq(count_found(HAR_FOUND_EXTRA), 1);
    ck_assert_str_eq(dump.finding[0].text, "expected the name of a tap");
}
END_TEST

START_TEST(tensors_with_nan_are_told_with_their_place)
{
    nan_found();
    ok();
    ck_assert_int_eq(count_found(HAR_FOUND_NONFINITE), 1);
    ck_assert_str_eq(dump.finding[0].tensor, "p0.layers.1.out");
    ck_assert_ptr_nonnull(strstr(dump.finding[0].text,
                                 "row 0, position 16, column 4"));
    ck_assert_ptr_nonnull(strstr(dump.finding[0].text, "nan"));
}
END_TEST

START_TEST(listed_tokens_are_put_in_their_place)
{
    static double ids[N], rows[N * N_D];
    const table *t = layer_tap(0, "out");
    dump_tensor *d = find(0, "p0.layers.0.out");
    for (int r = 0; r < N; r++) {
        ids[r] = N - 1 - r;
        memcpy(rows + r * N_D, t->x + (N - 1 - r) * N_D, N_D * sizeof(double));
    }
    *d = (dump_tensor){"p0.layers.0.out", CORE_DTYPE_F32, 2, {N, N_D, 0}, rows};
    file[0].tensor[file[0].n++] =
        (dump_tensor){"ids", CORE_DTYPE_I64, 1, {N, 0, 0}, ids};
    for (int i = 0; i < file[0].n_meta; i++)
        if (strcmp(file[0].text[i][0], "slice:p0.layers.0.out") == 0) {
            snprintf(file[0].text[i][0], 96, "token_ids:p0.layers.0.out");
            snprintf(file[0].text[i][1], 96, "ids");
        }
    if (_i == 1)
        rows[3 * N_D] += 1.0;
    if (_i == 2)
        ids[3] = ids[4];
    ok();
    ck_assert_str_eq(first(), _i > 0 ? "p0.layers.0.out" : "-");
    ck_assert_int_eq(count_found(HAR_FOUND_UNKNOWN), 0);
    if (_i == 1)
        ck_assert_int_eq(judged_tap("layers.0.out")->first_bad.row, N - 1 - 3);
    if (_i == 2)
        ck_assert_int_eq(count_found(HAR_FOUND_MISSHAPEN), 1);
}
END_TEST

/* --- decode --- */

static void two_positions(bool in_metadata)
{
    no_files();
    for (int k = 0; k < N_TAP; k++)
        put(0, &golden[k], 0, N_B, 7, 9, 0, golden[k].n_col);
    for (int i = 0; i < file[0].n_meta; i++)
        snprintf(file[0].text[i][0], 96, "gone%d", i);
    if (in_metadata)
        meta(0, "positions", "7:9");
    else
        positions = "7:9";
}

START_TEST(a_decode_dump_is_compared_as_its_positions)
{
    two_positions(_i % 2 == 0);
    if (_i >= 2)
        find(0, "p0.layers.1.out")->x[(2 * 2 + 1) * N_D] += 1.0;
    ok();
    ck_assert_str_eq(first(), _i >= 2 ? "p0.layers.1.out" : "-");
    ck_assert_int_eq(judged_tap("logits")->n_row, 2 * N_B);
    ck_assert_int_eq(judged_tap("logits")->n_judged, 2 * N_B);
    if (_i >= 2) {
        ck_assert_int_eq(judged_tap("layers.1.out")->first_bad.b, 2);
        ck_assert_int_eq(judged_tap("layers.1.out")->first_bad.t, 8);
    }
}
END_TEST

START_TEST(without_its_positions_a_decode_dump_does_not_fit)
{
    two_positions(true);
    snprintf(file[0].text[file[0].n_meta - 1][0], 96, "elsewhere");
    ok();
    ck_assert_int_eq(judged.verdict, HAR_FAIL);
    ck_assert_int_eq(count_found(HAR_FOUND_MISSHAPEN), N_TAP);
}
END_TEST

START_TEST(positions_outside_the_golden_are_refused)
{
    two_positions(false);
    positions = "63:65";
    ck_assert_int_eq(compare(), CORE_E_INPUT);
    ck_assert_ptr_nonnull(strstr(core_message(), "within 0:64, found 63:65"));
}
END_TEST

START_TEST(padding_is_not_judged)
{
    has_mask = true;
    for (int j = 0; j < N_D; j++)
        find(0, "p0.layers.1.out")->x[(N_T + 2) * N_D + j] = (double)NAN;
    ok();
    ck_assert_int_eq(judged.verdict, HAR_PASS);
    ck_assert_int_eq(judged.n_padding, 3 * N_B);
    ck_assert_int_eq(judged_tap("layers.1.out")->n_row, N - 3 * N_B);
}
END_TEST

/* --- flips --- */

enum { TOKEN = 2 * N_T + 60 };

/* Exchange the second expert of TOKEN in layer 0 for the one that ranks `rank`
 * (2: the next), which is `gap` behind in the golden.                        */
static void flip(int rank, double gap)
{
    double *z = layer_tap(0, "router_logits")->x + TOKEN * N_E;
    double *idx = find(0, "p0.layers.0.topk_idx")->x + TOKEN * N_K;
    for (int e = 0; e < N_E; e++)
        z[e] = 1.0 - e; /* experts 0 and 1, then 2 ... */
    z[2] = z[1] - gap;
    memcpy(find(0, "p0.layers.0.router_logits")->x + TOKEN * N_E, z,
           N_E * sizeof *z);
    route(0);
    idx[0] = 0.0;
    idx[1] = rank;
}

/* Everything that follows from it. */
static void disturb(int token, const char *name)
{
    dump_tensor *d = find(0, name);
    for (int64_t j = 0; j < d->shape[2]; j++)
        d->x[token * d->shape[2] + j] += 1.0;
}

START_TEST(a_flip_with_a_certificate_is_excused_and_counted)
{
    flip(2, 0x1.8p-10); /* between once and twice the tolerance */
    disturb(TOKEN, "p0.layers.0.topk_weight");
    disturb(TOKEN, "p0.layers.0.out");
    disturb(TOKEN + 2, "p0.layers.1.attn_out");
    disturb(TOKEN + 2, "p0.logits");
    ok();
    ck_assert_msg(judged.verdict == HAR_MARGINAL, "%s", first());
    ck_assert(judged_tap("layers.0.topk_idx")->ratio == 0.75);
    ck_assert_int_eq(judged.n_certified, 1);
    ck_assert_int_eq(judged.n_uncertified, 0);
    ck_assert_int_eq(judged.routing[0].n_certified, 1);
    ck_assert_int_eq(judged.routing[0].n_same, N - 1);
    ck_assert_int_eq(judged_tap("layers.0.out")->n_excluded, 1);
    ck_assert_int_eq(judged_tap("layers.1.attn_out")->n_excluded, 4);
    ck_assert_int_eq(judged.routing[1].n_excluded, 4);
    ck_assert_int_eq(judged.routing[0].load[N_E + 2],
                     judged.routing[0].load[2] + 1);
}
END_TEST

START_TEST(a_certificate_does_not_reach_other_tokens)
{
    static const struct {
        int token;
        const char *name;
    } elsewhere[] = {{TOKEN + 1, "p0.layers.0.out"},
                     {TOKEN - 1, "p0.layers.1.out"},
                     {TOKEN + 4, "p0.layers.1.out"}, /* the next row */
                     {TOKEN, "p0.layers.0.router_logits"},
                     {TOKEN, "p0.layers.0.attn_out"}};
    flip(2, 0x1p-11);
    disturb(elsewhere[_i].token, elsewhere[_i].name);
    ok();
    ck_assert_str_eq(first(), elsewhere[_i].name);
    ck_assert_int_eq(judged.n_certified, 1);
}
END_TEST

/* --- keys that are chosen --- */

/* All choices of layer 0 are clear but that of `token`, by `gap`. */
static void choose_keys(int token, double gap)
{
    chooses_keys = true;
    edge = (table){.name = "layers.0.attn.edge", .n_col = 2};
    for (int r = 0; r < N; r++) {
        edge.tolerance[r] = 0x1p-10f;
        edge.x[2 * r] = r == token ? gap : 1.0;
    }
    put(0, &edge, 0, N_B, 0, N_T, 0, 2);
}

START_TEST(rows_of_an_open_choice_of_keys_are_set_aside)
{
    choose_keys(TOKEN, 0x1.8p-10); /* between once and twice the tolerance */
    disturb(TOKEN, "p0.layers.0.attn_out");
    disturb(TOKEN, "p0.layers.1.out");
    disturb(TOKEN + 2, "p0.layers.1.attn_out"); /* it attends to TOKEN */
    disturb(TOKEN + 2, "p0.logits");
    ok();
    ck_assert_msg(judged.verdict == HAR_PASS, "%s", first());
    ck_assert_int_eq(judged.n_open, 1);
    ck_assert_int_eq(judged_tap("layers.0.attn_out")->n_excluded, 1);
    ck_assert_int_eq(judged_tap("layers.1.attn_out")->n_excluded, 4);
}
END_TEST

START_TEST(rows_of_an_open_choice_of_keys_are_judged_while_they_agree)
{
    choose_keys(TOKEN, 0x1.8p-10);
    disturb(TOKEN, "p0.layers.1.attn_out"); /* the choice that layer 1 keeps */
    ok();
    ck_assert_msg(judged.verdict == HAR_PASS, "%s", first());
    ck_assert_int_eq(judged_tap("layers.0.attn_out")->n_excluded, 0);
    ck_assert_int_eq(judged_tap("layers.0.attn_out")->n_judged, N);
    ck_assert_int_eq(judged_tap("layers.1.attn_out")->n_excluded, 1);
}
END_TEST

START_TEST(an_open_choice_of_keys_excuses_nothing_else)
{
    static const struct {
        int open;
        double gap;
        int token;
        const char *name;
    } wrong[] = {
        {TOKEN, 0x1p-11, TOKEN + 1, "p0.layers.0.attn_out"},
        {TOKEN, 0x1p-11, TOKEN - 1, "p0.layers.1.out"},
        {TOKEN, 0x1p-11, TOKEN + 4, "p0.layers.1.out"}, /* the next row */
        {TOKEN, 0x1p-11, TOKEN, "p0.embed"},
        {TOKEN, 0x1.1p-9, TOKEN, "p0.layers.0.attn_out"}, /* clear */
        {TOKEN, (double)NAN, TOKEN + 1, "p0.layers.0.attn_out"},
        {2 * N_T + 2, 0.0, 2 * N_T + 2, "p0.layers.0.attn_out"}};
    choose_keys(wrong[_i].open, wrong[_i].gap);
    disturb(wrong[_i].token, wrong[_i].name);
    ok();
    ck_assert_int_eq(judged.verdict, HAR_FAIL);
    ck_assert_int_ge(judged_tap(wrong[_i].name + 3)->n_failed, 1);
}
END_TEST

static void wide_gap(void)
{
    flip(2, 0x1.1p-9);
}

static void expert_far_down(void) /* though the margin is small */
{
    flip(3, 0x1p-11);
}

static void expert_twice(void)
{
    flip(0, 0x1p-11);
}

static void nan_margin(void)
{
    flip(2, 0x1p-11);
    margin[0][TOKEN] = (double)NAN;
}

static void wide_margin(void) /* the golden itself says that it was clear */
{
    flip(2, 0x1p-11);
    margin[0][TOKEN] = 0.5;
}

/* In exact nothing is allowed, but a tie may fall either way. */
static void no_tie_in_exact(void)
{
    flip(2, 0x1p-30);
    is_exact = true;
}

static void beyond_the_tie_in_exact(void)
{
    flip(3, 0.0);
    is_exact = true;
}

START_TEST(a_tie_in_exact_is_certified)
{
    flip(2, 0.0);
    is_exact = true;
    disturb(TOKEN, "p0.layers.0.out");
    ok();
    ck_assert_msg(judged.verdict == HAR_PASS, "%s", first());
    ck_assert_int_eq(judged.n_certified, 1);
    ck_assert_int_eq(judged_tap("layers.0.out")->n_excluded, 1);
}
END_TEST

static void (*const uncertified[])(void) = {
    no_tie_in_exact, beyond_the_tie_in_exact,
    wide_gap, expert_far_down, expert_twice, nan_margin, wide_margin};

START_TEST(a_flip_without_a_certificate_fails)
{
    uncertified[_i]();
    ok();
    ck_assert_str_eq(first(), "p0.layers.0.topk_idx");
    ck_assert_int_eq(judged.n_uncertified, 1);
    ck_assert_int_eq(judged.n_certified, 0);
    ck_assert_int_eq(judged.n_excluded, 0);
    const har_spot *s = &judged_tap("layers.0.topk_idx")->first_bad;
    ck_assert_int_eq(s->b, 2);
    ck_assert_int_eq(s->t, 60);
    ck_assert(s->ratio > 1.0);
}
END_TEST

/* A number that no expert has says nothing of where the token went. */
START_TEST(an_expert_that_does_not_exist_is_no_flip)
{
    flip(_i == 0 ? N_E - 1 : N_E, 0x1p-11);
    ok();
    ck_assert_int_eq(judged.n_uncertified, _i == 0);
    ck_assert_int_eq(count_found(HAR_FOUND_UNREADABLE), _i);
    ck_assert_int_eq(judged.n_silent, _i);
    ck_assert_str_eq(first(), "p0.layers.0.topk_idx");
}
END_TEST

START_TEST(a_golden_without_scores_certifies_nothing)
{
    flip(2, 0x1p-11);
    if (_i == 1)
        layer_tap(0, "router_logits")->x[TOKEN * N_E + 2] = (double)NAN;
    ok();
    ck_assert_int_eq(judged.n_certified, _i == 0);
    ck_assert_int_eq(judged.n_uncertified, _i == 1);
}
END_TEST

/* A selection bias: the golden's experts have not the largest logits. */
START_TEST(with_a_bias_the_margin_alone_speaks)
{
    flip(2, 0.5);
    layer_tap(0, "topk_idx")->x[TOKEN * N_K + 1] = 3.0;
    margin[0][TOKEN] = _i == 0 ? 0x1p-10 : 0x1.1p-10;
    find(0, "p0.layers.0.topk_idx")->x[TOKEN * N_K + 1] = 4.0;
    ok();
    ck_assert_int_eq(judged.n_certified, _i == 0);
    ck_assert_int_eq(judged.n_uncertified, _i == 1);
}
END_TEST

START_TEST(forced_routing_is_not_judged)
{
    forced = true;
    wide_gap();
    if (_i == 1)
        disturb(TOKEN, "p0.layers.0.out");
    ok();
    ck_assert_str_eq(first(), _i == 1 ? "p0.layers.0.out" : "-");
    ck_assert(!judged_tap("layers.0.topk_idx")->is_judged);
    ck_assert_int_eq(judged.n_certified + judged.n_uncertified, 0);
    ck_assert_int_eq(judged.n_excluded, 0);
}
END_TEST

/* The first tap that is undecided, "-": none. */
static const char *first_undecided(void)
{
    for (int64_t i = 0; i < judged.n_tap; i++)
        if (judged.tap[i].is_undecided)
            return judged.yard->tap[i].data->name;
    return "-";
}

static const struct {
    int n; /* of ten tokens flip */
    const char *first; /* that is undecided                                   */
} of_ten[] = {{0, "-"},
              {4, "p0.layers.1.attn.q"}, /* most tokens follow one */
              {6, "p0.layers.0.topk_weight"},
              {10, "p0.layers.0.topk_weight"}};

START_TEST(flips_everywhere_leave_nothing_to_decide)
{
    table *z = layer_tap(0, "router_logits");
    for (int r = 0; r < N; r++)
        for (int e = 0; e < N_E; e++)
            z->x[r * N_E + e] = 0.0;
    route(0);
    memcpy(find(0, "p0.layers.0.router_logits")->x, z->x,
           N * N_E * sizeof(double));
    memcpy(find(0, "p0.layers.0.topk_idx")->x, layer_tap(0, "topk_idx")->x,
           N * N_K * sizeof(double));
    for (int r = 0; r < N; r++)
        if (r % 10 < of_ten[_i].n)
            find(0, "p0.layers.0.topk_idx")->x[r * N_K + 1] = 4.0;
    ok();
    ck_assert_str_eq(first(), "-");
    ck_assert_str_eq(first_undecided(), of_ten[_i].first);
    ck_assert_str_eq(har_verdict_name(judged.verdict), "PASS");
}
END_TEST

/* --- maps --- */

static void rename_all(void)
{
    static const char *const to[] = {"attn.q", "self_attn", "mlp.gate",
                                     "mlp.topk_idx", "mlp.topk_weight", ""};
    for (int i = 0; i < file[0].n_meta; i++)
        snprintf(file[0].text[i][0], 96, "gone%d", i);
    snprintf(file[0].tensor[0].name, 96, "model.embed_tokens");
    for (int layer = 0; layer < N_L; layer++)
        for (int k = 0; k < 6; k++)
            snprintf(file[0].tensor[1 + layer * 6 + k].name, 96,
                     "model.layers.%d%s%s", layer, k < 5 ? "." : "", to[k]);
    snprintf(file[0].tensor[N_TAP - 2].name, 96, "model.norm");
    snprintf(file[0].tensor[N_TAP - 1].name, 96, "lm_head");
    map_name = "hf";
}

START_TEST(a_map_decides_what_is_expected)
{
    rename_all();
    if (_i == 1) { /* optional: may be missing */
        file[0].tensor[4] = file[0].tensor[--file[0].n];
        snprintf(file[0].tensor[4].name, 96, "lm_head");
    }
    if (_i == 2)
        snprintf(find(0, "model.layers.1")->name, 96, "model.layers.1.other");
    ok();
    ck_assert_str_eq(first(), _i == 2 ? "p0.layers.1.out" : "-");
    ck_assert(!judged_tap("layers.0.attn.q")->is_judged); /* no name for it */
    ck_assert_int_eq(count_found(HAR_FOUND_UNKNOWN), _i == 2 ? 3 : 2);
    ck_assert(judged_tap("layers.0.topk_idx")->is_judged == (_i != 1));
}
END_TEST

/* --- refusals --- */

static void no_names(void)
{
    rename_all();
    map_name = NULL;
}
static void bad_plan(void)
{
    meta(0, "plan", "{\"tp\": \"x\"}");
}
static void bad_plan_json(void)
{
    meta(0, "plan", "{tp=1}");
}
static void bad_slice(void)
{
    meta(0, "slice:p0.embed", "0:x");
}
static void bad_slice_name(void)
{
    meta(0, "slice:p0.nothing", "0:1");
}
static void bad_ids(void)
{
    meta(0, "token_ids:p0.embed", "p0.logits");
}
static void bad_positions(void)
{
    meta(0, "positions", "9");
}
static void bad_axes(void)
{
    meta(0, "axes", "bhs");
}
static void bad_rank(void)
{
    meta(0, "rank", "-1");
}
static void same_rank(void)
{
    four_ranks();
    meta(1, "rank", "0");
}
static void other_world(void)
{
    four_ranks();
    meta(1, "world", "4");
    meta(2, "world", "8");
}
static void bad_schema(void)
{
    snprintf(schema, sizeof schema, "moeparity.golden/2");
}

static const struct {
    void (*spoil)(void);
    core_status status;
    const char *message;
} refusals[] = {
    {no_names, CORE_E_INPUT, "no tensor has the name of a tap"},
    {bad_plan, CORE_E_FORMAT, "metadata 'plan': expected coordinates"},
    {bad_plan_json, CORE_E_FORMAT, "metadata 'plan'"},
    {bad_slice, CORE_E_FORMAT, "metadata 'slice:p0.embed': expected ranges"},
    {bad_slice_name, CORE_E_FORMAT, "there is no tensor 'p0.nothing'"},
    {bad_ids, CORE_E_FORMAT, "expected the name of an I64 tensor"},
    {bad_positions, CORE_E_FORMAT, "metadata 'positions': expected a range"},
    {bad_axes, CORE_E_FORMAT, "metadata 'axes': expected bsh or sbh"},
    {bad_rank, CORE_E_FORMAT, "metadata 'rank': expected a number"},
    {same_rank, CORE_E_FORMAT, "rank 0 is also in rank_00000.safetensors"},
    {other_world, CORE_E_FORMAT, "'world': expected 4 as in another file, "
                                 "found 8"},
    {bad_schema, CORE_E_FORMAT, "expected schema 'moeparity.golden/3'"},
};

START_TEST(what_cannot_be_read_is_refused)
{
    refusals[_i].spoil();
    const core_status status = compare();
    ck_assert_msg(status == refusals[_i].status, "%s", core_message());
    ck_assert_msg(strstr(core_message(), refusals[_i].message) != NULL, "%s",
                  core_message());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_judge");
    TCase *tests = tcase_create("judge");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, a_correct_dump_passes, 0,
                        sizeof harmless / sizeof harmless[0]);
    tcase_add_test(tests, over_half_of_the_bound_is_marginal);
    tcase_add_loop_test(tests, every_mutant_is_caught_and_named, 0,
                        sizeof mutants / sizeof mutants[0]);
    tcase_add_loop_test(tests, another_type_does_not_fit, 0, 2);
    tcase_add_test(tests, one_wrong_row_is_located);
    tcase_add_loop_test(tests, where_nothing_is_allowed_the_ratio_is_infinite,
                        0, 2);
    tcase_add_test(tests, swapped_prompts_differ_from_the_first_tap_on);
    tcase_add_loop_test(tests, other_inputs_are_seen, 0, 2);
    tcase_add_test(tests, the_taps_of_a_prompt_lie_together);
    tcase_add_test(tests, heads_are_named_inside_attention);
    tcase_add_loop_test(tests, heads_are_those_of_the_tap, 0,
                        sizeof headed / sizeof headed[0]);
    tcase_add_test(tests, experts_are_named_at_their_taps);
    tcase_add_test(tests, a_wrong_shard_names_its_rank);
    tcase_add_loop_test(tests, copies_are_held_to_the_tolerance_or_to_the_bits,
                        0, sizeof copies / sizeof copies[0]);
    tcase_add_loop_test(tests, copies_may_list_experts_in_another_order, 0, 3);
    tcase_add_loop_test(
        tests, weights_of_experts_that_nobody_names_are_compared_by_size, 0, 2);
    tcase_add_loop_test(tests, errors_like_rounding_are_graded_by_their_bits, 0,
                        sizeof lost_bits / sizeof lost_bits[0]);
    tcase_add_test(tests, a_tie_in_exact_is_certified);
    tcase_add_test(tests, elements_that_nobody_holds_are_missing);
    tcase_add_loop_test(tests, a_lost_rank_is_missing_even_if_it_was_a_replica,
                        0, 2);
    tcase_add_test(tests, what_is_not_compared_is_told);
    tcase_add_test(tests, tensors_with_nan_are_told_with_their_place);
    tcase_add_loop_test(tests, listed_tokens_are_put_in_their_place, 0, 3);
    tcase_add_loop_test(tests, a_decode_dump_is_compared_as_its_positions, 0,
                        4);
    tcase_add_test(tests, without_its_positions_a_decode_dump_does_not_fit);
    tcase_add_test(tests, positions_outside_the_golden_are_refused);
    tcase_add_test(tests, padding_is_not_judged);
    tcase_add_test(tests, a_flip_with_a_certificate_is_excused_and_counted);
    tcase_add_loop_test(tests, a_certificate_does_not_reach_other_tokens, 0, 5);
    tcase_add_test(tests, rows_of_an_open_choice_of_keys_are_set_aside);
    tcase_add_test(tests,
                   rows_of_an_open_choice_of_keys_are_judged_while_they_agree);
    tcase_add_loop_test(tests, an_open_choice_of_keys_excuses_nothing_else, 0,
                        7);
    tcase_add_loop_test(tests, a_flip_without_a_certificate_fails, 0,
                        sizeof uncertified / sizeof uncertified[0]);
    tcase_add_loop_test(tests, an_expert_that_does_not_exist_is_no_flip, 0, 2);
    tcase_add_loop_test(tests, a_golden_without_scores_certifies_nothing, 0, 2);
    tcase_add_loop_test(tests, with_a_bias_the_margin_alone_speaks, 0, 2);
    tcase_add_loop_test(tests, forced_routing_is_not_judged, 0, 2);
    tcase_add_loop_test(tests, flips_everywhere_leave_nothing_to_decide, 0, 4);
    tcase_add_loop_test(tests, a_map_decides_what_is_expected, 0, 3);
    tcase_add_loop_test(tests, what_cannot_be_read_is_refused, 0,
                        sizeof refusals / sizeof refusals[0]);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
