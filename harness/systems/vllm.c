/* harness/systems/vllm.c -- vLLM 0.33.0: flags, plan, arguments.
 *
 * Traps: the world is tensor x pipeline x data ranks, numbered in that order;
 * without expert parallelism every expert is cut over all tensor and data ranks
 * of a stage, with it experts are whole and dealt over them; layers that are
 * left over go to the stages before the last, from behind; the vocabulary is
 * padded to a multiple of 64, which tensor ranks must divide.
 */
#include "harness/systems/impl.h"

#include <stddef.h>

static const har_flag flags[] = {
    {"tensor-parallel-size tp", HAR_F_TP, HAR_TAKE_COUNT, NULL, NULL},
    {"pipeline-parallel-size pp", HAR_F_PP, HAR_TAKE_COUNT, NULL, NULL},
    {"data-parallel-size dp", HAR_F_DP, HAR_TAKE_COUNT, NULL, NULL},
    {"enable-expert-parallel ep", HAR_F_EP_ON, HAR_TAKE_ON, NULL, NULL},
    {"config", HAR_F_CONFIG, HAR_TAKE_TEXT, NULL,
     "with = the file is not read, with a blank it is"},
    {"decode-context-parallel-size dcp prefill-context-parallel-size pcp",
     HAR_F_NONE, HAR_TAKE_ONLY, "1", "a plan has no such degree"},
    {"expert-placement-strategy", HAR_F_NONE, HAR_TAKE_ONLY, "linear",
     "a plan deals experts in runs: linear"},
    {"enable-eplb enable-elastic-ep", HAR_F_NONE, HAR_TAKE_ONLY, "false",
     "experts move while it runs, and a plan keeps them where they are"},
    {0}};

static core_status plan(par_plan *out, const har_facts *f, const core_spec *s)
{
    par_plan p = *out;
    int layers[CORE_MAX_LAYERS];
    p.tp = har_fact_or_one(f, HAR_F_TP);
    p.pp = har_fact_or_one(f, HAR_F_PP);
    p.dp = har_fact_or_one(f, HAR_F_DP);
    const int64_t n = s->n_e > 0 ? (int64_t)p.tp * p.dp : 1;
    CORE_FAIL_IF(
        n > PAR_MAX_EXPERTS || p.pp > CORE_MAX_LAYERS, CORE_E_USAGE,
        "--import: %lld ranks of a stage and %d stages, at most %d and "
        "%d are supported",
        (long long)n, p.pp, PAR_MAX_EXPERTS, CORE_MAX_LAYERS);
    p.ep = f->of[HAR_F_EP_ON].is_given ? (int)n : 1;
    p.etp = f->of[HAR_F_EP_ON].is_given ? 1 : (int)n;
    *out = p;
    if (f->of[HAR_F_PARTITION].is_given)
        return har_plan_partition(out, s, &f->of[HAR_F_PARTITION]);
    for (int i = 0; i < p.pp; i++)
        layers[i] = (int)(s->n_l / p.pp);
    for (int i = 0; i < (int)(s->n_l % p.pp); i++)
        layers[p.pp - 2 - i]++;
    har_plan_stages(out, s, layers);
    return CORE_OK;
}

static int64_t padded(const par_plan *p, const core_spec *s)
{
    (void)p;
    return har_round_up(s->n_v, 64);
}

static core_status check_experts(const par_plan *p, const core_spec *s)
{
    const int64_t n = (int64_t)p->tp * p->dp;
    CORE_FAIL_IF(s->n_e > 0 && !(p->ep == n && p->etp == 1) &&
                     !(p->ep == 1 && p->etp == n),
                 CORE_E_PLAN,
                 "vllm: expert mesh: expected ep = tp*dp = %lld and etp = 1, "
                 "or ep = 1 and etp = %lld, found ep = %d, etp = %d",
                 (long long)n, (long long)n, p->ep, p->etp);
    return CORE_OK;
}

static core_status check(const par_plan *p, const core_spec *s)
{
    CORE_TRY(har_check_common("vllm", p, s));
    CORE_TRY(har_check_tokens("vllm", p));
    CORE_TRY(check_experts(p, s));
    CORE_TRY(har_check_drops("vllm", s));
    return har_check_divides("vllm", "padded vocabulary", padded(p, s), p->tp);
}

static void write(const par_plan *p, const core_spec *s, FILE *out)
{
    const bool with_ep = s->n_e > 0 && p->ep > 1;
    har_write_partition("VLLM_PP_LAYER_PARTITION", p, s, out);
    fprintf(out, "--tensor-parallel-size %d\n", p->tp);
    fprintf(out, "--pipeline-parallel-size %d\n", p->pp);
    fprintf(out, "--data-parallel-size %d\n", p->dp);
    if (with_ep)
        fputs("--enable-expert-parallel\n", out);
    if (p->mb > 1)
        fprintf(out, "# micro-batches are the scheduler's: mb=%d has no flag\n",
                p->mb);
    if (p->pp > 1 && p->dp > 1)
        fputs("# ranks are numbered tensor, stage, data, here tensor, data, "
              "stage: plan --for vllm has the table\n",
              out);
    if (padded(p, s) != s->n_v)
        fprintf(out,
                "# the vocabulary is padded to %lld rows, equal parts of "
                "which are a rank's\n",
                (long long)padded(p, s));
    if (with_ep && p->tp > 1 && p->dp > 1 && s->n_f_shared > 0)
        fputs("# a shared expert is whole on every tensor rank, here cut over "
              "them\n",
              out);
}

static bool always(const par_plan *p)
{
    (void)p;
    return true;
}

const har_system_row har_row_vllm = {
    .name = "vllm",
    .flags = flags,
    .no_bearing = har_vllm_no_bearing,
    .not_compared = har_vllm_not_compared,
    .plan = plan,
    .check = check,
    .write = write,
    .cuts_names = true,
    .takes_no = true,
    .pairs_switches = true,
    .stage_before_data = always,
    .rows = HAR_ROWS_SCHEDULED,
    .padded = padded,
};
