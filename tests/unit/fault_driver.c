/* tests/unit/fault_driver.c -- a small run in which rank 2 does something bad.
 *
 *     fault_driver FAULT TOKEN [N_RANK]
 *
 * starts itself as ranks through har_launch and ends with the run's exit code;
 * TOKEN marks its processes for test_comm_faults.sh.  The ranks add numbers
 * over pairs ("pair") and over the world; in tick 3 rank 2 commits FAULT.
 */
#include "core/files/mapped.h"
#include "harness/launch/launch.h"
#include "parallel/comm.h"
#include "parallel/process.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FAULTY = 2, TICK = 3, N_TICK = 6, CANNOT = 9 };

/* Uses the processor for so long, and publishes nothing. */
static void compute(double seconds)
{
    const clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    while (clock() < end) /* asking is work enough */
        ;
}

static _Noreturn void *hold_stdout(void *held)
{
    flockfile(stdout);
    atomic_store((_Atomic int *)held, 1);
    for (;;)
        pause();
}

/* A mapped file is cut while another thread is in the middle of printing: who
 * ends the run from the signal's handler must not wait for that one.         */
static void touch_cut_file(void)
{
    char path[300];
    core_mapped *file = NULL;
    pthread_t printer;
    _Atomic int held = 0;
    snprintf(path, sizeof path, "%s/cut", har_rank_folder());
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, 1 << 16) != 0 ||
        core_map(&file, path, CORE_MAP_OURS, 1) != CORE_OK ||
        pthread_create(&printer, NULL, hold_stdout, &held) != 0)
        exit(CANNOT);
    while (atomic_load(&held) == 0)
        par_nap_ms(1);
    if (ftruncate(fd, 0) != 0 ||
        ((volatile unsigned char *)core_mapped_at(file))[1 << 15] == 0)
        exit(CANNOT); /* it should have been there no more */
}

static void commit(par_comm *comm, const par_group *pair, const char *fault)
{
    double x = 1;
    const int64_t count[2] = {8, 8};
    if (strcmp(fault, "kill") == 0)
        kill(getpid(), SIGKILL);
    else if (strcmp(fault, "stop") == 0)
        kill(getpid(), SIGSTOP);
    else if (strcmp(fault, "exit") == 0)
        exit(0);
    else if (strcmp(fault, "crash") == 0)
        core_assert(x <= 0);
    else if (strcmp(fault, "abort") == 0)
        par_abort(comm, CORE_E_EXACT, "rank 2 needs 54 bits");
    else if (strcmp(fault, "cut") == 0)
        touch_cut_file();
    else if (strcmp(fault, "slow") == 0)
        compute(4);
    else if (strcmp(fault, "sleep") == 0)
        sleep(60);
    else if (strcmp(fault, "mismatch") == 0) {
        double y[2] = {1, 1};
        par_all_gather(comm, pair, &x, y, count);
    } else if (strcmp(fault, "crossed") == 0) /* the others: pair, then world */
        par_all_reduce(comm, &comm->world, &x, 1, PAR_SUM, CORE_FP64);
}

static core_status run_ranks(par_comm *comm, const char *fault)
{
    const int me = comm->rank, even = me - me % 2;
    const int member[2] = {even, even + 1};
    const par_group pair = {.name = "pair",
                            .id = 1 + even / 2,
                            .n = 2,
                            .me = me % 2,
                            .rank = member};
    for (int tick = 0; tick < N_TICK; tick++) {
        char what[32];
        snprintf(what, sizeof what, "layers.%d.attn_out", tick);
        par_at(comm, what, tick);
        if (me == FAULTY && tick == TICK)
            commit(comm, &pair, fault);
        double x = 1;
        par_all_reduce(comm, &pair, &x, 1, PAR_SUM, CORE_FP64);
        par_all_reduce(comm, &comm->world, &x, 1, PAR_SUM, CORE_FP64);
        if (!(x <= 2.0 * comm->size && x >= 2.0 * comm->size))
            par_abort(comm, CORE_E_INTERNAL, "sum %g", x);
    }
    core_status status = CORE_OK;
    if (strcmp(fault, "fail") == 0 && me >= FAULTY)
        status = core_fail(CORE_E_FILE, "no such file");
    if (strcmp(fault, "differs") == 0)
        status = core_fail(CORE_E_DIFFERS, "not the same");
    return par_agree(comm, status);
}

static void write_file(const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", har_rank_folder(), name);
    FILE *f = fopen(path, "w");
    if (f) {
        fprintf(f, "%s\n", text);
        fclose(f);
    }
}

static int rank_main(const char *fault)
{
    char board[300];
    snprintf(board, sizeof board, "%s/board", har_rank_folder());
    const par_comm_options options = {.board_path = board};
    par_comm *comm = NULL;
    core_status status = par_comm_start(&options);
    if (status == CORE_OK)
        status = par_comm_open(&comm, par_comm_n_started());
    if (status != CORE_OK) {
        fprintf(stderr, "%s\n", core_message());
        return core_status_exit_code(status);
    }
    status = run_ranks(comm, fault);
    if (comm->rank == 0 && status == CORE_OK)
        write_file("report", "all well");
    else if (comm->rank == 0)
        write_file("errors", core_message());
    par_comm_close(comm);
    par_comm_stop();
    return core_status_exit_code(status);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    if (har_is_rank())
        return rank_main(argv[1]);
    har_run run;
    const har_launch_options options = {.n_rank = argc > 3 ? atoi(argv[3]) : 4,
                                        .stall_seconds = 2,
                                        .what = "faults"};
    int exit_code = 5;
    core_status status = har_run_open(&run, 1 << 20);
    if (status == CORE_OK) {
        status = har_launch(&run, &options, argv, &exit_code);
        har_run_close(&run);
    }
    if (status == CORE_OK)
        return exit_code;
    fprintf(stderr, "%s\n", core_message());
    return core_status_exit_code(status);
}
