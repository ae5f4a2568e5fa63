/* harness/perf/machine/read.c -- a machine file, read strictly.
 *
 * The flat list of the document is matched against the keys a machine has; a
 * key that no machine has, a number outside its range and a number that is
 * missing are refused with their place.  NaN fails every range.  Coefficients
 * and sigmas that a file leaves out have no value to fall back to: all must be
 * there.  Samples are for people and for `calibrate`: not read here.
 */
#include "harness/perf/machine/impl.h"
#include "harness/perf/machine/rates_file.h"

#include "core/files/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_FILE_BYTES = 4 << 20,
    MOST_SPLITS = 1024,
    MOST_GPUS = 1 << 20,
    MOST_EXTRA_US = 10000
};

typedef struct reader {
    har_machine m;
    const char *file;
    bool coef[HAR_N_COEF], coef_from[HAR_N_COEF];
    bool sigma[HAR_N_KIND], sigma_from[HAR_N_KIND];
    bool link_from[HAR_MAX_LINKS];
    char reference[HAR__MAX_PATH]; /* coefficients_from; "": not said         */
} reader;

static core_status whole(const reader *r, const core_yaml_entry *e, int least,
                         int most, int *out)
{
    double value = 0;
    CORE_TRY(har__read_number(r->file, e, least, most, &value));
    if (value != floor(value))
        return har__read_refuse(r->file, e, "a whole number");
    *out = (int)value;
    return CORE_OK;
}

static core_status word(const reader *r, const core_yaml_entry *e, char *out,
                        size_t n)
{
    if (strlen(e->text) >= n)
        return har__read_refuse(r->file, e, "a shorter name");
    memcpy(out, e->text, strlen(e->text) + 1);
    return CORE_OK;
}

static core_status origin(const reader *r, const core_yaml_entry *e,
                          har_origin *out)
{
    for (int i = 0; i < HAR_N_ORIGIN; i++)
        if (strcmp(e->text, har_origin_name(i)) == 0) {
            *out = i;
            return CORE_OK;
        }
    return har__read_refuse(r->file, e,
                            "measured, transferred, assumed or datasheet");
}

static core_status link_kind(const reader *r, const core_yaml_entry *e,
                             har_link_kind *out)
{
    for (int i = HAR_LINK_UNSAID + 1; i < HAR_N_LINK_KIND; i++)
        if (strcmp(e->text, har_link_kind_name(i)) == 0) {
            *out = i;
            return CORE_OK;
        }
    return har__read_refuse(r->file, e, "plain, switch or pcie");
}

/* --- the keys --- */

static const struct {
    const char *path;
    size_t offset;
    double unit, least, most;
    const char *what;
} NUMBERS[] = {
    {"memory.gbytes", offsetof(har_machine, memory_bytes), 1e9, 0.1, 1e5,
     "memory, 10^9 bytes"},
    {"memory.gbytes_per_s", offsetof(har_machine, memory_bw), 1e9, 0.1, 1e6,
     "its peak, 10^9 bytes/s"},
    {"units.count", offsetof(har_machine, n_unit), 1, 1, 1e5, "SMs or cores"},
    {"units.clock_mhz", offsetof(har_machine, clock_hz), 1e6, 10, 1e5,
     "the clock that belongs to the peaks"},
    {"units.bytes_per_clock", offsetof(har_machine, unit_bytes_per_clock), 1,
     0.5, 1e4, "from the shared cache into one of them (with `arch`: 64)"},
    {"units.cache_mbytes", offsetof(har_machine, l2_bytes), 1e6, 0.01, 1e5,
     "the shared cache, 10^6 bytes"},
};
enum { N_NUMBERS = sizeof NUMBERS / sizeof NUMBERS[0] };

static const double PEAK[2] = {1e-6, 1e6}, LINK[2] = {1e-3, 1e5};
static const double PRICE[2] = {1e-6, 1e6};
static const double SIGMA[2] = {1e-4, 10};
static const double COEFS[HAR_N_COEF][2] = {
#define COEF_LIMITS(name, key, kind, start, least, most, text) {least, most},
    HAR_COEF_LIST(COEF_LIMITS)
#undef COEF_LIMITS
};
static const char *const COEF_WHAT[HAR_N_COEF] = {
#define COEF_TEXT(name, key, kind, start, least, most, text) text,
    HAR_COEF_LIST(COEF_TEXT)
#undef COEF_TEXT
};

