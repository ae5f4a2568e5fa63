/* harness/verify/report.c -- the text report, see report.h.
 *
 * Most runs are clean and most readers want one line, so it comes last.
 */
#include "harness/verify/report.h"

#include "harness/verify/impl.h"
#include "harness/words/words.h"

#include <string.h>

int har__n_case(const har_report *r) { return r->n_numerics * r->n_pass; }

har_verdict har_report_verdict(const har_report *report,
                               const har_case_result **first)
{
    har_verdict worst = HAR_PASS;
    *first = NULL;
    for (int i = 0; i < report->n_plan * har__n_case(report); i++) {
        if (report->result[i].verdict > worst) {
            worst = report->result[i].verdict;
            *first = &report->result[i];
        }
    }
    return worst;
}

core_status har_report_status(const har_report *report)
{
    const har_case_result *first;
    const har_verdict verdict = har_report_verdict(report, &first);
    if (har_verdict_is_bad(verdict))
        return CORE_E_DIFFERS;
    if (verdict == HAR_UNPROVEN ||
        (verdict == HAR_PARTIAL && !report->allows_partial))
        return CORE_E_UNPROVEN;
    return CORE_OK;
}

const char *har_report_word(har_verdict verdict)
{
    switch (verdict) {
    case HAR_PASS:
    case HAR_MARGINAL:
        return "VERIFIED";
    case HAR_PARTIAL:
    case HAR_UNPROVEN:
    case HAR_PRECISION:
        return har_verdict_name(verdict);
    case HAR_FAIL:
        return "DIFFERS";
    }
    return "?";
}

/* --- head --- */

static void write_steps(const har_decode *d, FILE *out)
{
    fprintf(out,
            "decode     %lld steps in %lld slots, %lld of them taken over: "
            "prompts of %lld to %lld tokens, at most %lld in a step, then %lld "
            "single tokens\n",
            (long long)d->n_step, (long long)d->n_slot,
            (long long)(d->n_seq - d->n_slot), (long long)d->least_prompt,
            (long long)d->most_prompt, (long long)d->n_chunk,
            (long long)d->n_alone);
}

static void write_model(const har_report *r, FILE *out)
{
    const core_spec *s = r->spec;
    fprintf(out, "model      %s: %lld layers%s, hidden %lld", s->name,
            (long long)s->n_l, r->is_shortened ? " (shortened)" : "",
            (long long)s->n_d);
    if (s->n_h > 0)
        fprintf(out, ", %lld heads x %lld, %lld kv heads", (long long)s->n_h,
                (long long)s->n_dh, (long long)s->n_g);
    fprintf(out, ", %lld experts, top-%lld\n", (long long)s->n_e,
            (long long)s->n_k);
    fprintf(out, "weights    %s%s\n", r->origin,
            r->is_checkpoint ? " (exact mode: its grid twin)" : "");
    fprintf(out,
            "batch      %lld rows x %lld tokens = %lld tokens, seed %llu%s%s\n",
            (long long)r->n_b, (long long)r->n_t, (long long)(r->n_b * r->n_t),
            (unsigned long long)r->seed, r->is_padded ? ", left-padded" : "",
            r->batch_was_chosen ? ", chosen so that every part has a row and "
                                  "experts have slots"
                                : "");
    if (r->drift > 0)
        fprintf(out,
                "drift      tokens are asked for like 1, 1/2, 1/3 ..; %.3g of "
                "the %lld trade places after each pass\n",
                r->drift, (long long)s->n_v);
    if (r->decode != NULL)
        write_steps(r->decode, out);
}

static void write_stages(const par_plan *plan, const core_spec *spec, FILE *out)
{
    fputs("layers ", out);
    const int n = par_plan_parts(plan);
    for (int s = 0; s < n; s++) {
        fprintf(out, "%s%d", s > 0 ? "/" : "",
                par_plan_layers(plan, spec->n_l, s));
        if (s == 7 && n > 9) {
            fputs("/...", out);
            break;
        }
    }
}

