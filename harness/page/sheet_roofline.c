/* harness/page/sheet_roofline.c -- operators under the machine's roof.
 *
 * An operator's place: its flop per byte through memory, and the flop/s that it
 * reaches while it runs.  Two roofs: the data sheet's, and what the machine
 * sustains by its coefficients.  Operators that compute nothing (copies) and
 * transfers have no place there; the table has them all.
 */
#include "harness/page/sheet_impl.h"
#include "harness/page/sheet_labels.h"

#include <math.h>

enum { HEIGHT = 440, N_CLEAR = 120 };

typedef struct roof {
    double peak, bw;           /* of the data sheet                           */
    double held_peak, held_bw; /* sustained                                   */
    har__frame box;
} roof;

static bool is_point(const har_class *c)
{
    return c->kind != CORE_COST_COLLECTIVE && c->flops > 0 && c->bytes > 0 &&
           c->seconds > 0;
}

static roof roof_of(const har__sheet *s)
{
    const har_machine *m = &s->setup->machine;
    roof r = {.peak = m->peak[har_predict_unit(m, &s->setup->what)], .bw = m->memory_bw};
    r.held_peak = r.peak * m->coef[HAR_COEF_COMPUTE].value;
    r.held_bw = r.bw * m->coef[HAR_COEF_MEMORY].value;
    har__frame *b = &r.box;
    *b = har__frame_of(HEIGHT);
    b->log_x = b->log_y = true;
    b->x0 = r.peak / r.bw / 10;
    b->x1 = r.peak / r.bw * 4;
    b->y0 = r.peak / 10;
    for (int i = 0; i < s->p.n_class; i++) {
        const har_class *c = &s->p.class_of[i];
        if (!is_point(c))
            continue;
        b->x0 = fmin(b->x0, c->flops / c->bytes);
        b->x1 = fmax(b->x1, c->flops / c->bytes * 1.5);
        b->y0 = fmin(b->y0, c->flops / c->seconds);
    }
    b->x0 = pow(10, floor(log10(b->x0)));
    b->y0 = pow(10, floor(log10(b->y0)));
    b->y1 = r.peak * 2;
    return r;
}

/* Radius of a point: its area is its share of the pass. */
static double radius(const har__sheet *s, const har_class *c)
{
    return fmax(3.5, 24 * sqrt(c->seconds / s->p.latency.value));
}

/* A roof is something that words keep clear of. */
static int add_roof(har__label *label, const har__frame *box, double peak,
                    double bw)
{
    for (int i = 0; i < N_CLEAR; i++) {
        const double x = box->x0 * pow(box->x1 / box->x0, i / (N_CLEAR - 1.0));
        label[i] = har__label_at(box, x, fmin(peak, bw * x), 1);
    }
    return N_CLEAR;
}

static void write_labels(const har__sheet *s, const roof *r, FILE *script)
{
    har__label label[HAR_MAX_CLASS + 2 * N_CLEAR] = {{.text = ""}};
    int n = 0;
    for (int i = 0; i < s->p.n_class; i++) {
        const har_class *c = &s->p.class_of[i];
        if (!is_point(c))
            continue;
        label[n] = har__label_at(&r->box, c->flops / c->bytes,
                                 c->flops / c->seconds, radius(s, c));
        har__class_name(label[n].text, sizeof label[n].text, c);
        n++;
    }
    n += add_roof(label + n, &r->box, r->peak, r->bw);
    n += add_roof(label + n, &r->box, r->held_peak, r->held_bw);
    har__labels_place(label, n, &r->box);
    har__labels_write(script, label, n, &r->box);
}

static void write_points(const har__sheet *s, FILE *script)
{
    char name[96];
    for (int i = 0; i < s->p.n_class; i++) {
        const har_class *c = &s->p.class_of[i];
        if (!is_point(c))
            continue;
        har__class_name(name, sizeof name, c);
        fprintf(script,
                "$p%d << E\n%.9g %.9g \"%s: %.3g flop/byte, %.3g TFLOP/s, %.3g "
                "ms of a pass\"\nE\n",
                i, c->flops / c->bytes, c->flops / c->seconds, name,
                c->flops / c->bytes, c->flops / c->seconds * 1e-12,
                c->seconds * 1e3);
    }
}

static void write_roof(FILE *script, const char *name, const roof *r,
                       double peak, double bw)
{
    fprintf(script, "$%s << E\n%.9g %.9g\n%.9g %.9g\n%.9g %.9g\nE\n", name,
            r->box.x0, r->box.x0 * bw, peak / bw, peak, r->box.x1, peak);
}

static void write_script(const har__sheet *s, const roof *r, FILE *script)
{
    har__axes_write(script, &r->box, "flop per byte through memory",
                    "FLOP/s of a GPU");
    fputs("set format x '%g'\n", script);
    write_roof(script, "roof", r, r->peak, r->bw);
    write_roof(script, "held", r, r->held_peak, r->held_bw);
    write_points(s, script);
    write_labels(s, r, script);
    fputs("plot $roof using 1:2 with lines lw 2 lc @ink, "
          "$held using 1:2 with lines lw 1.2 dt 2 lc @soft",
          script);
    for (int i = 0; i < s->p.n_class; i++) {
        const har_class *c = &s->p.class_of[i];
        if (is_point(c))
            fprintf(script,
                    ", $p%d using 1:2:3 with labels hypertext point pt 7 ps "
                    "%.2f lc @%s",
                    i, radius(s, c) / 4.5,
                    har__is_experts(c->op) ? "g1" : "g0");
    }
    fputs("\n", script);
}

