/* harness/page/sheet_memory.c -- the fullest GPU of each stage against what a
 * GPU has.
 */
#include "harness/page/sheet_impl.h"

#include <math.h>

enum { LEFT = 76, RIGHT = 232, BAR_H = 22, LINE_H = 34, HEAD_H = 20 };

typedef struct part {
    const char *colour, *text;
    double bytes;
} part;

enum { N_PART = 4 };

static void parts_of(const har_stage_memory *m, part out[N_PART])
{
    out[0] = (part){"g0", "weights", m->weights};
    out[1] = (part){"g2", "KV cache", m->kv};
    out[2] = (part){"g3", "activations", m->activations};
    out[3] = (part){"g1", "buffers for rows of experts", m->buffers};
}

static void write_bar(const har__sheet *s, int stage, double scale, double y,
                      FILE *out)
{
    const har_stage_memory *m = &s->p.stage[stage];
    const double capacity = s->setup->machine.memory_bytes;
    part list[N_PART];
    char number[HAR__NUMBER];
    double x = LEFT;
    har_svg_text(out, 0, y + 15, "big", "stage %d", stage);
    har_svg_rect(out, LEFT, y, capacity * scale, BAR_H, "idle", 0.14);
    har_svg_title(out, "memory of a GPU");
    parts_of(m, list);
    for (int i = 0; i < N_PART; i++) {
        har_svg_rect(out, x, y, list[i].bytes * scale, BAR_H, list[i].colour,
                     1);
        har_svg_title(out, "stage %d, %s: %.4g GB", stage, list[i].text,
                      list[i].bytes * 1e-9);
        x += list[i].bytes * scale;
    }
    har_svg_text(out, HAR__WIDTH - RIGHT + 12, y + 15, "",
                 "%s GB, %.2g %% (GPU %d)", har__digits(number, m->total * 1e-9),
                 100 * m->total / capacity, m->rank);
}

static void write_bars(const har__sheet *s, FILE *out)
{
    const double capacity = s->setup->machine.memory_bytes;
    const double scale =
        (HAR__WIDTH - LEFT - RIGHT) / fmax(capacity, s->p.memory);
    const double end = LEFT + capacity * scale;
    const int height = HEAD_H + s->p.n_stage * LINE_H;
    har_svg_open(out, HAR__WIDTH, height, "memory of the stages");
    har_svg_text(out, end, 12, "end dim", "a GPU has %.3g GB",
                 capacity * 1e-9);
    for (int i = 0; i < s->p.n_stage; i++)
        write_bar(s, i, scale, HEAD_H + (double)i * LINE_H, out);
    fprintf(out,
            "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" "
            "stroke=\"var(--bad)\" stroke-width=\"1.5\"/>\n",
            end, end, HEAD_H - 4, height - 6);
    har_svg_close(out);
}

void har__sheet_memory(const har__sheet *s, FILE *out)
{
    part list[N_PART];
    har__section(out, "memory", "Memory",
                 "The fullest GPU of each stage, in 1e9 bytes: its shards of "
                 "the weights, keys and values of all rows of its replica, "
                 "activations of the largest micro-batch, and rows of experts "
                 "under way.");
    write_bars(s, out);
    parts_of(&s->p.stage[0], list);
    har__key_open(out);
    for (int i = 0; i < N_PART; i++)
        har__key(out, list[i].colour, 1, "%s", list[i].text);
    har__key(out, "idle", 0.3, "free");
    har__key_close(out);
    fputs("<div class=\"wide\"><table><thead><tr><th class=\"n\">stage</th>"
          "<th class=\"n\">GPU</th>"
          "<th class=\"n\">weights, GB</th><th class=\"n\">KV cache</th>"
          "<th class=\"n\">activations</th><th class=\"n\">buffers</th>"
          "<th class=\"n\">total</th></tr></thead><tbody>\n",
          out);
    for (int i = 0; i < s->p.n_stage; i++) {
        const har_stage_memory *m = &s->p.stage[i];
        parts_of(m, list);
        fprintf(out, "<tr data-stage=\"%d\">", i);
        har_page_count(out, i);
        har_page_count(out, m->rank);
        for (int k = 0; k < N_PART; k++)
            har__number(out, list[k].bytes, 1e-9, har__digits);
        har__number(out, m->total, 1e-9, har__digits);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div></section>\n", out);
}
