/* test_core_safetensors.c -- malformed files are refused for their own reason,
 * odd but legal ones open, and what is created reads back.
 *
 * Every refusal below is one field away from GOOD, which opens.
 */
#include "core/files/safetensors.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/test_core_safetensors-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A file with this header and n_data bytes of zeros; the data may be a hole. */
static const char *make_file(const char *header, int64_t n_data)
{
    const char *path = in_folder("made.safetensors");
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    const uint64_t length = strlen(header);
    for (int i = 0; i < 8; i++)
        fputc((int)(length >> (8 * i) & 0xff), f);
    fputs(header, f);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(truncate(path, (off_t)(8 + (int64_t)length + n_data)), 0);
    return path;
}

static void check_refused(const char *path, core_status want,
                          const char *fragment)
{
    core_st *file = NULL;
    core_message_clear();
    const core_status status = core_st_open(&file, path);
    ck_assert_msg(status == want, "%s: status %s, expected %s: %s", path,
                  core_status_name(status), core_status_name(want),
                  core_message());
    ck_assert_ptr_null(file);
    ck_assert_msg(strstr(core_message(), fragment) != NULL,
                  "message '%s' lacks '%s'", core_message(), fragment);
    ck_assert_msg(strstr(core_message(), path) != NULL,
                  "message '%s' lacks the path", core_message());
    ck_assert_ptr_null(strchr(core_message(), '\n'));
}

static const struct bad_file {
    const char *name, *fragment;
} bad_files[] = {
    {"bad_utf8", "expected UTF-8, found the byte 0xFF"},
    {"duplicate_key", "a key given twice"},
    {"empty", "found 0"},
    {"end_before_begin", "tensor 'a': data_offsets end before they begin"},
    {"header_len_huge", "expected a header of at most 100000000 bytes"},
    {"header_len_past_eof", "header of 500 bytes reaches past the end"},
    {"header_not_object", "does not start with '{'"},
    {"missing_offsets", "tensor 'a': field 'data_offsets' is missing"},
    {"negative_dim", "tensor 'a': expected no negative number in shape, "
                     "found -2"},
    {"offset_past_end", "tensor 'a': data_offsets [4611686018427387904, "
                        "4611686018427387928] reach past the end"},
    {"overlap", "tensor 'b': data overlaps another tensor, expected offset 24, "
                "found 20"},
    {"shape_mismatch", "tensor 'a': dtype and shape make 32 bytes, "
                       "data_offsets have 24"},
    {"trailing_bytes", "2 bytes follow the last tensor"},
    {"truncated_data", "tensor 'b': data_offsets [24, 48] reach past the end "
                       "of the file, found 40 bytes"},
    {"unknown_dtype", "tensor 'a': unknown dtype 'F33'"},
};
enum { N_BAD_FILES = sizeof bad_files / sizeof bad_files[0] };

START_TEST(the_longest_shape_has_room)
{
    char text[CORE_ST_SHAPE_BYTES];
    int64_t shape[CORE_ST_MAX_DIM];
    for (int i = 0; i < CORE_ST_MAX_DIM; i++)
        shape[i] = INT64_MAX;
    ck_assert_uint_eq(
        strlen(core_st_shape_text(text, shape, CORE_ST_MAX_DIM)),
        CORE_ST_MAX_DIM * strlen("9223372036854775807,") - 1);
    ck_assert_str_eq(core_st_shape_text(text, (int64_t[]){2, 0}, 2), "2,0");
    ck_assert_str_eq(core_st_shape_text(text, NULL, 0), "");
}
END_TEST

START_TEST(malformed_files_are_refused)
{
    char path[512];
    snprintf(path, sizeof path, TEST_DATA_DIR "/safetensors/%s.safetensors",
             bad_files[_i].name);
    check_refused(path, CORE_E_FORMAT, bad_files[_i].fragment);
}
END_TEST

