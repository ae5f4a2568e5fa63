/* harness/verify/report_grad.c -- what the pass back found, for people and for
 * machines.
 */
#include "harness/verify/impl.h"

#include "core/files/json.h"
#include "harness/words/words.h"

static const struct {
    unsigned fault;
    const char *word;
} WORDS[] = {{HAR_FAULT_VALUE, "value"},
             {HAR_FAULT_POISON, "never written (NaN)"},
             {HAR_FAULT_COVERAGE, "coverage"},
             {HAR_FAULT_REPLICA, "replicas"}};

enum { N_WORDS = sizeof WORDS / sizeof WORDS[0] };

static void write_fault(const har_grad_fault *f, FILE *out)
{
    char name[CORE_GRAD_NAME_BYTES];
    const char *comma = "";
    fprintf(out, "    %-36s %s", core_grad_name(f->grad, name),
            f->in_exercise ? "in the exercise: " : "");
    for (int i = 0; i < N_WORDS; i++)
        if ((f->fault & WORDS[i].fault) != 0) {
            fprintf(out, "%s%s", comma, WORDS[i].word);
            comma = ", ";
        }
    fputc('\n', out);
    if (f->first_rank < 0)
        return;
    fprintf(out,
            "      %lld different elements on %d rank%s; first on rank %d, row "
            "%lld, column %lld: expected %.17g, found %.17g\n",
            (long long)f->n_different, f->n_rank, f->n_rank == 1 ? "" : "s",
            f->first_rank, (long long)f->row, (long long)f->col, f->expected,
            f->found);
    if (f->ratio != 0.0)
        fprintf(out, "      all of them about %.3g times what is expected\n",
                f->ratio);
}

static void write_exercise(const har_grad_result *g, FILE *out)
{
    if (g->was_exercised)
        fprintf(out,
                "             exercised with routing dealt: PASS, %lld of %lld "
                "left without a row\n",
                (long long)g->n_left, (long long)g->n_expert);
    else
        fputs("             not exercised: dealt sums need more than 53 bits\n",
              out);
}

void har__report_grad(const har_case_result *c, FILE *out)
{
    const har_grad_result *g = &c->grad;
    if (!g->is_there)
        return;
    fprintf(out,
            "  gradients  %s: %lld gradients, %lld elements (grid 2^-16); sums "
            "need %.1f of 53 bits\n",
            har_verdict_name(g->verdict), (long long)g->n_grad,
            (long long)g->n_element, g->bits);
    if (g->n_idle > 0)
        fprintf(
            out,
            "             %lld of %lld experts have no row: their gradients "
            "are 0\n",
            (long long)g->n_idle, (long long)g->n_expert);
    if (g->n_idle > 0 && g->verdict == HAR_PASS)
        write_exercise(g, out);
    fprintf(out,
            "             reference %.2f s, emulation %.2f s, waiting %.1f s; "
            "sent:",
            g->reference_seconds, g->wall_seconds, g->wait_seconds);
    for (int i = 0; i < PAR_N_GRAD_AXES; i++) {
        char size[16];
        fprintf(out, "%s %s %s", i > 0 ? "," : "",
                har_format_bytes((size_t)g->n_sent[i] * sizeof(double), size),
                par_grad_axis_name((par_grad_axis)i));
    }
    fputc('\n', out);
    if (g->n_bad > 0)
        fprintf(out, "             %lld of them differ, the first ones:\n",
                (long long)g->n_bad);
    for (int i = 0; i < g->n_named; i++)
        write_fault(&g->bad[i], out);
}

static json_t *fault_object(const har_grad_fault *f)
{
    char name[CORE_GRAD_NAME_BYTES];
    json_t *o = json_object(), *faults = json_array();
    core_json_put_text(o, "gradient", core_grad_name(f->grad, name));
    for (int i = 0; i < N_WORDS; i++)
        if ((f->fault & WORDS[i].fault) != 0)
            json_array_append_new(faults, json_string(WORDS[i].word));
    core_json_put(o, "faults", faults);
    core_json_put(o, "in_exercise", json_boolean(f->in_exercise));
    core_json_put_int(o, "elements", f->n_element);
    core_json_put_int(o, "different", f->n_different);
    core_json_put_int(o, "ranks", f->n_rank);
    core_json_put_int(o, "rank", f->first_rank);
    core_json_put_int(o, "row", f->row);
    core_json_put_int(o, "column", f->col);
    core_json_put_number(o, "expected", f->expected);
    core_json_put_number(o, "found", f->found);
    core_json_put_number(o, "ratio", f->ratio);
    return o;
}

json_t *har__grad_object(const har_case_result *c)
{
    const har_grad_result *g = &c->grad;
    if (!g->is_there)
        return json_null();
    json_t *o = json_object(), *failing = json_array(), *sent = json_object();
    core_json_put_text(o, "verdict", har_verdict_name(g->verdict));
    core_json_put_text(o, "reason", g->reason);
    core_json_put_int(o, "gradients", g->n_grad);
    core_json_put_int(o, "elements", g->n_element);
    core_json_put_int(o, "different", g->n_bad);
    core_json_put_int(o, "experts", g->n_expert);
    core_json_put_int(o, "idle_experts", g->n_idle);
    core_json_put(o, "exercised", json_boolean(g->was_exercised));
    core_json_put_int(o, "idle_in_exercise", g->n_left);
    core_json_put_number(o, "bits", g->bits);
    core_json_put_number(o, "reference_seconds", g->reference_seconds);
    core_json_put_number(o, "seconds", g->wall_seconds);
    for (int i = 0; i < PAR_N_GRAD_AXES; i++)
        core_json_put_int(sent, par_grad_axis_name((par_grad_axis)i),
                          g->n_sent[i]);
    core_json_put(o, "sent_elements", sent);
    for (int i = 0; i < g->n_named; i++)
        json_array_append_new(failing, fault_object(&g->bad[i]));
    core_json_put(o, "failing", failing);
    return o;
}
