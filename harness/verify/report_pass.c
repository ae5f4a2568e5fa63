/* harness/verify/report_pass.c -- what one pass found, for people.
 *
 * Who has a difference wants place, value and count, in this order.
 */
#include "harness/verify/impl.h"

#include "harness/diagnose/report.h"

#include <math.h>
#include <string.h>

static void write_ranks(const har_pass *pass, int64_t i_tap, FILE *out)
{
    int n = 0;
    for (int rank = 0; rank < pass->n_rank; rank++) {
        if (!har_pass_has_rank(pass, i_tap, rank))
            continue;
        int last = rank;
        while (last + 1 < pass->n_rank &&
               har_pass_has_rank(pass, i_tap, last + 1))
            last++;
        fprintf(out, n++ > 0 ? ",%d" : "%d", rank);
        if (last > rank)
            fprintf(out, "-%d", last);
        rank = last;
    }
    const har_rank_set_kind kind = pass->tap[i_tap].ranks;
    if (n == 0)
        fputs("none shows it", out);
    else if (kind != HAR_RANKS_BAD)
        fputs(kind == HAR_RANKS_ROWS ? " with these rows"
                                     : " with other rows, none with these",
              out);
}

static void write_fault(unsigned fault, FILE *out)
{
    static const char *const name[HAR_N_FAULTS] = {
        "value",     "never written (NaN)",          "coverage",   "replicas",
        "precision", "no such tap in the reference", "not rounded"};
    const char *comma = "";
    if ((fault & HAR_FAULT_POISON) != 0)
        fault &= ~(unsigned)HAR_FAULT_VALUE;
    for (unsigned i = 0; i < HAR_N_FAULTS; i++) {
        if (((fault >> i) & 1) == 0)
            continue;
        fprintf(out, "%s%s", comma, name[i]);
        comma = ", ";
    }
}

static void write_place(const har_report *r, const har_pass *pass,
                        const har_tap_result *t, FILE *out)
{
    const int64_t k = r->spec->n_k, row = t->diff.first.row;
    const bool is_choice = core_tap_row_kind(t->tap.kind) == CORE_ROWS_CHOICE;
    const int64_t token = is_choice ? row / k : row;
    fprintf(out,
            "    where      rank %d, round %d, micro-batch %d: row %lld, "
            "token %lld",
            t->first_rank, t->first_round, t->first_mb,
            (long long)(token / pass->n_t), (long long)(token % pass->n_t));
    if (is_choice)
        fprintf(out, ", choice %lld (expert %lld)", (long long)(row % k),
                (long long)t->expert);
    fprintf(out, ", column %lld", (long long)t->diff.first.col);
    const int64_t n_head = core_tap_heads(r->spec, t->tap);
    if (n_head > 0)
        fprintf(out, " (head %lld)",
                (long long)(t->diff.first.col * n_head /
                            core_tap_cols(r->spec, t->tap)));
    fputc('\n', out);
}

/* The rows of a fault of coverage or replicas. */
static void write_rows(const har_tap_result *t, FILE *out)
{
    const bool is_coverage = (t->fault & HAR_FAULT_COVERAGE) != 0;
    if (!is_coverage && (t->fault & HAR_FAULT_REPLICA) == 0)
        return;
    fputs("    rows       ", out);
    if (t->row0 < 0) {
        fputs("beyond the tap's rows or columns\n", out);
        return;
    }
    fprintf(out, "%lld to %lld of the tap: ", (long long)t->row0,
            (long long)t->row1 - 1);
    if (t->n_owned != t->n_wanted)
        fprintf(out, "owners show %lld elements, expected %lld\n",
                (long long)t->n_owned, (long long)t->n_wanted);
    else
        fprintf(out, "%s\n",
                is_coverage
                    ? "not every element has its declared number of owners"
                    : "copies on different ranks are not equal");
}

static void write_first(const har_report *r, const har_pass *pass, FILE *out)
{
    const har_tap_result *t = &pass->tap[pass->first];
    const har_diff *d = &t->diff;
    char name[CORE_NAME_BYTES], text[HAR_PRECISION_TEXT];
    const core_tap_kind kind = t->tap.kind;
    double ratio;
    fprintf(out, "  %-10s first at %s: %s\n",
            t->verdict == HAR_PRECISION ? "PRECISION" : "DIFFERS",
            core_tap_name(t->tap, name), core_tap_words(t->tap.kind));
    fputs("    ranks      ", out);
    write_ranks(pass, pass->first, out);
    fputs(" (", out);
    write_fault(t->fault, out);
    fputs(")\n", out);
    if ((t->fault & HAR_FAULT_PRECISION) != 0)
        fprintf(
            out, "    grade      %s\n",
            har_precision_format(&t->grade, &t->honest,
                                 core_tap_coarsest(pass->numerics, kind),
                                 text));
    if ((t->fault & HAR_FAULT_LATTICE) != 0)
        fprintf(out,
                "    lattice    %s; first on rank %d: row %lld, column %lld\n",
                har_lattice_format(&t->lattice,
                                   core_tap_numerics(pass->numerics, kind),
                                   text),
                t->lattice_rank, (long long)t->lattice.first.row,
                (long long)t->lattice.first.col);
    if (d->n_bad > 0) {
        write_place(r, pass, t, out);
        fprintf(out, "    values     expected %.10g, found %.10g",
                d->first.expected, d->first.found);
        if (d->first.allowed > 0.0)
            fprintf(out, ", allowed error %.3g", d->first.allowed);
        if (har_diff_ratio(d, &ratio))
            fprintf(out, "; found = %.4g x expected everywhere", ratio);
        fprintf(out,
                "\n    how many   %lld of %lld elements, largest error %.4g\n",
                (long long)d->n_bad, (long long)d->n,
                fabs(d->worst.found - d->worst.expected));
    }
    write_rows(t, out);
    fprintf(out, "    in all     %lld of %lld taps differ in this pass\n",
            (long long)pass->n_failed, (long long)pass->n_tap);
}

