/* tests/unit/test_har_calibrate.c -- measuring, where something fails.
 *
 * What is measured depends on the machine and is not looked at, but for being
 * there.  The linker wraps core_alloc and core_grow, which have no memory for one
 * thing, and core_blas_used_threads, which finds more.
 * Three ranks, so that groups of two leave one out; a rank that waits for one
 * that gave up would end the run.
 */
#include "harness/perf/calibrate/check.h"
#include "harness/perf/calibrate/probe.h"
#include "tests/support/mpi_check.h"

#include <stdlib.h>
#include <string.h>

/* --- memory that is not there --- */

static const char *no_memory_for; /* NULL: there is memory for everything     */

core_status __real_core_alloc(void **out, int64_t n, size_t elem_bytes,
                              const char *what);
core_status __wrap_core_alloc(void **out, int64_t n, size_t elem_bytes,
                              const char *what);

core_status __wrap_core_alloc(void **out, int64_t n, size_t elem_bytes,
                              const char *what)
{
    if (no_memory_for != NULL && strcmp(what, no_memory_for) == 0)
        return core_fail(CORE_E_MEMORY, "no memory for %s", what);
    return __real_core_alloc(out, n, elem_bytes, what);
}

void *__real_core_grow(void *list, int64_t *room, int64_t n, size_t elem_bytes,
                       const char *what);
void *__wrap_core_grow(void *list, int64_t *room, int64_t n, size_t elem_bytes,
                       const char *what);

void *__wrap_core_grow(void *list, int64_t *room, int64_t n, size_t elem_bytes,
                       const char *what)
{
    if (no_memory_for == NULL || strcmp(what, no_memory_for) != 0)
        return __real_core_grow(list, room, n, elem_bytes, what);
    core_fail(CORE_E_MEMORY, "no memory for %s", what);
    return NULL;
}

/* --- threads that should not be there --- */

static int n_more_thread;

int __real_core_blas_used_threads(void);
int __wrap_core_blas_used_threads(void);

int __wrap_core_blas_used_threads(void)
{
    return __real_core_blas_used_threads() + n_more_thread;
}

/* --- links --- */

/* A status of har_calibrate_links; its samples, which the caller frees. */
static core_status links(har_calibration *c, char **samples, bool quick)
{
    size_t n = 0;
    FILE *out = open_memstream(samples, &n);
    ck_assert_ptr_nonnull(out);
    const har_measuring how = {mpi_world, out, quick};
    *c = (har_calibration){.copy_bw = 0};
    core_message_clear();
    const core_status status = har_calibrate_links(c, &how);
    fclose(out);
    return status;
}

START_TEST(groups_are_powers_of_two_among_the_ranks)
{
    static har_calibration c;
    char *samples = NULL;
    const bool is_first = mpi_world->rank == 0;
    mpi_assert(links(&c, &samples, _i == 1) == CORE_OK, "%s", core_message());
    /* five kinds of six sizes between two ranks; there are no four */
    mpi_assert(c.n_row == (is_first ? 30 : 0), "%lld rows",
               (long long)c.n_row);
    mpi_assert(!is_first ||
                   strstr(samples, "[send-receive, f64, 2, 2097152, ") != NULL,
               "no send-receive among '%s'", samples);
    mpi_assert(!is_first || c.link_bw > 0, "no bandwidth");
    mpi_assert(c.links.n == (mpi_world->rank < 2 ? 210 : 0), "%lld times",
               (long long)c.links.n);
    har_calibration_free(&c);
    free(samples);
}
END_TEST

START_TEST(nobody_waits_for_a_first_rank_without_memory)
{
    static har_calibration c;
    char *samples = NULL;
    no_memory_for = mpi_world->rank == 0 ? "measured shapes" : NULL;
    const core_status status = links(&c, &samples, true);
    no_memory_for = NULL;
    const bool is_said = strstr(core_message(), "measured shapes") != NULL;
    mpi_assert(status == CORE_E_MEMORY && is_said, "status %s, said: %d",
               core_status_name(status), is_said);
    har_calibration_free(&c);
    free(samples);
}
END_TEST

