/* harness/perf/audit/engine.c -- the verdict on each claim in one case.
 *
 * Every claim is put on trial in turn: its value stands for its quantity, the
 * others keep theirs, and each rule that its value reaches, directly or through
 * a derived quantity, is checked.  So a requirement is judged like a figure:
 * its range goes through the same rules.  A rule that does not see the claim
 * says nothing about it.  What is broken by other claims is contradicted; what
 * hardware, model or arithmetic alone break is impossible.
 */
#include "harness/perf/audit/impl.h"

#include <stdarg.h>
#include <string.h>

_Static_assert(HAR_MAX_CLAIMS <= 64, "har_check.others has a bit for each");

const char *har_claim_verdict_name(har_claim_verdict v)
{
    static const char *const names[] = {"holds", "not reached", "contradicted",
                                        "impossible", "undefined"};
    return names[v];
}

/* Note a check; its words only where somebody reads them. */
static void add_check(har_finding *f, const har__case *c, int rule, bool ok,
                      uint64_t others, const char *fmt, ...) CORE_PRINTF(6, 7);

static void add_check(har_finding *f, const har__case *c, int rule, bool ok,
                      uint64_t others, const char *fmt, ...)
{
    core_assert(f->n_check < HAR_MAX_CHECKS);
    har_check *check = &f->check[f->n_check++];
    *check = (har_check){.ok = ok, .rule = rule, .others = others};
    if (!c->with_text)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(check->text, sizeof check->text, fmt, args);
    va_end(args);
}

static uint64_t bit(int claim) { return UINT64_C(1) << claim; }

/* --- checks that need no rule --- */

static bool reaches(const har_claim *requirement, double figure)
{
    switch (requirement->relation) {
    case HAR_REL_LT: return figure < requirement->value;
    case HAR_REL_LE: return figure <= requirement->value;
    case HAR_REL_GT: return figure > requirement->value;
    case HAR_REL_GE: return figure >= requirement->value;
    case HAR_REL_EQ:
    case HAR_REL_ABOUT: break;
    }
    return false;
}

/* Other figures of the same quantity. */
static void check_same(har_finding *f, const har__case *c)
{
    const har_claim *mine = &c->claims->at[c->trial];
    const bool figure = har__is_figure(mine);
    for (int i = 0; i < c->claims->n; i++) {
        const har_claim *other = &c->claims->at[i];
        if (i == c->trial || !har__is_figure(other) ||
            har__quantity_of(c, i) != har__quantity_of(c, c->trial))
            continue;
        const bool ok = figure ? har_intervals_meet(mine->range, other->range)
                               : reaches(mine, other->value);
        add_check(f, c, figure ? HAR_CHECK_SAME : HAR_CHECK_REQUIREMENT, ok,
                  bit(i), figure ? "%s: %s here, %s in %s" : "%s: %s; %s in %s",
                  har_quantity_name(har__quantity_of(c, c->trial)),
                  mine->written, other->written, other->id);
    }
}

/* Data sheet and model. */
static void check_fact(har_finding *f, const har__case *c)
{
    const har_claim *mine = &c->claims->at[c->trial];
    const har_quantity q = har__quantity_of(c, c->trial);
    har_interval x = c->claims->fact[q];
    const char *whose = "the hardware";
    if (!c->claims->has_fact[q]) {
        if (!c->claims->has_model[q])
            return;
        x = har__model_says(c->claims, q);
        whose = c->claims->spec.name;
    }
    const bool ok = har__is_figure(mine) ? har_intervals_meet(mine->range, x)
                                         : reaches(mine, x.lo);
    char text[64];
    har_quantity_write(text, sizeof text, q, x);
    add_check(f, c, HAR_CHECK_FACT, ok, 0, "%s: stated %s; %s has %s",
              har_quantity_name(q), mine->written, whose, text);
}

