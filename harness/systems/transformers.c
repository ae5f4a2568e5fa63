/* harness/systems/transformers.c -- transformers 5.24.0: DistributedConfig.
 *
 * Its to_json_file, or the same keys as name=value.  A degree that is not given
 * is 1; with a tp_plan and no tp_size the ranks are tensor ranks.  Experts are
 * whole with ep_size > 1, else cut as their tensor plan says: over tp.  Only
 * read.
 */
#include "harness/systems/impl.h"

#include <stddef.h>

static const har_flag flags[] = {
    {"tp-size", HAR_F_TP, HAR_TAKE_COUNT, NULL, NULL},
    {"pp-size", HAR_F_PP, HAR_TAKE_COUNT, NULL, NULL},
    {"fsdp-size", HAR_F_DP_SHARD, HAR_TAKE_COUNT, NULL, NULL},
    {"dp-replicate-size", HAR_F_DP, HAR_TAKE_COUNT, NULL, NULL},
    {"ep-size", HAR_F_EP, HAR_TAKE_COUNT, NULL, NULL},
    {"enable-expert-parallel", HAR_F_EP_ON, HAR_TAKE_ON, NULL, NULL},
    {"tp-plan", HAR_F_LAYOUT, HAR_TAKE_ONLY, "auto",
     "rules for single modules are not read"},
    {"enable-sequence-parallel", HAR_F_NONE, HAR_TAKE_ONLY, "false",
     "it is not wired up"},
    {0}};
static const char *const no_bearing[] = {
    "fsdp-plan fsdp-plan.* fsdp-cpu-offload ep-implementation", NULL};
static const char *const not_compared[] = {
    "fsdp-mixed-precision tp-plan.* ep-plan ep-plan.*", NULL};

static bool has_degree(const har_facts *f)
{
    return f->of[HAR_F_TP].is_given || f->of[HAR_F_PP].is_given ||
           f->of[HAR_F_DP].is_given || f->of[HAR_F_DP_SHARD].is_given;
}

static core_status plan(par_plan *out, const har_facts *f, const core_spec *s)
{
    par_plan p = *out;
    p.pp = har_fact_or_one(f, HAR_F_PP);
    p.dp = har_fact_or_one(f, HAR_F_DP) * har_fact_or_one(f, HAR_F_DP_SHARD);
    p.tp = har_fact_or_one(f, HAR_F_TP);
    if (!f->of[HAR_F_LAYOUT].is_given && !has_degree(f) && f->world > 0)
        p.dp = f->world; /* copies of the whole, or shards that are gathered  */
    if (f->of[HAR_F_LAYOUT].is_given && !f->of[HAR_F_TP].is_given)
        CORE_TRY(har_plan_rest(&p.tp, f, (int64_t)p.pp * p.dp, "pp*dp"));
    CORE_FAIL_IF(f->world > 0 && f->world != (int64_t)p.dp * p.tp * p.pp,
                 CORE_E_USAGE,
                 "--import: dp*tp*pp = %d*%d*%d, and there are %d ranks", p.dp,
                 p.tp, p.pp, f->world);
    p.ep = f->of[HAR_F_EP].is_given      ? har_fact_int(f, HAR_F_EP)
           : f->of[HAR_F_EP_ON].is_given ? p.tp
                                         : 1;
    p.etp = s->n_e > 0 && p.ep == 1 ? p.tp : 1;
    *out = p;
    return CORE_OK;
}

static void notes(const har_facts *f, const core_spec *s, FILE *out)
{
    (void)s;
    if (f->of[HAR_F_EP_ON].is_given && !f->of[HAR_F_EP].is_given)
        fputs("# enable_expert_parallel without ep_size: attention is whole on "
              "every rank, here cut over tp\n",
              out);
    fputs("# which modules are cut is the model's own plan: attention may be "
          "whole where kv heads do not divide\n",
          out);
}

const har_system_row har_row_transformers = {
    .name = "transformers",
    .flags = flags,
    .no_bearing = no_bearing,
    .not_compared = not_compared,
    .plan = plan,
    .takes_json = true,
    .notes = notes,
};
