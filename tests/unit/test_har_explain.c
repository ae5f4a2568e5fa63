/* test_har_explain.c -- every row of the other models has a dump that it alone
 * explains (explain_rows.h), and wrong dumps that are no such model are
 * explained by nothing.
 *
 * test_har_explain [ROW]: everything, or the dump of that row alone.
 */
#include "golden/other.h"
#include "harness/judge/comparison.h"
#include "harness/judge/explain.h"
#include "tests/support/check_main.h"
#include "tests/unit/explain_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 256 };

typedef struct model {
    const char *name, *set; /* set: a field of it, or NULL                    */
} model;

static char scratch[64];

static void ok(core_status status)
{
    ck_assert_msg(status == CORE_OK, "%s", core_message());
}

static core_spec spec_of(const model *m, bool *is_checkpoint)
{
    core_spec spec;
    ok(core_spec_open(&spec, m->name, is_checkpoint));
    ok(core_spec_set(&spec, &m->set, m->set != NULL ? 1 : 0));
    return spec;
}

/* The golden of a model, made when it is first asked for. */
static void golden_of(char folder[PATH], const model *m)
{
    gold_case gold = {.origin = GOLD_SELF, .seed = 1, .from_seed = true};
    gold_summary summary[GOLD_MAX_NUMERICS];
    const gold_options options = {
        .n_threads = 1, .n_beside = 2, .weight_budget_bytes = (size_t)1 << 28};
    struct stat info;
    const int n = snprintf(folder, PATH, "%s/", scratch);
    ck_assert_int_lt(snprintf(folder + n, (size_t)(PATH - n), "%s_%s", m->name,
                              m->set != NULL ? m->set : ""),
                     PATH - n);
    for (char *at = folder + n; *at != '\0'; at++)
        if (*at == '/')
            *at = '_';
    if (stat(folder, &info) == 0)
        return;
    snprintf(gold.folder, sizeof gold.folder, "%s", folder);
    snprintf(gold.model, sizeof gold.model, "%s", m->name);
    gold.spec = spec_of(m, &gold.is_checkpoint);
    gold.overrides.set[0] = m->set;
    gold.overrides.n_set = m->set != NULL ? 1 : 0;
    gold.n_l = gold.spec.n_l;
    gold.numerics[gold.n_numerics++] = CORE_FP32;
    gold.n_group = 1;
    gold.first_row[1] = 2;
    ok(core_batch_make(&gold.batch, &gold.spec, 2, 14, 1));
    ok(gold_make(&gold, &options, folder, summary));
    gold_close(&gold);
}

/* What is written of a tap; false: nothing. */
typedef void spoil(void *self, const har_yard_tap *tap, double *values,
                   int64_t *ints);

static void copy_tap(const har_yard_tap *tap, const gold_other_tap *from,
                     core_st_tensor *to, spoil *how, void *self)
{
    const int64_t n = from->n_row * from->n_col;
    if (how != NULL)
        how(self, tap, from->values, from->ints);
    for (int64_t i = 0; i < n; i++)
        if (from->ints != NULL)
            ((int64_t *)to->data)[i] = from->ints[i];
        else
            ((float *)to->data)[i] = (float)from->values[i];
}