/* --- the table --- */

static const char *bound_text(const har_class *c)
{
    static const char *const names[HAR_N_BOUND] = {
        [HAR_BOUND_OVERHEAD] = "launch overhead",
        [HAR_BOUND_LATENCY] = "latency",
        [HAR_BOUND_COMPUTE] = "arithmetic",
        [HAR_BOUND_MEMORY] = "memory",
        [HAR_BOUND_LINK] = "links"};
    int best = 0;
    for (int b = 1; b < HAR_N_BOUND; b++)
        if (c->bound[b] > c->bound[best])
            best = b;
    return c->bound[best] > 0 ? names[best] : "";
}

static void rate_cell(FILE *out, bool exists, double x)
{
    char number[HAR__NUMBER];
    har_page_cell(out, "n", "%s", exists ? har__digits(number, x) : "");
}

static void write_row(const har__sheet *s, const har_class *c, const roof *r,
                      FILE *out)
{
    const bool moves = c->kind == CORE_COST_COLLECTIVE;
    const double top = fmin(r->peak, r->bw * c->flops / c->bytes);
    char name[96];
    har__class_name(name, sizeof name, c);
    fputs("<tr>", out);
    har_page_cell(out, "", "%s", name);
    har__number(out, c->seconds, 1e3, har__digits);
    har_page_cell(out, "n", "%.1f %%",
                  100 * (c->seconds / s->p.latency.value));
    rate_cell(out, is_point(c), c->flops / c->bytes);
    rate_cell(out, is_point(c), c->flops / c->seconds * 1e-12);
    rate_cell(out, c->bytes > 0 && c->seconds > 0,
              c->bytes / c->seconds * 1e-9);
    rate_cell(out, is_point(c), 100 * c->flops / c->seconds / top);
    har_page_cell(out, "", "%s", bound_text(c));
    rate_cell(out, moves, c->exposed * 1e3);
    fputs("</tr>\n", out);
}

/* Longest first: the next after the one of `seconds` with index `last`. */
static int next_longest(const har_prediction *p, double seconds, int last)
{
    int best = -1;
    for (int i = 0; i < p->n_class; i++) {
        const double x = p->class_of[i].seconds;
        const bool is_after = x < seconds || (!(x > seconds) && i > last);
        if (x > 0 && is_after && (best < 0 || x > p->class_of[best].seconds))
            best = i;
    }
    return best;
}

static void write_table(const har__sheet *s, const roof *r, FILE *out)
{
    fputs("<div class=\"wide\"><table id=\"operators\"><thead><tr>"
          "<th>operator</th>"
          "<th class=\"n\">ms of a pass</th><th class=\"n\">share</th>"
          "<th class=\"n\">flop/byte</th><th class=\"n\">TFLOP/s</th>"
          "<th class=\"n\">GB/s</th><th class=\"n\">% of the roof</th>"
          "<th>bound by</th><th class=\"n\">not hidden, ms</th></tr></thead>"
          "<tbody>\n",
          out);
    double seconds = INFINITY;
    for (int i = next_longest(&s->p, seconds, -1); i >= 0;
         i = next_longest(&s->p, seconds, i)) {
        seconds = s->p.class_of[i].seconds;
        write_row(s, &s->p.class_of[i], r, out);
    }
    fputs("</tbody></table></div>\n<p>Not hidden: from the last arrival at a "
          "transfer to its end, for all its members; so it can be more than "
          "the mean of what they take.</p>\n",
          out);
}

core_status har__sheet_roofline(const har__sheet *s, FILE *out)
{
    const roof r = roof_of(s);
    har__plot plot;
    har__section(
        out, "roofline", "Roofline",
        "Operators of a GPU while they run, mean over GPUs; a larger point "
        "takes more of the pass. The solid roof is the data sheet's, "
        "%.4g TFLOP/s in %s and %.4g TB/s, which meet at %.0f flop per "
        "byte; the dashed one is what the machine sustains by its "
        "coefficients.",
        r.peak * 1e-12,
        har_unit_name(har_predict_unit(&s->setup->machine, &s->setup->what)),
        r.bw * 1e-12, r.peak / r.bw);
    CORE_TRY(har__plot_open(&plot));
    write_script(s, &r, plot.script);
    CORE_TRY(har__plot_close(&plot, out, HEIGHT,
                             "operators under the roof of the machine"));
    har__key_open(out);
    har__key(out, "g0", 1, "attention and dense layers");
    har__key(out, "g1", 1, "experts and routing");
    har__key_close(out);
    write_table(s, &r, out);
    fputs("</section>\n", out);
    return CORE_OK;
}
