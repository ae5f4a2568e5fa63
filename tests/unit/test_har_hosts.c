/* test_har_hosts.c -- what one host's watch tells another's.
 *
 * Two boards, one of which says that it is on another host, and a connection
 * between them, over the loopback of this one.
 */
#include "harness/launch/hosts.h"
#include "tests/support/check_main.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { N_RANK = 3, STEPS = 2000 };

typedef struct side {
    char folder[32], path[48];
    par_board *board;
    har_hosts *hosts;
} side;

static side middle, other;

static void nap(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    nanosleep(&ms, NULL);
}

static void open_side(side *s, int rank)
{
    strcpy(s->folder, "/tmp/hosts-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->folder));
    snprintf(s->path, sizeof s->path, "%s/board", s->folder);
    ck_assert_int_eq(par_board_create(&s->board, s->path, N_RANK, 30, true),
                     CORE_OK);
    s->board->host += (uint64_t)rank;
    par_board_join(&s->board->rank[rank], PAR_RANK_COMPUTING);
    atomic_fetch_add(&s->board->rank[rank].host, (uint64_t)rank);
}

static void close_side(side *s)
{
    char path[64];
    har_hosts_close(s->hosts);
    par_board_unmap(s->board);
    unlink(s->path);
    snprintf(path, sizeof path, "%s/report", s->folder);
    unlink(path);
    rmdir(s->folder);
    *s = (side){0};
}

static void set_up(void)
{
    open_side(&middle, 0);
    open_side(&other, 1);
    ck_assert_int_eq(har_hosts_open(&middle.hosts, middle.board, middle.folder),
                     CORE_OK);
    ck_assert_int_eq(har_hosts_join(&other.hosts, other.board,
                                    har_hosts_address(middle.hosts)),
                     CORE_OK);
}

static void tear_down(void)
{
    close_side(&middle);
    close_side(&other);
}

static int state_of(const side *s, int rank)
{
    return atomic_load(&s->board->rank[rank].state);
}

/* Both step until it holds, or for long: does it? */
static bool comes(bool (*it)(void))
{
    for (int k = 0; k < STEPS && !it(); k++) {
        har_hosts_step(middle.hosts);
        har_hosts_step(other.hosts);
        nap();
    }
    return it();
}

static bool both_know(void)
{
    return state_of(&middle, 1) == PAR_RANK_COMPUTING &&
           state_of(&other, 0) == PAR_RANK_COMPUTING;
}

static bool middle_knows_the_end(void)
{
    return atomic_load(&middle.board->aborted) != 0;
}

static bool other_knows_the_end(void)
{
    return atomic_load(&other.board->aborted) != 0;
}

static bool middle_misses_one(void)
{
    return har_hosts_left(middle.hosts) >= 0;
}

static bool other_is_alone(void)
{
    return har_hosts_is_alone(other.hosts);
}

START_TEST(each_learns_of_the_others_ranks)
{
    ck_assert(!both_know());
    ck_assert(comes(both_know));
    ck_assert(har_hosts_is_joined(other.hosts));
    ck_assert_int_eq(state_of(&middle, 2), PAR_RANK_ABSENT);
    ck_assert_int_eq(par_board_unheard(middle.board, 20), -1);
    ck_assert_int_eq(par_board_unheard(middle.board, -1), 1);
}
END_TEST

START_TEST(the_end_of_the_run_is_told)
{
    side *from = _i == 0 ? &other : &middle, *to = _i == 0 ? &middle : &other;
    ck_assert(comes(both_know));
    par_board_claim(from->board, CORE_E_PEER, "rank 1 died");
    ck_assert(comes(_i == 0 ? middle_knows_the_end : other_knows_the_end));
    ck_assert_int_eq(atomic_load(&to->board->aborted), CORE_E_PEER);
    ck_assert_str_eq(to->board->line, "rank 1 died");
}
END_TEST

START_TEST(a_host_that_leaves_early_is_missed)
{
    ck_assert(comes(both_know));
    ck_assert(!middle_misses_one());
    if (_i == 1)
        atomic_store(&other.board->rank[1].state, PAR_RANK_FINISHED);
    har_hosts_step(other.hosts);
    har_hosts_close(other.hosts);
    other.hosts = NULL;
    for (int k = 0; k < 100 && !middle_misses_one(); k++) {
        har_hosts_step(middle.hosts);
        nap();
    }
    ck_assert_int_eq(har_hosts_left(middle.hosts), _i == 1 ? -1 : 1);
}
END_TEST

START_TEST(the_middle_that_leaves_is_missed)
{
    ck_assert(comes(both_know) && !other_is_alone());
    har_hosts_close(middle.hosts);
    middle.hosts = NULL;
    ck_assert(comes(other_is_alone));
}
END_TEST

START_TEST(a_report_arrives)
{
    char path[64], text[32] = "";
    ck_assert(comes(both_know));
    snprintf(path, sizeof path, "%s/report", other.folder);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("all well", file);
    fclose(file);
    har_hosts_send_file(other.hosts, other.folder, "report");
    snprintf(path, sizeof path, "%s/report", middle.folder);
    for (int k = 0; k < STEPS && access(path, F_OK) != 0; k++) {
        har_hosts_step(middle.hosts);
        nap();
    }
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(text, sizeof text, file));
    fclose(file);
    ck_assert_str_eq(text, "all well");
}
END_TEST

/* Whoever does not know the token is not listened to. */
START_TEST(a_stranger_is_sent_away)
{
    char byte;
    const struct {
        uint64_t token;
        uint32_t kind, bytes;
    } hello = {1, 1, 0}; /* in form, but for the token */
    const struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)atoi(har_hosts_address(middle.hosts)))};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(send(fd, &hello, sizeof hello, 0), sizeof hello);
    ssize_t n = -1;
    for (int k = 0; k < STEPS && n < 0; k++) {
        har_hosts_step(middle.hosts);
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            n = 0;
        nap();
    }
    ck_assert_int_eq(n, 0);
    close(fd);
    ck_assert(comes(both_know));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_hosts");
    TCase *tcase = tcase_create("two hosts");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, each_learns_of_the_others_ranks);
    tcase_add_loop_test(tcase, the_end_of_the_run_is_told, 0, 2);
    tcase_add_loop_test(tcase, a_host_that_leaves_early_is_missed, 0, 2);
    tcase_add_test(tcase, the_middle_that_leaves_is_missed);
    tcase_add_test(tcase, a_report_arrives);
    tcase_add_test(tcase, a_stranger_is_sent_away);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
