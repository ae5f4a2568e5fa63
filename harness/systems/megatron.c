/* harness/systems/megatron.c -- Megatron-Core 0.19.2: flags, plan, arguments.
 *
 * Traps: the expert tensor degree is the tensor degree unless given; the data
 * degree is what the ranks leave; without --moe-router-pre-softmax the weights
 * of the chosen experts are a softmax over those alone, and top-1 is refused;
 * biases are on unless taken away, and refused with etp > 1;
 * --moe-token-drop-policy position keeps the winners of a top-k over equal
 * values; expert slots are counted on each tensor rank's slice of the tokens.
 */
#include "harness/systems/impl.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const har_flag flags[] = {
    {"tensor-model-parallel-size", HAR_F_TP, HAR_TAKE_COUNT, NULL, NULL},
    {"pipeline-model-parallel-size", HAR_F_PP, HAR_TAKE_COUNT, NULL, NULL},
    {"expert-model-parallel-size", HAR_F_EP, HAR_TAKE_COUNT, NULL, NULL},
    {"expert-tensor-parallel-size", HAR_F_ETP, HAR_TAKE_COUNT, NULL, NULL},
    {"decoder-first-pipeline-num-layers", HAR_F_FIRST, HAR_TAKE_COUNT, NULL,
     NULL},
    {"decoder-last-pipeline-num-layers", HAR_F_LAST, HAR_TAKE_COUNT, NULL,
     NULL},
    {"account-for-embedding-in-pipeline-split", HAR_F_COUNT_EMBEDDING,
     HAR_TAKE_ON, NULL, NULL},
    {"account-for-loss-in-pipeline-split", HAR_F_COUNT_HEAD, HAR_TAKE_ON, NULL,
     NULL},
    {"pipeline-model-parallel-layout", HAR_F_LAYOUT, HAR_TAKE_TEXT, NULL, NULL},
    {"micro-batch-size", HAR_F_MICRO, HAR_TAKE_COUNT, NULL, NULL},
    {"global-batch-size", HAR_F_GLOBAL, HAR_TAKE_COUNT, NULL, NULL},
    {"sequence-parallel", HAR_F_SEQUENCE, HAR_TAKE_ON, NULL, NULL},
    {"use-tp-pp-dp-mapping", HAR_F_STAGE_BEFORE_DATA, HAR_TAKE_ON, NULL, NULL},
    {"moe-router-pre-softmax", HAR_F_PRE_SOFTMAX, HAR_TAKE_ON, NULL, NULL},

    {"context-parallel-size", HAR_F_CP, HAR_TAKE_COUNT, NULL, NULL},
    {"cp-comm-type", HAR_F_CP_KIND, HAR_TAKE_WORD, HAR_CP_COMM_TYPES, NULL},
    {"num-virtual-stages-per-pipeline-rank", HAR_F_VPP, HAR_TAKE_COUNT, NULL,
     NULL},
    {"num-layers-per-virtual-pipeline-stage", HAR_F_VPP_LAYERS, HAR_TAKE_COUNT,
     NULL, NULL},
    {"tensor-parallel-num-weight-shards "
     "expert-tensor-parallel-num-weight-shards",
     HAR_F_NONE, HAR_TAKE_ONLY, "1", "a plan has no such degree"},
    {"hierarchical-context-parallel-sizes hybrid-context-parallel", HAR_F_NONE,
     HAR_TAKE_ONLY, "", "a plan has no such degree"},
    {"model-parallel-size", HAR_F_NONE, HAR_TAKE_ONLY, "",
     "it refuses this old name of --tensor-model-parallel-size"},

    {"num-layers encoder-num-layers decoder-num-layers", HAR_F_N_L,
     HAR_TAKE_COUNT, NULL, NULL},
    {"hidden-size", HAR_F_N_D, HAR_TAKE_COUNT, NULL, NULL},
    {"num-attention-heads", HAR_F_N_H, HAR_TAKE_COUNT, NULL, NULL},
    {"num-query-groups", HAR_F_N_G, HAR_TAKE_COUNT, NULL, NULL},
    {"kv-channels", HAR_F_N_DH, HAR_TAKE_COUNT, NULL, NULL},
    {"v-head-dim", HAR_F_N_DV, HAR_TAKE_COUNT, NULL, NULL},
    {"q-lora-rank", HAR_F_N_Q_RANK, HAR_TAKE_COUNT, NULL, NULL},
    {"kv-lora-rank", HAR_F_N_KV_RANK, HAR_TAKE_COUNT, NULL, NULL},
    {"num-experts", HAR_F_N_E, HAR_TAKE_COUNT, NULL, NULL},
    {"moe-router-topk", HAR_F_N_K, HAR_TAKE_COUNT, NULL, NULL},
    {"moe-router-num-groups", HAR_F_N_GROUP, HAR_TAKE_COUNT, NULL, NULL},
    {"moe-router-group-topk", HAR_F_N_GROUP_KEPT, HAR_TAKE_COUNT, NULL, NULL},
    {"moe-router-topk-scaling-factor", HAR_F_ROUTED_SCALE, HAR_TAKE_REAL, NULL,
     NULL},
    {"moe-router-score-function", HAR_F_SCORE, HAR_TAKE_WORD,
     "softmax sigmoid sqrtsoftplus", NULL},
    {"moe-router-enable-expert-bias", HAR_F_CORRECTION, HAR_TAKE_ON, NULL,
     NULL},
    {"moe-ffn-hidden-size", HAR_F_N_F, HAR_TAKE_COUNT, NULL, NULL},
    {"ffn-hidden-size", HAR_F_N_F_DENSE, HAR_TAKE_COUNT, NULL, NULL},
    {"moe-shared-expert-intermediate-size", HAR_F_N_F_SHARED, HAR_TAKE_COUNT,
     NULL, NULL},
    {"moe-shared-expert-gate", HAR_F_SHARED_GATE, HAR_TAKE_ON, NULL, NULL},
    {"moe-latent-size", HAR_F_N_DE, HAR_TAKE_COUNT, NULL, NULL},
    {"moe-expert-capacity-factor", HAR_F_FACTOR, HAR_TAKE_REAL, NULL, NULL},
    {"moe-token-drop-policy", HAR_F_POLICY, HAR_TAKE_WORD, "probs position",
     NULL},
    {"vocab-size", HAR_F_N_V, HAR_TAKE_COUNT, NULL, NULL},
    {"swiglu", HAR_F_GATED, HAR_TAKE_ON, NULL, NULL},
    {"untie-embeddings-and-output-weights", HAR_F_TIED, HAR_TAKE_OFF, NULL,
     NULL},
    {"disable-bias-linear", HAR_F_BIAS_FFN, HAR_TAKE_OFF, NULL, NULL},
    {"add-qkv-bias", HAR_F_BIAS_QKV, HAR_TAKE_ON, NULL, NULL},
    {"qk-layernorm", HAR_F_QK_NORM, HAR_TAKE_ON, NULL, NULL},
    {"multi-latent-attention", HAR_F_LATENT, HAR_TAKE_ON, NULL, NULL},
    {"group-query-attention", HAR_F_NONE, HAR_TAKE_ON, NULL, NULL},
    {"normalization", HAR_F_RMS, HAR_TAKE_WORD, "RMSNorm LayerNorm", NULL},
    {"norm-epsilon", HAR_F_EPS, HAR_TAKE_REAL, NULL, NULL},
    {"rotary-base", HAR_F_THETA, HAR_TAKE_REAL, NULL, NULL},
    {0}};

