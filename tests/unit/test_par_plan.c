/* tests/unit/test_par_plan.c -- plans: reading, writing, legality.
 *
 * Every refusal in a table stands beside a twin that differs in one place and
 * is accepted, so that a parser that refuses everything fails here too.
 */
#include "parallel/plan.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_ROWS(table) ((int)(sizeof(table) / sizeof(table)[0]))

static core_status parse(par_plan *out, const char *text)
{
    core_message_clear();
    return par_plan_parse(out, text);
}

/* Sizes of a decoder; the rest does not matter to a plan. */
static core_spec decoder(int64_t n_l, int64_t n_h, int64_t n_e, int64_t n_f,
                         int64_t n_v)
{
    core_spec s;
    memset(&s, 0, sizeof s);
    s.n_l = n_l;
    s.n_h = s.n_g = n_h;
    s.n_dh = 8;
    s.n_d = 32;
    s.n_e = n_e;
    s.n_k = 1;
    s.n_f = n_f;
    s.n_v = n_v;
    return s;
}

/* --- strings -------------------------------------------------------------- */

static const struct {
    const char *text, *canonical;
} good[] = {
    {"tp=1", "tp=1"},
    {"dp=3", "dp=3"},
    {"tp=1,mb=1,rounds=1,scope=stage,etp=1", "tp=1"},
    {"mb=8,scope=replica,ep=16,dp=2,pp=4,tp=4",
     "tp=4,pp=4,dp=2,ep=16,scope=replica,mb=8"},
    {"seed-16", "tp=4,pp=4,ep=16,scope=replica,mb=8,rounds=2"},
    {"seed-32", "tp=4,pp=4,dp=2,ep=16,scope=replica,mb=8"},
    {"seed-32-stage", "tp=4,pp=4,dp=2,ep=8,mb=8"},
    {"seed-512", "tp=4,pp=4,dp=32,ep=16,etp=4,mb=8"},
    {"seed-32,mb=4,rounds=3",
     "tp=4,pp=4,dp=2,ep=16,scope=replica,mb=4,rounds=3"},
    {"seed-32,stages=5/4/4/3",
     "tp=4,pp=4,dp=2,ep=16,scope=replica,mb=8,stages=5/4/4/3"},
    {"seed-32,scope=stage,ep=8", "tp=4,pp=4,dp=2,ep=8,mb=8"},
    {"tp=2,pp=3,dp=6,ep=4,edp=3,mb=5,stages=3/2/2",
     "tp=2,pp=3,dp=6,ep=4,mb=5,stages=3/2/2"},
    {"dp=2,tp=2,ep=2,scope=replica,edp=2", "tp=2,dp=2,ep=2,scope=replica"},
    {"dp=2,ep=2,placement=0/1+0/1/0", "dp=2,ep=2,placement=0/1+0/1/0"},
    {"dp=2,ep=2,physical=0/1/1/2+2/0/1/0", "dp=2,ep=2,physical=0/1/1/2+2/0/1/0"},
    {"mb=1048576", "mb=1048576"},
    {"sp=0", "tp=1"},
    {"cp=2,tp=3", "tp=3,cp=2"},
    {"cp_kind=ring,cp=2", "cp=2,cp_kind=ring"},
    {"cp=2,cp_kind=ulysses,sp=1", "cp=2,cp_kind=ulysses,sp=1"},
    {"cp=2,cp_kind=gather", "cp=2"},
    {"vpp=2,pp=3", "pp=3,vpp=2"},
    {"vpp=1", "tp=1"},
    {"mb=2,overlap=p2p+dispatch,tp=2", "tp=2,overlap=dispatch+p2p,mb=2"},
    {"overlap=shared", "overlap=shared"},
    {"mb=4,batch_reduce=2,overlap=shared",
     "overlap=shared,batch_reduce=2,mb=4"},
    {"batch_reduce=1,mb=4", "mb=4"},
    {"pp=2,vpp=2,stages=3/2/1/1", "pp=2,vpp=2,stages=3/2/1/1"},
    {"tp=2,cp=2,dp=3,ep=6,edp=2", "tp=2,cp=2,dp=3,ep=6"},
    {"tp=2,mb=3,sp=1", "tp=2,sp=1,mb=3"},
    {"seed-32,sp=1", "tp=4,pp=4,dp=2,ep=16,scope=replica,sp=1,mb=8"},
};

