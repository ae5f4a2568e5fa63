/* harness/perf/machine/write.c -- new coefficients in an old file.
 *
 * The numbers of the data sheet and the comments beside them are the work of a
 * person: the text is kept letter for letter, but for two top-level sections,
 * which are found by their key in the first column and end at the next one.
 */
#include "harness/perf/machine/impl.h"
#include "harness/perf/machine/rates_file.h"

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
                m->coef[i].value / har_carry(m, i),
                har_origin_name(m->coef[i].origin), TEXTS[i]);
    fputs("sigma: # relative; 1.645 of it is half of the 90 % interval\n", out);
    for (int i = 0; i < HAR_N_KIND; i++)
        fprintf(out, "  %s: {value: %.4g, from: %s}\n", har_kind_name(i),
                m->sigma[i].value, har_origin_name(m->sigma[i].origin));
}

void har_machine_print(FILE *out, const har_machine *m)
{
    if (m->price > 0)
        fprintf(out, "price: %.6g\n", m->price);
    if (m->arch != HAR_ARCH_NONE)
        fprintf(out, "arch: %s\n", har_generation_of(m->arch)->word);
    fputs("peak_tflops:\n", out);
    for (int i = 0; i < HAR_N_UNIT; i++)
        if (m->peak[i] > 0)
            fprintf(out, "  %s: %.5g\n", har_unit_name(i), m->peak[i] * 1e-12);
    fprintf(out, "memory:\n  gbytes: %.4g\n  gbytes_per_s: %.4g\n",
            m->memory_bytes * 1e-9, m->memory_bw * 1e-9);
    fprintf(out,
            "units:\n  count: %.0f\n  clock_mhz: %.5g\n"
            "  bytes_per_clock: %.4g\n  cache_mbytes: %.4g\n",
            m->n_unit, m->clock_hz * 1e-6, m->unit_bytes_per_clock,
            m->l2_bytes * 1e-6);
    fputs("tiles:\n", out);
    for (int i = 0; i < m->n_tile; i++)
        fprintf(out, "  - [%d, %d]\n", m->tile[i][0], m->tile[i][1]);
    fprintf(out, "max_split: %d\nlinks:\n", m->max_split);
    for (int i = 0; i < m->n_link; i++) {
        fprintf(out,
                "  - {name: %s, gpus: %d, gbytes_per_s: %.4g, extra_us: %.4g, "
                "from: %s",
                m->link[i].name, m->link[i].n_gpu, m->link[i].bw * 1e-9,
                m->link[i].alpha * 1e6, har_origin_name(m->link[i].origin));
        if (m->link[i].kind != HAR_LINK_UNSAID)
            fprintf(out, ", kind: %s", har_link_kind_name(m->link[i].kind));
        if (m->link[i].sigma > 0)
            fprintf(out, ", sigma: %.4g", m->link[i].sigma);
        fputs("}\n", out);
    }
    write_sections(out, m);
    har_rates_write(out, &m->rates);
}

void har_machine_write(FILE *out, const char *text, const har_machine *m)
{
    bool is_written = false;
    while (*text != '\0') {
        if (starts_section(text, "coefficients") ||
            starts_section(text, "sigma")) {
            if (!is_written)
                write_sections(out, m);
            is_written = true;
            text = skip_section(text);
            continue;
        }
        const char *end = strchr(text, '\n');
        const size_t n = end != NULL ? (size_t)(end - text) + 1 : strlen(text);
        fwrite(text, 1, n, out);
        text += n;
    }
    if (!is_written)
        write_sections(out, m);
}
