/* core/model/spec_fields.c -- our own spec file, read and written field by
 * field (spec_table.h).
 */
#include "core/model/spec_table.h"

#include "core/base/nearest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

core_spec core__spec_blank(void)
{
    core_spec spec;
    memset(&spec, 0, sizeof spec); /* specs are compared as bytes in tests */
    spec.embed_scale = spec.residual_scale = spec.logits_divisor = 1.0;
    spec.routed_scale = 1.0;
    spec.rope.factor = 1.0;
    spec.rope.beta_fast = 32.0;
    spec.rope.beta_slow = 1.0;
    spec.rope.attention_factor = 1.0;
    spec.rope.truncate = true;
    spec.other.rope = spec.rope;
    spec.twin_expert = -1;
    return spec;
}

static size_t field_bytes(const core_spec *spec, const core__field *f)
{
    switch (f->type) {
    case CORE__FIELD_NAME:
        return CORE_NAME_BYTES;
    case CORE__FIELD_LAYERS:
        return (size_t)spec->n_l;
    case CORE__FIELD_REALS:
        return (size_t)spec->n_l * sizeof(double);
    case CORE__FIELD_FLAG:
        return sizeof(bool);
    case CORE__FIELD_I64:
    case CORE__FIELD_REAL:
        return sizeof(int64_t);
    case CORE__FIELD_INT:
    case CORE__FIELD_WORD:
        break;
    }
    return sizeof(int);
}

const char *core__spec_difference(const core_spec *a, const core_spec *b)
{
    const core__field *f;
    for (int i = 0; (f = core__spec_field(i)) != NULL; i++)
        if (memcmp((const char *)a + f->offset, (const char *)b + f->offset,
                   field_bytes(a, f)) != 0)
            return f->path;
    return NULL;
}

bool core_spec_beyond(const core_spec *spec, double most, const char **path,
                      double *value)
{
    const core__field *f;
    for (int i = 0; (f = core__spec_field(i)) != NULL; i++) {
        if ((f->type != CORE__FIELD_REAL && f->type != CORE__FIELD_REALS) ||
            !core__field_applies(f, spec))
            continue;
        const double *of = (const double *)((const char *)spec + f->offset);
        *path = f->path;
        for (int64_t l = 0; l < (f->type == CORE__FIELD_REALS ? spec->n_l : 1);
             l++) {
            *value = of[l];
            if (*value != 0.0 &&
                !(fabs(*value) <= most && fabs(*value) >= 1.0 / most))
                return true;
        }
    }
    return false;
}

/* --- reading --- */

static bool parse_integer(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    *out = value;
    return errno == 0 && end != text && *end == '\0' &&
           strspn(text, "-0123456789") == strlen(text);
}

static bool parse_real(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out) &&
           strspn(text, "+-.0123456789eE") == strlen(text);
}