/* --- a plan --- */

/* Stages of a layout: E, t for a layer, t*3, L, | between, ( ) around what a *
 * repeats is not read.  More stages than pp are virtual ones, those of a rank
 * pp apart. */
static core_status read_layout(const har_value *v, const core_spec *s,
                               par_plan *p)
{
    int layers[CORE_MAX_LAYERS] = {0}, n = 0;
    int64_t sum = 0;
    const char *at = v->text;
    for (; *at != '\0' && n < CORE_MAX_LAYERS; at++) {
        long times = 1;
        const char kind = *at;
        if (kind == '|') {
            n++;
            continue;
        }
        if (strchr("EtL,", kind) == NULL)
            break;
        if (at[1] == '*') {
            char *end;
            times = strtol(at + 2, &end, 10);
            if (end == at + 2 || times < 1 || times > CORE_MAX_LAYERS)
                break;
            at = end - 1;
        }
        if (kind == 't') {
            layers[n] += (int)times;
            sum += times;
        }
    }
    CORE_FAIL_IF(
        *at != '\0' || (n + 1) % p->pp != 0 || sum != s->n_l, CORE_E_USAGE,
        "--import: %.*s: expected %d stages, or a multiple, of E, t and L with "
        "%lld t, found '%.60s'",
        v->n_name, v->name, p->pp, (long long)s->n_l, v->text);
    p->vpp = (n + 1) / p->pp;
    for (int i = 0; i <= n; i++)
        CORE_FAIL_IF(layers[i] < 1, CORE_E_USAGE,
                     "--import: %.*s: a stage of a plan has a layer, and stage "
                     "%d has none",
                     v->n_name, v->name, i);
    har_plan_stages(p, s, layers);
    return CORE_OK;
}

