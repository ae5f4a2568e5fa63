/* harness/systems/checks.c -- what decides whether a system can run a plan, and
 * writes it.
 *
 * What all of them share is here; the rest is in the system's own file.  Traps:
 * vLLM numbers its ranks tensor, then stage, then data; all others as here.
 */
#include "harness/systems/impl.h"

core_status har_check_divides(const char *who, const char *what, int64_t n,
                              int degree)
{
    CORE_FAIL_IF(n % degree != 0, CORE_E_PLAN,
                 "%s: %s: expected equal parts, found %lld %% %d = %lld", who,
                 what, (long long)n, degree, (long long)(n % degree));
    return CORE_OK;
}

/* Key-value heads: equal parts, or each on an equal number of ranks. */
static core_status check_kv(const char *who, const par_plan *p,
                            const core_spec *s)
{
    CORE_FAIL_IF(s->n_g > 0 && s->n_g % p->tp != 0 && p->tp % s->n_g != 0,
                 CORE_E_PLAN,
                 "%s: kv heads: expected G = %lld to divide tp = %d or the "
                 "reverse",
                 who, (long long)s->n_g, p->tp);
    return CORE_OK;
}

core_status har_check_common(const char *who, const par_plan *p,
                             const core_spec *s)
{
    CORE_FAIL_IF(s->n_h == 0, CORE_E_PLAN,
                 "%s: runs decoders, and %s is one feed-forward sub-layer", who,
                 s->name);
    CORE_FAIL_IF(p->scope == PAR_SCOPE_REPLICA && (p->pp > 1 || p->dp > 1),
                 CORE_E_PLAN,
                 "%s: scope=replica: it keeps a layer's experts on the ranks "
                 "of its own stage",
                 who);
    CORE_FAIL_IF(p->rounds > 1, CORE_E_PLAN,
                 "%s: rounds=%d: a batch is one round, launch it %d times", who,
                 p->rounds, p->rounds);
    CORE_FAIL_IF(p->n_placed > 0, CORE_E_PLAN,
                 "%s: placement: no flag places single experts", who);
    CORE_FAIL_IF(p->n_mapped > 0, CORE_E_PLAN,
                 "%s: physical: no flag places single experts", who);
    CORE_TRY(check_kv(who, p, s));
    CORE_TRY(har_check_divides(who, "inner columns", s->n_f, p->etp));
    CORE_TRY(
        har_check_divides(who, "dense inner columns", s->n_f_dense, p->tp));
    return har_check_divides(who, "shared inner columns", s->n_f_shared, p->tp);
}

core_status har_check_tokens(const char *who, const par_plan *p)
{
    CORE_FAIL_IF(p->cp > 1, CORE_E_PLAN,
                 "%s: cp = %d: no flag of its cuts rows as plans do", who,
                 p->cp);
    CORE_FAIL_IF(p->vpp > 1, CORE_E_PLAN,
                 "%s: vpp = %d: no flag of its gives a stage several runs of "
                 "layers",
                 who, p->vpp);
    CORE_FAIL_IF(p->sp, CORE_E_PLAN,
                 "%s: sp=1: no flag of its cuts tokens over tensor ranks", who);
    return CORE_OK;
}

core_status har_check_drops(const char *who, const core_spec *s)
{
    CORE_FAIL_IF(
        s->n_e > 0 && s->capacity.rule != CORE_CAPACITY_NONE, CORE_E_PLAN,
        "%s: capacity: it drops no token, and %s has a capacity", who, s->name);
    return CORE_OK;
}

void har_write_partition(const char *name, const par_plan *p,
                         const core_spec *s, FILE *out)
{
    bool even = true;
    for (int i = 1; i < p->pp; i++)
        even = even &&
               par_plan_layers(p, s->n_l, i) == par_plan_layers(p, s->n_l, 0);
    if (even)
        return;
    fprintf(out, "%s=", name);
    for (int i = 0; i < p->pp; i++)
        fprintf(out, "%s%d", i > 0 ? "," : "", par_plan_layers(p, s->n_l, i));
    fputc('\n', out);
}

int64_t har_round_up(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}
