/* parallel/plan_check.c -- which plans a model can be run with.
 *
 * One predicate, used for the verdict and by the enumeration of plan_legal.c,
 * so that a suggested plan can never be refused.  Every rule prints its own
 * equation with the numbers in it: a refusal that does not say which number to
 * change is worth little.  Not rules: dealing rows, layers, vocabulary, experts
 * or inner columns evenly; uneven parts and parts without a row are legal.
 */
#include "parallel/operators.h"
#include "parallel/plan_keys.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct reason {
    char *text;
    size_t bytes;
} reason;

static bool broken(const reason *why, const char *fmt, ...) CORE_PRINTF(2, 3);

/* Always false: "the plan is not legal, because". */
static bool broken(const reason *why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why->text, why->bytes, fmt, args);
    va_end(args);
    return false;
}

static bool positive_ok(const par_plan *p, const reason *why)
{
    const int number[] = {p->tp,  p->cp, p->pp,     p->vpp,         p->dp, p->ep,
                          p->etp, p->mb, p->rounds, p->batch_reduce};
    static const char *const name[] = {
        "tp",  "cp", "pp",     "vpp",         "dp", "ep",
        "etp", "mb", "rounds", "batch_reduce"};
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
        if (number[i] < 1)
            return broken(why, "%s = %d, expected at least 1", name[i],
                          number[i]);
    return true;
}

static bool at_most(const char *degree, int64_t value, const char *extent,
                    int64_t limit, const char *what, const reason *why)
{
    if (value <= limit)
        return true;
    return broken(why, "%s = %lld exceeds %s = %lld %s", degree,
                  (long long)value, extent, (long long)limit, what);
}

/* What tensor parallelism cuts: what the mixers of the layers say (heads,
 * channels), and the vocabulary.                                             */
static bool tensor_ok(const par_plan *p, const core_spec *s, const reason *why)
{
    for (int k = 0; k < CORE_N_MIXERS; k++) {
        const par__cut *cut = &par__mixers[k]->cut;
        if (!par__has(s, 0, (int)s->n_l, par__mixers[k]))
            continue;
        const int64_t n = cut->length(s);
        if (cut->is_even && n % p->tp != 0)
            return broken(why, "%s %% tp = %lld %% %d = %lld, expected 0 (%s)",
                          cut->letter, (long long)n, p->tp,
                          (long long)(n % p->tp), cut->what);
        if (!cut->is_even &&
            !at_most("tp", p->tp, cut->letter, n, cut->what, why))
            return false;
    }
    return at_most("tp", p->tp, "V", s->n_v, "vocabulary rows", why);
}

const char *par_plan_tp_rule(const core_spec *spec, int i,
                             char text[PAR_RULE_TEXT])
{
    for (int k = 0; k < CORE_N_MIXERS; k++) {
        const par__cut *cut = &par__mixers[k]->cut;
        if (!par__has(spec, 0, (int)spec->n_l, par__mixers[k]) || i-- > 0)
            continue;
        snprintf(text, PAR_RULE_TEXT,
                 cut->is_even ? "%s %% tp = 0" : "tp <= %s", cut->letter);
        return text;
    }
    return NULL;
}

/* Every virtual stage has a layer; a stage that takes turns with itself alone
 * has its layers in one run.                                                 */
static bool virtual_ok(const par_plan *p, const core_spec *s, const reason *why)
{
    const int64_t n_part = (int64_t)p->pp * p->vpp;
    if (p->vpp > 1 && p->pp == 1)
        return broken(why, "vpp = %d, expected 1: pp = 1, and one stage takes "
                      "turns with no other", p->vpp);
    return at_most(p->vpp > 1 ? "pp*vpp" : "pp", n_part, "L", s->n_l, "layers",
                   why);
}

/* Every part of a split axis has at least one element. */
static bool extents_ok(const par_plan *p, const core_spec *s, const reason *why)
{
    if (s->n_e > PAR_MAX_EXPERTS)
        return broken(why, "E = %lld experts, at most %d are supported",
                      (long long)s->n_e, PAR_MAX_EXPERTS);
    if (s->n_h == 0) { /* a single sub-layer: no heads, no vocabulary */
        if (p->pp != 1)
            return broken(why, "pp = %d, expected 1: the model is one "
                          "feed-forward sub-layer", p->pp);
    } else if (!tensor_ok(p, s, why)) {
        return false;
    }
    /* a model without experts still has one expert mesh, of degree 1 */
    const int64_t n_e = s->n_e > 0 ? s->n_e : 1;
    const int64_t n_f = s->n_f > 0 ? s->n_f : 1;
    return virtual_ok(p, s, why) &&
           at_most("ep", p->ep, "E", n_e, "experts", why) &&
           at_most("etp", p->etp, "F", n_f, "inner columns", why);
}