/* Virtual stages of a rank that has n_layer layers, those of the first and the
 * last apart; all of them must divide. */
static core_status read_virtual(int *out, const har_facts *f, int64_t n_layer,
                                int first, int last)
{
    const har_value *n = &f->of[HAR_F_VPP], *each = &f->of[HAR_F_VPP_LAYERS];
    const har_value *by = each->is_given ? each : n;
    *out = 1;
    if (!by->is_given)
        return CORE_OK;
    CORE_FAIL_IF(each->is_given && (n->is_given || first > 0 || last > 0),
                 CORE_E_USAGE,
                 "--import: %.*s: it goes with no other flag that says how "
                 "layers are cut",
                 each->n_name, each->name);
    const int64_t of_rank[] = {n_layer, first, last};
    const int number = (int)by->number;
    for (int i = 0; i < 3; i++)
        CORE_FAIL_IF(of_rank[i] % number != 0, CORE_E_USAGE,
                     "--import: %.*s: layers of a rank %% %d = %lld %% %d, "
                     "expected 0",
                     by->n_name, by->name, number, (long long)of_rank[i],
                     number);
    *out = each->is_given ? (int)n_layer / number : number;
    return CORE_OK;
}

/* First and last stage as written, the rest of the layers evenly between; an
 * embedding or a head that counts takes the place of a layer.  Virtual stages
 * of a rank have equal parts of what it has. */
static core_status read_stages(const har_facts *f, const core_spec *s,
                               par_plan *p)
{
    const int embedding = har_fact_int(f, HAR_F_COUNT_EMBEDDING),
              head = har_fact_int(f, HAR_F_COUNT_HEAD);
    int first = har_fact_int(f, HAR_F_FIRST),
        last = har_fact_int(f, HAR_F_LAST);
    const int n_ends = (first > 0 ? 1 : 0) + (last > 0 ? 1 : 0);
    const int between = p->pp - n_ends;
    const int64_t left = s->n_l + embedding + head - first - last;
    const bool fits = between > 0 ? left >= between && left % between == 0
                                  : between == 0 && left == 0;
    CORE_FAIL_IF(!fits || p->pp > CORE_MAX_LAYERS, CORE_E_USAGE,
                 "--import: %lld layers are left for %d stages, expected equal "
                 "parts",
                 (long long)left, between);
    const int64_t of_rank[] = {first, between > 0 ? left / between : 0, last};
    int layers[CORE_MAX_LAYERS];
    CORE_TRY(read_virtual(&p->vpp, f, of_rank[1], first, last));
    CORE_FAIL_IF((int64_t)p->pp * p->vpp > CORE_MAX_LAYERS, CORE_E_USAGE,
                 "--import: %d * %d virtual stages, at most %d are supported",
                 p->pp, p->vpp, CORE_MAX_LAYERS);
    const int n = par_plan_parts(p);
    for (int i = 0; i < n; i++) {
        const bool is_first = i % p->pp == 0 && first > 0;
        const bool is_last = i % p->pp == p->pp - 1 && p->pp > 1 && last > 0;
        layers[i] = (int)of_rank[is_first ? 0 : is_last ? 2 : 1] / p->vpp;
    }
    layers[0] -= first > 0 ? 0 : embedding;
    layers[n - 1] -= p->pp > 1 && last > 0 ? 0 : head;
    har_plan_stages(p, s, layers);
    return CORE_OK;
}

