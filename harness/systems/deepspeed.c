/* harness/systems/deepspeed.c -- DeepSpeed 0.19.8: its JSON, plan, arguments.
 *
 * Traps: tensor and expert degrees are those of AutoTP and AutoEP; a kv head
 * goes to one rank with all its heads, those that get none have none; a layer
 * that is written with deepspeed.moe.layer.MoE has its ep_size in the model's
 * code, as pipeline stages have; without a launcher's word the ranks are
 * train_batch_size / (micro-batch * accumulation) * tp; expert groups are runs
 * of a stage's ranks, as here.
 */
#include "harness/systems/impl.h"

#include <stddef.h>

static const har_flag flags[] = {
    {"tensor-parallel.autotp-size tensor-parallel.tp-size", HAR_F_TP,
     HAR_TAKE_WHOLE, NULL, NULL},
    {"expert-parallel.enabled", HAR_F_EP_ON, HAR_TAKE_ON, NULL, NULL},
    {"expert-parallel.autoep-size moe.ep-size", HAR_F_EP, HAR_TAKE_COUNT, NULL,
     NULL},
    {"expert-parallel.expert-tensor-parallel-size", HAR_F_ETP, HAR_TAKE_COUNT,
     NULL, NULL},
    {"pipeline.stages", HAR_F_PP, HAR_TAKE_COUNT, NULL, NULL},
    {"train-batch-size", HAR_F_GLOBAL, HAR_TAKE_COUNT, NULL, NULL},
    {"train-micro-batch-size-per-gpu", HAR_F_MICRO, HAR_TAKE_COUNT, NULL, NULL},
    {"gradient-accumulation-steps", HAR_F_ACCUMULATE, HAR_TAKE_COUNT, NULL,
     NULL},
    {"use-data-before-expert-parallelism", HAR_F_NONE, HAR_TAKE_ONLY, "false",
     "a plan has expert groups of neighbours, and this sets them apart"},
    {"sequence-parallel-size", HAR_F_NONE, HAR_TAKE_ONLY, "1",
     "a plan has no such degree"},
    {"deepspeed-config", HAR_F_CONFIG, HAR_TAKE_TEXT, NULL, NULL},
    {"expert-parallel.top-k", HAR_F_N_K, HAR_TAKE_COUNT, NULL, NULL},
    {0}};

static const char *const no_bearing[] = {
    "optimizer.* scheduler.* zero-optimization.* zero-allow-untested-optimizer",
    "zero-force-ds-cpu-optimizer gradient-clipping steps-per-print dump-state",
    "wall-clock-breakdown memory-breakdown prescale-gradients aio.* "
    "comms-logger.*",
    "gradient-predivide-factor gradient-allreduce-op communication-data-type",
    "seq-parallel-communication-data-type disable-allgather disable-python-gc",
    "activation-checkpointing.* flops-profiler.* tensorboard.* wandb.*",
    "csv-monitor.* comet.* autotuning.* elasticity.* nebula.* "
    "data-efficiency.*",
    "curriculum-learning.* dataloader-drop-last checkpoint.* timers.* "
    "log-level",
    "hybrid-engine.* pipeline.partition pipeline.seed-layers compile.*",
    "pipeline.activation-checkpoint-interval managed-gradient-accumulation",
    "tensor-parallel.tp-overlap-comm tensor-parallel.tp-grain-size",
    "expert-parallel.use-grouped-mm expert-parallel.async-split-plan",
    "expert-parallel.validate-folding-routing expert-parallel.combine-impl",
    "expert-parallel.disable-triton-grouped-mm expert-parallel.gate-up-impl",
    "expert-parallel.row-weighting-impl expert-parallel.comm-backend",
    "expert-parallel.comm-num-sm expert-parallel.comm-qp-margin",
    "expert-parallel.comm-max-tokens-per-rank "
    "expert-parallel.load-balance-coeff",
    "deepspeed local-rank",
    NULL};
static const char *const not_compared[] = {
    "fp16.* bf16.* bfloat16.* amp.* torch-autocast.* data-types.* dtype",
    "tensor-parallel.partition-config* tensor-parallel.preset-model",
    "tensor-parallel.dtype tensor-parallel.vocab-parallel-lm-head",
    "expert-parallel.preset-model expert-parallel.moe-layer-pattern",
    "expert-parallel.expert-pattern expert-parallel.router-pattern",
    "expert-parallel.route-norm expert-parallel.route-scale",
    "expert-parallel.score-apply expert-parallel.score-func",
    "expert-parallel.num-expert-groups expert-parallel.num-limited-groups",
    "expert-parallel.routed-scaling-factor expert-parallel.num-experts-attr",
    "expert-parallel.expert-activation expert-parallel.has-shared-experts",
    "quantize-training.* compression-training.* sparse-attention.*",
    "progressive-layer-drop.* eigenvalue.*",
    NULL};

