/* harness/live/line.c -- see line.h. */
#include "harness/live/line.h"

#include "core/base/printable.h"

#include <stdlib.h>
#include <string.h>

static core_status refused(const json_t *value, const char *name,
                           const char *member, const char *expected)
{
    char shown[CORE_PRINTABLE_BYTES];
    char *text = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY);
    const core_status status = core_fail(
        CORE_E_FORMAT, "%s: %s: expected %s, found %s", name, member, expected,
        text == NULL ? "none" : core_printable(shown, 60, text));
    free(text);
    return status;
}

enum { MOST = 40 }; /* bits of a number: sums of a file's lines fit */

static core_status take_int(int64_t *out, const json_t *line, const char *name,
                            const char *member)
{
    const json_t *value = json_object_get(line, member);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >> MOST != 0)
        return refused(value, name, member, "a whole number from 0 to 2^40");
    *out = json_integer_value(value);
    return CORE_OK;
}

static core_status take_real(double *out, const json_t *line, const char *name,
                             const char *member)
{
    const json_t *value = json_object_get(line, member);
    if (!json_is_number(value) || !(json_number_value(value) >= 0.0))
        return refused(value, name, member, "a number from 0");
    *out = json_number_value(value);
    return CORE_OK;
}

static core_status take_text(const char **out, const json_t *line,
                             const char *name, const char *member,
                             size_t n_bytes)
{
    const json_t *value = json_object_get(line, member);
    *out = json_string_value(value);
    if (*out == NULL || strlen(*out) >= n_bytes)
        return refused(value, name, member, "a short text");
    return CORE_OK;
}

static core_status take_list(const json_t **out, const json_t *line,
                             const char *name, const char *member, int64_t most)
{
    const json_t *entry;
    size_t i;
    *out = json_object_get(line, member);
    if (!json_is_array(*out))
        return refused(*out, name, member, "a list");
    json_array_foreach(*out, i, entry)
        if (!json_is_integer(entry) || json_integer_value(entry) < 0 ||
            json_integer_value(entry) > most)
            return refused(entry, name, member, "whole numbers from 0");
    return CORE_OK;
}

static int kind_of(const char *word)
{
    int kind = 0;
    while (kind < (int)PAR_N_OP_KINDS &&
           strcmp(word, par_op_name((par_op_kind)kind)) != 0)
        kind++;
    return kind;
}

static core_status take_bytes(int64_t n_bytes[PAR_N_OP_KINDS],
                              const json_t *line, const char *name)
{
    const json_t *bytes = json_object_get(line, "bytes");
    if (!json_is_object(bytes))
        return refused(bytes, name, "bytes", "an object");
    for (void *at = json_object_iter((json_t *)bytes); at != NULL;
         at = json_object_iter_next((json_t *)bytes, at)) {
        const char *word = json_object_iter_key(at);
        const int kind = kind_of(word);
        char shown[CORE_PRINTABLE_BYTES];
        CORE_FAIL_IF(kind == (int)PAR_N_OP_KINDS, CORE_E_FORMAT,
                     "%s: bytes: expected a kind of transfer, found %s", name,
                     core_printable(shown, 60, word));
        CORE_TRY(take_int(&n_bytes[kind], bytes, name, word));
    }
    return CORE_OK;
}

bool har_line_is_progress(const json_t *line)
{
    return json_object_get(line, "progress") != NULL;
}

core_status har_line_tick(har_tick_line *out, const json_t *line,
                          const char *name)
{
    int64_t rank;
    *out = (har_tick_line){.rank = 0};
    CORE_TRY(take_text(&out->plan, line, name, "plan", PAR_PLAN_TEXT));
    if (strchr(out->plan, '.') != NULL) /* never the name of a file */
        return refused(json_object_get(line, "plan"), name, "plan",
                       "the keys of a plan");
    CORE_TRY(take_text(&out->numerics, line, name, "numerics",
                       CORE_NUMERICS_BYTES));
    CORE_TRY(take_text(&out->pass, line, name, "pass", 48));
    CORE_TRY(take_int(&rank, line, name, "rank"));
    if (rank > INT32_MAX)
        return refused(json_object_get(line, "rank"), name, "rank", "a rank");
    out->rank = (int)rank;
    CORE_TRY(take_int(&out->n_token, line, name, "tokens"));
    CORE_TRY(take_int(&out->n_choice, line, name, "choices"));
    CORE_TRY(take_int(&out->n_dropped, line, name, "dropped"));
    CORE_TRY(take_list(&out->experts, line, name, "experts",
                       PAR_MAX_EXPERTS - 1));
    CORE_TRY(take_list(&out->expert_rows, line, name, "expert_rows",
                       INT64_C(1) << MOST));
    const size_t n = json_array_size(out->experts);
    const size_t n_row = json_array_size(out->expert_rows);
    CORE_FAIL_IF(n == 0 ? n_row > 0 : n_row % n != 0, CORE_E_FORMAT,
                 "%s: expert_rows: expected some for each of %zu experts, "
                 "found %zu",
                 name, n, n_row);
    CORE_TRY(take_bytes(out->n_bytes, line, name));
    CORE_TRY(take_real(&out->at, line, name, "at"));
    CORE_TRY(take_real(&out->seconds, line, name, "seconds"));
    return take_real(&out->wait_seconds, line, name, "wait_seconds");
}

core_status har_line_progress(har_progress_line *out, const json_t *line,
                              const char *name)
{
    CORE_TRY(take_real(&out->progress, line, name, "progress"));
    CORE_TRY(take_text(&out->step, line, name, "step", 96));
    CORE_TRY(take_real(&out->seconds, line, name, "seconds"));
    return take_real(&out->left_seconds, line, name, "left_seconds");
}
