/* harness/page/sheet_audit.c -- what a document claims, and what became of it.
 */
#include "harness/page/sheet_impl.h"

#include <string.h>

static const char *class_of(har_claim_verdict v)
{
    return v == HAR_CLAIM_HOLDS       ? "PASS"
           : v == HAR_CLAIM_UNDEFINED ? "MARGINAL"
                                      : "FAIL";
}

static void write_claim(const har_claim *c, const har_claim_result *r,
                        FILE *out)
{
    const char *line[HAR_MAX_REASONS];
    char own[HAR_REASON_TEXT];
    const int n = har_claim_reasons(r, line, own);
    fputs("<tr><td>", out);
    har_page_text(out, c->id);
    fputs("<br><small>", out);
    if (c->line > 0)
        fprintf(out, " line %d", c->line);
    fputs("</small></td>", out);
    har_page_cell(out, "says", "%s %s", har_quantity_name(c->quantity),
                  c->written);
    har_page_cell(out, class_of(r->verdict), "%s",
                  har_claim_verdict_name(r->verdict));
    fputs("<td class=\"text\">", out);
    for (int i = 0; i < n; i++) {
        fputs(i > 0 ? "<br>" : "", out);
        har_page_text(out, line[i]);
    }
    fputs("</td></tr>\n", out);
}

/* What does not hold comes first. */
static void write_table(const har_audit *a, FILE *out)
{
    static const char *const order[] = {"FAIL", "MARGINAL", "PASS"};
    char text[PAR_PLAN_TEXT + 40], counts[HAR_REASON_TEXT];
    fputs("<dl>", out);
    har_page_fact(out, "document", "%s", a->claims->document);
    har_page_fact(out, "model", "%s", a->claims->spec.name);
    har_reading_write(&a->reading[0].reading, text, sizeof text);
    har_page_fact(out, "best reading of its plan", "%s", text);
    har_page_fact(out, "verdicts", "%s", har_audit_counts(a, counts));
    fputs("</dl>\n<div class=\"scroll\"><table id=\"claims\"><thead><tr>"
          "<th>claim</th><th>says</th><th>verdict</th><th>why</th></tr>"
          "</thead><tbody>\n",
          out);
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
        for (int i = 0; i < a->claims->n; i++) {
            const har_claim_result *r = &a->reading[0].claim[i];
            if (strcmp(class_of(r->verdict), order[k]) == 0)
                write_claim(&a->claims->at[i], r, out);
        }
    fputs("</tbody></table></div>\n", out);
}

void har__sheet_audit(const har__sheet *s, FILE *out)
{
    har__section(out, "audit", "Audit of published figures",
                 "%s",
                 s->claims != NULL
                     ? "The figures of a document held against each other, "
                       "against hardware and model, and against every plan "
                       "they may mean; not against this page's prediction."
                     : "No claims were given: report --claims FILE audits the "
                       "figures of a document; docs/audit.md says how such a "
                       "file is written.");
    if (s->claims != NULL)
        write_table(&s->audit, out);
    fputs("</section>\n", out);
}