START_TEST(test_good_string)
{
    par_plan plan, again;
    char text[PAR_PLAN_TEXT], text_again[PAR_PLAN_TEXT];
    ck_assert_msg(parse(&plan, good[_i].text) == CORE_OK, "%s", core_message());
    ck_assert_str_eq(plan.text, good[_i].text);
    par_plan_format(&plan, text);
    ck_assert_str_eq(text, good[_i].canonical);

    ck_assert_msg(parse(&again, text) == CORE_OK, "%s", core_message());
    par_plan_format(&again, text_again);
    ck_assert_str_eq(text_again, text);
    memset(plan.text, 0, sizeof plan.text);
    memset(again.text, 0, sizeof again.text);
    ck_assert_int_eq(memcmp(&plan, &again, sizeof plan), 0);
}
END_TEST

static const struct {
    const char *text;
    core_status status;
    const char *fragment, *twin;
} bad[] = {
    {"", CORE_E_USAGE, "expected a preset", "tp=2"},
    {"tp=2,", CORE_E_USAGE, "expected key=value, found ''", "tp=2,pp=2"},
    {"tp=2,,pp=2", CORE_E_USAGE, "expected key=value", "tp=2,pp=2"},
    {"tp=2,pp", CORE_E_USAGE, "expected key=value, found 'pp'", "tp=2,pp=2"},
    {"tq=2", CORE_E_USAGE, "unknown key 'tq'", "tp=2"},
    {"t=2", CORE_E_USAGE, "unknown key 't'", "tp=2"},
    {"TP=2", CORE_E_USAGE, "unknown key 'TP'", "tp=2"},
    {" tp=2", CORE_E_USAGE, "unknown key ' tp'", "tp=2"},
    {"=2", CORE_E_USAGE, "unknown key ''", "tp=2"},
    {"tp=2,pp=2,tp=2", CORE_E_USAGE, "key 'tp' is given twice", "tp=2,pp=2"},
    {"tp=", CORE_E_USAGE, "tp: expected a whole number", "tp=2"},
    {"tp=0", CORE_E_USAGE, "tp: expected a whole number", "tp=1"},
    {"mb=0", CORE_E_USAGE, "mb: expected a whole number", "mb=1"},
    {"tp=-2", CORE_E_USAGE, "found '-2'", "tp=2"},
    {"tp=+2", CORE_E_USAGE, "found '+2'", "tp=2"},
    {"tp=02", CORE_E_USAGE, "found '02'", "tp=2"},
    {"tp=2 ", CORE_E_USAGE, "found '2 '", "tp=2"},
    {"tp=2.0", CORE_E_USAGE, "found '2.0'", "tp=2"},
    {"tp=0x2", CORE_E_USAGE, "found '0x2'", "tp=2"},
    {"tp=two", CORE_E_USAGE, "found 'two'", "tp=2"},
    {"tp=2=2", CORE_E_USAGE, "found '2=2'", "tp=2"},
    {"mb=1048577", CORE_E_USAGE, "from 1 to 1048576", "mb=1048576"},
    {"mb=4294967297", CORE_E_USAGE, "found '4294967297'", "mb=1"},
    {"mb=18446744073709551617", CORE_E_USAGE, "mb: expected", "mb=1"},
    {"tp=1024,dp=1025", CORE_E_PLAN, "dp*cp*pp*tp = 1025*1*1*1024",
     "tp=1024,dp=1024"},
    {"tp=1048576,dp=1048576,pp=1048576", CORE_E_PLAN, "ranks, at most",
     "tp=1048576"},
    {"tp=2,sp=2", CORE_E_USAGE, "sp: expected a whole number from 0 to 1",
     "tp=2,sp=1"},
    {"cp=0", CORE_E_USAGE, "cp: expected a whole number from 1", "cp=1"},
    {"cp_kind=rings", CORE_E_USAGE,
     "cp_kind: expected gather, ring or ulysses, found 'rings'",
     "cp_kind=ring"},
    {"overlap=dispatch+send", CORE_E_USAGE,
     "expected dispatch, shared or p2p, joined by +, found 'send'",
     "overlap=dispatch+shared"},
    {"overlap=", CORE_E_USAGE, "expected dispatch, shared", "overlap=p2p"},
    {"overlap=p2p+p2p", CORE_E_USAGE, "p2p is given twice", "overlap=p2p"},
    {"mb=2,batch_reduce=0", CORE_E_USAGE,
     "batch_reduce: expected a whole number from 1", "mb=2,batch_reduce=2"},
    {"vpp=0", CORE_E_USAGE, "vpp: expected a whole number from 1", "vpp=1"},
    {"tp=2,cp=2,dp=3,ep=6,edp=3", CORE_E_PLAN,
     "expected dp*cp*tp = 3*2*2 = 12", "tp=2,cp=2,dp=3,ep=6,edp=2"},
    {"sp=", CORE_E_USAGE, "sp: expected a whole number from 0 to 1", "sp=0"},
    {"scope=rank", CORE_E_USAGE, "expected stage or replica", "scope=stage"},
    {"scope=", CORE_E_USAGE, "expected stage or replica", "scope=replica"},
    {"pp=2,stages=", CORE_E_USAGE, "stages: expected", "pp=2,stages=1/1"},
    {"pp=2,stages=3/", CORE_E_USAGE, "stages: expected", "pp=2,stages=3/1"},
    {"pp=2,stages=3/0", CORE_E_USAGE, "stages: expected", "pp=2,stages=3/1"},
    {"placement=", CORE_E_USAGE, "placement: expected", "placement=0"},
    {"placement=0/", CORE_E_USAGE, "placement: expected", "placement=0/0"},
    {"placement=0+", CORE_E_USAGE, "placement: expected", "placement=0+1"},
    {"placement=0/1024", CORE_E_USAGE, "from 0 to 1023", "placement=0/1023"},
    {"placement=0+1+2+3+4+5+6+7+8", CORE_E_USAGE, "more than 8 replicas",
     "placement=0+1+2+3+4+5+6+7"},
    {"physical=", CORE_E_USAGE, "physical: expected", "physical=0"},
    {"physical=0/", CORE_E_USAGE, "physical: expected", "physical=0/0"},
    {"physical=0+", CORE_E_USAGE, "physical: expected", "physical=0+1"},
    {"physical=0/1024", CORE_E_USAGE, "from 0 to 1023", "physical=0/1023"},
    {"physical=0/1/2+0/1", CORE_E_USAGE,
     "physical: list 1 has 2 experts, expected as list 0: 3",
     "physical=0/1+0/1"},
    {"seed-33", CORE_E_USAGE,
     "'seed-33' is no preset (seed-16, seed-32, seed-32-stage, seed-512)",
     "seed-32"},
    {"seed-32,", CORE_E_USAGE, "expected key=value", "seed-32"},
    {"mb=4,seed-32", CORE_E_USAGE, "expected key=value", "seed-32,mb=4"},
    {"seed-32,mb=4,mb=4", CORE_E_USAGE, "key 'mb' is given twice",
     "seed-32,mb=4"},
    {"tp=2,dp=6,ep=4,edp=2", CORE_E_PLAN,
     "ep*etp*edp = 4*1*2 = 8, expected dp*tp = 6*2 = 12",
     "tp=2,dp=6,ep=4,edp=3"},
    {"tp=2,dp=2,ep=2,scope=replica,edp=1", CORE_E_PLAN,
     "edp = 1, expected dp = 2", "tp=2,dp=2,ep=2,scope=replica,edp=2"},
    {"no-such-plan.yaml", CORE_E_FILE, "no-such-plan.yaml: ", "tp=2"},
};

