/* harness/perf/audit/read.c -- a claims file: strict, with the place of each
 * error.
 *
 *     document: Deployment summary
 *     model: seed-30b
 *     hardware: {peak_flops: 400 TFLOPS, memory_capacity: 64 GB}
 *     claims:
 *       - id: latency
 *         quantity: latency
 *         value: 27
 *         unit: ms
 *
 * What keys, quantities and units may be.  Trap: a published 38,000 says
 * nothing of its rounding, so "=" means the last digit written and `rounding`
 * says otherwise; of "20..22" it is the last digit of either end.
 */
#include "harness/perf/audit/impl.h"

#include "core/files/path.h"
#include "core/files/text.h"
#include "core/files/yaml_list.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 20 };

typedef struct file_key {
    const char *name, *value, *what;
    bool is_needed;
} file_key;

static const file_key OF_FILE[] = {
    {"document", "text", "what is audited", true},
    {"source", "text", "where it is from", false},
    {"model", "MODEL", "what `moeparity spec` takes", true},
    {"hardware", "quantities to numbers",
     "what the document says of a GPU: `peak_flops: 400 TFLOPS`", false},
    {"assume", "quantities to numbers",
     "what nobody states and is taken for granted", false},
    {"plan", "PLAN",
     "the one plan to judge by (every plan that the degrees may mean)", false},
    {"claims", "list", "the figures, each with the keys below", true},
};
enum { N_OF_FILE = sizeof OF_FILE / sizeof OF_FILE[0] };

static const file_key OF_CLAIM[] = {
    {"id", "text", "its name here, which no other claim has", true},
    {"quantity", "a name of `audit --quantities`", "what it is about", true},
    {"value", "number",
     "as published, without a unit or commas; `20..22` is all between", true},
    {"unit", "a unit of the quantity", "of the value; not for counts", false},
    {"relation", "=, ~, <, <=, >, >=",
     "a figure, about a figure, or a requirement (=)", false},
    {"rounding", "number",
     "what the value is rounded to; `~` needs one (a unit of its last digit)",
     false},
    {"means", "a meaning of the word",
     "which one the document means (all are tried)", false},
    {"line", "number", "of the document", false},
    {"quote", "text", "the document's own words", false},
};
enum { N_OF_CLAIM = sizeof OF_CLAIM / sizeof OF_CLAIM[0] };

static void write_keys(FILE *out, const char *before, const file_key *keys,
                       int n)
{
    for (int i = 0; i < n; i++)
        fprintf(out, "| `%s%s` | %s | %s | %s |\n", before, keys[i].name,
                keys[i].is_needed ? "yes" : "no", keys[i].value, keys[i].what);
}

void har_claims_write_fields(FILE *out)
{
    fputs("| field | must it be there? | value | what it is (what its absence "
          "means) |\n|---|---|---|---|\n",
          out);
    write_keys(out, "", OF_FILE, N_OF_FILE);
    write_keys(out, "claims[].", OF_CLAIM, N_OF_CLAIM);
}

/* Where we are: the last thing looked at. */
typedef struct reader {
    const char *path;
    int line, column;
    har_claims *out;
    const core_overrides *overrides;
} reader;

/* Entries under one map; a key is what follows `prefix` bytes of the path. */
typedef struct fields {
    const core_yaml_entry *at;
    int n;
    size_t prefix;
} fields;

static core_status fail_at(const reader *r, const char *fmt, ...)
    CORE_PRINTF(2, 3);

static core_status fail_at(const reader *r, const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s", r->path, r->line, r->column, text);
}

static void look_at(reader *r, const core_yaml_entry *e)
{
    r->line = e->line;
    r->column = e->column;
}

static void look_at_key(reader *r, const core_yaml_entry *e)
{
    r->line = e->key_line;
    r->column = e->key_column;
}

/* Refuse what the claim as a whole lacks, at its id. */
static core_status fail_claim(const reader *r, const har_claim *c,
                              const char *what)
{
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: %s", r->path, c->at_line,
              c->at_column, c->id, what);
}

