/* tests/alloc/fail_alloc.c -- preloaded: the n-th allocation of one process of a
 * run fails, once or from then on.
 *
 *     FAIL_ALLOC="N WHO [once]"   WHO: launcher, or the number of a rank; 0 is
 *                                 none
 *     CUT_FILE=FILE               instead of failing, the n-th cuts this file
 *     COUNT_ALLOC=FILE            how many there were, at the end
 *
 * Others than the program itself (mpiexec, its proxy, a shell) are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t m);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);

static _Atomic long count;
static long fail_at; /* 0: never                                              */
static bool fails_once, is_meant;

static bool is_program(void)
{
    char name[256] = "";
    const ssize_t n = readlink("/proc/self/exe", name, sizeof name - 1);
    return n > 10 && strcmp(name + n - 10, "/moeparity") == 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *wish = getenv("FAIL_ALLOC"), *rank = getenv("PMI_RANK");
    char who[16] = "", once[8] = "";
    long n = 0;
    if (wish == NULL || !is_program() ||
        sscanf(wish, "%ld %15s %7s", &n, who, once) < 2)
        return;
    if (getenv("MOEPARITY_RUN_FOLDER") == NULL)
        is_meant = strcmp(who, "launcher") == 0;
    else
        is_meant = rank != NULL && strcmp(who, rank) == 0;
    fails_once = once[0] != '\0';
    fail_at = is_meant ? n : 0;
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("COUNT_ALLOC");
    char text[32];
    const int fd =
        path != NULL && is_meant ? open(path, O_WRONLY | O_CREAT, 0666) : -1;
    const int n = snprintf(text, sizeof text, "%ld\n", atomic_load(&count));
    if (fd >= 0 && write(fd, text, (size_t)n) == n)
        close(fd);
}

static bool fails(void)
{
    if (!is_meant)
        return false;
    const long n = atomic_fetch_add(&count, 1) + 1;
    if (fail_at == 0 || n < fail_at || (fails_once && n > fail_at))
        return false;
    const char *cut = getenv("CUT_FILE");
    if (cut != NULL)
        return truncate(cut, 0) != 0;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n)
{
    return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
    return fails() ? NULL : __libc_calloc(n, m);
}

void *realloc(void *p, size_t n)
{
    return fails() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails() ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    void *p = fails() ? NULL : __libc_memalign(alignment, n);
    if (p == NULL)
        return ENOMEM;
    *out = p;
    return 0;
}