START_TEST(test_bad_string)
{
    par_plan plan;
    memset(&plan, 0x5a, sizeof plan);
    const par_plan before = plan;
    ck_assert_int_eq(parse(&plan, bad[_i].text), bad[_i].status);
    ck_assert_msg(strstr(core_message(), bad[_i].fragment) != NULL,
                  "'%s' lacks '%s'", core_message(), bad[_i].fragment);
    ck_assert_int_eq(memcmp(&plan, &before, sizeof plan), 0);
    ck_assert_msg(parse(&plan, bad[_i].twin) == CORE_OK, "%s", core_message());
}
END_TEST

START_TEST(test_presets_are_listed)
{
    const char *name, *text;
    int n = 0;
    for (; par_plan_preset(n, &name, &text); n++) {
        par_plan plan;
        char canonical[PAR_PLAN_TEXT];
        ck_assert_msg(parse(&plan, name) == CORE_OK, "%s", core_message());
        par_plan_format(&plan, canonical);
        ck_assert_str_eq(canonical, text);
    }
    ck_assert_int_eq(n, 4);
    ck_assert(!par_plan_preset(-1, &name, &text));
}
END_TEST

START_TEST(test_world)
{
    par_plan plan;
    ck_assert(parse(&plan, "seed-16") == CORE_OK);
    ck_assert_int_eq(par_plan_world(&plan), 16);
    ck_assert(parse(&plan, "seed-512") == CORE_OK);
    ck_assert_int_eq(par_plan_world(&plan), 512);
}
END_TEST