static void write_field(FILE *out, const char *path, const char *value,
                        const char *what)
{
    fprintf(out, "| `%s` | %s | %s |\n", path, value, what);
}

static void write_number(FILE *out, const char *above, const char *path,
                         double least, double most, const char *what)
{
    fprintf(out, "| `%s%s` | %g to %g | %s |\n", above, path, least, most,
            what);
}

void har_machine_write_fields(FILE *out)
{
    fputs("| field | value | what it is (what its absence means) |\n"
          "|---|---|---|\n",
          out);
    write_field(out, "machine", "text", "its name");
    write_field(out, "about", "text", "a sentence for people (nothing)");
    write_number(out, "", "price", PRICE[0], PRICE[1],
                 "of a GPU for an hour, in any currency (none: `search` says "
                 "no costs)");
    write_field(out, "arch", "sm80, sm89, sm90, sm100, sm120",
                "the generation whose rules hold (none: everything is stated, "
                "nothing carried over)");
    write_number(out, "peak_tflops.", "DTYPE", PEAK[0], PEAK[1],
                 "a dense peak, 10^12 flop/s; `f32` must be there (the rate of "
                 "f32)");
    for (int i = 0; i < (int)N_NUMBERS; i++)
        write_number(out, "", NUMBERS[i].path, NUMBERS[i].least,
                     NUMBERS[i].most, NUMBERS[i].what);
    write_field(out, "tiles", "list of [rows, columns]",
                "output tiles that the library has kernels for (with `arch`: a "
                "list)");
    write_number(out, "", "max_split", 1, MOST_SPLITS,
                 "into how many parts the library splits K (with `arch`: 16)");
    write_field(out, "links[].name", "text", "of a tier, the nearest first");
    write_number(out, "links[].", "gpus", 2, MOST_GPUS,
                 "GPUs that it reaches, more than the one before");
    write_number(out, "links[].", "gbytes_per_s", LINK[0], LINK[1],
                 "out of one GPU in one direction, 10^9 bytes/s");
    write_number(out, "links[].", "extra_us", 0, MOST_EXTRA_US,
                 "of a step (0)");
    write_field(out, "links[].kind", "plain, switch, pcie",
                "one that adds up, or one without peers (with `arch`: by the "
                "name, else plain)");
    write_number(out, "links[].", "sigma", SIGMA[0], SIGMA[1],
                 "how far off an assumed one may be (0.5)");
    write_field(out, "links[].from",
                "datasheet, measured, transferred, assumed", "where the bandwidth is from");
    for (int i = 0; i < HAR_N_COEF; i++)
        write_number(out, "coefficients.", har_coef_key(i), COEFS[i][0],
                     COEFS[i][1], COEF_WHAT[i]);
    write_field(out, "coefficients_from", "MACHINE",
                "whose measured coefficients are carried over (a100-sxm)");
    for (int i = 0; i < HAR_N_KIND; i++)
        write_number(out, "sigma.", har_kind_name(i), SIGMA[0], SIGMA[1],
                     "relative uncertainty of that kind, one sigma");
}

void har_machine_clamp(har_machine *m)
{
    for (int i = 0; i < (int)N_NUMBERS; i++) {
        double value;
        const double unit = NUMBERS[i].unit;
        memcpy(&value, (char *)m + NUMBERS[i].offset, sizeof value);
        value =
            har__within(value, NUMBERS[i].least * unit, NUMBERS[i].most * unit);
        memcpy((char *)m + NUMBERS[i].offset, &value, sizeof value);
    }
    for (int i = 0; i < HAR_N_UNIT; i++)
        if (m->peak[i] != 0)
            m->peak[i] =
                har__within(m->peak[i], PEAK[0] * 1e12, PEAK[1] * 1e12);
    for (int i = 0; i < m->n_link; i++)
        m->link[i].bw =
            har__within(m->link[i].bw, LINK[0] * 1e9, LINK[1] * 1e9);
    for (int i = 0; i < HAR_N_COEF; i++)
        m->coef[i].value =
            har__within(m->coef[i].value, COEFS[i][0], COEFS[i][1]);
    for (int i = 0; i < HAR_N_KIND; i++)
        m->sigma[i].value = har__within(m->sigma[i].value, SIGMA[0], SIGMA[1]);
    har_rates_clamp(&m->rates);
}

