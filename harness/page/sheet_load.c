/* harness/page/sheet_load.c -- how many rows each expert and each GPU get.
 *
 * The load is the one that the prediction is made for: drawn from the same
 * demand with the same seed.
 */
#include "harness/page/sheet_impl.h"
#include "harness/page/sheet_labels.h"

#include <math.h>

enum { HEIGHT = 240 };

/* Rows of one expert in a layer, all token groups. */
static double rows_at(const har__sheet *s, const par_experts *experts,
                      int layer, int e)
{
    const int *first = experts[layer].replica_first;
    double n = 0;
    for (int64_t part = 0; part < s->load.n_part; part++)
        for (int64_t t = 0; t < s->load.n_slice; t++) {
            const uint64_t *rows = har_load_at(&s->load, layer, part, t);
            for (int i = first[e]; i < first[e + 1]; i++)
                n += (double)rows[i];
        }
    return n;
}

typedef struct spread {
    double mean, least, most; /* over layers                                  */
} spread;

static spread spread_of(const har__sheet *s, const par_experts *experts, int e)
{
    const core_spec *spec = &s->setup->spec;
    spread x = {0, INFINITY, 0};
    int n = 0;
    for (int l = 0; l < (int)spec->n_l; l++) {
        if (!core_spec_is_moe(spec, l))
            continue;
        const double rows = rows_at(s, experts, l, e);
        x.mean += rows;
        x.least = fmin(x.least, rows);
        x.most = fmax(x.most, rows);
        n++;
    }
    x.mean /= n;
    return x;
}

/* Bars that stand on 1 and axes that show how far they reach: between most
 * and least there may be a percent or a factor of ten.                       */
static void write_axes(FILE *script, const char *what, int n, double least,
                       double most)
{
    const har__frame box = har__frame_of(HEIGHT);
    const double room = fmax(0.005, 0.1 * (most - least));
    har__frame_write(script, &box);
    fprintf(script,
            "set xlabel '%s' textcolor @soft\n"
            "set ylabel 'rows / mean' textcolor @soft\n"
            "set xrange [-0.7:%d.7]\nset yrange [%.6g:%.6g]\n"
            "set format y '%%g'\nunset key\nset grid noxtics\n"
            "set arrow from graph 0, first 1 to graph 1, first 1 nohead lw 1 "
            "lc @soft front\n",
            what, n - 1, fmax(0, fmin(least, 1) - room), fmax(most, 1) + room);
}

/* Pixels of a bar among n. */
static double bar_width(int n)
{
    return fmin(18, fmax(1, 0.7 * 800 / n));
}

static void write_experts_script(const har__sheet *s,
                                 const par_experts *experts, FILE *script)
{
    const int n_e = (int)s->setup->spec.n_e;
    double most = 0, least = INFINITY, mean = 0;
    for (int e = 0; e < n_e; e++) {
        const spread x = spread_of(s, experts, e);
        most = fmax(most, x.most);
        least = fmin(least, x.least);
        mean += x.mean / n_e;
    }
    write_axes(script, "expert", n_e, least / mean, most / mean);
    fputs("$load << E\n", script);
    for (int e = 0; e < n_e; e++) {
        const spread x = spread_of(s, experts, e);
        fprintf(script,
                "%d %.6g %.6g %.6g \"expert %d: %.0f rows of a layer, %.0f to "
                "%.0f\"\n",
                e, x.mean / mean, x.least / mean, x.most / mean, e, x.mean,
                x.least, x.most);
    }
    fprintf(script,
            "E\nplot $load using 1:3:(0):($4-$3) with vectors nohead lw 1 lc "
            "@idle, "
            "'' using 1:(1):(0):($2-1) with vectors nohead lw %.1f lc @g1, "
            "'' using 1:2:5 with labels hypertext point pt 7 ps 0.15 lc @g1\n",
            bar_width(n_e));
}

static void write_ranks_script(const har__sheet *s, FILE *script)
{
    const int n = s->p.n_gpu;
    const double *rows = s->traffic.rows;
    double mean = 0, most = 0, least = INFINITY;
    for (int i = 0; i < n; i++) {
        mean += rows[i] / n;
        most = fmax(most, rows[i]);
        least = fmin(least, rows[i]);
    }
    write_axes(script, "GPU", n, least / mean, most / mean);
    fputs("$load << E\n", script);
    for (int i = 0; i < n; i++)
        fprintf(script, "%d %.9g \"GPU %d: %.0f rows, %.4f of the mean\"\n", i,
                rows[i] / mean, i, rows[i], rows[i] / mean);
    fprintf(script,
            "E\nplot $load using 1:(1):(0):($2-1) with vectors nohead lw %.1f "
            "lc @g0, "
            "'' using 1:2:3 with labels hypertext point pt 7 ps 0.15 lc @g0\n",
            bar_width(n));
}

static core_status draw_experts(const har__sheet *s, FILE *out)
{
    har__plot plot;
    par_layout lay;
    core_arena arena = core_arena_measure();
    CORE_TRY(
        par_layout_make(&lay, &arena, &s->setup->spec, &s->setup->plan, 0));
    core_status status = har__plot_open(&plot);
    if (status == CORE_OK) {
        write_experts_script(s, lay.experts, plot.script);
        status = har__plot_close(&plot, out, HEIGHT,
                                 "rows per expert over the mean");
    }
    core_arena_free(&arena);
    return status;
}

static core_status draw_ranks(const har__sheet *s, FILE *out)
{
    har__plot plot;
    CORE_TRY(har__plot_open(&plot));
    write_ranks_script(s, plot.script);
    return har__plot_close(&plot, out, HEIGHT, "rows of experts per GPU");
}

core_status har__sheet_load(const har__sheet *s, FILE *out)
{
    static const char heading[] = "Load per expert and GPU";
    const har_prediction *p = &s->p;
    char choices[HAR__NUMBER], kept[HAR__NUMBER];
    if (!p->has_experts) {
        har__section(out, "load", heading, "The model has no experts.");
        fputs("</section>\n", out);
        return CORE_OK;
    }
    har__section(out, "load", heading,
                 "Routing: %s. Of %s choices %s found a slot; %.2f %% were "
                 "dropped. In a layer and micro-batch %.3g experts of a GPU "
                 "have rows. Mean over most rows: %.1f %% among the GPUs of "
                 "an expert group, %.1f %% among experts.",
                 s->routing, har__grouped(choices, (int64_t)s->n_choice),
                 har__grouped(kept, (int64_t)s->n_kept),
                 100 * (1 - s->n_kept / s->n_choice), p->distinct_mean,
                 100 * p->balance.value, 100 * p->expert_balance);
    fputs("<h3>Rows per expert of a layer, over the mean</h3>\n"
          "<p>Bars: mean over the layers. Grey lines reach from the layer "
          "with fewest to that with most.</p>\n",
          out);
    CORE_TRY(draw_experts(s, out));
    if (p->n_gpu > 1) {
        fputs("<h3>Rows that the experts of a GPU work on in a pass, over the "
              "mean</h3>\n",
              out);
        CORE_TRY(draw_ranks(s, out));
    }
    fputs("</section>\n", out);
    return CORE_OK;
}
