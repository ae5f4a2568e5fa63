/* tests/unit/test_har_audit.c -- the auditor of published figures.
 *
 * The identities by hand; the schedule by walking its ticks; a consistent
 * document, in which every claim is changed alone and must be found; the
 * refusals of the reader, each beside a twin that is read.
 */
#include "harness/perf/audit/audit.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_ROWS(table) ((int)(sizeof(table) / sizeof(table)[0]))

/* --- identities ----------------------------------------------------------- */

static const struct {
    const char *name; /* of the rule whose formula it is, if there is no f */
    har_interval (*f)(const har_interval *x);
    har_interval x[HAR_MAX_INPUTS];
    double lo, hi;
} identities[] = {
    {"shortest sequence", NULL, {{2, 3}}, 2, 3},
    {"part", har_id_part_of, {{2, 3}}, 0, 3},
    {"effective compute", NULL, {{2, 3}, {5, 7}}, 10, 21},
    {"effective compute", NULL, {{0, 0}, {1, INFINITY}}, 0, 0},
    {"heads of a GPU", NULL, {{6, 8}, {2, 4}}, 1.5, 4},
    {"heads of a GPU", NULL, {{6, 8}, {0, 2}}, 3, INFINITY},
    {"share of 10 in 4", har_id_share_up, {{10, 10}, {4, 4}}, 3, 3},
    /* 256 * 250 / 0.02 */
    {"tokens of a pass",
     NULL,
     {{256, 256}, {250, 250}, {0.02, 0.02}},
     3.2e6,
     3.2e6},
    {"excess", har_id_excess, {{30, 30}, {20, 20}}, 0.5, 0.5},
    /* 1000 * 1e9 / (4 * 1e12) */
    {"MFU of the throughput",
     NULL,
     {{1000, 1000}, {1e9, 1e9}, {4, 4}, {1e12, 1e12}},
     0.25,
     0.25},
    /* 8 * 100 * 1e9 / (0.5 * 4 * 1e12) */
    {"MFU of a pass",
     NULL,
     {{8, 8}, {100, 100}, {1e9, 1e9}, {0.5, 0.5}, {4, 4}, {1e12, 1e12}},
     0.4,
     0.4},
    {"compute of a pass",
     NULL,
     {{8, 8}, {100, 100}, {1e9, 1e9}, {4, 4}, {1e12, 1e12}},
     0.2,
     0.2},
    {"compute of a step",
     NULL,
     {{8, 8}, {1e9, 1e9}, {4, 4}, {1e12, 1e12}},
     0.002,
     0.002},
    /* 2 * 1000, and 4 * 2 * 3 * 5 * 7 of scores */
    {"flop",
     har_id_flop_per_token,
     {{1000, 1000}, {2, 2}, {3, 3}, {5, 5}, {7, 7}},
     2000,
     2840},
    {"flop at least", har_id_flop_at_least, {{1000, 1000}}, 2000, INFINITY},
    /* 100 / 400; (100 + 2 * 2 * 5 * 3 * 5) / (400 + the same) */
    {"share",
     har_id_attention_share,
     {{100, 100}, {300, 300}, {2, 2}, {5, 5}, {3, 3}, {5, 5}},
     0.25,
     400.0 / 700.0},
    {"share at least",
     har_id_attention_at_least,
     {{100, 100}, {300, 300}},
     0.25,
     1},
    {"bubble of the schedule", NULL, {{4, 4}, {8, 8}, {1, 1}}, 3.0 / 11,
     3.0 / 11},
    {"bubble of the schedule", NULL, {{4, 4}, {8, 8}, {2, 2}}, 3.0 / 19,
     3.0 / 19},
    {"busy time under the schedule", NULL, {{4, 4}, {8, 8}, {2, 2}}, 16.0 / 19,
     16.0 / 19},
    {"bubble of one stage", har_id_bubble, {{1, 1}, {8, 8}, {1, 1}}, 0, 0},
    /* waiting 3 / 8 of a share of 1/8: 3/8 / (8 + 3/8) */
    {"lockstep",
     har_id_bubble_lockstep,
     {{4, 4}, {4, 4}, {2, 2}, {0.125, 1}},
     3.0 / 67,
     3.0 / 11},
    {"busy time", NULL, {{0.2, 0.2}, {0.05, 0.1}}, 0.7, 0.75},
    {"busy time", NULL, {{0.8, 0.8}, {0.3, 0.4}}, 0, 0},
    /* 0.8 / (0.5 + 0.5 / 0.5) */
    {"busy balanced",
     har_id_busy_balanced,
     {{0.2, 0.2}, {0, 0}, {0.5, 0.5}, {0.5, 0.5}},
     0.8 / 1.5,
     0.8 / 1.5},
    {"busy schedule",
     har_id_busy_schedule,
     {{4, 4}, {8, 8}, {1, 1}},
     8.0 / 11,
     8.0 / 11},
    {"busy lockstep",
     har_id_busy_lockstep,
     {{4, 4}, {8, 8}, {1, 1}, {0.125, 1}},
     8.0 / 11,
     64.0 / 67},
    {"balance and capacity", NULL, {{1.25, 1.25}, {0.5, 0.5}}, 0.4, 0.4},
    {"headroom", NULL, {{16, 16}, {64, 64}}, 0.75, 0.75},
    {"headroom", NULL, {{80, 80}, {64, 64}}, 0, 0},
    /* (120 / (2 * 3) + 600 / (5 * 2 * 3)) * 2 */
    {"weights of a GPU",
     NULL,
     {{120, 120}, {600, 600}, {2, 2}, {2, 2}, {3, 3}, {5, 5}, {2, 2}, {3, 3}},
     80,
     80},
    /* 10 * 4 * 100 * 2 / 20 */
    {"KV cache of a GPU",
     NULL,
     {{10, 10}, {4, 4}, {100, 100}, {2, 2}, {20, 20}},
     400,
     400},
    /* 7 + 11 + 4 * 100 * 10 * 2 / (2 * 4 * 5) */
    {"weights, KV and activations",
     NULL,
     {{7, 7}, {11, 11}, {4, 4}, {100, 100}, {10, 10}, {2, 2}, {2, 2}, {4, 4},
      {5, 5}},
     218,
     218},
    /* 7 + 10 * 4 * 100 * 2 / 80 */
    {"memory at the longest sequence",
     NULL,
     {{7, 7}, {10, 10}, {4, 4}, {100, 100}, {2, 2}, {80, 80}},
     107,
     107},
    /* (100 + 500 / 1.25) * 2 / 10, to all 600 of them */
    {"least read",
     har_id_least_read,
     {{100, 100}, {500, 500}, {2, 2}, {10, 10}, {1.25, 1.25}},
     100,
     120},
    {"copies", har_id_copies_up, {{256, 256}, {33, 33}, {144, 144}}, 3, 3},
    {"inverse", har_id_inverse, {{20, 25}}, 0.04, 0.05},
    {"per accepted", har_id_per_accepted, {{0.06, 0.06}, {0.5, 1}}, 0.03, 0.04},
    {"read", har_id_read_per_accepted, {{12, 12}, {3, 3}, {1, 3}}, 1, 2},
    {"drafted", har_id_drafted, {{8, 8}, {0.5, 0.5}, {0.25, 0.5}}, 20, 24},
    /* (120 / (2 * 3) + 600 / 12 * (12 + 3) / (5 * 2 * 3)) * 2 */
    {"weights of a GPU, copies too",
     NULL,
     {{120, 120}, {600, 600}, {2, 2}, {2, 2}, {3, 3}, {5, 5}, {2, 2}, {3, 3},
      {12, 12}, {3, 3}},
     90,
     90},
    /* 1000 * (1 - 0.75) * 1e9 / (4 * 1e12) */
    {"MFU of what is computed",
     NULL,
     {{1000, 1000}, {0.75, 0.75}, {1e9, 1e9}, {4, 4}, {1e12, 1e12}},
     0.0625,
     0.0625},
    {"compute that there is, hits apart",
     NULL,
     {{4, 4}, {1e12, 1e12}, {1e9, 1e9}, {0.75, 0.75}},
     16000,
     16000},
    {"traffic of the weights",
     NULL,
     {{50, 50}, {0.5, 0.5}, {200, 200}},
     0.5,
     0.5},
    /* on tp 2, pp 2, dp 2: 40 tokens of 10 numbers of 2 bytes, 3 layers of a
     * stage; all-reduce 1, experts 2 * 3 / 2 * (3 / 4) = 2.25 */
    {"traffic",
     har_id_traffic,
     {{8, 8},
      {10, 10},
      {10, 10},
      {2, 2},
      {6, 6},
      {8, 8},
      {2, 2},
      {4, 4},
      {3, 3}},
     40 * 20 * 3 * 3.25,
     40 * 20 * 3 * 3.25},
};