/* Is `key` the first word of the path? */
static bool is_under(const char *path, const char *key)
{
    const size_t n = strcspn(path, "[.");
    return strlen(key) == n && strncmp(path, key, n) == 0;
}

/* The entry is `key: one line`, and no list or map of lines. */
static core_status check_line(reader *r, const core_yaml_entry *e,
                              const char *key)
{
    const size_t n = strcspn(key, "[.");
    look_at(r, e);
    if (key[n] != '\0' || strchr(e->text, '\n') != NULL)
        return fail_at(r, "%.*s: expected one line of text", (int)n, key);
    return CORE_OK;
}

/* --- numbers --- */

/* Does a text of so many characters say a range, "20..22"?  Its ends. */
static bool split_range(const char *text, char low[CORE_YAML_TEXT],
                        const char **high)
{
    const char *dots = strstr(text, "..");
    if (dots == NULL)
        return false;
    memcpy(low, text, (size_t)(dots - text));
    low[dots - text] = '\0';
    *high = dots + 2;
    return true;
}

/* Digits with at most one point; *last is what one unit of the last digit is
 * worth. */
static bool parse_number(const char *text, double *value, double *last)
{
    const size_t n = strspn(text, "0123456789.");
    const char *point = strchr(text, '.');
    if (n == 0 || text[n] != '\0' || text[0] == '.' || text[n - 1] == '.' ||
        (point != NULL && strchr(point + 1, '.') != NULL))
        return false;
    *value = strtod(text, NULL);
    *last = point == NULL ? 1.0 : pow(10.0, -(double)strlen(point + 1));
    return isfinite(*value);
}

static core_status read_number(reader *r, const char *key, const char *text,
                               double *value, double *last)
{
    if (!parse_number(text, value, last))
        return fail_at(r,
                       "%s: expected a decimal number such as 11.6, found '%s'",
                       key, text);
    return CORE_OK;
}

static core_status read_unit(reader *r, har_quantity q, const char *unit,
                             double *factor)
{
    char list[120];
    har_unit_list(har_quantity_dimension(q), list, sizeof list);
    if (!har_unit_factor(har_quantity_dimension(q), unit, factor))
        return fail_at(r, "unit: %s is measured in %s, found '%s'",
                       har_quantity_name(q), list, unit);
    return CORE_OK;
}

static core_status read_quantity(reader *r, const char *name, har_quantity *out)
{
    if (!har_quantity_find(out, name))
        return fail_at(r,
                       "unknown quantity '%s', see moeparity audit "
                       "--quantities",
                       name);
    return CORE_OK;
}

/* --- given: hardware, assume --- */

static core_status read_given(reader *r, const core_yaml_entry *e,
                              const char *key)
{
    har_quantity q;
    double value = 0.0, last = 0.0, factor = 0.0;
    char text[CORE_YAML_TEXT];
    look_at_key(r, e);
    CORE_TRY(read_quantity(r, key, &q));
    CORE_TRY(check_line(r, e, key));
    memcpy(text, e->text, sizeof text);
    const size_t digits = strcspn(text, " ");
    const char *unit = text[digits] == ' ' ? text + digits + 1 : "1";
    text[digits] = '\0';
    CORE_TRY(read_number(r, key, text, &value, &last));
    CORE_TRY(read_unit(r, q, unit, &factor));
    if (r->out->has_fact[q])
        return fail_at(r, "%s: given twice", key);
    r->out->has_fact[q] = true;
    r->out->fact[q] = har_point(value * factor);
    return CORE_OK;
}

/* --- claims --- */

static core_status read_relation(reader *r, const char *text, har_relation *out)
{
    static const char *const names[] = {"=", "~", "<", "<=", ">", ">="};
    for (int i = 0; i < 6; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (har_relation)i;
            return CORE_OK;
        }
    }
    return fail_at(r, "relation: expected one of = ~ < <= > >=, found '%s'",
                   text);
}

