/* tests/property/prop_verify.c -- healthy code raises no alarm, whatever is
 * asked of it.
 *
 *     mpiexec -n R prop_verify FIRST COUNT [exact|fp32|bf16]
 *
 * Cases FIRST .. FIRST+COUNT-1: a random model under a random legal plan of at
 * most R ranks, verified in one start.  A failure prints the seed, the model and
 * the plan; `prop_verify SEED 1` repeats it.
 */
#include "harness/verify.h"
#include "tests/support/random_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_BYTES = 64 };

/* One folder for all ranks, made by rank 0. */
static void share_folder(par_comm *comm, char folder[FOLDER_BYTES])
{
    if (comm->rank == 0) {
        snprintf(folder, FOLDER_BYTES, "/tmp/prop_verify-XXXXXX");
        if (mkdtemp(folder) == NULL)
            par_abort(comm, CORE_E_FILE, "%s: cannot be made", folder);
    }
    par_broadcast(comm, &comm->world, folder, FOLDER_BYTES, 0);
}

static void describe(const random_case *c, const har_case_result *result,
                     core_status status)
{
    printf("seed %llu FAILED: %s\n", (unsigned long long)c->seed,
           status != CORE_OK ? core_message() : result->reason);
    printf("plan %s, batch %lldx%lld\n", c->plan.text, (long long)c->n_b,
           (long long)c->n_t);
    core_spec_write_yaml(&c->spec, stdout);
    fflush(stdout);
}

/* True if the case is verified; the same on every rank of its plan. */
static bool run_case(const random_case *c, core_numerics numerics,
                     const char *folder)
{
    par_comm *comm = NULL;
    if (par_comm_open(&comm, par_plan_world(&c->plan)) != CORE_OK)
        return false;
    if (comm == NULL)
        return true;
    const har_case request = {.spec = &c->spec,
                              .plan = &c->plan,
                              .seed = c->seed,
                              .n_b = c->n_b,
                              .n_t = c->n_t,
                              .numerics = numerics,
                              .passes = HAR_PASSES_USUAL,
                              .folder = folder};
    har_case_result result = {0};
    const core_status status = har_verify_case(&result, comm, &request);
    const bool verified =
        status == CORE_OK && !har_verdict_is_bad(result.verdict);
    if (!verified && comm->rank == 0)
        describe(c, &result, status);
    if (status == CORE_OK)
        har_case_result_free(&result);
    core_message_clear();
    par_comm_close(comm);
    return verified;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: prop_verify FIRST COUNT [exact|fp32|bf16]\n");
        return 2;
    }
    const uint64_t first = strtoull(argv[1], NULL, 10);
    const uint64_t count = strtoull(argv[2], NULL, 10);
    core_numerics numerics = CORE_EXACT;
    const par_comm_options options = {.stall_seconds = 60};
    if ((argc > 3 && core_numerics_parse(&numerics, argv[3]) != CORE_OK) ||
        par_comm_start(&options) != CORE_OK) {
        fprintf(stderr, "prop_verify: %s\n", core_message());
        return 2;
    }
    par_comm *everyone = NULL;
    if (par_comm_open(&everyone, par_comm_n_started()) != CORE_OK)
        return 5;
    char folder[FOLDER_BYTES];
    share_folder(everyone, folder);
    uint64_t n_failed = 0;
    for (uint64_t i = 0; i < count; i++) {
        random_case c;
        random_case_make(&c, first + i, everyone->size);
        n_failed += run_case(&c, numerics, folder) ? 0 : 1;
    }
    par_barrier(everyone, &everyone->world);
    uint64_t seen = n_failed; /* ranks outside a plan saw nothing of it */
    par_all_reduce_u64(everyone, &everyone->world, &seen, 1);
    if (everyone->rank == 0) {
        rmdir(folder);
        printf("%llu random cases in %s: %llu failed\n",
               (unsigned long long)count, core_numerics_name(numerics),
               (unsigned long long)n_failed);
    }
    par_comm_close(everyone);
    par_comm_stop();
    return seen == 0 && count > 0 ? 0 : 1;
}
