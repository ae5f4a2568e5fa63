/* harness/program/startup.c -- see startup.h.
 *
 * Functions in .preinit_array of a program run before the constructors of its
 * libraries.  Traps: stdio and malloc may fail here, so lines are written by
 * write(2); UCX puts handlers of its own over ours, with pages of addresses,
 * unless it is told not to; a process forked to compute leaves by exit, too;
 * the sanitizers want the signals for themselves.
 */
#include "harness/program/startup.h"

#include "core/base/status.h"
#include "core/files/target.h"
#include "harness/launch/processes.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* Of OpenBLAS, for each of its threads, as its packages are built. */
static const size_t BUFFER_BYTES = (size_t)128 << 20;

static bool is_leaving;
static pid_t ours;

/* What this process has half written has a name that nobody will guess. */
static void drop_partials(void)
{
    if (getpid() == ours)
        core_target_drop_all();
}

static _Noreturn void end(core_status status, const char *line)
{
    drop_partials();
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        _exit(core_status_exit_code(CORE_E_INTERNAL));
    _exit(core_status_exit_code(status));
}

static void at_exit(int code, void *unused)
{
    (void)unused;
    if (code == 1 && !is_leaving && getpid() == ours)
        end(CORE_E_INTERNAL, "moeparity: a library ended the program, as "
                             "happens when memory runs out\n");
}

static void on_crash(int number)
{
    (void)number;
    end(CORE_E_INTERNAL,
        "moeparity: crashed, as happens in a library when memory runs out\n");
}

static long n_threads(void)
{
    static const char *const names[] = {"OPENBLAS_NUM_THREADS",
                                        "GOTO_NUM_THREADS", "OMP_NUM_THREADS"};
    for (int i = 0; i < 3; i++) {
        const char *text = getenv(names[i]);
        const long n = text != NULL ? strtol(text, NULL, 10) : 0;
        if (n > 0)
            return n;
    }
    return sysconf(_SC_NPROCESSORS_ONLN);
}

/* One mapping, which costs no memory: is there room for as many addresses? */
static void look_for_room(void)
{
    const size_t bytes = (size_t)n_threads() * BUFFER_BYTES;
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        end(CORE_E_MEMORY,
            "moeparity: not enough memory to start: OpenBLAS takes 128 MiB of "
            "addresses for each of its threads; raise the limit (ulimit -v) or "
            "set OPENBLAS_NUM_THREADS=1\n");
    munmap(room, bytes);
}

/* OpenBLAS starts its threads, one for each core, and its OpenMP exits where it
 * may not.                                                                   */
static void look_for_threads(void)
{
    if (!har_may_start((int)n_threads() - 1))
        end(CORE_E_MEMORY,
            "moeparity: not enough processes to start: OpenBLAS takes a thread "
            "for each core; raise the limit (ulimit -u) or set "
            "OPENBLAS_NUM_THREADS=1\n");
}

static void catch_crashes(void)
{
#if !defined(__SANITIZE_ADDRESS__)
    static const int ends[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        signal(ends[i], on_crash);
#else
    (void)on_crash;
#endif
}

static void on_interrupt(int number)
{
    drop_partials();
    signal(number, SIG_DFL);
    raise(number); /* ends the process when this returns */
}

/* Until the launcher, a rank or a guard has its own way with them. */
static void catch_interrupts(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (signal(ends[i], on_interrupt) == SIG_IGN)
            signal(ends[i], SIG_IGN); /* nohup, or in the background */
}

static void before_libraries(void)
{
    look_for_room();
    look_for_threads();
    ours = getpid();
    on_exit(at_exit, NULL);
    catch_crashes();
}

__attribute__((section(".preinit_array"), used)) static void (
    *const first)(void) = before_libraries;

void har_starting(void)
{
    catch_crashes();
    catch_interrupts();
}

void har_leaving(void)
{
    is_leaving = true;
}