static void assert_near(const char *what, double found, double expected)
{
    const bool ok = isinf(expected)
                        ? found == expected
                        : fabs(found - expected) <= 1e-14 * fabs(expected);
    ck_assert_msg(ok, "%s: %.17g, expected %.17g", what, found, expected);
}

static const har_rule *rule_named(const char *name)
{
    int i = 0;
    while (strcmp(har_rule_at(i)->name, name) != 0)
        i++;
    return har_rule_at(i);
}

START_TEST(test_identity)
{
    const har_interval *x = identities[_i].x;
    const har_interval r =
        identities[_i].f != NULL
            ? identities[_i].f(x)
            : har_rule_value(rule_named(identities[_i].name), x);
    assert_near(identities[_i].name, r.lo, identities[_i].lo);
    assert_near(identities[_i].name, r.hi, identities[_i].hi);
}
END_TEST

/* A NaN that goes in meets nothing. */
START_TEST(test_identity_nan)
{
    har_interval x[HAR_MAX_INPUTS];
    for (int i = 0; i < HAR_MAX_INPUTS; i++)
        x[i] = har_point((double)NAN);
    ck_assert(!har_intervals_meet(
        har_rule_value(rule_named("MFU of the throughput"), x),
        har_point(1.0)));
    ck_assert(!har_intervals_meet(
        har_rule_value(rule_named("heads of a GPU"), x), har_point(1.0)));
    ck_assert(!har_intervals_meet(
        har_rule_value(rule_named("tokens of a pass"), x), har_point(0.0)));
    ck_assert(har_intervals_meet((har_interval){1, 2}, (har_interval){2, 3}));
    ck_assert(!har_intervals_meet((har_interval){1, 2}, (har_interval){2.1, 3}));
}
END_TEST

/* Stages with a chunk of a micro-batch in this tick: chunk tick - s of those
 * that stage 0 takes one after another is in stage s. */
static int busy_stages(int pp, int n_chunk, int tick)
{
    int n = 0;
    for (int s = 0; s < pp; s++)
        n += tick >= s && tick - s < n_chunk ? 1 : 0;
    return n;
}

