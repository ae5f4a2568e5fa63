/* tests/unit/test_core_gguf.c -- GGUF files: blocks as the gguf package reads
 * them, converted checkpoints against what they were converted from, and files
 * that are wrong in one place.
 *
 * tests/data/gguf comes from scripts/gguf.  The models that a file's keys
 * cannot say (windows, layer patterns, ...) are opened with the spec of the
 * checkpoint: here it is about the tensors.
 */
#include "core/files/gguf.h"
#include "core/files/safetensors.h"
#include "core/model/gguf_model.h"
#include "core/weights/weights.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define DATA TEST_DATA_DIR "/gguf/"

static void check_ok(core_status status)
{
    ck_assert_msg(status == CORE_OK, "%s", core_message());
}

/* --- blocks --- */

enum { N_VALUES = 2 * 512 };

START_TEST(blocks_mean_what_the_package_says)
{
    const char *name = core_packed_format_of((core_packed_kind)_i)->name;
    core_gguf *file = NULL;
    core_st *expected = NULL;
    double all[N_VALUES], part[N_VALUES];
    check_ok(core_gguf_open(&file, DATA "blocks.gguf"));
    check_ok(core_st_open(&expected, DATA "blocks.safetensors"));
    const core_gguf_tensor *t = core_gguf_find(file, name);
    const core_st_tensor *e = core_st_find(expected, name);
    ck_assert_ptr_nonnull(t);
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(t->kind, _i);
    ck_assert_int_eq(t->n, N_VALUES);
    ck_assert_int_eq(e->n, N_VALUES);
    core_packed_read(t->kind, t->data, 0, t->n, all);
    for (int64_t i = 0; i < t->n; i++)
        ck_assert_msg((float)all[i] == (float)core_st_value(e, i),
                      "%s: value %lld is %.9g, expected %.9g", name,
                      (long long)i, all[i], core_st_value(e, i));
    for (int64_t first = 0; first < t->n; first += 61) {
        const int64_t n = t->n - first < 300 ? t->n - first : 300;
        core_packed_read(t->kind, t->data, first, n, part);
        ck_assert_mem_eq(part, all + first, (size_t)n * sizeof *part);
    }
    core_gguf_close(file);
    core_st_close(expected);
}
END_TEST

/* --- converted checkpoints --- */

/* file, case, and by how much a value may be another: rounded to BF16. */
static const struct converted {
    const char *file, *folder;
    double off;
} CONVERTED[] = {
    {"mixtral__leftpad.gguf", "mixtral/leftpad", 0.004},
    {"granitemoe__biased.gguf", "granitemoe/biased", 0.0},
    {"deepseek_v2__greedy.gguf", "deepseek_v2/greedy", 0.0},
    {"jamba__biased.gguf", "jamba/biased", 0.0},
    {"glm4_moe__groups.gguf", "glm4_moe/groups", 0.0},
    {"dots1__biased.gguf", "dots1/biased", 0.0},
    {"gpt_oss__plain.gguf", "gpt_oss/plain", 0.0},
    {"llama4__every_layer.gguf", "llama4/every_layer", 0.0},
    {"olmoe__biased-00001-of-00002.gguf", "olmoe/biased", 0.0},
    {"minimax_m2__tied.gguf", "minimax_m2/tied", 0.0},
    {"qwen3_vl_moe__tied.gguf", "qwen3_vl_moe/tied", 0.0},
    {"ernie4_5_moe__no_shared.gguf", "ernie4_5_moe/no_shared", 0.0},
    {"exaone_moe__few.gguf", "exaone_moe/few", 0.0},
    {"bailing_moe__as_glm4.gguf", "bailing_moe/as_glm4", 0.0},
    {"glm4v_moe__one_group.gguf", "glm4v_moe/one_group", 0.0},
    {"deepseek_v32__yarn_groups.gguf", "deepseek_v32/yarn_groups", 0.0},
    {"glm_moe_dsa__shared_index.gguf", "glm_moe_dsa/shared_index", 0.0},
    {"solar_open__yarn_groups.gguf", "solar_open/yarn_groups", 0.0},
    {"qwen3_5_moe__wrapped.gguf", "qwen3_5_moe/wrapped", 0.0},
    {"kimi_linear__mixed.gguf", "kimi_linear/mixed", 0.0},
};
enum { N_CONVERTED = sizeof CONVERTED / sizeof CONVERTED[0] };