static bool parse_word(const char *text, const char *const *words,
                       unsigned *out)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool parse_name(const char *text, char *out)
{
    const size_t n = strlen(text);
    if (n == 0 || n >= CORE_NAME_BYTES ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789._-") != n)
        return false;
    memset(out, 0, CORE_NAME_BYTES);
    memcpy(out, text, n);
    return true;
}

/* Where an entry stands: "model.yaml:3:7", or "--set gated=no". */
typedef struct where {
    char text[512];
} where;

static where where_is(const core__spec_entries *entries,
                      const core__spec_entry *entry, bool is_key)
{
    where out;
    if (entry->set != NULL)
        snprintf(out.text, sizeof out.text, "--set %.200s", entry->set);
    else
        snprintf(out.text, sizeof out.text, "%.400s:%d:%d", entries->file,
                 is_key ? entry->key_line : entry->line,
                 is_key ? entry->key_column : entry->column);
    return out;
}

static core_status bad_value(const core__spec_entries *entries,
                             const core__spec_entry *entry,
                             const core__field *f)
{
    static const char *const EXPECTED[] = {
        [CORE__FIELD_I64] = "an integer",
        [CORE__FIELD_INT] = "an integer",
        [CORE__FIELD_REAL] = "a number",
        [CORE__FIELD_FLAG] = "true or false",
        [CORE__FIELD_NAME] = "letters, digits, '.', '_' and '-'",
        [CORE__FIELD_REALS] = "a number"};
    char words[1024] = "one of"; /* the families take 300 */
    for (int i = 0; f->words != NULL && f->words[i] != NULL; i++) {
        strncat(words, i > 0 ? ", " : " ", sizeof words - strlen(words) - 1);
        strncat(words, f->words[i], sizeof words - strlen(words) - 1);
    }
    CORE_FAIL(CORE_E_SPEC, "%s: %s: '%s', expected %s",
              where_is(entries, entry, false).text, f->path, entry->text,
              f->words != NULL ? words : EXPECTED[f->type]);
}

static core_status read_value(core_spec *spec, const core__field *f,
                              const core__spec_entries *entries,
                              const core__spec_entry *entry)
{
    void *place = (char *)spec + f->offset;
    const char *text = entry->text;
    int64_t integer = 0;
    bool ok = false;
    switch (f->type) {
    case CORE__FIELD_I64:
        ok = parse_integer(text, place);
        break;
    case CORE__FIELD_INT:
        ok = parse_integer(text, &integer) && integer >= INT32_MIN &&
             integer <= INT32_MAX;
        if (ok)
            *(int *)place = (int)integer;
        break;
    case CORE__FIELD_REAL:
        ok = parse_real(text, place);
        break;
    case CORE__FIELD_FLAG:
        ok = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
        *(bool *)place = strcmp(text, "true") == 0;
        break;
    case CORE__FIELD_WORD:
        ok = parse_word(text, f->words, place);
        break;
    case CORE__FIELD_NAME:
        ok = parse_name(text, place);
        break;
    case CORE__FIELD_LAYERS:
    case CORE__FIELD_REALS:
        break;
    }
    return ok ? CORE_OK : bad_value(entries, entry, f);
}

static const core__spec_entry *find_entry(const core__spec_entries *entries,
                                          const char *path)
{
    for (int i = 0; i < entries->n; i++)
        if (strcmp(entries->at[i].path, path) == 0)
            return &entries->at[i];
    return NULL;
}

/* The entry of layer l; false: it is none. */
static bool parse_layer(core_spec *spec, const core__field *f, const char *text,
                        int l)
{
    void *place = (char *)spec + f->offset;
    unsigned word = 0;
    if (f->type == CORE__FIELD_REALS)
        return parse_real(text, (double *)place + l);
    if (!parse_word(text, f->words, &word))
        return false;
    ((uint8_t *)place)[l] = (uint8_t)word;
    return true;
}

enum { MISSING_BYTES = 800 }; /* as many names as one line may hold */

static void add_missing(char missing[MISSING_BYTES], const core__field *f)
{
    const size_t n = strlen(missing);
    snprintf(missing + n, MISSING_BYTES - n, "%s%s", n > 0 ? ", " : "",
             f->path);
}

/* `ffn: dense`, or `ffn: [moe, dense, moe]` with one word per layer. */
static core_status read_layers(core_spec *spec, const core__field *f,
                               const core__spec_entries *entries,
                               char missing[MISSING_BYTES])
{
    const core__spec_entry *all = find_entry(entries, f->path);
    char item[CORE_SPEC_PATH_BYTES];
    int n = 0;
    if (all != NULL) {
        for (int l = 0; l < CORE_MAX_LAYERS && l < spec->n_l; l++)
            if (!parse_layer(spec, f, all->text, l))
                return bad_value(entries, all, f);
        return CORE_OK;
    }
    snprintf(item, sizeof item, "%s[]", f->path);
    for (int i = 0; i < entries->n; i++) {
        const core__spec_entry *entry = &entries->at[i];
        if (strcmp(entry->path, item) != 0)
            continue;
        CORE_FAIL_IF(
            n == CORE_MAX_LAYERS, CORE_E_SPEC, "%s: %s: more than %d layers",
            where_is(entries, entry, false).text, f->path, CORE_MAX_LAYERS);
        if (!parse_layer(spec, f, entry->text, n++))
            return bad_value(entries, entry, f);
    }
    if (n == 0 && !f->optional)
        add_missing(missing, f);
    CORE_FAIL_IF(n != 0 && spec->n_l > 0 && n != spec->n_l, CORE_E_SPEC,
                 "%s: %s: a list of %d, expected one entry for each of %lld "
                 "layers",
                 entries->file, f->path, n, (long long)spec->n_l);
    return CORE_OK;
}

static core_status read_field(core_spec *spec, const core__field *f,
                              const core__spec_entries *entries,
                              char missing[MISSING_BYTES])
{
    if (core__field_is_by_layer(f))
        return read_layers(spec, f, entries, missing);
    const core__spec_entry *entry = find_entry(entries, f->path);
    const bool applies = core__field_applies(f, spec);
    if (entry == NULL && applies && !f->optional)
        add_missing(missing, f);
    if (entry != NULL && !applies && entries->is_set && entry->set == NULL)
        return CORE_OK;
    CORE_FAIL_IF(entry != NULL && !applies, CORE_E_SPEC,
                 "%s: %s: does not apply to this model",
                 where_is(entries, entry, true).text, f->path);
    return entry == NULL ? CORE_OK : read_value(spec, f, entries, entry);
}

static bool is_known(const char *path)
{
    const core__field *f;
    for (int i = 0; (f = core__spec_field(i)) != NULL; i++) {
        const size_t n = strlen(f->path);
        if (strncmp(f->path, path, n) != 0)
            continue;
        if (path[n] == '\0' ||
            (core__field_is_by_layer(f) && strcmp(path + n, "[]") == 0))
            return true;
    }
    return false;
}

static const char *path_of(const void *self, int i)
{
    (void)self;
    const core__field *f = core__spec_field(i);
    return f != NULL ? f->path : NULL;
}

static core_status check_known(const core__spec_entries *entries,
                               const core__spec_entry *entry)
{
    if (is_known(entry->path))
        return CORE_OK;
    const char *near = core_nearest(entry->path, path_of, NULL);
    CORE_FAIL(CORE_E_SPEC, "%s: %s: unknown field%s%s%s",
              where_is(entries, entry, true).text, entry->path,
              near != NULL ? ", is it '" : "", near != NULL ? near : "",
              near != NULL ? "'?" : "");
}

core_status core__spec_from_entries(core_spec *out,
                                    const core__spec_entries *entries)
{
    char missing[MISSING_BYTES] = "";
    for (int i = 0; i < entries->n; i++)
        CORE_TRY(check_known(entries, &entries->at[i]));
    core_spec spec = core__spec_blank();
    const core__field *f;
    /* whether a field applies may be asked of all layers */
    for (int i = 0; (f = core__spec_field(i)) != NULL; i++) {
        CORE_TRY(read_field(&spec, f, entries, missing));
        CORE_FAIL_IF(spec.n_l > CORE_MAX_LAYERS, CORE_E_SPEC,
                     "%s: layers: %lld, expected 1 to %d", entries->file,
                     (long long)spec.n_l, CORE_MAX_LAYERS);
    }
    CORE_FAIL_IF(missing[0] != '\0', CORE_E_SPEC,
                 "%s: %s: missing; spec --fields says what they are",
                 entries->file, missing);
    *out = spec;
    return CORE_OK;
}

/* --- writing --- */

/* The shortest of two texts that reads back equal. */
static void write_real(double value, FILE *out)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (!(strtod(text, NULL) == value))
        snprintf(text, sizeof text, "%.17g", value);
    fprintf(out, "%s", text);
}

