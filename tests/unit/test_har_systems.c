/* tests/unit/test_har_systems.c -- plans in the words of other systems.
 *
 * Every legal plan of a model that Megatron can express comes back from its
 * arguments unchanged; the ones it cannot are those that the rules name, no
 * others.
 */
#include "core/base/arena.h"
#include "harness/systems/shell.h"
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

/* What a text means; report: NULL, or freed by the caller. */
static core_status import(par_plan *plan, char **report, const char *text,
                          har_system system, const core_spec *spec)
{
    static const char *const name = "text";
    const har_import what = {.n_text = 1, .text = &text, .name = &name,
                             .system = system};
    size_t n = 0;
    FILE *out = report != NULL ? open_memstream(report, &n) : NULL;
    core_message_clear();
    const core_status status = har_system_import(plan, out, &what, spec);
    if (out != NULL)
        ck_assert(fclose(out) == 0);
    return status;
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
    har_system system;
    int n_there, n_refused;
} trip;

/* Which plans a system runs, as docs/systems.md words it. */
static bool can(const core_spec *s, const par_plan *p, har_system system)
{
    const int n = p->tp * p->dp;
    if ((p->scope == PAR_SCOPE_REPLICA && (p->pp > 1 || p->dp > 1)) ||
        s->n_f % p->etp != 0 || s->n_f_dense % p->tp != 0 ||
        s->n_f_shared % p->tp != 0 ||
        (s->n_g % p->tp != 0 && p->tp % s->n_g != 0))
        return false;
    switch (system) {
    case HAR_VLLM:
        return ((p->ep == n && p->etp == 1) || (p->ep == 1 && p->etp == n)) &&
               (s->n_v + 63) / 64 * 64 % p->tp == 0;
    case HAR_DEEPSPEED:
        return s->n_e % p->ep == 0 && s->n_g % p->tp == 0 && p->pp == 1 && p->etp == 1 &&
               (p->tp == 1 || p->ep > 1);
    case HAR_TORCHTITAN:
        return s->n_e % p->ep == 0 && p->etp == (p->ep == 1 ? p->tp : 1) &&
               s->n_g % p->tp == 0 && (!s->tied || p->pp == 1);
    case HAR_SGLANG:
        return s->n_e % p->ep == 0 &&
               (p->ep * p->etp == n || p->ep * p->etp == p->tp);
    default:
        return s->n_e % p->ep == 0 &&
               (s->n_h + 2 * s->n_g) * s->n_dh % p->tp == 0;
    }
}

/* Micro-batches where the system has a word for them. */
static int micro_batches(har_system system)
{
    return system == HAR_VLLM || system == HAR_SGLANG ? 1 : 3;
}

