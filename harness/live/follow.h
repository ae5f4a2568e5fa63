/* harness/live/follow.h -- lines of --events while they are written.
 *
 * Until the run has ended they are in a partial file beside FILE (core/files/
 * target.h), which becomes FILE then, or is removed with a run that fails.
 */
#ifndef HAR_FOLLOW_H
#define HAR_FOLLOW_H

#include "core/files/target.h"
#include "harness/live/tally.h"

typedef enum har_follow_state {
    HAR_FOLLOW_GROWS,
    HAR_FOLLOW_COMPLETE,
    HAR_FOLLOW_REMOVED
} har_follow_state;

typedef struct har_follow {
    const char *path; /* borrowed                                             */
    char partial[CORE_TARGET_BYTES + 32]; /* "": FILE itself                  */
    int fd;
    char *text; /* read, and not yet added                                    */
    size_t n_text, room;
    int64_t n_line; /* added so far                                           */
} har_follow;

/* FILE, or if it follows a run the newest partial file that will be FILE, if
 * there is one.  Close it in any case.  Errors: E_FILE.               [local] */
CORE_NODISCARD core_status har_follow_open(har_follow *out, const char *path,
                                           bool is_running);

/* Add all complete lines that are there; *state as it was before them.  Errors:
 * E_FORMAT naming file and line, also of a last line without an end in a file
 * that is complete; E_FILE, E_MEMORY.                                 [local] */
CORE_NODISCARD core_status har_follow_read(har_follow *follow, har_tally *live,
                                           har_follow_state *state);
void har_follow_close(har_follow *follow);

#endif