static void write_plan(const har_report *r, int i, FILE *out)
{
    const par_plan *p = &r->plan[i];
    const int world = par_plan_world(p);
    const int n_part = p->rounds * p->dp * p->mb;
    const int scope =
        (p->scope == PAR_SCOPE_STAGE ? p->dp : p->pp) * p->cp * p->tp;
    char text[PAR_PLAN_TEXT], size[16], ref[16], context[40] = "";
    char runs[40] = "";
    if (p->cp > 1)
        snprintf(context, sizeof context, " x %d parts of rows (%s)", p->cp,
                 par_cp_kind_name(p->cp_kind));
    if (p->vpp > 1)
        snprintf(runs, sizeof runs, " of %d runs of layers each", p->vpp);
    par_plan_format(p, text);
    fprintf(out, "plan       %s%s%s on %d ranks\n",
            strcmp(p->text, text) == 0 ? "" : p->text,
            strcmp(p->text, text) == 0 ? "" : ": ", text, world);
    fprintf(out,
            "  attention  %d stage%s%s x %d replica%s%s x %d tensor rank%s%s; ",
            p->pp, p->pp == 1 ? "" : "s", runs, p->dp,
            p->dp == 1 ? "" : "s", context,
            p->tp, p->tp == 1 ? "" : "s",
            p->sp ? ", tokens cut over them between the blocks" : "");
    write_stages(p, r->spec, out);
    fprintf(out,
            "\n  experts    %d part%s x %d column part%s x %d replica%s, "
            "over the ranks of one %s\n",
            p->ep, p->ep == 1 ? "" : "s", p->etp, p->etp == 1 ? "" : "s",
            scope / (p->ep * p->etp), scope == p->ep * p->etp ? "" : "s",
            p->scope == PAR_SCOPE_STAGE ? "stage" : "data-parallel replica");
    fprintf(out,
            "  groups     %d token group%s (%d round%s x %d replica%s x %d "
            "micro-batch%s)\n",
            n_part, n_part == 1 ? "" : "s", p->rounds,
            p->rounds == 1 ? "" : "s", p->dp, p->dp == 1 ? "" : "s", p->mb,
            p->mb == 1 ? "" : "es");
    fprintf(out,
            "  memory     largest rank %s for weights and work; the "
            "reference alone %s\n",
            har_format_bytes(r->estimate[i].largest_rank_bytes, size),
            har_format_bytes(r->estimate[i].reference_bytes, ref));
}

/* --- one case --- */

static void write_times(const har_case_result *c, const par_plan *plan,
                        FILE *out)
{
    const har_totals *t = &c->totals;
    double owned = 0.0, replicated = 0.0;
    char weight[16], work[16];
    for (int op = 0; op < (int)PAR_N_OPERATORS; op++) {
        if (op == PAR_OP_CHECK)
            continue;
        if (par_operator_is_replicated(plan, (par_operator)op))
            replicated += t->cpu_seconds[op];
        else
            owned += t->cpu_seconds[op];
    }
    fprintf(out, "  reference  %.2f s%s", c->reference.wall_seconds,
            c->reference_was_made ? "" : " (made earlier)");
    if (c->numerics == CORE_EXACT)
        fprintf(out, "; sums need %.1f of 53 bits", c->reference.bits);
    fprintf(out,
            "\n  emulation  %.2f s, start-up %.2f s; processor seconds of all "
            "ranks: owned %.2f, replicated %.2f, checks %.2f; waiting %.1f s\n",
            t->wall_seconds, c->startup_seconds, owned, replicated,
            t->cpu_seconds[PAR_OP_CHECK], t->wait_seconds);
    fprintf(
        out,
        "             the reference's processor seconds %.2f: owned work is "
        "%.2f of it\n",
        c->reference.cpu_seconds, owned / c->reference.cpu_seconds);
    fprintf(out, "             largest rank held %s of weights, %s of work\n",
            har_format_bytes(t->weight_bytes, weight),
            har_format_bytes(t->work_bytes, work));
    if (t->n_lane > 1)
        fprintf(out,
                "             in order of layers: a stage's %d micro-batches "
                "together\n",
                t->n_lane);
}

static void write_routing(const har_case_result *c, FILE *out)
{
    const har_routing *g = &c->routing;
    if (g->n_expert == 0)
        return;
    fprintf(out,
            "  routing    %lld choices, %lld dropped, %lld exact ties, %lld of "
            "%lld experts not chosen",
            (long long)g->n_choice, (long long)g->n_dropped,
            (long long)g->n_tie, (long long)g->n_idle, (long long)g->n_expert);
    if (g->busy_expert >= 0)
        fprintf(out, "; busiest: layer %d expert %lld, %lld rows",
                g->busy_layer, (long long)g->busy_expert,
                (long long)g->busy_rows);
    fputc('\n', out);
}

