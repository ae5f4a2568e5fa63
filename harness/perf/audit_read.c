/* harness/perf/audit_read.c -- a claims file: strict, with the place of each
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
 * What keys, quantities and units may be.  Trap: a published 38,000 says nothing
 * of its rounding, so "=" means the last digit written and `rounding` says
 * otherwise.
 */
#include "harness/perf/audit_impl.h"
#include "harness/perf/audit_yaml.h"

#include <libfyaml.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    har__yaml y;
    har_claims *out;
} reader;

#define FAIL_AT(r, ...) har__yaml_fail(&(r)->y, __VA_ARGS__)

/* Refuse what the claim as a whole lacks, at its id. */
static core_status fail_claim(const reader *r, const har_claim *c,
                              const char *what)
{
    const har__yaml at = {r->y.path, c->at_line, c->at_column};
    return har__yaml_fail(&at, "%s: %s", c->id, what);
}

/* --- numbers --- */

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
        return FAIL_AT(r, "%s: expected a decimal number such as 11.6, found "
                       "'%s'", key, text);
    return CORE_OK;
}

static core_status read_unit(reader *r, har_quantity q, const char *unit,
                             double *factor)
{
    char list[120];
    har_unit_list(har_quantity_dimension(q), list, sizeof list);
    if (!har_unit_factor(har_quantity_dimension(q), unit, factor))
        return FAIL_AT(r, "unit: %s is measured in %s, found '%s'",
                       har_quantity_name(q), list, unit);
    return CORE_OK;
}

static core_status read_quantity(reader *r, const char *name,
                                 har_quantity *out)
{
    if (!har_quantity_find(out, name))
        return FAIL_AT(r, "unknown quantity '%s', see moeparity audit "
                       "--quantities", name);
    return CORE_OK;
}

/* --- given: hardware, assume --- */

static core_status read_given(reader *r, struct fy_node *map, const char *what)
{
    har__field fields[HAR__YAML_KEYS];
    int n = 0;
    CORE_TRY(har__yaml_map(&r->y, map, what, fields, &n));
    for (int i = 0; i < n; i++) {
        har_quantity q;
        double value = 0.0, last = 0.0, factor = 0.0;
        char text[HAR__YAML_TEXT];
        r->y.line = fields[i].line;
        r->y.column = fields[i].column;
        CORE_TRY(read_quantity(r, fields[i].key, &q));
        CORE_TRY(har__yaml_scalar(&r->y, fields[i].value, text, sizeof text,
                             fields[i].key));
        const size_t digits = strcspn(text, " ");
        const char *unit = text[digits] == ' ' ? text + digits + 1 : "1";
        text[digits] = '\0';
        CORE_TRY(read_number(r, fields[i].key, text, &value, &last));
        CORE_TRY(read_unit(r, q, unit, &factor));
        if (r->out->has_fact[q])
            return FAIL_AT(r, "%s: given twice", fields[i].key);
        r->out->has_fact[q] = true;
        r->out->fact[q] = har_point(value * factor);
    }
    return CORE_OK;
}

/* --- claims --- */

static core_status read_relation(reader *r, const char *text,
                                 har_relation *out)
{
    static const char *const names[] = {"=", "~", "<", "<=", ">", ">="};
    for (int i = 0; i < 6; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (har_relation)i;
            return CORE_OK;
        }
    }
    return FAIL_AT(r, "relation: expected one of = ~ < <= > >=, found '%s'",
                   text);
}

static core_status read_means(reader *r, har_quantity q, const char *text)
{
    const int word = har_word_of(q);
    if (word < 0)
        return FAIL_AT(r, "means: %s has one meaning only",
                       har_quantity_name(q));
    int *meaning = &r->out->meaning[word];
    for (int m = 1; m <= 2; m++) {
        if (strcmp(text, har_meaning_name((har_word)word, m)) != 0)
            continue;
        if (*meaning != 0 && *meaning != m)
            return FAIL_AT(r, "means: %s, but another claim says %s", text,
                           har_meaning_name((har_word)word, *meaning));
        *meaning = m;
        return CORE_OK;
    }
    return FAIL_AT(r, "means: expected %s or %s, found '%s'",
                   har_meaning_name((har_word)word, 1),
                   har_meaning_name((har_word)word, 2), text);
}

/* Find a key of a claim and look at its value; NULL if it is not there. */
static har__field *look_up(reader *r, har__field *fields, int n, const char *key)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(fields[i].key, key) == 0) {
            har__yaml_look_at(&r->y, fields[i].value);
            return &fields[i];
        }
    }
    return NULL;
}