START_TEST(legal_files_open)
{
    core_st *file = NULL;
    ck_assert_int_eq(core_st_open(&file, TEST_DATA_DIR
                                  "/safetensors/ok_minimal.safetensors"),
                     CORE_OK);
    ck_assert_int_eq(core_st_count(file), 2);
    const core_st_tensor *b = core_st_find(file, "b");
    ck_assert_ptr_eq(b, core_st_at(file, 1));
    ck_assert_int_eq(b->dtype, CORE_DTYPE_F32);
    ck_assert_int_eq(b->n_dim, 2);
    ck_assert_int_eq(b->shape[1], 3);
    ck_assert_int_eq(b->n, 6);
    ck_assert_uint_eq(b->bytes, 24);
    ck_assert_ptr_eq(b->data, (char *)core_st_at(file, 0)->data + 24);
    ck_assert_ptr_null(core_st_find(file, "c"));
    ck_assert_ptr_null(core_st_metadata(file, "k"));
    core_st_close(file);

    ck_assert_int_eq(
        core_st_open(&file, TEST_DATA_DIR
                     "/safetensors/ok_padded_header_scalar_empty.safetensors"),
        CORE_OK);
    ck_assert_int_eq(core_st_find(file, "s")->n_dim, 0);
    ck_assert_int_eq(core_st_find(file, "s")->n, 1);
    ck_assert_int_eq(core_st_find(file, "z")->n, 0);
    ck_assert_str_eq(core_st_metadata(file, "k"), "v");
    core_st_close(file);
    core_st_close(NULL);
}
END_TEST

#define GOOD "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"
#define ENTRY(dtype, shape, offsets)                                           \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape                             \
    ",\"data_offsets\":" offsets "}}"

static const struct bad_header {
    const char *header, *fragment;
} bad_headers[] = {
    {ENTRY("\"F32\"", "[2.0]", "[0,8]"), "expected integers in shape"},
    {ENTRY("\"F32\"", "[true,2]", "[0,8]"), "expected integers in shape"},
    {ENTRY("\"F32\"", "2", "[0,8]"), "shape is not an array"},
    {ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"),
     "at most 8 dimensions, found 9"},
    {ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,8]"),
     "product of shape overflows"},
    /* 2^61 elements fit, their bytes do not */
    {ENTRY("\"F32\"", "[2305843009213693952]", "[0,8]"),
     "product of shape overflows"},
    {ENTRY("\"F32\"", "[99999999999999999999]", "[0,8]"), "a number too large"},
    {ENTRY("32", "[2]", "[0,8]"), "dtype is not a string"},
    {ENTRY("\"F32\"", "[2]", "[0,8,8]"), "array of two integers"},
    {ENTRY("\"F32\"", "[2]", "[0.5,8]"), "expected integers in data_offsets"},
    {ENTRY("\"F32\"", "[2]", "[-8,0]"), "no negative number in data_offsets"},
    {ENTRY("\"F32\"", "[1]", "[4,8]"),
     "leaves a hole before it, expected offset 0, found 4"},
    {ENTRY("\"F32\"", "[2]", "[0,8],\"extra\":1"), "unknown field 'extra'"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}",
     "field 'dtype' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],"
     "\"data_offsets\":[0,8]}}",
     "a key given twice"},
    {"{\"a\":[2]}", "tensor 'a': its entry is not an object"},
    {"{\"a\\nb\":{}}", "control characters"},
    {"{\"__metadata__\":{\"k\":1}}", "value of 'k' in __metadata__"},
    {"{\"__metadata__\":[]}", "__metadata__ is not an object"},
    {"{}", "8 bytes follow the last tensor"},
    {" " GOOD, "does not start with '{'"},
    {GOOD "x", "more text after the value"},
    {"{\"a\":", "made.safetensors:1:5"},
    {"", "does not start with '{'"},
};
enum { N_BAD_HEADERS = sizeof bad_headers / sizeof bad_headers[0] };

START_TEST(bad_headers_are_refused)
{
    check_refused(make_file(bad_headers[_i].header, 8), CORE_E_FORMAT,
                  bad_headers[_i].fragment);
}
END_TEST

START_TEST(the_header_they_are_one_step_from_opens)
{
    static const char *const good[] = {
        GOOD,
        GOOD " \n ",
        ENTRY("\"F32\"", "[1,1,1,1,1,1,1,2]", "[0,8]"),
        "{\"z\":{\"dtype\":\"U8\",\"shape\":[8,0],\"data_offsets\":[8,8]},"
        "\"y\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[3,3]},"
        "\"b\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[3,8]},"
        "\"a\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]},"
        "\"__metadata__\":{}}",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        core_st *file = NULL;
        core_message_clear();
        ck_assert_msg(core_st_open(&file, make_file(good[i], 8)) == CORE_OK,
                      "%s: %s", good[i], core_message());
        ck_assert_int_eq(core_st_count(file), i < 3 ? 1 : 4);
        ck_assert_str_eq(core_st_at(file, 0)->name, "a");
        core_st_close(file);
    }
    core_st *file = NULL;
    ck_assert_int_eq(core_st_open(&file, make_file("{}", 0)), CORE_OK);
    ck_assert_int_eq(core_st_count(file), 0);
    ck_assert_ptr_null(core_st_find(file, "a"));
    core_st_close(file);
}
END_TEST

