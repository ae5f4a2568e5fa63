/* tests/unit/test_par_deal.c -- a deal reaches what it says it reaches.
 *
 * Random models and plans; where the rows of a deal arrive is worked out here
 * from the layouts of all ranks and the words of LAYOUTS.md, slots from the
 * words of the capacity rule: nothing of parallel/deal.c is used to judge it.
 */
#include "parallel/deal.h"
#include "tests/support/check_main.h"
#include "tests/support/random_case.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_SEED = 300, MAX_RANK = 12, MOST = 200, MAX_EXPERTS = 64 };

typedef struct world {
    random_case c;
    int n_rank;
    par_layout layout[MAX_RANK];
    core_arena arena[MAX_RANK];
    par_deal deal;
    int64_t *slot;                              /* [N, K] */
    int64_t n_row[MAX_RANK][MAX_EXPERTS];       /* that arrived             */
    int64_t n_completed[MAX_RANK][MAX_EXPERTS]; /* and that it finished      */
} world;

static world w;

static void open_world(uint64_t seed, int64_t most)
{
    memset(&w, 0, sizeof w);
    random_case_make(&w.c, seed, MAX_RANK);
    w.n_rank = par_plan_world(&w.c.plan);
    for (int r = 0; r < w.n_rank; r++) {
        w.arena[r] = core_arena_measure();
        ck_assert(par_layout_make(&w.layout[r], &w.arena[r], &w.c.spec,
                                  &w.c.plan, r) == CORE_OK);
    }
    ck_assert(par_deal_make(&w.deal, &w.c.spec, &w.c.plan, w.c.n_b, most,
                            seed) == CORE_OK);
    const int64_t n = w.deal.n_b * w.deal.n_t * w.c.spec.n_k;
    w.slot = calloc((size_t)n, sizeof *w.slot);
    ck_assert(w.slot != NULL);
}

static void close_world(void)
{
    for (int r = 0; r < w.n_rank; r++)
        core_arena_free(&w.arena[r]);
    par_deal_free(&w.deal);
    free(w.slot);
}

/* Choice c gets slot number (choices of its expert in [c0, c1) before it). */
static void give_slots(int64_t c0, int64_t c1, int64_t n_token)
{
    const bool by_weight = w.c.spec.capacity.priority == CORE_PRIORITY_PROB;
    const int64_t capacity = core_spec_capacity(&w.c.spec, n_token);
    for (int64_t c = c0; c < c1; c++) {
        int64_t n_before = 0;
        for (int64_t o = c0; o < c1; o++)
            if (w.deal.expert[o] == w.deal.expert[c] &&
                (by_weight && w.deal.weight[o] != w.deal.weight[c]
                     ? w.deal.weight[o] > w.deal.weight[c]
                     : o < c))
                n_before++;
        w.slot[c] = n_before < capacity ? n_before : -1;
    }
}

/* The slice of rank `from` of stage 0 leaves for its experts. */
static void send_slice(const par_layout *from, int layer, int64_t row0, int64_t n_row)
{
    const par_plan *p = &from->plan;
    const int64_t n_t = w.deal.n_t;
    const int64_t n = n_row * par_layout_n_t(p, from->c, n_t);
    const int64_t n_k = w.c.spec.n_k;
    const int ep = from->plan.ep, etp = from->plan.etp;
    int64_t t0, t1;
    par_layout_slice(from, n, &t0, &t1);
    for (int to_ep = 0; to_ep < ep; to_ep++) {
        int64_t n_block = 0, row = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t k = t0 * n_k; k < t1 * n_k; k++) {
                const int64_t token =
                    row0 * n_t + par_layout_token(p, from->c, n_t, k / n_k);
                const int64_t c = token * n_k + k % n_k;
                const int64_t e = w.deal.expert[c];
                if (w.slot[c] < 0 ||
                    par_layout_holder(from, layer, e, token) != to_ep)
                    continue;
                n_block += pass == 0;
                for (int i = 0; pass == 1 && i < etp; i++) {
                    const int to = from->ep_group.rank[to_ep * etp + i];
                    w.n_row[to][e]++;
                    w.n_completed[to][e] += row >= n_block * i / etp &&
                                            row < n_block * (i + 1) / etp;
                }
                row += pass == 1;
            }
    }
}

