/* harness/page/sheet_traffic.c -- bytes from GPU to GPU as a matrix.
 *
 * The hue of a cell is what most of its bytes are, its strength how many they
 * are on a logarithmic scale of three decades: a ring of a tensor group and the
 * scattered rows of experts differ by that much and should both be seen.
 */
#include "harness/page/sheet_impl.h"

#include <math.h>

enum { LEFT = 64, HEAD_H = 40, MATRIX = 560, DECADES = 3 };

static const char *bytes_of(char out[HAR__NUMBER], double x)
{
    char number[HAR__NUMBER];
    snprintf(out, HAR__NUMBER, x > 0 ? "%.28sB" : "0", har__si(number, x));
    return out;
}

static double all_at(const har_traffic *t, int i, int j, har_flow *most)
{
    double sum = 0, largest = -1;
    for (int flow = 0; flow < (int)HAR_N_FLOW; flow++) {
        const double bytes = har_traffic_at(t, (har_flow)flow, i, j);
        sum += bytes;
        if (bytes > largest) {
            largest = bytes;
            *most = (har_flow)flow;
        }
    }
    return sum;
}

static void gpus_text(const har_traffic *t, int cell, char *out, size_t bytes)
{
    const int first = cell * t->block;
    const int last =
        first + t->block < t->n_gpu ? first + t->block - 1 : t->n_gpu - 1;
    if (last > first)
        snprintf(out, bytes, "GPUs %d\xe2\x80\x93%d", first, last);
    else
        snprintf(out, bytes, "GPU %d", first);
}

static void write_cell(const har_traffic *t, int i, int j, double peak,
                       double w, FILE *out)
{
    har_flow flow = HAR_FLOW_TENSOR;
    const double bytes = all_at(t, i, j, &flow);
    char from[48], to[48], number[HAR__NUMBER], text[240];
    if (!(bytes > 0))
        return;
    const double strength = 1 + log10(bytes / peak) / DECADES;
    har_svg_rect(out, LEFT + w * j, HEAD_H + w * i, w > 6 ? w - 1 : w,
                 w > 6 ? w - 1 : w, har__flow_colour(flow),
                 0.1 + 0.9 * fmax(strength, 0));
    gpus_text(t, i, from, sizeof from);
    gpus_text(t, j, to, sizeof to);
    int n = snprintf(text, sizeof text, "%s to %s: %s", from, to,
                     bytes_of(number, bytes));
    for (int k = 0; k < (int)HAR_N_FLOW; k++) {
        const double part = har_traffic_at(t, (har_flow)k, i, j);
        if (part > 0 && n > 0 && n < (int)sizeof text)
            n += snprintf(text + n, sizeof text - (size_t)n, ", %s %s",
                          har_flow_name((har_flow)k), bytes_of(number, part));
    }
    har_svg_title(out, "%s", text);
}

static void write_axes(const har_traffic *t, double w, FILE *out)
{
    const int every = t->n_cell > 32 ? 8 : t->n_cell > 16 ? 4 : 1;
    har_svg_text(out, LEFT + MATRIX / 2.0, 12, "mid dim", "to GPU");
    har_svg_text(out, 0, HEAD_H + 12, "dim", "from");
    har_svg_text(out, 0, HEAD_H + 26, "dim", "GPU");
    for (int i = 0; i < t->n_cell; i += every) {
        har_svg_text(out, LEFT + w * (i + 0.5), HEAD_H - 8, "mid dim small",
                     "%d", i * t->block);
        har_svg_text(out, LEFT - 8, HEAD_H + w * (i + 0.5) + 4, "end dim small",
                     "%d", i * t->block);
    }
    har_svg_rect(out, LEFT, HEAD_H, w * t->n_cell, w * t->n_cell, "idle", 0.06);
    har_svg_title(out, "nothing is sent");
}

