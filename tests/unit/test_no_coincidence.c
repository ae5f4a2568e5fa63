/* tests/unit/test_no_coincidence.c -- the shadow plans do not hide bugs.
 *
 * A text that uses one quantity where another is meant (tp for pp, experts per
 * rank for layers per stage, ...) is right wherever the two are equal.  So no
 * two quantities may be equal in every row of the set.  The seed's own plan is
 * the control: the same function must find its many coincidences.  The rows of
 * one model are held to the same rule, apart from what that model's sizes fix.
 */
#include "core/pass/batch.h"
#include "parallel/layout.h"
#include "tests/support/check_main.h"
#include "tests/support/shadow_plans.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUANTITY_LIST(X)                                                       \
    X(TP, "tp") X(PP, "pp") X(DP, "dp") X(EP, "ep") X(ETP, "etp")              \
    X(EDP, "edp") X(MB, "mb") X(ROUNDS, "rounds")                              \
    X(L, "L") X(D, "D") X(H, "H") X(G, "G") X(DH, "Dh") X(E, "E") X(K, "K")    \
    X(F, "F") X(FS, "F shared") X(FD, "F dense") X(V, "V") X(B, "B")           \
    X(T, "T") X(Q_COLS, "H*Dh") X(KV_COLS, "G*Dh")                             \
    X(WORLD, "ranks") X(STAGE_RANKS, "ranks of a stage")                       \
    X(REPLICA_RANKS, "ranks of a replica")                                     \
    X(SET_RANKS, "ranks of an ep group")                                       \
    X(HEADS, "heads of a rank") X(KV_HEADS, "kv heads of a rank")              \
    X(LAYERS, "layers of a stage") X(PAIRS, "MoE layers of a stage")           \
    X(EXPERTS, "experts of a rank") X(COLUMNS, "inner columns of a rank")      \
    X(VOCAB, "vocabulary rows of a rank") X(PARTS, "parts of the batch")       \
    X(PART_ROWS, "rows of a part") X(TOKENS, "tokens")                         \
    X(PART_TOKENS, "tokens of a part") X(SLICE, "tokens a rank dispatches")    \
    X(CHOICES, "choices")

enum {
#define QUANTITY_ENUM(name, text) Q_##name,
    QUANTITY_LIST(QUANTITY_ENUM)
#undef QUANTITY_ENUM
    N_QUANTITIES
};

static const char *const quantity_names[] = {
#define QUANTITY_NAME(name, text) text,
    QUANTITY_LIST(QUANTITY_NAME)
#undef QUANTITY_NAME
};

enum { ABSENT = -1 };

static int64_t or_absent(int64_t n) { return n > 0 ? n : ABSENT; }

static void spec_quantities(const core_spec *s, int64_t *q)
{
    q[Q_L] = s->n_l;
    q[Q_D] = s->n_d;
    q[Q_H] = s->n_h;
    q[Q_G] = s->n_g;
    q[Q_DH] = s->n_dh;
    q[Q_E] = s->n_e;
    q[Q_K] = s->n_k;
    q[Q_F] = s->n_f;
    q[Q_FS] = or_absent(s->n_f_shared);
    q[Q_FD] = or_absent(s->n_f_dense);
    q[Q_V] = s->n_v;
    q[Q_Q_COLS] = s->n_h * s->n_dh;
    q[Q_KV_COLS] = s->n_g * s->n_dh;
}

static void plan_quantities(const par_plan *p, int64_t *q)
{
    q[Q_TP] = p->tp;
    q[Q_PP] = p->pp;
    q[Q_DP] = p->dp;
    q[Q_EP] = p->ep;
    q[Q_ETP] = p->etp;
    q[Q_MB] = p->mb;
    q[Q_ROUNDS] = p->rounds;
    q[Q_WORLD] = par_plan_world(p);
    q[Q_STAGE_RANKS] = p->dp * p->tp;
    q[Q_REPLICA_RANKS] = p->pp * p->tp;
    q[Q_SET_RANKS] = p->ep * p->etp;
    q[Q_PARTS] = (int64_t)p->rounds * p->dp * p->mb;
}