static core_status read_micro_batches(const har_facts *f, par_plan *p)
{
    const int64_t part = (int64_t)har_fact_or_one(f, HAR_F_MICRO) * p->dp;
    const har_value *global = &f->of[HAR_F_GLOBAL];
    if (!global->is_given)
        return CORE_OK;
    CORE_FAIL_IF((int64_t)global->number % part != 0, CORE_E_USAGE,
                 "--import: %.*s %% (micro * dp) = %g %% %lld, expected 0",
                 global->n_name, global->name, global->number, (long long)part);
    p->mb = (int)((int64_t)global->number / part);
    return CORE_OK;
}

/* By the number of the word. */
static const par_cp_kind CP_KIND[] = {PAR_CP_RING, PAR_CP_GATHER,
                                      PAR_CP_ULYSSES};

static const char *const cp_comm_type[PAR_N_CP_KINDS] = {
    [PAR_CP_GATHER] = "all_gather",
    [PAR_CP_RING] = "p2p",
    [PAR_CP_ULYSSES] = "a2a"};

core_status har_megatron_plan(par_plan *out, const har_facts *f,
                              const core_spec *s)
{
    par_plan p = *out;
    p.tp = har_fact_or_one(f, HAR_F_TP);
    p.cp = har_fact_or_one(f, HAR_F_CP);
    if (p.cp > 1)
        p.cp_kind = CP_KIND[(int)f->of[HAR_F_CP_KIND].number];
    p.pp = har_fact_or_one(f, HAR_F_PP);
    p.ep = har_fact_or_one(f, HAR_F_EP);
    p.etp = f->of[HAR_F_ETP].is_given ? har_fact_int(f, HAR_F_ETP)
            : s->n_e > 0              ? p.tp
                                      : 1;
    p.sp = p.tp > 1 && f->of[HAR_F_SEQUENCE].is_given; /* else turned off */
    CORE_TRY(har_plan_rest(&p.dp, f, (int64_t)p.tp * p.cp * p.pp, "tp*cp*pp"));
    CORE_TRY(read_micro_batches(f, &p));
    CORE_FAIL_IF(f->of[HAR_F_LAYOUT].is_given &&
                     (f->of[HAR_F_VPP].is_given ||
                      f->of[HAR_F_VPP_LAYERS].is_given),
                 CORE_E_USAGE,
                 "--import: %.*s: it says how many virtual stages there are, "
                 "and goes with no flag that does",
                 f->of[HAR_F_LAYOUT].n_name, f->of[HAR_F_LAYOUT].name);
    CORE_TRY(f->of[HAR_F_LAYOUT].is_given
                 ? read_layout(&f->of[HAR_F_LAYOUT], s, &p)
                 : read_stages(f, s, &p));
    *out = p;
    return CORE_OK;
}

/* --- what differs in spite of equal words --- */

static void note_policy(FILE *out)
{
    fputs(
        "# --moe-token-drop-policy position keeps the winners of a top-k over "
        "equal values, not the first tokens: other tokens are dropped\n",
        out);
}

static void note_slices(FILE *out)
{
    fputs("# slots are counted on each tensor rank's slice of the tokens, here "
          "on "
          "the whole micro-batch: other tokens are dropped\n",
          out);
}

static void note_rows(FILE *out)
{
    fputs("# rows are cut as here, and must divide by 2 cp\n", out);
}

/* Are the weights of the chosen experts probabilities among all experts? */
static bool wants_pre_softmax(const core_spec *s)
{
    return s->n_e > 0 && s->router == CORE_ROUTER_SOFTMAX && !s->renormalise;
}

/* How many experts of a group its score adds up: here, and there. */
static int64_t group_best(const core_spec *s)
{
    return s->group_score == CORE_GROUP_SCORE_BEST_TWO ? 2 : 1;
}