/* A decay is the logarithm of an exponential in float. */
static double allowed(core_weight_kind kind, double off)
{
    return kind == CORE_W_MAMBA_A_LOG || kind == CORE_W_DELTANET_A_LOG ? 1e-6
                                                                       : off;
}

static void compare_weight(const core_spec *spec, const core_weights *a,
                           const core_weights *b, core_weight id, double off)
{
    char name[CORE_NAME_BYTES];
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    double *x = malloc((size_t)(n_row * n_col) * sizeof *x);
    double *y = malloc((size_t)(n_row * n_col) * sizeof *y);
    core_weights_read(a, id, 0, n_row, 0, n_col, x, n_col);
    core_weights_read(b, id, 0, n_row, 0, n_col, y, n_col);
    for (int64_t i = 0; i < n_row * n_col; i++)
        ck_assert_msg(fabs(x[i] - y[i]) <= off * fmax(1.0, fabs(y[i])),
                      "%s: element %lld is %.9g, expected %.9g",
                      core_weight_name(id, name), (long long)i, x[i], y[i]);
    free(x);
    free(y);
}

START_TEST(converted_weights_are_those_of_the_checkpoint)
{
    const struct converted *c = &CONVERTED[_i];
    char path[512], gguf[512];
    core_spec spec;
    core_weights *found = NULL, *expected = NULL;
    snprintf(path, sizeof path, GOLDEN_DIR "/oracle/%s", c->folder);
    snprintf(gguf, sizeof gguf, DATA "%s", c->file);
    check_ok(core_spec_open(&spec, path, NULL));
    check_ok(core_weights_open_checkpoint(&expected, &spec, path, false));
    check_ok(core_weights_open_checkpoint(&found, &spec, gguf, false));
    check_ok(core_weights_prepare(expected, CORE_FP64, NULL));
    check_ok(core_weights_prepare(found, CORE_FP64, NULL));
    const int64_t n = core_weight_count(&spec);
    core_weight *ids = malloc((size_t)n * sizeof *ids);
    core_weight_list(&spec, ids);
    for (int64_t i = 0; i < n; i++)
        compare_weight(&spec, found, expected, ids[i],
                       allowed(ids[i].kind, c->off));
    free(ids);
    core_weights_close(found);
    core_weights_close(expected);
}
END_TEST

/* path=mine/theirs of every field in which the file is another model */
static void note(void *self, const char *path, const char *mine,
                 const char *theirs)
{
    char *text = self;
    snprintf(text + strlen(text), 512 - strlen(text), "%s=%s/%s ", path, mine,
             theirs);
}

static const struct told {
    const char *file, *folder, *differs;
} TOLD[] = {
    {"mixtral__leftpad.gguf", "mixtral/leftpad", ""},
    {"granitemoe__biased.gguf", "granitemoe/biased", ""},
    {"deepseek_v2__greedy.gguf", "deepseek_v2/greedy", ""},
    {"jamba__biased.gguf", "jamba/biased", ""},
    {"glm4_moe__groups.gguf", "glm4_moe/groups", ""},
    {"dots1__biased.gguf", "dots1/biased",
     "sliding_window=0/5 span=-/[full, window, window] "},
    {"gpt_oss__plain.gguf", "gpt_oss/plain",
     "span=[window, full, window]/[full, window, full] "},
    {"llama4__every_layer.gguf", "llama4/every_layer",
     "positions=-/[rope, none] span=chunk/[chunk, full] chunk=8192/5 "
     "attention.qk_norm=roped/- attention.temper_scale=0.1/- "
     "attention.temper_floor=8192/- "},
    {"olmoe__biased-00001-of-00002.gguf", "olmoe/biased",
     "norm_eps=1e-05/1e-06 "},
    {"llama3.gguf", "llama4/every_layer",
     "rope.theta=100000/500 rope.scaling=llama3/plain rope.factor=8/- "
     "rope.original_positions=8192/- rope.low_freq=1/- rope.high_freq=4/- "
     "positions=-/[rope, none] span=chunk/[chunk, full] chunk=8192/5 "
     "attention.qk_norm=roped/- attention.temper_scale=0.1/- "
     "attention.temper_floor=8192/- "},
    {"minimax_m2__tied.gguf", "minimax_m2/tied", ""},
    {"qwen3_vl_moe__tied.gguf", "qwen3_vl_moe/tied", ""},
    {"ernie4_5_moe__no_shared.gguf", "ernie4_5_moe/no_shared", ""},
    {"exaone_moe__few.gguf", "exaone_moe/few", ""},
    {"bailing_moe__as_glm4.gguf", "bailing_moe/as_glm4", ""},
    {"glm4v_moe__one_group.gguf", "glm4v_moe/one_group",
     "family=glm4_moe/glm4v_moe "},
    {"deepseek_v32__yarn_groups.gguf", "deepseek_v32/yarn_groups", ""},
    {"glm_moe_dsa__shared_index.gguf", "glm_moe_dsa/shared_index", ""},
    {"solar_open__yarn_groups.gguf", "solar_open/yarn_groups",
     "family=glm4_moe/solar_open rotated=6/- "},
    {"qwen3_5_moe__wrapped.gguf", "qwen3_5_moe/wrapped", ""},
    {"kimi_linear__mixed.gguf", "kimi_linear/mixed",
     "router.groups=-/2 router.groups_kept=-/1 router.group_score=-/best_two "},
};
enum { N_TOLD = sizeof TOLD / sizeof TOLD[0] };