static const char *as_other_thing(const har_reading *r, double stated)
{
    const double edp = (double)r->dp * r->tp / ((double)r->ep * r->etp);
    if (r->rounds > 1 && r->dp * r->rounds == stated)
        return ": as many rounds, one after another on the same GPUs";
    if (r->scope == PAR_SCOPE_STAGE && edp == stated)
        return ": as many copies of the experts";
    return "";
}

/* Degrees against the reading. */
static void check_plan(har_finding *f, const har__case *c)
{
    const har_claim *mine = &c->claims->at[c->trial];
    const har_reading *r = c->reading;
    const har_quantity q = mine->quantity;
    double degree = 0.0;
    uint64_t others = 0;
    if (!har__degree(r, q, &degree) || !har__is_figure(mine))
        return;
    for (int i = 0; i < c->claims->n; i++) {
        double x = 0.0;
        const har_claim *other = &c->claims->at[i];
        if (i != c->trial && har__degree(r, other->quantity, &x) &&
            har__is_figure(other) && other->value == x)
            others |= bit(i);
    }
    const bool ok = mine->range.lo <= degree && degree <= mine->range.hi;
    char cp[32] = "";
    if (r->cp > 1)
        snprintf(cp, sizeof cp, " * cp %d", r->cp);
    add_check(f, c, HAR_CHECK_PLAN, ok, others,
              "degrees: tp * pp * dp = %d * %d * %d%s = %d GPUs, experts on ep "
              "* etp = %d * %d; %s is %.0f, stated %.0f%s",
              r->tp, r->pp, r->dp, cp, har_reading_gpus(r), r->ep, r->etp,
              har_quantity_name(q), degree, mine->value,
              !ok && q == HAR_Q_DP ? as_other_thing(r, mine->value) : "");
}

/* A share of a whole; only a broken one is worth a word. */
static void check_fraction(har_finding *f, const har__case *c)
{
    const har_claim *mine = &c->claims->at[c->trial];
    if (har_quantity_dimension(mine->quantity) != HAR_DIM_FRACTION ||
        mine->quantity == HAR_Q_TARGET_EXCESS || mine->range.lo <= 1.0)
        return;
    add_check(f, c, HAR_CHECK_FRACTION, false, 0,
              "%s: stated %s, a share is at most 100 %%",
              har_quantity_name(mine->quantity), mine->written);
}

/* --- rules --- */

static bool rule_is_kept(const har_rule *rule, har_interval target,
                         har_interval found)
{
    switch (rule->kind) {
    case HAR_RULE_IS:
    case HAR_RULE_CHECK: return har_intervals_meet(target, found);
    case HAR_RULE_AT_MOST:
    case HAR_RULE_CEILING: return target.lo <= found.hi;
    case HAR_RULE_AT_LEAST: return target.hi >= found.lo;
    case HAR_RULE_IS_OTHER: return !har_intervals_meet(target, found);
    }
    return false;
}

static bool judges_target_only(const har_rule *rule)
{
    return rule->kind == HAR_RULE_CEILING || rule->kind == HAR_RULE_IS_OTHER;
}

/* Values of target and inputs; false unless all are known. */
static bool gather(har__case *c, const har_rule *rule, har__value *target,
                   har__value *input, uint64_t *from)
{
    if (!har__resolve(c, rule->target, target))
        return false;
    *from = target->from;
    for (int i = 0; i < rule->n_input; i++) {
        if (!har__resolve(c, rule->input[i], &input[i]))
            return false;
        *from |= input[i].from;
    }
    return true;
}

/* Hardware, model or plan have said what the value is. */
static bool is_given(const har_finding *f)
{
    return f->n_check > 0 && (f->check[0].rule == HAR_CHECK_FACT ||
                              f->check[0].rule == HAR_CHECK_PLAN);
}

