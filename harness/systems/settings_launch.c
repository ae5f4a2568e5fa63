/* harness/systems/settings_launch.c -- which commands of a script launch. */
#include "core/files/text.h"
#include "harness/systems/settings_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool may_launch(const har_script *s, const har_command *c)
{
    const char *first = s->word[c->first].text;
    return har__launcher_at(first) != HAR_AT_SYSTEM || har__is_wrapper(first) ||
           first[0] == '$' || har__is_server(&s->word[c->first], c->n) ||
           s->word[c->first].is_assignment;
}

/* 2: it starts ranks or a server, 1: a program with options, 0: neither. */
static int launches(const har_script *s, const har_command *c)
{
    int found = 0;
    bool has_option = false;
    if (!may_launch(s, c))
        return 0;
    for (int i = 0; i < c->n; i++) {
        const har_word *word = &s->word[c->first + i];
        if (har__launcher_at(word->text) != HAR_AT_SYSTEM ||
            har__is_server(word, c->n - i))
            return 2;
        found = core_text_ends(word->text, ".py") ? 1 : found;
        has_option = has_option || har__is_setting(word);
    }
    return has_option ? found : 0;
}

/* "2 (line 12) 'srun -n 8 ...'", after what text holds. */
static void describe(char *text, size_t n_bytes, const har_script *s,
                     const har_command *c, int number)
{
    enum { SHOWN = 50 };
    char words[SHOWN + 1] = "";
    size_t n = 0;
    for (int i = 0; i < c->n && n < SHOWN; i++) {
        snprintf(words + n, sizeof words - n, "%s%s", i > 0 ? " " : "",
                 s->word[c->first + i].text);
        n = strlen(words);
    }
    for (char *at = words; *at != '\0'; at++)
        if (iscntrl((unsigned char)*at))
            *at = ' ';
    n = strlen(text);
    snprintf(text + n, n_bytes - n, "%s%d (line %d) '%s%s'", n > 0 ? ", " : "",
             number, s->word[c->first].line, words,
             strlen(words) == SHOWN ? "..." : "");
}

typedef struct candidates {
    int n, n_of[3]; /* all; those of which launches() says 1 or 2             */
    const har_command *first[3], *chosen;
    char text[HAR_PASSED];
} candidates;

/* Of one kind, or of all (0), but the one that is chosen. */
static void find(candidates *out, const har_settings *settings, int begin,
                 int kind)
{
    const har_script *s = &settings->script;
    out->n = 0;
    for (int i = begin; i < s->n_command; i++) {
        const har_command *c = &s->command[i];
        const int is = launches(s, c);
        if (is == 0)
            continue;
        out->n++;
        out->n_of[is]++;
        if (out->n_of[is] == 1)
            out->first[is] = c;
        if (out->n == settings->launch)
            out->chosen = c;
        if ((kind == 0 || kind == is) && c != out->chosen)
            describe(out->text, sizeof out->text, s, c, out->n);
    }
}

core_status har__find_launch(const har_command **line, har_settings *out,
                             int begin, const char *name)
{
    candidates all = {0};
    find(&all, out, begin, 0);
    const int best = all.n_of[2] > 0 ? 2 : 1;
    out->n_launch = all.n > out->n_launch ? all.n : out->n_launch;
    *line = all.n < 2 || out->launch == 0 ? all.first[best] : all.chosen;
    CORE_FAIL_IF(all.n > 1 && all.chosen == NULL &&
                     (out->launch > 0 || all.n_of[best] > 1),
                 CORE_E_USAGE,
                 "%s: %d launch lines, choose one by --launch N: %s", name,
                 all.n, all.text);
    if (all.n > 1 && all.chosen == NULL) {
        candidates others = {0};
        find(&others, out, begin, 3 - best);
        snprintf(out->passed, sizeof out->passed, "%s", others.text);
    } else if (all.n > 1) {
        snprintf(out->passed, sizeof out->passed, "%s", all.text);
    }
    return CORE_OK;
}
