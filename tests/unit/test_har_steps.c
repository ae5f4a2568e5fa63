/* tests/unit/test_har_steps.c -- which tokens the steps of decoding have.
 *
 * Of any number of slots, prompts and steps: every token of every sequence is
 * worked on once, in order, and a slot has one sequence at a time.
 */
#include "harness/verify/decode.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>

typedef struct shape {
    int64_t n_slot, n_t, n_decode, n_chunk;
} shape;

static const shape SHAPES[] = {
    {16, 32, 64, 8}, {5, 7, 20, 3}, {1, 1, 1, 1}, {3, 2, 40, 5},
    {4, 9, 1, 9},    {2, 11, 3, 4}, {7, 5, 13, 1}};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES };

static har_decode make(const shape *s)
{
    har_decode d;
    ck_assert_int_eq(
        har_decode_make(&d, s->n_slot, s->n_t, s->n_decode, s->n_chunk),
        CORE_OK);
    return d;
}

START_TEST(every_token_once_and_in_order)
{
    const shape *s = &SHAPES[_i];
    har_decode d = make(s);
    int64_t *done = calloc((size_t)d.n_seq, sizeof *done);
    int64_t *owner = malloc((size_t)d.n_slot * sizeof *owner);
    for (int64_t slot = 0; slot < d.n_slot; slot++)
        owner[slot] = -1;
    for (int64_t i = 0; i < d.n_step; i++) {
        const par_step *step = &d.step[i];
        ck_assert_int_gt(step->n_row, 0);
        for (int64_t r = 0; r < step->n_row; r++) {
            const par_step_row *row = &step->row[r];
            const int64_t before = owner[row->slot];
            ck_assert(r == 0 || row->slot > row[-1].slot);
            ck_assert(row->slot >= 0 && row->slot < d.n_slot);
            ck_assert(row->n >= 1 && row->n <= s->n_chunk);
            ck_assert_int_eq(row->i0, done[row->row]);
            ck_assert(before == row->row ||
                      (row->i0 == 0 &&
                       (before < 0 || done[before] == d.n_t)));
            owner[row->slot] = row->row;
            done[row->row] += row->n;
        }
    }
    for (int64_t q = 0; q < d.n_seq; q++)
        ck_assert_int_eq(done[q], d.n_t);
    ck_assert_int_le(d.n_step,
                     (s->n_t + s->n_chunk - 1) / s->n_chunk + s->n_decode);
    free(done);
    free(owner);
    har_decode_free(&d);
}
END_TEST

/* Prompts are read beside rows that decode, rows end at different steps, every
 * slot is taken over.                                                        */
START_TEST(rows_begin_and_end_at_different_steps)
{
    har_decode d = make(&SHAPES[0]);
    int64_t n_mixed = 0, n_ending = 0;
    ck_assert_int_eq(d.n_seq, 2 * d.n_slot);
    ck_assert_int_eq(d.least_prompt, 29);
    for (int64_t i = 0; i < d.n_step; i++) {
        bool decodes = false, reads = false, ends = false;
        for (int64_t r = 0; r < d.step[i].n_row; r++) {
            const par_step_row *row = &d.step[i].row[r];
            decodes |= row->n == 1 && row->i0 >= d.most_prompt;
            reads |= row->n > 1;
            ends |= row->i0 + row->n == d.n_t;
        }
        n_mixed += decodes && reads;
        n_ending += ends;
    }
    ck_assert_int_gt(n_mixed, 3);
    ck_assert_int_gt(n_ending, 6);
    har_decode_free(&d);
}
END_TEST

START_TEST(groups_are_the_tokens_of_a_part_in_a_step)
{
    har_decode d = make(&SHAPES[_i]);
    const par_plan plan = {.rounds = 1, .dp = 2, .mb = 2};
    core_groups groups;
    ck_assert_int_eq(har_decode_groups(&groups, &d, &plan, CORE_DOMAIN_GROUP),
                     CORE_OK);
    ck_assert_int_eq(groups.n, 4 * d.n_step);
    ck_assert_int_eq(groups.first[groups.n], d.n_seq * d.n_t);
    for (int64_t i = 0, at = 0; i < d.n_step; i++) {
        ck_assert_int_eq(groups.first[4 * i], at);
        for (int64_t r = 0, part = 0; r < d.step[i].n_row; r++) {
            const par_step_row *row = &d.step[i].row[r];
            while (row->slot >= core_split_first(d.n_slot, 4, part + 1))
                part++;
            ck_assert_int_le(groups.first[4 * i + part], at);
            ck_assert_int_ge(groups.first[4 * i + part + 1], at + row->n);
            for (int64_t t = 0; t < row->n; t++)
                ck_assert_int_eq(groups.token[at++],
                                 row->row * d.n_t + row->i0 + t);
        }
    }
    free((void *)(uintptr_t)groups.first);
    free((void *)(uintptr_t)groups.token);
    har_decode_free(&d);
}
END_TEST

/* A row's tokens in a step, or all of them, whatever the plan's parts are. */
START_TEST(rows_and_batches_compete_within_a_step)
{
    har_decode d = make(&SHAPES[_i]);
    const par_plan plan = {.rounds = 1, .dp = 2, .mb = 2};
    core_groups row, all;
    ck_assert_int_eq(har_decode_groups(&row, &d, &plan, CORE_DOMAIN_SEQUENCE),
                     CORE_OK);
    ck_assert_int_eq(har_decode_groups(&all, &d, &plan, CORE_DOMAIN_BATCH),
                     CORE_OK);
    ck_assert_int_eq(row.n, d.n_slot * d.n_step);
    ck_assert_int_eq(all.n, d.n_step);
    for (int64_t i = 0; i < d.n_step; i++) {
        const int64_t *first = row.first + i * d.n_slot;
        ck_assert_int_eq(first[0], all.first[i]);
        ck_assert_int_eq(first[d.n_slot], all.first[i + 1]);
        for (int64_t r = 0; r < d.step[i].n_row; r++) {
            const par_step_row *of = &d.step[i].row[r];
            ck_assert_int_eq(first[of->slot + 1] - first[of->slot], of->n);
            for (int64_t t = 0; t < of->n; t++)
                ck_assert_int_eq(row.token[first[of->slot] + t],
                                 of->row * d.n_t + of->i0 + t);
        }
    }
    ck_assert_mem_eq(row.token, all.token,
                     (size_t)(d.n_seq * d.n_t) * sizeof *row.token);
    core_groups_free(&row);
    core_groups_free(&all);
    har_decode_free(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_steps");
    TCase *tests = tcase_create("steps");
    tcase_add_loop_test(tests, every_token_once_and_in_order, 0, N_SHAPES);
    tcase_add_test(tests, rows_begin_and_end_at_different_steps);
    tcase_add_loop_test(tests, groups_are_the_tokens_of_a_part_in_a_step, 0,
                        N_SHAPES);
    tcase_add_loop_test(tests, rows_and_batches_compete_within_a_step, 0,
                        N_SHAPES);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