/* Waiting / all, by walking the ticks: a stage without a micro-batch idles
 * through the tick. */
static double replay_bubble(int pp, int n_chunk)
{
    double busy = 0.0, all = 0.0;
    for (int tick = 0; tick < n_chunk + pp - 1; tick++) {
        busy += busy_stages(pp, n_chunk, tick);
        all += pp;
    }
    return 1.0 - busy / all;
}

/* The same with scope=replica, where idle stages still serve experts.  A full
 * tick takes share + (1 - share); the experts of a tick with a busy stages take
 * a / pp of theirs. */
static double replay_lockstep(int pp, int n_chunk, double share)
{
    double busy = 0.0, all = 0.0;
    for (int tick = 0; tick < n_chunk + pp - 1; tick++) {
        const double active = (double)busy_stages(pp, n_chunk, tick) / pp;
        busy += share * active + (1.0 - share) * active;
        all += share + (1.0 - share) * active;
    }
    return 1.0 - busy / all;
}

/* Walking the ticks gives the closed forms. */
START_TEST(test_replay)
{
    static const double share[] = {0.0, 0.125, 0.5, 1.0};
    /* by hand: 3 stages, 2 micro-batches: 4 ticks of 3, 6 of 12 busy */
    ck_assert(fabs(replay_bubble(3, 2) - 0.5) < 1e-15);
    /* share 1/2: ticks of 1/3 2/3 2/3 1/3 of the experts: 2 + 1 = 3, busy 2 */
    ck_assert(fabs(replay_lockstep(3, 2, 0.5) - 1.0 / 3) < 1e-15);
    for (int k = 0; k < 7 * 9 * 3; k++) {
        const int pp = 1 + k % 7, mb = 1 + k / 7 % 9, vpp = 1 + k / 63;
        har_interval x[] = {har_point(pp), har_point(mb), har_point(vpp),
                            har_point(0)};
        ck_assert(fabs(replay_bubble(pp, mb * vpp) - har_id_bubble(x).lo) <
                  1e-14);
        for (int s = 0; s < N_ROWS(share); s++) {
            x[3] = har_point(share[s]);
            ck_assert(fabs(replay_lockstep(pp, mb * vpp, share[s]) -
                           har_id_bubble_lockstep(x).lo) < 1e-14);
        }
    }
}
END_TEST

/* Ends of the inputs' ranges bound every value between them. */
START_TEST(test_ranges_contain)
{
    const har_interval wide[4] = {{2, 6}, {3, 9}, {1, 4}, {0.1, 0.6}};
    for (int k = 0; k < 81; k++) {
        har_interval x[4];
        int digit = k;
        for (int i = 0; i < 4; i++, digit /= 3)
            x[i] = har_point(wide[i].lo +
                             (wide[i].hi - wide[i].lo) * (digit % 3) / 2.0);
        const har_interval a = har_id_bubble_lockstep(x);
        const har_interval all = har_id_bubble_lockstep(wide);
        ck_assert(a.lo >= all.lo - 1e-15 && a.hi <= all.hi + 1e-15);
        const har_interval b = har_id_bubble(x), b_all = har_id_bubble(wide);
        ck_assert(b.lo >= b_all.lo - 1e-15 && b.hi <= b_all.hi + 1e-15);
    }
}
END_TEST

/* --- a consistent document, one claim changed ----------------------------- */

static har_claims *read_consistent(void)
{
    har_claims *c = malloc(sizeof *c);
    ck_assert_ptr_nonnull(c);
    ck_assert_msg(har_claims_read(c, CLAIMS_DIR "/consistent.yaml", NULL) ==
                      CORE_OK,
                  "%s", core_message());
    return c;
}

static void scale(har_claim *c, double by)
{
    c->value *= by;
    c->range.lo *= by;
    c->range.hi *= by;
}

/* The verdict on claim i after it alone was multiplied. */
static har_claim_verdict changed(har_claims *claims, int i, double by)
{
    const har_claim before = claims->at[i];
    har_audit audit;
    scale(&claims->at[i], by);
    ck_assert(har_audit_run(&audit, claims) == CORE_OK);
    const har_claim_verdict v = audit.reading[0].claim[i].verdict;
    ck_assert(!(v != HAR_CLAIM_HOLDS && har_audit_is_clean(&audit)));
    har_audit_free(&audit);
    claims->at[i] = before;
    return v;
}

/* Claims that only a bound from one side reaches: changed towards the other
 * side they say less, and that is no contradiction. */
static const struct {
    const char *id;
    bool up, down; /* a change this way must be found                         */
} one_sided[] = {
    {"shortest", true, false},     {"communication", false, true},
    {"R-memory", false, true},     {"R-latency", false, true},
    {"R-throughput", true, false}, {"R-communication", false, true},
    {"R-balance", true, false},    {"R-utilisation", true, false},
};

static void directions(const char *id, bool *up, bool *down)
{
    *up = *down = true;
    for (int k = 0; k < N_ROWS(one_sided); k++) {
        if (strcmp(one_sided[k].id, id) == 0) {
            *up = one_sided[k].up;
            *down = one_sided[k].down;
        }
    }
}

START_TEST(test_consistent)
{
    har_claims *claims = read_consistent();
    har_audit audit;
    ck_assert(har_audit_run(&audit, claims) == CORE_OK);
    for (int i = 0; i < claims->n; i++)
        ck_assert_msg(audit.reading[0].claim[i].verdict == HAR_CLAIM_HOLDS,
                      "%s", claims->at[i].id);
    ck_assert(har_audit_is_clean(&audit));
    ck_assert_int_eq(audit.n_best, 1);
    har_audit_free(&audit);
    free(claims);
}
END_TEST