static int64_t group_best_there(const core_spec *s)
{
    return s->n_k / s->n_group_kept;
}

static bool has_other_groups(const core_spec *s)
{
    return s->n_group > 0 && group_best_there(s) != group_best(s);
}

void har_megatron_notes(const har_facts *f, const core_spec *s, FILE *out)
{
    const bool has_experts = s->n_e > 0 && f->of[HAR_F_N_E].is_given;
    const bool pre = f->of[HAR_F_PRE_SOFTMAX].is_given;
    const bool drops = f->of[HAR_F_FACTOR].is_given;
    if (has_experts && wants_pre_softmax(s) && !pre)
        fprintf(out,
                "# without --moe-router-pre-softmax %s, and %s weighs by a "
                "softmax over all experts\n",
                s->n_k == 1 ? "top-1 is refused"
                            : "weights are a softmax over the chosen experts",
                s->name);
    if (has_experts && !wants_pre_softmax(s) && pre &&
        s->router != CORE_ROUTER_SIGMOID)
        fprintf(out,
                "# with --moe-router-pre-softmax weights are not "
                "renormalised, and those of %s are\n",
                s->name);
    if (has_experts && has_other_groups(s))
        fprintf(out,
                "# a group of experts is scored by its best %lld "
                "(--moe-router-topk / --moe-router-group-topk), in %s by its "
                "best %lld\n",
                (long long)group_best_there(s), s->name,
                (long long)group_best(s));
    if (drops && s->capacity.priority == CORE_PRIORITY_POSITION)
        note_policy(out);
    if (drops && har_fact_or_one(f, HAR_F_TP) > 1)
        note_slices(out);
    if (har_fact_or_one(f, HAR_F_CP) > 1)
        note_rows(out);
    if (f->of[HAR_F_STAGE_BEFORE_DATA].is_given)
        fputs(
            "# --use-tp-pp-dp-mapping: ranks are numbered tensor, stage, data "
            "(plan --for vllm shows that order)\n",
            out);
}

/* --- what it can run --- */

static core_status check_capacity(const core_spec *s)
{
    const core_capacity *c = &s->capacity;
    if (c->rule == CORE_CAPACITY_NONE)
        return CORE_OK;
    CORE_FAIL_IF(c->rule == CORE_CAPACITY_ABSOLUTE, CORE_E_PLAN,
                 "megatron: capacity: expected a factor, found %lld slots",
                 (long long)c->absolute);
    CORE_FAIL_IF(c->domain != CORE_DOMAIN_GROUP, CORE_E_PLAN,
                 "megatron: capacity: counted on a micro-batch, and %s counts "
                 "it on a %s",
                 s->name,
                 c->domain == CORE_DOMAIN_SEQUENCE ? "sequence" : "batch");
    CORE_FAIL_IF(c->dropped != CORE_DROPPED_ZERO, CORE_E_PLAN,
                 "megatron: capacity: a dropped token adds nothing, and in %s "
                 "it passes through",
                 s->name);
    return CORE_OK;
}

static bool has_biases(const core_spec *s)
{
    return s->bias_ffn || s->bias_mlp || s->bias_o;
}

static core_status check_router(const par_plan *p, const core_spec *s)
{
    if (s->n_e == 0)
        return CORE_OK;
    CORE_FAIL_IF(s->router == CORE_ROUTER_SPARSEMIXER, CORE_E_PLAN,
                 "megatron: router: no flag for the sparsemixer of %s",
                 s->name);
    CORE_FAIL_IF(
        s->n_k == 1 && !wants_pre_softmax(s) &&
            (s->router == CORE_ROUTER_SOFTMAX ||
             s->router == CORE_ROUTER_SOFTMAX_TOP),
        CORE_E_PLAN,
        "megatron: router: of top-1 it takes the probability among all "
        "experts, and in %s the weight is 1",
        s->name);
    CORE_FAIL_IF(
        s->n_k > 1 && !s->renormalise &&
            (s->router == CORE_ROUTER_SIGMOID ||
             s->router == CORE_ROUTER_SQRT_SOFTPLUS),
        CORE_E_PLAN,
        "megatron: router: it renormalises the scores of %s, which does "
        "not",
        s->name);
    CORE_FAIL_IF(has_other_groups(s), CORE_E_PLAN,
                 "megatron: router: it scores a group of experts by its best "
                 "%lld (topk / group_topk), %s by its best %lld",
                 (long long)group_best_there(s), s->name,
                 (long long)group_best(s));
    CORE_FAIL_IF(
        has_biases(s) && p->etp > 1, CORE_E_PLAN,
        "megatron: biases: refused with expert-tensor-parallel-size %d, "
        "and %s has some",
        p->etp, s->name);
    return CORE_OK;
}