START_TEST(metadata_are_the_model_but_for_what_has_no_key)
{
    const struct told *t = &TOLD[_i];
    char path[512], gguf[512], text[512] = "";
    core_spec here, there;
    bool has_weights = false;
    snprintf(path, sizeof path, GOLDEN_DIR "/oracle/%s", t->folder);
    snprintf(gguf, sizeof gguf, DATA "%s", t->file);
    check_ok(core_spec_open(&there, path, NULL));
    check_ok(core_spec_open(&here, gguf, &has_weights));
    ck_assert(has_weights);
    check_ok(core_spec_compare(&here, &there, note, text));
    ck_assert_str_eq(text, t->differs);
}
END_TEST

/* --- a small file, and what may be wrong with it --- */

enum { MOST_BYTES = 1024, F32 = 0, Q8_0 = 8, TEXT = 8, LIST = 9 };

/* What is written; the healthy file has the values of HEALTHY. */
typedef struct made {
    uint64_t version, n_tensor, n_key, alignment_type, alignment, flag;
    uint64_t list_type, list_n, name_bytes, name_byte, n_dim, dim, type, offset;
    uint64_t last_name, more, split, total;
} made;

static const made HEALTHY = {.version = 3,
                             .n_tensor = 2,
                             .n_key = 5,
                             .alignment_type = 4,
                             .alignment = 32,
                             .flag = 1,
                             .list_type = 5,
                             .list_n = 2,
                             .name_bytes = 5,
                             .name_byte = 'a',
                             .n_dim = 2,
                             .dim = 32,
                             .type = Q8_0,
                             .offset = 96,
                             .last_name = 'b',
                             .total = 2};

typedef struct buffer {
    unsigned char bytes[MOST_BYTES];
    size_t n;
} buffer;

static void put(buffer *b, uint64_t value, size_t bytes)
{
    ck_assert(b->n + bytes <= MOST_BYTES);
    memcpy(b->bytes + b->n, &value, bytes);
    b->n += bytes;
}

static void put_text(buffer *b, const char *text)
{
    put(b, strlen(text), 8);
    for (; *text != '\0'; text++)
        put(b, (unsigned char)*text, 1);
}

