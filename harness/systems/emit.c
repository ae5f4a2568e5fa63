/* harness/systems/emit.c -- launch arguments of Megatron-Core and vLLM.
 *
 * Both number ranks as we do (tensor fastest, then data, then stages), and both
 * keep a layer's experts on the ranks of its own stage.  Traps: Megatron's data
 * degree is what is left of WORLD_SIZE; without expert parallelism vLLM cuts
 * every expert over all tp * dp ranks, and with it EP is that product;
 * Megatron counts an expert's slots on each tensor rank's slice of the tokens.
 */
#include "harness/systems/systems.h"

#include <string.h>

static const char *const names[] = {"megatron", "vllm"};

core_status har_system_parse(har_system *out, const char *name)
{
    for (int i = 0; i < 2; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (har_system)i;
            return CORE_OK;
        }
    }
    CORE_FAIL(CORE_E_USAGE, "--emit: expected megatron or vllm, found '%s'",
              name);
}

/* --- what neither can do --- */

static core_status check_divides(const char *who, const char *what, int64_t n,
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
                 "reverse", who, (long long)s->n_g, p->tp);
    return CORE_OK;
}

static core_status check_common(const char *who, const par_plan *p,
                                const core_spec *s)
{
    CORE_FAIL_IF(s->n_h == 0, CORE_E_PLAN,
                 "%s: runs decoders, and %s is one feed-forward sub-layer", who,
                 s->name);
    CORE_FAIL_IF(p->scope == PAR_SCOPE_REPLICA && (p->pp > 1 || p->dp > 1),
                 CORE_E_PLAN,
                 "%s: scope=replica: it keeps a layer's experts on the ranks "
                 "of its own stage", who);
    CORE_FAIL_IF(p->rounds > 1, CORE_E_PLAN,
                 "%s: rounds=%d: a batch is one round, launch it %d times", who,
                 p->rounds, p->rounds);
    CORE_FAIL_IF(p->n_placed > 0, CORE_E_PLAN,
                 "%s: placement: no flag places single experts", who);
    CORE_TRY(check_kv(who, p, s));
    CORE_TRY(check_divides(who, "experts", s->n_e, p->ep));
    CORE_TRY(check_divides(who, "inner columns", s->n_f, p->etp));
    CORE_TRY(check_divides(who, "dense inner columns", s->n_f_dense, p->tp));
    return check_divides(who, "shared inner columns", s->n_f_shared, p->tp);
}

static int stage_layers(const par_plan *p, const core_spec *s, int stage)
{
    if (p->n_stage > 0)
        return p->stage_layers[stage];
    return (int)(s->n_l / p->pp) + (stage < s->n_l % p->pp ? 1 : 0);
}

/* --- Megatron --- */

/* Layers of the first and of the last stage where they differ from those
 * between; 0 where they do not. */
static core_status megatron_stages(const par_plan *p, const core_spec *s,
                                   int *first, int *last)
{
    const int n0 = stage_layers(p, s, 0);
    const int n1 = stage_layers(p, s, p->pp - 1);
    const int middle = p->pp > 2 ? stage_layers(p, s, 1) : n1;
    for (int i = 1; i < p->pp - 1; i++)
        CORE_FAIL_IF(stage_layers(p, s, i) != middle, CORE_E_PLAN,
                     "megatron: stages: only the first and the last may "
                     "differ, found %d layers in stage %d and %d in stage 1",
                     stage_layers(p, s, i), i, middle);
    *first = n0 != middle ? n0 : 0;
    *last = n1 != middle ? n1 : 0;
    return CORE_OK;
}

static core_status megatron_capacity(const core_spec *s)
{
    const core_capacity *c = &s->capacity;
    if (c->rule == CORE_CAPACITY_NONE)
        return CORE_OK;
    CORE_FAIL_IF(c->rule == CORE_CAPACITY_ABSOLUTE, CORE_E_PLAN,
                 "megatron: capacity: expected a factor, found %lld slots",
                 (long long)c->absolute);
    CORE_FAIL_IF(c->domain != CORE_DOMAIN_GROUP, CORE_E_PLAN,
                 "megatron: capacity: counted on a micro-batch, and %s counts "
                 "it on a %s", s->name,
                 c->domain == CORE_DOMAIN_SEQUENCE ? "sequence" : "batch");
    CORE_FAIL_IF(c->dropped != CORE_DROPPED_ZERO, CORE_E_PLAN,
                 "megatron: capacity: a dropped token adds nothing, and in %s "
                 "it passes through", s->name);
    return CORE_OK;
}

