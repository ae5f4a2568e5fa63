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
#include "harness/launch/hosts.h"
#include "harness/launch/impl.h"
#include "harness/launch/processes.h"
#include "harness/words/colour.h"
#include "parallel/mailbox.h"
#include "parallel/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
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
    har_hosts *hosts; /* NULL: one                                        */
    pid_t mpiexec;
    uint64_t newcomer_ticks; /* see har__newcomers_move                   */
    bool ended;      /* mpiexec has                                       */
    int wait_status; /* then: of mpiexec                                  */
} watch;

/* More than one process knows of the others?  A shell in a step of Slurm, and
 * what that starts, has the variables of a rank, too, but is alone.          */
static bool has_others(const char *size)
{
    const char *text = getenv(size);
    return text == NULL || atoi(text) != 1;
}

bool har_is_rank(void)
{
    /* sbatch sets SLURM_PROCID in the batch script too, but without a step of
     * several tasks that script is no rank.                                  */
    const char *n_task = getenv("SLURM_STEP_NUM_TASKS");
    if (har_rank_folder() != NULL)
        return true;
    return (getenv("PMI_RANK") && has_others("PMI_SIZE")) ||
           (getenv("PMIX_RANK") && has_others("SLURM_STEP_NUM_TASKS")) ||
           (getenv("OMPI_COMM_WORLD_RANK") &&
            has_others("OMPI_COMM_WORLD_SIZE")) ||
           (getenv("SLURM_PROCID") && n_task && atoi(n_task) > 1);
}

const char *har_rank_folder(void)
{
    return getenv("MOEPARITY_RUN_FOLDER");
}

const int har__ending_signal[HAR__N_ENDING] = {SIGINT,  SIGTERM, SIGHUP,
                                               SIGUSR1, SIGUSR2, SIGXCPU,
                                               SIGPIPE};

/* --- while it runs --- */

static bool reap(watch *w)
{
    if (!w->ended &&
        waitpid(w->mpiexec, &w->wait_status, WNOHANG) == w->mpiexec)
        w->ended = true;
    return w->ended;
}

/* Only where nothing else has moved for a while: all processes are read. */
static void look_for_newcomers(watch *w)
{
    static const int64_t quiet_ns = 500000000;
    enum { MOST_TICKS = 100 }; /* who uses more does not come */
    if (par_board_n_come(w->board) < w->board->n_rank &&
        atomic_load(&w->board->quiet_ns) > quiet_ns &&
        har__newcomers_move(w->board, w->mpiexec, MOST_TICKS,
                            &w->newcomer_ticks))
        atomic_fetch_add(&w->board->n_coming, 1);
}

static bool is_over(watch *w, int nap)
{
    char line[PAR_BOARD_LINE];
    har_hosts_step(w->hosts);
    if (har__deaths_wait(w->deaths, nap) || reap(w) || signal_seen ||
        atomic_load(&w->board->aborted))
        return true;
    look_for_newcomers(w);
    if (har_hosts_left(w->hosts) >= 0)
        par_board_say_lost(w->board, har_hosts_left(w->hosts), line);
    else if (!par_board_check(w->board, line))
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
    /* mpiexec ends after a death that may have come since the last look, and
     * what rank 0 has left on another host is still on its way              */
    (void)har__deaths_wait(w->deaths, 0);
    if (w->ended)
        har_hosts_wait(w->hosts);
}

/* --- the end of it --- */