/* A placement too long for the text is named, not shown, and ends cleanly. */
START_TEST(test_long_placement)
{
    static char text[8 * PAR_MAX_EXPERTS];
    size_t n = (size_t)sprintf(text, "dp=2,ep=2,placement=0");
    for (int e = 1; e < PAR_MAX_EXPERTS; e++)
        n += (size_t)sprintf(text + n, "/%d", e % 2);
    par_plan plan;
    char canonical[PAR_PLAN_TEXT];
    ck_assert_msg(parse(&plan, text) == CORE_OK, "%s", core_message());
    ck_assert_int_eq(plan.n_placed, PAR_MAX_EXPERTS);
    ck_assert_uint_eq(strlen(plan.text), PAR_PLAN_TEXT - 1);
    par_plan_format(&plan, canonical);
    ck_assert_str_eq(canonical, "dp=2,ep=2,placement=...");
    strcat(text, "/0");
    ck_assert_int_eq(parse(&plan, text), CORE_E_USAGE);
    ck_assert(strstr(core_message(), "more than 1024 experts") != NULL);
}
END_TEST

/* --- YAML ----------------------------------------------------------------- */

#define PLAN_DIR TEST_DATA_DIR "/plan/"

static const struct {
    const char *file, *canonical;
} good_yaml[] = {
    {"good_uneven.yaml", "tp=2,pp=3,dp=6,ep=4,mb=5,stages=3/2/2"},
    {"good_placement.yaml", "dp=2,ep=2,placement=0/1+0/1/0/0+1"},
    {"good_text_lists.yaml", "dp=2,ep=2,stages=7,placement=0/1+0/1/0/0+1"},
    {"good_physical.yaml", "dp=2,ep=2,physical=0/1/1/2+2/0/1/0"},
    {"good_uneven.yaml,mb=2,edp=3", "tp=2,pp=3,dp=6,ep=4,mb=2,stages=3/2/2"},
};

START_TEST(test_good_yaml)
{
    par_plan plan;
    char path[512], text[PAR_PLAN_TEXT];
    snprintf(path, sizeof path, "%s%s", PLAN_DIR, good_yaml[_i].file);
    ck_assert_msg(parse(&plan, path) == CORE_OK, "%s", core_message());
    par_plan_format(&plan, text);
    ck_assert_str_eq(text, good_yaml[_i].canonical);
}
END_TEST

static const struct {
    const char *file;
    core_status status;
    const char *fragment;
} bad_yaml[] = {
    {"bad_unknown_key.yaml", CORE_E_FORMAT, ":2:1: unknown key 'tpp'"},
    {"bad_repeated_key.yaml", CORE_E_FORMAT, ":3:1: key 'tp' is given twice"},
    {"bad_zero.yaml", CORE_E_FORMAT, ":2:5: pp: expected a whole number"},
    {"bad_empty_value.yaml", CORE_E_FORMAT, ":2:1: pp: expected a whole"},
    {"bad_not_a_number.yaml", CORE_E_FORMAT, ":2:5: pp: expected a whole"},
    {"bad_list.yaml", CORE_E_FORMAT, ":2:1: pp: expected a single value"},
    {"bad_stage.yaml", CORE_E_FORMAT, ":2:13: stages: expected a whole number"},
    {"bad_no_stage.yaml", CORE_E_FORMAT, ":2:1: stages: the list is empty"},
    {"bad_replica.yaml", CORE_E_FORMAT, ":5:9: placement: expected a whole"},
    {"bad_placement.yaml", CORE_E_FORMAT, "expected an ep index or a list"},
    {"bad_no_replica.yaml", CORE_E_FORMAT, "expert 1 has an empty list"},
    {"bad_physical.yaml", CORE_E_FORMAT,
     "physical: expected a list of experts for each layer"},
    {"bad_no_physical.yaml", CORE_E_FORMAT,
     "physical: list 1 has 0 experts, expected at least 1"},
    {"bad_scope.yaml", CORE_E_FORMAT, ":2:8: scope: expected stage or replica"},
    {"bad_root.yaml", CORE_E_FORMAT, ":1:1: expected keys of a plan"},
    {"bad_syntax.yaml", CORE_E_FORMAT,
     "bad_syntax.yaml:2: no valid YAML at 'pp: }'"},
    {"bad_bracket.yaml", CORE_E_FORMAT,
     "bad_bracket.yaml:2: no valid YAML at 'pp: [3'"},
    {"bad_two_documents.yaml", CORE_E_FORMAT, "a second document"},
    {"bad_edp.yaml", CORE_E_PLAN, "ep*etp*edp = 1*1*4 = 4, expected dp*tp"},
    {"bad_empty.yaml", CORE_E_FORMAT, "bad_empty.yaml:1:1: "},
    {"bad_alias.yaml", CORE_E_FORMAT, "pp: expected"},
};