static size_t bytes_of_layer(const core__field *f)
{
    return f->type == CORE__FIELD_REALS ? sizeof(double) : sizeof(uint8_t);
}

static void write_layer(const void *place, const core__field *f, FILE *out)
{
    if (f->type == CORE__FIELD_REALS)
        write_real(*(const double *)place, out);
    else
        fprintf(out, "%s", f->words[*(const uint8_t *)place]);
}

static void write_layers(const core_spec *spec, const core__field *f, FILE *out)
{
    const char *layer = (const char *)spec + f->offset;
    const size_t n = bytes_of_layer(f);
    bool same = true;
    for (size_t l = 1; l < (size_t)spec->n_l; l++)
        same = same && memcmp(layer + l * n, layer, n) == 0;
    for (size_t l = 0; l < (same ? 1 : (size_t)spec->n_l); l++) {
        fprintf(out, "%s", same ? "" : l == 0 ? "[" : ", ");
        write_layer(layer + l * n, f, out);
    }
    fprintf(out, "%s", same ? "" : "]");
}

/* True if an optional field says what its absence says. */
static bool is_blank(const core_spec *spec, const core__field *f)
{
    static const size_t BYTES[] = {[CORE__FIELD_I64] = sizeof(int64_t),
                                   [CORE__FIELD_INT] = sizeof(int),
                                   [CORE__FIELD_REAL] = sizeof(double),
                                   [CORE__FIELD_FLAG] = sizeof(bool),
                                   [CORE__FIELD_WORD] = sizeof(unsigned)};
    const core_spec blank = core__spec_blank();
    const size_t n = core__field_is_by_layer(f)
                         ? (size_t)spec->n_l * bytes_of_layer(f)
                         : BYTES[f->type];
    return memcmp((const char *)spec + f->offset,
                  (const char *)&blank + f->offset, n) == 0;
}

