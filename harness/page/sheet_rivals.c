/* harness/page/sheet_rivals.c -- what else so many GPUs could run.
 *
 * For some numbers of GPUs the search finds the plans that no other beats; each
 * is then predicted exactly as the page's own plan is, so that all points mean
 * the same.  The search ranks by a closed form (docs/search.md): of what it
 * shows some may be beaten in the prediction, and are then drawn open.
 */
#include "harness/page/sheet_impl.h"
#include "harness/page/sheet_labels.h"

#include "harness/perf/search/cost.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* --- finding them --- */

static void add_count(har__rivals *r, int n_gpu)
{
    for (int i = 0; i < r->n_count; i++)
        if (r->count[i] == n_gpu)
            return;
    if (r->n_count < HAR__MAX_COUNTS)
        r->count[r->n_count++] = n_gpu;
}

/* Ours if it is among them, and others from the last down to the first, each
 * the same power of two smaller, about.                                      */
static void choose_counts(har__rivals *r, const har_sheet_ask *ask)
{
    enum { STEPS = HAR__MAX_COUNTS - 2 };
    const int ours = par_plan_world(&ask->setup->plan);
    int n_half = 0;
    while (ask->n_gpu1 >> (n_half + 1) >= ask->n_gpu0)
        n_half++;
    const int n_step = n_half < STEPS ? n_half : STEPS;
    if (ours >= ask->n_gpu0 && ours <= ask->n_gpu1)
        add_count(r, ours);
    for (int i = 0; i < n_step; i++)
        add_count(r, ask->n_gpu1 >> (i * n_half / n_step));
    add_count(r, ask->n_gpu1 >> n_half);
    for (int i = 1; i < r->n_count; i++) /* ascending */
        for (int k = i; k > 0 && r->count[k] < r->count[k - 1]; k--) {
            const int swap = r->count[k];
            r->count[k] = r->count[k - 1];
            r->count[k - 1] = swap;
        }
}

static har__rival rival_of(const par_plan *plan, const har_prediction *p,
                           int i_count)
{
    har__rival x = {.n_gpu = p->n_gpu,
                    .i_count = i_count,
                    .latency = p->latency.value,
                    .tokens_per_s = p->tokens_per_s.value,
                    .memory = p->memory};
    par_plan_format(plan, x.plan);
    return x;
}

static core_status add_rival(har__rivals *r, const har_sheet_ask *ask,
                             har_predictor *predictor, const har_shape *shape,
                             int i_count)
{
    har_prediction p;
    par_plan plan;
    har_predict_case request = ask->setup->what;
    har_shape_plan(shape, &plan);
    request.plan = &plan;
    request.no_interval = true;
    CORE_TRY(har_load_source_apply(&ask->setup->source, &request));
    CORE_TRY(har_predict(predictor, &request, &p));
    r->at[r->n++] = rival_of(&plan, &p, i_count);
    return CORE_OK;
}

static core_status add_front(har__rivals *r, const har_sheet_ask *ask,
                             har_predictor *predictor,
                             const har_search_result *found, int i_count)
{
    const int n = found->n_front, most = HAR__RIVALS_OF_COUNT;
    const int shown = n < most ? n : most;
    r->n_plan += found->n_plan;
    r->n_large += found->n_large;
    for (int i = 0; i < shown; i++) {
        const int k = shown > 1 ? i * (n - 1) / (shown - 1) : 0;
        CORE_TRY(add_rival(r, ask, predictor, &found->front[k].shape, i_count));
    }
    return CORE_OK;
}

static core_status search_all(har__rivals *r, const har_sheet_ask *ask,
                              har_predictor *predictor, har_quick *estimate)
{
    const har_search_cost cost = {estimate, har_quick_memory, har_quick_time};
    for (int i = 0; i < r->n_count; i++) {
        har_search_result found;
        const har_search_case request = {.spec = &ask->setup->spec,
                                         .cost = &cost,
                                         .n_gpu0 = r->count[i],
                                         .n_gpu1 = r->count[i],
                                         .n_b = ask->setup->what.n_b,
                                         .memory_bytes =
                                             ask->setup->machine.memory_bytes,
                                         .n_thread = estimate->n_thread};
        core_status status = har_search_run(&found, &request);
        if (status == CORE_OK)
            status = har_quick_status(estimate);
        if (status == CORE_OK)
            status = add_front(r, ask, predictor, &found, i);
        har_search_free(&found);
        CORE_TRY(status);
    }
    return CORE_OK;
}

static void add_ours(har__rivals *r, const har_sheet_ask *ask,
                     const har_prediction *p)
{
    har__rival ours = rival_of(&ask->setup->plan, p, -1);
    ours.is_ours = true;
    for (int i = 0; i < r->n_count; i++)
        if (r->count[i] == p->n_gpu)
            ours.i_count = i;
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->at[i].plan, ours.plan) == 0) {
            r->at[i].is_ours = true;
            return;
        }
    r->at[r->n++] = ours;
}