/* The rows of a layer. */
static void run(int layer)
{
    memset(w.n_row, 0, sizeof w.n_row);
    memset(w.n_completed, 0, sizeof w.n_completed);
    const par_plan *p = &w.c.plan;
    const int domain = w.c.spec.capacity.domain;
    const int64_t n_t = w.deal.n_t, n_k = w.c.spec.n_k;
    for (int round = 0; round < p->rounds; round++)
        for (int d = 0; d < p->dp; d++)
            for (int m = 0; m < p->mb; m++) {
                int64_t row0, row1;
                par_layout_rows(p, w.deal.n_b, round, d, m, &row0, &row1);
                if (domain != CORE_DOMAIN_SEQUENCE)
                    give_slots(row0 * n_t * n_k, row1 * n_t * n_k,
                               (row1 - row0) * n_t);
                for (int64_t b = row0;
                     domain == CORE_DOMAIN_SEQUENCE && b < row1; b++)
                    give_slots(b * n_t * n_k, (b + 1) * n_t * n_k, n_t);
                for (int i = 0; i < p->cp * p->tp; i++)
                    send_slice(&w.layout[d * p->cp * p->tp + i], layer, row0,
                               row1 - row0);
            }
}

/* Does tensor rank t read an id of its vocabulary part in these rows? */
static bool reads(int c, int t, int64_t row0, int64_t row1)
{
    const par_plan *p = &w.c.plan;
    const int64_t *first = w.layout[0].first_vocab;
    const int64_t n = (row1 - row0) * par_layout_n_t(p, c, w.deal.n_t);
    for (int64_t i = 0; i < n; i++) {
        const int64_t id = w.deal.id[row0 * w.deal.n_t +
                                     par_layout_token(p, c, w.deal.n_t, i)];
        if (id >= first[t] && id < first[t + 1])
            return true;
    }
    return false;
}

/* Ranks of stage 0 that look at their part of the vocabulary in vain. */
static int64_t count_unread(void)
{
    const par_plan *p = &w.c.plan;
    int64_t n = 0;
    for (int i = 0; i < p->dp * p->cp * p->tp; i++) {
        const int t = i % p->tp, c = i / p->tp % p->cp, d = i / p->tp / p->cp;
        bool is_read = false;
        for (int round = 0; round < p->rounds; round++)
            for (int m = 0; m < p->mb; m++) {
                int64_t row0, row1;
                par_layout_rows(p, w.deal.n_b, round, d, m, &row0, &row1);
                is_read |= reads(c, t, row0, row1);
            }
        n += !is_read;
    }
    return n;
}

/* Of stage 0 (or of all stages, where experts are spread over them): experts
 * without a row, and where a bias waits for it, without one completed.       */
static int64_t count_idle_of(int layer)
{
    const bool everywhere = w.c.plan.scope == PAR_SCOPE_REPLICA;
    int64_t n = 0;
    for (int r = 0; r < w.n_rank; r++)
        for (int i = 0; (everywhere || w.layout[r].stage == 0) &&
                        i < w.layout[r].n_my_expert;
             i++) {
            const int e = w.layout[r].experts[layer].mine[i];
            n += w.n_row[r][e] == 0 ||
                 (w.c.spec.bias_ffn && w.n_completed[r][e] == 0);
        }
    return n;
}

/* Of all layers that have experts of their own, or of one. */
static int64_t count_idle(void)
{
    int64_t n = 0;
    bool has_one = false;
    for (int l = 0; l < (int)w.c.spec.n_l; l++) {
        if (!core_spec_is_moe(&w.c.spec, l) ||
            (has_one && w.c.plan.n_mapped == 0))
            continue;
        has_one = true;
        run(l);
        n += count_idle_of(l);
    }
    return n;
}

static void check_choices(void)
{
    const int64_t n_k = w.c.spec.n_k, n = w.deal.n_b * w.deal.n_t;
    for (int64_t c = 0; c < n * n_k; c++) {
        ck_assert(w.deal.expert[c] >= 0 && w.deal.expert[c] < w.c.spec.n_e);
        ck_assert(w.deal.weight[c] > 0.0 && w.deal.weight[c] < 1.0);
        ck_assert(fmod(w.deal.weight[c], CORE_STEP_PROB) == 0.0);
        for (int64_t o = c / n_k * n_k; o < c; o++)
            ck_assert(w.deal.expert[o] != w.deal.expert[c]);
    }
    for (int64_t i = 0; i < n; i++)
        ck_assert(w.deal.id[i] >= 0 && w.deal.id[i] < w.c.spec.n_v);
}

