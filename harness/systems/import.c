/* harness/systems/import.c -- settings of any system as facts, facts as a plan.
 *
 * A name is looked for in the table of its place: what it states becomes a
 * fact; what has no bearing on who computes what is counted; what changes
 * values but is in no plan is listed.  Names that no table has are refused, all
 * at once: one of them might change what is computed.
 */
#include "core/base/arena.h"
#include "core/files/text.h"
#include "harness/systems/import_impl.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- which system --- */

static int count_known(const har_settings *settings, const har_system_row *row)
{
    int n_known = 0;
    for (int i = 0; i < settings->n; i++) {
        const har__match m = har__look_up(row, &settings->item[i]);
        n_known += settings->item[i].place == HAR_AT_SYSTEM && m.n_begun == 0 &&
                   har__is_known(&m);
    }
    return n_known;
}

/* Where no system knows a name: accelerate runs models of transformers. */
static har_system least_known(const har_settings *settings)
{
    for (int i = 0; i < settings->n; i++)
        if (settings->item[i].place == HAR_AT_ACCELERATE)
            return HAR_TRANSFORMERS;
    return HAR_MEGATRON;
}

static har_system choose_system(const har_settings *settings, har_system asked)
{
    int most = 0;
    har_system best = least_known(settings);
    if (asked < HAR_N_SYSTEMS)
        return asked;
    for (int i = 0; i < (int)HAR_N_SYSTEMS; i++) {
        const har_system_row *row = har_system_get((har_system)i);
        const int n = count_known(settings, row);
        const bool is_program = settings->program != NULL &&
                                strstr(settings->program, row->name) != NULL;
        if (is_program && strstr(settings->program, ".py") == NULL)
            return (har_system)i;
        if (n > most && (row->takes_json || !settings->has_json)) {
            most = n;
            best = (har_system)i;
        }
    }
    return best;
}

/* --- all settings --- */

typedef struct unknown {
    int n;
    char text[600];
} unknown;

/* Each name once, as far as there is room; and what it may be short for. */
static void add_unknown(unknown *u, const har_setting *s, const har__match *m)
{
    char name[200];
    const size_t n = strlen(u->text);
    const int n_name = snprintf(name, sizeof name, "'%.*s'",
                                s->n_name < 80 ? (int)s->n_name : 80, s->name);
    if (strstr(u->text, name) != NULL)
        return;
    u->n++;
    if (m->n_begun == 1)
        snprintf(name + n_name, sizeof name - (size_t)n_name,
                 " (cut short of --%.*s)", (int)m->n_whole, m->whole);
    else if (m->n_begun > 1)
        snprintf(name + n_name, sizeof name - (size_t)n_name,
                 " (%d names begin so)", m->n_begun);
    if (n + strlen(name) + 8 < sizeof u->text)
        snprintf(u->text + n, sizeof u->text - n, "%s%s", n > 0 ? ", " : "",
                 name);
    else if (!core_text_ends(u->text, " ..."))
        snprintf(u->text + n, sizeof u->text - n, " ...");
}

static bool is_ignored(const har_import *what, const char *name, size_t n)
{
    for (int i = 0; i < what->n_ignored; i++)
        if (har__is_named(what->ignored[i] + strspn(what->ignored[i], "-"),
                          name, n))
            return true;
    return false;
}

typedef struct doubts {
    unknown no_table, branch; /* no table has them; a branch sets them        */
} doubts;

/* A flag that states something: of a branch it may be there or not; of a file
 * it counts where no line has it. */
static core_status take_flag(har__found *o, int i, const har__match *m,
                             doubts *d)
{
    har_setting s = o->settings->item[i];
    if (s.is_maybe) {
        add_unknown(&d->branch, &s, m);
        return CORE_OK;
    }
    if (s.is_file && o->facts.of[m->flag->fact].is_said &&
        m->flag->fact != HAR_F_NONE) {
        o->replaced[o->n_replaced++] = i;
        return CORE_OK;
    }
    if (m->is_negated && s.value == NULL) {
        s.value = "false";
        s.has_equal = true;
    }
    o->stated[o->n_stated++] = i;
    return har__state(o, &s, m->flag);
}