static core_status read_peak(reader *r, const core_yaml_entry *e,
                             const char *name)
{
    int unit = 0;
    CORE_FAIL_IF(!har_unit_of_word(&unit, name), CORE_E_FORMAT,
                 "%s:%d:%d: %s: unknown dtype", r->file, e->line, e->column,
                 e->path);
    double *peak = &r->m.peak[unit];
    CORE_FAIL_IF(*peak != 0, CORE_E_FORMAT,
                 "%s:%d:%d: %s: another word for a dtype already given",
                 r->file, e->line, e->column, e->path);
    CORE_TRY(har__read_number(r->file, e, PEAK[0], PEAK[1], peak));
    *peak *= 1e12;
    return CORE_OK;
}

static core_status read_tile(reader *r, const core_yaml_entry *e,
                             const char *rest)
{
    int tile = 0, side = 0, n = 0;
    if (sscanf(rest, "%d][%d]%n", &tile, &side, &n) != 2 || n == 0 ||
        rest[n] != '\0' || side > 1)
        return har__read_refuse(r->file, e, "pairs of rows and columns");
    if (tile >= HAR_MAX_TILES)
        return har__read_refuse(r->file, e, "at most 12 tiles");
    r->m.n_tile = tile + 1;
    return whole(r, e, 1, 4096, &r->m.tile[tile][side]);
}

static core_status read_link(reader *r, const core_yaml_entry *e,
                             const char *rest)
{
    int i = 0, n = 0;
    if (sscanf(rest, "%d].%n", &i, &n) != 1 || n == 0)
        return har__read_refuse(r->file, e, "links with name, gpus and so on");
    if (i >= HAR_MAX_LINKS)
        return har__read_refuse(r->file, e, "at most 4 links");
    r->m.n_link = i + 1;
    har_link *link = &r->m.link[i];
    const char *key = rest + n;
    if (strcmp(key, "name") == 0)
        return word(r, e, link->name, sizeof link->name);
    if (strcmp(key, "gpus") == 0)
        return whole(r, e, 2, MOST_GPUS, &link->n_gpu);
    if (strcmp(key, "from") == 0) {
        r->link_from[i] = true;
        return origin(r, e, &link->origin);
    }
    if (strcmp(key, "gbytes_per_s") == 0) {
        CORE_TRY(har__read_number(r->file, e, LINK[0], LINK[1], &link->bw));
        link->bw *= 1e9;
        return CORE_OK;
    }
    if (strcmp(key, "kind") == 0)
        return link_kind(r, e, &link->kind);
    if (strcmp(key, "sigma") == 0)
        return har__read_number(r->file, e, SIGMA[0], SIGMA[1], &link->sigma);
    if (strcmp(key, "extra_us") == 0) {
        CORE_TRY(har__read_number(r->file, e, 0, MOST_EXTRA_US, &link->alpha));
        link->alpha *= 1e-6;
        return CORE_OK;
    }
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: unknown key", r->file, e->line,
              e->column, e->path);
}

/* KEY.value and KEY.from of one entry. */
static core_status read_value(const reader *r, const core_yaml_entry *e,
                              const char *rest, double least, double most,
                              har_value *out, bool *has, bool *has_from)
{
    if (strcmp(rest, ".value") == 0) {
        *has = true;
        return har__read_number(r->file, e, least, most, &out->value);
    }
    if (strcmp(rest, ".from") == 0) {
        *has_from = true;
        return origin(r, e, &out->origin);
    }
    return har__read_refuse(r->file, e, "{value: NUMBER, from: WORD}");
}

static core_status read_coef(reader *r, const core_yaml_entry *e,
                             const char *key)
{
    const char *rest = NULL;
    for (int i = 0; i < HAR_N_COEF; i++)
        if (core_text_after(key, har_coef_key(i), &rest) &&
            (*rest == '.' || *rest == '\0'))
            return read_value(r, e, rest, COEFS[i][0], COEFS[i][1],
                              &r->m.coef[i], &r->coef[i], &r->coef_from[i]);
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: unknown key", r->file, e->line,
              e->column, e->path);
}