START_TEST(test_bad_yaml)
{
    par_plan plan;
    char path[512];
    snprintf(path, sizeof path, "%s%s", PLAN_DIR, bad_yaml[_i].file);
    ck_assert_int_eq(parse(&plan, path), bad_yaml[_i].status);
    ck_assert_msg(strstr(core_message(), bad_yaml[_i].fragment) != NULL,
                  "'%s' lacks '%s'", core_message(), bad_yaml[_i].fragment);
    ck_assert_msg(strstr(core_message(), bad_yaml[_i].file) != NULL,
                  "'%s' does not name the file", core_message());
}
END_TEST

/* --- legality ------------------------------------------------------------- */

/* 16 layers, 16 heads, 64 experts, F 256, V 512 (the seed's counts), except: */
static const struct {
    int64_t n_l, n_h, n_e, n_f, n_v;
    const char *plan, *fragment, *twin;
} illegal[] = {
    {16, 16, 64, 256, 512, "tp=3", "H % tp = 16 % 3 = 1", "tp=4"},
    {16, 16, 64, 256, 512, "tp=32", "H % tp = 16 % 32 = 16", "tp=16"},
    {16, 16, 64, 256, 3, "tp=4", "tp = 4 exceeds V = 3 vocabulary rows",
     "tp=2"},
    {16, 16, 64, 256, 512, "pp=17", "pp = 17 exceeds L = 16 layers", "pp=16"},
    {16, 16, 64, 256, 512, "dp=65,ep=65", "ep = 65 exceeds E = 64 experts",
     "dp=64,ep=64"},
    {16, 16, 64, 2, 512, "dp=3,etp=3", "etp = 3 exceeds F = 2 inner columns",
     "dp=2,etp=2"},
    {16, 16, 64, 256, 512, "tp=4,dp=2,ep=16",
     "ep*etp = 16*1 = 16 does not divide dp*tp = 2*4 = 8 (scope=stage)",
     "tp=4,dp=2,ep=8"},
    {16, 16, 64, 256, 512, "dp=6,ep=4", "ep*etp = 4*1 = 4 does not divide",
     "dp=6,ep=3"},
    {16, 16, 64, 256, 512, "tp=4,pp=4,ep=8,scope=replica",
     "ep*etp = 8*1 = 8 differs from pp*tp = 4*4 = 16 (scope=replica)",
     "tp=4,pp=4,ep=8,etp=2,scope=replica"},
    {7, 16, 64, 256, 512, "pp=2,vpp=4", "pp*vpp = 8 exceeds L = 7 layers",
     "pp=2,vpp=3"},
    {7, 16, 64, 256, 512, "tp=2,vpp=2", "vpp = 2, expected 1: pp = 1",
     "tp=2,pp=2,vpp=2"},
    {7, 16, 64, 256, 512, "pp=2,vpp=1048576", "exceeds L = 7", "pp=2"},
    {7, 16, 64, 256, 512, "pp=2,vpp=2,stages=4/3",
     "2 lengths, expected pp*vpp = 4", "pp=2,vpp=2,stages=2/2/2/1"},
    {7, 16, 64, 256, 512, "tp=2,mb=6,batch_reduce=4",
     "mb % batch_reduce = 6 % 4 = 2, expected 0; nearest legal plans: "
     "tp=2,batch_reduce=3,mb=6 |", "tp=2,mb=6,batch_reduce=3"},
    {7, 16, 64, 256, 512, "tp=2,batch_reduce=4",
     "mb % batch_reduce = 1 % 4 = 1, expected 0; nearest legal plans: tp=2 |",
     "tp=2,mb=4,batch_reduce=4"},
    {7, 16, 64, 256, 512, "pp=3,stages=3/2/3",
     "sum to 8 layers, expected L = 7", "pp=3,stages=3/2/2"},
    {7, 16, 64, 256, 512, "pp=3,stages=3/4", "2 lengths, expected pp = 3",
     "pp=2,stages=3/4"},
    {7, 16, 4, 256, 512, "dp=2,ep=2,placement=0/1/0",
     "3 experts, expected E = 4", "dp=2,ep=2,placement=0/1/0/1"},
    {7, 16, 4, 256, 512, "dp=2,ep=2,placement=0/1/0/2",
     "expert 3 is on ep index 2, expected less than ep = 2",
     "dp=2,ep=2,placement=0/1/0/1"},
    {7, 16, 4, 256, 512, "dp=2,ep=2,placement=0/1+1/0/1",
     "expert 1 is on ep index 1 twice", "dp=2,ep=2,placement=0/1+0/0/1"},
    {2, 16, 3, 256, 512, "dp=2,ep=2,physical=0/1/1/2",
     "physical has 1 lists, expected 2: layers with experts",
     "dp=2,ep=2,physical=0/1/1/2+2/0/1/0"},
    {2, 16, 3, 256, 512, "dp=2,ep=2,physical=0/1/2+0/1/2",
     "physical experts % ep = 3 % 2 = 1, expected 0",
     "dp=3,ep=3,physical=0/1/2+0/1/2"},
    {2, 16, 3, 256, 512, "dp=2,ep=2,physical=0/1/1/2+2/0/2/0",
     "physical: list 1: expert 1 is nowhere",
     "dp=2,ep=2,physical=0/1/1/2+2/0/1/0"},
    {2, 16, 3, 256, 512, "dp=2,ep=2,physical=0/1/1/2+2/3/1/0",
     "physical: list 1: physical expert 1 is logical expert 3, expected less "
     "than E = 3", "dp=2,ep=2,physical=0/1/1/2+2/0/1/0"},
    {2, 16, 3, 256, 512, "dp=2,ep=2,physical=0/1/1/2+2/2/1/0",
     "physical: list 1: expert 2 is on ep index 0 twice",
     "dp=2,ep=2,physical=0/1/1/2+2/0/1/0"},
    {2, 16, 3, 256, 512, "dp=2,ep=2,placement=0/1/0,physical=0/1/1/2+2/0/1/0",
     "placement and physical both say where experts are",
     "dp=2,ep=2,placement=0/1/0"},
    {7, 0, 64, 256, 0, "pp=2", "pp = 2, expected 1", "tp=3"},
    {7, 16, 1025, 256, 512, "dp=2", "E = 1025 experts, at most 1024", NULL},
};