START_TEST(what_is_not_a_file_is_refused)
{
    check_refused("/nowhere/at/all", CORE_E_FILE, strerror(ENOENT));
    check_refused(folder, CORE_E_FILE, "found a directory");
    check_refused("/dev/null", CORE_E_FILE, "found a device");
}
END_TEST

START_TEST(a_file_larger_than_memory_opens)
{
    const char *path = make_file(
        ENTRY("\"F64\"", "[5368709120]", "[0,42949672960]"), 42949672960);
    core_st *file = NULL;
    ck_assert_int_eq(core_st_open(&file, path), CORE_OK);
    const double *data = core_st_find(file, "a")->data;
    double last;
    memcpy(&last, data + 5368709119, sizeof last);
    ck_assert_double_eq(last, 0.0);
    core_st_close(file);
    unlink(path);
}
END_TEST

/* Three element sizes in the order that would break alignment. */
static const core_st_tensor wanted[] = {
    {.name = "flags", .dtype = CORE_DTYPE_U8, .n_dim = 1, .shape = {3}},
    {.name = "x", .dtype = CORE_DTYPE_F32, .n_dim = 2, .shape = {3, 5}},
    {.name = "none", .dtype = CORE_DTYPE_F64, .n_dim = 2, .shape = {0, 4}},
    {.name = "y\u00e9", .dtype = CORE_DTYPE_F64, .n_dim = 1, .shape = {7}},
    {.name = "scalar", .dtype = CORE_DTYPE_I64},
};
enum { N_WANTED = sizeof wanted / sizeof wanted[0] };

START_TEST(created_files_read_back)
{
    static const char *const metadata[] = {"zeta", "1", "alpha", "\"\\", NULL};
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("out.safetensors"));
    core_st *file = NULL;
    ck_assert_int_eq(core_st_create(&file, path, wanted, N_WANTED, metadata),
                     CORE_OK);
    ck_assert_int_eq(access(path, F_OK), -1);
    char partial[256];
    snprintf(partial, sizeof partial, "%s", core_st_path(file));
    ck_assert_int_eq(access(partial, F_OK), 0);
    for (int64_t i = 0; i < core_st_count(file); i++) {
        const core_st_tensor *tensor = core_st_at(file, i);
        ck_assert_uint_eq(
            (uintptr_t)tensor->data % core_dtype_bytes(tensor->dtype), 0);
        memset(tensor->data, (int)i + 1, tensor->bytes);
    }
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    ck_assert_str_eq(core_st_path(file), path);
    core_st_close(file);
    ck_assert_int_eq(access(partial, F_OK), -1);

    ck_assert_int_eq(core_st_open(&file, path), CORE_OK);
    ck_assert_int_eq(core_st_count(file), N_WANTED);
    /* larger elements first, else the given order */
    static const char *const order[] = {"none", "y\u00e9", "scalar", "x",
                                        "flags"};
    for (int i = 0; i < N_WANTED; i++) {
        const core_st_tensor *tensor = core_st_at(file, i);
        ck_assert_str_eq(tensor->name, order[i]);
        for (size_t j = 0; j < tensor->bytes; j++)
            ck_assert_int_eq(((const char *)tensor->data)[j], i + 1);
    }
    ck_assert_int_eq(core_st_find(file, "x")->shape[1], 5);
    ck_assert_int_eq(core_st_find(file, "scalar")->n, 1);
    const char *key, *value;
    ck_assert(core_st_metadata_at(file, 0, &key, &value));
    ck_assert_str_eq(key, "alpha");
    ck_assert_str_eq(value, "\"\\");
    ck_assert(core_st_metadata_at(file, 1, &key, &value));
    ck_assert_str_eq(key, "zeta");
    ck_assert(!core_st_metadata_at(file, 2, &key, &value));
    core_st_close(file);
}
END_TEST

START_TEST(elements_are_read_as_doubles)
{
    const uint16_t half[] = {0x3c00, 0xc000, 0x4200, 0}; /* 1, -2, 3, 0 */
    const core_st_tensor t = {
        .dtype = CORE_DTYPE_F16, .n = 4, .data = (void *)half};
    const core_st_tensor none = {.dtype = CORE_DTYPE_F64, .n = 0};
    double x[3];
    core_st_read(&t, 1, 3, x);
    ck_assert(x[0] == -2.0 && x[1] == 3.0 && x[2] == 0.0);
    ck_assert_double_eq(core_st_value(&t, 2), 3.0);
    ck_assert_double_eq(core_st_rms(&t), sqrt(3.5));
    ck_assert_double_eq(core_st_rms(&none), 0.0);
}
END_TEST

