/* core/model/spec_help.c -- the fields of a spec file in words, as a table. */
#include "core/model/spec_table.h"

#include <string.h>

/* What is expected: a kind of value, or the words that may stand there. */
static void write_values(const core__field *f, FILE *out)
{
    static const char *const KINDS[] = {
        [CORE__FIELD_I64] = "integer", [CORE__FIELD_INT] = "integer",
        [CORE__FIELD_REAL] = "number", [CORE__FIELD_FLAG] = "true, false",
        [CORE__FIELD_NAME] = "text",   [CORE__FIELD_REALS] = "number"};
    if (f->words == NULL)
        fputs(KINDS[f->type], out);
    for (int i = 0; f->words != NULL && f->words[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "", f->words[i]);
    if (core__field_is_by_layer(f))
        fputs("; one, or a list with one for each layer", out);
}

void core_spec_write_fields(FILE *out)
{
    const core__field *f;
    fputs("| field | must it be there? | value | what it is (what its absence "
          "means) |\n|---|---|---|---|\n",
          out);
    for (int i = 0; (f = core__spec_field(i)) != NULL; i++) {
        fprintf(out, "| `%s` | %s%s | ", f->path, f->optional ? "no" : "yes",
                f->when != NULL ? ", if it applies" : "");
        /* a long list: `moeparity spec --families` has it */
        if (strcmp(f->path, "family") == 0)
            fputs("a name of `spec --families`, `seed` or `switch`", out);
        else
            write_values(f, out);
        fprintf(out, " | %s |\n", f->what);
    }
}
