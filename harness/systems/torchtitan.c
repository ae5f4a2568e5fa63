/* harness/systems/torchtitan.c -- torchtitan 0.3.0, and the TOML of those
 * before: keys, plan, arguments.
 *
 * Traps: the data degree is copies times shards, and shards of -1 are what the
 * ranks leave; expert groups are runs of a stage's ranks that cross tensor
 * ranks; embedding and head count as a layer each when layers are dealt to
 * stages, unless told otherwise; a looped schedule gives a rank several runs of
 * layers.
 */
#include "harness/systems/impl.h"

#include <stddef.h>

static const har_flag flags[] = {
    {"parallelism.tensor-parallel-degree", HAR_F_TP, HAR_TAKE_COUNT, NULL,
     NULL},
    {"parallelism.pipeline-parallel-degree", HAR_F_PP, HAR_TAKE_COUNT, NULL,
     NULL},
    {"parallelism.data-parallel-replicate-degree", HAR_F_DP, HAR_TAKE_COUNT,
     NULL, NULL},
    {"parallelism.data-parallel-shard-degree", HAR_F_DP_SHARD, HAR_TAKE_WHOLE,
     NULL, NULL},
    {"parallelism.expert-parallel-degree", HAR_F_EP, HAR_TAKE_COUNT, NULL,
     NULL},
    {"parallelism.expert-tensor-parallel-degree", HAR_F_ETP, HAR_TAKE_COUNT,
     NULL, NULL},
    {"parallelism.pipeline-parallel-first-stage-less-layers", HAR_F_LESS_FIRST,
     HAR_TAKE_WHOLE, NULL, NULL},
    {"parallelism.pipeline-parallel-last-stage-less-layers", HAR_F_LESS_LAST,
     HAR_TAKE_WHOLE, NULL, NULL},
    {"parallelism.pipeline-parallel-microbatch-size", HAR_F_MICRO,
     HAR_TAKE_COUNT, NULL, NULL},
    {"training.local-batch-size", HAR_F_LOCAL, HAR_TAKE_COUNT, NULL, NULL},
    {"training.global-batch-size", HAR_F_GLOBAL, HAR_TAKE_WHOLE, NULL, NULL},
    {"parallelism.pipeline-parallel-schedule", HAR_F_NONE, HAR_TAKE_ONLY,
     "1F1B 1f1b GPipe gpipe", "how it deals layers to such stages is not read"},
    {"parallelism.module-fqns-per-model-part "
     "parallelism.pipeline-parallel-layers-per-stage "
     "parallelism.pipeline-parallel-split-points",
     HAR_F_NONE, HAR_TAKE_ONLY, "",
     "stages by the names of modules are not read"},
    {"job.config-file", HAR_F_CONFIG, HAR_TAKE_TEXT, NULL, NULL},
    {"parallelism.context-parallel-degree", HAR_F_NONE, HAR_TAKE_ONLY, "1",
     "a plan has no such degree"},
    {0}};

static const char *const no_bearing[] = {
    "job.* profiling.* profiler.* metrics.* optimizer.* lr-scheduler.*",
    "checkpoint.* activation-checkpoint.* memory-estimation.* compile.* comm.*",
    "fault-tolerance.* validation.* validator.* experimental.* tokenizer.*",
    "dataloader.* loss.* hf-assets-path dump-folder module config",
    "model.tokenizer-path model.hf-assets-path model.print-after-conversion",
    "training.steps training.max-norm training.dataset training.dataset-path",
    "training.gc-freq training.gc-debug training.enable-cpu-offload "
    "training.seed",
    "training.disable-cuda-graphs training.warmup-steps training.deterministic",
    "parallelism.fsdp-reshard-after-forward "
    "parallelism.enable-async-tensor-parallel",
    "parallelism.enable-fsdp-symm-mem parallelism.enable-loss-parallel",
    "parallelism.disable-loss-parallel parallelism.enable-compiled-autograd",
    "parallelism.enable-sequence-parallel parallelism.spmd-backend",
    "parallelism.context-parallel-rotate-method",
    "parallelism.context-parallel-load-balancer",
    "parallelism.context-parallel-ptrr-mask-key",
    "parallelism.expert-parallel-comm-backend debug.*",
    "parallelism.no-enable-fsdp-symm-mem "
    "parallelism.no-enable-sequence-parallel",
    NULL};
