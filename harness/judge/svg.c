/* harness/judge/svg.c -- the pictures of a judgement, see svg.h.
 *
 * Colour says the zone (within half of the bound, within it, beyond it) and its
 * strength how far; beyond the bound on a logarithmic scale, because an error
 * that is a thousand bounds large must not hide one of two.  Cells carry their
 * number where there is room, so that nothing depends on colour alone.  Trap: a
 * picture of 10,000 tokens needs a cell for several; it shows the worst.
 */
#include "harness/judge/svg.h"
#include "harness/page/svg.h"

#include <math.h>
#include <string.h>

enum {
    LEFT = 92, /* room for the labels of lines                          */
    CELL_W = 104,
    CELL_H = 24,
    GAP = 3,
    HEAD_H = 26,
    TOKENS_W = 900,
    MAX_ACROSS = 225, /* cells of the token map                               */
    MAX_DOWN = 64,
    BAR_W = 720,
};

/* Colour of observed / bound: the variable, and its strength. */
static const char *zone(double ratio, double *strength)
{
    if (ratio > 1.0) {
        const double decades = isfinite(ratio) ? log10(ratio) / 3.0 : 1.0;
        *strength = 0.55 + 0.45 * (decades < 1.0 ? decades : 1.0);
        return "bad";
    }
    if (ratio > 0.5) {
        *strength = 0.35 + 0.9 * (ratio - 0.5);
        return "warn";
    }
    *strength = 0.12 + 0.9 * (ratio > 0.0 ? ratio : 0.0);
    return "good";
}

/* --- taps --- */

static void tap_cell(const har_judgement *g, int64_t i, double x, double y,
                     FILE *out)
{
    char spot[HAR_SPOT_TEXT] = "", ratio[HAR_RATIO_TEXT];
    double strength = 0.0;
    if (i < 0)
        return;
    const har_tap_judgement *t = &g->tap[i];
    const bool empty = !t->is_judged;
    const bool fails = t->verdict == HAR_FAIL;
    const char *colour = empty                      ? (fails ? "bad" : "idle")
                         : fails && t->ratio <= 1.0 ? "bad"
                                                    : zone(t->ratio, &strength);
    if (strength <= 0.0)
        strength = fails ? 0.6 : 0.25;
    har_svg_rect(out, x, y, CELL_W - GAP, CELL_H - GAP, colour, strength);
    fprintf(out, " rx=\"3\"%s",
            i == g->first ? " stroke=\"var(--ink)\" stroke-width=\"2\"" : "");
    if (t->n_spot > 0)
        har__spot_text(spot, g, &t->spot[0]);
    har_svg_title(out, "%s: %s, %lld of %lld rows fail%s%s%s%s",
                  g->yard->tap[i].data->name, har__mark_text(t),
                  (long long)t->n_failed, (long long)t->n_row,
                  t->n_spot > 0 ? "; worst " : "", spot,
                  t->problem[0] != '\0' ? "; " : "", t->problem);
    har_svg_text(out, x + (CELL_W - GAP) / 2.0, y + CELL_H / 2.0 + 3.0,
                 empty && !fails                                 ? "mid dim"
                 : strength > 0.75 && strcmp(colour, "bad") == 0 ? "mid on"
                                                                 : "mid",
                 "%s%s",
                 empty && !fails ? "not judged"
                 : empty || (t->n_missing > 0 && t->n_failed == 0)
                     ? "missing"
                     : har__ratio_text(ratio, t->ratio),
                 fails ? " \xe2\x9c\x97" : "");
}

/* The name of a line, left of it. */
static void name_line(double x, double y, FILE *out, const char *text)
{
    har_svg_text(out, x - 10.0, y + CELL_H / 2.0 + 3.0, "end dim", "%s", text);
}

