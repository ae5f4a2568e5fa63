/* harness/program/fits.c -- see fits.h.
 *
 * The estimate is verify's own, in exact mode, for a plan of two ranks that
 * split heads and experts; more layers never need less.
 */
#include "harness/program/fits.h"

#include "harness/verify/need.h"
#include "harness/words/words.h"

#include <math.h>

/* The first that is legal for a model. */
static const char *const PLANS[] = {"tp=2,ep=2", "dp=2,ep=2", "pp=2", "tp=1"};

typedef struct trial {
    par_plan plan;
    const char *text;
    har_need need;
    size_t bytes; /* of memory, at the least */
} trial;

static core_status choose_plan(trial *t, const core_spec *spec)
{
    core_status status = CORE_OK;
    for (size_t i = 0; i < sizeof PLANS / sizeof PLANS[0]; i++) {
        core_message_clear();
        t->text = PLANS[i];
        CORE_TRY(par_plan_parse(&t->plan, t->text));
        status = par_plan_check(&t->plan, spec);
        if (status == CORE_OK)
            return CORE_OK;
    }
    return status;
}

enum { PATIENCE_SECONDS = 60 };

static core_status try_layers(trial *t, core_spec spec, int64_t n,
                              const har_limits *limits)
{
    int64_t n_b, n_t;
    spec.n_l = n;
    CORE_TRY(choose_plan(t, &spec));
    CORE_TRY(har_default_batch(&spec, &t->plan, 1, &n_b, &n_t));
    const core_numerics exact = CORE_EXACT;
    const har_wish wish = {&spec, &t->plan, 1, &exact, 1, n_b, n_t, PAR_ORDER_AUTO,
                           false, NULL};
    CORE_TRY(har_need_make(&t->need, NULL, &wish, limits));
    t->bytes = har_need_memory(&t->need, wish.folder, har_files_in_memory);
    return CORE_OK;
}

static bool fits(const trial *t, const har_limits *limits, double seconds)
{
    return t->bytes <= limits->memory_bytes && t->need.seconds <= seconds;
}

/* The most layers that fit into memory and so many seconds, 0 if not one does;
 * *t is then the trial of one, else that of those. */
static core_status find_most(trial *t, const core_spec *spec,
                             const har_limits *limits, double seconds,
                             int64_t *out)
{
    int64_t least = 0, most = spec->n_l; /* least fits, more than most do not */
    while (least < most) {
        const int64_t n = least + (most - least + 1) / 2;
        CORE_TRY(try_layers(t, *spec, n, limits));
        if (fits(t, limits, seconds))
            least = n;
        else
            most = n - 1;
    }
    *out = least;
    return try_layers(t, *spec, least > 0 ? least : 1, limits);
}

static void write_command(FILE *out, const trial *t, const core_spec *spec,
                          const char *model, int64_t n)
{
    fprintf(out, "           %lld in about %.0f s: moeparity verify %s",
            (long long)n, t->need.seconds, model);
    if (n < spec->n_l)
        fprintf(out, " --layers %lld", (long long)n);
    fprintf(out, " --plan %s\n", t->text);
}

core_status har_fits_write(FILE *out, const core_spec *spec, const char *model)
{
    trial t;
    int64_t n;
    char need[16], have[16];
    const har_limits limits = har_limits_read("");
    CORE_TRY(find_most(&t, spec, &limits, HUGE_VAL, &n));
    har_format_bytes(t.bytes, need);
    har_format_bytes(limits.memory_bytes, have);
    fprintf(out,
            "here       %lld of %lld layers fit into memory at full width "
            "(%s at least %s, %s are available)\n",
            (long long)n, (long long)spec->n_l,
            n > 0 ? "they take" : "one takes", need, have);
    if (n == 0)
        return CORE_OK;
    write_command(out, &t, spec, model, n);
    if (t.need.seconds <= PATIENCE_SECONDS)
        return CORE_OK;
    CORE_TRY(find_most(&t, spec, &limits, PATIENCE_SECONDS, &n));
    if (n > 0)
        write_command(out, &t, spec, model, n);
    return CORE_OK;
}