static core_status read_sigma(reader *r, const core_yaml_entry *e,
                              const char *key)
{
    const char *rest = NULL;
    for (int i = 0; i < HAR_N_KIND; i++)
        if (core_text_after(key, har_kind_name(i), &rest) &&
            (*rest == '.' || *rest == '\0'))
            return read_value(r, e, rest, SIGMA[0], SIGMA[1], &r->m.sigma[i],
                              &r->sigma[i], &r->sigma_from[i]);
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: unknown key", r->file, e->line,
              e->column, e->path);
}

static core_status read_entry(reader *r, const core_yaml_entry *e)
{
    const char *rest = NULL;
    if (strcmp(e->path, "machine") == 0)
        return word(r, e, r->m.name, sizeof r->m.name);
    if (strcmp(e->path, "about") == 0)
        return CORE_OK;
    if (strcmp(e->path, "price") == 0)
        return har__read_number(r->file, e, PRICE[0], PRICE[1], &r->m.price);
    if (strcmp(e->path, "arch") == 0)
        return har_arch_of_word(&r->m.arch, e->text)
                   ? CORE_OK
                   : har__read_refuse(r->file, e,
                                      "sm80, sm89, sm90, sm100 or sm120");
    if (strcmp(e->path, "coefficients_from") == 0)
        return word(r, e, r->reference, sizeof r->reference);
    if (strcmp(e->path, "max_split") == 0)
        return whole(r, e, 1, MOST_SPLITS, &r->m.max_split);
    for (int i = 0; i < (int)N_NUMBERS; i++)
        if (strcmp(e->path, NUMBERS[i].path) == 0) {
            double value = 0;
            CORE_TRY(har__read_number(r->file, e, NUMBERS[i].least,
                                      NUMBERS[i].most, &value));
            value *= NUMBERS[i].unit;
            memcpy((char *)&r->m + NUMBERS[i].offset, &value, sizeof value);
            return CORE_OK;
        }
    if (core_text_after(e->path, "peak_tflops.", &rest))
        return read_peak(r, e, rest);
    if (core_text_after(e->path, "tiles[", &rest))
        return read_tile(r, e, rest);
    if (core_text_after(e->path, "links[", &rest))
        return read_link(r, e, rest);
    if (core_text_after(e->path, "coefficients.", &rest))
        return read_coef(r, e, rest);
    if (core_text_after(e->path, "sigma.", &rest))
        return read_sigma(r, e, rest);
    if (har_rates_owns(e))
        return har_rates_take(&r->m.rates, r->file, e);
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: unknown key", r->file, e->line,
              e->column, e->path);
}

/* --- what must be there --- */

/* Files of before links had a sigma say nothing about it. */
static void assume_sigma(har_machine *m)
{
    for (int i = 0; i < m->n_link; i++)
        if (m->link[i].origin == HAR_ASSUMED && !(m->link[i].sigma > 0))
            m->link[i].sigma = HAR_ASSUMED_LINK_SIGMA;
}

static core_status check_links(const reader *r)
{
    const har_machine *m = &r->m;
    CORE_FAIL_IF(m->n_link == 0, CORE_E_FORMAT,
                 "%s: links: missing, expected at least one", r->file);
    for (int i = 0; i < m->n_link; i++) {
        const har_link *link = &m->link[i];
        CORE_FAIL_IF(link->name[0] == '\0' || link->n_gpu == 0 ||
                         !(link->bw > 0) || !r->link_from[i],
                     CORE_E_FORMAT,
                     "%s: links[%d]: expected name, gpus, gbytes_per_s and "
                     "from",
                     r->file, i);
        CORE_FAIL_IF(i > 0 && link->n_gpu <= m->link[i - 1].n_gpu,
                     CORE_E_FORMAT,
                     "%s: links[%d].gpus: expected more than the %d of the "
                     "link before, found %d",
                     r->file, i, m->link[i - 1].n_gpu, link->n_gpu);
    }
    return CORE_OK;
}

