/* tests/unit/test_har_cover.c -- coverage and replicas, without any ranks.
 *
 * A tap of 9 x 8 is cut into pieces as ranks would show them: two column
 * halves, each held by two owners.  Each fault changes one piece.
 */
#include "harness/verify/cover.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { N_ROW = 9, N_COL = 8, HALF = 4, N_PIECE = 4 };

static double value[N_ROW * N_COL], other[N_ROW * N_COL];
static int64_t rows[N_ROW];
static par_piece piece[N_PIECE];

static void setup(void)
{
    for (int i = 0; i < N_ROW * N_COL; i++)
        value[i] = other[i] = 0.25 * i - 3.0;
    for (int i = 0; i < N_ROW; i++)
        rows[i] = i;
    for (int i = 0; i < N_PIECE; i++) {
        const int64_t col0 = (i / 2) * HALF;
        piece[i] = (par_piece){.values = (i % 2 == 0 ? value : other) + col0,
                               .ld = N_COL,
                               .row_ids = rows,
                               .n_row = N_ROW,
                               .col0 = col0,
                               .n_col = HALF,
                               .n_owners = 2,
                               .i_owner = i % 2};
    }
}

typedef struct sums {
    bool once, balance, replica;
} sums;

static sums look(int n_piece)
{
    har_cover cover;
    uint64_t once[HAR_COVER_BLOCKS];
    sums good = {true, true, true};
    memset(&cover, 0, sizeof cover);
    for (int i = 0; i < n_piece; i++)
        har_cover_add(&cover, &piece[i], N_ROW);
    har_cover_expect(once, NULL, N_ROW, N_COL);
    for (int i = 0; i < HAR_COVER_BLOCKS; i++) {
        good.once &= cover.once[i] == once[i];
        good.balance &= cover.balance[i] == 0;
        good.replica &= cover.replica[i] == 0;
    }
    return good;
}

START_TEST(a_partition_covers_everything_once)
{
    const sums s = look(N_PIECE);
    ck_assert(s.once && s.balance && s.replica);
}
END_TEST

START_TEST(a_lost_piece_is_seen)
{
    ck_assert(!look(N_PIECE - 1).balance);
    piece[2].n_row = 0;
    ck_assert(!look(N_PIECE).once);
}
END_TEST

START_TEST(a_lost_row_is_seen_and_placed)
{
    rows[8] = 7; /* row 8 is missing, row 7 is there twice */
    const sums s = look(N_PIECE);
    ck_assert(!s.once);
    har_cover cover;
    uint64_t once[HAR_COVER_BLOCKS];
    memset(&cover, 0, sizeof cover);
    for (int i = 0; i < N_PIECE; i++)
        har_cover_add(&cover, &piece[i], N_ROW);
    har_cover_expect(once, NULL, N_ROW, N_COL);
    for (int row = 0; row < N_ROW; row++) {
        const int block = har_cover_block(row, N_ROW);
        ck_assert(row >= 7 ? cover.once[block] != once[block]
                           : cover.once[block] == once[block]);
        ck_assert_uint_eq(cover.n_owned[block], row == 7   ? 2 * N_COL
                                                : row == 8 ? 0
                                                           : N_COL);
    }
}
END_TEST

START_TEST(a_column_range_shown_twice_is_seen)
{
    piece[2].col0 = piece[3].col0 = 0;
    ck_assert(!look(N_PIECE).once);
}
END_TEST

START_TEST(unequal_copies_are_seen)
{
    other[5 * N_COL + 1] += 0x1p-40;
    const sums s = look(N_PIECE);
    ck_assert(s.once && s.balance && !s.replica);
}
END_TEST

START_TEST(copies_swapped_between_rows_are_seen)
{
    double row[N_COL];
    memcpy(row, other, sizeof row);
    memcpy(other, other + N_COL, sizeof row);
    memcpy(other + N_COL, row, sizeof row);
    ck_assert(!look(N_PIECE).replica);
}
END_TEST

START_TEST(only_live_rows_are_expected)
{
    uint8_t live[N_ROW];
    uint64_t all[HAR_COVER_BLOCKS], some[HAR_COVER_BLOCKS];
    memset(live, 1, sizeof live);
    har_cover_expect(all, NULL, N_ROW, N_COL);
    har_cover_expect(some, live, N_ROW, N_COL);
    ck_assert(memcmp(all, some, sizeof all) == 0);
    live[4] = 0;
    har_cover_expect(some, live, N_ROW, N_COL);
    ck_assert(memcmp(all, some, sizeof all) != 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_cover");
    TCase *tests = tcase_create("cover");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, a_partition_covers_everything_once);
    tcase_add_test(tests, a_lost_piece_is_seen);
    tcase_add_test(tests, a_lost_row_is_seen_and_placed);
    tcase_add_test(tests, a_column_range_shown_twice_is_seen);
    tcase_add_test(tests, unequal_copies_are_seen);
    tcase_add_test(tests, copies_swapped_between_rows_are_seen);
    tcase_add_test(tests, only_live_rows_are_expected);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