static buffer write_file(const made *m)
{
    buffer b = {.n = 0};
    for (const char *c = "GGUF"; *c != '\0'; c++)
        put(&b, (unsigned char)*c, 1);
    put(&b, m->version, 4);
    put(&b, m->n_tensor, 8);
    put(&b, m->n_key, 8);
    put_text(&b, "general.alignment");
    put(&b, m->alignment_type, 4);
    put(&b, m->alignment, 4);
    put_text(&b, "flag");
    put(&b, 7, 4);
    put(&b, m->flag, 1);
    put_text(&b, "list");
    put(&b, LIST, 4);
    put(&b, m->list_type, 4);
    put(&b, m->list_n, 8);
    put(&b, 7, 4);
    put(&b, 9, 4);
    put_text(&b, "split.no");
    put(&b, 2, 4);
    put(&b, m->split, 2);
    put_text(&b, "split.tensors.count");
    put(&b, 5, 4);
    put(&b, m->total, 4);
    put(&b, m->name_bytes, 8);
    for (int i = 0; i < 5; i++)
        put(&b, i == 2 ? m->name_byte : 'a', 1);
    put(&b, 2, 4);
    put(&b, 32, 8);
    put(&b, 2, 8);
    put(&b, Q8_0, 4);
    put(&b, 0, 8);
    put(&b, 1, 8);
    put(&b, m->last_name, 1);
    put(&b, m->n_dim, 4);
    put(&b, m->dim, 8);
    put(&b, 2, 8);
    put(&b, m->type, 4);
    put(&b, m->offset, 8);
    b.n = (b.n + 31) / 32 * 32 + 96 + 68 + m->more;
    return b;
}

static core_status open_bytes(const buffer *b, size_t n, core_gguf **out)
{
    char path[128];
    path_of(path, "x.gguf");
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert(n == 0 || fwrite(b->bytes, n, 1, file) == 1);
    fclose(file);
    core_message_clear();
    return core_gguf_open(out, path);
}

#define WRONG(field, value, says)                                              \
    {                                                                          \
        offsetof(made, field), value, says                                     \
    }
static const struct wrong {
    size_t field;
    uint64_t value;
    const char *says;
} WRONGS[] = {
    WRONG(version, 2, "GGUF version 2, expected 3"),
    WRONG(version, 0x03000000, "a big-endian GGUF file is not read"),
    WRONG(n_tensor, 1000, "1000 tensors do not fit into the"),
    WRONG(n_key, UINT64_MAX, "18446744073709551615 keys do not fit into the"),
    WRONG(alignment_type, 5, "key 'general.alignment': 32, expected a power "),
    WRONG(alignment, 48, "key 'general.alignment': 48, expected a power of "),
    WRONG(alignment, 0, "key 'general.alignment': 0, expected a power of two"),
    WRONG(flag, 2, "key 'flag': 2, expected 0 or 1"),
    WRONG(list_type, LIST, "key 'list': a list of lists is not supported"),
    WRONG(list_type, 13, "key 'list': unknown type of value 13"),
    WRONG(list_n, UINT64_MAX / 4,
          "key 'list': a list of 4611686018427387903, "),
    WRONG(name_bytes, 0, "the tensor infos: a name of 0 bytes, expected 1 to "),
    WRONG(name_bytes, 256, "the file ends within the tensor infos"),
    WRONG(name_byte, 0, "the tensor infos: a name with the byte 0 in it"),
    WRONG(name_byte, 0xc3, "the tensor infos: a name with the byte 195 in it"),
    WRONG(n_dim, 5, "tensor 'b': 5 dimensions, expected 1 to 4"),
    WRONG(n_dim, 0, "tensor 'b': 0 dimensions, expected 1 to 4"),
    WRONG(dim, 0, "tensor 'b': a dimension of 0, expected a size from 1"),
    WRONG(dim, UINT64_MAX, "tensor 'b': a dimension of 18446744073709551615, "),
    WRONG(dim, 1ULL << 59, "tensor 'b': a dimension of 2, expected a size"),
    WRONG(dim, 1ULL << 40, "tensor 'b': 2336462209024 bytes, and the file has"),
    WRONG(dim, 48,
          "tensor 'b': rows of 48 values, Q8_0 wants a multiple of 32"),
    WRONG(type, 10, "tensor 'b': type 10 is not read, only F32, F16, Q4_0"),
    WRONG(type, F32, "its tensors end at byte"),
    WRONG(offset, 97, "tensor 'b': begins at byte 97 of the data, expected 96"),
    WRONG(offset, 64, "tensor 'b': begins at byte 64 of the data, expected 96"),
    WRONG(more, 32, "its tensors end at byte"),
    WRONG(split, 1, "file 2 of 1: the first one is opened, for all of them"),
    WRONG(total, 3, "key 'split.tensors.count': 3, and its files hold 2"),
};
enum { N_WRONGS = sizeof WRONGS / sizeof WRONGS[0] };

