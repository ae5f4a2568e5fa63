/* test_har_launch.c -- whose process is it?
 *
 * A board with one rank, a child that waits for its end.  What is on the board
 * is then changed to what a rank of another host, or one whose number has gone
 * to another process, would have left there.
 */
#include "harness/launch/impl.h"
#include "harness/launch/processes.h"
#include "parallel/board.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct fixture {
    char folder[32], path[48];
    par_board *board;
    par_board_rank *rank;
    pid_t child;
} fixture;

static fixture f;
static const int64_t SECOND = 1000000000;

static void nap(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    nanosleep(&ms, NULL);
}

static void set_up(void)
{
    strcpy(f.folder, "/tmp/launch-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f.folder));
    snprintf(f.path, sizeof f.path, "%s/board", f.folder);
    ck_assert_int_eq(par_board_create(&f.board, f.path, 1, 30, false), CORE_OK);
    f.rank = &f.board->rank[0];
    f.child = fork();
    if (f.child == 0) {
        par_board_join(f.rank, PAR_RANK_COMPUTING);
        for (;;)
            pause();
    }
    ck_assert_int_gt(f.child, 0);
    while (atomic_load(&f.rank->pid) == 0)
        nap();
}

static void tear_down(void)
{
    kill(f.child, SIGKILL);
    waitpid(f.child, NULL, 0);
    par_board_unmap(f.board);
    unlink(f.path);
    rmdir(f.folder);
}

/* Ended; collected, so that its number is nobody's, or not.  A zombie can be
 * waited for without collecting it.                                          */
static void end_child(bool collect)
{
    siginfo_t info;
    kill(f.child, SIGKILL);
    ck_assert_int_eq(
        waitid(P_PID, (id_t)f.child, &info, WEXITED | (collect ? 0 : WNOWAIT)),
        0);
}

/* Whose watch has just said so. */
static void move_to_another_host(void)
{
    atomic_fetch_add(&f.rank->host, 1);
    atomic_store(&f.rank->heard_ns, par_now_ns());
    strcpy(f.rank->where, "elsewhere");
}

static void give_number_to_another(void)
{
    atomic_fetch_add(&f.rank->start_ticks, 1);
}

static bool is_said_dead(void)
{
    char line[PAR_BOARD_LINE], expected[64];
    f.board->looked_ns = 0; /* the last look was long ago */
    if (!par_board_check(f.board, line))
        return false;
    snprintf(expected, sizeof expected, "rank 0 (pid %d) died; ", (int)f.child);
    ck_assert_msg(strncmp(line, expected, strlen(expected)) == 0, "%s", line);
    return true;
}

/* The launcher comes to know the rank only now. */
static bool is_seen_dead(void)
{
    har__deaths *deaths;
    ck_assert_int_eq(har__deaths_open(&deaths, f.board), CORE_OK);
    const bool dead = har__deaths_wait(deaths, 0);
    ck_assert_int_eq(har__deaths_first(deaths), dead ? 0 : -1);
    har__deaths_close(deaths);
    return dead;
}

START_TEST(a_rank_that_runs_here_is_killed)
{
    ck_assert(!is_said_dead() && !is_seen_dead());
    ck_assert_int_eq(par_board_kill(f.board, SIGKILL), 1);
    int status;
    ck_assert_int_eq(waitpid(f.child, &status, 0), f.child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
END_TEST

START_TEST(a_rank_that_ended_here_is_dead)
{
    end_child(_i != 0);
    ck_assert(is_said_dead() && is_seen_dead());
    ck_assert_int_eq(par_board_kill(f.board, SIGKILL), 0);
}
END_TEST

START_TEST(the_death_of_a_watched_rank_is_seen)
{
    har__deaths *deaths;
    ck_assert_int_eq(har__deaths_open(&deaths, f.board), CORE_OK);
    ck_assert(!har__deaths_wait(deaths, 0));
    kill(f.child, SIGKILL);
    while (!har__deaths_wait(deaths, 10)) {
    }
    ck_assert_int_eq(har__deaths_first(deaths), 0);
    har__deaths_close(deaths);
}
END_TEST

static void (*const CHANGE[])(void) = {move_to_another_host,
                                       give_number_to_another};

START_TEST(the_number_of_another_process_is_not_used)
{
    CHANGE[_i]();
    ck_assert(!is_said_dead() && !is_seen_dead());
    ck_assert_int_eq(par_board_kill(f.board, SIGKILL), 0);
    ck_assert_int_eq(kill(f.child, 0), 0);
    end_child(false); /* that of the process with the number says nothing */
    ck_assert(!is_said_dead() && !is_seen_dead());
}
END_TEST

START_TEST(a_rank_elsewhere_whose_number_nobody_has_here_is_not_dead)
{
    end_child(true);
    move_to_another_host();
    ck_assert(!is_said_dead() && !is_seen_dead());
}
END_TEST

/* Nothing has moved for a minute: what does the second look say?  The first
 * notes the processor time, the second finds that it is the same.            */
static bool is_said_stalled(char line[PAR_BOARD_LINE])
{
    bool is_stalled = false;
    for (int look = 0; look < 2; look++) {
        f.board->looked_ns = 0;
        f.board->quiet_ns = 60 * SECOND;
        is_stalled = par_board_check(f.board, line);
    }
    return is_stalled;
}

static void expect_stall(const char *part)
{
    char line[PAR_BOARD_LINE] = "";
    ck_assert(is_said_stalled(line));
    ck_assert_msg(strstr(line, part) != NULL, "%s", line);
}

START_TEST(a_rank_here_that_does_nothing_is_named)
{
    expect_stall("rank 0 (pid ");
    expect_stall("uses no processor time");
}
END_TEST

/* It may be the one that the others wait for, and on its way. */
START_TEST(time_without_a_processor_does_not_count)
{
    char line[PAR_BOARD_LINE];
    ck_assert(is_said_stalled(line));
    atomic_store(&f.rank->kept_ns, 31 * SECOND);
    ck_assert(!is_said_stalled(line));
    atomic_store(&f.rank->kept_ns, 29 * SECOND);
    ck_assert(is_said_stalled(line));
}
END_TEST

START_TEST(what_moves_ends_the_time_without_a_processor)
{
    char line[PAR_BOARD_LINE];
    atomic_store(&f.rank->kept_ns, 31 * SECOND);
    atomic_fetch_add(&f.rank->progress, 1);
    f.board->looked_ns = 0;
    ck_assert(!par_board_check(f.board, line));
    expect_stall("uses no processor time");
}
END_TEST

/* Who looks may have been kept from it, with all that it looks at. */
START_TEST(a_look_after_a_long_time_counts_for_half_a_second)
{
    char line[PAR_BOARD_LINE];
    ck_assert(is_said_stalled(line));
    for (int look = 0; look < 2; look++) {
        f.board->looked_ns = 0;
        f.board->quiet_ns = 29 * SECOND;
        ck_assert(!par_board_check(f.board, line));
    }
}
END_TEST

/* For how much of the time between two looks a rank was kept from running. */
static int64_t kept(par_process before, par_process after, int64_t passed_ns)
{
    par_board_saw(f.rank, &before, SECOND);
    atomic_store(&f.rank->kept_ns, 0);
    par_board_saw(f.rank, &after, SECOND + passed_ns);
    return atomic_load(&f.rank->kept_ns);
}

START_TEST(ready_is_who_has_not_run_between_two_looks)
{
    const par_process ready = {.state = 'R', .cpu_ticks = 7, .run_ns = 100};
    const par_process asleep = {.state = 'S', .cpu_ticks = 7, .run_ns = 100};
    const par_process ran = {.state = 'R', .cpu_ticks = 7, .run_ns = 101};
    const par_process thread = {.state = 'R', .cpu_ticks = 8, .run_ns = 100};
    ck_assert_int_eq(kept(ready, ready, 6), 6);
    ck_assert_int_eq(kept(ready, ready, 9 * SECOND), SECOND / 2);
    ck_assert_int_eq(kept(asleep, ready, 6), 0); /* since when? */
    ck_assert_int_eq(kept(asleep, asleep, 6), 0);
    ck_assert_int_eq(kept(ready, ran, 6), 0);
    ck_assert_int_eq(kept(ready, thread, 6), 0);
}
END_TEST

START_TEST(who_has_run_may_have_waited_before)
{
    const par_process before = {.state = 'S', .run_ns = 100, .wait_ns = 50};
    par_process after = {.state = 'S', .run_ns = 101, .wait_ns = 50};
    ck_assert_int_eq(kept(before, after, 8), 0);
    after.wait_ns = 52;
    ck_assert_int_eq(kept(before, after, 8), 2);
    after.wait_ns = 50 + 2 * (uint64_t)SECOND; /* of two threads */
    ck_assert_int_eq(kept(before, after, 8), 8);
    ck_assert_int_eq(kept(before, after, 4 * SECOND), SECOND / 4);
}
END_TEST

START_TEST(who_was_stopped_and_has_run_was_kept)
{
    const par_process runs = {.state = 'S', .run_ns = 100};
    const par_process held = {.state = 'T', .run_ns = 100};
    const par_process again = {.state = 'T', .run_ns = 101};
    const par_process gone_on = {.state = 'S', .run_ns = 101};
    ck_assert_int_eq(kept(held, again, 6), 6);
    ck_assert_int_eq(kept(runs, again, 6), 6);
    ck_assert_int_eq(kept(held, gone_on, 6), 6);
    ck_assert_int_eq(kept(held, held, 6), 0);
}
END_TEST

static void see(char state, uint64_t run_ns)
{
    const par_process process = {.state = state, .run_ns = run_ns};
    par_board_saw(f.rank, &process, SECOND);
}

START_TEST(held_is_who_has_not_run_between_two_looks)
{
    see('T', 100);
    ck_assert(!par_board_is_held(f.rank));
    see('T', 101); /* went on, and was stopped again */
    ck_assert(!par_board_is_held(f.rank));
    see('T', 101);
    ck_assert(par_board_is_held(f.rank));
    see('S', 101);
    ck_assert(!par_board_is_held(f.rank));
}
END_TEST

static void *spin(void *unused)
{
    for (;;)
        atomic_load(&f.rank->pid);
    return unused;
}

/* Until a process is in that state, as the kernel sees it. */
static void await(pid_t pid, char state)
{
    par_process process = {0};
    while (par_process_read(&process, (int)pid) && process.state != state)
        nap();
}

START_TEST(a_process_that_is_stopped_is_named)
{
    char line[PAR_BOARD_LINE];
    kill(f.child, SIGSTOP);
    await(f.child, 'T');
    (void)is_said_stalled(line); /* the first look at it */
    expect_stall("is stopped");
    const uint64_t before = atomic_load(&f.rank->run_ns);
    kill(f.child, SIGCONT);
    await(f.child, 'S');
    kill(f.child, SIGSTOP);
    await(f.child, 'T');
    par_board_look(f.board);
    ck_assert(atomic_load(&f.rank->run_ns) > before || before == 0);
}
END_TEST

/* Waits for its thread, which computes for ever. */
static pid_t start_busy_thread(void)
{
    const pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, spin, NULL) == 0)
            pthread_join(thread, NULL);
        _exit(0);
    }
    return child;
}

