/* harness/page/sheet_text.c -- numbers, legends and styles of a sheet. */
#include "harness/page/sheet_impl.h"

#include "parallel/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* g0 to g5: hues that stay apart for most eyes, in both sets. */
const char har__sheet_style[] =
    ":root{--g0:#3d6fb6;--g1:#d9822b;--g2:#2b8a6e;--g3:#8b5fbf;--g4:#c2487d;"
    "--g5:#7f8a1f}\n"
    "@media (prefers-color-scheme:dark){:root{--g0:#6fa0ea;--g1:#f0a35a;"
    "--g2:#47b494;--g3:#b48be0;--g4:#e57fae;--g5:#b9c656}}\n"
    ".wide>svg{width:100%;height:auto}\n"
    "h3{font-size:15px;margin:18px 0 2px}\n"
    "code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}\n"
    "nav{display:flex;flex-wrap:wrap;gap:2px 16px;margin:14px 0 0;"
    "font-size:14px}nav a{color:var(--load)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(6,1fr);gap:10px;"
    "margin:16px 0}\n"
    ".tile{border:1px solid var(--line);border-radius:8px;padding:10px 12px}\n"
    ".tile b{display:block;font-size:23px;font-weight:600;line-height:1.25}\n"
    ".tile b small{font-size:14px;font-weight:500}\n"
    ".tile span{display:block;color:var(--soft);font-size:13px}\n"
    ".note{border-left:4px solid var(--warn);padding:2px 0 2px 12px;margin:"
    "8px 0;color:var(--ink)}.note.bad{border-color:var(--bad)}"
    ".note.good{border-color:var(--good)}\n"
    /* a shade at the lower edge, under a cover that scrolls with the rows */
    ".scroll{max-height:430px;overflow:auto;margin:10px 0 0;background:"
    "linear-gradient(transparent,var(--card) 60%) 0 100%/100% 36px no-repeat "
    "local,linear-gradient(transparent,var(--line)) 0 100%/100% 22px no-repeat}"
    "\n"
    ".scroll th{position:sticky;top:0;background:var(--card)}\n"
    "tr.ours td{font-weight:600}\n"
    "td small{color:var(--soft);font-size:13px}\n"
    "td.plan{white-space:normal;overflow-wrap:anywhere;min-width:17em}\n"
    "th{font-size:13px;white-space:normal;vertical-align:bottom}"
    "td.says{white-space:normal;min-width:8em}\n"
    "svg .big{font-size:13px;font-weight:600}svg .small{font-size:11px}\n"
    "svg.plot text{fill:inherit}\n"
    ".wide,.scroll{margin-top:14px}\n"
    "svg .rule{stroke:var(--line);stroke-width:1}\n"
    "@media (max-width:900px){td,th{padding-right:8px;font-size:13px}"
    "section{padding:16px 14px}section .wide>svg{min-width:720px}"
    ".tiles{grid-template-columns:repeat(3,1fr)}}\n"
    "@media (max-width:500px){.tiles{grid-template-columns:repeat(2,1fr)}}\n"
    "@media print{section{break-inside:avoid}.scroll{max-height:none}"
    "section .wide>svg{min-width:0}}\n";

void har__section(FILE *out, const char *id, const char *heading,
                  const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(out, "<section id=\"%s\"><h2>%s</h2>\n<p>", id, heading);
    har_page_format(out, fmt, args);
    fputs("</p>\n", out);
    va_end(args);
}

void har__key_open(FILE *out)
{
    fputs("<div class=\"key\">", out);
}

void har__key(FILE *out, const char *colour, double strength, const char *fmt,
              ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(out, "<span><i style=\"background:var(--%s);opacity:%.2f\"></i>",
            colour, strength);
    har_page_format(out, fmt, args);
    fputs("</span>", out);
    va_end(args);
}

void har__key_close(FILE *out)
{
    fputs("</div>\n", out);
}

/* --- numbers --- */