static core_status check_complete(const reader *r)
{
    const har_machine *m = &r->m;
    CORE_FAIL_IF(m->name[0] == '\0', CORE_E_FORMAT, "%s: machine: missing",
                 r->file);
    CORE_FAIL_IF(!(m->peak[CORE_DTYPE_F32] > 0), CORE_E_FORMAT,
                 "%s: peak_tflops.f32: missing", r->file);
    for (int i = 0; i < (int)N_NUMBERS; i++) {
        double value = 0;
        memcpy(&value, (const char *)m + NUMBERS[i].offset, sizeof value);
        CORE_FAIL_IF(!(value > 0), CORE_E_FORMAT, "%s: %s: missing", r->file,
                     NUMBERS[i].path);
    }
    CORE_FAIL_IF(m->n_tile == 0, CORE_E_FORMAT, "%s: tiles: missing", r->file);
    for (int i = 0; i < m->n_tile; i++)
        CORE_FAIL_IF(m->tile[i][0] == 0 || m->tile[i][1] == 0, CORE_E_FORMAT,
                     "%s: tiles[%d]: expected rows and columns", r->file, i);
    CORE_FAIL_IF(m->max_split == 0, CORE_E_FORMAT, "%s: max_split: missing",
                 r->file);
    for (int i = 0; i < HAR_N_COEF; i++)
        CORE_FAIL_IF(!r->coef[i] || !r->coef_from[i], CORE_E_FORMAT,
                     "%s: coefficients.%s: expected {value: NUMBER, from: "
                     "WORD}, found none",
                     r->file, har_coef_key(i));
    for (int i = 0; i < HAR_N_KIND; i++)
        CORE_FAIL_IF(!r->sigma[i] || !r->sigma_from[i], CORE_E_FORMAT,
                     "%s: sigma.%s: expected {value: NUMBER, from: WORD}, "
                     "found none",
                     r->file, har_kind_name(i));
    CORE_TRY(har_rates_check(&m->rates, r->file));
    return check_links(r);
}

static core_status read_all(reader *r, const char *text)
{
    core_yaml_list yaml;
    core_status status =
        core_yaml_list_read(&yaml, text, r->file, "a machine", "samples");
    for (size_t i = 0; i < yaml.n && status == CORE_OK; i++)
        status = read_entry(r, &yaml.at[i]);
    core_yaml_list_free(&yaml);
    return status;
}

static core_status parse(har_machine *out, const char *text, const char *name,
                         int depth)
{
    reader r = {.file = name};
    CORE_TRY(read_all(&r, text));
    const har__stated stated = {name,        r.reference, depth,       r.coef,
                                r.coef_from, r.sigma,     r.sigma_from};
    CORE_TRY(har__fill_in(&r.m, &stated));
    CORE_TRY(check_complete(&r));
    assume_sigma(&r.m);
    *out = r.m;
    return CORE_OK;
}

core_status har_machine_parse(har_machine *out, const char *text,
                              const char *name)
{
    return parse(out, text, name, 0);
}

/* --- files --- */

static core_status read_file(char **out, const char *path)
{
    CORE_FAIL_IF(
        access(path, F_OK) != 0, CORE_E_FILE,
        "%s: %s; machines that come with the program are gpu-400t-64g, "
        "a100-sxm, h100-sxm and those of `moeparity perf machines`",
        path, strerror(errno));
    return core_text_read(out, path, MAX_FILE_BYTES);
}

core_status har_machine_text(char **out, const char *name)
{
    const char *preset = NULL, *text = NULL;
    for (int i = 0; har_machine_preset(i, &preset, &text); i++)
        if (strcmp(preset, name) == 0) {
            *out = strdup(text);
            CORE_FAIL_IF(*out == NULL, CORE_E_MEMORY,
                         "%s: no memory to read it", name);
            return CORE_OK;
        }
    return read_file(out, name);
}

core_status har__machine_open(har_machine *out, const char *name, int depth)
{
    char *text = NULL;
    CORE_TRY(har_machine_text(&text, name));
    const core_status status = parse(out, text, name, depth);
    free(text);
    return status;
}

core_status har_machine_open(har_machine *out, const char *name)
{
    return har__machine_open(out, name, 0);
}