static void check_trip(void *self, const par_plan *plan)
{
    trip *t = self;
    par_plan there = *plan, back;
    there.mb = micro_batches(t->system);
    char before[PAR_PLAN_TEXT], after[PAR_PLAN_TEXT];
    par_plan_format(&there, before);
    char *text = emitted(t->system, &there, t->spec);
    ck_assert_msg((text != NULL) == can(t->spec, &there, t->system),
                  "%s of %s: %s", before, har_system_name(t->system),
                  core_message());
    if (text == NULL) {
        t->n_refused++;
        return;
    }
    ck_assert_msg(import(&back, NULL, text, t->system, t->spec) == CORE_OK,
                  "%s of %s: %s\n%s", before, har_system_name(t->system),
                  core_message(), text);
    /* with pp = dp = 1 the two scopes are one */
    if (there.pp == 1 && there.dp == 1)
        there.scope = PAR_SCOPE_STAGE;
    /* beside experts it wants tokens cut over tensor ranks */
    there.sp = t->system == HAR_MEGATRON && there.tp > 1 && t->spec->n_e > 0;
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

/* All systems; those that drop no token get the model without capacity, and
 * Megatron the one without what it has no flag for. */
START_TEST(test_round_trip)
{
    const int i = _i / HAR_N_EMITTED;
    core_spec spec = model(trips[i].model);
    const har_system system = (har_system)(_i % HAR_N_EMITTED);
    if (system != HAR_MEGATRON) {
        spec.capacity.rule = CORE_CAPACITY_NONE;
    } else {
        spec.router = CORE_ROUTER_SOFTMAX;
        spec.renormalise = false;
        spec.bias_ffn = spec.bias_mlp = spec.bias_o = false;
    }
    trip t = {&spec, system, 0, 0};
    par_plan_each_legal(&spec, trips[i].n_rank, check_trip, &t);
    ck_assert_int_gt(t.n_there, 0);
    ck_assert(t.n_refused > 0 || trips[i].n_rank == 1);
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
    {"pp=4,stages=5/5/3/3",
     "--pipeline-model-parallel-layout Ettttt|ttttt|ttt|tttL\n",
     "pp=4,stages=5/5/3/3"},
    {"pp=2,stages=8/8", "--pipeline-model-parallel-size 2", "pp=2"},
    {"pp=2,vpp=4,mb=6", "--num-virtual-stages-per-pipeline-rank 4\n",
     "pp=2,vpp=4,mb=6"},
    {"pp=2,vpp=2,mb=2,stages=5/4/4/3",
     "--pipeline-model-parallel-layout Ettttt|tttt|tttt|tttL\n",
     "pp=2,vpp=2,mb=2,stages=5/4/4/3"},
    {"tp=2,cp=2,dp=2,ep=8,sp=1", "--context-parallel-size 2\n",
     "tp=2,cp=2,dp=2,ep=8,sp=1"},
    {"cp=2,dp=2", "--cp-comm-type all_gather\n", "cp=2,dp=2"},
    {"cp=2,cp_kind=ring,dp=2", "--cp-comm-type p2p\n",
     "cp=2,cp_kind=ring,dp=2"},
    {"cp=4,cp_kind=ulysses,dp=2", "--cp-comm-type a2a\n",
     "cp=4,cp_kind=ulysses,dp=2"},
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
    ck_assert_msg(import(&back, NULL, args, HAR_MEGATRON, &spec) == CORE_OK, "%s",
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
    {HAR_VLLM, false, "cp=2,ep=2", "vllm: cp = 2", "dp=2,ep=2"},
    {HAR_SGLANG, false, "pp=2,vpp=2", "sglang: vpp = 2", "pp=2"},
    {HAR_MEGATRON, true, "pp=2,vpp=2,mb=3", "mb % pp = 3 % 2 = 1",
     "pp=2,vpp=2,mb=4"},
    {HAR_MEGATRON, true, "dp=2,sp=1", "with tp = 1", "tp=2,sp=1"},
    {HAR_VLLM, false, "tp=2,ep=2,sp=1", "vllm: sp=1", "tp=2,ep=2"},
    {HAR_SGLANG, false, "tp=2,ep=2,sp=1", "sglang: sp=1", "tp=2,ep=2"},
    {HAR_DEEPSPEED, false, "tp=2,ep=2,sp=1", "deepspeed: sp=1", "tp=2,ep=2"},
    {HAR_TORCHTITAN, false, "tp=2,ep=2,sp=1", "torchtitan: sp=1", "tp=2,ep=2"},
    {HAR_MEGATRON, true, "dp=3,ep=3",
     "experts: expected equal parts, found 64 "
     "% 3 = 1",
     "dp=4,ep=4"},
    {HAR_MEGATRON, true, "dp=3,etp=3", "inner columns: expected equal parts",
     "dp=2,etp=2"},
    {HAR_VLLM, true, "tp=2,ep=2", "capacity", NULL},
    {HAR_VLLM, false, "tp=2,dp=2,ep=2", "expected ep = tp*dp = 4 and etp = 1",
     "tp=2,dp=2,ep=4"},
    {HAR_VLLM, false, "tp=2,ep=1", "or ep = 1 and etp = 2", "tp=2,etp=2"},
    {HAR_VLLM, false, "rounds=2", "rounds=2", "mb=2"},
    {HAR_SGLANG, true, "tp=2,ep=2", "sglang: capacity", NULL},
    {HAR_SGLANG, false, "dp=3,ep=3", "sglang: experts: expected equal parts",
     "dp=4,ep=4"},
    {HAR_SGLANG, false, "tp=2,dp=4,ep=4",
     "sglang: expert mesh: expected "
     "ep*etp = tp*dp = 8, or tp = 2",
     "tp=2,dp=4,ep=8"},
    {HAR_DEEPSPEED, true, "tp=2,ep=2", "deepspeed: capacity", NULL},
    {HAR_DEEPSPEED, false, "pp=2", "deepspeed: stages: pp = 2", "dp=2"},
    {HAR_DEEPSPEED, false, "tp=2,dp=2,ep=2,etp=2",
     "expert_tensor_parallel_size = 2", "tp=2,dp=2,ep=4"},
    {HAR_DEEPSPEED, false, "tp=2", "with tp = 2 it asks for ep > 1",
     "tp=2,ep=2"},
    {HAR_TORCHTITAN, true, "tp=2,ep=2", "torchtitan: capacity", NULL},
    {HAR_TORCHTITAN, false, "tp=2,ep=2,dp=2,etp=2", "torchtitan: expert mesh",
     "tp=2,ep=4,dp=2"},
    {HAR_TORCHTITAN, false, "pp=2,stages=9/7", "torchtitan: stages", "pp=2"},
};

/* Models that a system has no flag for, or does not cut so. */
static void edit_nothing(core_spec *s) { (void)s; }
static void edit_sparsemixer(core_spec *s) { s->router = CORE_ROUTER_SPARSEMIXER; }
static void edit_renormalise(core_spec *s) { s->renormalise = true; }
static void edit_sigmoid(core_spec *s)
{
    s->router = CORE_ROUTER_SIGMOID;
    s->n_k = 2;
}
static void edit_biases(core_spec *s) { s->bias_ffn = true; }
static void edit_groups(core_spec *s, int64_t n_k)
{
    s->router = CORE_ROUTER_SIGMOID;
    s->renormalise = true;
    s->n_k = n_k;
    s->n_group = 4;
    s->n_group_kept = 2;
    s->group_score = CORE_GROUP_SCORE_BEST_TWO;
}
static void edit_groups_of_top_2(core_spec *s) { edit_groups(s, 2); }
static void edit_groups_of_top_4(core_spec *s) { edit_groups(s, 4); }

/* Six heads of 8 on one kv head: 64 rows of q, k and v. */
static void edit_one_kv(core_spec *s)
{
    s->n_h = 6;
    s->n_g = 1;
    s->n_dh = 8;
}
static void edit_untied(core_spec *s) { s->tied = false; }

static const struct {
    void (*edit)(core_spec *s);
    har_system system;
    const char *plan, *fragment;
} models[] = {
    {edit_nothing, HAR_MEGATRON, "tp=2,etp=2", NULL},
    {edit_sparsemixer, HAR_MEGATRON, "tp=2,etp=2", "no flag for the "
     "sparsemixer"},
    {edit_renormalise, HAR_MEGATRON, "tp=2,etp=2", "the weight is 1"},
    {edit_sigmoid, HAR_MEGATRON, "tp=2,etp=2", "it renormalises the scores"},
    {edit_biases, HAR_MEGATRON, "tp=2,etp=2", "biases: refused with "
     "expert-tensor-parallel-size 2"},
    {edit_biases, HAR_MEGATRON, "tp=2,ep=2", NULL},
    {edit_groups_of_top_2, HAR_MEGATRON, "tp=2,ep=2", "it scores a group of "
     "experts by its best 1 (topk / group_topk), seed-mini by its best 2"},
    {edit_groups_of_top_4, HAR_MEGATRON, "tp=2,ep=2", NULL},
    {edit_one_kv, HAR_MEGATRON, "tp=3", "rows of q, k and v: expected equal "
     "parts, found 64 % 3 = 1"},
    {edit_one_kv, HAR_MEGATRON, "tp=2,ep=2", NULL},
    {edit_one_kv, HAR_MEGATRON, "cp=3,cp_kind=ulysses", "kv heads of a2a: "
     "expected equal parts, found 1 % 3 = 1"},
    {edit_one_kv, HAR_MEGATRON, "cp=3,cp_kind=ring", NULL},
    {edit_one_kv, HAR_DEEPSPEED, "tp=2,ep=2", "kv heads: expected equal parts, "
     "found 1 % 2"},
    {edit_one_kv, HAR_DEEPSPEED, "dp=2,ep=2", NULL},
    {edit_one_kv, HAR_TORCHTITAN, "tp=2,ep=2", "kv heads: expected equal parts, "
     "found 1 % 2"},
    {edit_one_kv, HAR_TORCHTITAN, "dp=2,ep=2", NULL},
    {edit_one_kv, HAR_VLLM, "tp=2,ep=2", NULL},
    {edit_nothing, HAR_TORCHTITAN, "pp=2", "it refuses pp = 2 of a model whose "
     "head is its embedding"},
    {edit_untied, HAR_TORCHTITAN, "pp=2", NULL},
};

START_TEST(test_model)
{
    core_spec spec = model("seed-mini");
    par_plan plan;
    if (models[_i].system != HAR_MEGATRON)
        spec.capacity.rule = CORE_CAPACITY_NONE;
    models[_i].edit(&spec);
    ck_assert(par_plan_parse(&plan, models[_i].plan) == CORE_OK);
    char *text = emitted(models[_i].system, &plan, &spec);
    if (models[_i].fragment == NULL)
        ck_assert_msg(text != NULL, "%s", core_message());
    else
        ck_assert_msg(text == NULL && strstr(core_message(),
                                             models[_i].fragment) != NULL,
                      "'%s' lacks '%s'", core_message(), models[_i].fragment);
    free(text);
}
END_TEST

/* Companions that a flag needs: there where the model asks for them. */
START_TEST(test_companions)
{
    core_spec spec = model("seed-mini");
    par_plan plan;
    ck_assert(par_plan_parse(&plan, "tp=2,etp=2") == CORE_OK);
    for (int with = 0; with < 2; with++) {
        spec.n_k = with ? 1 : 2;
        spec.renormalise = !with;
        spec.bias_ffn = !with;
        if (!with)
            plan.etp = 1, plan.ep = 2;
        char *text = emitted(HAR_MEGATRON, &plan, &spec);
        ck_assert_msg(text != NULL, "%s", core_message());
        ck_assert_int_eq(strstr(text, "--moe-router-pre-softmax\n") != NULL,
                         with);
        ck_assert_int_eq(strstr(text, "--disable-bias-linear\n") != NULL, with);
        ck_assert_ptr_nonnull(strstr(text, "--make-vocab-size-divisible-by 1\n"));
        free(text);
    }
}
END_TEST

START_TEST(test_refusal)
{
    core_spec spec = model("seed-mini");
    par_plan plan;
    if (!refusals[_i].capacity)
        spec.capacity.rule = CORE_CAPACITY_NONE;
    spec.tied = false;
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
    {"pp=2,dp=2,ep=2", "--tensor-parallel-size 1\n--pipeline-parallel-size 2\n"
     "--data-parallel-size 2\n--enable-expert-parallel\n"
     "# ranks are numbered tensor, stage, data, here tensor, data, stage: plan "
     "--for vllm has the table\n"},
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
    {TP2 "\\\n  --sequence-parallel \\\n WORLD_SIZE=2 # no flag here\n",
     "tp=2,etp=2,sp=1"},
    {"--sequence-parallel WORLD_SIZE=1", "tp=1"}, /* turned off there */
    {TP2 "--context-parallel-size 3 WORLD_SIZE=12",
     "tp=2,cp=3,cp_kind=ring,dp=2,etp=2"}, /* p2p unless told otherwise */
    {"--cp-comm-type=a2a WORLD_SIZE=1", "tp=1"},
    {"WORLD_SIZE=2 --pipeline-model-parallel-size 2 "
     "--num-layers-per-virtual-pipeline-stage 2",
     "pp=2,vpp=4"},
    {"WORLD_SIZE=3 --pipeline-model-parallel-size 3 "
     "--num-virtual-stages-per-pipeline-rank 2 "
     "--decoder-first-pipeline-num-layers 4 "
     "--decoder-last-pipeline-num-layers 2",
     "pp=3,vpp=2,stages=2/5/1/2/5/1"},
    {"WORLD_SIZE=2 --pipeline-model-parallel-size 2 "
     "--pipeline-model-parallel-layout Et*5|t*4|t*4|t*3L",
     "pp=2,vpp=2,stages=5/4/4/3"},
    {"WORLD_SIZE=4 --micro-batch-size 2 --global-batch-size 24", "dp=4,mb=3"},
    {"WORLD_SIZE=1 --num-experts 64 --moe-router-topk 1 --num-layers 16 "
     "--moe-expert-capacity-factor 1.1 --moe-token-drop-policy position "
     "--context-parallel-size 1",
     "tp=1"},
};

START_TEST(test_import)
{
    const core_spec spec = model("seed-mini");
    par_plan plan;
    core_message_clear();
    ck_assert_msg(import(&plan, NULL, imports[_i].args, HAR_MEGATRON, &spec) ==
                      CORE_OK, "%s", core_message());
    ck_assert_str_eq(plan.text, imports[_i].plan);
}
END_TEST

static const struct {
    const char *args, *fragment;
    core_status status;
} bad_imports[] = {
    {"WORLD_SIZE=2 --pipeline-model-parallel-size 2 "
     "--num-layers-per-virtual-pipeline-stage 3",
     "layers of a rank % 3 = 8 % 3, expected 0", CORE_E_USAGE},
    {"WORLD_SIZE=2 --pipeline-model-parallel-size 2 "
     "--num-virtual-stages-per-pipeline-rank 5",
     "layers of a rank % 5 = 8 % 5, expected 0", CORE_E_USAGE},
    {"WORLD_SIZE=2 --pipeline-model-parallel-size 2 "
     "--num-layers-per-virtual-pipeline-stage 2 "
     "--num-virtual-stages-per-pipeline-rank 4",
     "goes with no other flag", CORE_E_USAGE},
    {"WORLD_SIZE=2 --pipeline-model-parallel-size 2 "
     "--num-virtual-stages-per-pipeline-rank 2 "
     "--pipeline-model-parallel-layout Et*4|t*4|t*4|t*4L",
     "goes with no flag that does", CORE_E_USAGE},
    {"WORLD_SIZE=1 tp=2", "does not know 1 flag: 'tp'", CORE_E_USAGE},
    {"WORLD_SIZE=1 --one --two 2 --three=3 --lr 1 --one 2",
     "does not know 3 flags: '--one', '--two', '--three'", CORE_E_USAGE},
    {TP2, "WORLD_SIZE=N is missing", CORE_E_USAGE},
    {TP2 "WORLD_SIZE=3", "3 % 2, expected 0", CORE_E_USAGE},
    {TP2 TP2 "WORLD_SIZE=4", "is given twice", CORE_E_USAGE},
    {"WORLD_SIZE=x", "found 'x'", CORE_E_USAGE},
    {"WORLD_SIZE=0", "found '0'", CORE_E_USAGE},
    {"WORLD_SIZE=", "found ''", CORE_E_USAGE},
    {"WORLD_SIZE=99999999999999999999", "from 1 to", CORE_E_USAGE},
    {"WORLD_SIZE=1 --num-experts", "its value is missing", CORE_E_USAGE},
    {"WORLD_SIZE=1 --num-experts 64 8", "expected one value", CORE_E_USAGE},
    {"WORLD_SIZE=1 --sequence-parallel yes", "takes no value", CORE_E_USAGE},
    {"WORLD_SIZE=1 --num-experts $E", "$E is known only when", CORE_E_USAGE},
    {"WORLD_SIZE=1 --swiglu", "seed-mini is without", CORE_E_USAGE},
    {"WORLD_SIZE=1 --sequence-parallel=yes", "takes no value", CORE_E_USAGE},
    {"WORLD_SIZE=1 --num-experts 8", "--num-experts 8, but seed-mini has 64",
     CORE_E_USAGE},
    {"WORLD_SIZE=1 --moe-router-topk 2", "has 1", CORE_E_USAGE},
    {"WORLD_SIZE=1 --num-layers 15", "has 16", CORE_E_USAGE},
    {"WORLD_SIZE=3 --context-parallel-size 2", "3 % 2, expected 0",
     CORE_E_USAGE},
    {"WORLD_SIZE=1 --moe-expert-capacity-factor 1.2", "has 1.1", CORE_E_USAGE},
    {"WORLD_SIZE=1 --moe-expert-capacity-factor nan", "expected a number",
     CORE_E_USAGE},
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
    ck_assert_int_eq(
        import(&plan, NULL, bad_imports[_i].args, HAR_MEGATRON, &spec),
        bad_imports[_i].status);
    ck_assert_msg(strstr(core_message(), bad_imports[_i].fragment) != NULL,
                  "'%s' lacks '%s'", core_message(), bad_imports[_i].fragment);
    ck_assert_int_eq(memcmp(&plan, &before, sizeof plan), 0);
}
END_TEST

/* Other systems, each by its own words; seed-mini without capacity. */
static const struct {
    const char *text, *plan;
} lines[] = {
    {"vllm serve m -tp 2 -pp 5", "tp=2,pp=5,etp=2,stages=3/3/3/4/3"},
    {"vllm serve m -tp 2 -dp 2 --enable-expert-parallel", "tp=2,dp=2,ep=4"},
    {"vllm serve m --tensor-parallel-size=2 --data-parallel-size=2",
     "tp=2,dp=2,etp=4"},
    {"VLLM_PP_LAYER_PARTITION=9,7 vllm serve m -pp 2", "pp=2,stages=9/7"},
    {"sglang serve m --tp 8 --dp 4 --enable-dp-attention --ep 8",
     "tp=2,dp=4,ep=8"},
    {"sglang serve m --tp 8 --attn-dp-size 4 --ep 2", "tp=2,dp=4,ep=2,etp=4"},
    {"sglang serve m --tp 8 --dp 8 --enable-dp-attention --moe-a2a-backend "
     "deepep --moe-dense-tp-size 1", "dp=8,ep=8"},
    {"sglang serve m --tp 4 --ep 2 --moe-a2a-backend none", "tp=4,ep=2,etp=2"},
    {"sglang serve m --tp 2 --dp 3", "tp=2,dp=3,etp=2"},
    {"sglang serve m --tp 1 --pp 5", "pp=5,stages=3/3/3/3/4"},
    {"python -m sglang.launch_server --tp-size 4 --enable-ep-moe",
     "tp=4,ep=4"},
    {"{\"train_batch_size\": 24, \"gradient_accumulation_steps\": 3, "
     "\"train_micro_batch_size_per_gpu\": 2, \"tensor_parallel\": "
     "{\"autotp_size\": 2}, \"expert_parallel\": {\"enabled\": true, "
     "\"autoep_size\": 8}}", "tp=2,dp=4,ep=8,mb=3"},
    {"{\"train_batch_size\": 4, \"expert_parallel\": {\"enabled\": false, "
     "\"autoep_size\": 4}}", "dp=4"},
    {"{\"tp_size\": 2, \"fsdp_size\": 4, \"ep_size\": 8}", "tp=2,dp=4,ep=8"},
    {"{\"tp_size\": 2, \"pp_size\": 2}", "tp=2,pp=2,etp=2"},
    {"[parallelism]\ntensor_parallel_degree = 2\n"
     "pipeline_parallel_degree = 4\ndata_parallel_shard_degree = 1\n"
     "[training]\nlocal_batch_size = 6\nglobal_batch_size = 12\n",
     "tp=2,pp=4,etp=2,mb=12,stages=4/5/4/3"},
    {"torchrun --nnodes 2 --nproc-per-node 8 -m torchtitan.train "
     "--parallelism.tensor_parallel_degree 2 "
     "--parallelism.expert_parallel_degree 16", "tp=2,dp=8,ep=16"},
    {"torchrun --nproc-per-node 8 run.py model.tensor_model_parallel_size=2 "
     "model.expert_model_parallel_size=4 model.expert_tensor_parallel_size=1 "
     "+train.global_batch_size=8", "tp=2,dp=4,ep=4,mb=2"},
    {"srun -N2 --ntasks-per-node=4 python pretrain_gpt.py "
     "--num-experts 64 --pipeline-model-parallel-size 2 "
     "--account-for-embedding-in-pipeline-split "
     "--account-for-loss-in-pipeline-split", "pp=2,dp=4"},
    {"mpirun -n 3 python pretrain_gpt.py --pipeline-model-parallel-size 3 "
     "--account-for-embedding-in-pipeline-split "
     "--account-for-loss-in-pipeline-split", "pp=3,stages=5/6/5"},
    {"mpirun -n 2 python pretrain_gpt.py --pipeline-model-parallel-size 2 "
     "--pipeline-model-parallel-layout 'Et*9|ttt,t*4L'", "pp=2,stages=9/7"},
};

START_TEST(test_line)
{
    core_spec spec = model("seed-mini");
    par_plan plan;
    spec.capacity.rule = CORE_CAPACITY_NONE;
    ck_assert_msg(import(&plan, NULL, lines[_i].text, HAR_N_SYSTEMS, &spec) ==
                      CORE_OK, "%s: %s", lines[_i].text, core_message());
    ck_assert_str_eq(plan.text, lines[_i].plan);
}
END_TEST

static const struct {
    const char *text, *fragment;
} bad_lines[] = {
    {"vllm serve m -pp 2 --decode-context-parallel-size 2", "no such degree"},
    {"vllm serve m --enable-eplb", "experts move"},
    {"VLLM_PP_LAYER_PARTITION=9,8 vllm serve m -pp 2", "16 in all, found '9,8'"},
    {"VLLM_PP_LAYER_PARTITION=16 vllm serve m -pp 2", "expected 2 numbers"},
    {"sglang serve m --tp 6 --attn-dp-size 4", "6 % 4, expected 0"},
    {"sglang serve m --tp 6 --ep 4", "6 % 4, expected 0"},
    {"sglang serve m --tp 4 --attn-dp-size 2 --dp 2", "it refuses --dp-size 2"},
    {"sglang serve m --tp 4 --moe-dense-tp-size 1", "over its 4 tensor ranks"},
    {"sglang serve m --tp 4 --ep 2 --moe-dp-size 2", "no such degree"},
    {"{\"train_batch_size\": 7, \"gradient_accumulation_steps\": 2}",
     "7 % 2, expected 0"},
    {"[parallelism]\nexpert_parallel_degree = 0 \n", "from 1 to"},
    {"[parallelism]\ndata_parallel_shard_degree = -1 \n", "no launcher says"},
    {"[parallelism]\npipeline_parallel_schedule = \"Interleaved1F1B\"\n",
     "how it deals layers to such stages"},
    {"torchrun --nproc-per-node 8 -m torchtitan.train "
     "--parallelism.data_parallel_shard_degree 4", "there are 8 ranks"},
    {"mpirun -n 2 python pretrain_gpt.py --pipeline-model-parallel-size 2 "
     "--pipeline-model-parallel-layout 'Et*9|t*8L'", "with 16 t"},
    {"mpirun -n 2 python pretrain_gpt.py --pipeline-model-parallel-size 2 "
     "--pipeline-model-parallel-layout 'Et*16|L'", "stage 1 has none"},
    {"{\"tp_size\": 2, \"ep_size\": 3}", "ep*etp = 3"},
    {"export WORLD_SIZE=8; mpirun -n 4 python pretrain_gpt.py --lr 1",
     "the launcher starts 4 ranks"},
    {"mpirun -n 4 a.py --lr 1; mpirun -n 2 a.py --lr 1", "2 launch lines, choose one by --launch N: 1 (line 1) 'mpirun -n 4 a.py "
     "--lr 1', 2 (line 1) 'mpirun -n 2 a.py --lr 1'"},
    {"if x; then A='--num-experts 8 --lr 1'; fi; mpirun -n 4 a.py $A",
     "a branch of the script sets or not 1 flag: '--num-experts'"},
};

START_TEST(test_bad_line)
{
    core_spec spec = model("seed-mini");
    par_plan plan;
    spec.capacity.rule = CORE_CAPACITY_NONE;
    ck_assert(import(&plan, NULL, bad_lines[_i].text, HAR_N_SYSTEMS, &spec) !=
              CORE_OK);
    ck_assert_msg(strstr(core_message(), bad_lines[_i].fragment) != NULL,
                  "'%s' lacks '%s'", core_message(), bad_lines[_i].fragment);
}
END_TEST

/* A line and a file beside it: a plan, or a refusal that has the text. */
#define HOSTS "# two\na slots=8\nb slots=8\n"
#define UNEQUAL "a slots=8\nb:4\n"
#define DS "{\"expert_parallel\": {\"enabled\": true, \"autoep_size\": 4}}"
#define TWO "mpirun -n 4 a.py --lr 1\nmpirun -n 8 a.py --lr 1\n"
static const struct {
    const char *line, *file;
    int launch;
    const char *plan, *says;
} files[] = {
    {"vllm serve m --config f -tp 4", "tensor-parallel-size: 2\n"
     "data_parallel_size: 2\nenable-expert-parallel: true\n", 0,
     "tp=4,dp=2,ep=8", NULL},
    {"vllm serve m --no-enable-expert-parallel", "data-parallel-size: 2\n"
     "enable-expert-parallel: true\n", 0, "dp=2,etp=2", NULL},
    {"vllm serve m --config f", "", 0, NULL, "give it in an --import too"},
    {"vllm serve m --config=f", "tp: 2\n", 0, NULL, "with = the file is not"},
    {"vllm serve m", "tp: 2\ntensor-parallel-size: 2\n", 0, NULL,
     "is given twice"},
    {"vllm serve m --enable-exp", "tp: null\npp: ~\ndp:\n", 0, "tp=1",
     NULL},
    {"tensor-parallel-size: 2\n", "vllm serve m -tp 4", 0, "tp=4,etp=4", NULL},
    {"vllm serve m", "model: a\nmade-up: b\n", 0, NULL, "flag: 'made-up'"},
    {"vllm serve m --tensor-paral 2", "", 0, "tp=2,etp=2", NULL},
    {"vllm serve m --data-par 2", "", 0, NULL, "flag: '--data-par' ("},
    {"vllm serve m -dp 2 --disable-expert-parallel", "ep: true\n", 0,
     "dp=2,etp=2", NULL},
    {"vllm serve m -dp 2 --enable-log-stats --disable-eplb", "", 0,
     "dp=2,etp=2", NULL},
    {"vllm serve m --disable-data-parallel", "", 0, NULL,
     "flag: '--disable-data-parallel'"},
    {"sglang serve m --disable-dp-attention", "", 0, NULL,
     "flag: '--disable-dp-attention'"},
    {"vllm serve m --no-data-parallel-size 2", "", 0, NULL,
     "flag: '--no-data-parallel-size'"},
    {"python pretrain_gpt.py WORLD_SIZE=2 --num-expert 64", "", 0, NULL,
     "'--num-expert' (cut short of --num-experts)"},
    {"deepspeed --hostfile h a.py", DS, 0, NULL, "how many ranks"},
    {"deepspeed --num_nodes 2 a.py --deepspeed_config f", DS, 0, NULL,
     "how many ranks a host has is missing"},
    {"deepspeed --num_nodes 2 --num_gpus 3 a.py --deepspeed_config f", DS, 0,
     NULL, "ep*etp = 4"},
    {"deepspeed --num_nodes 2 --num_gpus 4 a.py --deepspeed_config f", DS, 0,
     "dp=8,ep=4", NULL},
    {"deepspeed --hostfile h --num_nodes 1 a.py", HOSTS, 0, "dp=8", NULL},
    {"deepspeed --hostfile h --num_nodes 3 a.py", HOSTS, 0, NULL,
     "and the hostfile has 2"},
    {"deepspeed --hostfile h a.py", UNEQUAL, 0, "dp=12", NULL},
    {"deepspeed --hostfile h --num_nodes 1 a.py", UNEQUAL, 0, NULL,
     "how many ranks a host has is missing"},
    {"deepspeed --hostfile h --num_gpus 2 a.py", UNEQUAL, 0, "dp=4", NULL},
    {"mpirun --hostfile h a.py --num-experts 64", UNEQUAL, 0, "dp=12", NULL},
    {"mpirun -n 4 --hostfile h a.py --num-experts 64", UNEQUAL, 0, "dp=4",
     NULL},
    {"mpirun --hostfile h a.py --num-experts 64", "", 0, NULL,
     "the file says how many ranks"},
    {"accelerate launch --config_file f a.py", "distributed_type: FSDP\n"
     "num_processes: 8\nmixed_precision: bf16\n", 0, "dp=8", NULL},
    {"accelerate launch --config_file f --num_processes 4 a.py",
     "distributed_type: FSDP\nnum_processes: 8\nparallelism_config:\n"
     "  parallelism_config_tp_size: 4\n", 0, "tp=4,etp=4", NULL},
    {"model.expert_model_parallel_size=4", "trainer: {devices: 4, num_nodes: "
     "2}\nmodel:\n  expert_model_parallel_size: 2\n", 0, "dp=8,ep=4", NULL},
    {"torchrun --nproc-per-node 2 a.py dist.use_tp_pp_dp_mapping=True",
     "model.num_layers: 16\n", 0, "dp=2", NULL},
    {"srun -n 3 python -m torchtitan.train --training.steps 1", "", 0, "dp=3",
     NULL},
    {TWO, "", 0, NULL, "2 launch lines"},
    {TWO, "", 1, "dp=4", NULL},
    {TWO, "", 2, "dp=8", NULL},
    {TWO, "", 3, NULL, "2 launch lines"},
    {"mpirun -n 4 a.py --lr 1", "", 1, NULL, "no script has several"},
    {"python x.py --a 1\nmpirun -n 4 a.py --lr 1", "", 0, "dp=4", NULL},
};

START_TEST(test_file)
{
    static const char *const names[] = {"line", "file"};
    const char *const texts[] = {files[_i].line, files[_i].file};
    const bool has_file = texts[1][0] != '\0';
    const har_import what = {.n_text = has_file ? 2 : 1, .text = texts,
                             .name = names, .system = HAR_N_SYSTEMS,
                             .launch = files[_i].launch};
    core_spec spec = model("seed-mini");
    par_plan plan;
    spec.capacity.rule = CORE_CAPACITY_NONE;
    core_message_clear();
    const core_status status = har_system_import(&plan, NULL, &what, &spec);
    ck_assert_msg((status == CORE_OK) == (files[_i].plan != NULL), "%s: %s",
                  texts[0], core_message());
    if (status == CORE_OK)
        ck_assert_str_eq(plan.text, files[_i].plan);
    else
        ck_assert_msg(strstr(core_message(), files[_i].says) != NULL,
                      "'%s' lacks '%s'", core_message(), files[_i].says);
}
END_TEST

/* What the answer says beside the plan. */
static const struct {
    const char *text, *says; /* "!" before it: does not                       */
} reports[] = {
    {"WORLD_SIZE=1 --num-experts 64 --lr 1 --bf16",
     "# no bearing   1 flag: --lr\n"},
    {"WORLD_SIZE=1 --num-experts 64 --bf16", "# not compared --bf16\n"},
    {"WORLD_SIZE=1 --num-experts 64", "top-1 is refused"},
    {"WORLD_SIZE=1 --num-experts 64 --moe-router-pre-softmax",
     "!top-1 is refused"},
    {"WORLD_SIZE=1", "# no token is dropped, and seed-mini has a capacity"},
    {"WORLD_SIZE=1 --moe-expert-capacity-factor 1.1", "!no token is dropped"},
    {"WORLD_SIZE=1 --moe-expert-capacity-factor 1.1", "winners of a top-k"},
    {"WORLD_SIZE=1 --moe-expert-capacity-factor 1.1", "!slice of the tokens"},
    {TP2 "WORLD_SIZE=2 --moe-expert-capacity-factor 1.1",
     "slice of the tokens"},
    {"WORLD_SIZE=1 --use-tp-pp-dp-mapping", "tensor, stage, data"},
    {"sglang serve m --tp 4 --attn-dp-size 2", "without --enable-dp-lm-head"},
    {"sglang serve m --tp 4 --attn-dp-size 2 --enable-dp-lm-head",
     "!without --enable-dp-lm-head"},
    {"sglang serve m --dp 2", "servers of their own"},
    {"vllm serve m $MORE -tp 1 $REST", "# taken as empty $REST:"},
    {"torchrun --nproc-per-node 2 a.py model.num_layers=16 "
     "dist.use_tp_pp_dp_mapping=True", "tensor, stage, data"},
    {"python x.py --a 1\nmpirun -n 4 a.py --lr 1",
     "# other lines  1 (line 1) 'python x.py --a 1'\n"},
    {"mpirun -n 4 a.py --lr 1", "!# other lines"},
    {"torchrun --nproc-per-node 16 -m torchtitan.train "
     "--parallelism.tensor_parallel_degree 16", "# --emit refuses it: "
     "torchtitan:"},
};

START_TEST(test_report)
{
    const core_spec spec = model("seed-mini");
    const char *says = reports[_i].says;
    const bool is_not = says[0] == '!';
    char *report = NULL;
    par_plan plan;
    ck_assert_msg(import(&plan, &report, reports[_i].text, HAR_N_SYSTEMS,
                         &spec) == CORE_OK, "%s", core_message());
    ck_assert_msg((strstr(report, says + is_not) == NULL) == is_not,
                  "%s says '%s'", reports[_i].text, report);
    free(report);
}
END_TEST

/* --- the shell --- */

static const struct {
    const char *text, *words; /* of the last command, | after each, ? after what
                               * a branch sets                                */
} shells[] = {
    {"a 'b c' \"d e\"f g\\ h", "a|b c|d ef|g h|"},
    {"a \\\n b # c\n", "a|b|"},
    {"X='1 2'; a $X \"$X\"", "a|1|2|1 2|"},
    {"X=(1 '2 3'); X+=(4); a ${X[@]} ${X}", "a|1|2|3|4|1|2|3|4|"},
    {"X=1; X+=2; a $X", "a|12|"},
    {"a ${X:-b c} ${X-} ${Y:=d}", "a|b|c|d|"},
    {"X=3; a $(($X * (2 + 1) - 10 / 4 % 3))", "a|7|"},
    {"a $((1 / 0)) $(b c) `d e` $1 ${1:-f} $X ${X%.*}",
     "a|$((1 / 0))|$(b c)|`d e`|$1|f|$X|${X%.*}|"},
    {"a \"$@\" $* b", "a|b|"},
    {"if x; then X=1; fi; a $X", "a|$X|"},
    {"x && X=1\na $X", "a|$X|"},
    {"X=1\na $X", "a|1|"},
    {"X=(--a); if x; then X+=(--b 2); fi; X+=(--c); a ${X[@]}",
     "a|--a|--b?|2?|--c|"},
    {"if x; then X='--a 1'; else X=--b; fi; a $X", "a|--a?|1?|--b?|"},
    {"X=(--a); if x; then X=(--b); fi; Y=(${X[@]} --c); a ${Y[@]}",
     "a|--a?|--b?|--c|"},
    {"if x; then X=--a; fi; eval a $X b", "eval|a|--a?|b|"},
    {"sbatch <<EOF\nX=2\na $X\nEOF\n", "a|2|"},
    {"a b 2>&1 >c <d | e\n", "e|"},
    {"a <<END\nb c\nEND\n", "a|"},
    {"a 'E*3|t|t'", "a|E*3|t|t|"},
    {"a E*3|t b", "a|E*3|t|b|"},
    {"X='b \"c d\"'; eval a $X", "eval|a|b|c d|"},
    {"bash -c \"a 'b c'\"", "bash|-c|a|b c|"},
    {"f() {\n a\n}\nb", "b|"},
    {"#SBATCH -N 2 --ntasks=8\na $SLURM_NNODES $SLURM_NTASKS", "a|2|8|"},
};

START_TEST(test_shell)
{
    void *memory;
    char words[200] = "";
    ck_assert(core_alloc(&memory, 1, sizeof(har_script), "a script") == CORE_OK);
    memset(memory, 0, sizeof(har_script));
    har_script *s = memory;
    core_message_clear();
    ck_assert_msg(har_shell_read(s, shells[_i].text, "x") == CORE_OK, "%s",
                  core_message());
    const har_command *last = &s->command[s->n_command - 1];
    for (int i = 0; i < last->n; i++) {
        const size_t n = strlen(words);
        const har_word *word = &s->word[last->first + i];
        snprintf(words + n, sizeof words - n, "%s%s|", word->text,
                 word->is_maybe ? "?" : "");
    }
    ck_assert_str_eq(words, shells[_i].words);
    free(memory);
}
END_TEST

/* --- ranks --- */

/* Numbers go there and back; only vLLM has stages before data. */
START_TEST(test_ranks)
{
    const core_spec spec = model("seed-mini");
    par_plan plan;
    int64_t first, end;
    ck_assert(par_plan_parse(&plan, "tp=2,pp=3,dp=4") == CORE_OK);
    for (int i = 0; i < 24; i++) {
        const int theirs = har_system_rank((har_system)_i, &plan, i);
        ck_assert_int_eq(har_system_ours((har_system)_i, &plan, theirs), i);
        const int t = i % 2, d = i / 2 % 4, stage = i / 8;
        ck_assert_int_eq(theirs, _i == HAR_VLLM ? (d * 3 + stage) * 2 + t : i);
    }
    if (_i == HAR_SGLANG) { /* replicas are servers beside each other */
        ck_assert(par_plan_parse(&plan, "tp=2,pp=2,dp=2,ep=2") == CORE_OK);
        ck_assert_int_eq(har_system_rank(HAR_SGLANG, &plan, 2), 4);
    }
    har_system_vocabulary((har_system)_i, &plan, &spec, 1, &first, &end);
    ck_assert_int_eq(first, _i == HAR_DEEPSPEED ? 0 : 256);
    ck_assert_int_eq(end, 512);
}
END_TEST

/* A vocabulary that is rounded up, and the parts of rank 1 of 3. */
static const struct {
    har_system system;
    int64_t n_v, first, end;
} vocabularies[] = {
    {HAR_MEGATRON, 100, 34, 68},     {HAR_TORCHTITAN, 100, 34, 68},
    {HAR_SGLANG, 100, 64, 128},      {HAR_SGLANG, 190, 64, 128},
    {HAR_VLLM, 190, 64, 128},        {HAR_DEEPSPEED, 100, 0, 100},
    {HAR_TORCHTITAN, 1, 1, 1},
};

START_TEST(test_vocabulary)
{
    core_spec spec = model("seed-mini");
    par_plan plan;
    int64_t first, end;
    spec.n_v = vocabularies[_i].n_v;
    ck_assert(par_plan_parse(&plan, "tp=3") == CORE_OK);
    har_system_vocabulary(vocabularies[_i].system, &plan, &spec, 1, &first,
                          &end);
    ck_assert_int_eq(first, vocabularies[_i].first);
    ck_assert_int_eq(end, vocabularies[_i].end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_systems");
    TCase *all = tcase_create("systems");
    tcase_add_loop_test(all, test_round_trip, 0,
                        N_ROWS(trips) * HAR_N_EMITTED);
    tcase_add_loop_test(all, test_model, 0, N_ROWS(models));
    tcase_add_test(all, test_companions);
    tcase_add_loop_test(all, test_stages, 0, N_ROWS(stages));
    tcase_add_loop_test(all, test_refusal, 0, N_ROWS(refusals));
    tcase_add_test(all, test_placement);
    tcase_add_loop_test(all, test_vllm, 0, N_ROWS(vllm));
    tcase_add_loop_test(all, test_import, 0, N_ROWS(imports));
    tcase_add_loop_test(all, test_bad_import, 0, N_ROWS(bad_imports));
    tcase_add_loop_test(all, test_line, 0, N_ROWS(lines));
    tcase_add_loop_test(all, test_bad_line, 0, N_ROWS(bad_lines));
    tcase_add_loop_test(all, test_file, 0, N_ROWS(files));
    tcase_add_loop_test(all, test_report, 0, N_ROWS(reports));
    tcase_add_loop_test(all, test_shell, 0, N_ROWS(shells));
    tcase_add_loop_test(all, test_ranks, 0, HAR_N_EMITTED);
    tcase_add_loop_test(all, test_vocabulary, 0, N_ROWS(vocabularies));
    suite_add_tcase(suite, all);
    return check_main(suite);
}
