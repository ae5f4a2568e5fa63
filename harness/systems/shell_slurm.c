/* harness/systems/shell_slurm.c -- the variables that Slurm derives from the
 * options of a job.
 */
#include "harness/systems/shell_impl.h"

#include <string.h>

core_status har__set_slurm(har__reader *r, const char *option,
                           const char *value)
{
    static const char *const sets[][3] = {
        {"--nodes", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"},
        {"-N", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"},
        {"--ntasks", "SLURM_NTASKS", "SLURM_NPROCS"},
        {"-n", "SLURM_NTASKS", "SLURM_NPROCS"},
        {"--ntasks-per-node", "SLURM_NTASKS_PER_NODE", NULL},
        {"--gpus-per-node", "SLURM_GPUS_PER_NODE", "SLURM_GPUS_ON_NODE"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        for (int k = 1; k < 3 && strcmp(sets[i][0], option) == 0; k++)
            if (sets[i][k] != NULL)
                CORE_TRY(har__variable_set(r, sets[i][k], strlen(sets[i][k]),
                                           value, false, false));
    return CORE_OK;
}
