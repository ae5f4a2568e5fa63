/* harness/systems/facts.c -- what a launch line says of the model, held against
 * the model; and what plans of several systems are made of.
 */
#include "harness/systems/impl.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int har_fact_int(const har_facts *facts, har_fact fact)
{
    return (int)facts->of[fact].number;
}

int har_fact_or_one(const har_facts *facts, har_fact fact)
{
    return facts->of[fact].is_given ? har_fact_int(facts, fact) : 1;
}

/* --- the model --- */

static double score(const core_spec *s)
{
    return s->router == CORE_ROUTER_SIGMOID         ? 1
           : s->router == CORE_ROUTER_SQRT_SOFTPLUS ? 2
           : s->router == CORE_ROUTER_SPARSEMIXER   ? -1
                                                    : 0;
}

/* Inner columns that --ffn-hidden-size means: a dense layer's, else those of
 * experts that have no size of their own. */
static double inner(const har_facts *f, const core_spec *s, double said)
{
    if (s->n_f_dense > 0)
        return (double)s->n_f_dense;
    return f->of[HAR_F_N_F].is_given ? said : (double)s->n_f;
}

/* What the model has; NaN: the fact is not about the model. */
static double model_number(const har_facts *f, const core_spec *s,
                           har_fact fact)
{
    const double said = f->of[fact].number;
    const bool in_groups = s->n_group > 0;
    switch (fact) {
    case HAR_F_N_L:
        return (double)s->n_l;
    case HAR_F_N_D:
        return (double)s->n_d;
    case HAR_F_N_H:
        return (double)s->n_h;
    case HAR_F_N_G:
        return (double)s->n_g;
    case HAR_F_N_DH: /* latent attention has sizes of its own                 */
        return s->n_kv_rank > 0 ? said : (double)s->n_dh;
    case HAR_F_N_DV:
        return (double)(s->n_dv > 0 ? s->n_dv : s->n_dh);
    case HAR_F_N_E:
        return (double)s->n_e;
    case HAR_F_N_K:
        return (double)s->n_k;
    case HAR_F_N_F:
        return (double)s->n_f;
    case HAR_F_N_F_DENSE:
        return inner(f, s, said);
    case HAR_F_N_F_SHARED:
        return (double)s->n_f_shared;
    case HAR_F_N_V:
        return (double)s->n_v;
    case HAR_F_N_DE:
        return (double)s->n_de;
    case HAR_F_N_Q_RANK:
        return (double)s->n_q_rank;
    case HAR_F_N_KV_RANK:
        return (double)s->n_kv_rank;
    case HAR_F_N_GROUP:
        return in_groups ? (double)s->n_group : 1;
    case HAR_F_N_GROUP_KEPT:
        return in_groups ? (double)s->n_group_kept : 1;
    case HAR_F_GATED:
        return s->gated;
    case HAR_F_TIED:
        return s->tied;
    case HAR_F_BIAS_FFN:
        return s->bias_ffn || s->bias_mlp || s->bias_o;
    case HAR_F_BIAS_QKV:
        return s->bias_qkv;
    case HAR_F_QK_NORM:
        return s->qk_norm != CORE_QK_NORM_NONE || s->n_kv_rank > 0;
    case HAR_F_LATENT:
        return s->n_kv_rank > 0;
    case HAR_F_SHARED_GATE:
        return s->shared_gate;
    case HAR_F_CORRECTION:
        return s->correction;
    case HAR_F_SCORE:
        return score(s);
    case HAR_F_RMS:
        return s->norm == CORE_NORM_LAYER;
    case HAR_F_EPS:
        return s->norm_eps;
    case HAR_F_THETA:
        return s->rope.theta;
    case HAR_F_ROUTED_SCALE:
        return s->routed_scale != 0 ? s->routed_scale : 1;
    case HAR_F_FACTOR:
        return s->capacity.rule == CORE_CAPACITY_FACTOR ? s->capacity.factor
                                                        : 0;
    case HAR_F_POLICY:
        return s->capacity.priority != CORE_PRIORITY_PROB;
    default:
        return (double)NAN;
    }
}