static core_status take(har__found *o, const har_import *what, int i, doubts *d)
{
    const har_setting *s = &o->settings->item[i];
    const har_system_row *row =
        s->place == HAR_AT_SYSTEM ? o->row : har_launcher(s->place);
    const har__match m = har__look_up(row, s);
    const char *name;
    size_t n;
    har__strip(s, &name, &n);
    if (row == NULL || is_ignored(what, name, n)) /* a wrapper's option       */
        o->without[o->n_without++] = i;
    else if (m.flag != NULL)
        return take_flag(o, i, &m, d);
    else if (m.has_no_bearing)
        o->without[o->n_without++] = i;
    else if (m.is_uncompared)
        o->uncompared[o->n_uncompared++] = i;
    else
        add_unknown(&d->no_table, s, &m);
    return CORE_OK;
}

/* Variables of a script that mean something to launchers and systems. */
static core_status take_variables(har_settings *settings)
{
    const har_system_row *row = har_launcher(HAR_AT_ENVIRONMENT);
    for (int i = 0; i < settings->script.n_variable; i++) {
        const har_variable *v = &settings->script.variable[i];
        const har_setting s = {.name = v->name,
                               .n_name = strlen(v->name),
                               .value = v->value,
                               .has_equal = true,
                               .place = HAR_AT_ENVIRONMENT};
        if (har__look_up(row, &s).flag == NULL || v->is_branch ||
            strpbrk(v->value, "$`") != NULL)
            continue;
        CORE_TRY(har_settings_add(settings, &s));
    }
    return CORE_OK;
}

static core_status take_all(har__found *o, const har_import *what)
{
    doubts d = {0};
    for (int in_file = 0; in_file < 2; in_file++)
        for (int i = 0; i < o->settings->n; i++)
            if (o->settings->item[i].is_file == (in_file == 1))
                CORE_TRY(take(o, what, i, &d));
    const unknown *u = d.no_table.n > 0 ? &d.no_table : &d.branch;
    CORE_FAIL_IF(u->n > 0, CORE_E_USAGE, "--import: %s %s %d flag%s: %s",
                 u == &d.branch ? "a branch of the script sets" : o->row->name,
                 u == &d.branch ? "or not" : "does not know", u->n,
                 u->n == 1 ? "" : "s", u->text);
    const har_value *config = &o->facts.of[HAR_F_CONFIG];
    CORE_FAIL_IF(config->is_given && !o->settings->has_config, CORE_E_USAGE,
                 "--import: %.*s %.60s: what the file says counts: give it in "
                 "an --import too",
                 config->n_name, config->name, config->text);
    return CORE_OK;
}

/* Texts become parts of lines: no line ends in them. */
static void make_printable(har_script *script)
{
    for (size_t i = 0; i < script->n_pool; i++)
        if (script->pool[i] != '\0' && iscntrl((unsigned char)script->pool[i]))
            script->pool[i] = ' ';
}

static core_status import_settings(par_plan *out, FILE *report,
                                   har_settings *settings, har__found *o,
                                   const har_import *what,
                                   const core_spec *spec)
{
    par_plan p;
    CORE_TRY(par_plan_parse(&p, "tp=1"));
    make_printable(&settings->script);
    CORE_TRY(take_variables(settings));
    o->settings = settings;
    o->row = har_system_get(choose_system(settings, what->system));
    CORE_TRY(take_all(o, what));
    CORE_TRY(har_facts_check(&o->facts, spec));
    CORE_TRY(har__find_world(&o->facts));
    CORE_TRY(o->row->plan(&p, &o->facts, spec));
    par_plan_format(&p, p.text);
    CORE_TRY(par_plan_check(&p, spec));
    *out = p;
    if (report != NULL)
        har__write_report(o, spec, &p, report);
    return CORE_OK;
}

static core_status check_launch(const har_settings *settings, int launch)
{
    CORE_FAIL_IF(launch > 0 && settings->n_launch < 2, CORE_E_USAGE,
                 "--launch %d: no script has several launch lines", launch);
    return CORE_OK;
}

core_status har_system_import(par_plan *out, FILE *report,
                              const har_import *what, const core_spec *spec)
{
    void *settings = NULL, *o = NULL;
    core_status status =
        core_alloc(&settings, 1, sizeof(har_settings), "settings");
    if (status == CORE_OK)
        status = core_alloc(&o, 1, sizeof(har__found), "settings");
    if (status == CORE_OK) {
        memset(settings, 0, sizeof(har_settings));
        ((har_settings *)settings)->launch = what->launch;
        memset(o, 0, sizeof(har__found));
    }
    for (int i = 0; i < what->n_text && status == CORE_OK; i++)
        status = har_settings_read(settings, what->text[i], what->name[i]);
    if (status == CORE_OK)
        status = check_launch(settings, what->launch);
    if (status == CORE_OK)
        status = import_settings(out, report, settings, o, what, spec);
    free(settings);
    free(o);
    return status;
}
