/* harness/perf/predict/require.c -- requirements as a gate.
 *
 * A requirement is met if the value satisfies it; the interval says how sure
 * that is.  "utilisation" is a name that people use for three figures, so it is
 * answered by all of them and by no verdict.
 */
#include "harness/perf/predict/figures.h"

#include "core/files/text.h"
#include "core/files/yaml_list.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 20 };

typedef struct need {
    bool is_less, is_percent;
    double bound;
} need;

static core_status read_need(need *out, const core_yaml_list *y,
                             const core_yaml_entry *e)
{
    const char *p = e->text + strspn(e->text, " ");
    size_t n = strlen(p);
    const bool percent = n > 0 && p[n - 1] == '%';
    char text[64];
    double x;
    n -= percent;
    while (n > 0 && p[n - 1] == ' ')
        n--;
    snprintf(text, sizeof text, "%.*s", n < sizeof text ? (int)n : 0, p);
    CORE_FAIL_IF((text[0] != '<' && text[0] != '>') ||
                     !core_text_number(&x, text + 1, -DBL_MAX, DBL_MAX),
                 CORE_E_FORMAT,
                 "%s:%d:%d: %s: expected \"< NUMBER\" or \"> NUMBER\", found "
                 "'%s'",
                 y->file, e->line, e->column, e->path, e->text);
    *out = (need){*p == '<', percent, percent ? x / 100 : x};
    return CORE_OK;
}

static bool satisfies(const need *n, double x)
{
    return n->is_less ? x < n->bound : x > n->bound;
}

static const char *how_sure(const need *n, const har_range *r)
{
    const bool low = satisfies(n, r->low), high = satisfies(n, r->high);
    return low == high ? "over the whole interval" : "not over the interval";
}

static bool find(har_figure *out, const har_prediction *p, const char *key)
{
    for (int i = 0; har_figure_at(out, p, i); i++)
        if (strcmp(out->key, key) == 0)
            return true;
    return false;
}

static bool hold(FILE *out, const core_yaml_entry *e, const need *n,
                 const har_figure *f)
{
    const double x = n->is_percent ? 100 : 1;
    const bool is_met = f->exists && satisfies(n, f->range.value);
    if (!f->exists) {
        fprintf(out, "UNDEFINED  %s %s: the model has none\n", e->path,
                e->text);
        return false;
    }
    fprintf(out, "%-10s %s %s: %.5g%s (%.5g - %.5g), %s\n",
            is_met ? "MET" : "NOT MET", e->path, e->text, f->range.value * x,
            n->is_percent ? " %" : "", f->range.low * x, f->range.high * x,
            how_sure(n, &f->range));
    return is_met;
}

static void say_undefined(FILE *out, const core_yaml_entry *e,
                          const har_prediction *p)
{
    static const char *const readings[] = {"busy", "mfu", "bandwidth"};
    har_figure f;
    fprintf(out, "UNDEFINED  %s %s: say busy, mfu or bandwidth;", e->path,
            e->text);
    for (int i = 0; i < 3; i++)
        if (find(&f, p, readings[i]))
            fprintf(out, " %s %.3g %%", f.key, 100 * f.range.value);
    fputc('\n', out);
}

static core_status hold_all(FILE *out, const core_yaml_list *y,
                            const har_prediction *p, bool *met)
{
    har_figure f;
    need n;
    for (size_t i = 0; i < y->n; i++) {
        CORE_TRY(read_need(&n, y, &y->at[i]));
        CORE_FAIL_IF(strcmp(y->at[i].path, "utilisation") != 0 &&
                         !find(&f, p, y->at[i].path),
                     CORE_E_FORMAT,
                     "%s:%d:%d: %s: expected the name of a figure of the "
                     "report, such as latency_ms",
                     y->file, y->at[i].line, y->at[i].column, y->at[i].path);
    }
    *met = true;
    for (size_t i = 0; i < y->n; i++) {
        CORE_TRY(read_need(&n, y, &y->at[i]));
        if (find(&f, p, y->at[i].path)) {
            *met = hold(out, &y->at[i], &n, &f) && *met;
        } else {
            say_undefined(out, &y->at[i], p);
            *met = false;
        }
    }
    return CORE_OK;
}

core_status har_require(FILE *out, const char *path, const har_prediction *p,
                        bool *met)
{
    char *text = NULL;
    core_yaml_list y = {0};
    CORE_TRY_CTX(core_text_read(&text, path, MAX_FILE_BYTES),
                 "reading requirements");
    core_status status =
        core_yaml_list_read(&y, text, path, "requirements", NULL);
    if (status == CORE_OK)
        status = hold_all(out, &y, p, met);
    core_yaml_list_free(&y);
    free(text);
    return status;
}
