/* harness/systems/shell_arithmetic.c -- $(( sums and products of variables )).
 *
 *   sum      product { + product | - product }
 *   product  factor { * factor | / factor | % factor }
 *   factor   number | NAME | $NAME | ${NAME} | - factor | ( sum )
 */
#include "harness/systems/shell.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NESTED = 16, MOST_DIGITS = 9 };
static const long long MOST = 1LL << 40; /* a product of two overflows nothing
                                          * after it is cut here              */

typedef struct reader {
    const har_script *script;
    const char *at, *end;
    int nested;
} reader;

static void skip_blanks(reader *r)
{
    while (r->at < r->end && isspace((unsigned char)*r->at))
        r->at++;
}

static bool accept(reader *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool digits(const char *text, size_t n, long long *out)
{
    if (n == 0 || n > MOST_DIGITS)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)text[i]))
            return false;
    *out = strtoll(text, NULL, 10);
    return true;
}

static bool name_or_number(reader *r, long long *out)
{
    const bool braces = accept(r, '$') && accept(r, '{');
    const char *start = r->at;
    while (r->at < r->end && (isalnum((unsigned char)*r->at) || *r->at == '_'))
        r->at++;
    const size_t n = (size_t)(r->at - start);
    if (n == 0 || (braces && !accept(r, '}')))
        return false;
    if (isdigit((unsigned char)*start))
        return digits(start, n, out);
    const har_variable *v = har_shell_variable(r->script, start, n);
    return v != NULL && !v->is_branch && !v->is_list &&
           digits(v->value, strlen(v->value), out);
}

static bool sum(reader *r, long long *out);

static bool factor(reader *r, long long *out)
{
    bool is_fine = false;
    if (++r->nested > MOST_NESTED)
        return false;
    if (accept(r, '-')) {
        is_fine = factor(r, out);
        *out = is_fine ? -*out : 0;
    } else if (accept(r, '(')) {
        is_fine = sum(r, out) && accept(r, ')');
    } else {
        is_fine = name_or_number(r, out);
    }
    r->nested--;
    return is_fine && *out <= MOST && *out >= -MOST;
}

static bool product(reader *r, long long *out)
{
    long long b;
    if (!factor(r, out))
        return false;
    for (;;) {
        const char op = accept(r, '*')   ? '*'
                        : accept(r, '/') ? '/'
                        : accept(r, '%') ? '%'
                                         : '\0';
        if (op == '\0')
            return true;
        if (!factor(r, &b) || (op != '*' && b == 0))
            return false;
        if (op == '*' && b != 0 && llabs(*out) > MOST / llabs(b))
            return false;
        *out = op == '*' ? *out * b : op == '/' ? *out / b : *out % b;
    }
}

static bool sum(reader *r, long long *out)
{
    long long b;
    if (!product(r, out))
        return false;
    for (;;) {
        const char op = accept(r, '+') ? '+' : accept(r, '-') ? '-' : '\0';
        if (op == '\0')
            return true;
        if (!product(r, &b))
            return false;
        *out = op == '+' ? *out + b : *out - b;
        if (llabs(*out) > MOST)
            return false;
    }
}

bool har_shell_arithmetic(const har_script *script, const char *text, size_t n,
                          long long *out)
{
    reader r = {script, text, text + n, 0};
    *out = 0;
    const bool is_fine = sum(&r, out);
    skip_blanks(&r);
    return is_fine && r.at == r.end;
}
