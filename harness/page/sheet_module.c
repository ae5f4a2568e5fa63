/* harness/page/sheet_module.c -- which part of the model each GPU holds.
 *
 * A module is what one GPU keeps in its memory: layers, heads, vocabulary rows,
 * experts, and columns of experts.  GPUs in other replicas may hold the same;
 * they are counted as copies.  Large plans get small cells without words: the
 * table below has every GPU all the same.
 */
#include "harness/page/sheet_impl.h"

#include "harness/perf/cost/memory.h"

#include <string.h>

/* --- making them --- */

/* "0-3, 9" of ascending numbers, with a dash between them. */
static void write_runs(char *out, size_t bytes, const int *list, int n)
{
    size_t at = 0;
    out[0] = '\0';
    if (n == 0)
        snprintf(out, bytes, "none");
    for (int i = 0; i < n; i++) {
        int last = i;
        char run[32];
        while (last + 1 < n && list[last + 1] == list[last] + 1)
            last++;
        snprintf(run, sizeof run, last > i ? "%s%d\xe2\x80\x93%d" : "%s%d",
                 i > 0 ? ", " : "", list[i], list[last]);
        if (at + strlen(run) + 4 >= bytes) {
            snprintf(out + at, bytes - at, "\xe2\x80\xa6");
            return;
        }
        snprintf(out + at, bytes - at, "%s", run);
        at += strlen(run);
        i = last;
    }
}

static har__module module_of(const har_setup *s, const par_layout *l)
{
    const par_heads *h = &l->heads[0];
    har__module m = {.stage = l->stage,
                     .d = l->d,
                     .t = l->t,
                     .ep_i = l->ep_i,
                     .etp_i = l->etp_i,
                     .head0 = h->h0,
                     .head1 = h->h0 + h->n_h,
                     .kv0 = h->kv0,
                     .kv1 = h->kv0 + h->n_kv,
                     .vocab0 = l->first_vocab[l->t],
                     .vocab1 = l->first_vocab[l->t + 1],
                     .f0 = l->first_f[l->etp_i],
                     .f1 = l->first_f[l->etp_i + 1],
                     .n_expert = l->n_my_expert,
                     .weight_bytes = har_cost_weight_size(&s->spec, l,
                                                          &s->what.types)};
    if (l->stage > 0 && l->stage < s->plan.pp - 1)
        m.vocab0 = m.vocab1 = 0; /* neither embeds nor has the head */
    if (l->n_my_expert == 0)
        m.f0 = m.f1 = 0;
    write_runs(m.layers, sizeof m.layers, l->my_layer, l->n_my_layer);
    write_runs(m.experts, sizeof m.experts, l->experts->mine, l->n_my_expert);
    write_runs(m.some_experts, sizeof m.some_experts, l->experts->mine,
               l->n_my_expert);
    if (l->plan.n_mapped > 0) { /* each layer has others */
        snprintf(m.experts, sizeof m.experts, "%d a layer", l->n_my_expert);
        memcpy(m.some_experts, m.experts, sizeof m.some_experts);
    }
    return m;
}

static bool is_same(const har__module *a, const har__module *b)
{
    return a->stage == b->stage && a->t == b->t && a->ep_i == b->ep_i &&
           a->etp_i == b->etp_i;
}

core_status har__modules_make(har__module **out, const har_setup *s)
{
    const int n = par_plan_world(&s->plan);
    core_arena arena = core_arena_measure();
    core_status status = CORE_OK;
    void *memory;
    CORE_TRY(core_alloc(&memory, n, sizeof **out, "modules"));
    *out = memory;
    for (int rank = 0; rank < n && status == CORE_OK; rank++) {
        par_layout lay;
        status = par_layout_make(&lay, &arena, &s->spec, &s->plan, rank);
        if (status != CORE_OK)
            break;
        (*out)[rank] = module_of(s, &lay);
        for (int i = 0; i < rank && !(*out)[rank].is_copy; i++)
            (*out)[rank].is_copy = is_same(&(*out)[i], &(*out)[rank]);
    }
    core_arena_free(&arena);
    return status;
}

/* --- the picture --- */

enum {
    LEFT = 76,
    HEAD_H = 22,
    LARGE = 64, /* GPUs that have cells with words                            */
    WIDE = 8,   /* such cells side by side                                    */
    NARROW = 32
};

typedef struct grid {
    int n_across; /* cells side by side                                      */
    int n_line;   /* lines of a stage                                        */
    double w, h;
} grid;

static grid grid_of(const par_plan *plan)
{
    const int n = plan->dp * plan->tp;
    const bool words = par_plan_world(plan) <= LARGE;
    const int most = words ? WIDE : NARROW;
    const int across = n < most ? n : most;
    const double w = (HAR__WIDTH - LEFT) / (double)(across < 4 ? 4 : across);
    return (grid){across, (n + across - 1) / across, w, words ? 60 : 20};
}

static void range_text(char *out, size_t bytes, const char *what, int64_t from,
                       int64_t to)
{
    if (to <= from)
        snprintf(out, bytes, "no %s", what);
    else if (to == from + 1)
        snprintf(out, bytes, "%s %lld", what, (long long)from);
    else
        snprintf(out, bytes, "%s %lld\xe2\x80\x93%lld", what, (long long)from,
                 (long long)to - 1);
}