/* Ranks that share rows by heads have equal parts of them. */
static bool ulysses_ok(const par_plan *p, const core_spec *s, const reason *why)
{
    const int64_t n_part = (int64_t)p->tp * p->cp;
    if (p->cp_kind != PAR_CP_ULYSSES)
        return true;
    for (int kind = 0; kind < core_spec_head_kinds(s); kind++) {
        const int64_t n_h = core_spec_heads_of(s, kind).n_h;
        if (n_h % n_part != 0)
            return broken(why, "H %% (tp*cp) = %lld %% (%d*%d) = %lld, "
                          "expected 0 (query heads, cp_kind=ulysses)",
                          (long long)n_h, p->tp, p->cp,
                          (long long)(n_h % n_part));
    }
    return true;
}

/* Context parallelism cuts rows: who works on a row must know how. */
static bool context_ok(const par_plan *p, const core_spec *s, const reason *why)
{
    if (p->cp > 1 && s->n_h == 0)
        return broken(why, "cp = %d, expected 1: the model has no attention",
                      p->cp);
    for (int l = 0; p->cp > 1 && l < (int)s->n_l; l++) {
        const par__entry *mixer = par__mixer(s, l);
        if (mixer != NULL && !mixer->takes_parts_of_rows)
            return broken(why, "cp = %d, expected 1: layer %d is %s, which "
                          "works on whole rows", p->cp, l,
                          core_mixer_name(core_spec_mixer(s, l)));
        if (par__chooser(s, l) != NULL || core_spec_seen(s, l).n_set > 0 ||
            core_spec_digest_run(s, l) > 0)
            return broken(why, "cp = %d, expected 1: layer %d chooses or "
                          "digests keys of whole rows", p->cp, l);
    }
    return ulysses_ok(p, s, why);
}

static bool mesh_ok(const par_plan *p, const reason *why)
{
    const int64_t n_set = (int64_t)p->ep * p->etp;
    const bool by_stage = p->scope == PAR_SCOPE_STAGE;
    const int degree = by_stage ? p->dp : p->pp;
    const int64_t n_scope = (int64_t)degree * p->cp * p->tp;
    char product[PAR__DEGREES];
    if (by_stage ? n_scope % n_set == 0 : n_scope == n_set)
        return true;
    return broken(why, "ep*etp = %d*%d = %lld %s %s%s*tp = %s = %lld "
                  "(scope=%s)", p->ep, p->etp, (long long)n_set,
                  by_stage ? "does not divide" : "differs from",
                  by_stage ? "dp" : "pp", p->cp > 1 ? "*cp" : "",
                  par__degrees(product, degree, p->cp, p->tp),
                  (long long)n_scope, by_stage ? "stage" : "replica");
}

/* Sums are those of as many micro-batches each time. */
static bool sums_ok(const par_plan *p, const reason *why)
{
    if (p->mb % p->batch_reduce == 0)
        return true;
    return broken(why, "mb %% batch_reduce = %d %% %d = %d, expected 0", p->mb,
                  p->batch_reduce, p->mb % p->batch_reduce);
}

static bool stages_ok(const par_plan *p, const core_spec *s, const reason *why)
{
    if (p->n_stage == 0)
        return true;
    if (p->n_stage != par_plan_parts(p))
        return broken(why, "stages lists %d lengths, expected %s = %d",
                      p->n_stage, p->vpp > 1 ? "pp*vpp" : "pp",
                      par_plan_parts(p));
    int64_t sum = 0;
    for (int i = 0; i < p->n_stage; i++) {
        if (p->stage_layers[i] < 1)
            return broken(why, "stage %d has %d layers, expected at least 1", i,
                          p->stage_layers[i]);
        sum += p->stage_layers[i];
    }
    if (sum != s->n_l)
        return broken(why, "the stages sum to %lld layers, expected L = %lld",
                      (long long)sum, (long long)s->n_l);
    return true;
}

static bool expert_ok(const par_plan *p, int e, const reason *why)
{
    const uint16_t *ep_i = p->replica[e];
    if (p->n_replica[e] < 1 || p->n_replica[e] > PAR_MAX_REPLICAS)
        return broken(why, "placement: expert %d has %d replicas, expected 1 "
                      "to %d", e, p->n_replica[e], PAR_MAX_REPLICAS);
    for (int i = 0; i < p->n_replica[e]; i++) {
        if (ep_i[i] >= p->ep)
            return broken(why, "placement: expert %d is on ep index %d, "
                          "expected less than ep = %d", e, ep_i[i], p->ep);
        for (int j = 0; j < i; j++)
            if (ep_i[j] == ep_i[i])
                return broken(why, "placement: expert %d is on ep index %d "
                              "twice", e, ep_i[i]);
    }
    return true;
}

