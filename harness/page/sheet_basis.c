/* harness/page/sheet_basis.c -- what the figures rest on: model, machine, and
 * where each of the machine's numbers comes from.
 */
#include "harness/page/sheet_impl.h"

static void write_model(const har__sheet *s, FILE *out)
{
    const core_spec *spec = &s->setup->spec;
    char text[200], number[HAR__NUMBER], active[HAR__NUMBER];
    har_page_fact(out, "model", spec->name);
    snprintf(text, sizeof text, "%s, %s of them used by a token",
             har__si(number, (double)core_spec_parameters(spec)),
             har__si(active, (double)core_spec_active_parameters(spec)));
    har_page_fact(out, "parameters", text);
    snprintf(text, sizeof text,
             "%lld layers, width %lld, %lld heads, %lld experts of which a "
             "token uses %lld",
             (long long)spec->n_l, (long long)spec->n_d, (long long)spec->n_h,
             (long long)spec->n_e, (long long)spec->n_k);
    har_page_fact(out, "shape", text);
}

static void write_machine(const har__sheet *s, FILE *out)
{
    static const char *const overlaps[] = {
        [HAR_OVERLAP_NONE] = "no transfer beside computing",
        [HAR_OVERLAP_PIPELINE] = "sends between stages beside computing",
        [HAR_OVERLAP_ALL] = "all transfers beside computing"};
    const har_machine *m = &s->setup->machine;
    char text[160];
    har_page_fact(out, "machine", m->name);
    snprintf(text, sizeof text, "%.4g TFLOP/s in %s, %.4g TB/s, %.4g GB",
             m->peak[s->setup->what.dtype] * 1e-12,
             core_dtype_name(s->setup->what.dtype), m->memory_bw * 1e-12,
             m->memory_bytes * 1e-9);
    har_page_fact(out, "a GPU", text);
    har_page_fact(out, "overlap", overlaps[s->setup->what.overlap]);
}

static void write_number(FILE *out, const char *name, const char *text,
                         har_origin origin)
{
    fputs("<tr>", out);
    har_page_cell(out, "", name);
    har_page_cell(out, "n", text);
    har_page_cell(out, origin == HAR_ASSUMED ? "MARGINAL" : "",
                  har_origin_name(origin));
    fputs("</tr>\n", out);
}

static void write_numbers(const har_machine *m, FILE *out)
{
    char text[80], name[80];
    fputs("<details><summary>Numbers of the machine and where they come from"
          "</summary>\n<table><thead><tr><th>number</th><th class=\"n\">value"
          "</th><th>origin</th></tr></thead><tbody>\n",
          out);
    for (int i = 0; i < m->n_link; i++) {
        snprintf(name, sizeof name, "link %.40s, among %d", m->link[i].name,
                 m->link[i].n_gpu);
        snprintf(text, sizeof text, "%.4g GB/s", m->link[i].bw * 1e-9);
        write_number(out, name, text, m->link[i].origin);
    }
    for (int i = 0; i < HAR_N_COEF; i++) {
        snprintf(text, sizeof text, "%.4g", m->coef[i].value);
        write_number(out, har_coef_key((har_coef)i), text, m->coef[i].origin);
    }
    for (int i = 0; i < HAR_N_KIND; i++) {
        snprintf(name, sizeof name, "one sigma of %s",
                 har_kind_name((har_kind)i));
        snprintf(text, sizeof text, "%.3g %%", 100 * m->sigma[i].value);
        write_number(out, name, text, m->sigma[i].origin);
    }
    fputs("</tbody></table></details>\n", out);
}

/* What the intervals hold. */
static void write_interval(const har_sources *x, FILE *out)
{
    char text[160], routing[60] = "routing not in it";
    if (x->n_draw > 0)
        snprintf(routing, sizeof routing, "routing %.1f %% (%d other draws)",
                 100 * x->routing, x->n_draw);
    snprintf(text, sizeof text, "operators %.1f %%, assumed links %.1f %%, %s",
             100 * x->operators, 100 * x->links, routing);
    har_page_fact(out, "one sigma of the latency", text);
}

void har__sheet_basis(const har__sheet *s, FILE *out)
{
    har__section(out, "basis", "What the figures rest on",
                 "The plan's operators are counted, each gets its time from "
                 "the machine, and the schedule is replayed: who waits for "
                 "whom. docs/predict.md has the definitions, docs/accuracy.md "
                 "how far such predictions were off.");
    fputs("<dl>", out);
    write_model(s, out);
    write_machine(s, out);
    write_interval(&s->p.sources, out);
    fputs("</dl>\n", out);
    write_numbers(&s->setup->machine, out);
    fputs("</section>\n", out);
}