const char *har__digits(char out[HAR__NUMBER], double x)
{
    const double size = fabs(x);
    if (!isfinite(x))
        snprintf(out, HAR__NUMBER, "%s", isnan(x) ? "unknown" : "no limit");
    else if (size >= 99.95)
        snprintf(out, HAR__NUMBER, "%.0f", x);
    else if (size >= 9.995)
        snprintf(out, HAR__NUMBER, "%.1f", x);
    else if (size >= 0.9995 || size == 0)
        snprintf(out, HAR__NUMBER, size == 0 ? "%.0f" : "%.2f", x);
    else if (size >= 0.01)
        snprintf(out, HAR__NUMBER, "%.3f", x);
    else
        snprintf(out, HAR__NUMBER, "%.2g", x);
    return out;
}

const char *har__si(char out[HAR__NUMBER], double x)
{
    static const char *const prefix[] = {"", " k", " M", " G", " T", " P"};
    char number[HAR__NUMBER];
    int i = 0;
    while (fabs(x) >= 999.5 && i < 5) {
        x /= 1e3;
        i++;
    }
    snprintf(out, HAR__NUMBER, "%.20s%s", har__digits(number, x), prefix[i]);
    return out;
}

const char *har__grouped(char out[HAR__NUMBER], int64_t n)
{
    char digits[HAR__NUMBER];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    int to = 0;
    for (int i = 0; i < length && to + 2 < HAR__NUMBER; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = '\0';
    return out;
}

void har__number(FILE *out, double x, double scale, har__words words)
{
    char text[HAR__NUMBER];
    fprintf(out, "<td class=\"n\"><data value=\"%.17g\">%s</data></td>", x,
            words(text, x * scale));
}

/* --- operators --- */

void har__class_name(char *out, size_t bytes, const har_class *c)
{
    const bool moves = c->kind == CORE_COST_COLLECTIVE;
    const char *what = moves ? core_collective_name(c->collective)
                             : core_cost_kind_name(c->kind);
    snprintf(out, bytes, "%s%s%s%s%s", c->op,
             strcmp(c->op, what) == 0 ? "" : " ",
             strcmp(c->op, what) == 0 ? "" : what, moves ? " over " : "",
             moves ? core_axis_name(c->axis) : "");
}

bool har__is_experts(const char *op)
{
    static const par_operator list[] = {PAR_OP_ROUTER, PAR_OP_DISPATCH,
                                        PAR_OP_EXPERT, PAR_OP_COMBINE};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (strcmp(op, par_operator_name(list[i])) == 0)
            return true;
    return false;
}

const char *har__work_colour(har__work work)
{
    static const char *const names[HAR__N_WORK] = {[HAR__DENSE] = "g0",
                                                   [HAR__EXPERTS] = "g1",
                                                   [HAR__TO_TENSOR] = "g3",
                                                   [HAR__TO_EXPERTS] = "g4",
                                                   [HAR__TO_STAGE] = "g2",
                                                   [HAR__TO_CONTEXT] = "g5"};
    return names[work];
}

const char *har__flow_colour(har_flow flow)
{
    static const har__work work[HAR_N_FLOW] = {
        [HAR_FLOW_TENSOR] = HAR__TO_TENSOR,
        [HAR_FLOW_EXPERT] = HAR__TO_EXPERTS,
        [HAR_FLOW_STAGE] = HAR__TO_STAGE,
        [HAR_FLOW_CONTEXT] = HAR__TO_CONTEXT};
    return har__work_colour(work[flow]);
}

/* --- plots --- */

core_status har__plot_open(har__plot *plot)
{
    *plot = (har__plot){0};
    plot->script = open_memstream(&plot->text, &plot->n);
    CORE_FAIL_IF(plot->script == NULL, CORE_E_MEMORY, "no memory for a plot");
    fputs("set encoding utf8\n"
          "set border 3 lw 1 lc @line\n"
          "set tics nomirror scale 0.5 textcolor @soft\n"
          "set grid lw 0.6 lt 1 lc @line\n"
          "set key textcolor @ink samplen 2\n"
          "set style fill solid 1 noborder\n",
          plot->script);
    return CORE_OK;
}

core_status har__plot_close(har__plot *plot, FILE *out, int height,
                            const char *label)
{
    const core_status status =
        fclose(plot->script) != 0
            ? core_fail(CORE_E_MEMORY, "no memory for a plot")
            : har_gnuplot_draw(out, plot->text, HAR__WIDTH, height, label);
    free(plot->text);
    return status;
}