static bool placement_ok(const par_plan *p, const core_spec *s,
                         const reason *why)
{
    if (p->n_placed == 0)
        return true;
    if (p->n_placed != s->n_e)
        return broken(why, "placement lists %d experts, expected E = %lld",
                      p->n_placed, (long long)s->n_e);
    for (int e = 0; e < p->n_placed; e++)
        if (!expert_ok(p, e, why))
            return false;
    return true;
}

/* Physical experts of a layer: every logical one is there, and on an ep index no
 * more than once.                                                            */
static bool layer_ok(const par_plan *p, int64_t n_e, int i, const reason *why)
{
    const uint16_t *logical = p->physical + (int64_t)i * p->n_physical;
    const int n_slot = p->n_physical / p->ep;
    int last[PAR_MAX_EXPERTS]; /* ep index that has the expert, -1: none yet  */
    for (int64_t e = 0; e < n_e; e++)
        last[e] = -1;
    for (int k = 0; k < p->n_physical; k++) {
        const int e = logical[k];
        if (e >= n_e)
            return broken(why, "physical: list %d: physical expert %d is "
                          "logical expert %d, expected less than E = %lld", i,
                          k, e, (long long)n_e);
        if (last[e] == k / n_slot)
            return broken(why, "physical: list %d: expert %d is on ep index %d "
                          "twice", i, e, last[e]);
        last[e] = k / n_slot;
    }
    for (int64_t e = 0; e < n_e; e++)
        if (last[e] < 0)
            return broken(why, "physical: list %d: expert %lld is nowhere", i,
                          (long long)e);
    return true;
}

static bool physical_ok(const par_plan *p, const core_spec *s,
                        const reason *why)
{
    const int n_moe = core_spec_count_moe(s, 0, (int)s->n_l);
    if (p->n_mapped == 0)
        return true;
    if (p->n_placed > 0)
        return broken(why, "placement and physical both say where experts are, "
                      "expected one of them");
    if (p->n_mapped != n_moe)
        return broken(why, "physical has %d lists, expected %d: layers with "
                      "experts", p->n_mapped, n_moe);
    if (p->n_physical % p->ep != 0)
        return broken(why, "physical experts %% ep = %d %% %d = %d, expected 0",
                      p->n_physical, p->ep, p->n_physical % p->ep);
    for (int i = 0; i < p->n_mapped; i++)
        if (!layer_ok(p, s->n_e, i, why))
            return false;
    return true;
}

bool par__plan_is_legal(const par_plan *plan, const core_spec *spec, char *why,
                        size_t why_bytes)
{
    const reason r = {why, why_bytes};
    return positive_ok(plan, &r) && extents_ok(plan, spec, &r) &&
           context_ok(plan, spec, &r) && mesh_ok(plan, &r) &&
           sums_ok(plan, &r) && stages_ok(plan, spec, &r) && placement_ok(plan, spec, &r) &&
           physical_ok(plan, spec, &r);
}

core_status par_plan_check(const par_plan *plan, const core_spec *spec)
{
    char why[200], nearest[800];
    if (par__plan_is_legal(plan, spec, why, sizeof why))
        return CORE_OK;
    par__plan_nearest(plan, spec, nearest, sizeof nearest);
    CORE_FAIL_IF(nearest[0] == '\0', CORE_E_PLAN, "%s", why);
    CORE_FAIL(CORE_E_PLAN, "%s; nearest legal plans: %s", why, nearest);
}

core_status par_plan_check_batch(const par_plan *plan, const core_spec *spec,
                                 int64_t n_b)
{
    CORE_TRY(par_plan_check(plan, spec));
    CORE_FAIL_IF(n_b < 1, CORE_E_PLAN, "the batch has %lld rows, expected at "
                 "least 1", (long long)n_b);
    /* slots are counted over the whole domain even if nothing is dropped */
    CORE_FAIL_IF(spec->capacity.domain == CORE_DOMAIN_BATCH &&
                     (plan->rounds != 1 || plan->dp != 1 || plan->mb != 1),
                 CORE_E_PLAN,
                 "capacity domain batch expects rounds = dp = mb = 1, found "
                 "rounds = %d, dp = %d, mb = %d",
                 plan->rounds, plan->dp, plan->mb);
    return CORE_OK;
}
