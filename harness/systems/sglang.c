/* harness/systems/sglang.c -- SGLang 0.5.23: flags, plan, arguments.
 *
 * Traps: --tp-size counts all ranks of a stage; attention is cut over what its
 * data parallelism leaves of them, experts over what --ep-size leaves; most
 * all-to-all backends make --ep-size all of --tp-size; --dp-size alone is whole
 * servers beside each other, with --enable-dp-attention it is the old word for
 * --attn-dp-size, and the two exclude each other; --moe-dp-size goes only with
 * context parallelism; layers that are left over go to the last stages; the
 * vocabulary is padded to a multiple of 64, of 64 tp where tensor ranks do not
 * divide that.
 */
#include "harness/systems/impl.h"

#include <string.h>

static const har_flag flags[] = {
    {"tp-size tensor-parallel-size tp", HAR_F_TP, HAR_TAKE_COUNT, NULL, NULL},
    {"pp-size pipeline-parallel-size pp", HAR_F_PP, HAR_TAKE_COUNT, NULL, NULL},
    {"dp-size data-parallel-size dp", HAR_F_DP, HAR_TAKE_COUNT, NULL, NULL},
    {"attn-dp-size attention-data-parallel-size", HAR_F_DP_SHARD,
     HAR_TAKE_COUNT, NULL, NULL},
    {"enable-dp-attention", HAR_F_DP_ATTENTION, HAR_TAKE_ON, NULL, NULL},
    {"ep-size expert-parallel-size ep", HAR_F_EP, HAR_TAKE_COUNT, NULL, NULL},
    {"enable-ep-moe", HAR_F_EP_ON, HAR_TAKE_ON, NULL, NULL},
    {"moe-a2a-backend", HAR_F_A2A, HAR_TAKE_TEXT, NULL, NULL},
    {"enable-dp-lm-head", HAR_F_DP_HEAD, HAR_TAKE_ON, NULL, NULL},
    {"moe-dense-tp-size shared-experts-tp-size", HAR_F_DENSE_TP, HAR_TAKE_COUNT,
     NULL, NULL},
    {"config", HAR_F_CONFIG, HAR_TAKE_TEXT, NULL,
     "with = the file is not read, with a blank it is"},
    {"attn-cp-size attention-context-parallel-size dcp-size "
     "decode-context-parallel-size dwdp-size moe-dp-size "
     "moe-data-parallel-size",
     HAR_F_NONE, HAR_TAKE_ONLY, "1", "a plan has no such degree"},
    {"ep-num-redundant-experts", HAR_F_NONE, HAR_TAKE_ONLY, "0",
     "copies of experts are placed while it runs"},
    {"init-expert-location", HAR_F_NONE, HAR_TAKE_ONLY, "trivial",
     "a plan deals experts in runs: trivial"},
    {"enable-eplb enable-prefill-cp", HAR_F_NONE, HAR_TAKE_ONLY, "false",
     "a plan has none of it"},
    {0}};

/* tp and dp of attention, and how many ranks of a stage experts are cut over.
 */
static core_status read_data(par_plan *p, const har_facts *f)
{
    const int tp = har_fact_or_one(f, HAR_F_TP),
              dp = har_fact_or_one(f, HAR_F_DP);
    const bool is_new = f->of[HAR_F_DP_SHARD].is_given;
    const bool is_old = f->of[HAR_F_DP_ATTENTION].is_given && !is_new;
    const int attention = is_old ? dp : har_fact_or_one(f, HAR_F_DP_SHARD);
    CORE_FAIL_IF(is_new && attention > 1 && dp > 1, CORE_E_USAGE,
                 "--import: it refuses --dp-size %d beside --attn-dp-size %d",
                 dp, attention);
    CORE_FAIL_IF(tp % attention != 0, CORE_E_USAGE,
                 "--import: --tp-size %% data parallelism of attention = %d %% "
                 "%d, expected 0",
                 tp, attention);
    p->tp = tp / attention;
    p->dp = attention > 1 ? attention : is_old ? 1 : dp;
    const har_value *dense = &f->of[HAR_F_DENSE_TP];
    CORE_FAIL_IF(dense->is_given && (int)dense->number != p->tp, CORE_E_USAGE,
                 "--import: %.*s %d: a plan cuts dense MLPs and shared experts "
                 "over its %d tensor ranks",
                 dense->n_name, dense->name, (int)dense->number, p->tp);
    return CORE_OK;
}