static void write_megatron_experts(const par_plan *p, const core_spec *s,
                                   FILE *out)
{
    if (s->n_e == 0)
        return;
    fprintf(out, "--expert-model-parallel-size %d\n", p->ep);
    fprintf(out, "--expert-tensor-parallel-size %d\n", p->etp);
    fprintf(out, "--num-experts %lld\n", (long long)s->n_e);
    fprintf(out, "--moe-router-topk %lld\n", (long long)s->n_k);
    if (s->capacity.rule != CORE_CAPACITY_FACTOR)
        return;
    fprintf(out, "--moe-expert-capacity-factor %g\n", s->capacity.factor);
    fprintf(out, "--moe-token-drop-policy %s\n",
            s->capacity.priority == CORE_PRIORITY_PROB ? "probs" : "position");
    if (p->tp > 1)
        fputs("# slots are counted on each tensor rank's slice of the tokens, "
              "here on the whole micro-batch: other tokens are dropped\n", out);
}

static core_status emit_megatron(const par_plan *p, const core_spec *s,
                                 FILE *out)
{
    int first = 0, last = 0;
    CORE_TRY(check_common("megatron", p, s));
    CORE_TRY(megatron_stages(p, s, &first, &last));
    CORE_TRY(megatron_capacity(s));
    fprintf(out, "WORLD_SIZE=%d\n", par_plan_world(p));
    fprintf(out, "--num-layers %lld\n", (long long)s->n_l);
    fprintf(out, "--tensor-model-parallel-size %d\n", p->tp);
    fprintf(out, "--pipeline-model-parallel-size %d\n", p->pp);
    if (first > 0)
        fprintf(out, "--decoder-first-pipeline-num-layers %d\n", first);
    if (last > 0)
        fprintf(out, "--decoder-last-pipeline-num-layers %d\n", last);
    write_megatron_experts(p, s, out);
    if (p->tp > 1 && s->n_e > 0)
        fputs("--sequence-parallel\n", out);
    fprintf(out, "--micro-batch-size 1\n--global-batch-size %lld\n",
            (long long)p->dp * p->mb);
    fputs("# batch sizes for one row per part: micro-batches = global / (micro "
          "* data parallel)\n", out);
    return CORE_OK;
}

/* --- vLLM --- */

static core_status vllm_experts(const par_plan *p, const core_spec *s,
                                bool *with_ep)
{
    const int64_t n = (int64_t)p->tp * p->dp;
    *with_ep = false;
    if (s->n_e == 0 || n == 1)
        return CORE_OK;
    *with_ep = p->ep == n && p->etp == 1;
    CORE_FAIL_IF(!*with_ep && !(p->ep == 1 && p->etp == n), CORE_E_PLAN,
                 "vllm: expert mesh: expected ep = tp*dp = %lld and etp = 1, "
                 "or ep = 1 and etp = %lld, found ep = %d, etp = %d",
                 (long long)n, (long long)n, p->ep, p->etp);
    return CORE_OK;
}

static void write_vllm_stages(const par_plan *p, const core_spec *s, FILE *out)
{
    bool even = true;
    for (int i = 1; i < p->pp; i++)
        even = even && stage_layers(p, s, i) == stage_layers(p, s, 0);
    if (even)
        return;
    fputs("VLLM_PP_LAYER_PARTITION=", out);
    for (int i = 0; i < p->pp; i++)
        fprintf(out, "%s%d", i > 0 ? "," : "", stage_layers(p, s, i));
    fputc('\n', out);
}

static core_status emit_vllm(const par_plan *p, const core_spec *s, FILE *out)
{
    bool with_ep = false;
    CORE_TRY(check_common("vllm", p, s));
    CORE_TRY(vllm_experts(p, s, &with_ep));
    CORE_FAIL_IF(s->n_e > 0 && s->capacity.rule != CORE_CAPACITY_NONE,
                 CORE_E_PLAN,
                 "vllm: capacity: it drops no token, and %s has a capacity",
                 s->name);
    write_vllm_stages(p, s, out);
    fprintf(out, "--tensor-parallel-size %d\n", p->tp);
    fprintf(out, "--pipeline-parallel-size %d\n", p->pp);
    fprintf(out, "--data-parallel-size %d\n", p->dp);
    if (with_ep)
        fputs("--enable-expert-parallel\n", out);
    if (p->mb > 1)
        fprintf(out, "# micro-batches are the scheduler's: mb=%d has no flag\n",
                p->mb);
    return CORE_OK;
}

core_status har_system_emit(har_system system, const par_plan *plan,
                            const core_spec *spec, FILE *out)
{
    return system == HAR_MEGATRON ? emit_megatron(plan, spec, out)
                                  : emit_vllm(plan, spec, out);
}
