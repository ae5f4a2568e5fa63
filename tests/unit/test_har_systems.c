/* tests/unit/test_har_systems.c -- plans in the words of other systems.
 *
 * Every legal plan of a model that Megatron can express comes back from its
 * arguments unchanged; the ones it cannot are those that the rules name, no
 * others.
 */
#include "harness/systems/systems.h"
#include "tests/support/check_main.h"

#include <stdlib.h>
#include <string.h>

#define N_ROWS(table) ((int)(sizeof(table) / sizeof(table)[0]))

/* What emit writes, as a string; NULL if it refuses.  Caller frees. */
static char *emitted(har_system system, const par_plan *plan,
                     const core_spec *spec)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    ck_assert_ptr_nonnull(out);
    core_message_clear();
    const core_status status = har_system_emit(system, plan, spec, out);
    ck_assert(fclose(out) == 0);
    if (status == CORE_OK)
        return text;
    ck_assert_int_eq(status, CORE_E_PLAN);
    ck_assert_uint_eq(n, 0); /* a refusal writes nothing */
    free(text);
    return NULL;
}

static core_spec model(const char *name)
{
    core_spec spec;
    ck_assert_msg(core_spec_open(&spec, name, NULL) == CORE_OK, "%s",
                  core_message());
    return spec;
}

typedef struct trip {
    const core_spec *spec;
    int n_there, n_refused;
} trip;

static void check_trip(void *self, const par_plan *plan)
{
    trip *t = self;
    par_plan there = *plan, back;
    there.mb = 3;
    char before[PAR_PLAN_TEXT], after[PAR_PLAN_TEXT];
    par_plan_format(&there, before);
    char *text = emitted(HAR_MEGATRON, &there, t->spec);
    const bool can = (there.scope == PAR_SCOPE_STAGE ||
                      (there.pp == 1 && there.dp == 1)) &&
                     t->spec->n_e % there.ep == 0 &&
                     t->spec->n_f % there.etp == 0 &&
                     (t->spec->n_g % there.tp == 0 ||
                      there.tp % t->spec->n_g == 0) &&
                     t->spec->n_f_dense % there.tp == 0 &&
                     t->spec->n_f_shared % there.tp == 0;
    const int one_more = (int)(t->spec->n_l % there.pp);
    const bool stages = one_more <= 1 || one_more == there.pp - 1;
    ck_assert_msg((text != NULL) == (can && stages), "%s: %s", before,
                  core_message());
    if (text == NULL) {
        t->n_refused++;
        return;
    }
    ck_assert_msg(har_megatron_import(&back, text, t->spec) == CORE_OK,
                  "%s: %s", before, core_message());
    /* with pp = dp = 1 the two scopes are one */
    if (there.pp == 1 && there.dp == 1)
        there.scope = PAR_SCOPE_STAGE;
    par_plan_format(&there, before);
    par_plan_format(&back, after);
    ck_assert_str_eq(before, after);
    free(text);
    t->n_there++;
}

static const struct {
    const char *model;
    int n_rank;
} trips[] = {{"seed-mini", 16}, {"seed-mini", 24}, {"shadow-a", 10},
             {"shadow-b", 12},  {"seed-mini", 1}};

START_TEST(test_round_trip)
{
    const core_spec spec = model(trips[_i].model);
    trip t = {&spec, 0, 0};
    par_plan_each_legal(&spec, trips[_i].n_rank, check_trip, &t);
    ck_assert_int_gt(t.n_there, 0);
    ck_assert(t.n_refused > 0 || trips[_i].n_rank == 1);
}
END_TEST

/* Uneven stages, first and last. */
static const struct {
    const char *plan, *line, *back;
} stages[] = {
    {"pp=3,stages=2/7/7", "--decoder-first-pipeline-num-layers 2",
     "pp=3,stages=2/7/7"},
    {"pp=3,stages=7/7/2", "--decoder-last-pipeline-num-layers 2",
     "pp=3,stages=7/7/2"},
    {"pp=4,stages=1/6/6/3", "--decoder-last-pipeline-num-layers 3",
     "pp=4,stages=1/6/6/3"},
    {"pp=2,stages=13/3", "--decoder-first-pipeline-num-layers 13",
     "pp=2,stages=13/3"},
    {"pp=3,stages=6/5/5", "--decoder-first-pipeline-num-layers 6", "pp=3"},
    {"pp=2,stages=8/8", "--pipeline-model-parallel-size 2", "pp=2"},
};

START_TEST(test_stages)
{
    const core_spec spec = model("seed-mini");
    par_plan plan, back;
    char text[PAR_PLAN_TEXT];
    ck_assert(par_plan_parse(&plan, stages[_i].plan) == CORE_OK);
    char *args = emitted(HAR_MEGATRON, &plan, &spec);
    ck_assert_ptr_nonnull(args);
    ck_assert_ptr_nonnull(strstr(args, stages[_i].line));
    ck_assert_msg(har_megatron_import(&back, args, &spec) == CORE_OK, "%s",
                  core_message());
    par_plan_format(&back, text);
    ck_assert_str_eq(text, stages[_i].back);
    free(args);
}
END_TEST