void har__svg_taps(const har_judgement *g, int part, FILE *out)
{
    core_tap_kind kinds[CORE_N_TAP_KINDS];
    char label[CORE_NAME_BYTES];
    const int n_layer = har__judge_last_layer(g, part) + 1;
    const int n = har__judge_kinds(g, false, kinds);
    const int width = LEFT + (n < 3 ? 3 : n) * CELL_W;
    har_svg_open(out, width, HEAD_H + (n_layer + 2) * CELL_H + 8,
                 "observed over bound, by layer and tap");
    for (int k = 0; k < n; k++)
        har_svg_text(out, LEFT + k * CELL_W + (CELL_W - GAP) / 2.0,
                     HEAD_H - 10.0, "mid dim", "%s",
                     har__kind_label(label, kinds[k]));
    double y = HEAD_H;
    name_line(LEFT, y, out, "embed");
    tap_cell(g, har__judge_index(g, part, -1, CORE_TAP_EMBED), LEFT, y, out);
    for (int layer = 0; layer < n_layer; layer++) {
        y += CELL_H;
        snprintf(label, sizeof label, "layer %d", layer);
        name_line(LEFT, y, out, label);
        for (int k = 0; k < n; k++)
            tap_cell(g, har__judge_index(g, part, layer, kinds[k]),
                     LEFT + (double)k * CELL_W, y, out);
    }
    y += CELL_H;
    name_line(LEFT, y, out, "final norm");
    tap_cell(g, har__judge_index(g, part, -1, CORE_TAP_FINAL_NORM), LEFT, y,
             out);
    name_line(LEFT + 2.0 * CELL_W, y, out, "logits");
    tap_cell(g, har__judge_index(g, part, -1, CORE_TAP_LOGITS),
             LEFT + 2.0 * CELL_W, y, out);
    har_svg_close(out);
}

/* --- tokens --- */

/* Worst ratio of a block of tokens; < 0: none was judged. */
static double block_ratio(const har_judgement *g, int part, int64_t b0,
                          int64_t b1, int64_t t0, int64_t t1, int64_t *worst)
{
    const int64_t n_t = g->yard->part[part].n_t;
    double ratio = -1.0;
    *worst = b0 * n_t + t0;
    for (int64_t b = b0; b < b1; b++) {
        for (int64_t t = t0; t < t1; t++) {
            const double r = g->token_ratio[part][b * n_t + t];
            if (r > ratio) {
                ratio = r;
                *worst = b * n_t + t;
            }
        }
    }
    return ratio;
}

static void token_cell(const har_judgement *g, int part, int64_t worst,
                       double ratio, const double box[4], FILE *out)
{
    const int64_t n_t = g->yard->part[part].n_t;
    char number[HAR_RATIO_TEXT];
    double strength = 0.25;
    const char *colour = ratio < 0.0 ? "idle" : zone(ratio, &strength);
    har_svg_rect(out, box[0], box[1], box[2], box[3], colour, strength);
    har_svg_title(out, "row %lld, position %lld: %s",
                  (long long)(worst / n_t), (long long)(worst % n_t),
                  ratio < 0.0 ? "not judged" : har__ratio_text(number, ratio));
}

void har__svg_tokens(const har_judgement *g, int part, FILE *out)
{
    const har_yard_part *p = &g->yard->part[part];
    const int64_t n_across = p->n_t < MAX_ACROSS ? p->n_t : MAX_ACROSS;
    const int64_t n_down = p->n_b < MAX_DOWN ? p->n_b : MAX_DOWN;
    const double w = fmin(24.0, TOKENS_W / (double)n_across), h = 16.0;
    const int width = LEFT + (int)(w * (double)n_across) + 20;
    har_svg_open(out, width, HEAD_H + (int)n_down * 16 + 6,
                 "worst observed over bound of every token");
    har_svg_text(out, LEFT, HEAD_H - 10.0, "dim", "position 0");
    har_svg_text(out, LEFT + w * (double)n_across, HEAD_H - 10.0, "end dim",
                 "%lld", (long long)(p->n_t - 1));
    for (int64_t i = 0; i < n_down; i++) {
        const int64_t b0 = i * p->n_b / n_down, b1 = (i + 1) * p->n_b / n_down;
        const double y = HEAD_H + h * (double)i;
        har_svg_text(out, LEFT - 10.0, y + 11.0, "end dim", "row %lld",
                     (long long)b0);
        for (int64_t j = 0; j < n_across; j++) {
            int64_t worst = 0;
            const double ratio =
                block_ratio(g, part, b0, b1, j * p->n_t / n_across,
                            (j + 1) * p->n_t / n_across, &worst);
            const double box[4] = {LEFT + w * (double)j, y,
                                   w > 4.0 ? w - 1.0 : w, h - 1.0};
            token_cell(g, part, worst, ratio, box, out);
        }
    }
    har_svg_close(out);
}

/* --- routing --- */

bool har__svg_has_routing(const har_judgement *g, int part)
{
    for (int i = 0; i < g->n_routing; i++)
        if (g->routing[i].part == part &&
            g->routing[i].n_token + g->routing[i].n_excluded > 0)
            return true;
    return false;
}

static int count_layers(const har_judgement *g, int part)
{
    int n = 0;
    for (int i = 0; i < g->n_routing; i++)
        n += g->routing[i].part == part;
    return n;
}