static bool has_empty_replica(void)
{
    const par_plan *p = &w.c.plan;
    bool is_empty[8];
    memset(is_empty, 1, sizeof is_empty);
    for (int round = 0; round < p->rounds; round++)
        for (int d = 0; d < p->dp; d++)
            for (int m = 0; m < p->mb; m++) {
                int64_t row0, row1;
                par_layout_rows(p, w.deal.n_b, round, d, m, &row0, &row1);
                is_empty[d] &= row0 == row1;
            }
    for (int d = 0; d < p->dp; d++)
        if (is_empty[d])
            return true;
    return false;
}

/* Is what a deal says it misses missed, and nothing else?  Where rows are cut, it
 * says so also of what it cannot be sure of. */
static bool is_honest(int64_t n_left)
{
    return (w.deal.n_missed == 0) == (n_left == 0) ||
           (w.c.plan.cp > 1 && n_left == 0);
}

START_TEST(deals_do_as_they_say)
{
    open_world((uint64_t)_i, MOST);
    const bool has_experts =
        core_spec_count_moe(&w.c.spec, 0, (int)w.c.spec.n_l) > 0;
    if (has_experts)
        check_choices();
    const int64_t n_unread = count_unread();
    const int64_t n_idle = count_idle();
    ck_assert_msg(is_honest(n_unread + n_idle),
                  "seed %d, %s: the deal misses %lld, seen %lld experts, %lld "
                  "vocabulary parts",
                  _i, w.c.plan.text, (long long)w.deal.n_missed,
                  (long long)n_idle, (long long)n_unread);
    ck_assert_msg(w.deal.n_missed == 0 || has_empty_replica() ||
                      w.c.plan.cp > 1,
                  "seed %d, %s: %lld missed with %d tokens per row", _i,
                  w.c.plan.text, (long long)w.deal.n_missed, MOST);
    close_world();
}
END_TEST

/* With too few tokens something is missed, and the deal knows it. */
START_TEST(too_few_tokens_are_admitted)
{
    int n_missed = 0;
    for (uint64_t seed = 0; seed < N_SEED; seed++) {
        open_world(seed, 1);
        const int64_t n_left = count_unread() + count_idle();
        ck_assert(is_honest(n_left));
        n_missed += n_left > 0;
        close_world();
    }
    ck_assert_int_gt(n_missed, N_SEED / 2);
}
END_TEST

static core_status open_pair(core_spec *spec, par_plan *plan, const char *model,
                             const char *text)
{
    CORE_TRY(core_spec_open(spec, model, NULL));
    return par_plan_parse(plan, text);
}

/* The fewest tokens: an expert per token of a set, no more. */
START_TEST(rows_are_short)
{
    static const struct {
        const char *model, *plan;
        int64_t n_b, n_t;
    } row[] = {{"seed-mini", "seed-32", 16,
                9}, /* 8 rows of a replica for 64 experts: 8 */
               {"seed-mini", "seed-512", 256, 1},
               {"seed-mini", "tp=2,dp=4,ep=2", 8, 32},
               {"shadow-b", "dp=2,ep=2", 2, 13}, /* 26 experts, a slot each */
               /* of the two copies of one, each in another token group */
               {"shadow-b",
                "dp=2,ep=2,placement=0/0/0/0/0/0/0/0/0/0/0/0/0/1/1/1/1/1/1/1/1/"
                "1/1/1/1+0/1",
                2, 14}};
    core_spec spec;
    par_plan plan;
    par_deal deal;
    ck_assert(open_pair(&spec, &plan, row[_i].model, row[_i].plan) == CORE_OK);
    ck_assert(par_deal_make(&deal, &spec, &plan, row[_i].n_b, 64, 1) ==
              CORE_OK);
    ck_assert_int_eq(deal.n_missed, 0);
    ck_assert_int_le(deal.n_t, row[_i].n_t);
    par_deal_free(&deal);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("par_deal");
    TCase *tc = tcase_create("deal");
    tcase_add_loop_test(tc, deals_do_as_they_say, 0, N_SEED);
    tcase_add_test(tc, too_few_tokens_are_admitted);
    tcase_add_loop_test(tc, rows_are_short, 0, 5);
    suite_add_tcase(suite, tc);
    return check_main(suite);
}