static core_status read_means(reader *r, har_quantity q, const char *text)
{
    const int word = har_word_of(q);
    if (word < 0)
        return fail_at(r, "means: %s has one meaning only",
                       har_quantity_name(q));
    int *meaning = &r->out->meaning[word];
    for (int m = 1; m <= 2; m++) {
        if (strcmp(text, har_meaning_name((har_word)word, m)) != 0)
            continue;
        if (*meaning != 0 && *meaning != m)
            return fail_at(r, "means: %s, but another claim says %s", text,
                           har_meaning_name((har_word)word, *meaning));
        *meaning = m;
        return CORE_OK;
    }
    return fail_at(r, "means: expected %s or %s, found '%s'",
                   har_meaning_name((har_word)word, 1),
                   har_meaning_name((har_word)word, 2), text);
}

/* Find a key of a claim and look at its value; NULL if it is not there. */
static const core_yaml_entry *look_up(reader *r, const fields *f,
                                      const char *key)
{
    for (int i = 0; i < f->n; i++) {
        if (strcmp(f->at[i].path + f->prefix, key) == 0) {
            look_at(r, &f->at[i]);
            return &f->at[i];
        }
    }
    return NULL;
}

static core_status check_keys(reader *r, const fields *f)
{
    for (int i = 0; i < f->n; i++) {
        const char *key = f->at[i].path + f->prefix;
        const size_t n = strcspn(key, "[.");
        bool found = false;
        for (int k = 0; k < N_OF_CLAIM; k++)
            found = found || is_under(key, OF_CLAIM[k].name);
        look_at_key(r, &f->at[i]);
        if (!found)
            return fail_at(r, "unknown key '%.*s' of a claim", (int)n, key);
        CORE_TRY(check_line(r, &f->at[i], key));
    }
    return CORE_OK;
}

static bool is_exact(har_dimension d)
{
    return d == HAR_DIM_COUNT || d == HAR_DIM_TOKENS || d == HAR_DIM_SEQUENCES;
}

/* low, high: what is written, in units of `factor`; last: of its last digit. */
static core_status set_range(reader *r, har_claim *c,
                             const core_yaml_entry *rounding, double low,
                             double high, double last, double factor)
{
    double half =
        is_exact(har_quantity_dimension(c->quantity)) ? 0.0 : last / 2.0;
    if (rounding != NULL) {
        double step = 0.0, ignored = 0.0;
        CORE_TRY(read_number(r, "rounding", rounding->text, &step, &ignored));
        half = step / 2.0;
    }
    half *= factor;
    c->range = (har_interval){low * factor - half, high * factor + half};
    if (c->relation == HAR_REL_LT || c->relation == HAR_REL_LE)
        c->range = (har_interval){0.0, c->value};
    if (c->relation == HAR_REL_GT || c->relation == HAR_REL_GE)
        c->range = (har_interval){c->value, INFINITY};
    if (c->range.lo < 0.0)
        c->range.lo = 0.0;
    return CORE_OK;
}

static core_status read_value(reader *r, har_claim *c, const fields *all)
{
    static const char *const sign[] = {"", "about ", "< ", "<= ", "> ", ">= "};
    double last = 0.0, factor = 1.0, low = 0.0, high = 0.0;
    char first[CORE_YAML_TEXT];
    const char *second = NULL;
    const core_yaml_entry *f = look_up(r, all, "relation");
    if (f != NULL)
        CORE_TRY(read_relation(r, f->text, &c->relation));
    f = look_up(r, all, "value");
    if (f == NULL)
        return fail_claim(r, c, "value is missing");
    const char *digits = f->text;
    const bool is_range = split_range(digits, first, &second);
    CORE_TRY(read_number(r, "value", is_range ? first : digits, &low, &last));
    high = low;
    if (is_range)
        CORE_TRY(read_number(r, "value", second, &high, &last));
    if (is_range && (c->relation != HAR_REL_EQ || !(low < high)))
        return fail_at(r,
                       "value: expected a rising range such as 20..22 with "
                       "relation =, found '%s'",
                       digits);
    f = look_up(r, all, "unit");
    const char *unit = f != NULL ? f->text : "1";
    if (f != NULL || !is_exact(har_quantity_dimension(c->quantity)))
        CORE_TRY(read_unit(r, c->quantity, unit, &factor));
    c->value = (low + high) / 2 * factor;
    snprintf(c->written, sizeof c->written, "%s%.20s%s%.20s", sign[c->relation],
             digits, strcmp(unit, "1") == 0 ? "" : " ",
             strcmp(unit, "1") == 0 ? "" : unit);
    f = look_up(r, all, "rounding");
    if (c->relation == HAR_REL_ABOUT && f == NULL)
        return fail_claim(r, c, "relation ~ needs a rounding");
    return set_range(r, c, f, low, high, last, factor);
}

