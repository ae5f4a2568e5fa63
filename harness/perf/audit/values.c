/* harness/perf/audit/values.c -- where the value of a quantity comes from.
 *
 * In this order: the claim on trial; the plan of the reading; hardware and
 * model; another claim; a rule that derives it.  Requirements are nobody's
 * value.  A rule that is being checked must not derive its own target, and no
 * quantity is derived from itself.
 */
#include "harness/perf/audit/impl.h"
#include "harness/perf/cost/memory.h"

bool har__is_figure(const har_claim *claim)
{
    return claim->relation == HAR_REL_EQ || claim->relation == HAR_REL_ABOUT;
}

har_quantity har__quantity_of(const har__case *c, int claim)
{
    switch (c->claims->at[claim].quantity) {
    case HAR_Q_UTILISATION:
        return c->meaning[HAR_WORD_UTILISATION] == 1 ? HAR_Q_BUSY : HAR_Q_MFU;
    case HAR_Q_COMMUNICATION:
        return c->meaning[HAR_WORD_OVERHEAD] == 1 ? HAR_Q_COMMUNICATION_TOTAL
                                                  : HAR_Q_COMMUNICATION_EXPOSED;
    default:
        return c->claims->at[claim].quantity;
    }
}

int har_reading_gpus(const har_reading *r)
{
    return r->tp * r->pp * r->dp * r->cp;
}

bool har__degree(const har_reading *r, har_quantity q, double *out)
{
    if (!r->exists)
        return false;
    switch (q) {
    case HAR_Q_GPUS: *out = har_reading_gpus(r); return true;
    case HAR_Q_TP: *out = r->tp; return true;
    case HAR_Q_PP: *out = r->pp; return true;
    case HAR_Q_DP: *out = r->dp; return true;
    case HAR_Q_EP: *out = r->ep; return true;
    case HAR_Q_ETP: *out = r->etp; return true;
    case HAR_Q_CP: *out = r->cp; return true;
    case HAR_Q_VPP: *out = r->vpp; return true;
    case HAR_Q_MODULES: *out = (double)r->tp * r->pp; return true;
    case HAR_Q_EXPERT_STAGES:
        *out = r->scope == PAR_SCOPE_STAGE ? r->pp : 1;
        return true;
    default: return false;
    }
}

/* Parameters of one expert's matrices over all layers, times n. */
static double expert_parameters(const core_spec *s, int64_t n)
{
    const int n_moe = core_spec_count_moe(s, 0, (int)s->n_l);
    return (double)n * n_moe * (s->gated ? 3.0 : 2.0) *
           (double)core_spec_n_de(s) *
           (double)s->n_f;
}

/* The numbers that a token leaves in the cache of all layers. */
static double kv_per_token(const core_spec *s)
{
    double n = 0.0;
    for (int l = 0; l < (int)s->n_l; l++)
        n += (double)har_cost_kv_elements(s, l, core_spec_heads(s, l).n_g);
    return n;
}

static bool model_fact(const core_spec *s, har_quantity q, double *out)
{
    const double all = (double)core_spec_parameters(s);
    const double active = (double)core_spec_active_parameters(s);
    const double table = s->n_h > 0 ? (double)s->n_v * (double)s->n_d : 0.0;
    const double head = s->tied ? 0.0 : table; /* counted apart, never both */
    switch (q) {
    case HAR_Q_LAYERS: *out = (double)s->n_l; return true;
    case HAR_Q_HEADS: *out = (double)s->n_h; return true;
    case HAR_Q_HEAD_SIZE: *out = (double)s->n_dh; return true;
    case HAR_Q_HIDDEN: *out = (double)s->n_d; return true;
    case HAR_Q_EXPERTS: *out = (double)s->n_e; return true;
    case HAR_Q_TOP_K: *out = (double)s->n_k; return true;
    case HAR_Q_PARAMETERS: *out = all; return true;
    case HAR_Q_ACTIVE_PARAMETERS: *out = active; return true;
    case HAR_Q_PRODUCT_PARAMETERS: *out = active - head; return true;
    case HAR_Q_CHOSEN_PARAMETERS:
        *out = expert_parameters(s, s->n_k);
        return true;
    case HAR_Q_MIXER_PARAMETERS:
        *out = active - expert_parameters(s, s->n_k) - table - head;
        return true;
    case HAR_Q_EXPERT_PARAMETERS:
        *out = expert_parameters(s, s->n_e);
        return true;
    case HAR_Q_DENSE_PARAMETERS:
        *out = all - expert_parameters(s, s->n_e);
        return true;
    case HAR_Q_KV_PER_TOKEN: *out = kv_per_token(s); return true;
    case HAR_Q_CAPACITY_FACTOR:
        *out = s->capacity.factor;
        return s->capacity.rule == CORE_CAPACITY_FACTOR;
    default: return false;
    }
}

void har__fill_model(har_claims *claims)
{
    for (int q = 0; q < (int)HAR_N_QUANTITIES; q++)
        claims->has_model[q] =
            model_fact(&claims->spec, (har_quantity)q, &claims->model[q]);
}

