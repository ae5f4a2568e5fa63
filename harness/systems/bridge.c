/* harness/systems/bridge.c -- Megatron-Bridge 0.6.2: overrides of a recipe.
 *
 * model.tensor_model_parallel_size=4 says what Megatron's flag says; a recipe
 * has defaults of its own, which no override shows.  Only read.
 */
#include "harness/systems/impl.h"

#include <stddef.h>

static const har_flag flags[] = {
    {"model.tensor-model-parallel-size tensor-model-parallel-size", HAR_F_TP,
     HAR_TAKE_COUNT, NULL, NULL},
    {"model.pipeline-model-parallel-size pipeline-model-parallel-size",
     HAR_F_PP, HAR_TAKE_COUNT, NULL, NULL},
    {"model.expert-model-parallel-size expert-model-parallel-size", HAR_F_EP,
     HAR_TAKE_COUNT, NULL, NULL},
    {"model.expert-tensor-parallel-size expert-tensor-parallel-size", HAR_F_ETP,
     HAR_TAKE_COUNT, NULL, NULL},
    {"model.num-layers-in-first-pipeline-stage", HAR_F_FIRST, HAR_TAKE_COUNT,
     NULL, NULL},
    {"model.num-layers-in-last-pipeline-stage", HAR_F_LAST, HAR_TAKE_COUNT,
     NULL, NULL},
    {"model.account-for-embedding-in-pipeline-split", HAR_F_COUNT_EMBEDDING,
     HAR_TAKE_ON, NULL, NULL},
    {"model.account-for-loss-in-pipeline-split", HAR_F_COUNT_HEAD, HAR_TAKE_ON,
     NULL, NULL},
    {"model.pipeline-model-parallel-layout", HAR_F_LAYOUT, HAR_TAKE_TEXT, NULL,
     NULL},
    {"train.micro-batch-size micro-batch-size mbs model.micro-batch-size",
     HAR_F_MICRO, HAR_TAKE_COUNT, NULL, NULL},
    {"train.global-batch-size global-batch-size gbs model.global-batch-size",
     HAR_F_GLOBAL, HAR_TAKE_COUNT, NULL, NULL},
    {"trainer.num-nodes", HAR_F_NODES, HAR_TAKE_COUNT, NULL, NULL},
    {"trainer.devices", HAR_F_PER_NODE, HAR_TAKE_COUNT, NULL, NULL},
    {"config-file", HAR_F_CONFIG, HAR_TAKE_TEXT, NULL, NULL},
    {"model.sequence-parallel", HAR_F_SEQUENCE, HAR_TAKE_ON, NULL, NULL},
    {"dist.use-tp-pp-dp-mapping", HAR_F_STAGE_BEFORE_DATA, HAR_TAKE_ON, NULL,
     NULL},
    {"model.moe-router-pre-softmax", HAR_F_PRE_SOFTMAX, HAR_TAKE_ON, NULL,
     NULL},

    {"model.context-parallel-size context-parallel-size", HAR_F_CP,
     HAR_TAKE_COUNT, NULL, NULL},
    {"model.cp-comm-type", HAR_F_CP_KIND, HAR_TAKE_WORD, HAR_CP_COMM_TYPES,
     NULL},
    {"model.virtual-pipeline-model-parallel-size "
     "virtual-pipeline-model-parallel-size",
     HAR_F_NONE, HAR_TAKE_ONLY, "1 null None",
     "virtual stages are read of Megatron's own flags"},

    {"model.num-layers", HAR_F_N_L, HAR_TAKE_COUNT, NULL, NULL},
    {"model.hidden-size", HAR_F_N_D, HAR_TAKE_COUNT, NULL, NULL},
    {"model.num-attention-heads", HAR_F_N_H, HAR_TAKE_COUNT, NULL, NULL},
    {"model.num-query-groups", HAR_F_N_G, HAR_TAKE_COUNT, NULL, NULL},
    {"model.kv-channels", HAR_F_N_DH, HAR_TAKE_COUNT, NULL, NULL},
    {"model.num-moe-experts", HAR_F_N_E, HAR_TAKE_COUNT, NULL, NULL},
    {"model.moe-router-topk", HAR_F_N_K, HAR_TAKE_COUNT, NULL, NULL},
    {"model.moe-router-num-groups", HAR_F_N_GROUP, HAR_TAKE_COUNT, NULL, NULL},
    {"model.moe-router-group-topk", HAR_F_N_GROUP_KEPT, HAR_TAKE_COUNT, NULL,
     NULL},
    {"model.moe-ffn-hidden-size", HAR_F_N_F, HAR_TAKE_COUNT, NULL, NULL},
    {"model.ffn-hidden-size", HAR_F_N_F_DENSE, HAR_TAKE_COUNT, NULL, NULL},
    {"model.moe-shared-expert-intermediate-size", HAR_F_N_F_SHARED,
     HAR_TAKE_COUNT, NULL, NULL},
    {"model.moe-expert-capacity-factor", HAR_F_FACTOR, HAR_TAKE_REAL, NULL,
     NULL},
    {"model.moe-token-drop-policy", HAR_F_POLICY, HAR_TAKE_WORD,
     "probs position", NULL},
    {"model.vocab-size", HAR_F_N_V, HAR_TAKE_COUNT, NULL, NULL},
    {0}};

