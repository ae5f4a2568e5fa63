/* test_core_arena.c -- measured size is taken size; nothing overlaps. */
#include "core/base/arena.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
/* the tests ask for more memory than there is: let malloc say no */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

typedef struct pieces {
    double *a;
    int64_t *b;
    char *c;
} pieces;

static pieces carve(core_arena *arena)
{
    pieces p;
    p.a = core_arena_f64(arena, 3);
    p.b = core_arena_i64(arena, 0);
    p.c = core_arena_take(arena, 65, 1);
    return p;
}

START_TEST(measured_size_is_enough_and_exact)
{
    core_arena arena = core_arena_measure();
    pieces p = carve(&arena);
    ck_assert_ptr_null(p.a);
    ck_assert_ptr_null(p.c);
    const size_t measured = arena.used_bytes;
    ck_assert_uint_ge(measured, 3 * sizeof(double) + 65);

    ck_assert_int_eq(core_arena_make(&arena), CORE_OK);
    ck_assert_uint_eq(arena.used_bytes, 0);
    ck_assert_uint_eq(arena.size_bytes, measured);
    p = carve(&arena);
    ck_assert_uint_eq(arena.used_bytes, measured);
    ck_assert_uint_eq((uintptr_t)p.a % 64, 0);
    ck_assert_uint_eq((uintptr_t)p.c % 64, 0);
    ck_assert((char *)p.b >= (char *)(p.a + 3));
    memset(p.c, 7, 65);
    for (int i = 0; i < 3; i++)
        p.a[i] = i;
    ck_assert_int_eq(p.c[0], 7);
    core_arena_free(&arena);
    ck_assert_ptr_null(arena.base);
}
END_TEST

START_TEST(rewind_gives_the_same_memory_again)
{
    core_arena arena = core_arena_measure();
    core_arena_f64(&arena, 10);
    const size_t mark = arena.used_bytes;
    core_arena_f64(&arena, 100);
    core_arena_rewind(&arena, mark);
    core_arena_f64(&arena, 50);
    const size_t peak = arena.peak_bytes;
    ck_assert_uint_lt(arena.used_bytes, peak);

    ck_assert_int_eq(core_arena_make(&arena), CORE_OK);
    ck_assert_uint_eq(arena.size_bytes, peak);
    double *kept = core_arena_f64(&arena, 10);
    kept[9] = 4.5;
    const size_t mark_now = arena.used_bytes;
    double *first = core_arena_f64(&arena, 100);
    first[0] = 1.0;
    core_arena_rewind(&arena, mark_now);
    double *second = core_arena_f64(&arena, 50);
    ck_assert_ptr_eq(first, second);
    ck_assert_double_eq(kept[9], 4.5);
#if !defined(NDEBUG)
    ck_assert(second[0] != second[0]);
#endif
    core_arena_free(&arena);
}
END_TEST

START_TEST(taking_more_than_measured_aborts)
{
    core_arena arena = core_arena_measure();
    core_arena_f64(&arena, 8);
    ck_assert_int_eq(core_arena_make(&arena), CORE_OK);
    core_arena_f64(&arena, 8);
    core_arena_f64(&arena, 1);
}
END_TEST

START_TEST(overflowing_size_aborts)
{
    core_arena arena = core_arena_measure();
    core_arena_f64(&arena, INT64_MAX);
}
END_TEST

START_TEST(an_arena_too_big_is_refused)
{
    core_arena arena = core_arena_measure();
    core_arena_take(&arena, (int64_t)1 << 61, 1);
    core_message_clear();
    ck_assert_int_eq(core_arena_make(&arena), CORE_E_MEMORY);
    ck_assert_ptr_nonnull(strstr(core_message(), "2305843009213"));
}
END_TEST

START_TEST(alloc_checks_its_product)
{
    void *memory = NULL;
    ck_assert_int_eq(core_alloc(&memory, 5, 8, "five"), CORE_OK);
    ck_assert_ptr_nonnull(memory);
    free(memory);
    memory = NULL;
    ck_assert_int_eq(core_alloc(&memory, 0, 8, "nothing"), CORE_OK);
    ck_assert_ptr_nonnull(memory);
    free(memory);

    memory = NULL;
    core_message_clear();
    ck_assert_int_eq(core_alloc(&memory, INT64_MAX / 4, 8, "the table"),
                     CORE_E_MEMORY);
    ck_assert_ptr_null(memory);
    ck_assert_ptr_nonnull(strstr(core_message(), "the table"));
    core_message_clear();
    ck_assert_int_eq(core_alloc(&memory, -1, 8, "minus"), CORE_E_MEMORY);
    ck_assert_ptr_null(memory);
}
END_TEST

START_TEST(an_arena_that_has_room_is_kept)
{
    core_arena kept = core_arena_measure(), need = core_arena_measure();
    core_arena_f64(&need, 100);
    ck_assert_int_eq(core_arena_room(&kept, &need), CORE_OK);
    double *first = core_arena_f64(&kept, 100);
    ck_assert_int_eq(core_arena_room(&kept, &need), CORE_OK);
    ck_assert_ptr_eq(core_arena_f64(&kept, 100), first);
    core_arena_f64(&need, 100000);
    ck_assert_int_eq(core_arena_room(&kept, &need), CORE_OK);
    double *all = core_arena_f64(&kept, 100000);
    all[99999] = 1;
    core_arena_take(&need, (int64_t)1 << 61, 1);
    ck_assert_int_eq(core_arena_room(&kept, &need), CORE_E_MEMORY);
    ck_assert_ptr_null(kept.base);
}
END_TEST

START_TEST(a_list_grows_and_keeps_what_it_has)
{
    int64_t room = 0;
    double *list = NULL;
    for (int64_t n = 0; n < 10000; n++) {
        double *more = core_grow(list, &room, n + 1, sizeof *more, "numbers");
        ck_assert_ptr_nonnull(more);
        ck_assert_int_gt(room, n);
        list = more;
        list[n] = (double)n;
    }
    for (int64_t n = 0; n < 10000; n++)
        ck_assert_double_eq(list[n], (double)n);
    const int64_t before = room;
    core_message_clear();
    ck_assert_ptr_null(core_grow(list, &room, INT64_MAX / 4, 8, "the list"));
    ck_assert_ptr_nonnull(strstr(core_message(), "no memory for the list"));
    ck_assert_int_eq(room, before);
    ck_assert_double_eq(list[9999], 9999);
    free(list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_arena");
    TCase *tcase = tcase_create("arena");
    tcase_add_test(tcase, measured_size_is_enough_and_exact);
    tcase_add_test(tcase, rewind_gives_the_same_memory_again);
    tcase_add_test_raise_signal(tcase, taking_more_than_measured_aborts, 6);
    tcase_add_test_raise_signal(tcase, overflowing_size_aborts, 6);
    tcase_add_test(tcase, an_arena_too_big_is_refused);
    tcase_add_test(tcase, alloc_checks_its_product);
    tcase_add_test(tcase, an_arena_that_has_room_is_kept);
    tcase_add_test(tcase, a_list_grows_and_keeps_what_it_has);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
