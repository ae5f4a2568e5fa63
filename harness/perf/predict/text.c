/* harness/perf/predict/text.c -- a prediction for people. */
#include "harness/perf/predict/figures.h"

static const char *const BOUNDS[HAR_N_BOUND] = {[HAR_BOUND_OVERHEAD] =
                                                    "overhead",
                                                [HAR_BOUND_LATENCY] = "latency",
                                                [HAR_BOUND_COMPUTE] = "compute",
                                                [HAR_BOUND_MEMORY] = "memory",
                                                [HAR_BOUND_LINK] = "link"};

static const char *const OVERLAPS[] = {[HAR_OVERLAP_NONE] = "none",
                                       [HAR_OVERLAP_PIPELINE] = "pipeline",
                                       [HAR_OVERLAP_ALL] = "all",
                                       [HAR_OVERLAP_PLANNED] = "as planned"};

static void write_head(FILE *out, const har_predict_case *r,
                       const har_machine *machine, const har_prediction *p)
{
    char plan[PAR_PLAN_TEXT], routing[HAR_ROUTING_TEXT];
    par_plan_format(r->plan, plan);
    fprintf(out, "model      %s\nplan       %s on %d GPUs\n", r->spec->name,
            plan, p->n_gpu);
    fprintf(out, "machine    %s, %s\n", machine->name,
            core_types_text(&r->types).text);
    if (r->is_decode)
        fprintf(out, "batch      decode: %lld rows, %lld keys each\n",
                (long long)r->n_b, (long long)r->n_kv);
    else
        fprintf(out, "batch      prefill: %lld rows x %lld tokens\n",
                (long long)r->n_b, (long long)r->n_t);
    fprintf(out, "overlap    %s\n", OVERLAPS[r->overlap]);
    if (har_routing_text(routing, r)[0] != '\0')
        fprintf(out, "routing    %s\n", routing);
}

static void write_figures(FILE *out, const har_prediction *p)
{
    har_figure f;
    fputs("figure                     value      90 % interval        "
          "what it is\n",
          out);
    for (int i = 0; har_figure_at(&f, p, i); i++) {
        if (!f.exists)
            continue;
        const double x = f.unit[0] == '\0' ? 100 : 1;
        fprintf(out, "  %-20s %10.5g %-3s %10.5g - %-10.5g %s\n", f.key,
                f.range.value * x, x > 1 ? "%" : f.unit, f.range.low * x,
                f.range.high * x, f.meaning);
    }
}

/* What the intervals hold. */
static void write_sources(FILE *out, const har_predict_case *r,
                          const har_prediction *p)
{
    const har_sources *s = &p->sources;
    if (r->no_interval)
        return;
    fprintf(out,
            "interval   one sigma of the latency: operators %.1f %%, assumed "
            "links %.1f %%, ",
            100 * s->operators, 100 * s->links);
    if (s->n_draw > 0)
        fprintf(out, "routing %.1f %% (%d other draws)\n", 100 * s->routing,
                s->n_draw);
    else
        fputs("routing not in it\n", out);
}

/* The three causes that make it widest. */
static void write_doubts(FILE *out, const har_predict_case *r,
                        const har_machine *machine, const har_prediction *p)
{
    char name[HAR_DOUBT_TEXT], remedy[HAR_DOUBT_TEXT];
    if (r->no_interval)
        return;
    for (int i = 0; i < p->sources.n_doubt && i < 3; i++) {
        const har_doubt *t = &p->sources.doubt[i];
        fprintf(out, "%s%5.1f %%  %-30s %s\n",
                i == 0 ? "widest     " : "           ", 100 * t->sigma,
                har_doubt_name(name, t, machine),
                har_doubt_remedy(remedy, t, machine));
    }
}

static void write_experts(FILE *out, const har_prediction *p)
{
    if (!p->has_experts)
        return;
    fprintf(out,
            "experts    %.3g of a rank have rows in a layer and micro-batch "
            "(most %.0f); mean / most over experts %.3f; dropped %.2f %%\n",
            p->distinct_mean, p->distinct_most, p->expert_balance,
            100 * p->dropped);
    fprintf(out, "slowest    rank %d has %.3f of the mean rows of experts\n",
            p->slowest_ep_rank, p->slowest_ep_share);
}