START_TEST(a_wrong_file_is_refused)
{
    made m = HEALTHY;
    core_gguf *file = NULL;
    const buffer healthy = write_file(&m);
    check_ok(open_bytes(&healthy, healthy.n, &file));
    ck_assert_int_eq(core_gguf_count(file), 2);
    ck_assert_int_eq(core_gguf_keys(file), 5);
    core_gguf_close(file);
    file = NULL;
    memcpy((char *)&m + WRONGS[_i].field, &WRONGS[_i].value, sizeof(uint64_t));
    const buffer b = write_file(&m);
    ck_assert_int_eq(open_bytes(&b, b.n, &file), CORE_E_FORMAT);
    ck_assert_msg(strstr(core_message(), WRONGS[_i].says) != NULL,
                  "expected '%s' in '%s'", WRONGS[_i].says, core_message());
    ck_assert_ptr_null(file);
}
END_TEST

START_TEST(names_stand_once)
{
    core_gguf *file = NULL;
    made m = HEALTHY;
    m.name_bytes = 5;
    m.last_name = 'b';
    buffer b = write_file(&m);
    unsigned char *at = b.bytes;
    while (memcmp(at, "flag", 4) != 0) /* becomes "list" */
        at++;
    memcpy(at, "list", 4);
    ck_assert_int_eq(open_bytes(&b, b.n, &file), CORE_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(core_message(), "key 'list': there twice"));
    b = write_file(&m);
    for (at = b.bytes; memcmp(at, "aaaaa", 5) != 0; at++)
        ;
    memmove(at + 1, at + 5, (size_t)(b.bytes + MOST_BYTES - at - 5));
    *at = 'b';
    at[-8] = 1;
    ck_assert_int_eq(open_bytes(&b, b.n, &file), CORE_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(core_message(), "tensor 'b': there twice"));
}
END_TEST

/* Its last bytes may only be padding. */
START_TEST(a_file_that_ends_early_is_refused)
{
    core_gguf *file = NULL;
    const buffer b = write_file(&HEALTHY);
    for (size_t n = 0; n < b.n; n++)
        ck_assert_int_eq(open_bytes(&b, n, &file), CORE_E_FORMAT);
}
END_TEST

START_TEST(values_of_keys)
{
    core_gguf *file = NULL;
    double x = 0.0;
    size_t n = 0;
    check_ok(core_gguf_open(&file, TEST_DATA_DIR "/../fuzz/seeds/gguf_values"));
    static const char *const THREE[] = {"uint8",   "int8",   "uint16", "int16",
                                        "uint32",  "int32",  "uint64", "int64",
                                        "float32", "float64"};
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "k.%s", THREE[i]);
        const core_gguf_key *key = core_gguf_find_key(file, name);
        ck_assert_ptr_nonnull(key);
        ck_assert(core_gguf_number(key, 0, &x) && x == 3.0);
        ck_assert(!core_gguf_number(key, 1, &x));
    }
    const core_gguf_key *list = core_gguf_find_key(file, "k.numbers");
    ck_assert(list->is_list && list->n == 3 && core_gguf_number(list, 2, &x));
    ck_assert(x == 3.0);
    ck_assert_ptr_null(core_gguf_text(core_gguf_find_key(file, "k.texts"), &n));
    ck_assert(core_gguf_text_is(
        core_gguf_find_key(file, "general.architecture"), "qwen3moe"));
    ck_assert_ptr_null(core_gguf_find_key(file, "k.none"));
    core_gguf_close(file);
}
END_TEST

/* The double that was written, not the float that was stored. */
START_TEST(a_float_is_its_shortest_decimal)
{
    core_gguf *file = NULL;
    double eps = 0.0;
    check_ok(core_gguf_open(&file, DATA "granitemoe__biased.gguf"));
    const core_gguf_key *key =
        core_gguf_find_key(file, "granitemoe.attention.layer_norm_rms_epsilon");
    ck_assert(core_gguf_number(key, 0, &eps) && eps == 1e-5);
    core_gguf_close(file);
}
END_TEST

/* --- a model with something changed --- */

enum { U32 = 4, F32_VALUE = 6 };