/* The i-th of the words of a flag. */
static const char *word_at(const har_flag *flag, int i, int *n)
{
    const char *list = flag->words;
    for (; i > 0 && *list != '\0'; i--) {
        list += strcspn(list, " ");
        list += strspn(list, " ");
    }
    *n = (int)strcspn(list, " ");
    return list;
}

static core_status fail_differs(const har_value *v, double is,
                                const core_spec *s)
{
    int n;
    const char *word;
    switch (v->flag->take) {
    case HAR_TAKE_ON:
        CORE_FAIL(CORE_E_USAGE, "--import: %.*s, but %s is without", v->n_name,
                  v->name, s->name);
    case HAR_TAKE_OFF:
        CORE_FAIL(CORE_E_USAGE, "--import: %.*s, but %s has what it takes away",
                  v->n_name, v->name, s->name);
    case HAR_TAKE_WORD:
        word = word_at(v->flag, is >= 0 ? (int)is : 99, &n);
        CORE_FAIL(CORE_E_USAGE, "--import: %.*s %.60s, but %s has %.*s",
                  v->n_name, v->name, v->text, s->name, n > 0 ? n : 5,
                  n > 0 ? word : "other");
    default:
        CORE_FAIL(CORE_E_USAGE, "--import: %.*s %.60s, but %s has %.10g",
                  v->n_name, v->name, v->text, s->name, is);
    }
}

core_status har_facts_check(const har_facts *facts, const core_spec *spec)
{
    for (int i = 0; i < (int)HAR_N_FACTS; i++) {
        const har_value *v = &facts->of[i];
        const double is = model_number(facts, spec, (har_fact)i);
        if (v->is_given && !isnan(is) && v->number != is)
            return fail_differs(v, is, spec);
    }
    return CORE_OK;
}

/* --- plans --- */

void har_plan_stages(par_plan *plan, const core_spec *spec, const int *layers)
{
    par_plan even = *plan;
    bool is_even = true;
    even.n_stage = 0;
    for (int i = 0; i < par_plan_parts(plan); i++)
        is_even = is_even && layers[i] == par_plan_layers(&even, spec->n_l, i);
    plan->n_stage = is_even ? 0 : par_plan_parts(plan);
    for (int i = 0; i < plan->n_stage; i++)
        plan->stage_layers[i] = layers[i];
}

core_status har_plan_partition(par_plan *plan, const core_spec *spec,
                               const har_value *partition)
{
    int layers[CORE_MAX_LAYERS], n = 0;
    int64_t sum = 0;
    const char *at = partition->text;
    for (; isdigit((unsigned char)*at) && n < CORE_MAX_LAYERS; n++) {
        char *end;
        const long x = strtol(at, &end, 10);
        if (x < 1 || x > CORE_MAX_LAYERS)
            break;
        layers[n] = (int)x;
        sum += x;
        at = end + (*end == ',' && isdigit((unsigned char)end[1]));
    }
    CORE_FAIL_IF(*at != '\0' || n != plan->pp || sum != spec->n_l, CORE_E_USAGE,
                 "--import: %.*s: expected %d numbers of layers, %lld in all, "
                 "found '%.60s'",
                 partition->n_name, partition->name, plan->pp,
                 (long long)spec->n_l, partition->text);
    har_plan_stages(plan, spec, layers);
    return CORE_OK;
}

core_status har_plan_rest(int *out, const har_facts *facts, int64_t n,
                          const char *what)
{
    CORE_FAIL_IF(facts->world == 0, CORE_E_USAGE,
                 "--import: no launcher says how many ranks there are, and "
                 "WORLD_SIZE=N is missing: the data-parallel degree is what it "
                 "leaves");
    CORE_FAIL_IF(n < 1 || facts->world % n != 0, CORE_E_USAGE,
                 "--import: ranks %% (%s) = %d %% %lld, expected 0", what,
                 facts->world, (long long)n);
    *out = (int)(facts->world / n);
    return CORE_OK;
}