/* Fewer kv heads than ranks: the rows of q, k and v are cut as one matrix; kv
 * heads are dealt out as evenly as heads are.                                */
static core_status check_attention(const par_plan *p, const core_spec *s)
{
    if (s->n_kv_rank > 0)
        return CORE_OK;
    if (p->cp_kind == PAR_CP_ULYSSES)
        CORE_TRY(har_check_divides("megatron", "kv heads of a2a", s->n_g,
                                   p->tp * p->cp));
    if (s->n_g % p->tp == 0)
        return CORE_OK;
    return har_check_divides("megatron", "rows of q, k and v",
                             (s->n_h + 2 * s->n_g) * s->n_dh, p->tp);
}

static core_status check(const par_plan *p, const core_spec *s)
{
    CORE_TRY(har_check_common("megatron", p, s));
    CORE_FAIL_IF(
        p->sp && p->tp == 1, CORE_E_PLAN,
        "megatron: sp=1: with tp = 1 it turns --sequence-parallel off");
    CORE_FAIL_IF(p->vpp > 1 && p->mb % p->pp != 0, CORE_E_PLAN,
                 "megatron: vpp = %d: it takes micro-batches in groups of a "
                 "stage each: mb %% pp = %d %% %d = %d, expected 0",
                 p->vpp, p->mb, p->pp, p->mb % p->pp);
    CORE_TRY(check_attention(p, s));
    CORE_TRY(har_check_divides("megatron", "experts", s->n_e, p->ep));
    CORE_TRY(check_capacity(s));
    return check_router(p, s);
}

/* --- arguments --- */

/* Stage by stage, virtual ones in the order of their layers. */
static void write_layout(const par_plan *p, const core_spec *s, FILE *out)
{
    const int n = par_plan_parts(p);
    fputs("--pipeline-model-parallel-layout E", out);
    for (int i = 0; i < n; i++) {
        for (int k = par_plan_layers(p, s->n_l, i); k > 0; k--)
            fputc('t', out);
        fputc(i + 1 < n ? '|' : 'L', out);
    }
    fputc('\n', out);
}

/* A degree where all have equal parts, else a layout. */
static void write_virtual(const par_plan *p, const core_spec *s, FILE *out)
{
    const int first = par_plan_layers(p, s->n_l, 0);
    bool is_even = true;
    for (int i = 1; i < par_plan_parts(p); i++)
        is_even = is_even && par_plan_layers(p, s->n_l, i) == first;
    if (is_even)
        fprintf(out, "--num-virtual-stages-per-pipeline-rank %d\n", p->vpp);
    else
        write_layout(p, s, out);
}

/* First and last stage by their flags where the rest is even, else a layout. */
static void write_stages(const par_plan *p, const core_spec *s, FILE *out)
{
    if (p->vpp > 1) {
        write_virtual(p, s, out);
        return;
    }
    const int first = par_plan_layers(p, s->n_l, 0);
    const int last = par_plan_layers(p, s->n_l, p->pp - 1);
    const int middle = p->pp > 2 ? par_plan_layers(p, s->n_l, 1) : last;
    bool by_flags = true;
    for (int i = 1; i < p->pp - 1; i++)
        by_flags = by_flags && par_plan_layers(p, s->n_l, i) == middle;
    if (by_flags && first != middle)
        fprintf(out, "--decoder-first-pipeline-num-layers %d\n", first);
    if (by_flags && last != middle)
        fprintf(out, "--decoder-last-pipeline-num-layers %d\n", last);
    if (!by_flags)
        write_layout(p, s, out);
}

