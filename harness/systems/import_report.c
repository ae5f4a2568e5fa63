/* harness/systems/import_report.c -- what an import read, in # lines. */
#include "harness/systems/import_impl.h"

#include <stdio.h>

static void write_settings(const har__found *o, FILE *out, const char *what,
                           const int *list, int n)
{
    if (n == 0)
        return;
    fprintf(out, "# %-13s", what);
    for (int i = 0; i < n; i++) {
        const har_setting *s = &o->settings->item[list[i]];
        fprintf(out, "%s%.*s", i > 0 ? ", " : "", HAR__NAME(s));
        if (s->value != NULL)
            fprintf(out, "%s%s", s->has_equal ? "=" : " ", s->value);
    }
    fputc('\n', out);
}

void har__write_report(const har__found *o, const core_spec *spec,
                       const par_plan *plan, FILE *out)
{
    fprintf(out, "# %s, %d ranks\n", o->row->name, par_plan_world(plan));
    write_settings(o, out, "stated by", o->stated, o->n_stated);
    write_settings(o, out, "replaced", o->replaced, o->n_replaced);
    write_settings(o, out, "not compared", o->uncompared, o->n_uncompared);
    if (o->n_without > 0)
        fprintf(out, "# %-13s%d flag%s:", "no bearing", o->n_without,
                o->n_without == 1 ? "" : "s");
    for (int i = 0; i < o->n_without; i++) {
        const har_setting *s = &o->settings->item[o->without[i]];
        fprintf(out, "%s %.*s", i > 0 ? "," : "", HAR__NAME(s));
    }
    if (o->n_without > 0)
        fputc('\n', out);
    if (o->settings->passed[0] != '\0')
        fprintf(out, "# other lines  %s\n", o->settings->passed);
    if (o->open[0] != '\0')
        fprintf(out, "# taken as empty%s: the script does not set them\n",
                o->open);
    if (spec->n_e > 0 && spec->capacity.rule != CORE_CAPACITY_NONE &&
        !o->facts.of[HAR_F_FACTOR].is_given)
        fprintf(out, "# no token is dropped, and %s has a capacity\n",
                spec->name);
    if (o->row->notes != NULL)
        o->row->notes(&o->facts, spec, out);
    if (o->row->check != NULL && o->row->check(plan, spec) != CORE_OK) {
        fprintf(out, "# --emit refuses it: %s\n", core_message());
        core_message_clear();
    }
}
