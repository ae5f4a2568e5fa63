/* harness/systems/import.c -- settings of any system as facts, facts as a plan.
 *
 * A name is looked for in the table of its place: what it states becomes a
 * fact; what has no bearing on who computes what is counted; what changes
 * values but is in no plan is listed.  Names that no table has are refused, all
 * at once: one of them might change what is computed.
 */
#include "core/base/arena.h"
#include "core/files/text.h"
#include "harness/systems/impl.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- names --- */

static char plain(char c)
{
    return c == '_' ? '-' : c;
}

static bool same_name(const char *known, size_t n_known, const char *name,
                      size_t n)
{
    const bool is_open = n_known > 0 && known[n_known - 1] == '*';
    n_known -= is_open;
    if (is_open ? n < n_known : n != n_known)
        return false;
    for (size_t i = 0; i < n_known; i++)
        if (plain(known[i]) != plain(name[i]))
            return false;
    return true;
}

/* Is the name one of a list with blanks between? */
static bool is_named(const char *list, const char *name, size_t n)
{
    while (*list != '\0') {
        const size_t n_known = strcspn(list, " ");
        if (same_name(list, n_known, name, n))
            return true;
        list += n_known;
        list += strspn(list, " ");
    }
    return false;
}

static bool is_listed(const char *const *lists, const char *name, size_t n)
{
    for (; lists != NULL && *lists != NULL; lists++)
        if (is_named(*lists, name, n))
            return true;
    return false;
}

static const har_flag *find_flag(const har_system_row *row, const char *name,
                                 size_t n)
{
    for (const har_flag *f = row->flags; f != NULL && f->names != NULL; f++)
        if (is_named(f->names, name, n))
            return f;
    return NULL;
}

/* The name without the dashes of a flag or the + of an override. */
static void strip(const har_setting *s, const char **name, size_t *n)
{
    *name = s->name;
    *n = s->n_name;
    while (*n > 0 && strchr("-+~", **name) != NULL) {
        (*name)++;
        (*n)--;
    }
}

/* --- values --- */

typedef struct found { /* what became of each setting                         */
    const har_settings *settings;
    const har_system_row *row;
    har_facts facts;
    int n_stated, n_without, n_uncompared;
    char open[400]; /* words like $MORE_ARGS that nobody sets                 */
    int stated[HAR_MAX_SETTINGS], without[HAR_MAX_SETTINGS],
        uncompared[HAR_MAX_SETTINGS];
} found;

#define NAME(s) (int)(s)->n_name, (s)->name

static core_status fail_value(const har_setting *s, const char *expected)
{
    const char *dollar = strpbrk(s->value, "$`");
    if (dollar != NULL)
        CORE_FAIL(
            CORE_E_USAGE,
            "--import: %.*s: %.60s is known only when the script runs: say "
            "NAME=VALUE in an --import before it",
            NAME(s), s->value);
    CORE_FAIL(CORE_E_USAGE, "--import: %.*s: expected %s, found '%.60s'",
              NAME(s), expected, s->value);
}

static core_status read_whole(const har_setting *s, double least, double *out)
{
    enum { MOST = 1 << 20 };
    char *end = NULL, text[60];
    const char *digits = s->value + (s->value[0] == '-');
    const long x = strtol(s->value, &end, 10);
    snprintf(text, sizeof text, "a whole number from %g to %d", least, MOST);
    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0' ||
        (double)x < least || x > MOST)
        return fail_value(s, text);
    *out = (double)x;
    return CORE_OK;
}

static core_status read_real(const har_setting *s, double *out)
{
    char *end = NULL;
    *out = strtod(s->value, &end);
    return end != s->value && *end == '\0' && isfinite(*out)
               ? CORE_OK
               : fail_value(s, "a number");
}

static core_status read_word(const har_setting *s, const har_flag *f,
                             double *out)
{
    char text[120];
    int at = 0;
    for (const char *list = f->words; *list != '\0'; at++) {
        const size_t n = strcspn(list, " ");
        if (strlen(s->value) == n && memcmp(s->value, list, n) == 0) {
            *out = at;
            return CORE_OK;
        }
        list += n;
        list += strspn(list, " ");
    }
    if (f->take == HAR_TAKE_ONLY)
        CORE_FAIL(CORE_E_USAGE, "--import: %.*s %.60s: %s", NAME(s), s->value,
                  f->why);
    snprintf(text, sizeof text, "one of %s", f->words);
    return fail_value(s, text);
}