static void write_checks(const har_case_result *c, FILE *out)
{
    unsigned fault = 0;
    for (int p = 0; p < c->n_pass; p++) {
        /* after a difference a free pass may route otherwise, which is no fault
         * of coverage: the forced pass, which always follows, tells */
        if (p + 1 < c->n_pass && har__explains(c, p + 1))
            continue;
        for (int64_t i = 0; i < c->pass[p].n_tap; i++)
            fault |= c->pass[p].tap[i].fault;
    }
    fprintf(out,
            "  checks     coverage %s, replicas %s, conservation %s (%lld "
            "dispatched, %lld received, %lld returned), vacuity %s\n",
            (fault & HAR_FAULT_COVERAGE) != 0 ? "FAILED" : "ok",
            (fault & HAR_FAULT_REPLICA) != 0 ? "FAILED" : "ok",
            c->is_conserved ? "ok" : "FAILED", (long long)c->totals.n_sent,
            (long long)c->totals.n_received, (long long)c->totals.n_returned,
            c->is_telling ? "ok" : "FAILED");
}

/* "layers.0 expert 3 on rank 5", or "embed on rank 2"; then "...". */
static void write_held(const char *word, const har_held *list, int n,
                       int64_t n_all, FILE *out)
{
    char name[CORE_NAME_BYTES];
    if (n == 0)
        return;
    fprintf(out, "    %-10s ", word);
    for (int i = 0; i < n; i++) {
        const core_weight w = list[i].weight;
        if (w.kind == CORE_W_EXPERT_DOWN)
            fprintf(out, "layers.%d expert %d on rank %d", w.layer, w.expert,
                    list[i].rank);
        else
            fprintf(out, "%s on rank %d", core_weight_name(w, name),
                    list[i].rank);
        fputs(i + 1 < n ? ", " : n < n_all ? ", ...\n" : "\n", out);
    }
}

static void write_reached(const har_case_result *c, FILE *out)
{
    const har_reached *g = &c->reached;
    fprintf(out,
            "  took part  %lld of %lld experts on their owners, %lld of %lld "
            "replicas, %lld of %lld token groups, %lld of %lld weight "
            "rectangles\n",
            (long long)(g->n_expert - g->n_idle), (long long)g->n_expert,
            (long long)(g->n_replica - g->n_empty_replica),
            (long long)g->n_replica, (long long)(g->n_group - g->n_empty_group),
            (long long)g->n_group, (long long)(g->n_rectangle - g->n_unmet),
            (long long)g->n_rectangle);
    write_held("idle", g->idle, g->n_named_idle, g->n_idle, out);
    write_held("unmet", g->unmet, g->n_named_unmet,
               g->n_unmet - g->n_unmet_of_idle, out);
    if (c->no_exercise[0] != '\0')
        fprintf(out, "  exercise   not possible: %s\n", c->no_exercise);
}

/* Weights whose owners the run could not tell apart. */
static void write_equal(const har_case_result *c, FILE *out)
{
    char text[HAR_DISTINCT_TEXT];
    for (har_axis a = har_distinct_next(&c->distinct, -1); a != HAR_N_AXES;
         a = har_distinct_next(&c->distinct, (int)a))
        fprintf(out, "  equal      %s (%s)\n",
                har_distinct_format(&c->distinct, a, text), har_axis_degree(a));
}

/* What a pass had of the move before it. */
static void write_worth(const har_report *r, const har_dealt *d, FILE *out)
{
    char bytes[16];
    fprintf(out,
            "  saved      %.0f of %.0f rows of the layers' fullest ep indices, "
            "by %s that moved before\n",
            d->fullest_kept - d->fullest, d->fullest_kept,
            har_format_bytes((size_t)d->n_bytes_before, bytes));
    if (d->is_priced)
        fprintf(out,
                "  pays       after %.3g passes like this one on %s in f16: %.4g "
                "ms to move, products %.4g ms instead of %.4g\n",
                d->pays, r->machine, 1e3 * d->seconds_before, 1e3 * d->seconds,
                1e3 * d->seconds_kept);
}

