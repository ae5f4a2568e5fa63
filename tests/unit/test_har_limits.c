/* tests/unit/test_har_limits.c -- what control groups leave, read from folders
 * that look like a machine's: a batch system's groups of version 1, a
 * container's of version 2.
 */
#include "harness/launch/limits.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define GIB ((size_t)1 << 30)

/* FILE below the root, with its folders. */
static void put(const char *file, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    for (char *c = path + strlen(folder) + 1; (c = strchr(c, '/')); c++) {
        *c = '\0';
        mkdir(path, 0700);
        *c = '/';
    }
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

/* 16 GiB free, 6 processors allowed, no group. */
static void begin(void)
{
    put("proc/meminfo", "MemTotal: 33554432 kB\nMemAvailable: 16777216 kB\n");
    put("proc/self/status", "Name:\tx\nCpus_allowed:\t33,00000003\n");
}

#define V1_AT "sys/fs/cgroup/memory/slurm/job_7"

static void begin_v1(void)
{
    begin();
    put("proc/self/mountinfo",
        "25 1 0:20 / /proc rw - proc proc rw\n"
        "30 1 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup "
        "rw,memory\n"
        "31 1 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup "
        "rw,cpu,cpuacct\n");
    put("proc/self/cgroup", "4:memory:/slurm/job_7/step_0\n"
                            "3:cpu,cpuacct:/slurm\n0::/elsewhere\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "20000000000\n");
    put(V1_AT "/step_0/memory.limit_in_bytes", "8589934592\n");
    put(V1_AT "/step_0/memory.usage_in_bytes", "0\n");
}

static void begin_v2(const char *mounted, const char *group)
{
    char line[256];
    begin();
    snprintf(line, sizeof line,
             "29 1 0:26 %s /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", mounted);
    put("proc/self/mountinfo", line);
    snprintf(line, sizeof line, "0::%s\n", group);
    put("proc/self/cgroup", line);
}

START_TEST(without_groups_the_machine_counts)
{
    begin();
    const har_limits l = har_limits_read(folder);
    ck_assert_uint_eq(l.memory_bytes, 16 * GIB);
    ck_assert_int_eq(l.n_core, 6);
    ck_assert_str_eq(l.group, "");
}
END_TEST

START_TEST(a_group_above_may_be_the_narrowest)
{
    begin_v1();
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 8 * GIB);
    put(V1_AT "/memory.limit_in_bytes", "4294967296\n");
    put(V1_AT "/memory.usage_in_bytes", "1073741824\n");
    const har_limits l = har_limits_read(folder);
    ck_assert_uint_eq(l.memory_bytes, 3 * GIB);
    ck_assert_ptr_nonnull(strstr(l.group, "/slurm/job_7"));
    ck_assert_ptr_null(strstr(l.group, "step_0"));
}
END_TEST

START_TEST(files_that_can_be_dropped_are_not_in_use)
{
    begin_v1();
    put(V1_AT "/step_0/memory.usage_in_bytes", "6442450944\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 2 * GIB);
    put(V1_AT "/step_0/memory.stat",
        "inactive_file 1\ntotal_inactive_file 1073741824\n"
        "total_active_file 2147483648\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 5 * GIB);
}
END_TEST

START_TEST(a_group_over_its_limit_leaves_nothing)
{
    begin_v1();
    put(V1_AT "/step_0/memory.usage_in_bytes", "8589934593\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 0);
}
END_TEST

START_TEST(version_2_has_two_limits_or_none)
{
    begin_v2("/", "/a/b");
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    put("sys/fs/cgroup/a/b/memory.current", "1073741824\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 16 * GIB);
    put("sys/fs/cgroup/a/b/memory.max", "4294967296\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 3 * GIB);
    put("sys/fs/cgroup/a/b/memory.high", "3221225472\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 2 * GIB);
    put("sys/fs/cgroup/a/b/memory.stat", "inactive_file 536870912\n"
                                         "active_file 536870912\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 3 * GIB);
}
END_TEST

/* A container sees its own group mounted at the top. */
START_TEST(a_mount_may_begin_at_the_group)
{
    begin_v2("/docker/7", "/docker/7/inner");
    put("sys/fs/cgroup/memory.max", "2147483648\n");
    put("sys/fs/cgroup/memory.current", "0\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, 2 * GIB);
    put("sys/fs/cgroup/inner/memory.max", "1073741824\n");
    put("sys/fs/cgroup/inner/memory.current", "0\n");
    ck_assert_uint_eq(har_limits_read(folder).memory_bytes, GIB);
}
END_TEST

START_TEST(a_quota_pays_for_whole_processors)
{
    begin_v1();
    put("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us", "-1\n");
    ck_assert_int_eq(har_limits_read(folder).n_core, 6);
    put("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us", "350000\n");
    ck_assert_int_eq(har_limits_read(folder).n_core, 3);
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
    ck_assert_int_eq(har_limits_read(folder).n_core, 1);
}
END_TEST

START_TEST(version_2_has_quotas_too)
{
    begin_v2("/", "/a");
    put("sys/fs/cgroup/a/cpu.max", "max 100000\n");
    ck_assert_int_eq(har_limits_read(folder).n_core, 6);
    put("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    ck_assert_int_eq(har_limits_read(folder).n_core, 2);
}
END_TEST

START_TEST(addresses_are_of_one_process)
{
    const struct rlimit limit = {8 * GIB, RLIM_INFINITY};
    begin();
    ck_assert_uint_eq(har_limits_read(folder).process_bytes, SIZE_MAX);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    ck_assert_uint_eq(har_limits_read(folder).process_bytes, 8 * GIB);
}
END_TEST

/* Seven processors: whole ones for each, at least one. */
START_TEST(ranks_share_processors)
{
    har_limits l = {.process_bytes = SIZE_MAX, .n_core = 7};
    ck_assert_int_eq(har_share_threads(&l, 1), 7);
    ck_assert_int_eq(har_share_threads(&l, 3), 2);
    ck_assert_int_eq(har_share_threads(&l, 4), 1);
    ck_assert_int_eq(har_share_threads(&l, 8), 1);
    l.process_bytes = 8 * GIB;
    ck_assert_int_eq(har_share_threads(&l, 1), 1);
}
END_TEST

START_TEST(this_machine_has_something)
{
    ck_assert_uint_gt(har_memory_available(), 0);
    ck_assert_int_ge(har_n_cores(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_limits");
    TCase *tests = tcase_create("limits");
    tcase_add_checked_fixture(tests, make_folder, remove_folder);
    tcase_add_test(tests, without_groups_the_machine_counts);
    tcase_add_test(tests, a_group_above_may_be_the_narrowest);
    tcase_add_test(tests, files_that_can_be_dropped_are_not_in_use);
    tcase_add_test(tests, a_group_over_its_limit_leaves_nothing);
    tcase_add_test(tests, version_2_has_two_limits_or_none);
    tcase_add_test(tests, a_mount_may_begin_at_the_group);
    tcase_add_test(tests, a_quota_pays_for_whole_processors);
    tcase_add_test(tests, version_2_has_quotas_too);
    tcase_add_test(tests, addresses_are_of_one_process);
    tcase_add_test(tests, ranks_share_processors);
    tcase_add_test(tests, this_machine_has_something);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
