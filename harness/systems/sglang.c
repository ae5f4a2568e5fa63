/* harness/systems/sglang.c -- SGLang 0.5.23: flags, plan, arguments.
 *
 * Traps: --tp-size counts all ranks of a stage; attention is cut over what
 * attention's data parallelism leaves of them, experts over what --ep-size and
 * --moe-dp-size leave; --dp-size alone is whole replicas beside each other,
 * with
 * --enable-dp-attention it is the old word for --attn-dp-size; layers that are
 * left over go to the last stages; the vocabulary is padded to a multiple of
 * 64, of 64 tp where tensor ranks do not divide that.
 */
#include "harness/systems/impl.h"

#include <stddef.h>

static const har_flag flags[] = {
    {"tp-size tensor-parallel-size tp", HAR_F_TP, HAR_TAKE_COUNT, NULL, NULL},
    {"pp-size pipeline-parallel-size pp", HAR_F_PP, HAR_TAKE_COUNT, NULL, NULL},
    {"dp-size data-parallel-size dp", HAR_F_DP, HAR_TAKE_COUNT, NULL, NULL},
    {"attn-dp-size attention-data-parallel-size", HAR_F_DP_SHARD,
     HAR_TAKE_COUNT, NULL, NULL},
    {"enable-dp-attention", HAR_F_DP_ATTENTION, HAR_TAKE_ON, NULL, NULL},
    {"ep-size expert-parallel-size ep", HAR_F_EP, HAR_TAKE_COUNT, NULL, NULL},
    {"enable-ep-moe", HAR_F_EP_ON, HAR_TAKE_ON, NULL, NULL},
    {"moe-dp-size moe-data-parallel-size", HAR_F_MOE_DP, HAR_TAKE_COUNT, NULL,
     NULL},
    {"enable-dp-lm-head", HAR_F_DP_HEAD, HAR_TAKE_ON, NULL, NULL},
    {"moe-dense-tp-size", HAR_F_NONE, HAR_TAKE_ONLY, "",
     "a plan cuts dense layers over its tensor ranks"},
    {"shared-experts-tp-size", HAR_F_NONE, HAR_TAKE_ONLY, "",
     "a plan cuts shared experts over its tensor ranks"},
    {"attn-cp-size attention-context-parallel-size dcp-size "
     "decode-context-parallel-size dwdp-size",
     HAR_F_NONE, HAR_TAKE_ONLY, "1", "a plan has no such degree"},
    {"ep-num-redundant-experts", HAR_F_NONE, HAR_TAKE_ONLY, "0",
     "copies of experts are placed while it runs"},
    {"init-expert-location", HAR_F_NONE, HAR_TAKE_ONLY, "trivial",
     "a plan deals experts in runs: trivial"},
    {"enable-eplb enable-prefill-cp", HAR_F_NONE, HAR_TAKE_ONLY, "false",
     "a plan has none of it"},
    {0}};

static core_status read_data(par_plan *p, const har_facts *f)
{
    const int tp = har_fact_or_one(f, HAR_F_TP);
    const bool is_old = f->of[HAR_F_DP_ATTENTION].is_given;
    const int dp = har_fact_or_one(f, HAR_F_DP);
    const int attention = is_old && !f->of[HAR_F_DP_SHARD].is_given
                              ? dp
                              : har_fact_or_one(f, HAR_F_DP_SHARD);
    const int replicas = is_old && !f->of[HAR_F_DP_SHARD].is_given ? 1 : dp;
    CORE_FAIL_IF(tp % attention != 0, CORE_E_USAGE,
                 "--import: --tp-size %% data parallelism of attention = %d %% "
                 "%d, expected 0",
                 tp, attention);
    p->tp = tp / attention;
    p->dp = attention * replicas;
    return CORE_OK;
}