static const char *const no_bearing[] = {
    "optimizer.* optimizer-config-override-provider.* ddp.* scheduler.*",
    "trainer.* exp-manager.* hydra.* run.* name restore-from-path",
    "dataset.* logger.* tokenizer.* checkpoint.* dist.* ft.* straggler.*",
    "nvrx-straggler.* profiling.* rng.* rerun-state-machine.* "
    "inprocess-restart.*",
    "validation.* tensor-inspect.* comm-overlap.* env-vars.*",
    "train.train-iters train.eval-iters train.eval-interval "
    "train.exit-interval",
    "train.exit-duration-in-mins train.manual-gc train.manual-gc-interval",
    "train.skip-train train.train-samples train.empty-unused-memory-level",
    "model.recompute-granularity model.recompute-method",
    "model.recompute-num-layers model.recompute-modules "
    "model.moe-permute-fusion",
    "model.moe-grouped-gemm model.moe-token-dispatcher-type",
    "model.moe-flex-dispatcher-backend model.moe-enable-deepep",
    "model.moe-aux-loss-coeff model.moe-router-load-balancing-type",
    "model.moe-router-fusion model.moe-shared-expert-overlap",
    "model.overlap-moe-expert-parallel-comm model.delay-wgrad-compute",
    "model.cross-entropy-loss-fusion model.cross-entropy-fusion-impl",
    "model.gradient-accumulation-fusion model.apply-rope-fusion",
    "model.cuda-graph-impl model.cuda-graph-scope model.transformer-impl",
    "model.attention-backend model.bias-activation-fusion",
    "model.bias-dropout-fusion model.masked-softmax-fusion",
    "model.moe-z-loss-coeff model.cpu-offloading model.pipeline-dtype",
    "recipe account partition gpu num-gpus gpus-per-node domain task "
    "model-name",
    "model-family-name model-recipe-name time-limit container-image dryrun",
    NULL};
static const char *const not_compared[] = {
    "mixed-precision mixed-precision.* trainer.precision peft.* "
    "model.seq-length "
    "dataset.seq-length",
    "model.params-dtype model.bf16 model.fp16 model.fp8 model.fp8-recipe",
    "model.mtp-num-layers model.make-vocab-size-divisible-by",
    "model.moe-router-dtype model.moe-router-force-load-balancing",
    "model.moe-pad-expert-input-to-capacity model.rotary-base",
    "model.window-size train.rampup-batch-size compute-dtype",
    "model.moe-router-padding-for-fp8",
    NULL};

static void notes(const har_facts *f, const core_spec *s, FILE *out)
{
    har_megatron_notes(f, s, out);
    fputs(
        "# a recipe has values of its own for what is not overridden: they are "
        "taken as Megatron's\n",
        out);
}

const har_system_row har_row_bridge = {
    .name = "megatron-bridge",
    .flags = flags,
    .no_bearing = no_bearing,
    .not_compared = not_compared,
    .plan = har_megatron_plan,
    .notes = notes,
};