START_TEST(another_process_fills_what_one_created)
{
    const char *path = in_folder("shared.safetensors");
    core_st *file = NULL;
    ck_assert_int_eq(core_st_create(&file, path, wanted, N_WANTED, NULL),
                     CORE_OK);
    const pid_t child = fork();
    if (child == 0) {
        core_st *other = NULL;
        if (core_st_attach(&other, core_st_path(file)) != CORE_OK)
            _exit(1);
        ((float *)core_st_find(other, "x")->data)[14] = 2.5F;
        core_st_close(other);
        _exit(0);
    }
    int result = -1;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert_int_eq(result, 0);
    const float *x = core_st_find(file, "x")->data;
    ck_assert_double_eq((double)x[14], 2.5);
    ck_assert_double_eq((double)x[13], 0.0);
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
}
END_TEST

START_TEST(without_commit_nothing_is_left)
{
    const char *path = in_folder("dropped.safetensors");
    core_st *file = NULL;
    ck_assert_int_eq(core_st_create(&file, path, wanted, N_WANTED, NULL),
                     CORE_OK);
    char partial[256];
    snprintf(partial, sizeof partial, "%s", core_st_path(file));
    core_st_close(file);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(access(partial, F_OK), -1);
}
END_TEST

static void check_not_created(const char *path, const core_st_tensor *tensor,
                              const char *const *metadata, core_status want,
                              const char *fragment)
{
    core_st *file = NULL;
    core_message_clear();
    ck_assert_int_eq(core_st_create(&file, path, tensor, 1, metadata), want);
    ck_assert_ptr_null(file);
    ck_assert_msg(strstr(core_message(), fragment) != NULL,
                  "message '%s' lacks '%s'", core_message(), fragment);
    char partial[300];
    snprintf(partial, sizeof partial, "%s.partial-%ld", path, (long)getpid());
    ck_assert_int_eq(access(partial, F_OK), -1);
}

START_TEST(what_cannot_be_created_says_why)
{
    const core_st_tensor huge = {.name = "huge",
                                 .dtype = CORE_DTYPE_F64,
                                 .n_dim = 1,
                                 .shape = {(int64_t)1 << 47}};
    check_not_created(in_folder("huge"), &huge, NULL, CORE_E_SPACE,
                      "needs 11258999068427");
    core_st_tensor wider = huge;
    wider.n_dim = 2;
    wider.shape[1] = (int64_t)1 << 17;
    check_not_created(in_folder("huge"), &wider, NULL, CORE_E_SPACE,
                      "tensor 'huge': its size overflows");
    check_not_created("/nowhere/x", wanted, NULL, CORE_E_FILE,
                      strerror(ENOENT));
    check_not_created(folder, wanted, NULL, CORE_E_FILE, "Is a directory");
    const char *const metadata[] = {"k", "\xff", NULL};
    check_not_created(in_folder("utf8"), wanted, metadata, CORE_E_FORMAT,
                      "metadata 'k': not UTF-8");
    const core_st_tensor named = {.name = "\xff", .dtype = CORE_DTYPE_F64};
    check_not_created(in_folder("utf8"), &named, NULL, CORE_E_FORMAT,
                      "its name is not UTF-8");
}
END_TEST

int main(void)
{
    if (mkdtemp(folder) == NULL)
        return EXIT_FAILURE;
    Suite *suite = suite_create("core_safetensors");
    TCase *read = tcase_create("read");
    tcase_add_test(read, the_longest_shape_has_room);
    tcase_add_loop_test(read, malformed_files_are_refused, 0, N_BAD_FILES);
    tcase_add_test(read, legal_files_open);
    tcase_add_loop_test(read, bad_headers_are_refused, 0, N_BAD_HEADERS);
    tcase_add_test(read, the_header_they_are_one_step_from_opens);
    tcase_add_test(read, elements_are_read_as_doubles);
    tcase_add_test(read, what_is_not_a_file_is_refused);
    tcase_add_test(read, a_file_larger_than_memory_opens);
    suite_add_tcase(suite, read);
    TCase *write = tcase_create("write");
    tcase_add_test(write, created_files_read_back);
    tcase_add_test(write, another_process_fills_what_one_created);
    tcase_add_test(write, without_commit_nothing_is_left);
    tcase_add_test(write, what_cannot_be_created_says_why);
    suite_add_tcase(suite, write);
    const int status = check_main(suite);
    static const char *const made[] = {"made.safetensors", "out.safetensors",
                                       "shared.safetensors"};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        unlink(in_folder(made[i]));
    rmdir(folder);
    return status;
}