static core_status read_origin(reader *r, har_claim *c, const fields *all)
{
    double line = 0.0, last = 0.0;
    const core_yaml_entry *f = look_up(r, all, "quote");
    if (f != NULL && strlen(f->text) >= sizeof c->quote)
        return fail_at(r, "quote: at most %zu characters", sizeof c->quote - 1);
    if (f != NULL)
        snprintf(c->quote, sizeof c->quote, "%.199s", f->text);
    f = look_up(r, all, "line");
    if (f == NULL)
        return CORE_OK;
    CORE_TRY(read_number(r, "line", f->text, &line, &last));
    if (!(last == 1.0 && line >= 1.0 && line < 1e6))
        return fail_at(r, "line: expected a line number, found '%s'", f->text);
    c->line = (int)line;
    return CORE_OK;
}

static core_status read_id(reader *r, har_claim *c, const core_yaml_entry *f)
{
    if (strlen(f->text) >= sizeof c->id)
        return fail_at(r, "id: at most %zu characters", sizeof c->id - 1);
    snprintf(c->id, sizeof c->id, "%.39s", f->text);
    for (int i = 0; i < r->out->n; i++)
        if (strcmp(r->out->at[i].id, c->id) == 0)
            return fail_at(r, "id: '%s' is also in line %d", c->id,
                           r->out->at[i].at_line);
    c->at_line = r->line;
    c->at_column = r->column;
    return CORE_OK;
}

static core_status read_claim(reader *r, const fields *all)
{
    har_claim c = {.relation = HAR_REL_EQ};
    if (r->out->n == HAR_MAX_CLAIMS)
        return fail_at(r, "more than %d claims", HAR_MAX_CLAIMS);
    CORE_TRY(check_keys(r, all));
    const core_yaml_entry *f = look_up(r, all, "id");
    if (f == NULL)
        return fail_at(r, "a claim without id");
    CORE_TRY(read_id(r, &c, f));
    f = look_up(r, all, "quantity");
    if (f == NULL)
        return fail_at(r, "%s: quantity is missing", c.id);
    CORE_TRY(read_quantity(r, f->text, &c.quantity));
    CORE_TRY(read_value(r, &c, all));
    CORE_TRY(read_origin(r, &c, all));
    f = look_up(r, all, "means");
    if (f != NULL)
        CORE_TRY(read_means(r, c.quantity, f->text));
    r->out->at[r->out->n++] = c;
    return CORE_OK;
}

/* --- file --- */

/* The claim that begins with entry `first`, and how many entries it has. */
static core_status read_run(reader *r, const core_yaml_list *y, size_t first,
                            size_t *n)
{
    const char *path = y->at[first].path;
    const char *end = strchr(path, ']');
    look_at_key(r, &y->at[first]);
    if (path[strlen("claims")] != '[')
        return fail_at(r, "claims: expected a list");
    if (end[1] != '.')
        return fail_at(r, "a claim: expected 'key: value' lines");
    fields all = {&y->at[first], 0, (size_t)(end + 2 - path)};
    while (first + (size_t)all.n < y->n &&
           strncmp(all.at[all.n].path, path, all.prefix) == 0)
        all.n++;
    *n = (size_t)all.n;
    return read_claim(r, &all);
}