START_TEST(test_every_change_is_found)
{
    har_claims *claims = read_consistent();
    int n_found = 0;
    for (int i = 0; i < claims->n; i++) {
        bool up, down;
        directions(claims->at[i].id, &up, &down);
        const har_claim_verdict more = changed(claims, i, 4.0);
        const har_claim_verdict less = changed(claims, i, 0.25);
        ck_assert_msg((more != HAR_CLAIM_HOLDS) == up, "%s times 4: %s",
                      claims->at[i].id, har_claim_verdict_name(more));
        ck_assert_msg((less != HAR_CLAIM_HOLDS) == down, "%s over 4: %s",
                      claims->at[i].id, har_claim_verdict_name(less));
        n_found += up ? 1 : 0;
        n_found += down ? 1 : 0;
    }
    ck_assert_int_ge(n_found, claims->n);
    free(claims);
}
END_TEST

/* Kinds of verdicts, on the consistent document with one change. */
static const struct {
    const char *id;
    double by;
    har_claim_verdict verdict;
} kinds[] = {
    {"latency", 1.0, HAR_CLAIM_HOLDS},
    {"latency", 2.0, HAR_CLAIM_CONTRADICTED},
    {"R-latency", 0.4, HAR_CLAIM_NOT_REACHED},
    {"memory-capacity", 2.0, HAR_CLAIM_IMPOSSIBLE},
    {"utilisation", 2.0, HAR_CLAIM_IMPOSSIBLE},
    {"links", 0.5, HAR_CLAIM_UNDEFINED},
};

static int find(const har_claims *claims, const char *id)
{
    for (int i = 0; i < claims->n; i++)
        if (strcmp(claims->at[i].id, id) == 0)
            return i;
    ck_abort_msg("no claim %s", id);
}

START_TEST(test_kind)
{
    har_claims *claims = read_consistent();
    const int i = find(claims, kinds[_i].id);
    const har_claim_verdict v = changed(claims, i, kinds[_i].by);
    ck_assert_msg(v == kinds[_i].verdict, "%s times %g: %s", kinds[_i].id,
                  kinds[_i].by, har_claim_verdict_name(v));
    free(claims);
}
END_TEST

/* A word without a meaning makes a verdict that turns on it undefined. */
START_TEST(test_undefined_word)
{
    har_claims *claims = read_consistent();
    const int i = find(claims, "latency");
    har_audit audit;
    claims->meaning[HAR_WORD_PASS] = 0;
    ck_assert(har_audit_run(&audit, claims) == CORE_OK);
    ck_assert_int_eq(audit.reading[0].claim[i].verdict, HAR_CLAIM_UNDEFINED);
    ck_assert(audit.reading[0].claim[i].depends[HAR_WORD_PASS]);
    ck_assert(strstr(audit.reading[0].claim[i].note, "decode") != NULL);
    har_audit_free(&audit);
    free(claims);
}
END_TEST

/* A claim that nothing reaches says what would be needed. */
START_TEST(test_unreachable)
{
    har_claims *claims = read_consistent();
    har_audit audit;
    claims->at[0] = claims->at[find(claims, "latency")];
    claims->n = 1;
    claims->has_fact[HAR_Q_MEMORY_BANDWIDTH] = false;
    ck_assert(har_audit_run(&audit, claims) == CORE_OK);
    ck_assert_int_eq(audit.reading[0].claim[0].verdict, HAR_CLAIM_UNDEFINED);
    ck_assert(audit.reading[0].claim[0].finding.missing[0] != '\0');
    ck_assert(!audit.reading[0].reading.exists);
    har_audit_free(&audit);
    free(claims);
}
END_TEST

/* A plan in the file is the only reading; an illegal one is refused. */
START_TEST(test_plan_of_file)
{
    har_claims *claims = read_consistent();
    har_audit audit;
    claims->has_plan = true;
    ck_assert(par_plan_parse(&claims->plan, "tp=2,pp=2,dp=2,ep=2,mb=4") ==
              CORE_OK);
    ck_assert(har_audit_run(&audit, claims) == CORE_OK);
    ck_assert_int_eq(audit.n_reading, 1);
    ck_assert_int_eq(audit.reading[0].claim[find(claims, "ep")].verdict,
                     HAR_CLAIM_CONTRADICTED);
    ck_assert_int_eq(audit.reading[0].claim[find(claims, "tp")].verdict,
                     HAR_CLAIM_HOLDS);
    har_audit_free(&audit);
    ck_assert(par_plan_parse(&claims->plan, "tp=3") == CORE_OK);
    ck_assert(har_audit_run(&audit, claims) == CORE_E_PLAN);
    free(claims);
}
END_TEST

/* --- published posts ------------------------------------------------------ */

/* The best reading, and how many claims hold under it. */
static const struct {
    const char *file, *plan;
    int n_holds;
} posts[] = {
    {"deepseek-day6-prefill", "dp=32,ep=32", 7},
    {"deepseek-day6-decode", "dp=144,ep=144", 8},
    {"deepseek-v3-report", "tp=4,dp=8,ep=32", 14},
    {"deepseek-v3-training", "pp=16,dp=128,ep=64", 5},
    {"sglang-96-prefill", "dp=32,ep=32", 4},
    {"sglang-96-decode", "dp=72,ep=72", 3},
    {"kimi-k2-report", "pp=16,dp=16,ep=16", 9},
    {"gpt-oss-card", "tp=1", 7},
};

