/* harness/program/manual.c -- see manual.h.
 *
 * Traps of roff: a line that begins with a point or a quote is a request, and a
 * hyphen that is to be copied is written \-.
 */
#include "harness/program/manual.h"

#include "harness/words/words.h"

#include <ctype.h>
#include <string.h>

static void write_some(FILE *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const bool begins = i == 0 || text[i - 1] == '\n';
        if (begins && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", out);
        if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == '-')
            fputs("\\-", out);
        else
            fputc(text[i], out);
    }
}

void har_manual_text(FILE *out, const char *text)
{
    write_some(out, text, strlen(text));
}

void har_manual_head(FILE *out, const char *name, const char *summary)
{
    fprintf(out, ".TH ");
    for (; *name != '\0'; name++)
        fputc(toupper((unsigned char)*name), out);
    fprintf(out, " 1 \"\" \"moeparity %s\" \"\"\n.SH NAME\n", HAR_VERSION);
    har_manual_text(out, summary);
    fputc('\n', out);
}

/* argp separates forms of the arguments by newlines. */
static void write_synopsis(FILE *out, const har_command_line *line)
{
    const char *form = line->arguments;
    fputs(".SH SYNOPSIS\n", out);
    for (;;) {
        const size_t n = strcspn(form, "\n");
        fprintf(out, ".B moeparity %s\n[OPTION...] ", line->name);
        write_some(out, form, n);
        fputc('\n', out);
        if (form[n] == '\0')
            return;
        fputs(".br\n", out);
        form += n + 1;
    }
}

static bool is_end(const struct argp_option *o)
{
    return o->name == NULL && o->key == 0 && o->doc == NULL;
}

static void write_option(FILE *out, const struct argp_option *o)
{
    if (o->name == NULL) {
        fputs(".SS ", out);
        har_manual_text(out, o->doc);
        fputc('\n', out);
        return;
    }
    fputs(".TP\n.B ", out);
    if (o->key > ' ' && o->key < 127)
        fprintf(out, "\\-%c, ", o->key);
    fputs("\\-\\-", out);
    har_manual_text(out, o->name);
    if (o->arg != NULL)
        fprintf(out, "=%s", o->arg);
    fputc('\n', out);
    har_manual_text(out,
                    o->doc != NULL ? o->doc : "another name of the former");
    fputc('\n', out);
}

void har_manual_write(FILE *out, const har_command_line *line,
                      const struct argp_option *options)
{
    char name[64], summary[96];
    const size_t n = strcspn(line->about, "\v");
    snprintf(name, sizeof name, "moeparity-%s", line->name);
    for (char *c = name; (c = strchr(c, ' ')) != NULL;)
        *c = '-';
    snprintf(summary, sizeof summary, "%s - a command of moeparity", name);
    har_manual_head(out, name, summary);
    write_synopsis(out, line);
    fputs(".SH DESCRIPTION\n", out);
    write_some(out, line->about, n);
    fputs("\n.SH OPTIONS\n", out);
    for (const struct argp_option *o = options; !is_end(o); o++)
        if ((o->flags & OPTION_HIDDEN) == 0)
            write_option(out, o);
    if (line->about[n] == '\v') {
        fputs(".SH NOTES\n", out);
        har_manual_text(out, line->about + n + 1);
        fputc('\n', out);
    }
    fputs(".SH SEE ALSO\n.BR moeparity (1)\n", out);
}

void har_manual_words(FILE *out, const struct argp_option *options)
{
    for (const struct argp_option *o = options; !is_end(o); o++)
        if (o->name != NULL && (o->flags & OPTION_HIDDEN) == 0)
            fprintf(out, "--%s\n", o->name);
}