/* Counts that follow, as rank 0 (which has the longest parts) sees them. */
static void layout_quantities(const par_layout *l, int64_t *q)
{
    q[Q_EDP] = l->edp;
    q[Q_HEADS] = l->heads[0].n_h;
    q[Q_KV_HEADS] = l->heads[0].n_kv;
    q[Q_LAYERS] = 0;
    for (int s = 0; s < l->plan.pp; s++) {
        const int n = l->first_layer[s + 1] - l->first_layer[s];
        if (n > q[Q_LAYERS])
            q[Q_LAYERS] = n;
    }
    q[Q_PAIRS] = l->n_pair;
    q[Q_EXPERTS] = l->n_my_expert;
    q[Q_COLUMNS] = l->first_f[1];
    q[Q_VOCAB] = l->first_vocab[1];
}

static void batch_quantities(const par_layout *l, const shadow_plan *row,
                             int64_t *q)
{
    int64_t row0, row1, t0, t1;
    par_layout_rows(&l->plan, row->n_b, 0, 0, 0, &row0, &row1);
    q[Q_B] = row->n_b;
    q[Q_T] = row->n_t;
    q[Q_PART_ROWS] = row1 - row0;
    q[Q_TOKENS] = row->n_b * row->n_t;
    q[Q_PART_TOKENS] = (row1 - row0) * row->n_t;
    q[Q_CHOICES] = q[Q_TOKENS] * q[Q_K];
    par_layout_slice(l, q[Q_PART_TOKENS], &t0, &t1);
    q[Q_SLICE] = t1 - t0;
}

/* All quantities of one run, which must be legal. */
static void quantities(const shadow_plan *row, int64_t q[N_QUANTITIES])
{
    core_spec spec;
    par_plan plan;
    par_layout layout;
    core_message_clear();
    ck_assert_msg(core_spec_open(&spec, row->model, NULL) == CORE_OK &&
                      par_plan_parse(&plan, row->plan) == CORE_OK &&
                      par_plan_check_batch(&plan, &spec, row->n_b) == CORE_OK,
                  "%s, %s: %s", row->model, row->name, core_message());
    core_arena arena = core_arena_measure();
    ck_assert(par_layout_make(&layout, &arena, &spec, &plan, 0) == CORE_OK);
    spec_quantities(&spec, q);
    plan_quantities(&plan, q);
    layout_quantities(&layout, q);
    batch_quantities(&layout, row, q);
    core_arena_free(&arena);
}

typedef struct pairs {
    int n_row; /* rows looked at                                              */
    int n;     /* pairs equal in all of them                                  */
    bool equal[N_QUANTITIES][N_QUANTITIES];
} pairs;

static void pairs_init(pairs *p)
{
    memset(p, 0, sizeof *p);
    for (int i = 0; i < N_QUANTITIES; i++)
        for (int j = i + 1; j < N_QUANTITIES; j++, p->n++)
            p->equal[i][j] = true;
}

static void pairs_add(pairs *p, const shadow_plan *row)
{
    int64_t q[N_QUANTITIES];
    quantities(row, q);
    p->n_row++;
    for (int i = 0; i < N_QUANTITIES; i++)
        for (int j = i + 1; j < N_QUANTITIES; j++) {
            if (!p->equal[i][j] || (q[i] == q[j] && q[i] != ABSENT))
                continue;
            p->equal[i][j] = false;
            p->n--;
        }
}

/* Rows of one model, or of all (NULL). */
static void pairs_of_set(pairs *p, const char *model)
{
    const shadow_plan *row;
    pairs_init(p);
    for (int i = 0; (row = shadow_plan_at(i)) != NULL; i++)
        if (model == NULL || strcmp(row->model, model) == 0)
            pairs_add(p, row);
}

/* "tp = pp, ..." */
static const char *list(const pairs *p, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < N_QUANTITIES; i++)
        for (int j = i + 1; j < N_QUANTITIES; j++)
            if (p->equal[i][j] && n < bytes)
                n += (size_t)snprintf(text + n, bytes - n, "%s%s = %s",
                                      n > 0 ? ", " : "", quantity_names[i],
                                      quantity_names[j]);
    return text;
}

