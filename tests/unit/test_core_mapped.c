/* test_core_mapped.c -- what is opened is a regular file, at once; and what
 * happens to one while it is mapped is told.
 */
#include "core/files/mapped.h"
#include "core/files/open.h"
#include "core/files/target.h"
#include "core/files/text.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 1 << 16 };

static char folder[32], path[64], other[64];

static void write_bytes(const char *where, size_t n)
{
    FILE *file = fopen(where, "w");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < n; i++)
        fputc('a', file);
    ck_assert_int_eq(fclose(file), 0);
}

static void set_up(void)
{
    strcpy(folder, "/tmp/mapped-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/path", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    write_bytes(path, BYTES);
    core_message_clear();
}

static void tear_down(void)
{
    unlink(path);
    unlink(other);
    ck_assert_int_eq(rmdir(folder), 0);
}

/* --- opening --- */

static void make_pipe(void)
{
    ck_assert_int_eq(mkfifo(other, 0600), 0);
}

static void make_socket(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strcpy(name.sun_path, other);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    close(fd);
}

static void make_device(void)
{
    ck_assert_int_eq(symlink("/dev/zero", other), 0);
}

static void make_folder(void)
{
    ck_assert_int_eq(symlink("/tmp", other), 0);
}

static const struct {
    void (*make)(void);
    const char *found;
} NO_FILES[] = {{make_pipe, "a pipe"},
                {make_socket, "a socket or a device"},
                {make_device, "a device"},
                {make_folder, "a directory"}};

START_TEST(what_is_no_file_is_refused_at_once)
{
    char *text = NULL;
    core_mapped *map = NULL;
    NO_FILES[_i].make();
    ck_assert_int_eq(core_text_read(&text, other, BYTES), CORE_E_FILE);
    ck_assert_msg(strstr(core_message(), NO_FILES[_i].found) != NULL, "%s",
                  core_message());
    ck_assert_int_eq(core_map(&map, other, CORE_MAP_INPUT, 1), CORE_E_FILE);
    ck_assert_int_eq(core_text_read(&text, path, BYTES + 1), CORE_OK);
    ck_assert_uint_eq(strlen(text), BYTES);
    free(text);
}
END_TEST

/* Before any parser: in a table, a list of hosts, a script. */
START_TEST(a_text_that_is_none_is_refused)
{
    char *text = NULL;
    FILE *file = fopen(other, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite("a\nb\0c", 1, 5, file), 5);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(core_text_read(&text, other, BYTES), CORE_E_FORMAT);
    ck_assert_msg(strstr(core_message(), "other:2:2: expected text, found the "
                                         "character U+0000") != NULL,
                  "%s", core_message());
}
END_TEST

/* "-", and the name that a shell gives to the pipe of <(command). */
START_TEST(a_text_may_come_from_a_pipe_that_is_handed_over)
{
    static const char *const names[] = {"-", "/dev/stdin", "/dev/fd/0"};
    char *text = NULL;
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "tp: 2\n", 6), 6);
    close(ends[1]);
    ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    ck_assert_msg(core_text_read(&text, names[_i], 64) == CORE_OK, "%s",
                  core_message());
    ck_assert_str_eq(text, "tp: 2\n");
    free(text);
}
END_TEST

/* --- while it is mapped --- */

static void append(void)
{
    FILE *file = fopen(path, "a");
    fputs("more", file);
    fclose(file);
}

static void write_again(void)
{
    const struct timespec past[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    write_bytes(path, BYTES);
    ck_assert_int_eq(utimensat(AT_FDCWD, path, past, 0), 0);
}

static void replace(void)
{
    write_bytes(other, BYTES);
    ck_assert_int_eq(rename(other, path), 0);
}

static void take_away(void)
{
    ck_assert_int_eq(unlink(path), 0);
}

static const struct {
    void (*change)(void);
    const char *reason;
} CHANGES[] = {
    {append, "path: changed while it was read, from 65536 to 65540 bytes"},
    {write_again, "path: written to while it was read"},
    {replace, "path: replaced while it was read"},
    {take_away, "path: gone while it was read"}};

START_TEST(a_change_of_an_input_is_told)
{
    core_mapped *map = NULL, *ours = NULL;
    ck_assert_int_eq(core_map(&ours, path, CORE_MAP_OURS, 1), CORE_OK);
    ck_assert_int_eq(core_map(&map, path, CORE_MAP_INPUT, 1), CORE_OK);
    ck_assert_int_eq(core_mapped_check(), CORE_OK);
    CHANGES[_i].change();
    ck_assert_int_eq(core_mapped_check(), CORE_E_FILE);
    ck_assert_msg(strstr(core_message(), CHANGES[_i].reason) != NULL, "%s",
                  core_message());
    core_unmap(map);
    ck_assert_int_eq(core_mapped_check(), CORE_OK); /* who writes knows */
    core_unmap(ours);
}
END_TEST

/* In a child: cut the file, touch its end; how the child ended, what it said.
 */
static int touch_what_is_gone(char said[256], bool is_mapped_by_us)
{
    int ends[2], status = 0;
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        core_mapped *map = NULL, *more = NULL;
        core_target half;
        dup2(ends[1], STDERR_FILENO);
        const bool is_ready =
            core_map(&map, path, CORE_MAP_INPUT, 1) == CORE_OK &&
            core_map(&more, path, CORE_MAP_INPUT, 1) == CORE_OK &&
            core_target_open(&half, other) == CORE_OK &&
            truncate(path, 10) == 0;
        const volatile unsigned char *at = core_mapped_at(map);
        if (!is_mapped_by_us)
            core_unmap(more);
        _exit(is_ready ? at[BYTES - 1] : 99);
    }
    close(ends[1]);
    const ssize_t n = read(ends[0], said, 255);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

/* And leaves nothing half written: tear_down finds the folder empty. */
START_TEST(a_file_cut_while_it_is_read_is_named)
{
    char said[256], line[128];
    const int status = touch_what_is_gone(said, _i == 0);
    snprintf(line, sizeof line, "moeparity: %s: cut short while it was read\n",
             path);
    ck_assert_str_eq(said, line);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_mapped");
    TCase *tcase = tcase_create("mapped");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, what_is_no_file_is_refused_at_once, 0, 4);
    tcase_add_test(tcase, a_text_that_is_none_is_refused);
    tcase_add_loop_test(tcase, a_text_may_come_from_a_pipe_that_is_handed_over,
                        0, 3);
    tcase_add_loop_test(tcase, a_change_of_an_input_is_told, 0, 4);
    tcase_add_loop_test(tcase, a_file_cut_while_it_is_read_is_named, 0, 2);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