/* Some count the embedding among the active parameters and some do not. */
har_interval har__model_says(const har_claims *claims, har_quantity q)
{
    har_interval x = har_point(claims->model[q]);
    if (q == HAR_Q_ACTIVE_PARAMETERS)
        x.lo = claims->model[HAR_Q_PRODUCT_PARAMETERS];
    return x;
}

/* Hardware, model, and what holds unless somebody says otherwise. */
static bool fact(const har__case *c, har_quantity q, har_interval *out)
{
    if (c->claims->has_fact[q]) {
        *out = c->claims->fact[q];
        return true;
    }
    if (c->claims->has_model[q]) {
        *out = har__model_says(c->claims, q);
        return true;
    }
    if (q == HAR_Q_MICRO_BATCHES && c->claims->has_plan) {
        *out = har_point(c->claims->plan.mb);
        return true;
    }
    return false;
}

/* A default is looked at after the claims. */
static bool by_default(har_quantity q, har_interval *out)
{
    switch (q) {
    case HAR_Q_DROPPED: *out = har_point(0.0); return true;
    case HAR_Q_BYTES_PER_WEIGHT: *out = (har_interval){0.5, 4.0}; return true;
    case HAR_Q_MICRO_BATCHES: *out = har_point(1.0); return true;
    default: return false;
    }
}

/* Claims that say what the plan says take part in it. */
static uint64_t claims_of_degree(const har__case *c, har_quantity q, double x)
{
    uint64_t bits = 0;
    for (int i = 0; i < c->claims->n; i++) {
        const har_claim *claim = &c->claims->at[i];
        if (claim->quantity == q && har__is_figure(claim) && claim->value == x)
            bits |= UINT64_C(1) << i;
    }
    return bits;
}

static bool from_claims(const har__case *c, har_quantity q, har__value *out)
{
    for (int i = 0; i < c->claims->n; i++) {
        const har_claim *claim = &c->claims->at[i];
        const bool target = q == HAR_Q_TOKENS_TARGET &&
                            claim->quantity == HAR_Q_TOKENS_PER_S &&
                            (claim->relation == HAR_REL_GT ||
                             claim->relation == HAR_REL_GE);
        if (!target && (!har__is_figure(claim) || har__quantity_of(c, i) != q))
            continue;
        *out = (har__value){target ? har_point(claim->value) : claim->range,
                            UINT64_C(1) << i, i, -1};
        return true;
    }
    return false;
}

bool har__is_stated(const har_claims *claims, har_quantity q)
{
    bool is_stated = claims->has_fact[q];
    for (int i = 0; i < claims->n && !is_stated; i++)
        is_stated =
            claims->at[i].quantity == q && har__is_figure(&claims->at[i]);
    return is_stated;
}

bool har__applies(const har__case *c, const har_rule *rule)
{
    if (rule->unless != HAR_Q_GPUS && har__is_stated(c->claims, rule->unless))
        return false;
    if (rule->meaning != 0 && c->meaning[rule->word] != rule->meaning)
        return false;
    if (rule->scope == HAR_ANY_PLAN)
        return true;
    return c->reading->exists &&
           (c->reading->scope == PAR_SCOPE_STAGE) ==
               (rule->scope == HAR_STAGE_ONLY);
}

static bool derive_by(har__case *c, const har_rule *rule, har__value *out)
{
    har_interval x[HAR_MAX_INPUTS];
    uint64_t from = 0;
    for (int i = 0; i < rule->n_input; i++) {
        har__value v;
        if (!har__resolve(c, rule->input[i], &v))
            return false;
        x[i] = v.x;
        from |= v.from;
    }
    *out = (har__value){har_rule_value(rule, x), from, -1, -1};
    return true;
}

static bool derive(har__case *c, har_quantity q, har__value *out)
{
    bool found = false;
    if (c->visiting[q])
        return false;
    c->visiting[q] = true;
    for (int i = 0; !found && har_rule_at(i) != NULL; i++) {
        const har_rule *rule = har_rule_at(i);
        if (rule->kind != HAR_RULE_IS || rule->target != q || i == c->barred ||
            !har__applies(c, rule))
            continue;
        found = derive_by(c, rule, out);
        out->rule = i;
    }
    c->visiting[q] = false;
    return found;
}

bool har__resolve(har__case *c, har_quantity q, har__value *out)
{
    double degree = 0.0;
    *out = (har__value){.claim = -1, .rule = -1};
    if (c->trial >= 0 && har__quantity_of(c, c->trial) == q) {
        *out = (har__value){c->claims->at[c->trial].range,
                            UINT64_C(1) << c->trial, c->trial, -1};
        return true;
    }
    if (har__degree(c->reading, q, &degree)) {
        out->x = har_point(degree);
        out->from = claims_of_degree(c, q, degree);
        return true;
    }
    return fact(c, q, &out->x) ||
           (!c->without_claims && from_claims(c, q, out)) ||
           by_default(q, &out->x) || derive(c, q, out);
}

bool har__given(const har_claims *claims, const har_reading *reading,
                const int meaning[HAR_N_WORDS], har_quantity q,
                har_interval *out)
{
    har__case c = {.claims = claims,
                   .reading = reading,
                   .meaning = meaning,
                   .trial = -1,
                   .barred = -1,
                   .without_claims = true};
    har__value v;
    const bool known = har__resolve(&c, q, &v);
    *out = v.x;
    return known;
}