static core_status read_keys(reader *r, har__field *fields, int n)
{
    static const char *const known[] = {"id",       "quantity", "value",
                                        "unit",     "relation", "rounding",
                                        "line",     "quote",    "means"};
    for (int i = 0; i < n; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            found = found || strcmp(fields[i].key, known[k]) == 0;
        r->y.line = fields[i].line;
        r->y.column = fields[i].column;
        if (!found)
            return FAIL_AT(r, "unknown key '%s' of a claim", fields[i].key);
        CORE_TRY(har__yaml_scalar(&r->y, fields[i].value, fields[i].text,
                             sizeof fields[i].text, fields[i].key));
    }
    return CORE_OK;
}

static bool is_exact(har_dimension d)
{
    return d == HAR_DIM_COUNT || d == HAR_DIM_TOKENS || d == HAR_DIM_SEQUENCES;
}

static core_status set_range(reader *r, har_claim *c, const har__field *rounding,
                             double last, double factor)
{
    double half = is_exact(har_quantity_dimension(c->quantity)) ? 0.0
                                                                : last / 2.0;
    if (rounding != NULL) {
        double step = 0.0, ignored = 0.0;
        CORE_TRY(read_number(r, "rounding", rounding->text, &step, &ignored));
        half = step / 2.0;
    }
    half *= factor;
    c->range = (har_interval){c->value - half, c->value + half};
    if (c->relation == HAR_REL_LT || c->relation == HAR_REL_LE)
        c->range = (har_interval){0.0, c->value};
    if (c->relation == HAR_REL_GT || c->relation == HAR_REL_GE)
        c->range = (har_interval){c->value, INFINITY};
    if (c->range.lo < 0.0)
        c->range.lo = 0.0;
    return CORE_OK;
}

static core_status read_value(reader *r, har_claim *c, har__field *fields, int n)
{
    static const char *const sign[] = {"", "about ", "< ", "<= ", "> ", ">= "};
    double last = 0.0, factor = 1.0, number = 0.0;
    const har__field *f = look_up(r, fields, n, "relation");
    if (f != NULL)
        CORE_TRY(read_relation(r, f->text, &c->relation));
    f = look_up(r, fields, n, "value");
    if (f == NULL)
        return fail_claim(r, c, "value is missing");
    const char *digits = f->text;
    CORE_TRY(read_number(r, "value", digits, &number, &last));
    f = look_up(r, fields, n, "unit");
    const char *unit = f != NULL ? f->text : "1";
    if (f != NULL || !is_exact(har_quantity_dimension(c->quantity)))
        CORE_TRY(read_unit(r, c->quantity, unit, &factor));
    c->value = number * factor;
    snprintf(c->written, sizeof c->written, "%s%.20s%s%.20s",
             sign[c->relation], digits, strcmp(unit, "1") == 0 ? "" : " ",
             strcmp(unit, "1") == 0 ? "" : unit);
    f = look_up(r, fields, n, "rounding");
    if (c->relation == HAR_REL_ABOUT && f == NULL)
        return fail_claim(r, c, "relation ~ needs a rounding");
    return set_range(r, c, f, last, factor);
}

static core_status read_origin(reader *r, har_claim *c, har__field *fields, int n)
{
    double line = 0.0, last = 0.0;
    const har__field *f = look_up(r, fields, n, "quote");
    if (f != NULL && strlen(f->text) >= sizeof c->quote)
        return FAIL_AT(r, "quote: at most %zu characters",
                       sizeof c->quote - 1);
    if (f != NULL)
        snprintf(c->quote, sizeof c->quote, "%.199s", f->text);
    f = look_up(r, fields, n, "line");
    if (f == NULL)
        return CORE_OK;
    CORE_TRY(read_number(r, "line", f->text, &line, &last));
    if (!(last == 1.0 && line >= 1.0 && line < 1e6))
        return FAIL_AT(r, "line: expected a line number, found '%s'", f->text);
    c->line = (int)line;
    return CORE_OK;
}

static core_status read_id(reader *r, har_claim *c, const har__field *f)
{
    if (strlen(f->text) >= sizeof c->id)
        return FAIL_AT(r, "id: at most %zu characters", sizeof c->id - 1);
    snprintf(c->id, sizeof c->id, "%.39s", f->text);
    for (int i = 0; i < r->out->n; i++)
        if (strcmp(r->out->at[i].id, c->id) == 0)
            return FAIL_AT(r, "id: '%s' is also in line %d", c->id,
                           r->out->at[i].at_line);
    c->at_line = r->y.line;
    c->at_column = r->y.column;
    return CORE_OK;
}