/* A dump of the other model, with the names and shapes of the golden's taps. */
static void write_dump(const char *path, const char *golden, const model *m,
                       const har_other *other, spoil *how, void *self)
{
    enum { MOST = 512 };
    static const char *const metadata[] = {"numerics", "fp32", NULL};
    static core_st_tensor tensors[MOST];
    har_yardstick yard;
    gold_case gold;
    core_weights *weights = NULL, *read = NULL;
    gold_other *taps = NULL;
    core_st *st = NULL;
    int n = 0;
    ok(har_yardstick_open(&yard, golden, "fp32", false));
    ok(gold_open(&gold, golden));
    ok(gold_find_model(&gold, m->name));
    ok(gold_open_weights(&weights, &gold));
    ok(core_weights_prepare(weights, CORE_FP32, NULL));
    if (other->alteration != CORE_ALTER_NOTHING)
        ok(core_weights_alter(&read, weights, other->alteration));
    ok(gold_other_make(&taps, &gold, &other->spec,
                       read != NULL ? read : weights, CORE_FP32,
                       other->otherwise));
    for (int64_t i = 0; i < yard.n_tap && n < MOST; i++) {
        gold_other_tap from;
        if (yard.tap[i].name.is_tap &&
            gold_other_find(&from, taps, yard.tap[i].name.tap))
            tensors[n++] = *yard.tap[i].data;
    }
    ok(core_st_create(&st, path, tensors, n, metadata));
    for (int64_t i = 0; i < yard.n_tap; i++) {
        gold_other_tap from;
        const har_yard_tap *tap = &yard.tap[i];
        if (!tap->name.is_tap ||
            !gold_other_find(&from, taps, tap->name.tap))
            continue;
        core_st_tensor to = *core_st_find(st, tap->data->name);
        copy_tap(tap, &from, &to, how, self);
    }
    ok(core_st_commit(st));
    core_st_close(st);
    gold_other_free(taps);
    core_weights_close(read);
    core_weights_close(weights);
    gold_close(&gold);
    har_yardstick_close(&yard);
}

/* Names of what a dump has that says nothing of choices. */
static const char WITHOUT_CHOICES[] =
    "names:\n"
    "  embed: embed\n"
    "  layers.{l}.attn_out: layers.{l}.attn_out\n"
    "  layers.{l}.router_logits: layers.{l}.router_logits\n"
    "  layers.{l}.ffn_out: layers.{l}.ffn_out\n"
    "  layers.{l}.out: layers.{l}.out\n"
    "  final_norm: final_norm\n"
    "  logits: logits\n";

static void open_map(har_namemap *out, bool hides_choices)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/map.yaml", scratch);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(WITHOUT_CHOICES, file);
    fclose(file);
    ok(har_namemap_open(out, hides_choices ? path : NULL));
}

/* False: compare sees no difference. */
static bool explain(har_explanation *out, const char *golden, const char *dump,
                    const model *m, bool hides_choices)
{
    har_comparison c = {0};
    har_namemap map;
    open_map(&map, hides_choices);
    const har_foreign_options with = {
        .map = &map, .claim = {.b = {0, -1}, .t = {0, -1}}};
    ok(har_comparison_make(&c, golden, dump, &with, NULL, false));
    const bool differs = c.judged.verdict == HAR_FAIL;
    if (differs)
        ok(har_explain(out, &c.judged, &c.dump, &map, m->name, NULL, NULL));
    har_comparison_free(&c);
    har_namemap_free(&map);
    return differs;
}

static bool is_among(const har_explanation *x, const char *text)
{
    for (int i = 0; i < x->n; i++)
        if (strcmp(x->found[i].text, text) == 0)
            return true;
    return false;
}

/* --- a row alone --- */

/* The golden's model with FIELD=VALUE and FIELD=VALUE. */
static void set_fields(core_spec *spec, const char *change)
{
    enum { MOST = 4 };
    static const char between[] = " and ";
    char text[HAR_OTHER_TEXT];
    const char *set[MOST] = {text};
    int n = 1;
    snprintf(text, sizeof text, "%s", change);
    for (char *at = text; n < MOST && (at = strstr(at, between)) != NULL;) {
        *at = '\0';
        set[n++] = at += sizeof between - 1;
    }
    ok(core_spec_set(spec, set, n));
}

