/* harness/page/sheet_load.c -- how many rows each expert and each GPU get.
 *
 * The load is the one that the prediction is made for: drawn from the same
 * demand with the same seed.  An expert's bar is its mean over the layers, the
 * whisker reaches from the layer with fewest to that with most.
 */
#include "harness/page/sheet_impl.h"

#include <math.h>
#include <stdlib.h>

enum { HEIGHT = 260 };

/* Rows of one expert in a layer, all token groups. */
static double rows_at(const har__sheet *s, const int *replica_first, int layer,
                      int e)
{
    double n = 0;
    for (int64_t part = 0; part < s->load.n_part; part++)
        for (int64_t t = 0; t < s->load.n_slice; t++) {
            const uint64_t *rows = har_load_at(&s->load, layer, part, t);
            for (int i = replica_first[e]; i < replica_first[e + 1]; i++)
                n += (double)rows[i];
        }
    return n;
}

typedef struct spread {
    double mean, least, most; /* over layers                                  */
} spread;

static spread spread_of(const har__sheet *s, const int *replica_first, int e)
{
    const core_spec *spec = &s->setup->spec;
    spread x = {0, INFINITY, 0};
    int n = 0;
    for (int l = 0; l < (int)spec->n_l; l++) {
        if (!core_spec_is_moe(spec, l))
            continue;
        const double rows = rows_at(s, replica_first, l, e);
        x.mean += rows;
        x.least = fmin(x.least, rows);
        x.most = fmax(x.most, rows);
        n++;
    }
    x.mean /= n;
    return x;
}

/* What every expert would get if all choices were dealt evenly. */
static double even_rows(const har__sheet *s)
{
    const core_spec *spec = &s->setup->spec;
    return s->p.n_token * (double)spec->n_k / (double)spec->n_e;
}

static void write_experts_script(const har__sheet *s, const int *first,
                                 FILE *out)
{
    const int n_e = (int)s->setup->spec.n_e;
    const double even = even_rows(s);
    double most = 0;
    fputs("$load << E\n", out);
    for (int e = 0; e < n_e; e++) {
        const spread x = spread_of(s, first, e);
        most = fmax(most, x.most / even);
        fprintf(out,
                "%d %.6g %.6g %.6g \"expert %d: %.0f rows of a layer, %.0f to "
                "%.0f\"\n",
                e, x.mean / even, x.least / even, x.most / even, e, x.mean,
                x.least, x.most);
    }
    fprintf(out,
            "E\nset xlabel 'expert' textcolor @soft\n"
            "set ylabel 'rows of a layer / even share' textcolor @soft\n"
            "set xrange [-0.7:%d.7]\nset yrange [0:%.4g]\n"
            "set boxwidth 0.8\nunset key\nset grid noxtics\n"
            "set arrow from graph 0, first 1 to graph 1, first 1 nohead lw 1.2 "
            "lc @ink front\n"
            "plot $load using 1:2 with boxes lc @g1, "
            "'' using 1:2:3:4 with yerrorbars pt 7 ps 0 lw 1.2 lc @ink, "
            "'' using 1:2:5 with labels hypertext point pt 7 ps 0.35 lc @ink\n",
            n_e - 1, fmax(1.25, 1.08 * most));
}

static void write_ranks_script(const har__sheet *s, FILE *out)
{
    const int n = s->p.n_gpu;
    double mean = 0, most = 0;
    for (int i = 0; i < n; i++) {
        mean += s->traffic.rows[i] / n;
        most = fmax(most, s->traffic.rows[i]);
    }
    fputs("$load << E\n", out);
    for (int i = 0; i < n; i++)
        fprintf(out, "%d %.9g \"GPU %d: %.0f rows, %.3f of the mean\"\n", i,
                s->traffic.rows[i], i, s->traffic.rows[i],
                s->traffic.rows[i] / mean);
    fprintf(out,
            "E\nset xlabel 'GPU' textcolor @soft\n"
            "set ylabel 'rows of experts in a pass' textcolor @soft\n"
            "set format y '%%.0s %%c'\nset xrange [-0.7:%d.7]\n"
            "set yrange [0:%.6g]\nset boxwidth 0.8\nunset key\n"
            "set grid noxtics\n"
            "set arrow from graph 0, first %.9g to graph 1, first %.9g nohead "
            "lw 1.2 lc @ink front\n"
            "plot $load using 1:2 with boxes lc @g0, "
            "'' using 1:2:3 with labels hypertext point pt 7 ps 0.35 lc @ink\n",
            n - 1, 1.15 * most, mean, mean);
}

static core_status draw_experts(const har__sheet *s, FILE *out)
{
    har__plot plot;
    par_layout lay;
    core_arena arena = core_arena_measure();
    par_layout_init(&lay, &arena, &s->setup->spec, &s->setup->plan, 0);
    CORE_TRY(core_arena_make(&arena));
    par_layout_init(&lay, &arena, &s->setup->spec, &s->setup->plan, 0);
    core_status status = har__plot_open(&plot);
    if (status == CORE_OK) {
        write_experts_script(s, lay.replica_first, plot.script);
        status = har__plot_close(&plot, out, HAR__WIDTH, HEIGHT,
                                 "rows per expert over the even share");
    }
    core_arena_free(&arena);
    return status;
}

static core_status draw_ranks(const har__sheet *s, FILE *out)
{
    har__plot plot;
    CORE_TRY(har__plot_open(&plot));
    write_ranks_script(s, plot.script);
    return har__plot_close(&plot, out, HAR__WIDTH, HEIGHT,
                           "rows of experts per GPU");
}

static void describe(const har__sheet *s, char *out, size_t bytes)
{
    const har_prediction *p = &s->p;
    const har_demand *demand = &s->setup->demand;
    snprintf(out, bytes,
             "Popularity of experts: %s, drawn with seed %llu. Of %.0f "
             "choices %.0f found a slot; %.2f %% were dropped. In a layer and "
             "micro-batch %.3g experts of a GPU have rows. Mean over most "
             "rows: %.1f %% among the GPUs of an expert group, %.1f %% among "
             "experts.",
             demand->text, (unsigned long long)demand->seed, s->n_choice,
             s->n_kept, 100 * p->dropped, p->distinct_mean,
             100 * p->balance.value, 100 * p->expert_balance);
}

core_status har__sheet_load(const har__sheet *s, FILE *out)
{
    char text[640] = "The model has no experts.";
    if (s->p.has_experts)
        describe(s, text, sizeof text);
    har__section(out, "load", "Load per expert and GPU", text);
    if (s->p.has_experts) {
        fputs("<h3>Experts: mean over the layers, whiskers from the layer "
              "with fewest to that with most</h3>\n",
              out);
        CORE_TRY(draw_experts(s, out));
        fputs("<h3>GPUs: rows that their experts work on; the line is the "
              "mean</h3>\n",
              out);
        CORE_TRY(draw_ranks(s, out));
    }
    fputs("</section>\n", out);
    return CORE_OK;
}