/* A line for each layer of the part, y pixels down; w: what `write` takes. */
static void write_lines(const har_judgement *g, int part, double y, double w,
                        void (*write)(const har_layer_routing *r, double y,
                                      double w, FILE *out),
                        FILE *out)
{
    for (int i = 0; i < g->n_routing; i++) {
        const har_layer_routing *r = &g->routing[i];
        if (r->part != part)
            continue;
        har_svg_text(out, LEFT - 10.0, y + 14.0, "end dim", "layer %d",
                     r->layer);
        write(r, y, w, out);
        y += CELL_H;
    }
}

static void routing_bar(const har_layer_routing *r, double y, double width,
                        FILE *out)
{
    static const char *const colours[] = {"good", "warn", "bad", "idle"};
    static const char *const words[] = {"agree", "flips with a certificate",
                                        "flips without", "set aside"};
    const int64_t parts[] = {r->n_same, r->n_certified, r->n_uncertified,
                             r->n_excluded};
    const int64_t n = r->n_token + r->n_excluded;
    double x = LEFT;
    for (int k = 0; k < 4 && n > 0; k++) {
        double w = width * (double)parts[k] / (double)n;
        if (parts[k] == 0)
            continue;
        w = w < 2.0 ? 2.0 : w; /* one flip among thousands is seen */
        har_svg_rect(out, x, y, w, CELL_H - GAP - 4.0, colours[k],
                     k == 0 ? 0.5 : 0.9);
        har_svg_title(out, "layer %d: %lld of %lld tokens %s", r->layer,
                      (long long)parts[k], (long long)n, words[k]);
        x += w;
    }
    har_svg_text(out, LEFT + width + 16.0, y + 14.0, "", "%.2f %%",
                 r->n_token > 0 ? 100.0 * (double)r->n_same / (double)r->n_token
                                : 0.0);
    if (r->n_certified + r->n_uncertified > 0)
        har_svg_text(out, LEFT + width + 90.0, y + 14.0, "dim",
                     "%lld + %lld flips", (long long)r->n_certified,
                     (long long)r->n_uncertified);
}

void har__svg_routing(const har_judgement *g, int part, FILE *out)
{
    har_svg_open(out, LEFT + BAR_W + 220, count_layers(g, part) * CELL_H + 8,
                 "agreement of the chosen experts, by layer");
    write_lines(g, part, 4.0, BAR_W, routing_bar, out);
    har_svg_close(out);
}

/* --- load --- */

static void load_line(const har_layer_routing *r, double y, double w, FILE *out)
{
    const int64_t *golden = r->load, *found = r->load + r->n_expert;
    int64_t busiest = 1;
    for (int64_t e = 0; e < r->n_expert; e++)
        busiest = golden[e] > busiest ? golden[e] : busiest;
    for (int64_t e = 0; e < r->n_expert; e++) {
        const double x = LEFT + w * (double)e;
        har_svg_rect(out, x, y, w > 4.0 ? w - 1.0 : w, CELL_H - GAP, "load",
                     0.06 + 0.94 * (double)golden[e] / (double)busiest);
        if (golden[e] != found[e])
            fputs(" stroke=\"var(--bad)\" stroke-width=\"1.5\"", out);
        har_svg_title(out, "layer %d, expert %lld: golden %lld, dump %lld",
                      r->layer, (long long)e, (long long)golden[e],
                      (long long)found[e]);
    }
    har_svg_text(out, LEFT + w * (double)r->n_expert + 12.0, y + 14.0, "dim",
                 "busiest %lld", (long long)busiest);
}

void har__svg_load(const har_judgement *g, int part, FILE *out)
{
    int64_t n_expert = 1;
    for (int i = 0; i < g->n_routing; i++)
        if (g->routing[i].part == part && g->routing[i].n_expert > n_expert)
            n_expert = g->routing[i].n_expert;
    const double w = fmin(24.0, BAR_W / (double)n_expert);
    har_svg_open(out, LEFT + (int)(w * (double)n_expert) + 130,
                 HEAD_H + count_layers(g, part) * CELL_H + 4,
                 "choices per expert, by layer");
    har_svg_text(out, LEFT, HEAD_H - 10.0, "dim", "expert 0");
    har_svg_text(out, LEFT + w * (double)n_expert, HEAD_H - 10.0, "end dim",
                 "%lld", (long long)(n_expert - 1));
    write_lines(g, part, HEAD_H, w, load_line, out);
    har_svg_close(out);
}