/* The file with `bytes` bytes of `to` in the place of `from`; and its model. */
static void write_changed(const char *name, const void *from, const void *to,
                          size_t bytes, char path[128])
{
    static unsigned char all[1 << 18];
    FILE *file = fopen(name, "rb");
    ck_assert_ptr_nonnull(file);
    const size_t n = fread(all, 1, sizeof all, file);
    fclose(file);
    ck_assert(n < sizeof all);
    size_t at = 0;
    while (at + bytes <= n && memcmp(all + at, from, bytes) != 0)
        at++;
    ck_assert(at + bytes <= n);
    memcpy(all + at, to, bytes);
    path_of(path, "x.gguf");
    file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert(fwrite(all, n, 1, file) == 1);
    fclose(file);
}

static core_status open_changed(const char *name, const void *from,
                                const void *to, size_t bytes, core_spec *spec,
                                core_st_folder **files)
{
    char path[128];
    core_config_facts facts;
    write_changed(name, from, to, bytes, path);
    core_message_clear();
    CORE_TRY(core_gguf_spec(spec, &facts, NULL, path));
    return core_model_files_open(files, spec, path);
}

/* A number that is read by itself counts as missing where it is none, and its
 * fraction was looked for without end.                                       */
static const struct turned {
    uint32_t type;
    float value;
    const char *says; /* NULL: nothing is wrong                               */
} TURNED[] = {
    {F32_VALUE, 16.0F, NULL},
    {F32_VALUE, 6.5F, "rope.dimension_count: 6.5, expected a count"},
    {F32_VALUE, NAN, "llama.rope.dimension_count: expected a finite number"},
};
enum { N_TURNED = sizeof TURNED / sizeof TURNED[0] };

START_TEST(a_key_that_is_no_number_is_not_missing)
{
    const struct turned *t = &TURNED[_i];
    static const char KEY[] = "llama.rope.dimension_count";
    const size_t n = sizeof KEY - 1;
    const uint32_t type = U32, value = 16;
    unsigned char from[64], to[64];
    core_spec spec;
    core_st_folder *files = NULL;
    memcpy(from, KEY, n);
    memcpy(from + n, &type, 4);
    memcpy(from + n + 4, &value, 4);
    memcpy(to, KEY, n);
    memcpy(to + n, &t->type, 4);
    memcpy(to + n + 4, &t->value, 4);
    const core_status status = open_changed(DATA "mixtral__leftpad.gguf", from,
                                            to, n + 8, &spec, &files);
    core_st_folder_close(files);
    if (t->says == NULL) {
        check_ok(status);
        return;
    }
    ck_assert_int_eq(status, CORE_E_SPEC);
    ck_assert_msg(strstr(core_message(), t->says) != NULL, "%s",
                  core_message());
}
END_TEST

/* The model of a file in whose list `key` the byte at `at` is another, under
 * the name of `arch`. */
static core_spec open_listed(const char *name, const char *key,
                             const unsigned char *list, size_t n_list,
                             const char *arch, size_t at, unsigned char value)
{
    const size_t n = strlen(key);
    unsigned char from[64], to[64];
    char path[128];
    core_spec spec;
    core_config_facts facts;
    memcpy(from, key, n);
    memcpy(from + n, list, n_list);
    memcpy(to, from, n + n_list);
    memcpy(to, arch, strlen(arch));
    to[n + at] = value;
    write_changed(name, from, to, n + n_list, path);
    check_ok(core_gguf_spec(&spec, &facts, NULL, path));
    return spec;
}

/* Whether the second layer of GLM-5 chooses keys: the key's word, and where the
 * key is another architecture's, whether it has an indexer.                  */
static const struct chooses {
    const char *prefix;
    unsigned char second;
    core_sight sight;
} CHOOSES[] = {
    {"glm-dsa", 0, CORE_SIGHT_KEPT},
    {"glm-dsa", 1, CORE_SIGHT_CHOSEN},
    {"glm-xxx", 1, CORE_SIGHT_KEPT},
};
enum { N_CHOOSES = sizeof CHOOSES / sizeof CHOOSES[0] };