static void write_wrong_operators(const har_pass *pass, FILE *out)
{
    enum { MAX_LINES = 12 };
    char name[CORE_NAME_BYTES];
    int n = 0;
    if (pass->n_failed == 0) {
        fputs("  forced     no operator is wrong on correct inputs: the fault "
              "lies "
              "between them, or does not repeat\n",
              out);
        return;
    }
    fprintf(out, "  forced     %s on correct inputs: %lld operator%s\n",
            pass->verdict == HAR_PRECISION ? "imprecise" : "wrong",
            (long long)pass->n_failed, pass->n_failed == 1 ? "" : "s");
    for (int64_t i = 0; i < pass->n_tap; i++) {
        const har_tap_result *t = &pass->tap[i];
        if (!har_verdict_is_bad(t->verdict))
            continue;
        if (n++ == MAX_LINES) {
            fprintf(out, "    and %lld more\n",
                    (long long)(pass->n_failed - MAX_LINES));
            break;
        }
        fprintf(out, "    %-28s ranks ", core_tap_name(t->tap, name));
        write_ranks(pass, i, out);
        fprintf(out, ", %lld elements: ", (long long)t->diff.n_bad);
        write_fault(t->fault, out);
        fputc('\n', out);
        if (i == pass->first)
            har_diagnosis_write(&pass->diagnosis, "      ", out);
    }
}

static void write_bounds(const har_pass *pass, FILE *out)
{
    const har_tap_result *w = &pass->tap[pass->worst];
    char name[CORE_NAME_BYTES];
    int64_t n_marginal = 0;
    for (int64_t i = 0; i < pass->n_tap; i++)
        n_marginal += pass->tap[i].diff.n_marginal;
    fprintf(out,
            "  bounds     worst error %.3f of its bound, at %s on rank %d; "
            "%lld elements over half and by more than storing makes\n",
            w->diff.worst_score, core_tap_name(w->tap, name), w->worst_rank,
            (long long)n_marginal);
    const har_tap_result *g = pass->tap;
    for (int64_t i = 1; i < pass->n_tap; i++)
        if (har_tap_ratio(&pass->tap[i]) > har_tap_ratio(g))
            g = &pass->tap[i];
    fprintf(out,
            "  precision  worst rms error %.3f of what %s explains, at %s\n",
            har_tap_ratio(g), core_numerics_name(pass->numerics).text,
            core_tap_name(g->tap, name));
}

static void write_drift(const har_report *r, const har_pass *pass, FILE *out)
{
    const int64_t step = r->spec->n_l > 8 ? (r->spec->n_l + 7) / 8 : 1;
    fputs("  drift      rms error of a free run by layer (not judged):", out);
    for (int64_t i = 0; i < pass->n_tap; i++) {
        const har_tap_result *t = &pass->tap[i];
        if (t->tap.kind == CORE_TAP_OUT &&
            (t->tap.layer % step == 0 || t->tap.layer == r->spec->n_l - 1))
            fprintf(out, " %d:%.1e", t->tap.layer,
                    har_diff_relative_rms(&t->diff));
    }
    fprintf(out,
            "\n  flips      %lld tokens chose other experts, %lld of them "
            "excused by their margin",
            (long long)pass->n_flip, (long long)pass->n_flip_excused);
    if (pass->n_flip > 0)
        fprintf(out, " (largest %.2e)", pass->flip_margin);
    if (pass->n_key_flip > 0)
        fprintf(out, "; %lld queries chose other keys",
                (long long)pass->n_key_flip);
    fputc('\n', out);
}

bool har__explains(const har_case_result *c, int p)
{
    const har_pass *pass = &c->pass[p];
    return p > 0 && pass->mode == HAR_FORCED && pass[-1].mode == HAR_FREE &&
           pass->is_exercise == pass[-1].is_exercise;
}

void har__report_pass(const har_report *r, const har_case_result *c, int p,
                      FILE *out)
{
    const har_pass *pass = &c->pass[p];
    if (har__explains(c, p)) {
        write_wrong_operators(pass, out);
        return;
    }
    fprintf(out, "  compared   %lld elements at %lld taps, %s, %s pass",
            (long long)pass->n_element, (long long)pass->n_tap,
            pass->numerics == CORE_EXACT ? "bit for bit"
            : pass->mode == HAR_FORCED   ? "by bound"
                                         : "routing only",
            har_mode_name(pass->mode));
    if (pass->is_exercise)
        fprintf(out, " of the exercise (batch %lldx%lld, routing dealt)",
                (long long)r->n_b, (long long)pass->n_t);
    fputc('\n', out);
    if (core_has_bounds(pass->numerics) && pass->mode == HAR_FORCED)
        write_bounds(pass, out);
    if (pass->mode == HAR_FORCED_ROUTING)
        write_drift(r, pass, out);
    if (har_verdict_is_bad(pass->verdict))
        write_first(r, pass, out);
    if (har_verdict_is_bad(pass->verdict) && pass->mode == HAR_FORCED)
        write_wrong_operators(pass, out);
}