START_TEST(test_illegal)
{
    const core_spec s = decoder(illegal[_i].n_l, illegal[_i].n_h,
                                illegal[_i].n_e, illegal[_i].n_f,
                                illegal[_i].n_v);
    par_plan plan;
    ck_assert_msg(parse(&plan, illegal[_i].plan) == CORE_OK, "%s",
                  core_message());
    ck_assert_int_eq(par_plan_check(&plan, &s), CORE_E_PLAN);
    ck_assert_msg(strstr(core_message(), illegal[_i].fragment) != NULL,
                  "'%s' lacks '%s'", core_message(), illegal[_i].fragment);
    if (illegal[_i].twin == NULL)
        return;
    ck_assert(parse(&plan, illegal[_i].twin) == CORE_OK);
    ck_assert_msg(par_plan_check(&plan, &s) == CORE_OK, "%s", core_message());
}
END_TEST

/* The model of illegal[0], its layers' mixers a repetition of "am": attention,
 * mamba of n_c channels, d: a delta net of n_c key heads, h: a state space of
 * n_c heads in one group, or s: a short convolution, which has as many channels
 * as the model has columns.                                                  */
static core_spec mixed(const char *mixers, int64_t n_c)
{
    core_spec s = decoder(16, 16, 64, 256, 512);
    for (int l = 0; l < 16; l++)
        s.mixer[l] = mixers[(size_t)l % strlen(mixers)] == 'm'
                         ? CORE_MIXER_MAMBA
                         : CORE_MIXER_ATTENTION;
    s.mamba.n_c = s.deltanet.n_kh = n_c;
    s.ssd.n_h = n_c;
    s.ssd.n_g = 1;
    for (int l = 0; l < 16; l++) {
        if (mixers[(size_t)l % strlen(mixers)] == 'd')
            s.mixer[l] = CORE_MIXER_DELTANET;
        else if (mixers[(size_t)l % strlen(mixers)] == 'h')
            s.mixer[l] = CORE_MIXER_SSD;
        else if (mixers[(size_t)l % strlen(mixers)] == 's')
            s.mixer[l] = CORE_MIXER_SHORTCONV;
    }
    s.shortconv.n_conv = 3;
    if (mixers[0] == 's')
        s.n_d = n_c;
    return s;
}