/* --- one rank --- */

typedef core_status (*stage)(har_calibration *out, const har_measuring *how);

static core_status check_operators(har_calibration *out,
                                   const har_measuring *how)
{
    static har_machine machine;
    static har_check scores;
    (void)out;
    machine.l2_bytes = 1e6;
    return har_check_operators(&scores, &machine, how->comm, how->quick);
}

static const struct {
    stage run;
    const char *what;
} STAGES[] = {{har_calibrate_memory, "arrays beyond the caches"},
              {har_calibrate_products, "operands"},
              {har_calibrate_products, "repetitions"},
              {har_calibrate_products, "measured shapes"},
              {har_calibrate_operators, "what empties the cache"},
              {har_calibrate_operators, "timed operators"},
              {har_calibrate_operators, "measured operators"},
              {har_calibrate_operators, "repetitions"},
              {har_calibrate_operators, "measured shapes"},
              {har_calibrate_operators, "rows of a fit"},
              {har_calibrate_operators, "weights of a fit"},
              {check_operators, "scored operators"},
              {check_operators, "errors"},
              {har_calibrate_memory, "nothing"},
              {har_calibrate_products, "nothing"},
              {har_calibrate_operators, "nothing"},
              {check_operators, "nothing"}};
enum { N_STAGES = sizeof STAGES / sizeof STAGES[0] };

START_TEST(a_stage_without_memory_says_for_what)
{
    static har_calibration c;
    const bool fails = strcmp(STAGES[_i].what, "nothing") != 0;
    core_status status = CORE_OK;
    char *samples = NULL;
    size_t n = 0;
    par_comm *one = NULL;
    ck_assert_int_eq(par_comm_open(&one, 1), CORE_OK);
    FILE *out = open_memstream(&samples, &n);
    ck_assert_ptr_nonnull(out);
    c = (har_calibration){.copy_bw = 0};
    core_message_clear();
    if (one != NULL) {
        const har_measuring how = {one, out, true};
        no_memory_for = STAGES[_i].what;
        status = STAGES[_i].run(&c, &how);
        no_memory_for = NULL;
    }
    fclose(out);
    const bool is_said = strstr(core_message(), STAGES[_i].what) != NULL;
    const core_status expected = fails ? CORE_E_MEMORY : CORE_OK;
    mpi_assert(one == NULL || (status == expected && is_said == fails),
               "%s: status %s, said: %d", STAGES[_i].what,
               core_status_name(status), is_said);
    har_calibration_free(&c);
    free(samples);
    par_comm_close(one);
}
END_TEST

/* The stage that lacks "nothing" is the twin. */
START_TEST(products_on_two_threads_are_not_timed)
{
    static har_calibration c;
    const har_measuring how = {mpi_world, stderr, true};
    c = (har_calibration){.copy_bw = 0};
    core_message_clear();
    n_more_thread = 1;
    const core_status status = har_calibrate_products(&c, &how);
    n_more_thread = 0;
    mpi_assert(status == CORE_E_PROGRAM && c.n_row == 0 &&
                   strcmp(core_message(), "OpenBLAS: expected products on one "
                                          "thread, found 2") == 0,
               "%s", core_message());
    har_calibration_free(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_calibrate");
    TCase *tc = tcase_create("calibrate");
    tcase_add_loop_test(tc, groups_are_powers_of_two_among_the_ranks, 0, 2);
    tcase_add_test(tc, nobody_waits_for_a_first_rank_without_memory);
    tcase_add_loop_test(tc, a_stage_without_memory_says_for_what, 0, N_STAGES);
    tcase_add_test(tc, products_on_two_threads_are_not_timed);
    suite_add_tcase(suite, tc);
    return mpi_check_run(suite);
}
