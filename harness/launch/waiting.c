/* harness/launch/waiting.c -- see waiting.h.
 *
 * The line is kept without a newline and overwritten from its beginning, so it
 * must be taken away before anything else is printed: a report on stdout would
 * begin in the middle of it.
 */
#include "harness/launch/waiting.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 2 };

har_waiting har_waiting_begin(void)
{
    return (har_waiting){.out = isatty(STDERR_FILENO) == 1 ? stderr : NULL,
                         .begun = time(NULL)};
}

/* Columns of the terminal, less one: what fills the last one begins a line. */
static size_t columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1
               ? (size_t)size.ws_col - 1
               : 79;
}

void har_waiting_say(har_waiting *w, const char *text)
{
    char line[sizeof w->said];
    const size_t n = columns() + 1;
    snprintf(line, n < sizeof line ? n : sizeof line, "%s", text);
    if (w->out == NULL || time(NULL) - w->begun < PATIENCE_SECONDS ||
        strcmp(line, w->said) == 0)
        return;
    strcpy(w->said, line);
    fprintf(w->out, "\r\033[K%s", line);
    fflush(w->out);
}

void har_waiting_share(har_waiting *w, const char *what, double done)
{
    char text[sizeof w->said];
    const int room = (int)columns() - (int)strlen(": 100 %");
    snprintf(text, sizeof text, "%.*s: %.0f %%", room > 80 ? 80 : room, what,
             100 * done);
    har_waiting_say(w, text);
}

void har_waiting_end(har_waiting *w)
{
    if (w->said[0] != '\0')
        fputs("\r\033[K", w->out);
    w->said[0] = '\0';
}
