/* harness/page/sheet_labels.c -- see sheet_labels.h. */
#include "harness/page/sheet_labels.h"

#include "harness/page/sheet_impl.h"

#include <math.h>
#include <string.h>

enum { LINE = 14 };
static const double LETTER = 6.3; /* pixels, of a font of 11                  */

static double half_width(const har__label *l)
{
    return (double)strlen(l->text) * LETTER / 2 + 2;
}

static int meets_text(const har__label *a, const har__label *b)
{
    return fabs(a->tx - b->tx) < half_width(a) + half_width(b) &&
           fabs(a->ty - b->ty) < LINE;
}

static int meets_point(const har__label *text, const har__label *point)
{
    return fabs(text->tx - point->x) < half_width(text) + point->r &&
           fabs(text->ty - point->y) < LINE / 2.0 + point->r;
}

static int is_free(const har__label *label, int i, int n, const har__frame *box)
{
    const har__label *l = &label[i];
    const double half = half_width(l);
    if (l->tx - half < box->left || l->tx + half > box->right ||
        l->ty - LINE / 2.0 < box->bottom || l->ty + LINE / 2.0 > box->top)
        return 0;
    for (int k = 0; k < n; k++)
        if (meets_point(l, &label[k]) ||
            (k < i && label[k].placed && meets_text(l, &label[k])))
            return 0;
    return 1;
}

/* Right, left, above and below, then the corners, then further away. */
static int place(har__label *label, int i, int n, const har__frame *box)
{
    static const double way[][2] = {{1, 0}, {-1, 0}, {0, 1},  {0, -1},
                                    {1, 1}, {1, -1}, {-1, 1}, {-1, -1}};
    har__label *l = &label[i];
    for (int away = 0; away < 6; away++)
        for (size_t k = 0; k < sizeof way / sizeof way[0]; k++) {
            const double out = l->r + 3 + 10 * away;
            l->tx = l->x + way[k][0] * (out + half_width(l));
            l->ty = l->y + way[k][1] * (out + LINE / 2.0 + 1);
            if (is_free(label, i, n, box))
                return 1;
        }
    return 0;
}

har__frame har__frame_of(int height)
{
    return (har__frame){.width = HAR__WIDTH,
                        .height = height,
                        .left = 78,
                        .right = HAR__WIDTH - 14,
                        .bottom = 52,
                        .top = height - 14};
}

void har__frame_write(FILE *script, const har__frame *box)
{
    fprintf(script,
            "set lmargin at screen %.5f\nset rmargin at screen %.5f\n"
            "set bmargin at screen %.5f\nset tmargin at screen %.5f\n"
            "set xlabel offset 0,0.2\n",
            box->left / box->width, box->right / box->width,
            box->bottom / box->height, box->top / box->height);
}

void har__axes_write(FILE *script, const har__frame *box, const char *x_title,
                     const char *y_title)
{
    har__frame_write(script, box);
    fprintf(script,
            "%s%sset xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n"
            "set format y '%%.0s %%c'\nunset key\n"
            "set xlabel '%s' textcolor @soft\n"
            "set ylabel '%s' textcolor @soft\n",
            box->log_x ? "set logscale x\n" : "",
            box->log_y ? "set logscale y\n" : "", box->x0, box->x1, box->y0,
            box->y1, x_title, y_title);
}

/* How far x is on the way from x0 to x1. */
static double share(double x, double x0, double x1, bool is_log)
{
    return is_log ? log(x / x0) / log(x1 / x0) : (x - x0) / (x1 - x0);
}

har__label har__label_at(const har__frame *box, double x, double y, double r)
{
    return (har__label){
        .x = box->left + (box->right - box->left) *
                             share(x, box->x0, box->x1, box->log_x),
        .y = box->bottom + (box->top - box->bottom) *
                               share(y, box->y0, box->y1, box->log_y),
        .r = r};
}

void har__labels_place(har__label *label, int n, const har__frame *box)
{
    for (int i = 0; i < n; i++)
        label[i].placed = label[i].text[0] != '\0' && place(label, i, n, box);
}

/* From a point to words that are further away than their neighbours. */
static void write_leader(FILE *script, const har__label *l,
                         const har__frame *box)
{
    const double dx = l->tx - l->x, dy = l->ty - l->y;
    const double side = half_width(l) - 2;
    const double to_x =
        fabs(dx) > side ? l->tx - copysign(side, dx) : l->tx - dx / 2;
    const double to_y =
        fabs(dy) > LINE / 2.0 ? l->ty - copysign(LINE / 2.0, dy) : l->ty;
    const double length = hypot(to_x - l->x, to_y - l->y);
    if (length < l->r + 12)
        return;
    const double start = (l->r + 2) / length;
    fprintf(script,
            "set arrow from screen %.5f,%.5f to screen %.5f,%.5f nohead lw 0.7 "
            "lc @soft front\n",
            (l->x + (to_x - l->x) * start) / box->width,
            (l->y + (to_y - l->y) * start) / box->height, to_x / box->width,
            to_y / box->height);
}

void har__labels_write(FILE *script, const har__label *label, int n,
                       const har__frame *box)
{
    for (int i = 0; i < n; i++) {
        if (!label[i].placed)
            continue;
        fputs("set label '", script);
        har_gnuplot_text(script, label[i].text);
        fprintf(script,
                "' at screen %.5f,%.5f center font ',11' textcolor @ink "
                "front\n",
                label[i].tx / box->width, label[i].ty / box->height);
        write_leader(script, &label[i], box);
    }
}