/* A run that ended by itself gets no signal: its ranks are gone already. */
static void end_everything(watch *w)
{
    const bool aborted = atomic_load(&w->board->aborted) != 0;
    if (aborted)
        har_hosts_tell(w->hosts);
    atomic_store(&w->board->is_told, 1);
    for (int k = 0; k < 10 && aborted && !reap(w); k++)
        par_nap_ms(50); /* MPI_Abort is under way: mpiexec cleans up itself */
    for (int k = 0; k < 100 && par_board_kill(w->board, SIGKILL) > 0; k++)
        par_nap_ms(20);
    for (int k = 0; k < 250 && !reap(w); k++) {
        if (k == 0 || k == 50)
            kill(w->mpiexec, k ? SIGKILL : SIGTERM);
        par_nap_ms(20);
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

static void show_report(const har_run *run)
{
    char path[HAR_PATH], *line = NULL;
    size_t room = 0;
    har__path(path, run, "report");
    FILE *from = fopen(path, "r");
    while (from && getline(&line, &room, from) > 0)
        har_verdict_line(stdout, line);
    if (from)
        fclose(from);
    free(line);
    fflush(stdout);
}

/* Not all ranks have come, and the run is over: who knows why? */
static core_status say_who_came(const watch *w, const char *line)
{
    static const int wants[] = {EMFILE, ENFILE, EAGAIN, ENOMEM};
    char why[HAR_PATH];
    har__complaint(why, w->run);
    fprintf(stderr, "moeparity: %s%s%s\n", line, why[0] ? ": " : "", why);
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++)
        if (strstr(why, strerror(wants[i])) != NULL)
            return CORE_E_MEMORY;
    return CORE_E_PEER;
}

/* Not all ranks have agreed to stop, but mpiexec has ended. */
static core_status say_mpiexec_ended(const watch *w)
{
    const int n = par_board_n_come(w->board);
    if (n == 0)
        return say_who_came(w, "mpiexec started no rank");
    if (n < w->board->n_rank) {
        char line[80];
        snprintf(line, sizeof line, "mpiexec started %d of %d ranks", n,
                 w->board->n_rank);
        return say_who_came(w, line);
    }
    fprintf(stderr, "moeparity: mpiexec ended before its ranks had\n");
    har__copy_log(w->run, stderr);
    return CORE_E_PEER;
}

static core_status say_aborted(const watch *w)
{
    const core_status status = (core_status)atomic_load(&w->board->aborted);
    if (status == CORE_E_PEER && par_board_n_come(w->board) < w->board->n_rank)
        return say_who_came(w, w->board->line);
    fprintf(stderr, "moeparity: %s\n", w->board->line);
    if (status == CORE_E_PEER)
        har__copy_log(w->run, stderr);
    return status;
}

/* Ranks that did not come, because nobody told them that they are ranks. */
static bool say_other_mpi(const watch *w)
{
    char version[HAR_PATH], ours[PAR_LIBRARY_TEXT];
    if (par_board_n_come(w->board) == w->board->n_rank ||
        !har__mpiexec_is_other(version, w->run))
        return false;
    fprintf(stderr,
            "moeparity: mpiexec is another MPI's: expected that of %s, found "
            "'%s' (MOEPARITY_MPIEXEC=PROGRAM takes another)\n",
            par_library(ours), version);
    return true;
}

static int settle(const watch *w)
{
    const int aborted = atomic_load(&w->board->aborted);
    if (signal_seen) {
        fprintf(stderr, "moeparity: interrupted by signal %d\n",
                (int)signal_seen);
        return 128 + signal_seen;
    }
    if (say_other_mpi(w))
        return core_status_exit_code(CORE_E_PROGRAM);
    copy_file(w->run, "errors", stderr);
    if (aborted)
        return core_status_exit_code(say_aborted(w));
    if (!par_board_all_finished(w->board) || !WIFEXITED(w->wait_status))
        return core_status_exit_code(say_mpiexec_ended(w));
    show_report(w->run);
    return WEXITSTATUS(w->wait_status);
}

/* --- all of it --- */

static void catch_signals(struct sigaction old[HAR__N_ENDING])
{
    const struct sigaction caught = {.sa_handler = on_signal};
    signal_seen = 0;
    for (int i = 0; i < HAR__N_ENDING; i++) {
        sigaction(har__ending_signal[i], &caught, &old[i]);
        const int number = har__ending_signal[i]; /* nohup, and its like */
        if ((number == SIGHUP || number == SIGPIPE) &&
            old[i].sa_handler == SIG_IGN)
            sigaction(number, &old[i], NULL);
    }
}

static void give_signals_back(struct sigaction old[HAR__N_ENDING])
{
    for (int i = 0; i < HAR__N_ENDING; i++)
        sigaction(har__ending_signal[i], &old[i], NULL);
}

/* What ranks say from now on is our doing. */
static void claim_death(const watch *w)
{
    char line[PAR_BOARD_LINE];
    const int dead = har__deaths_first(w->deaths);
    if (dead < 0)
        return;
    har_hosts_listen(w->hosts); /* mpiexec may have killed it for another */
    par_board_say_died(w->board, dead, line);
    (void)par_board_claim(w->board, CORE_E_PEER, line);
}

/* mpiexec, Hydra's process and the ranks: where these may not be started,
 * Hydra 4.0.2 tries for ever.                                                */
static core_status check_processes(const har_launch_options *options)
{
    CORE_FAIL_IF(har__one_host() && !har_may_start(2 + options->n_rank),
                 CORE_E_MEMORY,
                 "not enough processes for mpiexec and %d ranks: raise the "
                 "limit (ulimit -u)",
                 options->n_rank);
    return CORE_OK;
}

core_status har_launch(const har_run *run, const har_launch_options *options,
                       char *const argv[], int *exit_code)
{
    char path[HAR_PATH], mail[HAR_PATH];
    watch w = {.run = run, .options = options};
    CORE_TRY(check_processes(options));
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
    w.board->has_others = !w.board->is_one_host;
    har__path(mail, run, "board-mail");
    core_status status = w.board->is_one_host
                             ? par_mailboxes_create(mail, options->n_rank)
                             : har_hosts_open(&w.hosts, w.board, run->folder);
    struct sigaction old[HAR__N_ENDING];
    catch_signals(old);
    if (status == CORE_OK)
        status = har__deaths_open(&w.deaths, w.board);
    if (status == CORE_OK)
        status = har__start_mpiexec(
            &w.mpiexec, run, options->n_rank,
            w.hosts != NULL ? har_hosts_address(w.hosts) : "", argv);
    if (status == CORE_OK) {
        watch_run(&w);
        claim_death(&w);
        har__deaths_close(w.deaths); /* mpiexec may now see its ranks end */
        w.deaths = NULL;
        end_everything(&w);
        *exit_code = settle(&w);
    }
    give_signals_back(old);
    har_hosts_close(w.hosts);
    har__deaths_close(w.deaths);
    par_board_unmap(w.board);
    unlink(path);
    unlink(mail);
    return status;
}
