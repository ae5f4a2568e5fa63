/* harness/program/against.c -- see against.h. */
#include "harness/program/against.h"

#include "core/model/gguf_model.h"

typedef struct report {
    FILE *out;
    core_gguf *file; /* NULL: the model is none                               */
    int n;
    core_status status;
} report;

static void write_field(void *self, const char *path, const char *mine,
                        const char *theirs)
{
    report *r = self;
    char source[CORE_GGUF_SOURCE_BYTES] = "";
    if (r->file != NULL && r->status == CORE_OK)
        r->status = core_gguf_source_of(r->file, path, source);
    fprintf(r->out, "%-24s %s, there %s%s%s\n", path, mine, theirs,
            source[0] != '\0' ? "; " : "", source);
    r->n++;
}

core_status har_against_write(FILE *out, const core_spec *spec,
                              const char *model, const core_spec *other,
                              const char *other_model)
{
    report r = {.out = out, .status = CORE_OK};
    if (core_gguf_is_one(model))
        CORE_TRY(core_gguf_open(&r.file, model));
    core_status status = core_spec_compare(spec, other, write_field, &r);
    if (status == CORE_OK)
        status = r.status;
    core_gguf_close(r.file);
    CORE_TRY(status);
    CORE_FAIL_IF(r.n > 0, CORE_E_DIFFERS, "%s: differs from %s in %d field%s",
                 model, other_model, r.n, r.n == 1 ? "" : "s");
    fprintf(out, "%s and %s describe one model\n", model, other_model);
    return CORE_OK;
}
