/* harness/launch/limits.c -- see limits.h.
 *
 * /proc/self/cgroup says which group of each hierarchy, /proc/self/mountinfo
 * where that hierarchy is mounted and from which group on: in a container that
 * may be the process's own.  From the group every folder up to the mount is
 * looked at.  What a group uses includes files that the kernel would drop
 * before it kills anybody, so those count as free.
 */
#include "harness/launch/limits.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* What the two versions call the same things; NULL: has none. */
typedef struct version {
    const char *type; /* of the file system                                   */
    const char *limit[2], *use, *dropped[2]; /* of memory                     */
} version;

static const version V1 = {"cgroup",
                           {"memory.limit_in_bytes", NULL},
                           "memory.usage_in_bytes",
                           {"total_inactive_file ", "total_active_file "}};
static const version V2 = {"cgroup2",
                           {"memory.max", "memory.high"},
                           "memory.current",
                           {"inactive_file ", "active_file "}};

/* The number after the line's beginning `key` in a file, false if there is none
 * ("max" is none).                                                           */
static bool read_number(const char *path, const char *key, double *out)
{
    char line[256], *end = line;
    bool is_found = false;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    while (!is_found && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0) {
            *out = strtod(line + strlen(key), &end);
            is_found = end != line + strlen(key);
        }
    fclose(file);
    return is_found;
}

