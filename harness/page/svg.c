/* harness/page/svg.c -- see svg.h. */
#include "harness/page/svg.h"

#include "harness/page/page.h"

void har_svg_open(FILE *out, int width, int height, const char *label)
{
    fprintf(out,
            "<div class=\"wide\"><svg viewBox=\"0 0 %d %d\" width=\"%d\" "
            "role=\"img\" aria-label=\"%s\">\n",
            width, height, width, label);
}

void har_svg_close(FILE *out)
{
    fputs("</svg></div>\n", out);
}

void har_svg_text(FILE *out, double x, double y, const char *class,
                  const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
    har_page_format(out, fmt, args);
    fputs("</text>\n", out);
    va_end(args);
}

void har_svg_rect(FILE *out, double x, double y, double w, double h,
                  const char *colour, double strength)
{
    fprintf(out,
            "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
            "fill=\"var(--%s)\" fill-opacity=\"%.2f\"",
            x, y, w, h, colour, strength);
}

void har_svg_title(FILE *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("><title>", out);
    har_page_format(out, fmt, args);
    fputs("</title></rect>\n", out);
    va_end(args);
}
