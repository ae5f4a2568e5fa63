/* harness/words/colour.c -- see colour.h. */
#include "harness/words/colour.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RED = 31, GREEN = 32, YELLOW = 33 };

static const struct {
    const char *word;
    int colour;
} verdicts[] = {
    {"VERIFIED", GREEN}, {"PASS", GREEN},      {"SAME", GREEN},
    {"PARTIAL", YELLOW}, {"UNPROVEN", YELLOW}, {"MARGINAL", YELLOW},
    {"PRECISION", RED},  {"DIFFERS", RED},     {"FAIL", RED},
};

static bool takes_colour(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return (no == NULL || no[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0 && isatty(fileno(out)) == 1;
}

void har_verdict_line(FILE *out, const char *line)
{
    const size_t n = strcspn(line, " \n");
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        if (strlen(verdicts[i].word) != n ||
            strncmp(verdicts[i].word, line, n) != 0 || !takes_colour(out))
            continue;
        fprintf(out, "\033[1;%dm%.*s\033[0m%s", verdicts[i].colour, (int)n,
                line, line + n);
        return;
    }
    fputs(line, out);
}