/* No value, or true; *is_on: as if it were not there. */
static core_status read_switch(const har_setting *s, bool *is_on)
{
    const bool is_true =
        s->value == NULL || is_named("true True 1", s->value, strlen(s->value));
    const bool is_false = s->value != NULL &&
                          is_named("false False 0", s->value, strlen(s->value));
    CORE_FAIL_IF(s->value != NULL && (!s->has_equal || !(is_true || is_false)),
                 CORE_E_USAGE, "--import: %.*s takes no value, found '%.60s'",
                 NAME(s), s->value);
    *is_on = is_true;
    return CORE_OK;
}

static core_status read_number(const har_setting *s, const har_flag *f,
                               double *out)
{
    switch (f->take) {
    case HAR_TAKE_COUNT:
        return read_whole(s, 1, out);
    case HAR_TAKE_WHOLE:
        return read_whole(s, -1, out);
    case HAR_TAKE_REAL:
        return read_real(s, out);
    case HAR_TAKE_WORD:
    case HAR_TAKE_ONLY:
        return read_word(s, f, out);
    default:
        return CORE_OK;
    }
}

/* A word that is $NAME alone, where no value is expected, may hold anything. */
static bool is_open(found *o, const char *word)
{
    const size_t n = strlen(o->open);
    if (word[0] != '$')
        return false;
    snprintf(o->open + n, sizeof o->open - n, " %s", word);
    return true;
}

/* Are the words after the value no mistake? */
static core_status check_more(found *o, const har_setting *s)
{
    for (int i = 0; i < s->n_more; i++)
        CORE_FAIL_IF(!is_open(o, s->more[i].text), CORE_E_USAGE,
                     "--import: %.*s: expected one value, found '%.60s' too",
                     NAME(s), s->more[i].text);
    return CORE_OK;
}

static core_status state_switch(found *o, const har_setting *s, bool *is_on)
{
    har_setting alone = *s;
    if (s->value != NULL && !s->has_equal && is_open(o, s->value))
        alone.value = NULL;
    CORE_TRY(check_more(o, s));
    return read_switch(&alone, is_on);
}

static core_status state_value(found *o, const har_setting *s,
                               const har_flag *f, double *number)
{
    CORE_FAIL_IF(s->value == NULL && f->take == HAR_TAKE_ONLY, CORE_E_USAGE,
                 "--import: %.*s: %s", NAME(s), f->why);
    CORE_FAIL_IF(s->value == NULL, CORE_E_USAGE,
                 "--import: %.*s: its value is missing", NAME(s));
    CORE_TRY(check_more(o, s));
    return read_number(s, f, number);
}

static core_status state(found *o, const har_setting *s, const har_flag *f)
{
    har_value *v = &o->facts.of[f->fact];
    double number = f->take == HAR_TAKE_ON ? 1 : 0;
    const bool is_launcher = f->fact <= HAR_F_TASKS_PER_NODE;
    bool is_on = true;
    CORE_FAIL_IF(v->is_given && f->fact != HAR_F_NONE && !is_launcher,
                 CORE_E_USAGE, "--import: %.*s is given twice", NAME(s));
    CORE_TRY(f->take == HAR_TAKE_ON || f->take == HAR_TAKE_OFF
                 ? state_switch(o, s, &is_on)
                 : state_value(o, s, f, &number));
    if (is_on)
        *v = (har_value){.is_given = true,
                         .number = number,
                         .text = s->value,
                         .name = s->name,
                         .n_name = (int)s->n_name,
                         .flag = f};
    return CORE_OK;
}

/* --- which system --- */

static int count_known(const har_settings *settings, const har_system_row *row)
{
    int n_known = 0;
    for (int i = 0; i < settings->n; i++) {
        const char *name;
        size_t n;
        strip(&settings->item[i], &name, &n);
        n_known += settings->item[i].place == HAR_AT_SYSTEM &&
                   (find_flag(row, name, n) != NULL ||
                    is_listed(row->no_bearing, name, n) ||
                    is_listed(row->not_compared, name, n));
    }
    return n_known;
}

