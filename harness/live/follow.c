/* harness/live/follow.c -- see follow.h. */
#include "harness/live/follow.h"

#include "core/files/open.h"
#include "core/files/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

core_status har_follow_open(har_follow *out, const char *path, bool is_running)
{
    *out = (har_follow){.path = path, .fd = -1};
    if (is_running)
        CORE_TRY(core_target_find(out->partial, path));
    return core_open(&out->fd, out->partial[0] != '\0' ? out->partial : path,
                     false);
}

static core_status look(har_follow_state *state, const har_follow *follow)
{
    struct stat opened, named;
    *state = HAR_FOLLOW_COMPLETE;
    if (follow->partial[0] == '\0')
        return CORE_OK;
    CORE_FAIL_IF(fstat(follow->fd, &opened) != 0, CORE_E_FILE, "%s: %s",
                 follow->partial, strerror(errno));
    if (opened.st_nlink == 0)
        *state = HAR_FOLLOW_REMOVED;
    else if (stat(follow->partial, &named) == 0)
        *state = HAR_FOLLOW_GROWS;
    return CORE_OK;
}

/* All that is there now. */
static core_status read_more(har_follow *f)
{
    for (;;) {
        if (f->room - f->n_text < 1 << 16) {
            const size_t room = 2 * f->room + (1 << 17);
            void *text = realloc(f->text, room);
            CORE_FAIL_IF(text == NULL, CORE_E_MEMORY,
                         "%s: no memory for %zu bytes of lines", f->path, room);
            f->text = text;
            f->room = room;
        }
        const ssize_t n =
            read(f->fd, f->text + f->n_text, f->room - f->n_text);
        CORE_FAIL_IF(n < 0, CORE_E_FILE, "%s: %s", f->path, strerror(errno));
        if (n == 0)
            return CORE_OK;
        f->n_text += (size_t)n;
    }
}

static core_status add_lines(har_follow *f, har_tally *live)
{
    size_t done = 0;
    const char *end;
    core_status status = CORE_OK;
    while (status == CORE_OK && done < f->n_text &&
           (end = memchr(f->text + done, '\n', f->n_text - done)) != NULL) {
        char name[CORE_PATH_BYTES + 32];
        const char *line = f->text + done;
        snprintf(name, sizeof name, "%s:%lld", f->path,
                 (long long)++f->n_line);
        status = har_tally_add(live, line, (size_t)(end - line), name);
        done += (size_t)(end - line) + 1;
    }
    memmove(f->text, f->text + done, f->n_text - done);
    f->n_text -= done;
    return status;
}

core_status har_follow_read(har_follow *f, har_tally *live,
                            har_follow_state *state)
{
    CORE_TRY(look(state, f)); /* first: what is written after it is not missed */
    CORE_TRY(read_more(f));
    CORE_TRY(add_lines(f, live));
    CORE_FAIL_IF(*state == HAR_FOLLOW_COMPLETE && f->n_text > 0, CORE_E_FORMAT,
                 "%s:%lld: expected the end of the line, found the end of the "
                 "file",
                 f->path, (long long)f->n_line + 1);
    return CORE_OK;
}

void har_follow_close(har_follow *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->text);
    *f = (har_follow){.fd = -1};
}
