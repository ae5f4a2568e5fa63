/* harness/perf/audit/report.c -- the audit as text.
 *
 * First the readings, then one row per claim under the best of them, then the
 * requirements by themselves.  docs/seed-audit.md holds this very output, so a
 * change of wording here changes that page too (a test compares them).
 */
#include "harness/perf/audit/impl.h"

/* What holds under this reading and not under the first, or the other way. */
static void write_changes(const har_audit *a, int i, bool gained, FILE *out)
{
    const char *before = gained ? "      gains " : "      loses ";
    for (int k = 0; k < a->claims->n; k++) {
        const bool here =
            a->reading[i].claim[k].verdict == HAR_CLAIM_HOLDS;
        const bool best =
            a->reading[0].claim[k].verdict == HAR_CLAIM_HOLDS;
        if (here == best || here != gained)
            continue;
        fprintf(out, "%s%s", before, a->claims->at[k].id);
        before = ", ";
    }
    if (before[0] == ',')
        fputc('\n', out);
}

static void write_readings(const har_audit *a, FILE *out)
{
    char text[PAR_PLAN_TEXT + 40];
    fprintf(out, "readings   %lld legal plans searched; * marks those that "
            "satisfy the most claims\n", (long long)a->n_searched);
    for (int i = 0; i < a->n_reading; i++) {
        const har_reading_result *r = &a->reading[i];
        har_reading_write(&r->reading, text, sizeof text);
        fprintf(out, "  %c %s", i < a->n_best ? '*' : ' ', text);
        if (r->reading.exists)
            fprintf(out, " on %d GPUs",
                    har_reading_gpus(&r->reading));
        fprintf(out, ": %d of %d claims hold\n", r->n_verdict[HAR_CLAIM_HOLDS],
                a->claims->n);
        if (r->n_alike > 0)
            fprintf(out,
                    "      and so they do under %d more that differ in degrees "
                    "that nobody states\n",
                    r->n_alike);
        write_changes(a, i, true, out);
        write_changes(a, i, false, out);
    }
}

static void write_others(const har_claims *claims, uint64_t others, FILE *out)
{
    const char *before = " by ";
    for (int i = 0; i < claims->n; i++) {
        if ((others >> i & 1u) == 0)
            continue;
        fprintf(out, "%s%s", before, claims->at[i].id);
        before = ", ";
    }
}

int har_claim_reasons(const har_claim_result *r,
                      const char *line[HAR_MAX_REASONS],
                      char own[HAR_REASON_TEXT])
{
    const har_finding *f = &r->finding;
    const bool wrong =
        r->verdict != HAR_CLAIM_HOLDS && f->verdict != HAR_CLAIM_HOLDS;
    int n = 0;
    for (int i = 0; i < f->n_check && n < 2; i++)
        if (f->check[i].ok != wrong)
            line[n++] = f->check[i].text;
    if (r->note[0] != '\0')
        line[n++] = r->note;
    else if (f->n_check == 0) {
        snprintf(own, HAR_REASON_TEXT,
                 "nothing to hold it against: the document does not state %s",
                 f->missing[0] != '\0' ? f->missing : "what it is part of");
        line[n++] = own;
    }
    return n;
}

/* The claims that the first failing checks rest on. */
static uint64_t blamed(const har_finding *f)
{
    for (int i = 0; i < f->n_check; i++)
        if (!f->check[i].ok && f->check[i].others != 0)
            return f->check[i].others;
    return 0;
}

static void write_claim(const har_audit *a, int i, FILE *out)
{
    const har_claim *c = &a->claims->at[i];
    const har_claim_result *r = &a->reading[0].claim[i];
    const char *line[HAR_MAX_REASONS];
    char place[24] = "", own[HAR_REASON_TEXT];
    if (c->line > 0)
        snprintf(place, sizeof place, "line %d", c->line);
    fprintf(out, "  %-22s %-8s %s %s: %s", c->id, place,
            har_quantity_name(c->quantity), c->written,
            har_claim_verdict_name(r->verdict));
    if (r->verdict == HAR_CLAIM_CONTRADICTED)
        write_others(a->claims, blamed(&r->finding), out);
    for (int w = 0; w < (int)HAR_N_WORDS; w++)
        if (r->depends[w])
            fprintf(out, " (%s = %s: %s)", har_word_name((har_word)w),
                    har_meaning_name((har_word)w, r->meaning[w]),
                    har_claim_verdict_name(r->finding.verdict));
    fputc('\n', out);
    const int n = har_claim_reasons(r, line, own);
    for (int k = 0; k < n; k++)
        fprintf(out, "      %s\n", line[k]);
}

static void write_requirements(const har_audit *a, FILE *out)
{
    bool any = false;
    for (int i = 0; i < a->claims->n; i++) {
        const har_claim *c = &a->claims->at[i];
        if (har__is_figure(c))
            continue;
        if (!any)
            fputs("requirements\n", out);
        any = true;
        fprintf(out, "  %-22s %s %s: %s\n", c->id,
                har_quantity_name(c->quantity), c->written,
                har_claim_verdict_name(a->reading[0].claim[i].verdict));
    }
}

const char *har_audit_counts(const har_audit *a, char text[HAR_REASON_TEXT])
{
    const int *n = a->reading[0].n_verdict;
    snprintf(text, HAR_REASON_TEXT,
             "%d claims: %d hold, %d not reached, %d contradicted, %d "
             "impossible, %d undefined",
             a->claims->n, n[HAR_CLAIM_HOLDS], n[HAR_CLAIM_NOT_REACHED],
             n[HAR_CLAIM_CONTRADICTED], n[HAR_CLAIM_IMPOSSIBLE],
             n[HAR_CLAIM_UNDEFINED]);
    return text;
}

void har_audit_write(const har_audit *a, FILE *out)
{
    char text[HAR_REASON_TEXT];
    fprintf(out, "document   %s\n", a->claims->document);
    fprintf(out, "model      %s\n", a->claims->spec.name);
    write_readings(a, out);
    fputs("claims\n", out);
    for (int i = 0; i < a->claims->n; i++)
        write_claim(a, i, out);
    write_requirements(a, out);
    fprintf(out, "AUDIT      %s\n", har_audit_counts(a, text));
}
