/* tests/unit/test_core_experts.c -- one model's experts as every saver writes
 * them.
 *
 * A committed checkpoint of each family is written again with its experts in
 * another form, by formulas of this file; what is read from it must be, bit for
 * bit, what is read from the published form.
 */
#include "core/files/safetensors.h"
#include "core/weights/weights.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 4096, NAME_BYTES = 128 };

/* A family: a committed case, the module of its experts, whether gate and up
 * alternate where they are joined, and how transformers 5 calls things. */
static const struct family {
    const char *at, *experts;
    bool alternate;
    const char *renames[2][2];
} FAMILIES[] = {
    {"mixtral/tiny",
     "block_sparse_moe.experts",
     false,
     {{".block_sparse_moe.", ".mlp."}}},
    {"qwen2_moe/sparse_step_tied_mqa", "mlp.experts", false, {{0}}},
    {"qwen3_moe/dense_mix_llama3", "mlp.experts", false, {{0}}},
    {"olmoe/clip_gqa_top8", "mlp.experts", false, {{0}}},
    {"gpt_oss/mxfp4", "mlp.experts", true, {{0}}},
    {"deepseek_v2/grouped_yarn", "mlp.experts", false, {{0}}},
    {"deepseek_v3/yarn_bf16", "mlp.experts", false, {{0}}},
    {"glm4_moe/tiny", "mlp.experts", false, {{0}}},
    {"dots1/tiny", "mlp.experts", false, {{0}}},
    {"llama4/tiny", "feed_forward.experts", false, {{0}}},
    {"granitemoe/tiny",
     "block_sparse_moe.experts",
     false,
     {{".router.layer.", ".router."}}},
    {"phimoe/tiny",
     "block_sparse_moe.experts",
     false,
     {{".block_sparse_moe.gate.", ".mlp.router."},
      {".block_sparse_moe.", ".mlp."}}},
    {"jamba/tiny", "feed_forward.experts", false, {{0}}},
};

/* A form: are the experts stacked, is a matrix [in, out], are gate and up one
 * tensor, and the names. */
static const struct form {
    bool stacked, transposed, joined, renamed;
    const char *gate, *up, *down;
} FORMS[] = {
    {false, false, false, false, "gate_proj", "up_proj", "down_proj"},
    {false, false, false, false, "w1", "w3", "w2"},
    {false, false, true, false, "gate_up_proj", "gate_up_proj", "down_proj"},
    {true, false, true, false, "gate_up_proj", "gate_up_proj", "down_proj"},
    {true, true, true, false, "gate_up_proj", "gate_up_proj", "down_proj"},
    {true, false, false, false, "gate_proj", "up_proj", "down_proj"},
    {true, false, true, true, "gate_up_proj", "gate_up_proj", "down_proj"},
};

enum {
    N_FAMILIES = sizeof FAMILIES / sizeof FAMILIES[0],
    N_FORMS = sizeof FORMS / sizeof FORMS[0]
};

/* The file being made: its tensors, named in `name`, and their values where
 * they are not copied from the published file. */
static core_st_tensor tensors[MAX_TENSORS];
static char names[MAX_TENSORS][NAME_BYTES];
static float *values[MAX_TENSORS];
static int n_tensors;