/* Refusals of emit, each beside a plan that is written. */
static const struct {
    har_system system;
    bool capacity; /* of the model: seed-mini with it or without               */
    const char *plan, *fragment, *twin;
} refusals[] = {
    {HAR_MEGATRON, true, "tp=2,pp=2,ep=4,scope=replica", "scope=replica",
     "tp=2,pp=2,ep=2"},
    {HAR_MEGATRON, true, "rounds=2", "rounds=2", "mb=2"},
    {HAR_MEGATRON, true, "pp=4,stages=5/5/3/3", "stages", "pp=4,stages=5/4/4/3"},
    {HAR_MEGATRON, true, "dp=3,ep=3", "experts: expected equal parts, found 64 "
     "% 3 = 1", "dp=4,ep=4"},
    {HAR_MEGATRON, true, "dp=3,etp=3", "inner columns: expected equal parts",
     "dp=2,etp=2"},
    {HAR_VLLM, true, "tp=2,ep=2", "capacity", NULL},
    {HAR_VLLM, false, "tp=2,dp=2,ep=2", "expected ep = tp*dp = 4 and etp = 1",
     "tp=2,dp=2,ep=4"},
    {HAR_VLLM, false, "tp=2,ep=1", "or ep = 1 and etp = 2", "tp=2,etp=2"},
    {HAR_VLLM, false, "rounds=2", "rounds=2", "mb=2"},
};

START_TEST(test_refusal)
{
    core_spec spec = model("seed-mini");
    par_plan plan;
    if (!refusals[_i].capacity)
        spec.capacity.rule = CORE_CAPACITY_NONE;
    ck_assert(par_plan_parse(&plan, refusals[_i].plan) == CORE_OK);
    ck_assert(par_plan_check(&plan, &spec) == CORE_OK);
    ck_assert_ptr_null(emitted(refusals[_i].system, &plan, &spec));
    ck_assert_msg(strstr(core_message(), refusals[_i].fragment) != NULL,
                  "'%s' lacks '%s'", core_message(), refusals[_i].fragment);
    if (refusals[_i].twin == NULL) { /* the model is at fault */
        spec.capacity.rule = CORE_CAPACITY_NONE;
        spec.capacity.factor = 0.0;
    } else {
        ck_assert(par_plan_parse(&plan, refusals[_i].twin) == CORE_OK);
    }
    char *text = emitted(refusals[_i].system, &plan, &spec);
    ck_assert_msg(text != NULL, "%s", core_message());
    free(text);
}
END_TEST

START_TEST(test_placement)
{
    core_spec spec = model("shadow-b"); /* 26 experts */
    par_plan plan;
    ck_assert(par_plan_parse(&plan, "dp=2,ep=2,placement=0/1/0/1/0/1/0/1/0/1/0/"
                             "1/0/1/0/1/0/1/0/1/0/1/0/1/0/1") == CORE_OK);
    ck_assert(par_plan_check(&plan, &spec) == CORE_OK);
    ck_assert_ptr_null(emitted(HAR_MEGATRON, &plan, &spec));
    ck_assert(strstr(core_message(), "placement") != NULL);
    ck_assert(par_plan_parse(&plan, "dp=2,ep=2") == CORE_OK);
    char *text = emitted(HAR_MEGATRON, &plan, &spec);
    ck_assert_ptr_nonnull(text);
    free(text);
}
END_TEST

/* vLLM: the whole text. */
static const struct {
    const char *plan, *text;
} vllm[] = {
    {"tp=2,dp=2,ep=4", "--tensor-parallel-size 2\n--pipeline-parallel-size 1\n"
     "--data-parallel-size 2\n--enable-expert-parallel\n"},
    {"tp=2,dp=2,etp=4", "--tensor-parallel-size 2\n--pipeline-parallel-size 1\n"
     "--data-parallel-size 2\n"},
    {"pp=3,mb=4", "VLLM_PP_LAYER_PARTITION=6,5,5\n--tensor-parallel-size 1\n"
     "--pipeline-parallel-size 3\n--data-parallel-size 1\n"
     "# micro-batches are the scheduler's: mb=4 has no flag\n"},
};

START_TEST(test_vllm)
{
    core_spec spec = model("seed-mini");
    par_plan plan;
    spec.capacity.rule = CORE_CAPACITY_NONE;
    ck_assert(par_plan_parse(&plan, vllm[_i].plan) == CORE_OK);
    char *text = emitted(HAR_VLLM, &plan, &spec);
    ck_assert_msg(text != NULL, "%s", core_message());
    ck_assert_str_eq(text, vllm[_i].text);
    free(text);
}
END_TEST

/* --- import --- */

#define TP2 "--tensor-model-parallel-size 2 "