/* tp is limited by what it cuts, and by nothing that no layer has. */
static const struct {
    const char *mixers;
    int64_t n_c;
    const char *plan, *fragment; /* NULL: legal */
} tensor[] = {
    {"a", 0, "tp=4", NULL},
    {"a", 3, "tp=4", NULL}, /* a size that no layer uses */
    {"m", 6, "tp=6", NULL}, /* and 16 % 6 != 0: no layer has heads to cut */
    {"m", 5, "tp=6", "tp = 6 exceeds C = 5 mamba channels"},
    {"am", 6, "tp=6", "H % tp = 16 % 6 = 4"},
    {"am", 4, "tp=8", "tp = 8 exceeds C = 4 mamba channels"},
    {"am", 9, "tp=8", NULL},
    {"d", 7, "tp=6", NULL},
    {"d", 5, "tp=6", "tp = 6 exceeds Hk = 5 key heads of the delta net"},
    {"am", 5, "cp=2", "cp = 2, expected 1: layer 1 is mamba, which works on "},
    {"ad", 5, "cp=3", "layer 1 is deltanet, which works on whole rows"},
    {"a", 0, "cp=8,tp=2,cp_kind=ulysses", NULL},
    {"a", 0, "cp=3,cp_kind=ring", NULL},
    {"a", 0, "cp=3,cp_kind=ulysses",
     "H % (tp*cp) = 16 % (1*3) = 1, expected 0 (query heads, cp_kind=ulysses)"},
    {"h", 12, "tp=6", NULL}, /* which share their group */
    {"h", 12, "tp=8",
     "Hs % tp = 12 % 8 = 4, expected 0 (heads of a state space)"},
    {"ah", 12, "tp=4", NULL},
    {"s", 7, "tp=6", NULL},
    {"s", 5, "tp=6", "tp = 6 exceeds D = 5 channels of the short convolution"},
};

START_TEST(test_tensor_limits)
{
    const core_spec s = mixed(tensor[_i].mixers, tensor[_i].n_c);
    par_plan plan;
    ck_assert_msg(parse(&plan, tensor[_i].plan) == CORE_OK, "%s",
                  core_message());
    const core_status status = par_plan_check(&plan, &s);
    if (tensor[_i].fragment == NULL) {
        ck_assert_msg(status == CORE_OK, "%s", core_message());
        return;
    }
    ck_assert_int_eq(status, CORE_E_PLAN);
    ck_assert_msg(strstr(core_message(), tensor[_i].fragment) != NULL,
                  "'%s' lacks '%s'", core_message(), tensor[_i].fragment);
}
END_TEST

/* What is asked of tp, in letters: of the mixers that a layer has. */
START_TEST(test_tensor_rules)
{
    static const struct {
        const char *mixers, *rule[3];
    } row[] = {{"a", {"H % tp = 0"}},
               {"m", {"tp <= C"}},
               {"ad", {"H % tp = 0", "tp <= Hk"}},
               {"sma", {"H % tp = 0", "tp <= C", "tp <= D"}}};
    char text[PAR_RULE_TEXT];
    for (int r = 0; r < N_ROWS(row); r++) {
        const core_spec s = mixed(row[r].mixers, 6);
        int n = 0;
        for (; n < 3 && row[r].rule[n] != NULL; n++)
            ck_assert_str_eq(par_plan_tp_rule(&s, n, text), row[r].rule[n]);
        ck_assert_ptr_null(par_plan_tp_rule(&s, n, text));
    }
}
END_TEST

/* What a refusal suggests can be pasted, is legal and has as many ranks. */
START_TEST(test_suggestions)
{
    const core_spec s = decoder(16, 16, 64, 256, 512);
    par_plan plan, other;
    ck_assert(parse(&plan, "tp=4,dp=2,ep=16,sp=1,mb=3") == CORE_OK);
    ck_assert_int_eq(par_plan_check(&plan, &s), CORE_E_PLAN);
    char line[1024];
    snprintf(line, sizeof line, "%s", core_message());
    char *text = strstr(line, "nearest legal plans: ");
    ck_assert_ptr_nonnull(text);
    text += strlen("nearest legal plans: ");
    int n = 0;
    for (char *next = text; next != NULL; n++) {
        text = next;
        next = strstr(text, " | ");
        if (next != NULL) {
            *next = '\0';
            next += 3;
        }
        if (n == 0)
            ck_assert_str_eq(text, "tp=4,dp=2,ep=8,sp=1,mb=3");
        ck_assert_msg(parse(&other, text) == CORE_OK, "%s", core_message());
        ck_assert_msg(par_plan_check(&other, &s) == CORE_OK, "%s", text);
        ck_assert_int_eq(par_plan_world(&other), 8);
    }
    ck_assert_int_eq(n, 3);
}
END_TEST

/* Near a plan with virtual stages are those with as many, or half as many. */
START_TEST(test_virtual_suggestions)
{
    const core_spec s = decoder(7, 16, 64, 256, 512);
    par_plan plan;
    ck_assert(parse(&plan, "pp=2,vpp=4,mb=3") == CORE_OK);
    ck_assert_int_eq(par_plan_check(&plan, &s), CORE_E_PLAN);
    ck_assert_msg(strstr(core_message(), "plans: pp=2,vpp=2,mb=3 | ") != NULL,
                  "%s", core_message());
}
END_TEST

