/* tests/support/check_main.h -- the end of every main of a unit test.
 *
 * Each test in a process of its own (Check's default), CK_VERBOSITY as asked;
 * tests on several ranks have mpi_check.h instead.
 */
#ifndef CHECK_MAIN_H
#define CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

/* Run a suite, which is freed; the exit status of main. */
static inline int check_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