static har_claims *read_post(const char *file)
{
    char path[400];
    har_claims *c = malloc(sizeof *c);
    ck_assert_ptr_nonnull(c);
    snprintf(path, sizeof path, CLAIMS_DIR "/%s.yaml", file);
    ck_assert_msg(har_claims_read(c, path, NULL) == CORE_OK, "%s",
                  core_message());
    return c;
}

START_TEST(test_post)
{
    char plan[PAR_PLAN_TEXT + 40];
    har_claims *claims = read_post(posts[_i].file);
    har_audit audit;
    ck_assert(har_audit_run(&audit, claims) == CORE_OK);
    har_reading_write(&audit.reading[0].reading, plan, sizeof plan);
    ck_assert_str_eq(plan, posts[_i].plan);
    ck_assert_int_eq(audit.reading[0].n_verdict[HAR_CLAIM_HOLDS],
                     posts[_i].n_holds);
    har_audit_free(&audit);
    free(claims);
}
END_TEST

/* One figure of a post changed: then not all of them can be true. */
static const struct {
    const char *file, *id;
    double by;
} wrong[] = {
    {"deepseek-day6-prefill", "redundant", 3},
    {"deepseek-day6-prefill", "experts-per-gpu", 2},
    {"deepseek-day6-prefill", "node-rate", 10},
    {"deepseek-day6-decode", "node-rate", 20},
    {"deepseek-day6-decode", "redundant", 8},
    {"deepseek-v3-report", "active", 2},
    {"deepseek-v3-training", "gpu-rate", 1.1},
    {"gpt-oss-card", "checkpoint", 0.9},
};

static int n_holding(const har_claims *claims)
{
    har_audit audit;
    ck_assert(har_audit_run(&audit, claims) == CORE_OK);
    const int n = audit.reading[0].n_verdict[HAR_CLAIM_HOLDS];
    har_audit_free(&audit);
    return n;
}

START_TEST(test_post_changed)
{
    har_claims *claims = read_post(wrong[_i].file);
    const int n_before = n_holding(claims);
    scale(&claims->at[find(claims, wrong[_i].id)], wrong[_i].by);
    ck_assert_msg(n_holding(claims) < n_before, "%s: %s", wrong[_i].file,
                  wrong[_i].id);
    free(claims);
}
END_TEST

/* Degrees that nobody states, and what they would be taken for. */
START_TEST(test_unstated_degrees)
{
#define CUT                                                                     \
    "  - {id: a, quantity: gpus, value: 32}\n"                                  \
    "  - {id: b, quantity: tp, value: 4}\n"                                     \
    "  - {id: c, quantity: pp, value: 2}\n"                                     \
    "  - {id: d, quantity: cp, value: 2}\n"                                     \
    "  - {id: h, quantity: ep, value: 4}\n"                                     \
    "  - {id: e, quantity: vpp, value: 4}\n"                                    \
    "  - {id: f, quantity: micro_batches, value: 8}\n"
#define UNCUT                                                                   \
    "  - {id: a, quantity: gpus, value: 32}\n"                                  \
    "  - {id: b, quantity: tp, value: 4}\n"                                     \
    "  - {id: c, quantity: pp, value: 2}\n"                                     \
    "  - {id: d, quantity: dp, value: 2}\n"                                     \
    "  - {id: h, quantity: ep, value: 8}\n"                                     \
    "  - {id: f, quantity: micro_batches, value: 8}\n"
    static const struct {
        const char *claims, *plan;
        int n_alike, n_broken;
    } of[] = {{"  - {id: a, quantity: gpus, value: 8}\n"
               "  - {id: b, quantity: ep, value: 8}\n", "dp=8,ep=8", 3, 0},
              {"  - {id: a, quantity: gpus, value: 8}\n"
               "  - {id: b, quantity: tp, value: 8}\n", "tp=8", 0, 0},
              {"  - {id: a, quantity: nodes, value: 2}\n"
               "  - {id: b, quantity: gpus_per_node, value: 4}\n"
               "  - {id: c, quantity: pp, value: 2}\n", "pp=2,dp=4", 0, 0},
              /* 1 / (8 * 4 + 1) with virtual stages; 1 / 9 without breaks with
               * the micro-batches */
              {CUT "  - {id: g, quantity: bubble, value: 3.03, unit: \"%\"}\n",
               "tp=4,cp=2,pp=2,vpp=4,dp=2,ep=4,mb=8", 0, 0},
              {CUT "  - {id: g, quantity: bubble, value: 11.1, unit: \"%\"}\n",
               "tp=4,cp=2,pp=2,vpp=4,dp=2,ep=4,mb=8", 0, 2},
              /* nobody says cp or vpp: what is left of the GPUs, and 1 / 33 */
              {UNCUT "  - {id: e, quantity: bubble, value: 3.03, unit: \"%\"}\n",
               "tp=4,cp=2,pp=2,vpp=4,dp=2,ep=8,mb=8", 0, 0},
              /* 1 / 9 needs no vpp */
              {UNCUT "  - {id: e, quantity: bubble, value: 11.1, unit: \"%\"}\n",
               "tp=4,cp=2,pp=2,dp=2,ep=8,mb=8", 0, 0},
              /* a step of decoding has no rows to cut: gpus or dp is wrong */
              {UNCUT "  - {id: e, quantity: tpot, value: 20, unit: ms}\n",
               "tp=4,pp=2,dp=2,ep=8,scope=replica,mb=8", 0, 2}};
#undef CUT
#undef UNCUT
    char path[] = "/tmp/audit-XXXXXX", text[800], plan[PAR_PLAN_TEXT + 40];
    har_claims *claims = malloc(sizeof *claims);
    const int fd = mkstemp(path);
    int n_alike = -1;
    ck_assert(fd >= 0 && claims != NULL);
    close(fd);
    for (int i = 0; i < N_ROWS(of); i++) {
        har_audit audit;
        snprintf(text, sizeof text, "document: a\nmodel: seed-mini\nclaims:\n%s",
                 of[i].claims);
        FILE *file = fopen(path, "w");
        ck_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
        ck_assert(har_claims_read(claims, path, NULL) == CORE_OK);
        ck_assert(har_audit_run(&audit, claims) == CORE_OK);
        har_reading_write(&audit.reading[0].reading, plan, sizeof plan);
        ck_assert_str_eq(plan, of[i].plan);
        ck_assert_int_eq(audit.reading[0].n_verdict[HAR_CLAIM_HOLDS],
                         claims->n - of[i].n_broken);
        n_alike = audit.reading[0].n_alike;
        ck_assert_int_ge(n_alike, of[i].n_alike);
        har_audit_free(&audit);
    }
    /* of the last: with vpp as many claims hold, and not one more */
    ck_assert_int_eq(n_alike, 0);
    unlink(path);
    free(claims);
}
END_TEST