static core_status read_claim(reader *r, struct fy_node *node)
{
    har__field fields[HAR__YAML_KEYS];
    int n = 0;
    har_claim c = {.relation = HAR_REL_EQ};
    if (r->out->n == HAR_MAX_CLAIMS)
        return FAIL_AT(r, "more than %d claims", HAR_MAX_CLAIMS);
    CORE_TRY(har__yaml_map(&r->y, node, "a claim", fields, &n));
    CORE_TRY(read_keys(r, fields, n));
    const har__field *f = look_up(r, fields, n, "id");
    if (f == NULL)
        return FAIL_AT(r, "a claim without id");
    CORE_TRY(read_id(r, &c, f));
    f = look_up(r, fields, n, "quantity");
    if (f == NULL)
        return FAIL_AT(r, "%s: quantity is missing", c.id);
    CORE_TRY(read_quantity(r, f->text, &c.quantity));
    CORE_TRY(read_value(r, &c, fields, n));
    CORE_TRY(read_origin(r, &c, fields, n));
    f = look_up(r, fields, n, "means");
    if (f != NULL)
        CORE_TRY(read_means(r, c.quantity, f->text));
    r->out->at[r->out->n++] = c;
    return CORE_OK;
}

static core_status read_claims(reader *r, struct fy_node *list)
{
    void *prev = NULL;
    struct fy_node *item;
    if (list == NULL || fy_node_get_type(list) != FYNT_SEQUENCE)
        return FAIL_AT(r, "claims: expected a list");
    while ((item = fy_node_sequence_iterate(list, &prev)) != NULL)
        CORE_TRY(read_claim(r, item));
    if (r->out->n == 0)
        return FAIL_AT(r, "claims: the list is empty");
    return CORE_OK;
}

/* --- file --- */

static core_status read_section(reader *r, const har__field *f)
{
    char text[HAR__YAML_TEXT];
    har_claims *out = r->out;
    r->y.line = f->line;
    r->y.column = f->column;
    if (strcmp(f->key, "hardware") == 0 || strcmp(f->key, "assume") == 0)
        return read_given(r, f->value, f->key);
    if (strcmp(f->key, "claims") == 0)
        return read_claims(r, f->value);
    const bool known = strcmp(f->key, "document") == 0 ||
                       strcmp(f->key, "source") == 0 ||
                       strcmp(f->key, "model") == 0 ||
                       strcmp(f->key, "plan") == 0;
    if (!known)
        return FAIL_AT(r, "unknown key '%s', expected document, source, model, "
                       "hardware, assume, plan or claims", f->key);
    CORE_TRY(har__yaml_scalar(&r->y, f->value, text, sizeof text, f->key));
    if (strcmp(f->key, "model") == 0)
        CORE_TRY_CTX(core_spec_open(&out->spec, text, NULL),
                     "reading %s:%d:%d", r->y.path, r->y.line, r->y.column);
    else if (strcmp(f->key, "plan") == 0) {
        CORE_TRY_CTX(par_plan_parse(&out->plan, text), "reading %s:%d:%d",
                     r->y.path, r->y.line, r->y.column);
        out->has_plan = true;
    } else if (strcmp(f->key, "document") == 0)
        snprintf(out->document, sizeof out->document, "%.199s", text);
    else
        snprintf(out->source, sizeof out->source, "%s", text);
    return CORE_OK;
}

static core_status read_root(void *self, struct fy_node *root)
{
    reader *r = self;
    static const char *const needed[] = {"document", "model", "claims"};
    har__field fields[HAR__YAML_KEYS];
    int n = 0;
    r->y.line = r->y.column = 1;
    CORE_TRY(har__yaml_map(&r->y, root, "a claims file", fields, &n));
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        const bool found = look_up(r, fields, n, needed[i]) != NULL;
        r->y.line = r->y.column = 1;
        if (!found)
            return FAIL_AT(r, "%s: is missing", needed[i]);
    }
    for (int i = 0; i < n; i++)
        CORE_TRY(read_section(r, &fields[i]));
    return CORE_OK;
}

core_status har_claims_read(har_claims *out, const char *path)
{
    reader r = {{path, 1, 1}, out};
    memset(out, 0, sizeof *out);
    CORE_TRY(har__yaml_read(path, read_root, &r));
    har__fill_model(out);
    return CORE_OK;
}
