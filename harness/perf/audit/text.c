/* harness/perf/audit/text.c -- the arithmetic of a rule in one line.
 *
 *     tokens of a pass: batch * sequence_length / latency = 256 sequences *
 *     256.8 tokens / 27 ms = 2.388e+06 to ... tokens/s, stated 38000 tokens/s
 *
 * A claim's number is shown as published, a derived one as its interval, with
 * the formula that derived it at the end if it is short.
 */
#include "harness/perf/audit/impl.h"

#include <stdarg.h>
#include <string.h>

typedef struct line {
    char *out;
    size_t bytes, n;
} line;

static void put(line *l, const char *fmt, ...) CORE_PRINTF(2, 3);

static void put(line *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(l->out + l->n, l->bytes - l->n, fmt, args);
    va_end(args);
    if (n > 0)
        l->n += (size_t)n < l->bytes - l->n ? (size_t)n : l->bytes - l->n - 1;
}

static void put_value(line *l, const har__case *c, har_quantity q,
                      const har__value *v)
{
    char text[96];
    if (v->claim >= 0) {
        put(l, "%s", c->claims->at[v->claim].written);
        return;
    }
    har_quantity_write(text, sizeof text, q, v->x);
    put(l, "%s", text);
}

/* The formula with names, or with values where input is given. */
static void put_formula(line *l, const har__case *c, const har_rule *rule,
                        const har__value *input)
{
    for (const char *at = rule->formula; *at != '\0'; at++) {
        if (*at != '$') {
            put(l, "%c", *at);
            continue;
        }
        const int i = *++at - '0';
        if (input == NULL)
            put(l, "%s", har_quantity_name(rule->input[i]));
        else
            put_value(l, c, rule->input[i], &input[i]);
    }
}

static const char *bound_word(const har_rule *rule)
{
    switch (rule->kind) {
    case HAR_RULE_AT_MOST:
    case HAR_RULE_CEILING: return "at most ";
    case HAR_RULE_AT_LEAST: return "at least ";
    case HAR_RULE_IS_OTHER: return "the same number as ";
    case HAR_RULE_IS:
    case HAR_RULE_CHECK: break;
    }
    return "";
}

enum { SHORT_FORMULA = 12 };

/* Where the derived inputs come from: those that rest on claims, and in a few
 * words.  The longer ones are in docs/audit.md. */
static void put_derivations(line *l, const har__case *c, const har_rule *rule,
                            const har__value *input)
{
    for (int i = 0; i < rule->n_input; i++) {
        if (input[i].rule < 0 || input[i].from == 0 ||
            strlen(har_rule_at(input[i].rule)->formula) > SHORT_FORMULA)
            continue;
        put(l, "; %s = ", har_quantity_name(rule->input[i]));
        put_formula(l, c, har_rule_at(input[i].rule), NULL);
    }
}

void har__write_rule(char *out, size_t bytes, const har__case *c,
                     const har_rule *rule, const har__value *input,
                     har_interval found, const har__value *target)
{
    line l = {out, bytes, 0};
    char text[96];
    har_interval shown = found;
    if (rule->kind == HAR_RULE_AT_MOST || rule->kind == HAR_RULE_CEILING)
        shown.lo = found.hi;
    if (rule->kind == HAR_RULE_AT_LEAST)
        shown.hi = found.lo;
    har_quantity_write(text, sizeof text, rule->target, shown);
    put(&l, "%s: %s", rule->name, bound_word(rule));
    put_formula(&l, c, rule, NULL);
    put(&l, " = ");
    put_formula(&l, c, rule, input);
    if (strcmp(rule->formula, "$0") != 0)
        put(&l, " = %s", text);
    put(&l, "; %s ", target->claim >= 0 ? "stated"
                                        : har_quantity_name(rule->target));
    put_value(&l, c, rule->target, target);
    put_derivations(&l, c, rule, input);
}
