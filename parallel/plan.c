/* parallel/plan.c -- plans as strings, and the presets.
 *
 * A plan's text is a list of items.  The first may be a base without '=': a
 * preset or a YAML file; the others are key=value.  A key of a base may be
 * overridden once, so "seen" is forgotten between the base and the rest.
 */
#include "parallel/plan_keys.h"

#include "core/pass/batch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Readings of the seed's "TP4, EP16, PP4, DP2 on 16 GPUs": LAYOUTS.md. */
static const struct {
    const char *name, *text;
} presets[] = {
    {"seed-16", "tp=4,pp=4,ep=16,scope=replica,mb=8,rounds=2"},
    {"seed-32", "tp=4,pp=4,dp=2,ep=16,scope=replica,mb=8"},
    {"seed-32-stage", "tp=4,pp=4,dp=2,ep=8,mb=8"},
    {"seed-512", "tp=4,pp=4,dp=32,ep=16,etp=4,mb=8"},
};

enum { N_PRESETS = sizeof presets / sizeof presets[0] };

bool par_plan_preset(int i, const char **name, const char **text)
{
    if (i < 0 || i >= N_PRESETS)
        return false;
    *name = presets[i].name;
    *text = presets[i].text;
    return true;
}

void par_plan_copy(par_plan *to, const par_plan *from)
{
    const size_t n_e = (size_t)from->n_placed;
    const size_t n = (size_t)from->n_mapped * (size_t)from->n_physical;
    memcpy(to, from, offsetof(par_plan, n_replica));
    memcpy(to->n_replica, from->n_replica, n_e * sizeof *from->n_replica);
    memcpy(to->replica, from->replica, n_e * sizeof *from->replica);
    memcpy(to->physical, from->physical, n * sizeof *from->physical);
}

int par_plan_world(const par_plan *plan)
{
    return plan->dp * plan->cp * plan->pp * plan->tp;
}

int par_plan_stored(const par_plan *plan, int64_t n_e)
{
    int n = 0;
    if (plan->n_mapped > 0)
        return plan->n_physical;
    for (int e = 0; e < plan->n_placed; e++)
        n += plan->n_replica[e];
    return plan->n_placed > 0 ? n : (int)n_e;
}

int par_plan_parts(const par_plan *plan)
{
    return plan->pp * plan->vpp;
}

int par_plan_lanes(const par_plan *plan)
{
    const bool crosses =
        (plan->overlap & PAR_OVERLAP_DISPATCH) != 0 && plan->mb > 1;
    return crosses && plan->batch_reduce == 1 ? 2 : plan->batch_reduce;
}

int par_plan_layers(const par_plan *plan, int64_t n_l, int part)
{
    const int n_part = par_plan_parts(plan);
    if (plan->n_stage > 0)
        return plan->stage_layers[part];
    const int64_t first = core_split_first(n_l, n_part, part);
    return (int)(core_split_first(n_l, n_part, part + 1) - first);
}

/* --- reading -------------------------------------------------------------- */

/* All items of `text`, each key=value. */
static core_status read_items(par__reader *reader, const char *text)
{
    for (;;) {
        const size_t n = strcspn(text, ",");
        const char *equal = memchr(text, '=', n);
        CORE_FAIL_IF(equal == NULL, reader->status,
                     "%s: expected key=value, found '%.*s'", reader->where,
                     n < 40 ? (int)n : 40, text);
        const par__text name = {text, (size_t)(equal - text)};
        const par__text value = {equal + 1, n - name.n - 1};
        par__key key;
        CORE_TRY(par__read_key(reader, name, &key));
        CORE_TRY(par__read_value(reader, key, value));
        if (text[n] == '\0')
            return CORE_OK;
        text += n + 1;
    }
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n > n_end && strcmp(text + n - n_end, end) == 0;
}

/* The base of a plan: a preset's name or a YAML file's path. */
static core_status read_base(par__reader *reader, const char *base)
{
    if (ends_with(base, ".yaml") || ends_with(base, ".yml"))
        return par__read_yaml(reader, base);
    for (int i = 0; i < N_PRESETS; i++)
        if (strcmp(base, presets[i].name) == 0)
            return read_items(reader, presets[i].text);
    CORE_FAIL(reader->status,
              "%s: '%s' is no preset (seed-16, seed-32, seed-32-stage, "
              "seed-512), no file *.yaml and no key=value",
              reader->where, base);
}

static core_status read_text(par__reader *reader, const char *text)
{
    char base[4096]; /* as long as a path can be */
    const size_t n = strcspn(text, ",");
    if (memchr(text, '=', n) != NULL)
        return read_items(reader, text);
    CORE_FAIL_IF(n == 0 || n >= sizeof base, reader->status,
                 "%s: expected a preset, a file *.yaml or key=value first",
                 reader->where);
    memcpy(base, text, n);
    base[n] = '\0';
    CORE_TRY(read_base(reader, base));
    reader->seen = 0;
    return text[n] == '\0' ? CORE_OK : read_items(reader, text + n + 1);
}

