/* harness/systems/launchers.c -- what starts ranks says how many there are.
 *
 * torchrun: nodes times processes on each; DeepSpeed: the first hosts of its
 * hostfile times processes on each; mpiexec and accelerate: ranks, else the
 * slots of the hostfile; Slurm: tasks, or nodes times tasks on each.  Newest
 * sources read: torch 2.13.0, DeepSpeed 0.19.8, MPICH 4.2, Open MPI 5.0,
 * Slurm 24.11.
 */
#include "harness/systems/impl.h"

#include <stddef.h>

static const har_flag torchrun_flags[] = {
    {"nnodes", HAR_F_NODES, HAR_TAKE_COUNT, NULL, NULL},
    {"nproc-per-node", HAR_F_PER_NODE, HAR_TAKE_COUNT, NULL, NULL},
    {0}};
static const char *const torchrun_names[] = {
    "node-rank rdzv-backend rdzv-endpoint rdzv-id rdzv-conf standalone",
    "max-restarts monitor-interval start-method event-log-handler role",
    "no-python run-path log-dir r redirects t tee local-ranks-filter "
    "local-addr",
    "master-addr master-port use-env numa-binding signals-to-handle logs-specs",
    "virtual-local-rank duplicate-stdout-filters duplicate-stderr-filters",
    "shutdown-timeout u",
    NULL};

static const har_flag mpiexec_flags[] = {
    {"n np c", HAR_F_RANKS, HAR_TAKE_COUNT, NULL, NULL},
    {"hostfile machinefile f", HAR_F_HOSTFILE, HAR_TAKE_TEXT, NULL, NULL},
    {0}};
static const char *const mpiexec_names[] = {
    "x genv env envall genvall envlist genvlist envnone H host hosts",
    "map-by bind-to rank-by mca prtemca pmixmca gmca ppn npernode "
    "N",
    "npersocket allow-run-as-root oversubscribe tag-output timestamp-output",
    "report-bindings display-map display-allocation wdir wd output-filename",
    "launcher launcher-exec bootstrap prepend-rank l outfile-pattern rmk",
    "errfile-pattern merge-stderr-to-stdout output display bind-to-core prefix",
    "verbose v q iface disable-hostname-propagation timeout mca-base-env-list",
    NULL};

static const har_flag slurm_flags[] = {
    {"n ntasks", HAR_F_TASKS, HAR_TAKE_COUNT, NULL, NULL},
    {"N nodes", HAR_F_TASK_NODES, HAR_TAKE_COUNT, NULL, NULL},
    {"ntasks-per-node", HAR_F_TASKS_PER_NODE, HAR_TAKE_COUNT, NULL, NULL},
    {0}};
static const char *const slurm_names[] = {
    "gpus-per-node gres gpus gpus-per-task G cpus-per-task c cpus-per-gpu p",
    "partition A account J job-name t time o output e error mem mem-per-gpu",
    "mem-per-cpu exclusive qos q w nodelist x exclude C constraint export l "
    "label",
    "container-image container-mounts container-workdir container-name",
    "container-writable container-remap-root container-env "
    "container-mount-home",
    "no-container-mount-home no-container-remap-root no-container-entrypoint "
    "mpi",
    "u unbuffered kill-on-bad-exit K cpu-bind accel-bind gpu-bind mem-bind "
    "wait W",
    "jobid het-group overlap chdir D mail-type mail-user signal requeue "
    "dependency",
    "no-requeue open-mode d array a begin reservation comment nice switches "
    "segment",
    "network distribution m threads-per-core hint ntasks-per-core "
    "ntasks-per-gpu",
    "ntasks-per-socket immediate I nodefile F licenses L deadline power v "
    "verbose",
    NULL};

static const har_flag deepspeed_flags[] = {
    {"num-nodes", HAR_F_FIRST_HOSTS, HAR_TAKE_COUNT, NULL, NULL},
    {"num-gpus num-accelerators", HAR_F_FIRST_SLOTS, HAR_TAKE_COUNT, NULL,
     NULL},
    {"hostfile H", HAR_F_HOSTFILE, HAR_TAKE_TEXT, NULL, NULL},
    {"include i exclude e", HAR_F_NONE, HAR_TAKE_ONLY, "",
     "which devices are left is not read: say --num_nodes and --num_gpus"},
    {0}};
static const char *const deepspeed_names[] = {
    "min-elastic-nodes max-elastic-nodes",
    "master-port master-addr node-rank launcher launcher-args no-python",
    "no-local-rank no-ssh no-ssh-check force-multi save-pid "
    "enable-each-rank-log",
    "autotuning elastic-training bind-cores-to-rank bind-core-list ssh-port",
    "venv-script log-level q quiet",
    NULL};