static int by_latency(const void *a, const void *b)
{
    const har__rival *x = a, *y = b;
    if (x->latency < y->latency)
        return -1;
    return x->latency > y->latency ? 1 : strcmp(x->plan, y->plan);
}

static bool beats(const har__rival *a, const har__rival *b)
{
    return a->latency <= b->latency && a->tokens_per_s >= b->tokens_per_s &&
           (a->latency < b->latency || a->tokens_per_s > b->tokens_per_s);
}

static void mark_best(har__rivals *r)
{
    for (int i = 0; i < r->n; i++) {
        r->at[i].is_best = true;
        for (int k = 0; k < r->n; k++)
            if (beats(&r->at[k], &r->at[i]))
                r->at[i].is_best = false;
    }
}

core_status har__rivals_find(har__rivals *r, const har_sheet_ask *ask,
                             har_predictor *predictor,
                             const har_prediction *ours)
{
    const har_setup *s = ask->setup;
    const int n_thread = omp_get_max_threads();
    har_quick estimate = {.spec = &s->spec,
                          .machine = &s->machine,
                          .n_b = s->what.n_b,
                          .n_t = s->what.n_t,
                          .n_kv = s->what.n_kv,
                          .types = s->what.types,
                          .share = s->spec.n_e > 0 && !s->source.is_measured
                                       ? s->source.demand.share
                                       : NULL,
                          .n_thread = n_thread < HAR_SEARCH_THREADS
                                          ? n_thread
                                          : HAR_SEARCH_THREADS};
    *r = (har__rivals){0};
    choose_counts(r, ask);
    core_status status = har_quick_make(&estimate);
    if (status == CORE_OK)
        status = search_all(r, ask, predictor, &estimate);
    har_quick_free(&estimate);
    if (status == CORE_E_SPEC) { /* a model that the search does not know */
        snprintf(r->refused, sizeof r->refused, "%s", core_message());
        core_message_clear();
        status = CORE_OK;
        r->n = 0;
    }
    CORE_TRY(status);
    add_ours(r, ask, ours);
    qsort(r->at, (size_t)r->n, sizeof r->at[0], by_latency);
    mark_best(r);
    return CORE_OK;
}

/* --- the plot --- */

enum { HEIGHT = 380, N_CLEAR = 60 };

static har__frame frame_of(const har__rivals *r)
{
    har__frame b = har__frame_of(HEIGHT);
    b.x0 = INFINITY;
    for (int i = 0; i < r->n; i++) {
        b.x0 = fmin(b.x0, r->at[i].latency * 1e3);
        b.x1 = fmax(b.x1, r->at[i].latency * 1e3);
        b.y1 = fmax(b.y1, r->at[i].tokens_per_s);
    }
    b.log_x = b.x1 > 6 * b.x0;
    b.x0 = b.log_x ? b.x0 / 1.4 : 0;
    b.x1 *= b.log_x ? 1.4 : 1.12;
    b.y1 *= 1.15;
    return b;
}

/* The step from one best point to the next is nothing to write on. */
static int add_step(har__label *label, const har__label *from,
                    const har__label *to)
{
    for (int i = 0; i < N_CLEAR; i++) {
        const double share = i / (N_CLEAR - 1.0);
        *label++ = (har__label){
            .x = from->x + (to->x - from->x) * share, .y = from->y, .r = 1};
        *label++ = (har__label){
            .x = to->x, .y = from->y + (to->y - from->y) * share, .r = 1};
    }
    return 2 * N_CLEAR;
}

/* label: room for the points and the steps between them. */
static void write_labels(const har__rivals *r, const har__frame *box,
                         har__label *label, FILE *script)
{
    int n = r->n, last = -1;
    for (int i = 0; i < r->n; i++) {
        const har__rival *at = &r->at[i];
        label[i] = har__label_at(box, at->latency * 1e3, at->tokens_per_s,
                                 at->is_ours ? 10 : 6);
        snprintf(label[i].text, sizeof label[i].text,
                 at->is_ours ? "%d: this plan" : "%d", i + 1);
        if (at->is_best && last >= 0)
            n += add_step(label + n, &label[last], &label[i]);
        last = at->is_best ? i : last;
    }
    har__labels_place(label, n, box);
    har__labels_write(script, label, n, box);
}

/* The points of one number of GPUs that are best, or not. */
static bool write_points(const har__rivals *r, int i_count, bool best,
                         FILE *script)
{
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        const har__rival *at = &r->at[i];
        if (at->i_count != i_count || at->is_best != best)
            continue;
        if (n++ == 0)
            fprintf(script, "$c%d%c << E\n", i_count + 1, best ? 'b' : 'o');
        fprintf(script,
                "%.9g %.9g \"%d: %s on %d GPUs: %.4g ms, %.4g tokens/s\"\n",
                at->latency * 1e3, at->tokens_per_s, i + 1, at->plan, at->n_gpu,
                at->latency * 1e3, at->tokens_per_s);
    }
    if (n > 0)
        fputs("E\n", script);
    return n > 0;
}