START_TEST(a_row_alone_explains_its_dump)
{
    const explained_row *row = &EXPLAINED[_i];
    const model m = {row->model, row->set};
    char golden[PATH], dump[PATH];
    const core_spec spec = spec_of(&m, NULL);
    har_explanation x;
    har_other other = har_other_none(&spec);
    other.alteration = row->alteration;
    other.otherwise = row->otherwise;
    if (row->alteration == CORE_ALTER_NOTHING &&
        row->otherwise == REF_AS_WRITTEN)
        set_fields(&other.spec, row->change);
    snprintf(dump, sizeof dump, "%s/row.safetensors", scratch);
    golden_of(golden, &m);
    write_dump(dump, golden, &m, &other, NULL, NULL);
    ck_assert_msg(explain(&x, golden, dump, &m, row->hides_choices),
                  "%s of %s is not seen", row->change, m.name);
    ck_assert_str_eq(x.why_not, "");
    ck_assert_msg(x.n == 1 && x.n_pair == 0, "%s of %s: %d explanations",
                  row->change, m.name, x.n);
    ck_assert_str_eq(x.found[0].text, row->change);
}
END_TEST

START_TEST(every_row_has_a_dump)
{
    int i = 0;
    for (; har_other_name(i) != NULL && i < N_EXPLAINED; i++) {
        const model m = {EXPLAINED[i].model, EXPLAINED[i].set};
        const core_spec spec = spec_of(&m, NULL);
        const har_other none = har_other_none(&spec);
        har_other other;
        ck_assert_msg(har_other_make(&other, i, &none, &spec), "row %d", i);
        ck_assert_str_eq(other.text, EXPLAINED[i].change);
    }
    ck_assert_int_eq(i, N_EXPLAINED);
    ck_assert_ptr_null(har_other_name(i));
}
END_TEST

/* --- two at once --- */

static const struct pair {
    const char *model, *set[2];
} PAIRS[] = {
    {PHIMOE, {"norm=rms", "router.scores=softmax_top"}},
    {DEEPSEEK_V2, {"router.group_score=best_two", "rope.attention_factor=1"}},
    {GRANITE, {"scale.residual=1", "scale.logits_divisor=1"}},
    {GRANITE, /* both change the first tap */
     {"rope.theta=500000", "rope.interleaved=true"}},
};

START_TEST(two_rows_explain_a_dump_of_both)
{
    const struct pair *pair = &PAIRS[_i];
    const model m = {pair->model, NULL};
    char golden[PATH], dump[PATH];
    const core_spec spec = spec_of(&m, NULL);
    har_explanation x;
    snprintf(dump, sizeof dump, "%s/pair.safetensors", scratch);
    har_other other = har_other_none(&spec);
    ok(core_spec_set(&other.spec, pair->set, 2));
    golden_of(golden, &m);
    write_dump(dump, golden, &m, &other, NULL, NULL);
    ck_assert(explain(&x, golden, dump, &m, false));
    ck_assert_str_eq(x.why_not, "");
    ck_assert_msg(x.n > 0, "%s", m.name);
    ck_assert_int_gt(x.n_pair, 0);
    for (int i = 0; i < 2; i++)
        ck_assert_msg(strstr(x.found[0].text, pair->set[i]) != NULL,
                      "%s lacks %s", x.found[0].text, pair->set[i]);
}
END_TEST

/* --- weights that the golden has no errors of --- */

/* The weight of a single expert, divided by itself, is 1 in every draw. */
static void scale_weights(void *self, const har_yard_tap *tap, double *values,
                          int64_t *ints)
{
    const int64_t n = tap->extent.n_b * tap->extent.n_t * tap->extent.n_k;
    (void)ints;
    for (int64_t r = 0; tap->name.tap.kind == CORE_TAP_TOPK_WEIGHT && r < n;
         r++)
        values[r * tap->extent.n_col] *= 1.0 + *(const double *)self;
}

START_TEST(a_weight_may_be_off_as_far_as_its_logits)
{
    static const char *const set[] = {"renormalise=false"};
    static double off[] = {2e-6, 2e-4};
    const model m = {MIXTRAL, NULL};
    char golden[PATH], dump[PATH];
    const core_spec spec = spec_of(&m, NULL);
    har_explanation x;
    snprintf(dump, sizeof dump, "%s/weights.safetensors", scratch);
    har_other other = har_other_none(&spec);
    ok(core_spec_set(&other.spec, set, 1));
    golden_of(golden, &m);
    write_dump(dump, golden, &m, &other, scale_weights, &off[_i]);
    ck_assert(explain(&x, golden, dump, &m, false));
    ck_assert_int_eq(is_among(&x, set[0]), _i == 0);
}
END_TEST