static const struct {
    const char *args, *plan;
} imports[] = {
    {"WORLD_SIZE=1", "tp=1"},
    /* experts are cut over the tensor group unless told otherwise */
    {TP2 "WORLD_SIZE=4", "tp=2,dp=2,etp=2"},
    {TP2 "--expert-tensor-parallel-size=1 WORLD_SIZE=4", "tp=2,dp=2"},
    {TP2 "\\\n  --sequence-parallel \\\n WORLD_SIZE 2 # no flag here\n",
     "tp=2,etp=2"},
    {"WORLD_SIZE=4 --micro-batch-size 2 --global-batch-size 24", "dp=4,mb=3"},
    {"WORLD_SIZE=1 --num-experts 64 --moe-router-topk 1 --num-layers 16 "
     "--moe-expert-capacity-factor 1.1 --moe-token-drop-policy position "
     "--context-parallel-size 1", "tp=1"},
};

START_TEST(test_import)
{
    const core_spec spec = model("seed-mini");
    par_plan plan;
    core_message_clear();
    ck_assert_msg(har_megatron_import(&plan, imports[_i].args, &spec) ==
                      CORE_OK, "%s", core_message());
    ck_assert_str_eq(plan.text, imports[_i].plan);
}
END_TEST

static const struct {
    const char *args, *fragment;
    core_status status;
} bad_imports[] = {
    {"WORLD_SIZE=1 --num-layers-per-virtual-pipeline-stage 2",
     "flag '--num-layers-per-virtual-pipeline-stage'", CORE_E_USAGE},
    {"WORLD_SIZE=1 tp=2", "flag 'tp'", CORE_E_USAGE},
    {TP2, "WORLD_SIZE=N is missing", CORE_E_USAGE},
    {TP2 "WORLD_SIZE=3", "3 % 2, expected 0", CORE_E_USAGE},
    {TP2 TP2 "WORLD_SIZE=4", "is given twice", CORE_E_USAGE},
    {"WORLD_SIZE=x", "found 'x'", CORE_E_USAGE},
    {"WORLD_SIZE=0", "found '0'", CORE_E_USAGE},
    {"WORLD_SIZE=", "found ''", CORE_E_USAGE},
    {"WORLD_SIZE=99999999999999999999", "from 1 to", CORE_E_USAGE},
    {"WORLD_SIZE", "its value is missing", CORE_E_USAGE},
    {"WORLD_SIZE=1 --sequence-parallel=yes", "takes no value", CORE_E_USAGE},
    {"WORLD_SIZE=1 --num-experts 8", "--num-experts 8, but seed-mini has 64",
     CORE_E_USAGE},
    {"WORLD_SIZE=1 --moe-router-topk 2", "has 1", CORE_E_USAGE},
    {"WORLD_SIZE=1 --num-layers 15", "has 16", CORE_E_USAGE},
    {"WORLD_SIZE=2 --context-parallel-size 2", "no such degree", CORE_E_USAGE},
    {"WORLD_SIZE=1 --moe-expert-capacity-factor 1.2", "has 1.1", CORE_E_USAGE},
    {"WORLD_SIZE=1 --moe-expert-capacity-factor nan", "has 1.1", CORE_E_USAGE},
    {"WORLD_SIZE=1 --moe-token-drop-policy probs", "has position",
     CORE_E_USAGE},
    {"WORLD_SIZE=4 --global-batch-size 6", "6 % 4, expected 0", CORE_E_USAGE},
    {"WORLD_SIZE=3 --pipeline-model-parallel-size 3", "16 layers are left for "
     "3 stages", CORE_E_USAGE},
    {"WORLD_SIZE=3 --pipeline-model-parallel-size 3 "
     "--decoder-first-pipeline-num-layers 3", "13 layers are left for 2",
     CORE_E_USAGE},
    {"WORLD_SIZE=2 --pipeline-model-parallel-size 2 "
     "--decoder-first-pipeline-num-layers 20", "-4 layers are left",
     CORE_E_USAGE},
    {"WORLD_SIZE=2 --expert-model-parallel-size 4", "does not divide",
     CORE_E_PLAN},
};

START_TEST(test_bad_import)
{
    const core_spec spec = model("seed-mini");
    par_plan plan;
    memset(&plan, 0x5a, sizeof plan);
    const par_plan before = plan;
    core_message_clear();
    ck_assert_int_eq(har_megatron_import(&plan, bad_imports[_i].args, &spec),
                     bad_imports[_i].status);
    ck_assert_msg(strstr(core_message(), bad_imports[_i].fragment) != NULL,
                  "'%s' lacks '%s'", core_message(), bad_imports[_i].fragment);
    ck_assert_int_eq(memcmp(&plan, &before, sizeof plan), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_systems");
    TCase *all = tcase_create("systems");
    tcase_add_loop_test(all, test_round_trip, 0, N_ROWS(trips));
    tcase_add_loop_test(all, test_stages, 0, N_ROWS(stages));
    tcase_add_loop_test(all, test_refusal, 0, N_ROWS(refusals));
    tcase_add_test(all, test_placement);
    tcase_add_loop_test(all, test_vllm, 0, N_ROWS(vllm));
    tcase_add_loop_test(all, test_import, 0, N_ROWS(imports));
    tcase_add_loop_test(all, test_bad_import, 0, N_ROWS(bad_imports));
    suite_add_tcase(suite, all);
    return check_main(suite);
}