static void check_rule(har_finding *f, har__case *c, int i)
{
    const har_rule *rule = har_rule_at(i);
    har__value target, input[HAR_MAX_INPUTS];
    har_interval x[HAR_MAX_INPUTS];
    uint64_t from = 0;
    if (!har__applies(c, rule))
        return;
    c->barred = i;
    const bool known = gather(c, rule, &target, input, &from);
    c->barred = -1;
    if (!known || (from & bit(c->trial)) == 0 ||
        (judges_target_only(rule) && target.claim != c->trial))
        return;
    for (int k = 0; k < rule->n_input; k++)
        x[k] = input[k].x;
    const har_interval found = har_rule_value(rule, x);
    const bool ok = rule_is_kept(rule, target.x, found);
    if (rule->kind == HAR_RULE_IS_OTHER && ok)
        return; /* that it is not something else says nothing for it */
    if (!ok && is_given(f))
        return; /* as given: what breaks with it is the others' */
    char text[sizeof f->check->text] = "";
    if (c->with_text)
        har__write_rule(text, sizeof text, c, rule, input, found, &target);
    add_check(f, c, i, ok, from & ~bit(c->trial), "%s", text);
}

/* --- verdict --- */

static har_claim_verdict verdict_of(const har_finding *f)
{
    bool alone = false, contradicted = false;
    for (int i = 0; i < f->n_check; i++) {
        const har_check *check = &f->check[i];
        if (check->ok)
            continue;
        if (check->rule == HAR_CHECK_REQUIREMENT)
            return HAR_CLAIM_NOT_REACHED;
        const har_rule *rule = har_rule_at(check->rule);
        if (rule != NULL && rule->kind == HAR_RULE_IS_OTHER)
            return HAR_CLAIM_UNDEFINED;
        alone = alone || check->others == 0;
        contradicted = true;
    }
    if (alone)
        return HAR_CLAIM_IMPOSSIBLE;
    if (contradicted)
        return HAR_CLAIM_CONTRADICTED;
    return f->n_check > 0 ? HAR_CLAIM_HOLDS : HAR_CLAIM_UNDEFINED;
}

/* Names of what a rule lacks; their number, 0 if the rule is not about q. */
static int lacking(har__case *c, const har_rule *rule, har_quantity q,
                   char *out, size_t bytes)
{
    bool about = rule->target == q;
    int n = 0;
    har__value v;
    out[0] = '\0';
    for (int i = -1; i < rule->n_input; i++) {
        const har_quantity other = i < 0 ? rule->target : rule->input[i];
        about = about || other == q;
        if (har__resolve(c, other, &v))
            continue;
        const size_t used = strlen(out);
        snprintf(out + used, bytes - used, "%s%s", n > 0 ? " and " : "",
                 har_quantity_name(other));
        n++;
    }
    return about ? n : 0;
}

/* What the document would have to state for a claim that nothing reaches. */
static void find_missing(har_finding *f, har__case *c)
{
    const har_quantity q = har__quantity_of(c, c->trial);
    int least = 1 << 10;
    for (int i = 0; har_rule_at(i) != NULL; i++) {
        char text[sizeof f->missing];
        const har_rule *rule = har_rule_at(i);
        if (!har__applies(c, rule) || judges_target_only(rule))
            continue;
        const int n = lacking(c, rule, q, text, sizeof text);
        if (n > 0 && n < least) {
            least = n;
            snprintf(f->missing, sizeof f->missing, "%s", text);
        }
    }
}

void har_audit_one(har_finding *findings, const har_claims *claims,
                   const har_reading *reading, const int meaning[HAR_N_WORDS],
                   bool with_text)
{
    har__case c = {.claims = claims,
                   .reading = reading,
                   .meaning = meaning,
                   .barred = -1,
                   .with_text = with_text};
    for (int i = 0; i < claims->n; i++) {
        har_finding *f = &findings[i];
        c.trial = i;
        f->n_check = 0;
        f->missing[0] = '\0';
        check_fact(f, &c);
        check_plan(f, &c);
        check_fraction(f, &c);
        check_same(f, &c);
        for (int r = 0; har_rule_at(r) != NULL; r++)
            check_rule(f, &c, r);
        f->verdict = verdict_of(f);
        if (f->n_check == 0 && with_text)
            find_missing(f, &c);
    }
}
