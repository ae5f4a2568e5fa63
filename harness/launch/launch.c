/* harness/launch/launch.c -- a run from the outside.
 *
 * The launcher polls the board.  The run is over when mpiexec has ended, a rank
 * died, somebody claimed the board with a line, or a signal came.  Then
 * everything that still lives is killed: SIGKILL works on stopped processes
 * too, and every rank's process id is on the board.  Ranks of other hosts are
 * mpiexec's to end.
 *
 * Nobody survives the launcher: mpiexec gets SIGTERM when it dies, and the
 * ranks SIGKILL when mpiexec's proxy dies.
 */
#include "harness/launch/impl.h"
#include "parallel/mailbox.h"
#include "parallel/process.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signal_seen;

static void on_signal(int number)
{
    signal_seen = number;
}

typedef struct watch {
    const har_run *run;
    const har_launch_options *options;
    par_board *board;
    har__deaths *deaths;
    int first_dead; /* rank; -1: none                                    */
    pid_t mpiexec;
    bool ended;      /* mpiexec has                                       */
    int wait_status; /* then: of mpiexec                                  */
} watch;

bool har_is_rank(void)
{
    /* sbatch sets SLURM_PROCID in the batch script too, but without a step of
     * several tasks that script is no rank.                                  */
    const char *n_task = getenv("SLURM_STEP_NUM_TASKS");
    return getenv("PMI_RANK") || getenv("PMIX_RANK") ||
           getenv("OMPI_COMM_WORLD_RANK") ||
           (getenv("SLURM_PROCID") && n_task && atoi(n_task) > 1);
}

const char *har_rank_folder(void)
{
    return getenv("MOEPARITY_RUN_FOLDER");
}

static void nap_ms(int ms)
{
    const struct timespec t = {.tv_sec = ms / 1000,
                               .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* --- while it runs --- */

static bool reap(watch *w)
{
    if (!w->ended &&
        waitpid(w->mpiexec, &w->wait_status, WNOHANG) == w->mpiexec)
        w->ended = true;
    return w->ended;
}

static bool is_over(watch *w, int nap)
{
    char line[PAR_BOARD_LINE];
    if (har__deaths_wait(w->deaths, nap) || reap(w) || signal_seen ||
        atomic_load(&w->board->aborted))
        return true;
    if (!par_board_check(w->board, line))
        return false;
    par_board_claim(w->board, CORE_E_PEER, line);
    return true;
}

static void watch_run(watch *w)
{
    const int64_t start = par_now_ns();
    double seconds = 0;
    har_waiting waiting = har_waiting_begin();
    while (!is_over(w, seconds < 1 ? 5 : 100)) {
        seconds = (double)(par_now_ns() - start) * 1e-9;
        har__say_progress(&waiting, w->board, w->options, seconds);
    }
    har_waiting_end(&waiting);
    /* mpiexec ends after a death that may have come since the last look */
    (void)har__deaths_wait(w->deaths, 0);
}

/* --- the end of it --- */

/* A run that ended by itself gets no signal: its ranks are gone already. */
static void end_everything(watch *w)
{
    const bool aborted = atomic_load(&w->board->aborted) != 0;
    for (int k = 0; k < 10 && aborted && !reap(w); k++)
        nap_ms(50); /* MPI_Abort is under way: mpiexec cleans up itself */
    for (int k = 0; k < 100 && par_board_kill(w->board, SIGKILL) > 0; k++)
        nap_ms(20);
    for (int k = 0; k < 250 && !reap(w); k++) {
        if (k == 0 || k == 50)
            kill(w->mpiexec, k ? SIGKILL : SIGTERM);
        nap_ms(20);
    }
}

static void copy_file(const har_run *run, const char *name, FILE *to)
{
    char path[HAR_PATH], block[8192];
    har__path(path, run, name);
    FILE *from = fopen(path, "r");
    size_t n;
    while (from && (n = fread(block, 1, sizeof block, from)) > 0)
        fwrite(block, 1, n, to);
    if (from)
        fclose(from);
    fflush(to);
}

static bool all_finished(const par_board *board)
{
    for (int i = 0; i < board->n_rank; i++)
        if (atomic_load(&board->rank[i].state) != PAR_RANK_FINISHED)
            return false;
    return true;
}

static bool nobody_came(const par_board *board)
{
    for (int i = 0; i < board->n_rank; i++)
        if (atomic_load(&board->rank[i].pid) > 0)
            return false;
    return true;
}

/* Not all ranks have agreed to stop, but the run is over: why? */
static void say_who_died(const watch *w)
{
    char line[PAR_BOARD_LINE];
    if (w->first_dead >= 0)
        par_board_say_died(w->board, w->first_dead, line);
    else if (nobody_came(w->board))
        snprintf(line, sizeof line, "mpiexec started no rank");
    else
        snprintf(line, sizeof line, "mpiexec ended before its ranks had");
    fprintf(stderr, "moeparity: %s\n", line);
    har__copy_log(w->run, stderr);
}

static int settle(const watch *w)
{
    const int aborted = atomic_load(&w->board->aborted);
    if (signal_seen) {
        fprintf(stderr, "moeparity: interrupted by signal %d\n",
                (int)signal_seen);
        return 128 + signal_seen;
    }
    copy_file(w->run, "errors", stderr);
    if (aborted) {
        fprintf(stderr, "moeparity: %s\n", w->board->line);
        return core_status_exit_code((core_status)aborted);
    }
    if (!all_finished(w->board) || !WIFEXITED(w->wait_status)) {
        say_who_died(w);
        return 5;
    }
    copy_file(w->run, "report", stdout);
    return WEXITSTATUS(w->wait_status);
}

core_status har_launch(const har_run *run, const har_launch_options *options,
                       char *const argv[], int *exit_code)
{
    char path[HAR_PATH], mail[HAR_PATH];
    watch w = {.run = run, .options = options};
    har__path(path, run, "report"); /* a folder may serve one run after the */
    unlink(path);                   /* other: nothing old must be taken     */
    har__path(path, run, "errors"); /* for this run's                       */
    unlink(path);
    har__path(path, run, "log");
    unlink(path);
    har__path(path, run, "board");
    CORE_TRY(par_board_create(&w.board, path, options->n_rank,
                              options->stall_seconds, true));
    w.board->is_one_host = har__one_host();
    har__path(mail, run, "board-mail");
    core_status status = w.board->is_one_host
                             ? par_mailboxes_create(mail, options->n_rank)
                             : CORE_OK;
    const struct sigaction caught = {.sa_handler = on_signal};
    struct sigaction old_int, old_term;
    signal_seen = 0;
    sigaction(SIGINT, &caught, &old_int);
    sigaction(SIGTERM, &caught, &old_term);
    if (status == CORE_OK)
        status = har__deaths_open(&w.deaths, w.board);
    if (status == CORE_OK)
        status = har__start_mpiexec(&w.mpiexec, run, options->n_rank, argv);
    if (status == CORE_OK) {
        watch_run(&w);
        w.first_dead = har__deaths_first(w.deaths);
        if (w.first_dead >= 0) /* what ranks say from now on is our doing */
            (void)par_board_claim(w.board, CORE_OK, "");
        har__deaths_close(w.deaths); /* mpiexec may now see its ranks end */
        w.deaths = NULL;
        end_everything(&w);
        *exit_code = settle(&w);
    }
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    har__deaths_close(w.deaths);
    par_board_unmap(w.board);
    unlink(path);
    unlink(mail);
    return status;
}