/* Backends of the all-to-all that make all ranks of a stage expert ranks. */
static bool spans(const har_value *backend)
{
    static const char *const names[] = {
        "megamoe", "deepep",        "deepep_v2",  "mooncake",
        "nixl",    "ascend_fuseep", "flashinfer", "flashinfer_megamoe",
        "mori",    "pplx"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (backend->is_given && strcmp(names[i], backend->text) == 0)
            return true;
    return false;
}

static core_status plan(par_plan *out, const har_facts *f, const core_spec *s)
{
    par_plan p = *out;
    int layers[CORE_MAX_LAYERS];
    const int tp = har_fact_or_one(f, HAR_F_TP);
    CORE_TRY(read_data(&p, f));
    p.pp = har_fact_or_one(f, HAR_F_PP);
    const bool all = spans(&f->of[HAR_F_A2A]) ||
                     (f->of[HAR_F_EP_ON].is_given && !f->of[HAR_F_EP].is_given);
    p.ep = all ? tp : har_fact_or_one(f, HAR_F_EP);
    CORE_FAIL_IF(tp % p.ep != 0 || p.pp > CORE_MAX_LAYERS, CORE_E_USAGE,
                 "--import: --tp-size %% --ep-size = %d %% %d, expected 0", tp,
                 p.ep);
    p.etp = s->n_e > 0 ? tp / p.ep : 1;
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

/* Replicas with experts of their own are servers beside each other. */
static bool is_replicas(const par_plan *p)
{
    return p->dp > 1 && p->ep * p->etp == p->tp;
}

static core_status check(const par_plan *p, const core_spec *s)
{
    const int64_t n = (int64_t)p->ep * p->etp;
    CORE_TRY(har_check_common("sglang", p, s));
    CORE_TRY(har_check_tokens("sglang", p));
    CORE_TRY(har_check_divides("sglang", "experts", s->n_e, p->ep));
    CORE_FAIL_IF(s->n_e > 0 && n != (int64_t)p->tp * p->dp && n != p->tp,
                 CORE_E_PLAN,
                 "sglang: expert mesh: expected ep*etp = tp*dp = %lld, or tp = "
                 "%d of servers beside each other, found %lld",
                 (long long)p->tp * p->dp, p->tp, (long long)n);
    return har_check_drops("sglang", s);
}

static void write_attention(const par_plan *p, const core_spec *s, FILE *out)
{
    fprintf(out, "--attn-dp-size %d\n--enable-dp-lm-head\n", p->dp);
    if (s->n_f_dense > 0 && p->tp == 1)
        fputs("--moe-dense-tp-size 1\n", out);
    if ((s->n_f_dense > 0 && p->tp > 1) || s->n_f_shared > 0)
        fputs("# dense MLPs and shared experts are cut over all ranks of "
              "--tp-size, or whole, as model and backend have it, here over "
              "attention's tensor ranks\n",
              out);
}

static void write(const par_plan *p, const core_spec *s, FILE *out)
{
    const bool is_attention = p->dp > 1 && s->n_e > 0 && !is_replicas(p);
    har_write_partition("SGLANG_PP_LAYER_PARTITION", p, s, out);
    fprintf(out, "--tp-size %d\n--pp-size %d\n",
            is_attention ? p->tp * p->dp : p->tp, p->pp);
    if (is_attention)
        write_attention(p, s, out);
    else if (p->dp > 1)
        fprintf(out,
                "--dp-size %d\n# replicas are servers of their own, each "
                "numbers its ranks from 0\n",
                p->dp);
    if (s->n_e > 0)
        fprintf(out, "--ep-size %d\n", p->ep);
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
    .cuts_names = true,
    .takes_no = true,
    .stage_before_data = is_replicas,
    .rows = HAR_ROWS_SCHEDULED,
    .padded = padded,
};