static int find(const char *name)
{
    for (int i = 0; i < n_tensors; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static void rename_as_v5(char name[NAME_BYTES], const struct family *family)
{
    for (int i = 0; i < 2; i++) {
        const char *from = family->renames[i][0];
        char rest[NAME_BYTES], *at = from ? strstr(name, from) : NULL;
        if (at == NULL)
            continue;
        snprintf(rest, sizeof rest, "%s", at + strlen(from));
        snprintf(at, NAME_BYTES - (size_t)(at - name), "%s%s",
                 family->renames[i][1], rest);
        return;
    }
}

/* The tensor of a weight of the experts, made where it is not there yet. */
static int tensor_of(const struct family *family, const struct form *form,
                     core_weight id, const char *leaf, bool is_bias,
                     const int64_t *shape, int n_dim)
{
    char name[NAME_BYTES], number[16] = "";
    if (!form->stacked)
        snprintf(number, sizeof number, ".%d", id.expert);
    snprintf(name, sizeof name, "model.layers.%d.%s%s.%s%s", id.layer,
             family->experts, number, leaf,
             form->stacked ? is_bias ? "_bias" : ""
             : is_bias     ? ".bias"
                           : ".weight");
    if (form->renamed)
        rename_as_v5(name, family);
    int i = find(name);
    if (i >= 0)
        return i;
    i = n_tensors++;
    ck_assert_int_lt(i, MAX_TENSORS);
    strcpy(names[i], name);
    tensors[i] = (core_st_tensor){
        .name = names[i], .dtype = CORE_DTYPE_F32, .n_dim = n_dim};
    int64_t n = 1;
    for (int d = 0; d < n_dim; d++)
        n *= tensors[i].shape[d] = shape[d];
    values[i] = calloc((size_t)n, sizeof(float));
    ck_assert_ptr_nonnull(values[i]);
    return i;
}

/* One weight of one expert into its tensor. */
static void put_expert(const struct family *family, const struct form *form,
                       const core_weights *w, const core_spec *spec,
                       core_weight id)
{
    const bool is_bias = id.kind >= CORE_W_EXPERT_GATE_BIAS;
    const int what =
        (int)id.kind - (int)(is_bias ? CORE_W_EXPERT_GATE_BIAS
                                     : CORE_W_EXPERT_GATE); /* gate, up, down */
    const char *leaf = what == 0   ? form->gate
                       : what == 1 ? form->up
                                   : form->down;
    int64_t n_r, n_c, shape[3], n_dim = 0;
    core_weight_shape(spec, id, &n_r, &n_c);
    if (is_bias) { /* one number for each row of the matrix */
        n_r = n_c;
        n_c = 1;
    }
    const bool half = form->joined && what < 2;
    const int64_t n_out = half ? 2 * n_r : n_r;
    if (form->stacked)
        shape[n_dim++] = spec->n_e;
    shape[n_dim++] = form->transposed && !is_bias ? n_c : n_out;
    if (!is_bias)
        shape[n_dim++] = form->transposed ? n_out : n_c;
    float *to =
        values[tensor_of(family, form, id, leaf, is_bias, shape, (int)n_dim)];
    double *from = malloc((size_t)(n_r * n_c) * sizeof *from);
    ck_assert_ptr_nonnull(from);
    core_weights_read(w, id, 0, is_bias ? 1 : n_r, 0, is_bias ? n_r : n_c, from,
                      is_bias ? n_r : n_c);
    if (form->stacked)
        to += id.expert * n_out * n_c;
    for (int64_t r = 0; r < n_r; r++)
        for (int64_t c = 0; c < n_c; c++) {
            const int64_t out = !half               ? r
                                : family->alternate ? 2 * r + what
                                                    : what * n_r + r;
            to[form->transposed && !is_bias ? c * n_out + out : out * n_c + c] =
                (float)from[r * n_c + c];
        }
    free(from);
}

static bool is_of_experts(const char *name)
{
    return strstr(name, ".experts.") != NULL ||
           strstr(name, "moe.input_linear.") != NULL ||
           strstr(name, "moe.output_linear.") != NULL;
}

static void open_case(const struct family *family, core_spec *spec,
                      core_weights **w, core_st **file)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN_DIR "/oracle/%s", family->at);
    ck_assert_int_eq(core_spec_open(spec, path, NULL), CORE_OK);
    ck_assert_msg(core_weights_open_checkpoint(w, spec, path, false) ==
                      CORE_OK,
                  "%s",
                  core_message());
    strcat(path, "/model.safetensors");
    ck_assert_int_eq(core_st_open(file, path), CORE_OK);
}

/* model.safetensors in the scratch folder; `shorter`: the tensor of that name
 * has one row less of its first dimension. */