START_TEST(layers_choose_as_a_key_or_else_tensors_say)
{
    static const unsigned char LISTED[] = {LIST, 0, 0, 0, 7, 0, 0, 0, 4, 0,
                                           0,    0, 0, 0, 0, 0, 1, 0, 1, 0};
    const core_spec spec =
        open_listed(DATA "glm_moe_dsa__shared_index.gguf",
                    "glm-dsa.attention.indexer.types", LISTED, sizeof LISTED,
                    CHOOSES[_i].prefix, 17, CHOOSES[_i].second);
    ck_assert_int_eq(spec.sight[0], CORE_SIGHT_CHOSEN);
    ck_assert_int_eq(spec.sight[1], CHOOSES[_i].sight);
    ck_assert_int_eq(spec.sight[2], CORE_SIGHT_CHOSEN);
}
END_TEST

/* Whether the third layer of Qwen3.5 has a delta net: the list's word, and
 * where the list is another architecture's, every fourth has attention. */
static const struct mixes {
    const char *prefix;
    unsigned char third;
    core_mixer mixer;
} MIXES[] = {
    {"qwen35moe", 0, CORE_MIXER_ATTENTION},
    {"qwen35moe", 1, CORE_MIXER_DELTANET},
    {"qwen35xxx", 0, CORE_MIXER_DELTANET},
};
enum { N_MIXES = sizeof MIXES / sizeof MIXES[0] };

START_TEST(layers_mix_as_a_list_or_else_a_period_says)
{
    static const unsigned char LISTED[] = {LIST, 0, 0, 0, 7, 0, 0, 0, 4, 0,
                                           0,    0, 0, 0, 0, 0, 1, 1, 0};
    const core_spec spec =
        open_listed(DATA "qwen3_5_moe__wrapped.gguf",
                    "qwen35moe.attention.recurrent_layers", LISTED,
                    sizeof LISTED, MIXES[_i].prefix, 18, MIXES[_i].third);
    ck_assert_int_eq(core_spec_mixer(&spec, 0), CORE_MIXER_DELTANET);
    ck_assert_int_eq(core_spec_mixer(&spec, 2), MIXES[_i].mixer);
}
END_TEST

/* Heads of 6 values instead of 5: more rows and columns than there are. */
START_TEST(heads_that_do_not_fit_stay_as_they_lie)
{
    static const char KEY[] = "qwen35moe.ssm.inner_size\4\0\0\0\36\0\0",
                      TO[] = "qwen35moe.ssm.inner_size\4\0\0\0\44\0\0";
    core_spec spec;
    core_st_folder *files = NULL;
    check_ok(open_changed(DATA "qwen3_5_moe__wrapped.gguf", KEY, TO, sizeof KEY,
                          &spec, &files));
    ck_assert_int_eq(spec.deltanet.n_dv, 6);
    for (int64_t i = 0; i < core_st_folder_count(files); i++) {
        const core_st_place at = core_st_folder_at(files, i);
        if (strstr(at.tensor->name, "in_proj_z") != NULL ||
            strstr(at.tensor->name, "out_proj") != NULL)
            ck_assert_ptr_null(at.how);
        if (strstr(at.tensor->name, "in_proj_qkv") != NULL)
            ck_assert_int_eq(at.how->order, CORE_ORDER_TILED_ROWS);
    }
    core_st_folder_close(files);
}
END_TEST

/* Heads of 16 rows, as the tensors have them, and of 24, which no tensor is
 * made of. */
START_TEST(rows_that_are_no_whole_heads_stay_as_they_lie)
{
    static const struct sizes {
        char hidden[32], rotated[36];
        int64_t n_dh;
    } SIZES[] = {
        {"llama.embedding_length\4\0\0\0\100",
         "llama.rope.dimension_count\4\0\0\0\20", 16},
        {"llama.embedding_length\4\0\0\0\140",
         "llama.rope.dimension_count\4\0\0\0\30", 24},
    };
    const struct sizes *to = &SIZES[_i];
    char path[128];
    core_spec spec;
    core_st_folder *files = NULL;
    write_changed(DATA "mixtral__leftpad.gguf", SIZES[0].hidden, to->hidden, 27,
                  path);
    check_ok(
        open_changed(path, SIZES[0].rotated, to->rotated, 31, &spec, &files));
    ck_assert_int_eq(spec.n_dh, to->n_dh);
    for (int64_t i = 0; i < core_st_folder_count(files); i++) {
        const core_st_place at = core_st_folder_at(files, i);
        if (strstr(at.tensor->name, "q_proj") != NULL ||
            strstr(at.tensor->name, "k_proj") != NULL)
            ck_assert((at.how != NULL) == (_i == 0));
    }
    core_st_folder_close(files);
}
END_TEST