static void write_experts(const par_plan *p, const core_spec *s, FILE *out)
{
    if (s->n_e == 0)
        return;
    fprintf(out, "--expert-model-parallel-size %d\n", p->ep);
    fprintf(out, "--expert-tensor-parallel-size %d\n", p->etp);
    fprintf(out, "--num-experts %lld\n", (long long)s->n_e);
    fprintf(out, "--moe-router-topk %lld\n", (long long)s->n_k);
    if (wants_pre_softmax(s))
        fputs("--moe-router-pre-softmax\n", out);
    if (s->router == CORE_ROUTER_SIGMOID)
        fputs("--moe-router-score-function sigmoid\n", out);
    if (s->router == CORE_ROUTER_SQRT_SOFTPLUS)
        fputs("--moe-router-score-function sqrtsoftplus\n", out);
    if (s->capacity.rule != CORE_CAPACITY_FACTOR)
        return;
    const bool by_position = s->capacity.priority == CORE_PRIORITY_POSITION;
    fprintf(out, "--moe-expert-capacity-factor %g\n", s->capacity.factor);
    fprintf(out, "--moe-token-drop-policy %s\n",
            by_position ? "position" : "probs");
    if (by_position)
        note_policy(out);
    if (p->tp > 1)
        note_slices(out);
}

/* Vocabulary rows: as many as the model has, and what tp asks for. */
static int64_t padded(const par_plan *p, const core_spec *s)
{
    return har_round_up(s->n_v, p->tp);
}

static void write_vocabulary(const par_plan *p, const core_spec *s, FILE *out)
{
    fprintf(out, "--vocab-size %lld\n--make-vocab-size-divisible-by 1\n",
            (long long)s->n_v);
    if (padded(p, s) != s->n_v)
        fprintf(out,
                "# the vocabulary is padded to %lld rows, equal parts of "
                "which are a rank's\n",
                (long long)padded(p, s));
}

static void write(const par_plan *p, const core_spec *s, FILE *out)
{
    fprintf(out, "WORLD_SIZE=%d\n", par_plan_world(p));
    fprintf(out, "--num-layers %lld\n", (long long)s->n_l);
    fprintf(out, "--tensor-model-parallel-size %d\n", p->tp);
    if (p->cp > 1) {
        fprintf(out, "--context-parallel-size %d\n--cp-comm-type %s\n", p->cp,
                cp_comm_type[p->cp_kind]);
        note_rows(out);
    }
    fprintf(out, "--pipeline-model-parallel-size %d\n", p->pp);
    write_stages(p, s, out);
    if (!has_biases(s))
        fputs("--disable-bias-linear\n", out);
    if (!has_biases(s) && s->bias_qkv)
        fputs("--add-qkv-bias\n", out);
    write_experts(p, s, out);
    write_vocabulary(p, s, out);
    if (p->sp || (p->tp > 1 && s->n_e > 0))
        fputs("--sequence-parallel\n", out);
    if (!p->sp && p->tp > 1 && s->n_e > 0)
        fputs("# asked for beside experts: tokens are cut over tensor ranks "
              "between the blocks, here with sp=1\n",
              out);
    fprintf(out, "--micro-batch-size 1\n--global-batch-size %lld\n",
            (long long)p->dp * p->mb);
    fputs("# batch sizes for one row per part: micro-batches = global / (micro "
          "* data parallel)\n",
          out);
    if (p->dp > 1 && p->mb > 1)
        fputs("# rows are dealt: micro-batch m of replica d has row m dp + d, "
              "here d mb + m\n",
              out);
    if (s->n_g > 0 && s->n_g < p->tp)
        fputs(
            "# fewer kv heads than tensor ranks: their rows are cut evenly and "
            "gathered in every layer, here ranks hold copies\n",
            out);
}

const har_system_row har_row_megatron = {
    .name = "megatron",
    .flags = flags,
    .no_bearing = har_megatron_no_bearing,
    .not_compared = har_megatron_not_compared,
    .plan = har_megatron_plan,
    .notes = har_megatron_notes,
    .check = check,
    .write = write,
    .rows = HAR_ROWS_DEALT,
    .padded = padded,
};
