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

/* The first checks that speak for the verdict, two at most, and the note. */
static void write_why(const har_claim_result *r, FILE *out)
{
    const bool wrong =
        r->verdict != HAR_CLAIM_HOLDS && r->finding.verdict != HAR_CLAIM_HOLDS;
    int n = 0;
    fputs("<td class=\"text\">", out);
    for (int i = 0; i < r->finding.n_check && n < 2; i++) {
        if (r->finding.check[i].ok == wrong)
            continue;
        fputs(n++ > 0 ? "<br>" : "", out);
        har_page_text(out, r->finding.check[i].text);
    }
    if (r->note[0] != '\0') {
        fputs(n > 0 ? "<br>" : "", out);
        har_page_text(out, r->note);
    }
    if (r->finding.n_check == 0 && r->note[0] == '\0') {
        fputs("nothing to hold it against: the document does not state ", out);
        har_page_text(out, r->finding.missing[0] != '\0'
                               ? r->finding.missing
                               : "what it is part of");
    }
    fputs("</td>", out);
}

static void write_claim(const har_claim *c, const har_claim_result *r,
                        FILE *out)
{
    char place[32] = "";
    if (c->line > 0)
        snprintf(place, sizeof place, " line %d", c->line);
    fputs("<tr><td>", out);
    har_page_text(out, c->id);
    fputs("<br><small>", out);
    har_page_text(out, place);
    fputs("</small></td><td class=\"says\">", out);
    har_page_text(out, har_quantity_name(c->quantity));
    fputs(" ", out);
    har_page_text(out, c->written);
    fputs("</td>", out);
    har_page_cell(out, class_of(r->verdict),
                  har_claim_verdict_name(r->verdict));
    write_why(r, out);
    fputs("</tr>\n", out);
}

/* What does not hold comes first. */
static void write_table(const har_audit *a, FILE *out)
{
    static const char *const order[] = {"FAIL", "MARGINAL", "PASS"};
    char text[PAR_PLAN_TEXT + 40];
    const int *n = a->reading[0].n_verdict;
    fputs("<dl>", out);
    har_page_fact(out, "document", a->claims->document);
    har_page_fact(out, "model", a->claims->spec.name);
    har_reading_write(&a->reading[0].reading, text, sizeof text);
    har_page_fact(out, "best reading of its plan", text);
    snprintf(text, sizeof text,
             "%d claims: %d hold, %d not reached, %d contradicted, %d "
             "impossible, %d undefined",
             a->claims->n, n[HAR_CLAIM_HOLDS], n[HAR_CLAIM_NOT_REACHED],
             n[HAR_CLAIM_CONTRADICTED], n[HAR_CLAIM_IMPOSSIBLE],
             n[HAR_CLAIM_UNDEFINED]);
    har_page_fact(out, "verdicts", text);
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