static const har_flag accelerate_flags[] = {
    {"num-processes", HAR_F_RANKS, HAR_TAKE_COUNT, NULL, NULL},
    {"parallelism-config-tp-size "
     "parallelism-config.parallelism-config-tp-size",
     HAR_F_TP, HAR_TAKE_COUNT, NULL, NULL},
    {"parallelism-config-dp-replicate-size "
     "parallelism-config.parallelism-config-dp-replicate-size",
     HAR_F_DP, HAR_TAKE_COUNT, NULL, NULL},
    {"parallelism-config-dp-shard-size "
     "parallelism-config.parallelism-config-dp-shard-size",
     HAR_F_DP_SHARD, HAR_TAKE_COUNT, NULL, NULL},
    {"parallelism-config-cp-size parallelism-config-sp-size "
     "parallelism-config.parallelism-config-cp-size "
     "parallelism-config.parallelism-config-sp-size",
     HAR_F_NONE, HAR_TAKE_ONLY, "1", "a plan has no such degree"},
    {"config-file deepspeed-config-file deepspeed-config.deepspeed-config-file",
     HAR_F_CONFIG, HAR_TAKE_TEXT, NULL, NULL},
    {"deepspeed-hostfile", HAR_F_HOSTFILE, HAR_TAKE_TEXT, NULL, NULL},
    {0}};
static const char *const accelerate_names[] = {
    "num-machines machine-rank main-process-ip main-process-port",
    "multi-gpu use-deepspeed use-fsdp use-megatron-lm gpu-ids",
    "rdzv-backend dynamo-backend same-network num-cpu-threads-per-process",
    "deepspeed-multinode-launcher compute-environment distributed-type debug",
    "fsdp* deepspeed-config.* enable-cpu-affinity use-cpu",
    "main-training-function tpu* dynamo* use-parallelism-config",
    "parallelism-config-cp-backend parallelism-config-cp-comm-strategy",
    "parallelism-config.parallelism-config-cp-backend",
    "parallelism-config.parallelism-config-cp-comm-strategy",
    "parallelism-config-sp-* deepspeed-moe-layer-cls-names zero-stage",
    "deepspeed-exclusion-filter deepspeed-inclusion-filter offload* aws* cpu",
    "gradient-clipping log-dir max-restarts monitor-interval mpirun-hostfile",
    "no-python no-tpu-cluster quiet q rdzv-conf role tee vm env",
    NULL};

static const char *const accelerate_uncompared[] = {
    "mixed-precision downcast-bf16 fp8* gradient-accumulation-steps", NULL};

static const har_flag hostfile_flags[] = {
    {"hosts", HAR_F_HOSTS, HAR_TAKE_COUNT, NULL, NULL},
    {"slots", HAR_F_SLOTS, HAR_TAKE_COUNT, NULL, NULL},
    {"slots-per-host", HAR_F_EQUAL_SLOTS, HAR_TAKE_COUNT, NULL, NULL},
    {0}};

static const har_flag environment_flags[] = {
    {"WORLD_SIZE", HAR_F_WORLD, HAR_TAKE_COUNT, NULL, NULL},
    {"SLURM_NTASKS", HAR_F_TASKS, HAR_TAKE_COUNT, NULL, NULL},
    {"VLLM_PP_LAYER_PARTITION SGLANG_PP_LAYER_PARTITION", HAR_F_PARTITION,
     HAR_TAKE_TEXT, NULL, NULL},
    {0}};

static const har_system_row launchers[HAR_N_PLACES] = {
    [HAR_AT_TORCHRUN] = {.name = "torchrun",
                         .flags = torchrun_flags,
                         .no_bearing = torchrun_names,
                         .cuts_names = true},
    [HAR_AT_MPIEXEC] = {.name = "mpiexec",
                        .flags = mpiexec_flags,
                        .no_bearing = mpiexec_names},
    [HAR_AT_SLURM] = {.name = "srun",
                      .flags = slurm_flags,
                      .no_bearing = slurm_names},
    [HAR_AT_DEEPSPEED] = {.name = "deepspeed",
                          .flags = deepspeed_flags,
                          .no_bearing = deepspeed_names,
                          .cuts_names = true},
    [HAR_AT_ACCELERATE] = {.name = "accelerate",
                           .flags = accelerate_flags,
                           .no_bearing = accelerate_names,
                           .not_compared = accelerate_uncompared,
                           .cuts_names = true},
    [HAR_AT_HOSTFILE] = {.name = "hostfile", .flags = hostfile_flags},
    [HAR_AT_ENVIRONMENT] = {.name = "environment", .flags = environment_flags},
};

const har_system_row *har_launcher(har_place place)
{
    return launchers[place].name != NULL ? &launchers[place] : NULL;
}