START_TEST(test_no_pair_in_the_whole_set)
{
    static pairs p;
    char text[8192];
    pairs_of_set(&p, NULL);
    ck_assert_int_ge(p.n_row, 12);
    ck_assert_msg(p.n == 0, "equal in every plan: %s",
                  list(&p, text, sizeof text));
}
END_TEST

/* What one model's own sizes make equal whatever the plan. */
static const struct {
    const char *model, *allowed;
} models[] = {
    {"shadow-a", "D = H*Dh, layers of a stage = MoE layers of a stage"},
    {"shadow-b", "tokens = choices"},
};

START_TEST(test_pairs_of_one_model)
{
    static pairs p;
    char text[8192];
    pairs_of_set(&p, models[_i].model);
    ck_assert_int_ge(p.n_row, 6);
    ck_assert_str_eq(list(&p, text, sizeof text), models[_i].allowed);
}
END_TEST

/* The control: the rule is violated, and found violated, by the seed. */
START_TEST(test_seed_is_full_of_pairs)
{
    static const shadow_plan seed = {"seed-mini", "seed", "seed-32",
                                     64,          16,     NULL};
    static pairs p;
    pairs_init(&p);
    pairs_add(&p, &seed);
    ck_assert_int_gt(p.n, 30);
    ck_assert(p.equal[Q_TP][Q_PP]);
    ck_assert(p.equal[Q_L][Q_H]);
    ck_assert(p.equal[Q_EP][Q_H]);
    ck_assert(p.equal[Q_H][Q_G]);
    ck_assert(p.equal[Q_LAYERS][Q_EXPERTS]);
    ck_assert(p.equal[Q_TP][Q_EXPERTS]);
    ck_assert(!p.equal[Q_TP][Q_DP]);
}
END_TEST

static bool has_empty_part(const shadow_plan *row)
{
    int64_t q[N_QUANTITIES];
    quantities(row, q);
    return q[Q_PARTS] > q[Q_B];
}

/* Situations that some row must have, and how many ranks a row may want. */
START_TEST(test_situations)
{
    static const char *const model[] = {"shadow-a", "shadow-b"};
    for (int m = 0; m < 2; m++) {
        int n_edp = 0, n_etp = 0, n_replica = 0, n_rounds = 0, n_empty = 0;
        int n_hot = 0, n_uneven = 0, n_kv = 0, n_small = 0, n = 0;
        const shadow_plan *row;
        for (int i = 0; (row = shadow_plan_at(i)) != NULL; i++) {
            if (strcmp(row->model, model[m]) != 0)
                continue;
            int64_t q[N_QUANTITIES];
            quantities(row, q);
            n++;
            n_edp += q[Q_EDP] > 1 && q[Q_EP] > 1;
            n_etp += q[Q_ETP] > 1 && q[Q_EP] > 1;
            n_replica += strstr(row->plan, "scope=replica") && q[Q_PP] > 1;
            n_rounds += q[Q_ROUNDS] > 1;
            n_empty += has_empty_part(row);
            n_hot += strstr(row->plan, "placement") &&
                     strchr(row->plan, '+') != NULL;
            n_uneven += q[Q_L] % q[Q_PP] != 0 && q[Q_PP] > 1;
            n_kv += q[Q_G] < q[Q_TP];
            n_small += q[Q_WORLD] <= 12;
            ck_assert_int_le(q[Q_WORLD], 48);
        }
        ck_assert(n_edp && n_etp && n_replica && n_rounds && n_empty && n_hot);
        ck_assert(n_uneven && n_kv);
        ck_assert_int_ge(n_small, n - 1);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("no_coincidence");
    TCase *t = tcase_create("pairs");
    tcase_add_test(t, test_no_pair_in_the_whole_set);
    tcase_add_loop_test(t, test_pairs_of_one_model, 0, 2);
    tcase_add_test(t, test_seed_is_full_of_pairs);
    tcase_add_test(t, test_situations);
    suite_add_tcase(s, t);
    return check_main(s);
}