static int tensor_ranks(const har_facts *f) /* 0: none                        */
{
    const int tp = har_fact_int(f, HAR_F_TP);
    return tp > 1 ? tp : 1;
}

/* Data-parallel ranks from the batch where no launcher has said the ranks. */
static core_status read_data(par_plan *p, const har_facts *f)
{
    const har_value *global = &f->of[HAR_F_GLOBAL];
    const int64_t part = (int64_t)har_fact_or_one(f, HAR_F_MICRO) * p->mb;
    if (f->world > 0 || !global->is_given)
        return har_plan_rest(&p->dp, f, (int64_t)p->tp * p->pp, "tp*pp");
    CORE_FAIL_IF((int64_t)global->number % part != 0, CORE_E_USAGE,
                 "--import: %.*s %% (micro * accumulation) = %g %% %lld, "
                 "expected 0",
                 global->n_name, global->name, global->number, (long long)part);
    p->dp = (int)((int64_t)global->number / part);
    return CORE_OK;
}

static core_status plan(par_plan *out, const har_facts *f, const core_spec *s)
{
    par_plan p = *out;
    const bool is_off = !f->of[HAR_F_EP_ON].is_given;
    p.tp = tensor_ranks(f);
    p.pp = har_fact_or_one(f, HAR_F_PP);
    p.ep = is_off ? 1 : har_fact_or_one(f, HAR_F_EP);
    p.etp = is_off ? 1 : har_fact_or_one(f, HAR_F_ETP);
    p.mb = har_fact_or_one(f, HAR_F_ACCUMULATE);
    (void)s;
    CORE_TRY(read_data(&p, f));
    *out = p;
    return CORE_OK;
}

static core_status check(const par_plan *p, const core_spec *s)
{
    CORE_TRY(har_check_common("deepspeed", p, s));
    CORE_TRY(har_check_tokens("deepspeed", p));
    CORE_TRY(har_check_divides("deepspeed", "experts", s->n_e, p->ep));
    CORE_TRY(har_check_divides("deepspeed", "kv heads", s->n_g, p->tp));
    CORE_TRY(har_check_drops("deepspeed", s));
    CORE_FAIL_IF(
        p->pp > 1, CORE_E_PLAN,
        "deepspeed: stages: pp = %d is written in the model's code, no "
        "key of its JSON cuts a model",
        p->pp);
    CORE_FAIL_IF(p->etp > 1, CORE_E_PLAN,
                 "deepspeed: expert mesh: it refuses "
                 "expert_tensor_parallel_size = %d",
                 p->etp);
    CORE_FAIL_IF(s->n_e > 0 && p->tp > 1 && p->ep == 1, CORE_E_PLAN,
                 "deepspeed: expert mesh: with tp = %d it asks for ep > 1",
                 p->tp);
    return CORE_OK;
}

static void write(const par_plan *p, const core_spec *s, FILE *out)
{
    fprintf(out,
            "# deepspeed --num_gpus %d ... --deepspeed_config FILE; "
            "FILE is what follows\n",
            par_plan_world(p));
    if (p->dp > 1 && p->mb > 1)
        fputs("# rows are dealt: micro-batch m of replica d has row m dp + d, "
              "here d mb + m\n",
              out);
    if (p->tp > 1)
        fputs("# vocabulary and head are whole on every rank unless "
              "vocab_parallel_lm_head is set, here they are cut over tp\n",
              out);
    fprintf(out,
            "{\n  \"train_batch_size\": %d,\n"
            "  \"train_micro_batch_size_per_gpu\": 1,\n"
            "  \"gradient_accumulation_steps\": %d,\n"
            "  \"tensor_parallel\": {\"autotp_size\": %d}",
            p->dp * p->mb, p->mb, p->tp > 1 ? p->tp : 0);
    if (s->n_e > 0 && p->ep > 1)
        fprintf(out,
                ",\n  \"expert_parallel\": {\"enabled\": true, "
                "\"autoep_size\": %d}",
                p->ep);
    fputs("\n}\n", out);
}

const har_system_row har_row_deepspeed = {
    .name = "deepspeed",
    .flags = flags,
    .no_bearing = no_bearing,
    .not_compared = not_compared,
    .plan = plan,
    .takes_json = true,
    .check = check,
    .write = write,
    .rows = HAR_ROWS_DEALT,
};
