/* harness/launch/host_folder.c -- see host_folder.h.
 *
 * All ranks of a host must come to the same folder without a word between them:
 * its name is the launcher's and the host's, and of those who make the board
 * one succeeds.
 */
#include "harness/launch/host_folder.h"

#include "harness/launch/impl.h"
#include "harness/launch/watch_host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER = 256 };

double har_host_stall(double stall_seconds)
{
    return (stall_seconds > 0 ? stall_seconds : 30) * 1.25 + 2;
}

static bool is_mine(const char *folder)
{
    char path[300];
    par_board *board = NULL;
    snprintf(path, sizeof path, "%s/board", folder);
    if (par_board_map(&board, path) != CORE_OK) {
        core_message_clear();
        return false;
    }
    const bool mine = board->host == par_process_host();
    par_board_unmap(board);
    return mine;
}

/* UCX's files shall lie in it, too, unless the user wants them elsewhere. */
static void use(const char *folder)
{
    const char *ucx = getenv("UCX_POSIX_DIR");
    if (ucx != NULL && strcmp(ucx, har_rank_folder()) == 0)
        setenv("UCX_POSIX_DIR", folder, 1);
    setenv("MOEPARITY_RUN_FOLDER", folder, 1);
}

/* A lock file that nobody holds yet: a folder is left alone for a minute. */
static bool make_folder(const char *folder)
{
    char path[300];
    struct stat st;
    if (mkdir(folder, 0700) != 0 &&
        (errno != EEXIST || lstat(folder, &st) != 0 || !S_ISDIR(st.st_mode) ||
         st.st_uid != getuid()))
        return false;
    snprintf(path, sizeof path, "%s/lock", folder);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The board of this host, and who watches it, made here or by another rank. */
static core_status furnish(const char *folder, int n_rank, double stall_seconds)
{
    char path[300], address[HAR_ADDRESS_BYTES];
    par_board *board = NULL;
    const char *middle = getenv("MOEPARITY_WATCH");
    snprintf(path, sizeof path, "%s/board", folder);
    snprintf(address, sizeof address, "%s", middle != NULL ? middle : "");
    const core_status status = par_board_create(
        &board, path, n_rank, har_host_stall(stall_seconds), true);
    if (status != CORE_OK) {
        if (!is_mine(folder))
            return status;
        core_message_clear();
        return CORE_OK;
    }
    board->has_others = true;
    par_board_unmap(board);
    CORE_FAIL_IF(middle == NULL, CORE_E_FILE,
                 "the launcher cannot be called from another host: name hosts "
                 "by HYDRA_HOST_FILE, or start the ranks by mpiexec or srun");
    return har_watch_start(folder, HAR_WATCH_CALLS, false, address);
}

/* The folder's name below this one, if that is there and is not too long. */
static bool name_in(char folder[FOLDER], const char *parent, const char *name)
{
    return parent != NULL && parent[0] != '\0' &&
           snprintf(folder, FOLDER, "%s/%.40s-%08" PRIx32, parent, name,
                    (uint32_t)par_process_host()) < FOLDER;
}

core_status har_host_folder(int n_rank, double stall_seconds, size_t need_bytes)
{
    char given[FOLDER], folder[FOLDER], tried[400] = "";
    if (is_mine(har_rank_folder()))
        return CORE_OK;
    snprintf(given, sizeof given, "%s", har_rank_folder());
    char *name = strrchr(given, '/');
    CORE_FAIL_IF(name == NULL, CORE_E_FILE, "%s: no run folder", given);
    *name++ = '\0';
    const char *parent[] = {given, "/dev/shm", getenv("TMPDIR"), "/tmp"};
    enum { N = sizeof parent / sizeof parent[0] };
    for (int i = 0; i < N; i++) /* where others have been */
        if (name_in(folder, parent[i], name) && is_mine(folder)) {
            use(folder);
            return CORE_OK;
        }
    for (int i = 0; i < N; i++) {
        if (!name_in(folder, parent[i], name))
            continue;
        if (har__free_bytes(parent[i]) >= (double)need_bytes &&
            make_folder(folder)) {
            CORE_TRY(furnish(folder, n_rank, stall_seconds));
            use(folder);
            return CORE_OK;
        }
        const size_t used = strlen(tried);
        snprintf(tried + used, sizeof tried - used, "%s%.80s",
                 used ? ", " : "", parent[i]);
    }
    CORE_FAIL(CORE_E_SPACE,
              "no room for the run's files on this host: %.1f MiB needed; "
              "tried %s",
              (double)need_bytes / 1048576.0, tried);
}