/* FOLDER/name. */
static bool read_in(const char *folder, const char *name, const char *key,
                    double *out)
{
    char path[2 * HAR_LIMITS_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_number(path, key, out);
}

/* --- one group --- */

static void narrow_memory(har_limits *l, const version *v, const char *folder)
{
    double limit = HUGE_VAL, other, use = 0.0;
    for (int i = 0; i < 2 && v->limit[i] != NULL; i++)
        if (read_in(folder, v->limit[i], "", &other) && other < limit)
            limit = other;
    if (!read_in(folder, v->use, "", &use))
        return;
    for (int i = 0; i < 2; i++)
        if (read_in(folder, "memory.stat", v->dropped[i], &other))
            use -= other;
    const double room = limit > use ? limit - use : 0.0;
    if (room >= (double)l->memory_bytes)
        return;
    l->memory_bytes = (size_t)room;
    snprintf(l->group, sizeof l->group, "%s", folder);
}

static void narrow_cores(har_limits *l, const version *v, const char *folder)
{
    double quota, period = 1e5;
    bool has_quota;
    if (v == &V1) {
        has_quota = read_in(folder, "cpu.cfs_quota_us", "", &quota) &&
                    quota > 0.0 &&
                    read_in(folder, "cpu.cfs_period_us", "", &period);
    } else {
        char path[2 * HAR_LIMITS_PATH];
        snprintf(path, sizeof path, "%s/cpu.max", folder);
        FILE *file = fopen(path, "r");
        has_quota =
            file != NULL && fscanf(file, "%lf %lf", &quota, &period) == 2;
        if (file != NULL)
            fclose(file);
    }
    if (!has_quota || !(period > 0.0) || quota / period >= l->n_core)
        return;
    l->n_core = quota > period ? (int)(quota / period) : 1;
}

/* --- all groups of a hierarchy --- */

/* Is `word` one of the comma-separated words? */
static bool has_word(const char *words, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += n)
        if ((at == words || at[-1] == ',') && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

/* Where the hierarchy is mounted, and which of its groups is. */
static bool find_mount(const char *root, const version *v,
                       const char *controller, char mounted[HAR_LIMITS_PATH],
                       char at[HAR_LIMITS_PATH])
{
    char line[4096], type[64], options[1024];
    bool is_found = false;
    snprintf(line, sizeof line, "%s/proc/self/mountinfo", root);
    FILE *file = fopen(line, "r");
    if (file == NULL)
        return false;
    while (!is_found && fgets(line, sizeof line, file) != NULL) {
        const char *tail = strstr(line, " - ");
        is_found = tail != NULL &&
                   sscanf(line, "%*s %*s %*s %511s %511s", mounted, at) == 2 &&
                   sscanf(tail, " - %63s %*s %1023s", type, options) == 2 &&
                   strcmp(type, v->type) == 0 &&
                   (v == &V2 || has_word(options, controller));
    }
    fclose(file);
    return is_found;
}

/* The process's group, as a path from the hierarchy's top. */
static bool find_group(const char *root, const version *v,
                       const char *controller, char group[HAR_LIMITS_PATH])
{
    char line[4096];
    bool is_found = false;
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "r");
    if (file == NULL)
        return false;
    while (!is_found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = '\0';
        is_found = v == &V2 ? controllers[1] == '\0'
                            : has_word(controllers + 1, controller);
        if (is_found)
            snprintf(group, HAR_LIMITS_PATH, "%.511s", path);
    }
    fclose(file);
    return is_found;
}

static void narrow(har_limits *l, const char *root, const version *v,
                   const char *controller,
                   void (*look)(har_limits *l, const version *v,
                                const char *folder))
{
    char mounted[HAR_LIMITS_PATH], at[HAR_LIMITS_PATH], group[HAR_LIMITS_PATH];
    char folder[3 * HAR_LIMITS_PATH];
    if (!find_mount(root, v, controller, mounted, at) ||
        !find_group(root, v, controller, group))
        return;
    const size_t n = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
    const bool is_below = strncmp(group, mounted, n) == 0;
    snprintf(folder, sizeof folder, "%s%s%s", root, at,
             is_below ? group + n : "");
    const size_t top = strlen(root) + strlen(at);
    for (;;) {
        look(l, v, folder);
        char *last = strrchr(folder, '/');
        if (last == NULL || (size_t)(last - folder) < top)
            return;
        *last = '\0';
    }
}

/* --- the machine --- */

/* The bits of the affinity mask, which is printed in hexadecimal. */
static int n_allowed_cores(const char *root)
{
    static const char key[] = "Cpus_allowed:";
    char line[4096];
    int n = 0;
    snprintf(line, sizeof line, "%s/proc/self/status", root);
    FILE *file = fopen(line, "r");
    while (file != NULL && n == 0 && fgets(line, sizeof line, file) != NULL)
        for (const char *c = line + sizeof key - 1;
             strncmp(line, key, sizeof key - 1) == 0 && *c != '\0'; c++) {
            const char digit[2] = {*c, '\0'};
            for (long bits = strtol(digit, NULL, 16); bits > 0; bits /= 2)
                n += (int)(bits % 2);
        }
    if (file != NULL)
        fclose(file);
    return n > 0 ? n : 1;
}

har_limits har_limits_read(const char *root)
{
    const double assumed_kb = (double)(1 << 21);
    har_limits l = {.process_bytes = SIZE_MAX, .n_core = n_allowed_cores(root)};
    struct rlimit addresses;
    double kb = assumed_kb;
    char path[HAR_LIMITS_PATH];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    (void)read_number(path, "MemAvailable:", &kb);
    l.memory_bytes = (size_t)(kb * 1024.0);
    if (getrlimit(RLIMIT_AS, &addresses) == 0 &&
        addresses.rlim_cur != RLIM_INFINITY)
        l.process_bytes = (size_t)addresses.rlim_cur;
    narrow(&l, root, &V1, "memory", narrow_memory);
    narrow(&l, root, &V2, "memory", narrow_memory);
    narrow(&l, root, &V1, "cpu", narrow_cores);
    narrow(&l, root, &V2, "cpu", narrow_cores);
    return l;
}

size_t har_memory_available(void)
{
    const har_limits l = har_limits_read("");
    double kb = 0.0;
    (void)read_number("/proc/self/status", "VmSize:", &kb);
    const size_t taken =
        (size_t)(kb * 1024.0) + (size_t)l.n_core * HAR_THREAD_ADDRESSES;
    const size_t left = l.process_bytes > taken ? l.process_bytes - taken : 0;
    return l.memory_bytes < left ? l.memory_bytes : left;
}

int har_n_cores(void)
{
    return har_limits_read("").n_core;
}

int har_share_threads(const har_limits *limits, int n_rank)
{
    const int n = limits->n_core / n_rank;
    return n > 1 && limits->process_bytes == SIZE_MAX ? n : 1;
}