static const char *const not_compared[] = {
    "model.name model.flavor model.converters model-converters.* "
    "training.dtype",
    "training.seq-len training.mixed-precision-param",
    "training.mixed-precision-reduce float8.* mx.* quantize.* override.*",
    "parallelism.pipeline-parallel-schedule-csv "
    "parallelism.tensor-parallel-type",
    NULL};

static core_status read_data(par_plan *p, const har_facts *f)
{
    const har_value *shard = &f->of[HAR_F_DP_SHARD];
    const int copies = har_fact_or_one(f, HAR_F_DP);
    p->dp = copies;
    if (shard->is_given && shard->number > 0) {
        p->dp = copies * (int)shard->number;
        CORE_FAIL_IF(f->world > 0 && f->world != (int64_t)p->dp * p->tp * p->pp,
                     CORE_E_USAGE,
                     "--import: dp*tp*pp = %d*%d*%d, and there are %d ranks",
                     p->dp, p->tp, p->pp, f->world);
        return CORE_OK;
    }
    CORE_TRY(har_plan_rest(&p->dp, f, (int64_t)p->tp * p->pp * copies,
                           "tp * pp * copies"));
    p->dp *= copies;
    return CORE_OK;
}

/* Layers as dealt to stages, what counts as a layer at both ends included. */
static core_status read_stages(par_plan *p, const har_facts *f,
                               const core_spec *s)
{
    const har_value *less[] = {&f->of[HAR_F_LESS_FIRST],
                               &f->of[HAR_F_LESS_LAST]};
    const int first = less[0]->is_given ? (int)less[0]->number : 1,
              last = less[1]->is_given ? (int)less[1]->number : 1;
    const int64_t n = s->n_l + first + last;
    int layers[CORE_MAX_LAYERS];
    if (p->pp == 1)
        return CORE_OK;
    CORE_FAIL_IF(
        p->pp > CORE_MAX_LAYERS || first < 0 || last < 0 ||
            n / p->pp <= (first > last ? first : last),
        CORE_E_USAGE,
        "--import: %lld layers do not fill %d stages whose ends have %d "
        "and %d less",
        (long long)s->n_l, p->pp, first, last);
    for (int i = 0; i < p->pp; i++)
        layers[i] = (int)(n / p->pp + (i < n % p->pp ? 1 : 0));
    layers[0] -= first;
    layers[p->pp - 1] -= last;
    har_plan_stages(p, s, layers);
    return CORE_OK;
}

static core_status read_batches(par_plan *p, const har_facts *f)
{
    const int local = har_fact_or_one(f, HAR_F_LOCAL),
              micro = har_fact_or_one(f, HAR_F_MICRO);
    const double global = f->of[HAR_F_GLOBAL].number;
    const int64_t pass = (int64_t)local * p->dp;
    p->mb = 1;
    if (p->pp > 1 && f->of[HAR_F_LOCAL].is_given) {
        CORE_FAIL_IF(
            local % micro != 0, CORE_E_USAGE,
            "--import: local batch %% micro-batch = %d %% %d, expected "
            "0",
            local, micro);
        p->mb = local / micro;
    }
    if (global <= 0)
        return CORE_OK;
    CORE_FAIL_IF(
        (int64_t)global % pass != 0, CORE_E_USAGE,
        "--import: global batch %% (local * dp) = %g %% %lld, expected "
        "0",
        global, (long long)pass);
    p->mb *= (int)((int64_t)global / pass);
    return CORE_OK;
}