START_TEST(test_batch_domain)
{
    core_spec s = decoder(16, 16, 64, 256, 512);
    static const char *const texts[] = {"tp=2,rounds=2", "tp=2,dp=2",
                                        "tp=2,mb=2"};
    par_plan plan;
    for (int i = 0; i < N_ROWS(texts); i++) {
        ck_assert(parse(&plan, texts[i]) == CORE_OK);
        s.capacity.domain = CORE_DOMAIN_GROUP;
        ck_assert(par_plan_check_batch(&plan, &s, 1) == CORE_OK);
        s.capacity.domain = CORE_DOMAIN_SEQUENCE;
        ck_assert(par_plan_check_batch(&plan, &s, 1) == CORE_OK);
        s.capacity.domain = CORE_DOMAIN_BATCH;
        core_message_clear();
        ck_assert_int_eq(par_plan_check_batch(&plan, &s, 9), CORE_E_PLAN);
        ck_assert(strstr(core_message(), "rounds = dp = mb = 1") != NULL);
    }
    ck_assert(parse(&plan, "tp=2,pp=2") == CORE_OK);
    ck_assert(par_plan_check_batch(&plan, &s, 9) == CORE_OK);
    ck_assert_int_eq(par_plan_check_batch(&plan, &s, 0), CORE_E_PLAN);
}
END_TEST

/* --- enumeration ---------------------------------------------------------- */

enum { N_RANK = 12 };

typedef struct seen {
    unsigned char count[N_RANK + 1][N_RANK + 1][N_RANK + 1][N_RANK + 1][2];
    int n;
} seen;

static void count_plan(void *self, const par_plan *p)
{
    seen *s = self;
    ck_assert_int_eq(par_plan_world(p), N_RANK);
    s->count[p->tp][p->pp][p->ep][p->etp][p->scope]++;
    s->n++;
}

/* The enumeration against the rules written out a second time. */
START_TEST(test_each_legal)
{
    const core_spec s = decoder(5, 6, 4, 3, 100);
    static seen all;
    memset(&all, 0, sizeof all);
    par_plan_each_legal(&s, N_RANK, count_plan, &all);
    int n = 0;
    for (int tp = 1; tp <= N_RANK; tp++)
        for (int pp = 1; pp <= N_RANK; pp++)
            for (int ep = 1; ep <= N_RANK; ep++)
                for (int etp = 1; etp <= N_RANK; etp++) {
                    const bool fits = N_RANK % (tp * pp) == 0 && 6 % tp == 0 &&
                                      pp <= 5 && ep <= 4 && etp <= 3;
                    const bool stage =
                        fits && N_RANK / pp % (ep * etp) == 0;
                    const bool replica = fits && ep * etp == pp * tp;
                    n += stage + replica;
                    ck_assert_int_eq(all.count[tp][pp][ep][etp][0], stage);
                    ck_assert_int_eq(all.count[tp][pp][ep][etp][1], replica);
                }
    ck_assert_int_eq(all.n, n);
    ck_assert_int_gt(n, 50);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("par_plan");
    TCase *strings = tcase_create("strings");
    tcase_add_loop_test(strings, test_good_string, 0, N_ROWS(good));
    tcase_add_loop_test(strings, test_bad_string, 0, N_ROWS(bad));
    tcase_add_test(strings, test_presets_are_listed);
    tcase_add_test(strings, test_world);
    tcase_add_test(strings, test_long_placement);
    suite_add_tcase(s, strings);
    TCase *yaml = tcase_create("yaml");
    tcase_add_loop_test(yaml, test_good_yaml, 0, N_ROWS(good_yaml));
    tcase_add_loop_test(yaml, test_bad_yaml, 0, N_ROWS(bad_yaml));
    suite_add_tcase(s, yaml);
    TCase *legal = tcase_create("legal");
    tcase_add_loop_test(legal, test_illegal, 0, N_ROWS(illegal));
    tcase_add_loop_test(legal, test_tensor_limits, 0, N_ROWS(tensor));
    tcase_add_test(legal, test_tensor_rules);
    tcase_add_test(legal, test_suggestions);
    tcase_add_test(legal, test_virtual_suggestions);
    tcase_add_test(legal, test_batch_domain);
    tcase_add_test(legal, test_each_legal);
    suite_add_tcase(s, legal);
    return s;
}

int main(void)
{
    return check_main(suite());
}
