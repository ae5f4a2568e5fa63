/* harness/perf/predict/mix.c -- see mix.h. */
#include "harness/perf/predict/mix.h"

#include "core/files/text.h"
#include "harness/words/words.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 22, MAX_LINE = 256, MAX_TOKENS = 1 << 24 };

static const char *const FIELD[] = {"input", "output", "weight"};

/* --- sums --- */

static core_status finish(har_mix *m, const char *name)
{
    double weight = 0, steps = 0;
    for (int i = 0; i < m->n_item; i++)
        weight += m->item[i].weight;
    CORE_FAIL_IF(!(weight > 0), CORE_E_FORMAT,
                 "%s: a mix without a request of weight", name);
    for (int i = 0; i < m->n_item; i++) {
        m->item[i].weight /= weight;
        const double input = m->item[i].input, output = m->item[i].output;
        const double share = m->item[i].weight;
        m->input += share * input;
        m->output += share * output;
        /* step j of output - 1 sees input + j keys */
        m->keys += share * (output - 1) * (input + output / 2);
        steps += share * (output - 1);
    }
    m->keys /= steps;
    return CORE_OK;
}

double har_mix_run(const har_mix *m, double chunk)
{
    double sum = 0;
    for (int i = 0; i < m->n_item; i++)
        sum += m->item[i].weight * m->item[i].input *
               fmin(m->item[i].input, chunk);
    return sum / m->input;
}

double har_mix_past(const har_mix *m, double chunk)
{
    double sum = 0;
    for (int i = 0; i < m->n_item; i++)
        sum += m->item[i].weight * m->item[i].input *
               fmax(0, (m->item[i].input - chunk) / 2);
    return sum / m->input;
}

double har_mix_chunks(const har_mix *m, double chunk)
{
    double sum = 0;
    for (int i = 0; i < m->n_item; i++)
        sum += m->item[i].weight * ceil(m->item[i].input / chunk);
    return sum;
}

/* --- a file --- */

/* Cut at commas in place; the number of fields, at most 4. */
static int cut(char *line, char *field[4])
{
    int n = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *at = line; at != NULL && n < 4; n++) {
        char *comma = strchr(at, ',');
        field[n] = at;
        if (comma != NULL)
            *comma++ = '\0';
        at = comma;
    }
    return n;
}

static core_status read_field(double *out, const char *path, int line, int i,
                              const char *text)
{
    const double least = i == 0 ? 1 : i == 1 ? 2 : 0;
    double x;
    const bool is_number = core_text_number(&x, text, least, MAX_TOKENS);
    CORE_FAIL_IF(!is_number || (i < 2 && x != floor(x)), CORE_E_FORMAT,
                 "%s:%d:%d: %s: expected %s from %g to %d, found '%.40s'", path,
                 line, i + 1, FIELD[i],
                 i == 2 ? "a number" : "tokens", least, MAX_TOKENS, text);
    *out = x;
    return CORE_OK;
}

static core_status read_header(int *n_field, const char *path, char *line)
{
    char *field[4];
    *n_field = cut(line, field);
    bool is_known = *n_field == 2 || *n_field == 3;
    for (int i = 0; is_known && i < *n_field; i++)
        is_known = strcmp(field[i], FIELD[i]) == 0;
    CORE_FAIL_IF(!is_known, CORE_E_FORMAT,
                 "%s:1:1: expected input,output or input,output,weight, found "
                 "'%.40s'", path, field[0]);
    return CORE_OK;
}

static core_status read_lines(har_mix *m, const char *path, FILE *file)
{
    char text[MAX_LINE], *field[4];
    int n_field;
    CORE_FAIL_IF(fgets(text, sizeof text, file) == NULL, CORE_E_FORMAT,
                 "%s:1:1: an empty mix", path);
    CORE_TRY(read_header(&n_field, path, text));
    for (int line = 2; fgets(text, sizeof text, file) != NULL; line++) {
        double x[3] = {0, 0, 1};
        const int n = cut(text, field);
        CORE_FAIL_IF(n != n_field, CORE_E_FORMAT,
                     "%s:%d:%d: expected %d fields, found %d", path, line, n,
                     n_field, n);
        for (int i = 0; i < n; i++)
            CORE_TRY(read_field(&x[i], path, line, i, field[i]));
        CORE_FAIL_IF(m->n_item == HAR_MAX_MIX, CORE_E_FORMAT,
                     "%s:%d:1: more than %d lengths", path, line, HAR_MAX_MIX);
        m->item[m->n_item].input = x[0];
        m->item[m->n_item].output = x[1];
        m->item[m->n_item++].weight = x[2];
    }
    return finish(m, path);
}

/* --- either --- */

static core_status read_lengths(har_mix *out, const char *option,
                                const char *text)
{
    int64_t input, output;
    const core_status status = har_parse_batch(&input, &output, option, text);
    core_message_clear(); /* no rows here */
    CORE_FAIL_IF(status != CORE_OK, CORE_E_USAGE,
                 "%s: expected PROMPTxOUTPUT such as 2048x512 or a file, found "
                 "'%s'",
                 option, text);
    CORE_FAIL_IF(output < 2, CORE_E_USAGE,
                 "%s: expected an output of 2 tokens or more, found '%s'",
                 option, text);
    out->item[out->n_item].input = (double)input;
    out->item[out->n_item].output = (double)output;
    out->item[out->n_item++].weight = 1;
    return finish(out, option);
}

core_status har_mix_read(har_mix *out, const char *option, const char *text)
{
    FILE *file = NULL;
    char *all = NULL;
    *out = (har_mix){.n_item = 0};
    const bool is_lengths = isdigit((unsigned char)text[0]) &&
                            text[strspn(text, "0123456789x")] == '\0';
    if (is_lengths ||
        (isdigit((unsigned char)text[0]) && access(text, F_OK) != 0))
        return read_lengths(out, option, text);
    CORE_TRY(core_text_stream(&file, &all, text, MAX_FILE_BYTES));
    const core_status status = read_lines(out, text, file);
    fclose(file);
    free(all);
    return status;
}

/* --- limits --- */

static core_status read_limit(har_slo *out, const char *option,
                              const char *word, size_t n)
{
    static const char *const name[] = {"ttft_ms<", "tpot_ms<"};
    double *const limit[] = {&out->ttft, &out->tpot};
    char text[40];
    snprintf(text, sizeof text, "%.*s", (int)(n < 39 ? n : 39), word);
    for (int i = 0; i < 2; i++) {
        const size_t n_name = strlen(name[i]);
        if (strncmp(text, name[i], n_name) != 0)
            continue;
        double x;
        CORE_FAIL_IF(!core_text_number(&x, text + n_name, DBL_TRUE_MIN, DBL_MAX),
                     CORE_E_USAGE, "%s: expected %sMILLISECONDS, found '%s'",
                     option, name[i], text);
        *limit[i] = fmin(*limit[i], x);
        return CORE_OK;
    }
    CORE_FAIL(CORE_E_USAGE,
              "%s: expected ttft_ms<X, tpot_ms<X or both with a comma between, "
              "found '%s'", option, text);
}

core_status har_slo_parse(har_slo *out, const char *option, const char *text)
{
    *out = (har_slo){HUGE_VAL, HUGE_VAL};
    while (text != NULL) {
        const char *comma = strchr(text, ',');
        const size_t n = comma != NULL ? (size_t)(comma - text) : strlen(text);
        CORE_TRY(read_limit(out, option, text, n));
        text = comma != NULL ? comma + 1 : NULL;
    }
    return CORE_OK;
}
