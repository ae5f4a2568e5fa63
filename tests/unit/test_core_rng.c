/* test_core_rng.c -- the generator is Philox 4x32-10, by its published vectors
 * (Random123, tests/kat_vectors), and its bounded form stays in bounds. */
#include "core/numbers/rng.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>

static const struct vector {
    uint32_t counter[4], key[2], bits[4];
} VECTORS[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static uint64_t join(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

START_TEST(known_answers)
{
    const struct vector *v = &VECTORS[_i];
    const core_rng_block block =
        core_rng(join(v->key[0], v->key[1]), join(v->counter[2], v->counter[3]),
                 join(v->counter[0], v->counter[1]));
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(block.word[i], v->bits[i]);
}
END_TEST

START_TEST(streams_differ_by_name)
{
    const uint64_t a = core_rng_stream("layers.1.attn.q");
    ck_assert_uint_eq(a, core_rng_stream("layers.1.attn.q"));
    ck_assert_uint_ne(a, core_rng_stream("layers.2.attn.q"));
    ck_assert_uint_ne(core_rng_stream(""), core_rng_stream("a"));
}
END_TEST

START_TEST(below_is_in_range_and_reaches_everything)
{
    static const uint64_t LIMITS[] = {1, 2, 3, 37, 101};
    const uint64_t n = LIMITS[_i];
    int count[101] = {0};
    for (uint64_t i = 0; i < 100 * n; i++) {
        const uint64_t value = core_rng_below(7, 9, i, n);
        ck_assert_uint_lt(value, n);
        count[value]++;
    }
    for (uint64_t v = 0; v < n; v++) { /* 100 expected, deviation 10 */
        ck_assert_int_gt(count[v], 50);
        ck_assert_int_lt(count[v], 150);
    }
}
END_TEST

START_TEST(below_uses_the_high_bits_of_a_large_range)
{
    const uint64_t n = UINT64_C(1) << 63;
    uint64_t largest = 0;
    for (uint64_t i = 0; i < 64; i++) {
        const uint64_t value = core_rng_below(7, 9, i, n);
        const core_rng_block block = core_rng(7, 9, i);
        ck_assert_uint_eq(value, join(block.word[0], block.word[1]) >> 1);
        largest = value > largest ? value : largest;
    }
    ck_assert_uint_gt(largest, n / 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_rng");
    TCase *tcase = tcase_create("rng");
    tcase_add_loop_test(tcase, known_answers, 0, 3);
    tcase_add_test(tcase, streams_differ_by_name);
    tcase_add_loop_test(tcase, below_is_in_range_and_reaches_everything, 0, 5);
    tcase_add_test(tcase, below_uses_the_high_bits_of_a_large_range);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