static void write_case(const struct family *family, const struct form *form,
                       const core_spec *spec, const core_weights *w,
                       const core_st *published)
{
    n_tensors = 0;
    for (int64_t i = 0; i < core_st_count(published); i++) {
        const core_st_tensor *t = core_st_at(published, i);
        if (is_of_experts(t->name))
            continue;
        snprintf(names[n_tensors], NAME_BYTES, "%s", t->name);
        if (form->renamed)
            rename_as_v5(names[n_tensors], family);
        tensors[n_tensors] = *t;
        tensors[n_tensors].name = names[n_tensors];
        values[n_tensors++] = NULL;
    }
    const int n_copied = n_tensors;
    for (int l = 0; l < spec->n_l; l++)
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++)
            for (int e = 0; e < spec->n_e; e++) {
                const core_weight id = {(core_weight_kind)k, l, e};
                if (core_weight_scope_of(id.kind) == CORE_SCOPE_EXPERT &&
                    core_weight_exists(spec, id))
                    put_expert(family, form, w, spec, id);
            }
    char path[128];
    core_st *file = NULL;
    path_of(path, "model.safetensors");
    ck_assert_msg(core_st_create(&file, path, tensors, n_tensors, NULL) ==
                      CORE_OK,
                  "%s", core_message());
    for (int i = 0; i < n_tensors; i++) {
        const core_st_tensor *t = core_st_find(file, names[i]);
        memcpy(t->data, i < n_copied ? tensors[i].data : (void *)values[i],
               t->bytes);
        free(values[i]);
    }
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
}

static void compare(const core_spec *spec, const core_weights *a,
                    const core_weights *b)
{
    const int64_t n = core_weight_count(spec);
    core_weight *ids = malloc((size_t)n * sizeof *ids);
    ck_assert_ptr_nonnull(ids);
    core_weight_list(spec, ids);
    for (int64_t i = 0; i < n; i++) {
        int64_t n_r, n_c;
        core_weight_shape(spec, ids[i], &n_r, &n_c);
        const size_t bytes = (size_t)(n_r * n_c) * sizeof(double);
        double *x = malloc(bytes), *y = malloc(bytes);
        ck_assert(x != NULL && y != NULL);
        core_weights_read(a, ids[i], 0, n_r, 0, n_c, x, n_c);
        core_weights_read(b, ids[i], 0, n_r, 0, n_c, y, n_c);
        char name[CORE_NAME_BYTES];
        ck_assert_msg(memcmp(x, y, bytes) == 0, "%s",
                      core_weight_name(ids[i], name));
        free(x);
        free(y);
    }
    free(ids);
}

START_TEST(every_form_of_every_family_reads_the_same)
{
    const struct family *family = &FAMILIES[_i / N_FORMS];
    const struct form *form = &FORMS[_i % N_FORMS];
    core_spec spec;
    core_weights *w = NULL, *again = NULL;
    core_st *published = NULL;
    open_case(family, &spec, &w, &published);
    make_folder();
    write_case(family, form, &spec, w, published);
    ck_assert_msg(core_weights_open_checkpoint(&again, &spec, folder, false) ==
                      CORE_OK,
                  "%s", core_message());
    compare(&spec, w, again);
    core_weights_close(again);
    core_weights_close(w);
    core_st_close(published);
    remove_folder();
}
END_TEST

/* A form that is there, but not with these shapes, and none at all. */
START_TEST(what_is_no_form_is_refused_by_what_is_there)
{
    const struct family *family = &FAMILIES[2];
    core_spec spec;
    core_weights *w = NULL, *again = NULL;
    core_st *published = NULL;
    open_case(family, &spec, &w, &published);
    make_folder();
    write_case(family, &FORMS[3], &spec, w, published);
    const int64_t n_f = spec.n_f;
    spec.n_f--;
    ck_assert_int_eq(core_weights_open_checkpoint(&again, &spec, folder, false),
                     CORE_E_WEIGHTS);
    ck_assert_ptr_nonnull(
        strstr(core_message(), ".mlp.experts.gate_up_proj: shape ["));
    spec.n_f = n_f;
    const struct form odd = {true,          false,  true,  false,
                             "gate_and_up", "both", "none"};
    write_case(family, &odd, &spec, w, published);
    core_message_clear();
    ck_assert_int_eq(core_weights_open_checkpoint(&again, &spec, folder, false),
                     CORE_E_WEIGHTS);
    ck_assert_ptr_nonnull(strstr(core_message(), "gate_proj.weight: missing; "
                                                 "there is model.layers."));
    ck_assert_ptr_nonnull(strstr(core_message(), ".mlp.experts.both ["));
    core_weights_close(w);
    core_st_close(published);
    remove_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_experts");
    TCase *tcase = tcase_create("forms");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_form_of_every_family_reads_the_same, 0,
                        N_FAMILIES * N_FORMS);
    tcase_add_test(tcase, what_is_no_form_is_refused_by_what_is_there);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