/* What no shard may cut: a block, or all heads of which it holds parts. */
START_TEST(a_block_of_several_heads_is_the_whole_row)
{
    core_repack how = {.kind = CORE_PACKED_Q4_K,
                       .order = CORE_ORDER_TILED_COLUMNS,
                       .head = 128,
                       .n_head = 6,
                       .n_group = 2};
    ck_assert_int_eq(core_repack_block(&how), 6 * 128);
    how.order = CORE_ORDER_TILED_ROWS;
    ck_assert_int_eq(core_repack_block(&how), 256);
    how.order = CORE_ORDER_TILED_COLUMNS;
    how.kind = CORE_PACKED_Q8_0;
    ck_assert_int_eq(core_repack_block(&how), 32);
}
END_TEST

/* A layer that predicts further tokens is no part of the model; activations
 * beside a block with columns of four heads are not emulated. */
START_TEST(a_delta_net_in_blocks_opens_without_activations)
{
    static const char KEY[] = "qwen35moe.ssm.inner_size";
    char path[128];
    core_spec spec;
    core_st_folder *files = NULL;
    core_weights *weights = NULL;
    check_ok(open_changed(TEST_DATA_DIR "/../fuzz/seeds/gguf_qwen35moe", KEY,
                          KEY, sizeof KEY - 1, &spec, &files));
    core_st_folder_close(files);
    ck_assert_int_eq(spec.n_l, 2);
    path_of(path, "x.gguf");
    check_ok(core_weights_open_checkpoint(&weights, &spec, path, false));
    core_weights_close(weights);
    ck_assert_int_eq(core_weights_open_checkpoint(&weights, &spec, path, true),
                     CORE_E_WEIGHTS);
    ck_assert_ptr_nonnull(strstr(core_message(), "out_proj.weight: "));
    ck_assert_ptr_nonnull(strstr(core_message(), "not emulated"));
}
END_TEST

/* A layer's number with a zero before it is another name of the same. */
START_TEST(two_tensors_do_not_mean_one_weight)
{
    core_spec spec;
    core_st_folder *files = NULL;
    ck_assert_int_eq(open_changed(DATA "mixtral__leftpad.gguf",
                                  "blk.1.attn_norm.weight",
                                  "blk.00.ffn_norm.weight", 22, &spec, &files),
                     CORE_E_FORMAT);
    ck_assert_ptr_nonnull(
        strstr(core_message(), "more than one tensor means 'model.layers.0."));
    ck_assert_ptr_null(files);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_gguf");
    TCase *tests = tcase_create("gguf");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, make_folder, remove_folder);
    tcase_add_loop_test(tests, blocks_mean_what_the_package_says, 0,
                        CORE_N_PACKED_KINDS);
    tcase_add_loop_test(tests, converted_weights_are_those_of_the_checkpoint, 0,
                        N_CONVERTED);
    tcase_add_loop_test(tests, metadata_are_the_model_but_for_what_has_no_key,
                        0, N_TOLD);
    tcase_add_loop_test(tests, a_wrong_file_is_refused, 0, N_WRONGS);
    tcase_add_test(tests, names_stand_once);
    tcase_add_test(tests, a_file_that_ends_early_is_refused);
    tcase_add_test(tests, values_of_keys);
    tcase_add_test(tests, a_float_is_its_shortest_decimal);
    tcase_add_loop_test(tests, a_key_that_is_no_number_is_not_missing, 0,
                        N_TURNED);
    tcase_add_loop_test(tests, layers_choose_as_a_key_or_else_tensors_say, 0,
                        N_CHOOSES);
    tcase_add_loop_test(tests, layers_mix_as_a_list_or_else_a_period_says, 0,
                        N_MIXES);
    tcase_add_test(tests, heads_that_do_not_fit_stay_as_they_lie);
    tcase_add_loop_test(tests, rows_that_are_no_whole_heads_stay_as_they_lie, 0,
                        2);
    tcase_add_test(tests, a_block_of_several_heads_is_the_whole_row);
    tcase_add_test(tests, a_delta_net_in_blocks_opens_without_activations);
    tcase_add_test(tests, two_tensors_do_not_mean_one_weight);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
