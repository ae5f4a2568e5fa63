/* tests/unit/test_har_bring.c -- a file of one host on the others.
 *
 * Every rank is a host here: its folder is its own.
 */
#include "harness/verify/bring.h"
#include "tests/support/mpi_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/test_har_bring.XXXXXX", path[64];

static unsigned char byte_at(int64_t i, int from)
{
    const uint64_t x = ((uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
    return (unsigned char)((x >> 40) + (uint64_t)from);
}

static void write_file(int64_t n, int from)
{
    FILE *file = fopen(path, "wb");
    for (int64_t i = 0; file != NULL && i < n; i++)
        fputc(byte_at(i, from), file);
    mpi_assert(file != NULL && fclose(file) == 0, "%s", path);
}

/* Is it the file that the rank `from` wrote? */
static bool holds(int64_t n, int from)
{
    FILE *file = fopen(path, "rb");
    bool same = file != NULL;
    for (int64_t i = 0; same && i < n; i++)
        same = fgetc(file) == byte_at(i, from);
    same = same && fgetc(file) == EOF;
    if (file != NULL)
        fclose(file);
    return same;
}

static void begin(void)
{
    const char *made = mkdtemp(folder);
    mpi_assert(made != NULL, "%s", folder);
    snprintf(path, sizeof path, "%s/taps", folder);
}

static void end(void)
{
    unlink(path);
    rmdir(folder);
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
}

/* Two parts and a piece, nothing, and one byte; each host had another file. */
START_TEST(every_host_has_the_first_ones_file)
{
    static const int64_t bytes[] = {(16 << 20) + 12345, 0, 1};
    begin();
    write_file(bytes[_i], mpi_world->rank);
    const core_status status =
        har_bring_file(mpi_world, &mpi_world->world, path);
    mpi_assert(status == CORE_OK, "%s", core_message());
    mpi_assert(holds(bytes[_i], 0), "rank %d: another file", mpi_world->rank);
    end();
}
END_TEST

/* Nobody waits for a part that does not come. */
START_TEST(all_hear_that_there_is_no_file)
{
    begin();
    const core_status status =
        har_bring_file(mpi_world, &mpi_world->world, path);
    const bool is_first = mpi_world->rank == 0;
    const bool is_named = strstr(core_message(), path) != NULL;
    core_message_clear();
    mpi_assert((status == CORE_E_FILE) == is_first, "%d", (int)status);
    mpi_assert(is_named == is_first, "the file's name");
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_bring");
    TCase *tests = tcase_create("bring");
    tcase_add_loop_test(tests, every_host_has_the_first_ones_file, 0, 3);
    tcase_add_test(tests, all_hear_that_there_is_no_file);
    suite_add_tcase(suite, tests);
    return mpi_check_run(suite);
}