/* As many claims as a file may have, each held against all others. */
START_TEST(test_one_quantity)
{
    har_claims *claims = read_consistent();
    const har_claim gpus = claims->at[find(claims, "gpus")];
    claims->n = HAR_MAX_CLAIMS;
    for (int i = 0; i < claims->n; i++)
        claims->at[i] = gpus;
    ck_assert_int_eq(n_holding(claims), HAR_MAX_CLAIMS);
    free(claims);
}
END_TEST

/* What a step keeps of its drafts, and what a cache has, goes into the rates. */
START_TEST(test_drafts_and_hits)
{
    static const char text[] =
        "document: a\nmodel: seed-mini\n"
        "hardware: {peak_flops: 1 TFLOPS}\nclaims:\n"
        "  - {id: gpus, quantity: gpus, value: 4}\n"
        "  - {id: batch, quantity: batch, value: 100, unit: sequences}\n"
        "  - {id: step, quantity: latency, value: 30, unit: ms, means: decode}\n"
        "  - {id: drafts, quantity: mtp_accepted, value: 0.5, unit: \"1\"}\n"
        "  - {id: tpot, quantity: tpot, value: 20, unit: ms}\n"
        "  - {id: user, quantity: tokens_per_second_per_user, value: 50, "
        "unit: tokens/s}\n"
        "  - {id: gpu, quantity: tokens_per_second_per_gpu, value: 1250, "
        "unit: tokens/s, rounding: 100}\n"
        "  - {id: length, quantity: sequence_length, value: 1000, unit: "
        "tokens}\n"
        "  - {id: hits, quantity: hit_rate, value: 50, unit: \"%\"}\n"
        "  - {id: first, quantity: ttft, value: 5, unit: ms}\n";
    char path[] = "/tmp/audit-XXXXXX";
    har_claims *claims = malloc(sizeof *claims);
    const int fd = mkstemp(path);
    ck_assert(fd >= 0 && claims != NULL);
    ck_assert(write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
    close(fd);
    ck_assert_msg(har_claims_read(claims, path, NULL) == CORE_OK, "%s",
                  core_message());
    for (int i = 0; i < claims->n; i++)
        ck_assert_msg(changed(claims, i, 1) == HAR_CLAIM_HOLDS, "%s",
                      claims->at[i].id);
    ck_assert(changed(claims, find(claims, "drafts"), 2) != HAR_CLAIM_HOLDS);
    ck_assert(changed(claims, find(claims, "tpot"), 1.5) != HAR_CLAIM_HOLDS);
    ck_assert(changed(claims, find(claims, "user"), 2) != HAR_CLAIM_HOLDS);
    ck_assert(changed(claims, find(claims, "gpu"), 1.5) != HAR_CLAIM_HOLDS);
    /* 1000 tokens of 2.3 MFLOP x 2, half of them computed, on 4 TFLOPS: 0.5 ms */
    ck_assert(changed(claims, find(claims, "first"), 0.08) != HAR_CLAIM_HOLDS);
    ck_assert(changed(claims, find(claims, "first"), 0.16) == HAR_CLAIM_HOLDS);
    unlink(path);
    free(claims);
}
END_TEST

/* --- the reader ----------------------------------------------------------- */

#define HEAD "document: a\nmodel: seed-mini\n"
#define CLAIM "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms}\n"

static const struct {
    const char *text, *place, *fragment, *twin;
} refusals[] = {
    {"", ":1:1: ", "", HEAD CLAIM},
    {"- 1\n", ":1:1: ", "a claims file: expected 'key: value'", HEAD CLAIM},
    {"document: a\n" CLAIM, ":1:1: ", "model: is missing", HEAD CLAIM},
    {HEAD, ":1:1: ", "claims: is missing", HEAD CLAIM},
    {HEAD "colour: red\n" CLAIM, ":3:1: ", "unknown key 'colour'",
     HEAD "source: red\n" CLAIM},
    {HEAD "document: b\n" CLAIM, ":3:1: ", "document: given twice", HEAD CLAIM},
    {HEAD "claims: []\n", ":3:1: ", "claims: the list is empty", HEAD CLAIM},
    {HEAD "claims: 3\n", ":3:1: ", "claims: expected a list", HEAD CLAIM},
    {HEAD "claims: {id: a}\n", ":3:10: ", "claims: expected a list",
     HEAD CLAIM},
    {HEAD "claims: [a]\n", ":3:1: ", "a claim: expected 'key: value' lines",
     HEAD CLAIM},
    {HEAD "claims:\n  - {}\n", ":3:1: ", "claims[0]: expected keys and values",
     HEAD CLAIM},
    {HEAD "claims[0].id: a\n" CLAIM, ":3:1: ", "claims[0].id: unknown key",
     HEAD CLAIM},
    {HEAD "source: [a]\n" CLAIM, ":3:10: ", "source: expected one line",
     HEAD "source: a\n" CLAIM},
    {HEAD "source: \"a\\nb\"\n" CLAIM, ":3:9: ",
     "source: expected one line", HEAD "source: \"a b\"\n" CLAIM},
    {HEAD "hardware: 3\n" CLAIM, ":3:1: ",
     "hardware: expected 'key: value' lines",
     HEAD "hardware: {tp: 3}\n" CLAIM},
    {HEAD "hardware: {peak: 3 TFLOPS}\n" CLAIM, ":3:12: ",
     "unknown quantity 'peak'", HEAD "hardware: {peak_flops: 3 TFLOPS}\n" CLAIM},
    {HEAD "hardware: {peak_flops: 3 GB}\n" CLAIM, ":3:24: ",
     "peak_flops is measured in GFLOPS, TFLOPS, PFLOPS, found 'GB'",
     HEAD "hardware: {peak_flops: 3 PFLOPS}\n" CLAIM},
    {HEAD "claims:\n  - {quantity: latency, value: 27, unit: ms}\n", ":4:",
     "a claim without id", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, value: 27, unit: ms}\n", ":4:",
     "a: quantity is missing", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: latency, unit: ms}\n", ":4:10: ",
     "a: value is missing", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: lateness, value: 2, unit: ms}\n",
     ":4:23: ", "unknown quantity 'lateness'", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: GB}\n",
     ":4:49: ", "latency is measured in us, ms, s, found 'GB'", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 27}\n", ":4:",
     "latency is measured in us, ms, s, found '1'", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: -27, unit: ms}\n",
     ":4:39: ", "expected a decimal number such as 11.6, found '-27'",
     HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: .nan, unit: ms}\n",
     ":4:39: ", "found '.nan'", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 2.7.1, unit: ms}\n",
     ":4:39: ", "found '2.7.1'", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "relation: is}\n", ":4:", "relation: expected one of = ~ <",
     HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "relation: \"<\"}\n"},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "relation: \"~\"}\n", ":4:", "relation ~ needs a rounding",
     HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "relation: \"~\", rounding: 5}\n"},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "means: training}\n", ":4:", "means: expected prefill or decode",
     HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "means: decode}\n"},
    {HEAD "claims:\n  - {id: a, quantity: tp, value: 2, means: busy}\n", ":4:",
     "means: tp has one meaning only",
     HEAD "claims:\n  - {id: a, quantity: tp, value: 2}\n"},
    {HEAD "claims:\n  - {id: a, quantity: tp, value: 2, colour: red}\n", ":4:",
     "unknown key 'colour' of a claim",
     HEAD "claims:\n  - {id: a, quantity: tp, value: 2, quote: red}\n"},
    {HEAD "claims:\n  - {id: a, quantity: tp, value: 2, line: 2.5}\n", ":4:",
     "line: expected a line number",
     HEAD "claims:\n  - {id: a, quantity: tp, value: 2, line: 25}\n"},
    {HEAD "claims:\n  - {id: a, quantity: tp, value: 2}\n"
          "  - {id: a, quantity: pp, value: 2}\n", ":5:10: ",
     "id: 'a' is also in line 4",
     HEAD "claims:\n  - {id: a, quantity: tp, value: 2}\n"
          "  - {id: b, quantity: pp, value: 2}\n"},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "rounding: x}\n", ":4:", "rounding: expected a decimal number",
     HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "rounding: 2}\n"},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "means: decode}\n  - {id: b, quantity: latency, value: 27, unit: ms, "
          "means: prefill}\n", ":5:", "another claim says decode",
     HEAD "claims:\n  - {id: a, quantity: latency, value: 27, unit: ms, "
          "means: decode}\n  - {id: b, quantity: latency, value: 27, unit: ms, "
          "means: decode}\n"},
    {HEAD "claims:\n  - {id: a23456789b123456789c123456789d1234567890, "
          "quantity: tp, value: 2}\n", ":4:10: ", "id: at most 39 characters",
     HEAD "claims:\n  - {id: a23456789b123456789c123456789d12345678, "
          "quantity: tp, value: 2}\n"},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 22..20, unit: ms}\n",
     ":4:39: ", "expected a rising range such as 20..22", HEAD CLAIM},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 20.., unit: ms}\n",
     ":4:39: ", "expected a decimal number such as 11.6, found ''",
     HEAD "claims:\n  - {id: a, quantity: latency, value: 20..21, unit: ms}\n"},
    {HEAD "claims:\n  - {id: a, quantity: latency, value: 20..22, unit: ms, "
          "relation: \"<\"}\n", ":4:", "with relation =, found '20..22'",
     HEAD "claims:\n  - {id: a, quantity: latency, value: 20..22, unit: ms, "
          "relation: \"=\"}\n"},
    {HEAD "claims:\n  - {id: a, quantity: tp, value: [2]}\n", ":4:",
     "value: expected one line",
     HEAD "claims:\n  - {id: a, quantity: tp, value: 2}\n"},
    {HEAD "assume: {tp: 2}\nhardware: {tp: 2}\n" CLAIM, ":4:16: ",
     "tp: given twice", HEAD "assume: {tp: 2}\nhardware: {ep: 2}\n" CLAIM},
    {HEAD CLAIM "--- \na: b\n", ": ", "a second document", HEAD CLAIM},
    {HEAD "claims: [\n", ":", "", HEAD CLAIM},
};