static void write_series(const har__rivals *r, FILE *script)
{
    bool has[HAR__MAX_COUNTS + 1][2];
    for (int i = -1; i < r->n_count; i++)
        for (int best = 0; best < 2; best++)
            has[i + 1][best] = write_points(r, i, best == 1, script);
    fputs("plot $best using 1:2 with steps lw 1.5 lc @idle, "
          "$ours using 1:2 with points pt 6 ps 1.9 lw 2 lc @bad",
          script);
    for (int i = -1; i < r->n_count; i++)
        for (int best = 0; best < 2; best++) {
            if (!has[i + 1][best])
                continue;
            fprintf(script,
                    ", $c%d%c using 1:2:3 with labels hypertext point pt %d ps "
                    "1 lw 2 lc @",
                    i + 1, best == 1 ? 'b' : 'o', best == 1 ? 7 : 6);
            fprintf(script, i < 0 ? "ink" : "g%d", i);
        }
    fputs("\n", script);
}

static void write_script(const har__rivals *r, har__label *label, FILE *script)
{
    const har__frame box = frame_of(r);
    har__axes_write(script, &box, "latency of a pass, ms",
                    "tokens/s, kept full");
    if (box.log_x)
        fputs("set xtics (1,2,5,10,20,50,100,200,500,1000,2000,5000,10000,"
              "20000,50000)\n",
              script);
    for (int ours = 0; ours < 2; ours++) {
        fputs(ours == 1 ? "$ours << E\n" : "$best << E\n", script);
        for (int i = 0; i < r->n; i++)
            if (ours == 1 ? r->at[i].is_ours : r->at[i].is_best)
                fprintf(script, "%.9g %.9g\n", r->at[i].latency * 1e3,
                        r->at[i].tokens_per_s);
        fputs("E\n", script);
    }
    write_labels(r, &box, label, script);
    write_series(r, script);
}

static void write_legend(const har__rivals *r, FILE *out)
{
    char colour[16];
    har__key_open(out);
    for (int i = 0; i < r->n_count; i++) {
        snprintf(colour, sizeof colour, "g%d", i);
        har__key(out, colour, 1, r->count[i] == 1 ? "%d GPU" : "%d GPUs",
                 r->count[i]);
    }
    har__key_close(out);
}

/* --- the table --- */

static void write_table(const har__rivals *r, FILE *out)
{
    fputs("<div class=\"wide\"><table id=\"rivals\"><thead><tr>"
          "<th class=\"n\"></th><th>plan</th>"
          "<th class=\"n\">GPUs</th><th class=\"n\">latency, ms</th>"
          "<th class=\"n\">tokens/s</th><th class=\"n\">GPU seconds per "
          "million tokens</th><th class=\"n\">GB</th><th></th></tr></thead>"
          "<tbody>\n",
          out);
    for (int i = 0; i < r->n; i++) {
        const har__rival *at = &r->at[i];
        const double cost = 1e6 * at->n_gpu / at->tokens_per_s;
        fprintf(out, "<tr class=\"%s\">", at->is_ours ? "ours" : "");
        har_page_count(out, i + 1);
        har_page_cell(out, "plan", "%s", at->plan);
        har_page_count(out, at->n_gpu);
        har__number(out, at->latency, 1e3, har__digits);
        har__number(out, at->tokens_per_s, 1, har__si);
        har__number(out, cost, 1, har__digits);
        har__number(out, at->memory, 1e-9, har__digits);
        har_page_cell(out, "", "%s",
                      at->is_ours && at->is_best ? "this plan, not beaten"
                      : at->is_ours              ? "this plan"
                      : at->is_best              ? "not beaten"
                                                 : "");
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

static core_status draw(const har__rivals *r, FILE *out)
{
    har__plot plot;
    void *label;
    CORE_TRY(core_alloc(&label, (int64_t)r->n * (1 + 2 * N_CLEAR),
                        sizeof(har__label), "labels"));
    core_status status = har__plot_open(&plot);
    if (status == CORE_OK) {
        write_script(r, label, plot.script);
        status = har__plot_close(&plot, out, HEIGHT,
                                 "latency and throughput of other plans");
    }
    free(label);
    return status;
}

core_status har__sheet_rivals(const har__sheet *s, FILE *out)
{
    static const char heading[] = "Pareto front: other plans";
    const har__rivals *r = &s->rivals;
    char plans[HAR__NUMBER], large[HAR__NUMBER];
    if (r->refused[0] != '\0') {
        har__section(out, "front", heading,
                     "No other plans were searched: %s.", r->refused);
        fputs("</section>\n", out);
        return CORE_OK;
    }
    har__section(
        out, "front", heading,
        "Of %s legal plans on as many GPUs as the colours say (%s do not "
        "fit) those that a search leaves over, up to %d of a colour, each "
        "predicted as this page's plan is. Filled: no point shown beats "
        "it in both latency and throughput. Without intervals; they are "
        "about as wide as this plan's.",
        har__grouped(plans, r->n_plan), har__grouped(large, r->n_large),
        (int)HAR__RIVALS_OF_COUNT);
    CORE_TRY(draw(r, out));
    write_legend(r, out);
    write_table(r, out);
    fputs("</section>\n", out);
    return CORE_OK;
}