/* Rows of the ranks' experts in this pass, and what moved behind it. */
static void write_dealt(const har_report *r, const har_case_result *c, FILE *out)
{
    const har_dealt *d = &c->dealt;
    char bytes[16];
    if (!d->is_there)
        return;
    fprintf(out, "  balance    pass %d of %d: %.1f %%", d->number + 1, r->n_pass,
            100 * d->balance);
    if (d->number > 0)
        fprintf(out, ", %.1f %% had experts stayed where they were",
                100 * d->kept);
    fputc('\n', out);
    if (d->number > 0)
        write_worth(r, d, out);
    if (d->number + 1 < r->n_pass)
        fprintf(out,
                "  moved      %lld experts of all ranks behind it, %s; every "
                "slot %s its expert's weights\n",
                (long long)d->n_moved,
                har_format_bytes((size_t)d->n_bytes, bytes),
                d->wrong[0] == '\0' ? "has" : "ought to have");
}

static void write_case(const har_report *r, int plan, const har_case_result *c,
                       FILE *out)
{
    fprintf(out, "%-10s %s", core_numerics_name(c->numerics).text,
            har_verdict_name(c->verdict));
    if (c->numerics == CORE_EXACT)
        fputs(
            "  (grid: activations 2^-10, probabilities 2^-20, weights 11 bits)",
            out);
    fputc('\n', out);
    if (c->reason[0] != '\0')
        fprintf(out, "  reason     %s\n", c->reason);
    write_times(c, &r->plan[plan], out);
    if (c->batch_seed != c->first_seed)
        fprintf(out,
                "  batch      drawn again, with seed %llu: before, agreement "
                "would have proved nothing\n",
                (unsigned long long)c->batch_seed);
    write_routing(c, out);
    write_reached(c, out);
    write_checks(c, out);
    write_equal(c, out);
    if (r->decode != NULL)
        fprintf(out,
                "  greedy     %lld tokens chosen on the ranks of the last stage, "
                "%lld wrong\n",
                (long long)c->greedy.n, (long long)c->greedy.n_wrong);
    write_dealt(r, c, out);
    har__report_grad(c, out);
    for (int p = 0; p < c->n_pass; p++)
        har__report_pass(r, c, p, out);
}

/* "bit-identical, and fp32 and bf16 within bounds" */
static void write_verified(const har_report *r, FILE *out)
{
    bool exact = false;
    bool has_grad = false;
    int n_bounded = 0;
    for (int i = 0; i < r->n_numerics; i++) {
        exact |= r->numerics[i] == CORE_EXACT;
        has_grad |= r->result[i].grad.is_there;
    }
    if (exact)
        fputs(has_grad ? "bit-identical, gradients too" : "bit-identical", out);
    for (int i = 0; i < r->n_numerics; i++) {
        if (!core_has_bounds(r->numerics[i]))
            continue;
        fprintf(out, "%s%s",
                n_bounded > 0 ? " and "
                : exact       ? ", and "
                              : "",
                core_numerics_name(r->numerics[i]).text);
        n_bounded++;
    }
    if (n_bounded > 0)
        fputs(" within bounds", out);
}

static void write_verdict(const har_report *r, FILE *out)
{
    const har_case_result *first;
    const har_verdict verdict = har_report_verdict(r, &first);
    fprintf(out, "time       %.1f s in all\n", r->seconds);
    fprintf(out, "%-10s ", har_report_word(verdict));
    if (verdict > HAR_MARGINAL) {
        fprintf(out, "%s (%s)\n", first->reason,
                core_numerics_name(first->numerics).text);
        return;
    }
    write_verified(r, out);
    fprintf(out, "%s\n",
            verdict == HAR_MARGINAL ? " (marginal: over half of one)" : "");
}

void har_report_text(const har_report *report, FILE *out)
{
    write_model(report, out);
    for (int i = 0; i < report->n_plan; i++) {
        write_plan(report, i, out);
        for (int j = 0; j < har__n_case(report); j++) {
            const har_case_result *c =
                &report->result[i * har__n_case(report) + j];
            if (c->n_pass > 0) /* else nothing ran: passes before it failed */
                write_case(report, i, c, out);
        }
    }
    write_verdict(report, out);
}