static void write_memory(FILE *out, const har_machine *machine,
                         const har_prediction *p)
{
    fputs("memory (GB)  stage   weights        kv  activations   buffers     "
          "total  rank\n",
          out);
    for (int s = 0; s < p->n_stage; s++) {
        const har_stage_memory *m = &p->stage[s];
        fprintf(out, "             %5d %9.3f %9.3f %12.3f %9.3f %9.3f %5d\n", s,
                m->weights * 1e-9, m->kv * 1e-9, m->activations * 1e-9,
                m->buffers * 1e-9, m->total * 1e-9, m->rank);
    }
    if (p->memory > machine->memory_bytes)
        fprintf(out, "WARNING    a GPU has %.3g GB: the plan does not fit\n",
                machine->memory_bytes * 1e-9);
}

static int most_binding(const har_class *c)
{
    int best = 0;
    for (int b = 1; b < HAR_N_BOUND; b++)
        if (c->bound[b] > c->bound[best])
            best = b;
    return best;
}

static void write_classes(FILE *out, const har_prediction *p)
{
    fputs("operator                           ms     share   exposed ms  "
          "bound     (per pass, mean over GPUs)\n",
          out);
    for (int i = 0; i < p->n_class; i++) {
        const har_class *c = &p->class_of[i];
        const bool moves = c->kind == CORE_COST_COLLECTIVE;
        char name[64];
        snprintf(name, sizeof name, "%s %s%s%s", c->op,
                 moves ? core_collective_name(c->collective)
                       : core_cost_kind_name(c->kind),
                 moves ? " over " : "", moves ? core_axis_name(c->axis) : "");
        fprintf(out, "  %-28s %9.4f %8.2f %%", name, c->seconds * 1e3,
                100 * c->seconds / p->latency.value);
        if (moves)
            fprintf(out, " %10.4f  ", c->exposed * 1e3);
        else
            fputs("          -  ", out);
        fprintf(out, "%s %.0f %%\n", BOUNDS[most_binding(c)],
                c->seconds > 0 ? 100 * c->bound[most_binding(c)] / c->seconds
                               : 0);
    }
    fprintf(out, "transfers  %.4f ms in all, %.4f ms not hidden\n",
            p->comm_total * 1e3, p->comm_exposed * 1e3);
}

static void write_origins(FILE *out, const har_machine *machine)
{
    int n[HAR_N_ORIGIN] = {0};
    for (int i = 0; i < HAR_N_COEF; i++)
        n[machine->coef[i].origin]++;
    for (int i = 0; i < HAR_N_KIND; i++)
        n[machine->sigma[i].origin]++;
    for (int i = 0; i < machine->n_link; i++)
        n[machine->link[i].origin]++;
    fputs("numbers    ", out);
    for (int i = 0; i < HAR_N_ORIGIN; i++)
        fprintf(out, "%d %s%s", n[i], har_origin_name((har_origin)i),
                i + 1 < HAR_N_ORIGIN ? ", " : "\n");
    for (int i = 0; i < machine->n_link; i++)
        if (machine->link[i].origin == HAR_ASSUMED)
            fprintf(out,
                    "WARNING    links '%s' are assumed: %.3g GB/s among %d\n",
                    machine->link[i].name, machine->link[i].bw * 1e-9,
                    machine->link[i].n_gpu);
    for (int i = 0; i < HAR_N_COEF; i++)
        if (machine->coef[i].origin == HAR_ASSUMED)
            fprintf(out, "WARNING    %s is assumed: %.4g\n",
                    har_coef_key((har_coef)i), machine->coef[i].value);
}

void har_predict_write(FILE *out, const har_predict_case *r,
                       const har_machine *machine, const har_prediction *p)
{
    write_head(out, r, machine, p);
    write_figures(out, p);
    write_sources(out, r, p);
    write_doubts(out, r, machine, p);
    fprintf(out, "idlest     rank %d waits %.1f %% of the latency\n",
            p->most_idle_rank, 100 * p->most_idle);
    write_experts(out, p);
    write_memory(out, machine, p);
    write_classes(out, p);
    write_origins(out, machine);
}