static core_status read_text(har_claims *out, const char *path,
                             const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert(fputs(text, file) >= 0);
    ck_assert(fclose(file) == 0);
    core_message_clear();
    return har_claims_read(out, path, NULL);
}

START_TEST(test_refusal)
{
    char path[] = "/tmp/audit-XXXXXX", place[64];
    har_claims *claims = malloc(sizeof *claims);
    const int fd = mkstemp(path);
    ck_assert(fd >= 0 && claims != NULL);
    close(fd);
    ck_assert_int_eq(read_text(claims, path, refusals[_i].text),
                     CORE_E_FORMAT);
    snprintf(place, sizeof place, "%s%s", path, refusals[_i].place);
    ck_assert_msg(strncmp(core_message(), place, strlen(place)) == 0 &&
                      strstr(core_message(), refusals[_i].fragment) != NULL,
                  "'%s' lacks '%s' or '%s'", core_message(), place,
                  refusals[_i].fragment);
    ck_assert_msg(read_text(claims, path, refusals[_i].twin) == CORE_OK, "%s",
                  core_message());
    unlink(path);
    free(claims);
}
END_TEST

/* What a rounded figure may be. */
static const struct {
    const char *keys;
    double lo, hi;
} ranges[] = {
    {"quantity: latency, value: 27, unit: ms", 0.0265, 0.0275},
    {"quantity: latency, value: 27.0, unit: ms", 0.02695, 0.02705},
    {"quantity: memory_used, value: 11.6, unit: GB", 11.55e9, 11.65e9},
    {"quantity: memory_used, value: 1, unit: GiB", 0x1p29, 0x1.8p30},
    {"quantity: tokens_per_second, value: 38000, unit: tokens/s", 37999.5,
     38000.5},
    {"quantity: tokens_per_second, value: 38000, unit: tokens/s, rounding: 1000",
     37500, 38500},
    {"quantity: gpus, value: 16", 16, 16},
    {"quantity: batch, value: 256, unit: sequences", 256, 256},
    {"quantity: mfu, value: 60, unit: \"%\", relation: \">\"", 0.6, INFINITY},
    {"quantity: latency, value: 50, unit: ms, relation: \"<=\"", 0, 0.05},
    {"quantity: latency, value: 1, unit: us, rounding: 4", 0, 3e-6},
    {"quantity: tpot, value: 20..22, unit: ms", 0.0195, 0.0225},
    {"quantity: mfu, value: 20..22.5, unit: \"%\", rounding: 1", 0.195, 0.23},
    {"quantity: gpus, value: 8..16", 8, 16},
};