static void write_scale(const har_traffic *t, double peak, FILE *out)
{
    const double x = LEFT + MATRIX + 28;
    char number[HAR__NUMBER];
    for (int k = 0; k < (int)HAR_N_FLOW; k++) {
        const double y = HEAD_H + 20 + 54.0 * k;
        if (!har_traffic_has(t, (har_flow)k))
            continue;
        const char *name = har_flow_name((har_flow)k);
        har_svg_text(out, x, y - 6, "small", "%s", name);
        for (int step = 0; step < 12; step++) {
            har_svg_rect(out, x + 13 * step, y, 13, 12,
                         har__flow_colour((har_flow)k),
                         0.1 + 0.9 * step / 11.0);
            har_svg_title(out, "%s", name);
        }
        har_svg_text(out, x, y + 26, "dim small", "%s",
                     bytes_of(number, peak / pow(10, DECADES)));
        har_svg_text(out, x + 13 * 12, y + 26, "end dim small", "%s",
                     bytes_of(number, peak));
    }
}

static void write_matrix(const har_traffic *t, FILE *out)
{
    const double w =
        MATRIX / (double)t->n_cell > 64 ? 64 : MATRIX / (double)t->n_cell;
    const double least = har_traffic_has(t, HAR_FLOW_CONTEXT) ? 244 : 190;
    const double height = fmax(least, w * t->n_cell);
    double peak = 0;
    for (int i = 0; i < t->n_cell; i++)
        for (int j = 0; j < t->n_cell; j++) {
            har_flow flow;
            peak = fmax(peak, all_at(t, i, j, &flow));
        }
    har_svg_open(out, HAR__WIDTH, HEAD_H + (int)height + 4,
                 "bytes from GPU to GPU");
    write_axes(t, w, out);
    for (int i = 0; i < t->n_cell; i++)
        for (int j = 0; j < t->n_cell; j++)
            write_cell(t, i, j, peak, w, out);
    if (peak > 0)
        write_scale(t, peak, out);
    har_svg_close(out);
}

static void write_links(const har__sheet *s, FILE *out)
{
    const har_machine *m = &s->setup->machine;
    const har_traffic *t = &s->traffic;
    fputs("<div class=\"wide\"><table><thead><tr>"
          "<th>bytes of a pass, all GPUs</th>",
          out);
    for (int i = 0; i < m->n_link; i++) {
        fputs("<th class=\"n\">over ", out);
        har_page_text(out, m->link[i].name);
        fputs("</th>", out);
    }
    fputs("<th class=\"n\">in all</th></tr></thead><tbody>\n", out);
    for (int k = 0; k < (int)HAR_N_FLOW; k++) {
        double sum = 0;
        if (!har_traffic_has(t, (har_flow)k))
            continue;
        fprintf(out, "<tr data-flow=\"%d\">", k);
        har_page_cell(out, "", "%s", har_flow_name((har_flow)k));
        for (int i = 0; i < m->n_link; i++) {
            sum += t->by_link[k][i];
            har__number(out, t->by_link[k][i], 1, bytes_of);
        }
        har__number(out, sum, 1, bytes_of);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

void har__sheet_traffic(const har__sheet *s, FILE *out)
{
    const har_traffic *t = &s->traffic;
    int most = 0;
    char number[HAR__NUMBER], ours[HAR__NUMBER], every[80] = "";
    for (int i = 1; i < t->n_gpu; i++)
        if (t->out[i] > t->out[most])
            most = i;
    if (t->block > 1)
        snprintf(every, sizeof every, " A cell is %d by %d GPUs.", t->block,
                 t->block);
    if (t->n_gpu > 1) {
        har__section(
            out, "traffic", "Communication matrix",
            "Bytes that the GPU of a row sends to that of a column in a pass. "
            "Rows of experts and activations between stages are exact for "
            "the load above; sums of a tensor group and keys of a context group go "
            "around a ring, as the machine's time for them assumes. GPU %d sends most, %sB. In "
            "a pass transfers take %s ms of a GPU, %.3g ms of it not hidden.%s",
            most, har__si(number, t->out[most]),
            har__digits(ours, s->p.comm_total * 1e3), s->p.comm_exposed * 1e3,
            every);
        write_matrix(t, out);
        write_links(s, out);
    } else
        har__section(out, "traffic", "Communication matrix",
                     "One GPU: nothing is sent.");
    fputs("</section>\n", out);
}
