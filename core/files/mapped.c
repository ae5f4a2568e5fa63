/* core/files/mapped.c -- see mapped.h.
 *
 * The list of mappings is one that a signal handler can walk: entries are
 * linked in and out by one store, by whoever holds the lock.  Traps: the
 * handler may use nothing that allocates or locks; a SIGBUS of another cause
 * must end as it always did; a file system of coarse stamps shows no change
 * within a tick, its length it does.
 */
#include "core/files/mapped.h"

#include "core/files/open.h"
#include "core/files/target.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct core_mapped {
    core_mapped *_Atomic next;
    unsigned char *at;
    size_t bytes;
    core_mapping kind;
    struct stat stamp;
    char path[];
};

static core_mapped *_Atomic first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void (*told)(const char *line);
static struct sigaction before; /* what SIGBUS did                            */

/* --- the signal --- */

static void join(char *line, size_t bytes, const char *text)
{
    const size_t used = strlen(line);
    for (size_t i = 0; used + i + 1 < bytes && text[i] != '\0'; i++) {
        line[used + i] = text[i];
        line[used + i + 1] = '\0';
    }
}

static _Noreturn void end_process(const char *path)
{
    char line[512] = "moeparity: ";
    const size_t n_name = strlen(line);
    join(line, 420, path);
    join(line, sizeof line, ": cut short while it was read");
    core_target_drop_all();
    if (told != NULL)
        told(line + n_name);
    join(line, sizeof line, "\n");
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        _exit(core_status_exit_code(CORE_E_INTERNAL));
    _exit(core_status_exit_code(CORE_E_FILE));
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    const unsigned char *where = info->si_addr;
    for (core_mapped *m = atomic_load(&first); m != NULL;
         m = atomic_load(&m->next))
        if (where >= m->at && where < m->at + m->bytes)
            end_process(m->path);
    sigaction(number, &before, NULL); /* the touch is made again */
}

static void catch_bus_errors(void)
{
    const struct sigaction caught = {.sa_sigaction = on_bus_error,
                                     .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &caught, &before);
}

void core_mapped_tell(void (*tell)(const char *line))
{
    told = tell;
}

/* --- the list --- */

static void link_in(core_mapped *m)
{
    pthread_mutex_lock(&lock);
    static bool is_caught;
    if (!is_caught)
        catch_bus_errors();
    is_caught = true;
    atomic_store(&m->next, atomic_load(&first));
    atomic_store(&first, m);
    pthread_mutex_unlock(&lock);
}

static void link_out(core_mapped *m)
{
    pthread_mutex_lock(&lock);
    core_mapped *_Atomic *from = &first;
    while (atomic_load(from) != NULL && atomic_load(from) != m)
        from = &atomic_load(from)->next;
    if (atomic_load(from) == m)
        atomic_store(from, atomic_load(&m->next));
    pthread_mutex_unlock(&lock);
}

/* --- files --- */

static core_status map_bytes(core_mapped *m, int fd, size_t least)
{
    CORE_FAIL_IF(fstat(fd, &m->stamp) != 0, CORE_E_FILE, "%s: %s", m->path,
                 strerror(errno));
    CORE_FAIL_IF(m->stamp.st_size < (off_t)least, CORE_E_FORMAT,
                 "%s: expected at least %zu bytes, found %lld", m->path, least,
                 (long long)m->stamp.st_size);
    m->bytes = (size_t)m->stamp.st_size;
    const int protection =
        m->kind == CORE_MAP_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    void *at = mmap(NULL, m->bytes, protection, MAP_SHARED, fd, 0);
    CORE_FAIL_IF(
        at == MAP_FAILED, errno == ENOMEM ? CORE_E_MEMORY : CORE_E_FILE,
        "%s: cannot map %zu bytes: %s", m->path, m->bytes, strerror(errno));
    m->at = at;
    return CORE_OK;
}

core_status core_map(core_mapped **out, const char *path, core_mapping kind,
                     size_t least)
{
    int fd = -1;
    core_mapped *m = calloc(1, sizeof *m + strlen(path) + 1);
    CORE_FAIL_IF(m == NULL, CORE_E_MEMORY, "no memory to open %s", path);
    strcpy(m->path, path);
    m->kind = kind;
    core_status status = core_open(&fd, path, kind == CORE_MAP_WRITE);
    if (status == CORE_OK) {
        status = map_bytes(m, fd, least);
        close(fd); /* the mapping keeps the file */
    }
    if (status != CORE_OK) {
        free(m);
        return status;
    }
    link_in(m);
    *out = m;
    return CORE_OK;
}

void core_unmap(core_mapped *file)
{
    if (file == NULL)
        return;
    link_out(file);
    munmap(file->at, file->bytes);
    free(file);
}

unsigned char *core_mapped_at(const core_mapped *file)
{
    return file->at;
}

size_t core_mapped_bytes(const core_mapped *file)
{
    return file->bytes;
}

static core_status check(const core_mapped *file)
{
    const struct stat *was = &file->stamp;
    struct stat is;
    CORE_FAIL_IF(stat(file->path, &is) != 0, CORE_E_FILE,
                 "%s: gone while it was read: %s", file->path, strerror(errno));
    CORE_FAIL_IF(is.st_dev != was->st_dev || is.st_ino != was->st_ino,
                 CORE_E_FILE, "%s: replaced while it was read", file->path);
    CORE_FAIL_IF(is.st_size != was->st_size, CORE_E_FILE,
                 "%s: changed while it was read, from %lld to %lld bytes",
                 file->path, (long long)was->st_size, (long long)is.st_size);
    CORE_FAIL_IF(is.st_mtim.tv_sec != was->st_mtim.tv_sec ||
                     is.st_mtim.tv_nsec != was->st_mtim.tv_nsec,
                 CORE_E_FILE, "%s: written to while it was read", file->path);
    return CORE_OK;
}

core_status core_mapped_check(void)
{
    core_status status = CORE_OK;
    pthread_mutex_lock(&lock);
    for (core_mapped *m = atomic_load(&first); m != NULL && status == CORE_OK;
         m = atomic_load(&m->next))
        status = m->kind == CORE_MAP_INPUT ? check(m) : CORE_OK;
    pthread_mutex_unlock(&lock);
    return status;
}