static har_system choose_system(const har_settings *settings, har_system asked)
{
    int most = 0;
    har_system best = HAR_MEGATRON;
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

/* Each name once, as far as there is room. */
static void add_unknown(unknown *u, const har_setting *s)
{
    char name[100];
    const size_t n = strlen(u->text);
    snprintf(name, sizeof name, "'%.*s'", s->n_name < 80 ? (int)s->n_name : 80,
             s->name);
    if (strstr(u->text, name) != NULL)
        return;
    u->n++;
    if (n + strlen(name) + 8 < sizeof u->text)
        snprintf(u->text + n, sizeof u->text - n, "%s%s", n > 0 ? ", " : "",
                 name);
    else if (!core_text_ends(u->text, " ..."))
        snprintf(u->text + n, sizeof u->text - n, " ...");
}

static bool is_ignored(const har_import *what, const char *name, size_t n)
{
    for (int i = 0; i < what->n_ignored; i++)
        if (is_named(what->ignored[i] + strspn(what->ignored[i], "-"), name, n))
            return true;
    return false;
}

typedef struct doubts {
    unknown no_table, branch; /* no table has them; a branch sets them        */
} doubts;

static core_status take(found *o, const har_import *what, int i, doubts *d)
{
    const har_setting *s = &o->settings->item[i];
    const har_system_row *row =
        s->place == HAR_AT_SYSTEM ? o->row : har_launcher(s->place);
    const char *name;
    size_t n;
    strip(s, &name, &n);
    const har_flag *f = row != NULL ? find_flag(row, name, n) : NULL;
    if (row == NULL || is_ignored(what, name, n) || /* a wrapper's option     */
        is_listed(row->no_bearing, name, n)) {
        o->without[o->n_without++] = i;
    } else if (f != NULL && s->is_maybe) {
        add_unknown(&d->branch, s);
    } else if (f != NULL) {
        CORE_TRY(state(o, s, f));
        o->stated[o->n_stated++] = i;
    } else if (is_listed(row->not_compared, name, n)) {
        o->uncompared[o->n_uncompared++] = i;
    } else {
        add_unknown(&d->no_table, s);
    }
    return CORE_OK;
}

/* Variables of a script that mean something to launchers and systems. */
static core_status take_variables(har_settings *settings)
{
    const har_system_row *row = har_launcher(HAR_AT_ENVIRONMENT);
    for (int i = 0; i < settings->script.n_variable; i++) {
        const har_variable *v = &settings->script.variable[i];
        const har_flag *f = find_flag(row, v->name, strlen(v->name));
        const har_setting s = {.name = v->name,
                               .n_name = strlen(v->name),
                               .value = v->value,
                               .has_equal = true,
                               .place = HAR_AT_ENVIRONMENT};
        if (f == NULL || v->is_branch || strpbrk(v->value, "$`") != NULL)
            continue;
        CORE_TRY(har_settings_add(settings, &s));
    }
    return CORE_OK;
}

static core_status take_all(found *o, const har_import *what)
{
    doubts d = {0};
    for (int i = 0; i < o->settings->n; i++)
        CORE_TRY(take(o, what, i, &d));
    const unknown *u = d.no_table.n > 0 ? &d.no_table : &d.branch;
    CORE_FAIL_IF(u->n > 0, CORE_E_USAGE, "--import: %s %s %d flag%s: %s",
                 u == &d.branch ? "a branch of the script sets" : o->row->name,
                 u == &d.branch ? "or not" : "does not know", u->n,
                 u->n == 1 ? "" : "s", u->text);
    return CORE_OK;
}

/* --- ranks --- */

static bool given(const har_facts *f, har_fact fact)
{
    return f->of[fact].is_given;
}

/* What the innermost launcher starts; the variable WORLD_SIZE must agree. */
static core_status find_world(har_facts *f)
{
    double world = 0;
    if (given(f, HAR_F_PER_NODE) || given(f, HAR_F_NODES))
        world = (double)har_fact_or_one(f, HAR_F_NODES) *
                har_fact_or_one(f, HAR_F_PER_NODE);
    else if (given(f, HAR_F_RANKS))
        world = f->of[HAR_F_RANKS].number;
    else if (given(f, HAR_F_TASKS))
        world = f->of[HAR_F_TASKS].number;
    else if (given(f, HAR_F_TASKS_PER_NODE))
        world = f->of[HAR_F_TASKS_PER_NODE].number *
                har_fact_or_one(f, HAR_F_TASK_NODES);
    const double said = f->of[HAR_F_WORLD].number;
    CORE_FAIL_IF(world > 0 && given(f, HAR_F_WORLD) && said != world,
                 CORE_E_USAGE,
                 "--import: WORLD_SIZE is %g, and the launcher starts %g ranks",
                 said, world);
    world = world > 0 ? world : said;
    CORE_FAIL_IF(world > 1 << 20, CORE_E_USAGE,
                 "--import: %g ranks, at most %d are supported", world,
                 1 << 20);
    f->world = (int)world;
    return CORE_OK;
}

/* --- the report --- */

static void write_settings(const found *o, FILE *out, const char *what,
                           const int *list, int n)
{
    if (n == 0)
        return;
    fprintf(out, "# %-13s", what);
    for (int i = 0; i < n; i++) {
        const har_setting *s = &o->settings->item[list[i]];
        fprintf(out, "%s%.*s", i > 0 ? ", " : "", NAME(s));
        if (s->value != NULL)
            fprintf(out, "%s%s", s->has_equal ? "=" : " ", s->value);
    }
    fputc('\n', out);
}

static void write_report(const found *o, const core_spec *spec,
                         const par_plan *plan, FILE *out)
{
    fprintf(out, "# %s, %d ranks\n", o->row->name, par_plan_world(plan));
    write_settings(o, out, "stated by", o->stated, o->n_stated);
    write_settings(o, out, "not compared", o->uncompared, o->n_uncompared);
    if (o->n_without > 0)
        fprintf(out, "# %-13s%d flag%s:", "no bearing", o->n_without,
                o->n_without == 1 ? "" : "s");
    for (int i = 0; i < o->n_without; i++) {
        const har_setting *s = &o->settings->item[o->without[i]];
        fprintf(out, "%s %.*s", i > 0 ? "," : "", NAME(s));
    }
    if (o->n_without > 0)
        fputc('\n', out);
    if (o->open[0] != '\0')
        fprintf(out, "# taken as empty%s: the script does not set them\n",
                o->open);
    if (spec->n_e > 0 && spec->capacity.rule != CORE_CAPACITY_NONE &&
        !o->facts.of[HAR_F_FACTOR].is_given)
        fprintf(out, "# no token is dropped, and %s has a capacity\n",
                spec->name);
    if (o->row->notes != NULL)
        o->row->notes(&o->facts, spec, out);
}

/* Texts become parts of lines: no line ends in them. */
static void make_printable(har_script *script)
{
    for (size_t i = 0; i < script->n_pool; i++)
        if (script->pool[i] != '\0' && iscntrl((unsigned char)script->pool[i]))
            script->pool[i] = ' ';
}

static core_status import_settings(par_plan *out, FILE *report,
                                   har_settings *settings, found *o,
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
    CORE_TRY(find_world(&o->facts));
    CORE_TRY(o->row->plan(&p, &o->facts, spec));
    par_plan_format(&p, p.text);
    CORE_TRY(par_plan_check(&p, spec));
    *out = p;
    if (report != NULL)
        write_report(o, spec, &p, report);
    return CORE_OK;
}

core_status har_system_import(par_plan *out, FILE *report,
                              const har_import *what, const core_spec *spec)
{
    void *settings = NULL, *o = NULL;
    core_status status =
        core_alloc(&settings, 1, sizeof(har_settings), "settings");
    if (status == CORE_OK)
        status = core_alloc(&o, 1, sizeof(found), "settings");
    if (status == CORE_OK) {
        memset(settings, 0, sizeof(har_settings));
        memset(o, 0, sizeof(found));
    }
    for (int i = 0; i < what->n_text && status == CORE_OK; i++)
        status = har_settings_read(settings, what->text[i], what->name[i]);
    if (status == CORE_OK)
        status = import_settings(out, report, settings, o, what, spec);
    free(settings);
    free(o);
    return status;
}