/* A preset's name, or a path from where we are, else from the claims file. */
static core_status read_model(reader *r, const char *name)
{
    char beside[CORE_PATH_BYTES] = "", folder[CORE_PATH_BYTES];
    const char *slash = strrchr(r->path, '/');
    if (slash != NULL && name[0] != '/' && access(name, F_OK) != 0) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - r->path),
                 r->path);
        CORE_TRY(core_path_join(beside, folder, name));
    }
    const bool is_beside = beside[0] != '\0' && access(beside, F_OK) == 0;
    CORE_TRY_CTX(core_config_open(&r->out->spec, NULL, r->overrides,
                                  is_beside ? beside : name),
                 "reading %s:%d:%d", r->path, r->line, r->column);
    return CORE_OK;
}

static core_status read_text(reader *r, const core_yaml_entry *e)
{
    har_claims *out = r->out;
    if (strcmp(e->path, "model") == 0)
        CORE_TRY(read_model(r, e->text));
    else if (strcmp(e->path, "plan") == 0) {
        CORE_TRY_CTX(par_plan_parse(&out->plan, e->text), "reading %s:%d:%d",
                     r->path, r->line, r->column);
        out->has_plan = true;
    } else if (strcmp(e->path, "document") == 0)
        snprintf(out->document, sizeof out->document, "%.199s", e->text);
    else
        snprintf(out->source, sizeof out->source, "%s", e->text);
    return CORE_OK;
}

static core_status read_entry(reader *r, const core_yaml_entry *e)
{
    static const char *const given[] = {"hardware", "assume"};
    static const char *const texts[] = {"document", "source", "model", "plan"};
    const size_t n = strcspn(e->path, "[.");
    look_at_key(r, e);
    for (int i = 0; i < 2; i++) {
        if (!is_under(e->path, given[i]))
            continue;
        return e->path[n] == '.'
                   ? read_given(r, e, e->path + n + 1)
                   : fail_at(r, "%s: expected 'key: value' lines", given[i]);
    }
    for (int i = 0; i < 4; i++) {
        if (!is_under(e->path, texts[i]))
            continue;
        CORE_TRY(check_line(r, e, e->path));
        return read_text(r, e);
    }
    return fail_at(r,
                   "unknown key '%.*s', expected document, source, model, "
                   "hardware, assume, plan or claims",
                   (int)n, e->path);
}

static bool has_key(const core_yaml_list *y, const char *key)
{
    for (size_t i = 0; i < y->n; i++)
        if (is_under(y->at[i].path, key))
            return true;
    return false;
}

static core_status read_list(reader *r, const core_yaml_list *y)
{
    for (int i = 0; i < N_OF_FILE; i++)
        if (OF_FILE[i].is_needed && !has_key(y, OF_FILE[i].name))
            return fail_at(r, "%s: is missing", OF_FILE[i].name);
    for (size_t i = 0, n = 1; i < y->n; i += n, n = 1) {
        if (is_under(y->at[i].path, "claims"))
            CORE_TRY(read_run(r, y, i, &n));
        else
            CORE_TRY(read_entry(r, &y->at[i]));
    }
    return CORE_OK;
}

core_status har_claims_read(har_claims *out, const char *path,
                            const core_overrides *overrides)
{
    reader r = {path, 1, 1, out, overrides};
    core_yaml_list y;
    char *text = NULL;
    memset(out, 0, sizeof *out);
    CORE_TRY(core_text_read(&text, path, MAX_FILE_BYTES));
    core_status status =
        core_yaml_list_read(&y, text, path, "a claims file", NULL);
    if (status == CORE_OK)
        status = read_list(&r, &y);
    core_yaml_list_free(&y);
    free(text);
    CORE_TRY(status);
    har__fill_model(out);
    return CORE_OK;
}