static void write_cell(const har__module *m, int rank, const grid *g, double x,
                       double y, FILE *out)
{
    char heads[48], columns[64];
    range_text(heads, sizeof heads, "heads", m->head0, m->head1);
    range_text(columns, sizeof columns, "columns", m->f0, m->f1);
    har_svg_rect(out, x, y, g->w - 4, g->h - 4, "g0", m->is_copy ? 0.08 : 0.2);
    fputs(" rx=\"4\"", out);
    har_svg_title(out,
                  "GPU %d: stage %d, replica %d, tensor %d; layers %s, %s; "
                  "experts %s, %s; %.3g GB of weights%s",
                  rank, m->stage, m->d, m->t, m->layers, heads, m->experts,
                  columns, m->weight_bytes * 1e-9,
                  m->is_copy ? "; an earlier GPU holds the same" : "");
    if (g->h <= 30) { /* no words */
        har_svg_text(out, x + (g->w - 4) / 2, y + 12, "mid small", "%d", rank);
        return;
    }
    har_svg_text(out, x + 8, y + 17, "big", "GPU %d", rank);
    har_svg_text(out, x + 8, y + 33, "small", "%s", heads);
    if (m->n_expert > 0)
        har_svg_text(out, x + 8, y + 48, "small", "experts %s",
                     m->some_experts);
}

static void write_stage(const har__sheet *s, const grid *g, int stage, double y,
                        FILE *out)
{
    const par_plan *plan = &s->setup->plan;
    const int n = plan->dp * plan->tp;
    har_svg_text(out, 0, y + 15, "big", "stage %d", stage);
    const har__module *first = &s->module[stage * n];
    har_svg_text(out, 0, y + 31, "dim small", "layers %s", first->layers);
    for (int i = 0; i < n; i++)
        write_cell(first + i, stage * n + i, g,
                   LEFT + g->w * (double)(i % g->n_across),
                   y + g->h * (double)(i / g->n_across), out);
}

static void write_picture(const har__sheet *s, FILE *out)
{
    const par_plan *plan = &s->setup->plan;
    const grid g = grid_of(plan);
    const double stage_h = g.h * g.n_line + 10;
    har_svg_open(out, HAR__WIDTH, HEAD_H + (int)(stage_h * plan->pp),
                 "modules of the GPUs, a row per stage");
    for (int d = 0; d < plan->dp && g.n_line == 1; d++)
        har_svg_text(out, LEFT + g.w * d * plan->tp, 12, "dim small",
                     "replica %d", d);
    for (int stage = 0; stage < plan->pp; stage++)
        write_stage(s, &g, stage, HEAD_H + stage_h * stage, out);
    har_svg_close(out);
}

/* --- the table --- */

static void range_cell(FILE *out, int64_t from, int64_t to)
{
    char text[48];
    range_text(text, sizeof text, "", from, to);
    har_page_cell(out, "n", "%s", to <= from ? "none" : text + 1);
}

static void write_row(const har__module *m, int rank, FILE *out)
{
    fprintf(out, "<tr data-rank=\"%d\">", rank);
    har_page_count(out, rank);
    har_page_count(out, m->stage);
    har_page_count(out, m->d);
    har_page_count(out, m->t);
    har_page_cell(out, "n", "%s", m->layers);
    range_cell(out, m->head0, m->head1);
    range_cell(out, m->kv0, m->kv1);
    range_cell(out, m->vocab0, m->vocab1);
    har_page_cell(out, "n", "%s", m->experts);
    range_cell(out, m->f0, m->f1);
    har__number(out, m->weight_bytes, 1e-9, har__digits);
    fputs("</tr>\n", out);
}

void har__sheet_modules(const har__sheet *s, FILE *out)
{
    const int n = s->p.n_gpu;
    const bool in_stage = s->setup->plan.scope == PAR_SCOPE_STAGE;
    int n_part = 0;
    for (int i = 0; i < n; i++)
        n_part += s->module[i].is_copy ? 0 : 1;
    har__section(
        out, "plan", "The plan and its modules per GPU",
        n == 1
            ? "One GPU holds the whole model."
            : "%d GPUs hold %d different modules%s. Layers are split over "
              "stages, heads and vocabulary over the tensor group; the experts "
              "shown are those of %s.",
        n, n_part,
        n_part < n ? ", the others are copies (fainter) that work on other "
                     "rows of the batch"
                   : "",
        in_stage ? "the GPU's own layers"
                 : "every MoE layer of the model: they are spread over "
                   "all GPUs of a replica");
    fputs("<p>Plan <code>", out);
    har_page_text(out, s->plan);
    fputs("</code></p>\n", out);
    write_picture(s, out);
    fputs("<div class=\"scroll\"><table id=\"modules\"><thead><tr>"
          "<th class=\"n\">GPU</th><th class=\"n\">stage</th>"
          "<th class=\"n\">replica</th><th class=\"n\">tensor</th>"
          "<th class=\"n\">layers</th><th class=\"n\">heads</th>"
          "<th class=\"n\">kv heads</th><th class=\"n\">vocabulary</th>"
          "<th class=\"n\">experts</th><th class=\"n\">their columns</th>"
          "<th class=\"n\">weights, GB</th></tr></thead><tbody>\n",
          out);
    for (int i = 0; i < n; i++)
        write_row(&s->module[i], i, out);
    fputs("</tbody></table></div></section>\n", out);
}
