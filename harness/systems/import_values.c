/* harness/systems/import_values.c -- a setting that a table has, as a fact. */
#include "harness/systems/import_impl.h"

#include "core/files/text.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static core_status fail_value(const har_setting *s, const char *expected)
{
    const char *dollar = strpbrk(s->value, "$`");
    if (dollar != NULL)
        CORE_FAIL(
            CORE_E_USAGE,
            "--import: %.*s: %.60s is known only when the script runs: say "
            "NAME=VALUE in an --import before it",
            HAR__NAME(s), s->value);
    CORE_FAIL(CORE_E_USAGE, "--import: %.*s: expected %s, found '%.60s'",
              HAR__NAME(s), expected, s->value);
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
    return core_text_number(out, s->value, -DBL_MAX, DBL_MAX)
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
        CORE_FAIL(CORE_E_USAGE, "--import: %.*s %.60s: %s", HAR__NAME(s),
                  s->value, f->why);
    snprintf(text, sizeof text, "one of %s", f->words);
    return fail_value(s, text);
}

/* No value, or true; *is_on: as if it were not there. */
static core_status read_switch(const har_setting *s, bool *is_on)
{
    const bool is_true =
        s->value == NULL ||
        har__is_named("true True 1", s->value, strlen(s->value));
    const bool is_false =
        s->value != NULL &&
        har__is_named("false False 0", s->value, strlen(s->value));
    CORE_FAIL_IF(s->value != NULL && (!s->has_equal || !(is_true || is_false)),
                 CORE_E_USAGE, "--import: %.*s takes no value, found '%.60s'",
                 HAR__NAME(s), s->value);
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
static bool is_open(har__found *o, const char *word)
{
    const size_t n = strlen(o->open);
    if (word[0] != '$')
        return false;
    snprintf(o->open + n, sizeof o->open - n, " %s", word);
    return true;
}

/* Are the words after the value no mistake? */
static core_status check_more(har__found *o, const har_setting *s)
{
    for (int i = 0; i < s->n_more; i++)
        CORE_FAIL_IF(!is_open(o, s->more[i].text), CORE_E_USAGE,
                     "--import: %.*s: expected one value, found '%.60s' too",
                     HAR__NAME(s), s->more[i].text);
    return CORE_OK;
}

static core_status state_switch(har__found *o, const har_setting *s,
                                bool *is_on)
{
    har_setting alone = *s;
    if (s->value != NULL && !s->has_equal && is_open(o, s->value))
        alone.value = NULL;
    CORE_TRY(check_more(o, s));
    return read_switch(&alone, is_on);
}

static core_status state_value(har__found *o, const har_setting *s,
                               const har_flag *f, double *number)
{
    CORE_FAIL_IF(s->value == NULL && f->take == HAR_TAKE_ONLY, CORE_E_USAGE,
                 "--import: %.*s: %s", HAR__NAME(s), f->why);
    CORE_FAIL_IF(f->take == HAR_TAKE_TEXT && f->why != NULL && s->has_equal,
                 CORE_E_USAGE, "--import: %.*s=%.60s: %s", HAR__NAME(s),
                 s->value, f->why);
    CORE_FAIL_IF(s->value == NULL, CORE_E_USAGE,
                 "--import: %.*s: its value is missing", HAR__NAME(s));
    CORE_TRY(check_more(o, s));
    return read_number(s, f, number);
}

core_status har__state(har__found *o, const har_setting *s, const har_flag *f)
{
    har_value *v = &o->facts.of[f->fact];
    double number = f->take == HAR_TAKE_ON ? 1 : 0;
    const bool is_launcher = f->fact <= HAR_F_CONFIG;
    bool is_on = true;
    const bool may_repeat = f->fact == HAR_F_NONE || is_launcher;
    CORE_FAIL_IF(v->is_given && !may_repeat, CORE_E_USAGE,
                 "--import: %.*s is given twice", HAR__NAME(s));
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
    v->is_said = v->is_said || !s->is_file;
    return CORE_OK;
}