static core_status plan(par_plan *out, const har_facts *f, const core_spec *s)
{
    par_plan p = *out;
    p.tp = har_fact_or_one(f, HAR_F_TP);
    p.pp = har_fact_or_one(f, HAR_F_PP);
    p.ep = har_fact_or_one(f, HAR_F_EP);
    /* without expert parallelism experts are cut over tensor ranks */
    p.etp = f->of[HAR_F_ETP].is_given ? har_fact_int(f, HAR_F_ETP)
            : s->n_e > 0 && p.ep == 1 ? p.tp
                                      : 1;
    CORE_TRY(read_data(&p, f));
    CORE_TRY(read_stages(&p, f, s));
    CORE_TRY(read_batches(&p, f));
    *out = p;
    return CORE_OK;
}

static core_status check(const par_plan *p, const core_spec *s)
{
    CORE_TRY(har_check_common("torchtitan", p, s));
    CORE_TRY(har_check_tokens("torchtitan", p));
    CORE_TRY(har_check_divides("torchtitan", "experts", s->n_e, p->ep));
    CORE_TRY(har_check_divides("torchtitan", "kv heads", s->n_g, p->tp));
    CORE_FAIL_IF(s->tied && p->pp > 1, CORE_E_PLAN,
                 "torchtitan: stages: it refuses pp = %d of a model whose head "
                 "is its embedding, as in %s",
                 p->pp, s->name);
    CORE_TRY(har_check_drops("torchtitan", s));
    CORE_FAIL_IF(s->n_e > 0 && p->etp != (p->ep == 1 ? p->tp : 1), CORE_E_PLAN,
                 "torchtitan: expert mesh: experts are whole, or, with ep = 1, "
                 "cut over tp = %d ranks, found ep = %d, etp = %d",
                 p->tp, p->ep, p->etp);
    CORE_FAIL_IF(
        p->n_stage > 0, CORE_E_PLAN,
        "torchtitan: stages: it deals layers evenly, or by the names of "
        "modules, which are not written");
    return CORE_OK;
}

/* Runs of ceil(V / tp) rows: what is beyond V is not there. */
static int64_t padded(const par_plan *p, const core_spec *s)
{
    return har_round_up(s->n_v, p->tp);
}

static void write(const par_plan *p, const core_spec *s, FILE *out)
{
    fprintf(out, "WORLD_SIZE=%d\n", par_plan_world(p));
    fprintf(out, "--parallelism.tensor_parallel_degree %d\n", p->tp);
    fprintf(out, "--parallelism.pipeline_parallel_degree %d\n", p->pp);
    fputs("--parallelism.data_parallel_replicate_degree 1\n", out);
    fprintf(out, "--parallelism.data_parallel_shard_degree %d\n", p->dp);
    if (s->n_e > 0)
        fprintf(out, "--parallelism.expert_parallel_degree %d\n", p->ep);
    if (p->pp > 1)
        fputs("--parallelism.pipeline_parallel_schedule 1F1B\n"
              "--parallelism.pipeline_parallel_first_stage_less_layers 0\n"
              "--parallelism.pipeline_parallel_last_stage_less_layers 0\n"
              "--parallelism.pipeline_parallel_microbatch_size 1\n",
              out);
    fprintf(out, "--training.local_batch_size %d\n", p->pp > 1 ? p->mb : 1);
    fprintf(out, "--training.global_batch_size %d\n", p->dp * p->mb);
    if (s->n_v % p->tp != 0)
        fputs(
            "# the vocabulary is cut into runs of ceil(V / tp) rows, the last "
            "ones shorter or empty, here as evenly as can be\n",
            out);
}

const har_system_row har_row_torchtitan = {
    .name = "torchtitan",
    .flags = flags,
    .no_bearing = no_bearing,
    .not_compared = not_compared,
    .plan = plan,
    .check = check,
    .write = write,
    .rows = HAR_ROWS_SCHEDULED,
    .padded = padded,
    .is_short = true,
};