core_status par_plan_parse(par_plan *out, const char *text)
{
    par_plan plan;
    par__plan_unit(&plan);
    par__reader reader = {.plan = &plan, .status = CORE_E_USAGE};
    snprintf(reader.where, sizeof reader.where, "plan '%.200s'", text);
    CORE_TRY(read_text(&reader, text));
    CORE_TRY(par__read_end(&reader));
    /* longer than the field (a long placement): keep the start */
    snprintf(plan.text, sizeof plan.text, "%.*s", PAR_PLAN_TEXT - 1, text);
    *out = plan;
    return CORE_OK;
}

/* --- writing -------------------------------------------------------------- */

typedef struct writer {
    char *out;
    size_t n;     /* characters so far                                        */
    bool is_full; /* something did not fit                                    */
} writer;

static void write_text(writer *w, const char *fmt, ...) CORE_PRINTF(2, 3);

static void write_text(writer *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const size_t room = PAR_PLAN_TEXT - w->n;
    const int n = vsnprintf(w->out + w->n, room, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room) {
        w->out[w->n] = '\0';
        w->is_full = true;
        return;
    }
    w->n += (size_t)n;
}

static const char *comma(const writer *w) { return w->n > 0 ? "," : ""; }

static void write_number(writer *w, par__key key, int number)
{
    if (number != 1)
        write_text(w, "%s%s=%d", comma(w), par__key_name(key), number);
}

static void write_overlap(writer *w, const par_plan *plan)
{
    bool is_first = true;
    for (int i = 0; par__overlap_word(i) != NULL; i++) {
        if ((plan->overlap >> i & 1U) == 0)
            continue;
        write_text(w, is_first ? "%soverlap=%s" : "%s%s",
                   is_first ? comma(w) : "+", par__overlap_word(i));
        is_first = false;
    }
}

static void write_stages(writer *w, const par_plan *plan)
{
    for (int s = 0; s < plan->n_stage; s++)
        write_text(w, s == 0 ? "%sstages=%d" : "%s%d",
                   s == 0 ? comma(w) : "/", plan->stage_layers[s]);
}

static void write_placement(writer *w, const par_plan *plan)
{
    for (int e = 0; e < plan->n_placed; e++) {
        write_text(w, e == 0 ? "%splacement=" : "%s", e == 0 ? comma(w) : "/");
        for (int i = 0; i < plan->n_replica[e]; i++)
            write_text(w, "%s%d", i > 0 ? "+" : "", plan->replica[e][i]);
    }
}

static void write_physical(writer *w, const par_plan *plan)
{
    const int n = plan->n_physical;
    for (int i = 0; i < plan->n_mapped * n && !w->is_full; i++)
        write_text(w, "%s%s%d", i > 0 ? "" : comma(w),
                   i == 0       ? "physical="
                   : i % n == 0 ? "+"
                                : "/",
                   plan->physical[i]);
}

/* A list that does not fit is named and not shown: such a plan comes from a
 * file, and its text is the file's name. */
static void write_list(writer *w, const par_plan *plan, const char *name,
                       void (*write)(writer *w, const par_plan *plan))
{
    const size_t before = w->n;
    write(w, plan);
    if (!w->is_full)
        return;
    w->is_full = false;
    w->n = before;
    write_text(w, "%s%s=...", comma(w), name);
}

void par_plan_format(const par_plan *plan, char out[PAR_PLAN_TEXT])
{
    writer w = {.out = out};
    out[0] = '\0';
    write_number(&w, PAR__KEY_TP, plan->tp);
    write_number(&w, PAR__KEY_CP, plan->cp);
    if (plan->cp_kind != PAR_CP_GATHER)
        write_text(&w, "%scp_kind=%s", comma(&w),
                   par_cp_kind_name(plan->cp_kind));
    write_number(&w, PAR__KEY_PP, plan->pp);
    write_number(&w, PAR__KEY_VPP, plan->vpp);
    write_number(&w, PAR__KEY_DP, plan->dp);
    write_number(&w, PAR__KEY_EP, plan->ep);
    write_number(&w, PAR__KEY_ETP, plan->etp);
    if (plan->scope == PAR_SCOPE_REPLICA)
        write_text(&w, "%sscope=replica", comma(&w));
    if (plan->sp)
        write_text(&w, "%ssp=1", comma(&w));
    write_overlap(&w, plan);
    write_number(&w, PAR__KEY_BATCH_REDUCE, plan->batch_reduce);
    write_number(&w, PAR__KEY_MB, plan->mb);
    write_number(&w, PAR__KEY_ROUNDS, plan->rounds);
    write_list(&w, plan, "stages", write_stages);
    write_list(&w, plan, "placement", write_placement);
    write_list(&w, plan, "physical", write_physical);
    if (w.n == 0)
        write_text(&w, "tp=1");
}