static core_status plan(par_plan *out, const har_facts *f, const core_spec *s)
{
    par_plan p = *out;
    int layers[CORE_MAX_LAYERS];
    const int tp = har_fact_or_one(f, HAR_F_TP);
    CORE_TRY(read_data(&p, f));
    p.pp = har_fact_or_one(f, HAR_F_PP);
    const bool all = f->of[HAR_F_EP_ON].is_given && !f->of[HAR_F_EP].is_given;
    p.ep = all ? tp : har_fact_or_one(f, HAR_F_EP);
    const int64_t n = (int64_t)p.ep * har_fact_or_one(f, HAR_F_MOE_DP);
    CORE_FAIL_IF(
        tp % n != 0 || p.pp > CORE_MAX_LAYERS, CORE_E_USAGE,
        "--import: --tp-size %% (ep * moe data) = %d %% %lld, expected "
        "0",
        tp, (long long)n);
    p.etp = s->n_e > 0 ? (int)(tp / n) : 1;
    *out = p;
    if (f->of[HAR_F_PARTITION].is_given)
        return har_plan_partition(out, s, &f->of[HAR_F_PARTITION]);
    for (int i = 0; i < p.pp; i++)
        layers[i] = (int)(s->n_l / p.pp + (i >= p.pp - s->n_l % p.pp ? 1 : 0));
    har_plan_stages(out, s, layers);
    return CORE_OK;
}

static void notes(const har_facts *f, const core_spec *s, FILE *out)
{
    (void)s;
    const bool is_attention = f->of[HAR_F_DP_ATTENTION].is_given ||
                              har_fact_or_one(f, HAR_F_DP_SHARD) > 1;
    if (is_attention && !f->of[HAR_F_DP_HEAD].is_given)
        fputs("# without --enable-dp-lm-head the vocabulary is cut over all "
              "ranks "
              "of --tp-size, here over attention's tensor ranks\n",
              out);
    if (!is_attention && har_fact_or_one(f, HAR_F_DP) > 1)
        fputs(
            "# --dp-size: replicas are servers of their own, each numbers its "
            "ranks from 0\n",
            out);
}

static int64_t padded(const par_plan *p, const core_spec *s)
{
    const int64_t n = har_round_up(s->n_v, 64);
    return n % p->tp == 0 ? n : har_round_up(s->n_v, (int64_t)64 * p->tp);
}

static core_status check(const par_plan *p, const core_spec *s)
{
    CORE_TRY(har_check_common("sglang", p, s));
    CORE_TRY(har_check_divides("sglang", "experts", s->n_e, p->ep));
    return har_check_drops("sglang", s);
}

static void write(const par_plan *p, const core_spec *s, FILE *out)
{
    const int tp = p->tp * p->dp, copies = tp / (p->ep * p->etp);
    har_write_partition("SGLANG_PP_LAYER_PARTITION", p, s, out);
    fprintf(out, "--tp-size %d\n--pp-size %d\n", tp, p->pp);
    if (p->dp > 1)
        fprintf(out, "--attn-dp-size %d\n--enable-dp-lm-head\n", p->dp);
    if (p->dp > 1 && s->n_f_dense > 0)
        fputs("--enable-dense-mlp-attn-tp\n", out);
    if (p->dp > 1 && s->n_f_shared > 0)
        fputs("--enable-shared-experts-attn-tp\n", out);
    if (s->n_e > 0)
        fprintf(out, "--ep-size %d\n", p->ep);
    if (s->n_e > 0 && copies > 1)
        fprintf(out, "--moe-dp-size %d\n", copies);
    if (p->mb > 1)
        fprintf(out, "# micro-batches are the scheduler's: mb=%d has no flag\n",
                p->mb);
    if (padded(p, s) != s->n_v)
        fprintf(out,
                "# the vocabulary is padded to %lld rows, equal parts of "
                "which are a rank's\n",
                (long long)padded(p, s));
}

const har_system_row har_row_sglang = {
    .name = "sglang",
    .flags = flags,
    .no_bearing = har_sglang_no_bearing,
    .not_compared = har_sglang_not_compared,
    .plan = plan,
    .notes = notes,
    .check = check,
    .write = write,
    .rows = HAR_ROWS_SCHEDULED,
    .padded = padded,
};