START_TEST(test_range)
{
    char path[] = "/tmp/audit-XXXXXX", text[300];
    har_claims *claims = malloc(sizeof *claims);
    const int fd = mkstemp(path);
    ck_assert(fd >= 0 && claims != NULL);
    close(fd);
    snprintf(text, sizeof text, HEAD "claims:\n  - {id: a, %s}\n",
             ranges[_i].keys);
    ck_assert_msg(read_text(claims, path, text) == CORE_OK, "%s",
                  core_message());
    assert_near(ranges[_i].keys, claims->at[0].range.lo, ranges[_i].lo);
    assert_near(ranges[_i].keys, claims->at[0].range.hi, ranges[_i].hi);
    unlink(path);
    free(claims);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_audit");
    TCase *ids = tcase_create("identities");
    tcase_add_loop_test(ids, test_identity, 0, N_ROWS(identities));
    tcase_add_test(ids, test_identity_nan);
    tcase_add_test(ids, test_replay);
    tcase_add_test(ids, test_ranges_contain);
    suite_add_tcase(suite, ids);
    TCase *document = tcase_create("document");
    tcase_set_timeout(document, 120);
    tcase_add_test(document, test_consistent);
    tcase_add_test(document, test_every_change_is_found);
    tcase_add_loop_test(document, test_kind, 0, N_ROWS(kinds));
    tcase_add_test(document, test_undefined_word);
    tcase_add_test(document, test_unreachable);
    tcase_add_test(document, test_plan_of_file);
    suite_add_tcase(suite, document);
    TCase *published = tcase_create("published");
    tcase_set_timeout(published, 120);
    tcase_add_loop_test(published, test_post, 0, N_ROWS(posts));
    tcase_add_loop_test(published, test_post_changed, 0, N_ROWS(wrong));
    tcase_add_test(published, test_unstated_degrees);
    tcase_add_test(published, test_one_quantity);
    tcase_add_test(published, test_drafts_and_hits);
    suite_add_tcase(suite, published);
    TCase *reader = tcase_create("reader");
    tcase_add_loop_test(reader, test_refusal, 0, N_ROWS(refusals));
    tcase_add_loop_test(reader, test_range, 0, N_ROWS(ranges));
    suite_add_tcase(suite, reader);
    return check_main(suite);
}
