/* harness/perf/machine_write.c -- new coefficients in an old file.
 *
 * The numbers of the data sheet and the comments beside them are the work of a
 * person: the text is kept letter for letter, but for two top-level sections,
 * which are found by their key in the first column and end at the next one.
 */
#include "harness/perf/machine_impl.h"

#include <string.h>

static const char *const TEXTS[HAR_N_COEF] = {
#define COEF_TEXT(name, key, kind, start, least, most, text) text,
    HAR_COEF_LIST(COEF_TEXT)
#undef COEF_TEXT
};

static bool starts_section(const char *line, const char *key)
{
    const size_t n = strlen(key);
    return strncmp(line, key, n) == 0 && line[n] == ':';
}

static bool is_inside(const char *line)
{
    return *line == ' ' || *line == '\n' || *line == '#';
}

/* Where the text goes on after a section that is left out.  Blank lines and
 * comments in the first column belong to what follows them.                 */
static const char *skip_section(const char *text)
{
    const char *end = NULL;
    do {
        const char *line_end = strchr(text, '\n');
        text = line_end != NULL ? line_end + 1 : text + strlen(text);
        if (*text == ' ')
            end = NULL;
        else if (end == NULL)
            end = text;
    } while (*text != '\0' && is_inside(text));
    return end != NULL ? end : text;
}

static void write_sections(FILE *out, const har_machine *m)
{
    fputs("coefficients:\n", out);
    for (int i = 0; i < HAR_N_COEF; i++)
        fprintf(out, "  %s: {value: %.4g, from: %s} # %s\n", har_coef_key(i),
                m->coef[i].value, har_origin_name(m->coef[i].origin), TEXTS[i]);
    fputs("sigma: # relative; 1.645 of it is half of the 90 % interval\n", out);
    for (int i = 0; i < HAR_N_KIND; i++)
        fprintf(out, "  %s: {value: %.4g, from: %s}\n", har_kind_name(i),
                m->sigma[i].value, har_origin_name(m->sigma[i].origin));
}

void har_machine_write(FILE *out, const char *text, const har_machine *m)
{
    while (*text != '\0') {
        if (starts_section(text, "coefficients") ||
            starts_section(text, "sigma")) {
            if (starts_section(text, "coefficients"))
                write_sections(out, m);
            text = skip_section(text);
            continue;
        }
        const char *end = strchr(text, '\n');
        const size_t n = end != NULL ? (size_t)(end - text) + 1 : strlen(text);
        fwrite(text, 1, n, out);
        text += n;
    }
}