/* --- dumps that are no such model --- */

typedef struct spoiling {
    int kind;
    uint64_t state;
    int layer; /* the first that is wrong                                     */
} spoiling;

static double draw(spoiling *s)
{
    s->state = s->state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (double)(s->state >> 11) * 0x1p-53;
}

/* Noise, a factor, rows in another order, or columns of the other sign. */
static void spoil_tap(void *self, const har_yard_tap *tap, double *values,
                      int64_t *ints)
{
    spoiling *s = self;
    const int64_t n_col = tap->extent.n_col;
    const int64_t n = tap->extent.n_b * tap->extent.n_t * tap->extent.n_k;
    (void)ints;
    if (values == NULL || core_tap_is_global(tap->name.tap.kind) ||
        tap->name.tap.layer < s->layer)
        return;
    const double factor = 1.0 + 0.3 * draw(s);
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < n_col; c++) {
            double *x = &values[r * n_col + c];
            if (s->kind == 0)
                *x *= 1.0 + 0.02 * (draw(s) - 0.5);
            else if (s->kind == 1)
                *x *= factor;
            else if (s->kind == 2 && r > 0)
                *x = values[(r - 1) * n_col + c] + 0.01 * *x;
            else if (s->kind == 3 && c % 3 == 1)
                *x = -*x;
        }
}

enum { N_SPOILT = 20 };

START_TEST(a_dump_of_no_model_is_not_explained)
{
    static const char *const of[] = {MIXTRAL, DEEPSEEK_V3, PHIMOE, SHADOW_A};
    const model m = {of[_i / 5], NULL};
    spoiling s = {.kind = _i % 5, .state = (uint64_t)_i + 7, .layer = _i % 2};
    char golden[PATH], dump[PATH];
    const core_spec spec = spec_of(&m, NULL);
    har_explanation x;
    snprintf(dump, sizeof dump, "%s/spoilt.safetensors", scratch);
    har_other same = har_other_none(&spec);
    if (s.kind == 4) /* a table's entry between two rows */
        same.spec.rope.theta *= 1.7;
    golden_of(golden, &m);
    write_dump(dump, golden, &m, &same, spoil_tap, &s);
    ck_assert(explain(&x, golden, dump, &m, false));
    ck_assert_str_eq(x.why_not, "");
    ck_assert_msg(x.n == 0, "'%s'", x.found[0].text);
    ck_assert_int_gt(x.n_single, 20);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("har_explain");
    TCase *rows = tcase_create("rows"), *wrong = tcase_create("wrong");
    char command[128];
    snprintf(scratch, sizeof scratch, "/tmp/test-explain-XXXXXX");
    if (mkdtemp(scratch) == NULL)
        return EXIT_FAILURE;
    const int first = argc > 1 ? atoi(argv[1]) : 0;
    const int end = argc > 1 ? first + 1 : N_EXPLAINED;
    tcase_set_timeout(rows, 120);
    tcase_set_timeout(wrong, 120);
    tcase_add_loop_test(rows, a_row_alone_explains_its_dump, first, end);
    tcase_add_loop_test(wrong, two_rows_explain_a_dump_of_both, 0,
                        (int)(sizeof PAIRS / sizeof PAIRS[0]));
    tcase_add_loop_test(wrong, a_weight_may_be_off_as_far_as_its_logits, 0, 2);
    tcase_add_loop_test(wrong, a_dump_of_no_model_is_not_explained, 0,
                        N_SPOILT);
    tcase_add_test(wrong, every_row_has_a_dump);
    if (argc == 1)
        suite_add_tcase(suite, wrong);
    suite_add_tcase(suite, rows);
    const int code = check_main(suite);
    snprintf(command, sizeof command, "rm -r %s", scratch);
    return system(command) == 0 ? code : EXIT_FAILURE;
}
