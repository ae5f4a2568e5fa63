/* harness/page/gnuplot.c -- see gnuplot.h.
 *
 * Script and picture pass through unnamed temporary files, so neither side can
 * wait for the other.  What comes back is a whole document with ids that would
 * meet those of the next plot: its head and definitions are dropped, and the
 * rest is copied with a few texts changed.  Traps: gnuplot reads a start-up
 * file unless told not to; it writes a colour in two ways; with an error it
 * leaves a picture cut off; underscores mean subscripts unless told not to.
 */
#include "harness/page/gnuplot.h"

#include "core/base/printable.h"
#include "harness/page/page.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* In a script @name is written as the colour #0102NN, NN its place here.     */
static const char *const colours[] = {"ink", "soft", "line", "good", "warn",
                                      "bad", "idle", "load", "g0",   "g1",
                                      "g2",  "g3",   "g4",   "g5"};
enum { N_COLOUR = sizeof colours / sizeof colours[0], MARK_R = 1, MARK_G = 2 };

/* --- running it --- */

typedef struct files {
    FILE *in, *out, *error;
} files;

static void close_files(files *f)
{
    FILE *const all[] = {f->in, f->out, f->error};
    for (int i = 0; i < 3; i++)
        if (all[i] != NULL)
            fclose(all[i]);
}

static core_status open_files(files *f)
{
    *f = (files){tmpfile(), tmpfile(), tmpfile()};
    CORE_FAIL_IF(f->in == NULL || f->out == NULL || f->error == NULL,
                 CORE_E_FILE, "a temporary file for a plot: %s",
                 strerror(errno));
    return CORE_OK;
}

