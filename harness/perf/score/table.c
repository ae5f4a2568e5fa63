/* harness/perf/score/table.c -- from lines of text to shapes.
 *
 * A format is a list of columns: its header must name exactly those, in that
 * order.  Numbers are read by position; what they mean is in table_shapes.c.
 * The hash of a shape is made from the text of its columns, the measured ones
 * left out, so that two rows of one shape fall on the same side of the split.
 */
#include "harness/perf/score/table_impl.h"

#include "core/base/arena.h"
#include "core/files/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1024, MAX_FILE_BYTES = 1 << 28 };

/* --- one line --- */

/* Cut at commas in place; the number of fields, MAX + 1 if there are more. */
static int cut(char *line, char *field[HAR__MAX_FIELDS])
{
    int n = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *at = line; at != NULL; n++) {
        char *comma = strchr(at, ',');
        if (n == HAR__MAX_FIELDS)
            return n + 1;
        field[n] = at;
        if (comma != NULL)
            *comma++ = '\0';
        at = comma;
    }
    return n;
}

/* FNV-1a over the columns of the shape, then mixed. */
static uint64_t hash_of(const har__line *l)
{
    uint64_t h = 14695981039346656037u;
    for (int i = 0; i < l->format->n_column; i++) {
        if ((l->format->measured >> i & 1) != 0)
            continue;
        for (const char *c = l->field[i]; *c != '\0'; c++)
            h = (h ^ (unsigned char)*c) * 1099511628211u;
        h = (h ^ ',') * 1099511628211u;
    }
    h ^= h >> 32;
    h *= 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

bool har_is_for_fitting(uint64_t hash)
{
    return hash % 5 == 0;
}

static core_status read_row(const har__line *l, har_row *out)
{
    const har__format *f = l->format;
    double time = 0;
    *out =
        (har_row){.shape = {.kind = l->format->kind, .dtype = CORE_DTYPE_BF16},
                  .line = l->number};
    out->hash = hash_of(l);
    CORE_TRY(har__field_number(l, l->is_second ? f->second : f->time, 1e-6, 1e9,
                               &time));
    out->seconds = time * (f->unit > 0 ? f->unit : 1e-3);
    return l->format->read(l, &out->shape);
}

/* --- the file --- */

static bool fits(const har__format *format, char *const field[], int n)
{
    if (n != format->n_column)
        return false;
    for (int i = 0; i < n; i++)
        if (strcmp(field[i], format->column[i]) != 0)
            return false;
    return true;
}

/* How many columns, from the left, are those of a format. */
static int agreeing(const har__format *format, char *const field[], int n)
{
    int i = 0;
    while (i < n && i < format->n_column &&
           strcmp(field[i], format->column[i]) == 0)
        i++;
    return i;
}

/* Its header line; returns text. */
static const char *header_of(const har__format *f, char text[MAX_LINE])
{
    size_t n = 0;
    for (int i = 0; i < f->n_column && n < MAX_LINE; i++)
        n += (size_t)snprintf(text + n, MAX_LINE - n, "%s%s", i > 0 ? "," : "",
                              f->column[i]);
    return text;
}

/* Say what the nearest table of the kind has. */
static core_status refuse_header(const char *path, har_kind kind,
                                 char *const field[], int n)
{
    char text[MAX_LINE];
    const har__format *best = NULL;
    int at = -1;
    if (n > HAR__MAX_FIELDS)
        n = HAR__MAX_FIELDS;
    for (int i = 0; i < har__n_format; i++) {
        const har__format *f = &har__format_list[i];
        if (f->kind == kind && agreeing(f, field, n) > at) {
            best = f;
            at = agreeing(f, field, n);
        }
    }
    core_assert(best != NULL); /* of every kind there is a table */
    CORE_FAIL(CORE_E_FORMAT,
              "%s:1:%d: the columns of no known table of kind %s (perf tables "
              "lists them): expected %s, found '%.40s' at column %d",
              path, at + 1, har_kind_name(kind), header_of(best, text),
              at < n ? field[at] : "", at + 1);
}

static core_status read_header(FILE *file, const char *path, har_kind kind,
                               const har__format **out)
{
    char text[MAX_LINE], *field[HAR__MAX_FIELDS];
    CORE_FAIL_IF(fgets(text, sizeof text, file) == NULL, CORE_E_FORMAT,
                 "%s:1:1: an empty table", path);
    const int n = cut(text, field);
    for (int i = 0; i < har__n_format; i++)
        if (fits(&har__format_list[i], field, n)) {
            *out = &har__format_list[i];
            CORE_FAIL_IF((*out)->kind != kind, CORE_E_FORMAT,
                         "%s:1:1: columns of a table of kind %s, expected %s",
                         path, har_kind_name((*out)->kind),
                         har_kind_name(kind));
            return CORE_OK;
        }
    return refuse_header(path, kind, field, n);
}

void har_table_write_formats(FILE *out)
{
    char text[MAX_LINE];
    fputs("| kind | columns | of |\n|---|---|---|\n", out);
    for (int i = 0; i < har__n_format; i++) {
        const har__format *f = &har__format_list[i];
        fprintf(out, "| %s | `%s` | %s |\n", har_kind_name(f->kind),
                header_of(f, text), f->source);
    }
}

static core_status append(har_table *table, int64_t *room, const har_row *row)
{
    har_row *grown = core_grow(table->row, room, table->n + 1, sizeof *grown,
                               "rows of a table");
    if (grown == NULL)
        return CORE_E_MEMORY;
    table->row = grown;
    table->row[table->n++] = *row;
    return CORE_OK;
}

static core_status read_lines(har_table *table, FILE *file, har__line *l)
{
    char text[MAX_LINE];
    int64_t room = 0;
    har_row row;
    for (l->number = 2; fgets(text, sizeof text, file) != NULL; l->number++) {
        CORE_FAIL_IF(strchr(text, '\n') == NULL && !feof(file), CORE_E_FORMAT,
                     "%s:%d:1: a line of more than %d characters", l->path,
                     l->number, MAX_LINE - 2);
        const int n = cut(text, l->field);
        CORE_FAIL_IF(n != l->format->n_column, CORE_E_FORMAT,
                     "%s:%d:%d: expected %d fields, found %s%d", l->path,
                     l->number, n, l->format->n_column,
                     n > HAR__MAX_FIELDS ? "more than " : "",
                     n > HAR__MAX_FIELDS ? HAR__MAX_FIELDS : n);
        if (l->format->skips != NULL && l->format->skips(l))
            continue;
        for (int i = 0; i < (l->format->second > 0 ? 2 : 1); i++) {
            l->is_second = i == 1;
            CORE_TRY(read_row(l, &row));
            CORE_TRY(append(table, &room, &row));
        }
    }
    CORE_FAIL_IF(ferror(file) != 0, CORE_E_FILE, "%s: %s", l->path,
                 strerror(errno));
    CORE_FAIL_IF(table->n == 0, CORE_E_FORMAT, "%s: a table without a row",
                 l->path);
    return CORE_OK;
}

core_status har_table_read(har_table *out, const char *path, har_kind kind)
{
    *out = (har_table){.kind = kind};
    har__line line = {.path = path};
    FILE *file = NULL;
    char *text = NULL;
    CORE_TRY(core_text_stream(&file, &text, path, MAX_FILE_BYTES));
    core_status status = read_header(file, path, kind, &line.format);
    if (status == CORE_OK) {
        out->source = line.format->source;
        status = read_lines(out, file, &line);
    }
    fclose(file);
    free(text);
    return status;
}

core_status har_table_join(har_table *table, har_table *more)
{
    int64_t room = table->n;
    const int64_t n = table->n + more->n;
    har_row *row =
        core_grow(table->row, &room, n, sizeof *row, "rows of a table");
    if (row == NULL)
        return CORE_E_MEMORY;
    memcpy(row + table->n, more->row, (size_t)more->n * sizeof *row);
    table->row = row;
    table->n = n;
    har_table_free(more);
    return CORE_OK;
}

void har_table_free(har_table *table)
{
    free(table->row);
    *table = (har_table){.row = NULL};
}
