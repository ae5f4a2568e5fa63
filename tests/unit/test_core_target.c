/* test_core_target.c -- what stands where a file shall go.
 *
 * No real device is named here: what must never be replaced is a fifo.
 */
#include "core/files/target.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[32], path[64], other[64];

static void set_up(void)
{
    strcpy(folder, "/tmp/target-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/path", folder);
    snprintf(other, sizeof other, "%s/in/other", folder);
    char in[64];
    snprintf(in, sizeof in, "%s/in", folder);
    ck_assert_int_eq(mkdir(in, 0777), 0);
    setenv("TMPDIR", in, 1);
}

/* The folder inside is empty again, whatever happened. */
static void tear_down(void)
{
    char in[64];
    snprintf(in, sizeof in, "%s/in", folder);
    unlink(path);
    unlink(other);
    ck_assert_int_eq(rmdir(in), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_text(const char *where, const char *text)
{
    FILE *file = fopen(where, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void check_text(int fd, const char *text)
{
    char found[64] = "";
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd, found, sizeof found - 1), (int)strlen(text));
    ck_assert_str_eq(found, text);
    close(fd);
}

static mode_t kind_of(const char *where)
{
    struct stat st;
    return lstat(where, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

/* Write "new" to path; path keeps what it is until the end. */
static core_status write_new(void)
{
    core_target target;
    const mode_t kind = kind_of(path);
    CORE_TRY(core_target_open(&target, path));
    write_text(target.partial, "new");
    ck_assert_uint_eq(kind_of(path), kind);
    const core_status status = core_target_commit(&target);
    ck_assert_int_ne(access(target.partial, F_OK), 0);
    return status;
}

START_TEST(nothing_and_a_file_are_replaced)
{
    ck_assert_int_eq(write_new(), CORE_OK);
    check_text(open(path, O_RDONLY), "new");
    write_text(path, "older and longer");
    const int old = open(path, O_RDONLY);
    ck_assert_int_eq(write_new(), CORE_OK);
    check_text(old, "older and longer"); /* never half of either */
    check_text(open(path, O_RDONLY), "new");
    ck_assert_uint_eq(kind_of(path), S_IFREG);
}
END_TEST

START_TEST(the_file_behind_a_link_is_replaced)
{
    write_text(other, "old");
    ck_assert_int_eq(symlink("in/other", path), 0);
    ck_assert_int_eq(write_new(), CORE_OK);
    ck_assert_uint_eq(kind_of(path), S_IFLNK);
    ck_assert_uint_eq(kind_of(other), S_IFREG);
    check_text(open(other, O_RDONLY), "new");
}
END_TEST

/* By its name, and behind a link. */
START_TEST(a_fifo_is_written_into_and_stays)
{
    const char *fifo = _i == 0 ? path : other;
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    if (_i == 1)
        ck_assert_int_eq(symlink(other, path), 0);
    const int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    ck_assert_int_eq(write_new(), CORE_OK);
    check_text(reader, "new");
    ck_assert_uint_eq(kind_of(fifo), S_IFIFO);
    ck_assert_uint_eq(kind_of(path), _i == 0 ? S_IFIFO : S_IFLNK);
}
END_TEST

START_TEST(nothing_is_written_into_a_fifo_before_the_end)
{
    core_target target;
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    const int reader = open(path, O_RDONLY | O_NONBLOCK);
    ck_assert_int_eq(core_target_open(&target, path), CORE_OK);
    write_text(target.partial, "half");
    core_target_drop(&target);
    check_text(reader, "");
    ck_assert_uint_eq(kind_of(path), S_IFIFO);
}
END_TEST

static void check_refused(const char *reason)
{
    core_message_clear();
    ck_assert_int_eq(write_new(), CORE_E_FILE);
    ck_assert_msg(strstr(core_message(), reason) != NULL, "%s", core_message());
}

START_TEST(a_folder_and_a_link_to_nothing_are_refused)
{
    ck_assert_int_eq(symlink("in", path), 0);
    check_refused("path: cannot be written: Is a directory");
    unlink(path);
    ck_assert_int_eq(symlink("in/other", path), 0);
    check_refused("path: cannot be written: a link to nothing");
    ck_assert_uint_eq(kind_of(other), 0);
}
END_TEST

/* A rank's standard output is not the launcher's: what goes there is lost. */
START_TEST(the_file_that_is_printed_to_is_refused)
{
    write_text(path, "log");
    ck_assert_int_eq(write_new(), CORE_OK); /* nobody prints to it yet */
    const int out = dup(STDOUT_FILENO), log = open(path, O_WRONLY);
    dup2(log, STDOUT_FILENO);
    core_message_clear();
    const core_status status = write_new();
    dup2(out, STDOUT_FILENO);
    close(out);
    close(log);
    ck_assert_int_eq(status, CORE_E_FILE);
    ck_assert_ptr_nonnull(strstr(core_message(), "this process prints to it"));
}
END_TEST

/* Nobody can put a link there beforehand; and what is made is the caller's. */
START_TEST(a_partial_file_has_a_new_name_and_the_modes_of_the_umask)
{
    core_target first, second;
    struct stat st;
    const mode_t old = umask(027);
    ck_assert_int_eq(core_target_open(&first, path), CORE_OK);
    ck_assert_int_eq(core_target_open(&second, path), CORE_OK);
    umask(old);
    ck_assert_str_ne(first.partial, second.partial);
    const size_t n = strlen(path) + strlen(".partial-");
    ck_assert_mem_eq(first.partial, path, strlen(path));
    ck_assert_uint_eq(strlen(first.partial), n + 16);
    ck_assert_int_eq(lstat(first.partial, &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
    core_target_drop(&second);
    ck_assert_int_eq(core_target_commit(&first), CORE_OK);
    ck_assert_int_eq(lstat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
}
END_TEST

START_TEST(a_handler_may_drop_what_is_half_written)
{
    core_target done, half;
    ck_assert_int_eq(core_target_open(&done, path), CORE_OK);
    ck_assert_int_eq(core_target_commit(&done), CORE_OK);
    ck_assert_int_eq(core_target_open(&half, other), CORE_OK);
    ck_assert_int_eq(access(half.partial, F_OK), 0);
    core_target_drop_all();
    ck_assert_int_ne(access(half.partial, F_OK), 0);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(what_is_full_is_told_from_what_is_wrong)
{
    static const int full[] = {ENOSPC, EDQUOT, EFBIG};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(core_target_failed("f", full[i]), CORE_E_SPACE);
    core_message_clear();
    ck_assert_int_eq(core_target_failed("f", EACCES), CORE_E_FILE);
    ck_assert_str_eq(core_message(), "f: cannot be written: Permission denied");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_target");
    TCase *tcase = tcase_create("target");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, nothing_and_a_file_are_replaced);
    tcase_add_test(tcase, the_file_behind_a_link_is_replaced);
    tcase_add_loop_test(tcase, a_fifo_is_written_into_and_stays, 0, 2);
    tcase_add_test(tcase, nothing_is_written_into_a_fifo_before_the_end);
    tcase_add_test(tcase, a_folder_and_a_link_to_nothing_are_refused);
    tcase_add_test(tcase, the_file_that_is_printed_to_is_refused);
    tcase_add_test(
        tcase, a_partial_file_has_a_new_name_and_the_modes_of_the_umask);
    tcase_add_test(tcase, a_handler_may_drop_what_is_half_written);
    tcase_add_test(tcase, what_is_full_is_told_from_what_is_wrong);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