/* Start gnuplot with an argument and wait; *code: how it ended. */
static core_status start(const files *f, char *argument, int *code)
{
    char name[] = "gnuplot", fresh[] = "-d";
    char *const argv[] = {name, fresh, argument, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = -1;
    CORE_FAIL_IF(posix_spawn_file_actions_init(&actions) != 0, CORE_E_MEMORY,
                 "no memory to start gnuplot");
    int error = posix_spawn_file_actions_adddup2(&actions, fileno(f->in), 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, fileno(f->out), 1);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, fileno(f->error), 2);
    if (error == 0)
        error = posix_spawnp(&child, name, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    CORE_FAIL_IF(error != 0, CORE_E_PROGRAM,
                 "gnuplot: expected the program on the path (Debian's package "
                 "gnuplot-nox), found %s",
                 error == ENOENT ? "none" : strerror(error));
    while (waitpid(child, code, 0) < 0 && errno == EINTR)
        continue;
    return CORE_OK;
}

/* The last line of what it complained. */
static void complaint(FILE *error, char text[160])
{
    char line[160];
    snprintf(text, 160, "nothing said");
    rewind(error);
    while (fgets(line, sizeof line, error) != NULL) {
        const char *word = line + strspn(line, " \t");
        if (word[0] != '\n' && word[0] != '\0')
            snprintf(text, 160, "%.*s", (int)strcspn(word, "\n"), word);
    }
}

static core_status run(const files *f, char *argument)
{
    char text[160];
    int code = 0;
    CORE_TRY(start(f, argument, &code));
    if (WIFEXITED(code) && WEXITSTATUS(code) == 0)
        return CORE_OK;
    complaint(f->error, text);
    CORE_FAIL(CORE_E_PROGRAM, "gnuplot: expected a plot, found %s %d: %s",
              WIFEXITED(code) ? "exit code" : "signal",
              WIFEXITED(code) ? WEXITSTATUS(code) : WTERMSIG(code), text);
}

core_status har_gnuplot_check(void)
{
    char argument[] = "--version";
    files f;
    core_status status = open_files(&f);
    if (status == CORE_OK)
        status = run(&f, argument);
    close_files(&f);
    return status;
}

/* --- the script --- */

/* Which colour's name stands at text; -1: none.  Longest names first do not
 * matter: none begins another.                                               */
static int colour_at(const char *text)
{
    for (int i = 0; i < (int)N_COLOUR; i++)
        if (strncmp(text, colours[i], strlen(colours[i])) == 0)
            return i;
    return -1;
}

static void write_script(FILE *out, const char *script, int width, int height)
{
    fprintf(out,
            "set terminal svg size %d,%d font 'system-ui,sans-serif,12' "
            "noenhanced\n",
            width, height);
    for (; *script != '\0'; script++) {
        const int i = *script == '@' ? colour_at(script + 1) : -1;
        if (i < 0) {
            fputc(*script, out);
            continue;
        }
        fprintf(out, "rgb '#%02x%02x%02x'", MARK_R, MARK_G, i);
        script += strlen(colours[i]);
    }
}

void har_gnuplot_text(FILE *script, const char *text)
{
    char shown[CORE_SHOWN_BYTES];
    for (int n; *text != '\0'; text += n) {
        core_shown(shown, text, &n);
        fputs(strchr("'\"\\`@", *text) == NULL ? shown : " ", script);
    }
}

/* --- the picture --- */

/* What is written otherwise, or not at all. */
static const struct {
    const char *from, *to;
} changes[] = {
    {"<use xlink:href='#gpPt6'", "<circle r='1' fill='currentColor' "
                                 "stroke='none'"},
    {"<use xlink:href='#gpPt5'", "<circle r='1' stroke='currentColor' "
                                 "stroke-width='.4' fill='var(--card)'"},
    {"<use xlink:href='#gpDot'", "<circle r='0.6' fill='currentColor' "
                                 "stroke='none'"},
    {"fill=\"black\"", "fill=\"var(--ink)\""},
    {"color=\"black\"", "color=\"var(--ink)\""},
    {"color=\"white\"", "color=\"var(--card)\""},
    {"color=\"#FFFFFF\"", "color=\"var(--card)\""},
    {"stroke=\"black\"", "stroke=\"var(--ink)\""},
    {" font-family=\"system-ui,sans-serif\"", ""},
    {" onmouseout=\"gnuplot_svg.hideHypertext()\"", ""},
};

/* rgb(1, 2, N) at text: its length, else 0; *i: N. */
static int mark_at(const char *text, int *i)
{
    int r, g, n = 0;
    if (sscanf(text, "rgb( %d , %d , %d )%n", &r, &g, i, &n) < 3 || n == 0)
        return 0;
    return r == MARK_R && g == MARK_G && *i >= 0 && *i < (int)N_COLOUR ? n : 0;
}

/* A hidden text becomes a title: <g onmousemove="...(evt,'TEXT')"><title>
 * </title>.  Returns how much of text is done, 0: something else.            */
static size_t hidden_text_at(FILE *out, const char *text)
{
    static const char begin[] =
        " onmousemove=\"gnuplot_svg.showHypertext(evt,'";
    static const char title[] = "<title> </title>";
    if (strncmp(text, begin, strlen(begin)) != 0)
        return 0;
    const char *words = text + strlen(begin);
    const char *end = strstr(words, "')\"");
    const char *after = end != NULL ? strstr(end, title) : NULL;
    if (after == NULL)
        return 0;
    fprintf(out, "><title>%.*s</title>", (int)(end - words), words);
    return (size_t)(after - text) + strlen(title);
}

/* ' id="..."' of a group, and the <title> of a plot that has but a number. */
static size_t name_at(const char *text)
{
    static const char id[] = " id=\"", title[] = "<title>gnuplot_plot_",
                      end[] = "</title>";
    if (strncmp(text, id, strlen(id)) == 0)
        return strlen(id) + strcspn(text + strlen(id), "\"") + 1;
    const char *after =
        strncmp(text, title, strlen(title)) == 0 ? strstr(text, end) : NULL;
    return after != NULL ? (size_t)(after - text) + strlen(end) : 0;
}

static size_t changed_at(FILE *out, const char *text)
{
    int colour;
    const int n = mark_at(text, &colour);
    if (n > 0) {
        fprintf(out, "var(--%s)", colours[colour]);
        return (size_t)n;
    }
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        if (strncmp(text, changes[i].from, strlen(changes[i].from)) == 0) {
            fputs(changes[i].to, out);
            return strlen(changes[i].from);
        }
    const size_t hidden = hidden_text_at(out, text);
    return hidden > 0 ? hidden : name_at(text);
}

static core_status copy_picture(FILE *out, const char *text, int width,
                                int height, const char *label)
{
    const char *at = strstr(text, "</defs>");
    const char *end = at != NULL ? strstr(at, "</svg>") : NULL;
    CORE_FAIL_IF(end == NULL, CORE_E_PROGRAM,
                 "gnuplot: expected a whole SVG picture, found %zu bytes that "
                 "are none",
                 strlen(text));
    fprintf(out,
            "<div class=\"wide\"><svg class=\"plot\" viewBox=\"0 0 %d %d\" "
            "width=\"%d\" role=\"img\" aria-label=\"",
            width, height, width);
    har_page_text(out, label);
    fputs("\"><g>\n", out);
    for (at += strlen("</defs>"); at < end;) {
        const size_t n = changed_at(out, at);
        if (n == 0)
            fputc(*at, out);
        at += n > 0 ? n : 1;
    }
    fputs("</svg></div>\n", out);
    return CORE_OK;
}

static core_status read_back(FILE *file, char **out)
{
    size_t room = 1;
    *out = calloc(1, room); /* what an empty file is */
    CORE_FAIL_IF(*out == NULL, CORE_E_MEMORY, "no memory for a plot");
    rewind(file);
    CORE_FAIL_IF(getdelim(out, &room, '\0', file) < 0 && ferror(file) != 0,
                 CORE_E_FILE, "a temporary file for a plot: cannot be read");
    return CORE_OK;
}

core_status har_gnuplot_draw(FILE *out, const char *script, int width,
                             int height, const char *label)
{
    char argument[] = "-", *picture = NULL;
    files f;
    core_status status = open_files(&f);
    if (status == CORE_OK) {
        write_script(f.in, script, width, height);
        rewind(f.in);
        status = run(&f, argument);
    }
    if (status == CORE_OK)
        status = read_back(f.out, &picture);
    if (status == CORE_OK)
        status = copy_picture(out, picture, width, height, label);
    free(picture);
    close_files(&f);
    return status;
}