/* Most of the time a thread that computes for ever is seen to. */
START_TEST(a_rank_whose_thread_is_ready_is_ready)
{
    par_process first = {0}, all = {0};
    const pid_t child = start_busy_thread();
    do {
        ck_assert(par_process_read(&first, (int)child));
        all = first;
        par_process_read_threads(&all, (int)child);
    } while (first.n_thread < 2 || first.state != 'S' || all.state != 'R');
    const uint64_t before = all.run_ns;
    while (before > 0 && all.run_ns == before)
        par_process_read_threads(&all, (int)child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
END_TEST

/* Its watch says what it does; a copy that comes with more time moves. */
START_TEST(a_rank_elsewhere_is_judged_by_what_its_watch_says)
{
    char line[PAR_BOARD_LINE];
    par_board_copy copy[1];
    move_to_another_host();
    f.board->has_others = true;
    atomic_store(&f.rank->letter, 'R');
    expect_stall("on elsewhere) uses no processor time");
    ck_assert_int_eq(par_board_copies(f.board, 0, copy), 0);
    ck_assert_int_eq(par_board_copies(f.board, f.rank->host, copy), 0);
    ck_assert_int_eq(par_board_copies(f.board, f.board->host, copy), 1);
    atomic_fetch_add(&copy[0].record.cpu_ticks, 1);
    f.board->looked_ns = 0;
    f.board->quiet_ns = 60 * SECOND;
    par_board_take(f.board, copy, 1);
    ck_assert(!par_board_check(f.board, line));
    atomic_store(&f.rank->letter, 'T');
    atomic_store(&f.rank->has_run, 1); /* it has gone on since */
    atomic_fetch_add(&f.rank->cpu_ticks, 1);
    f.board->looked_ns = 0;
    f.board->quiet_ns = 60 * SECOND;
    ck_assert(!par_board_check(f.board, line));
    atomic_store(&f.rank->has_run, 0);
    expect_stall("on elsewhere) is stopped");
    atomic_fetch_add(&f.rank->cpu_ticks,
                     1); /* no excuse while one is stopped */
    f.board->looked_ns = 0;
    f.board->quiet_ns = 60 * SECOND;
    ck_assert(par_board_check(f.board, line));
}
END_TEST

/* Who waits and uses the processor all the time does not move. */
START_TEST(a_rank_that_spins_is_found)
{
    char line[PAR_BOARD_LINE];
    move_to_another_host();
    atomic_store(&f.rank->letter, 'R');
    atomic_store(&f.rank->has_run, 1);
    for (int waits = 0; waits < 2; waits++) {
        if (waits)
            atomic_store(&f.rank->state, PAR_RANK_WAITING);
        ck_assert_int_eq(is_said_stalled(line), 1);
        atomic_fetch_add(&f.rank->cpu_ticks, 1);
        f.board->looked_ns = 0;
        f.board->quiet_ns = 60 * SECOND;
        ck_assert_int_eq(par_board_check(f.board, line), waits);
    }
}
END_TEST

START_TEST(a_host_that_is_not_heard_of_is_named)
{
    move_to_another_host();
    atomic_store(&f.rank->heard_ns, par_now_ns() - 31 * SECOND);
    f.board->looked_ns = 0;
    char line[PAR_BOARD_LINE];
    ck_assert(par_board_check(f.board, line));
    ck_assert_str_eq(line, "host elsewhere is not to be heard: ranks 0");
}
END_TEST

START_TEST(a_rank_that_never_came_is_named)
{
    f.board->rank[0] = (par_board_rank){0};
    expect_stall("1 of 1 ranks did not come within 30 s: 0");
}
END_TEST

/* It is still on its way as long as the launcher sees it use the processor. */
START_TEST(a_rank_on_its_way_moves)
{
    char line[PAR_BOARD_LINE];
    f.board->rank[0] = (par_board_rank){0};
    expect_stall("1 of 1 ranks did not come within 30 s: 0");
    atomic_store(&f.board->n_coming, 1);
    f.board->looked_ns = 0;
    ck_assert(!par_board_check(f.board, line));
    expect_stall("1 of 1 ranks did not come within 30 s: 0");
}
END_TEST

/* A process that computes for ever; both have used the processor for a while.
 */
static pid_t start_busy(void)
{
    par_process me = {0}, busy = {0};
    const pid_t child = fork();
    while (child == 0) {
    }
    while ((me.cpu_ticks < 4 || busy.cpu_ticks < 4) &&
           par_process_read(&me, (int)getpid()) &&
           par_process_read(&busy, (int)child)) {
    }
    return child;
}

static bool moves(pid_t top, uint64_t most, uint64_t ticks)
{
    return har__newcomers_move(f.board, top, most, &ticks);
}

/* Below this process, whose own time counts too. */
START_TEST(who_has_not_come_is_seen_to_compute)
{
    uint64_t ticks = 3;
    const pid_t busy = start_busy();
    const bool uses = har__newcomers_move(f.board, getpid(), 3, &ticks);
    const bool uses_more = moves(getpid(), 3, ticks);
    const bool is_ready = har__newcomers_move(f.board, busy, 100000, &ticks) &&
                          moves(busy, 100000, ticks);
    atomic_store(&f.rank->pid, (int)busy);
    const bool has_come = moves(busy, 100000, 0);
    kill(busy, SIGKILL);
    waitpid(busy, NULL, 0);
    atomic_store(&f.rank->pid, (int)f.child);
    ck_assert(uses && !uses_more && is_ready && !has_come);
}
END_TEST

/* A copy never replaces what a rank here says of itself. */
START_TEST(a_copy_of_a_rank_here_is_not_taken)
{
    par_board_copy copy[1];
    ck_assert_int_eq(par_board_copies(f.board, 0, copy), 1);
    atomic_store(&copy[0].record.state, PAR_RANK_FINISHED);
    par_board_take(f.board, copy, 1);
    ck_assert(!par_board_home_finished(f.board));
    copy[0].rank = 1; /* nor is one of a rank that there is not */
    atomic_fetch_add(&copy[0].record.host, 1);
    par_board_take(f.board, copy, 1);
    copy[0].rank = 0;
    f.board->host++; /* now it is elsewhere */
    atomic_fetch_add(&copy[0].record.host, 1);
    par_board_take(f.board, copy, 1);
    ck_assert(par_board_all_finished(f.board));
}
END_TEST

enum { NO, YES, NOT_RUN };

/* May a process start n more under that limit?  Nobody limits root: as somebody
 * who has no other process.                                                  */
static int may_start(rlim_t limit, int n)
{
    const struct rlimit processes = {limit, limit};
    int code = 0;
    const pid_t child = fork();
    if (child == 0) {
        if (setuid((uid_t)(60000 + getpid() % 5000)) != 0)
            _exit(NOT_RUN);
        setrlimit(RLIMIT_NPROC, &processes);
        _exit(har_may_start(n) ? YES : NO);
    }
    ck_assert_int_eq(waitpid(child, &code, 0), child);
    ck_assert(WIFEXITED(code));
    return WEXITSTATUS(code);
}

START_TEST(processes_are_counted_before_they_are_started)
{
    if (may_start(1, 0) == NOT_RUN)
        return;
    ck_assert_int_eq(may_start(1, 0), YES);
    ck_assert_int_eq(may_start(1, 1), NO);
    ck_assert_int_eq(may_start(4, 3), YES);
    ck_assert_int_eq(may_start(4, 4), NO);
}
END_TEST

START_TEST(a_process_knows_its_host_and_its_start)
{
    par_process me, child;
    ck_assert(par_process_read(&me, (int)getpid()));
    ck_assert(par_process_read(&child, (int)f.child));
    ck_assert_uint_eq(child.start_ticks, f.rank->start_ticks);
    ck_assert(me.start_ticks > 0 && me.start_ticks <= child.start_ticks);
    ck_assert_uint_eq(f.board->host, f.rank->host);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_launch");
    TCase *tcase = tcase_create("processes");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_process_knows_its_host_and_its_start);
    tcase_add_test(tcase, processes_are_counted_before_they_are_started);
    tcase_add_test(tcase, a_rank_that_runs_here_is_killed);
    tcase_add_loop_test(tcase, a_rank_that_ended_here_is_dead, 0, 2);
    tcase_add_test(tcase, the_death_of_a_watched_rank_is_seen);
    tcase_add_loop_test(tcase, the_number_of_another_process_is_not_used, 0, 2);
    tcase_add_test(tcase,
                   a_rank_elsewhere_whose_number_nobody_has_here_is_not_dead);
    tcase_add_test(tcase, a_rank_here_that_does_nothing_is_named);
    tcase_add_test(tcase, time_without_a_processor_does_not_count);
    tcase_add_test(tcase, what_moves_ends_the_time_without_a_processor);
    tcase_add_test(tcase, a_look_after_a_long_time_counts_for_half_a_second);
    tcase_add_test(tcase, ready_is_who_has_not_run_between_two_looks);
    tcase_add_test(tcase, who_has_run_may_have_waited_before);
    tcase_add_test(tcase, who_was_stopped_and_has_run_was_kept);
    tcase_add_test(tcase, held_is_who_has_not_run_between_two_looks);
    tcase_add_test(tcase, a_process_that_is_stopped_is_named);
    tcase_add_test(tcase, a_rank_whose_thread_is_ready_is_ready);
    tcase_add_test(tcase, a_rank_that_spins_is_found);
    tcase_add_test(tcase, a_rank_elsewhere_is_judged_by_what_its_watch_says);
    tcase_add_test(tcase, a_host_that_is_not_heard_of_is_named);
    tcase_add_test(tcase, a_rank_that_never_came_is_named);
    tcase_add_test(tcase, a_rank_on_its_way_moves);
    tcase_add_test(tcase, who_has_not_come_is_seen_to_compute);
    tcase_add_test(tcase, a_copy_of_a_rank_here_is_not_taken);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
