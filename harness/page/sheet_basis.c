/* harness/page/sheet_basis.c -- what the figures rest on: model, machine, and
 * where each of the machine's numbers comes from.
 */
#include "harness/page/sheet_impl.h"

static void write_model(const har__sheet *s, FILE *out)
{
    const core_spec *spec = &s->setup->spec;
    char number[HAR__NUMBER], active[HAR__NUMBER];
    har_page_fact(out, "model", "%s", spec->name);
    har_page_fact(out, "parameters", "%s, %s of them used by a token",
                  har__si(number, (double)core_spec_parameters(spec)),
                  har__si(active, (double)core_spec_active_parameters(spec)));
    har_page_fact(out, "shape",
                  "%lld layers, width %lld, %lld heads, %lld experts of which "
                  "a token uses %lld",
                  (long long)spec->n_l, (long long)spec->n_d,
                  (long long)spec->n_h, (long long)spec->n_e,
                  (long long)spec->n_k);
}

static void write_machine(const har__sheet *s, FILE *out)
{
    static const char *const overlaps[] = {
        [HAR_OVERLAP_NONE] = "no transfer beside computing",
        [HAR_OVERLAP_PIPELINE] = "sends between stages beside computing",
        [HAR_OVERLAP_ALL] = "all transfers beside computing",
        [HAR_OVERLAP_PLANNED] =
            "exchanges of experts beside computing, as the plan has it"};
    const har_machine *m = &s->setup->machine;
    const int unit = har_predict_unit(m, &s->setup->what);
    har_page_fact(out, "machine", "%s", m->name);
    har_page_fact(out, "a GPU", "%.4g TFLOP/s in %s, %.4g TB/s, %.4g GB",
                  m->peak[unit] * 1e-12,
                  har_unit_name(unit), m->memory_bw * 1e-12,
                  m->memory_bytes * 1e-9);
    har_page_fact(out, "overlap", "%s", overlaps[s->setup->what.overlap]);
}

static void write_origin(FILE *out, har_origin origin)
{
    har_page_cell(out, origin == HAR_ASSUMED ? "MARGINAL" : "", "%s",
                  har_origin_name(origin));
    fputs("</tr>\n", out);
}

/* The origin of a coefficient, and how far off one from elsewhere may be. */
static void write_carried(FILE *out, const har_machine *m, har_coef coef)
{
    const double prior = har_prior(m, coef);
    if (prior == 0) {
        write_origin(out, m->coef[coef].origin);
        return;
    }
    har_page_cell(out, "", "%s, one sigma wider by %.3g %%",
                  har_origin_name(m->coef[coef].origin), 100 * prior);
    fputs("</tr>\n", out);
}

static void write_numbers(const har_machine *m, FILE *out)
{
    fputs("<details><summary>Numbers of the machine and where they come from"
          "</summary>\n<div class=\"wide\"><table><thead><tr><th>number</th>"
          "<th class=\"n\">value"
          "</th><th>origin</th></tr></thead><tbody>\n",
          out);
    for (int i = 0; i < m->n_link; i++) {
        fputs("<tr>", out);
        har_page_cell(out, "", "link %.40s, among %d", m->link[i].name,
                      m->link[i].n_gpu);
        har_page_cell(out, "n", "%.4g GB/s", m->link[i].bw * 1e-9);
        write_origin(out, m->link[i].origin);
    }
    for (int i = 0; i < HAR_N_COEF; i++) {
        fputs("<tr>", out);
        har_page_cell(out, "", "%s", har_coef_key((har_coef)i));
        har_page_cell(out, "n", "%.4g", m->coef[i].value);
        write_carried(out, m, (har_coef)i);
    }
    for (int i = 0; i < HAR_N_KIND; i++) {
        fputs("<tr>", out);
        har_page_cell(out, "", "one sigma of %s", har_kind_name((har_kind)i));
        har_page_cell(out, "n", "%.3g %%", 100 * m->sigma[i].value);
        write_origin(out, m->sigma[i].origin);
    }
    fputs("</tbody></table></div></details>\n", out);
}

/* What the intervals hold. */
static void write_interval(const har_sources *x, FILE *out)
{
    char routing[60] = "routing not in it";
    if (x->n_draw > 0)
        snprintf(routing, sizeof routing, "routing %.1f %% (%d other draws)",
                 100 * x->routing, x->n_draw);
    har_page_fact(out, "one sigma of the latency",
                  "operators %.1f %%, assumed links %.1f %%, %s",
                  100 * x->operators, 100 * x->links, routing);
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