static void write_value(const core_spec *spec, const core__field *f, FILE *out)
{
    const void *place = (const char *)spec + f->offset;
    switch (f->type) {
    case CORE__FIELD_I64:
        fprintf(out, "%lld", (long long)*(const int64_t *)place);
        break;
    case CORE__FIELD_INT:
        fprintf(out, "%d", *(const int *)place);
        break;
    case CORE__FIELD_REAL:
        write_real(*(const double *)place, out);
        break;
    case CORE__FIELD_FLAG:
        fprintf(out, "%s", *(const bool *)place ? "true" : "false");
        break;
    case CORE__FIELD_WORD:
        fprintf(out, "%s", f->words[*(const unsigned *)place]);
        break;
    case CORE__FIELD_NAME:
        fprintf(out, "%s", (const char *)place);
        break;
    case CORE__FIELD_LAYERS:
    case CORE__FIELD_REALS:
        write_layers(spec, f, out);
        break;
    }
}

/* As it would be written; "-" where it would not. */
static core_status text_of(const core_spec *spec, const core__field *f,
                           char **out)
{
    size_t n = 0;
    FILE *stream = open_memstream(out, &n);
    CORE_FAIL_IF(stream == NULL, CORE_E_MEMORY, "no memory for a field");
    if (core__field_applies(f, spec) && !(f->optional && is_blank(spec, f)))
        write_value(spec, f, stream);
    else
        fprintf(stream, "-");
    CORE_FAIL_IF(fclose(stream) != 0, CORE_E_MEMORY, "no memory for a field");
    return CORE_OK;
}

core_status core_spec_compare(const core_spec *a, const core_spec *b,
                              core_spec_differs differs, void *self)
{
    core_status status = CORE_OK;
    const core__field *f;
    for (int i = 0; status == CORE_OK && (f = core__spec_field(i)) != NULL;
         i++) {
        char *mine = NULL, *theirs = NULL;
        status = text_of(a, f, &mine);
        if (status == CORE_OK)
            status = text_of(b, f, &theirs);
        if (status == CORE_OK && f->type != CORE__FIELD_NAME &&
            strcmp(mine, theirs) != 0)
            differs(self, f->path, mine, theirs);
        free(mine);
        free(theirs);
    }
    return status;
}

void core_spec_write_yaml(const core_spec *spec, FILE *out)
{
    char section[CORE_SPEC_PATH_BYTES] = "";
    const core__field *f;
    for (int i = 0; (f = core__spec_field(i)) != NULL; i++) {
        if (!core__field_applies(f, spec) || (f->optional && is_blank(spec, f)))
            continue;
        const char *dot = strchr(f->path, '.');
        const size_t n = dot == NULL ? 0 : (size_t)(dot - f->path);
        if (n > 0 &&
            (strncmp(section, f->path, n) != 0 || section[n] != '\0')) {
            memcpy(section, f->path, n);
            section[n] = '\0';
            fprintf(out, "%s:\n", section);
        }
        fprintf(out, "%s%s: ", n > 0 ? "  " : "",
                n > 0 ? f->path + n + 1 : f->path);
        write_value(spec, f, out);
        fprintf(out, "\n");
    }
}

core_status core_spec_yaml(char **out, const core_spec *spec)
{
    size_t size = 0;
    *out = NULL;
    FILE *stream = open_memstream(out, &size);
    CORE_FAIL_IF(stream == NULL, CORE_E_MEMORY, "no memory for a spec");
    core_spec_write_yaml(spec, stream);
    const bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(*out);
        CORE_FAIL(CORE_E_MEMORY, "no memory for a spec");
    }
    return CORE_OK;
}
