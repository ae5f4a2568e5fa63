/* tests/property/prop_verify.c -- healthy code raises no alarm, whatever is
 * asked of it.
 *
 *     mpiexec -n R prop_verify FIRST COUNT [NUMERICS|drawn|grad|decode]
 *
 * Cases FIRST .. FIRST+COUNT-1: a random model under a random legal plan of at
 * most R ranks, verified in one start.  A failure prints the seed, then the
 * smallest case that still fails in the same way, found by leaving out degrees,
 * layers and features; `prop_verify SEED 1` repeats it.  `drawn`: each case has
 * roundings of its own, a type drawn for every slot.  `grad`: exact, and back;
 * of each model what gradients are known for.  `decode`: exact, in steps, of
 * what can be run so: the case's rows are slots, chunk and steps are drawn.
 */
#include "core/numbers/rng.h"
#include "harness/verify/verify.h"
#include "parallel/deal.h"
#include "tests/support/random_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_BYTES = 64, WHY_BYTES = 300, WHAT_BYTES = 500 };

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

static void describe(const random_case *c, const char *what)
{
    printf("%s\nplan %s, batch %lldx%lld%s\n", what, c->plan.text,
           (long long)c->n_b, (long long)c->n_t, c->pads ? ", padded" : "");
    core_spec_write_yaml(&c->spec, stdout);
    fflush(stdout);
}

/* How a case fails; a smaller one must fail alike to be the same failure.  A
 * case that proves nothing is not made smaller: small ones never do.         */
typedef enum failure {
    NONE,
    PROVES_NOTHING,
    IDLE, /* although a deal reaches everything                               */
    LOST,
    DIFFERS,
    UNFINISHED
} failure;

/* In steps?  How many cases were.                                            */
static bool decodes;
static int64_t n_in_steps;

/* Without what steps do not take; false: there are none of such a case.      */
static bool fit_steps(random_case *c)
{
    c->pads = false;
    const bool fits = par_decode_check(&c->spec, &c->plan) == CORE_OK;
    core_message_clear();
    return fits;
}

/* The steps of a case, whose batch then is of their rows. */
static core_status make_steps(har_decode *out, const random_case *c)
{
    const int64_t n_chunk = 1 + (int64_t)(c->seed % 5);
    const int64_t n_decode = c->n_t + (int64_t)(c->seed / 5 % 7);
    return decodes ? har_decode_make(out, c->n_b, c->n_t, n_decode, n_chunk)
                   : CORE_OK;
}

/* Is there a token for everything, and does it leave a value there?  What is cut
 * off below zero may be all that a rank has of an expert.                    */
static bool is_reachable(const random_case *c, const har_reached *reached)
{
    par_deal deal;
    if (reached->n_empty_group > 0 || c->spec.act == CORE_ACT_RELU2 ||
        decodes || /* of other rows */
        par_deal_make(&deal, &c->spec, &c->plan, c->n_b, c->n_t, c->seed) !=
            CORE_OK)
        return false;
    const bool reaches_all = deal.n_missed == 0;
    par_deal_free(&deal);
    return reaches_all;
}

static failure failure_of(const random_case *c, const har_case_result *result,
                          core_status status)
{
    if (status != CORE_OK)
        return UNFINISHED;
    if (result->verdict == HAR_UNPROVEN)
        return PROVES_NOTHING;
    if (result->verdict == HAR_PARTIAL)
        return is_reachable(c, &result->reached) ? IDLE : NONE;
    if (!har_verdict_is_bad(result->verdict))
        return NONE;
    for (int i = 0; i < result->n_pass; i++)
        if (har_verdict_is_bad(result->pass[i].verdict))
            return DIFFERS;
    if (har_verdict_is_bad(result->grad.verdict))
        return DIFFERS;
    return LOST;
}

/* Go back, too?  How many cases did. */
static bool goes_back;
static int64_t n_back;

/* What is left of a drawn model when it is one of the seed's family: sizes, and
 * the settings that shadow-a and shadow-b differ in; of its plan what
 * gradients are known for, but for cp.                                       */
static void make_family(random_case *c)
{
    const core_spec drawn = c->spec;
    core_spec *s = &c->spec;
    const bool smooth = drawn.act == CORE_ACT_GELU && !drawn.gated;
    if (core_spec_open(s, "shadow-a", NULL) != CORE_OK)
        return;
    s->n_l = drawn.n_l, s->n_d = drawn.n_d, s->n_v = drawn.n_v;
    s->n_h = drawn.n_h, s->n_g = drawn.n_g, s->n_dh = 2 * drawn.n_dh;
    s->n_e = drawn.n_e, s->n_k = drawn.n_k, s->n_f = drawn.n_f;
    s->n_f_shared = drawn.n_f_shared, s->n_f_dense = drawn.n_f_dense;
    for (int l = 0; l < (int)s->n_l; l++)
        s->ffn[l] = drawn.ffn[l] == CORE_FFN_DENSE && s->n_f_dense > 0
                        ? CORE_FFN_DENSE
                        : CORE_FFN_MOE;
    s->gated = drawn.gated;
    s->act = smooth ? CORE_ACT_GELU : CORE_ACT_SILU;
    s->renormalise = drawn.renormalise;
    s->tied = drawn.tied;
    s->bias_qkv = drawn.bias_qkv, s->bias_o = drawn.bias_o;
    s->bias_router = drawn.bias_router, s->bias_ffn = drawn.bias_ffn;
    s->twin_expert = -1;
    c->pads = false;
    c->plan.sp = false;
    c->plan.overlap = 0;
    c->plan.batch_reduce = 1;
    c->plan.n_mapped = c->plan.n_physical = 0;
}

/* The pass back, where the model and the plan have one; sums that do not fit are
 * no failure.                                                                */
static core_status go_back(har_case_result *out, har_job *job, par_comm *comm,
                           const random_case *c)
{
    core_status status = par_backward_check(&c->plan);
    core_message_clear();
    if (!goes_back || status != CORE_OK)
        return CORE_OK;
    status = har_case_gradients(out, job, comm, &c->plan);
    if (status == CORE_E_EXACT) {
        core_message_clear();
        return CORE_OK;
    }
    n_back += status == CORE_OK;
    return status;
}

/* The case, with procedural weights. */
static core_status verify(har_case_result *out, par_comm *comm,
                          const random_case *c, core_numerics numerics,
                          const char *folder)
{
    const har_limits limits = har_limits_read("");
    core_batch batch = {0};
    har_decode steps = {.n_seq = c->n_b, .n_t = c->n_t};
    core_weights *weights = NULL;
    har_job *job = calloc(1, sizeof *job);
    core_status status =
        job == NULL ? core_fail(CORE_E_MEMORY, "no memory") : CORE_OK;
    if (status == CORE_OK)
        status = core_weights_open_procedural(&weights, &c->spec, c->seed);
    if (status == CORE_OK)
        status = make_steps(&steps, c);
    if (status == CORE_OK)
        status =
            core_batch_make(&batch, &c->spec, steps.n_seq, steps.n_t, c->seed);
    if (status == CORE_OK && c->pads)
        status = core_batch_pad_left(&batch, &c->spec);
    status = par_agree(comm, status);
    if (status == CORE_OK) {
        job->spec = &c->spec;
        job->weights = weights;
        job->batch = &batch;
        job->seed = c->seed;
        job->limits = &limits;
        job->is_padded = c->pads;
        job->decode = decodes ? &steps : NULL;
        job->folder = folder;
        job->schedule_seed = c->seed % 2 == 0 ? c->seed : 0;
        status = har_job_verify(out, job, comm, &c->plan, numerics,
                                HAR_PASSES_USUAL);
        if (status == CORE_OK)
            status = go_back(out, job, comm, c);
        n_in_steps += decodes && status == CORE_OK;
        har_job_close(job);
    }
    free(job);
    har_decode_free(&steps);
    core_batch_free(&batch);
    core_weights_close(weights);
    return status;
}

/* Any type in any slot, doubles seldom; sums wide enough. */
static core_numerics draw_numerics(uint64_t seed)
{
    static const core_rounding types[] = {CORE_ROUND_F32, CORE_ROUND_F16,
                                          CORE_ROUND_BF16};
    unsigned all = 0;
    bool has_f64 = false;
    for (int i = 0; i < CORE_SLOT_ACC; i++) {
        const core_rng_block block =
            core_rng(seed, core_rng_stream("roundings"), (uint64_t)i);
        const bool is_f64 = block.word[0] % 24 == 0;
        has_f64 |= is_f64;
        all |= CORE_IN_SLOT(i, is_f64 ? CORE_ROUND_F64 + 0U
                                      : types[block.word[1] % 3] + 0U);
    }
    const bool wide = has_f64 || seed % 5 == 0;
    const unsigned acc = wide ? CORE_ROUND_F64 + 0U : CORE_ROUND_F32 + 0U;
    const unsigned ctx[] = {acc, CORE_ROUND_F16, CORE_ROUND_BF16};
    all |= CORE_IN_SLOT(CORE_SLOT_ACC, acc) |
           CORE_IN_SLOT(CORE_SLOT_CTX, ctx[seed % 3]);
    return (core_numerics)all;
}

/* Clean cases of which something did not run: their batches are small. */
static int64_t n_partial;

/* What this rank sees of a case, NONE if it has no part; why (rank 0). */
static failure see_case(const random_case *c, core_numerics numerics,
                        const char *folder, char why[WHY_BYTES])
{
    par_comm *comm = NULL;
    if (par_comm_open(&comm, par_plan_world(&c->plan)) != CORE_OK)
        return UNFINISHED;
    if (comm == NULL)
        return NONE;
    har_case_result result = {0};
    const core_status status = verify(&result, comm, c, numerics, folder);
    const failure seen = failure_of(c, &result, status);
    n_partial += seen == NONE && result.verdict == HAR_PARTIAL;
    snprintf(why, WHY_BYTES, "%s",
             status != CORE_OK ? core_message() : result.reason);
    if (status == CORE_OK)
        har_case_result_free(&result);
    core_message_clear();
    par_comm_close(comm);
    return seen;
}

/* The same on every rank, also on those that have no part in the plan. */
static failure run_case(par_comm *everyone, const random_case *c,
                        core_numerics numerics, const char *folder,
                        char why[WHY_BYTES])
{
    double worst = (double)see_case(c, numerics, folder, why);
    par_all_reduce(everyone, &everyone->world, &worst, 1, PAR_MAX, CORE_FP64);
    return (failure)(int)worst;
}

/* Take every simplification with which the case still fails alike. */
static void shrink(par_comm *everyone, random_case *c, core_numerics numerics,
                   const char *folder, failure wanted)
{
    char why[WHY_BYTES] = "", smallest[WHAT_BYTES];
    random_case next;
    bool is_smaller = true;
    snprintf(smallest, sizeof smallest, "smallest case: this one");
    while (is_smaller) {
        is_smaller = false;
        for (int i = 0, known; (known = random_case_simpler(&next, c, i)) >= 0;
             i++) {
            if (known == 0 || run_case(everyone, &next, numerics, folder,
                                       why) != wanted)
                continue;
            memcpy(c, &next, sizeof *c);
            snprintf(smallest, sizeof smallest, "smallest case: %s", why);
            is_smaller = true;
        }
    }
    if (everyone->rank == 0)
        describe(c, smallest);
}

/* True if the case is verified; the same on every rank. */
static bool check_case(par_comm *everyone, random_case *c,
                       core_numerics numerics, const char *folder)
{
    char why[WHY_BYTES] = "", what[WHAT_BYTES];
    const failure seen = run_case(everyone, c, numerics, folder, why);
    if (seen == NONE)
        return true;
    snprintf(what, sizeof what, "seed %llu FAILED in %s: %s",
             (unsigned long long)c->seed, core_numerics_name(numerics).text,
             why);
    if (everyone->rank == 0)
        describe(c, what);
    if (seen != PROVES_NOTHING)
        shrink(everyone, c, numerics, folder, seen);
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(
            stderr,
            "usage: prop_verify FIRST COUNT [NUMERICS|drawn|grad|decode]\n");
        return 2;
    }
    const uint64_t first = strtoull(argv[1], NULL, 10);
    const uint64_t count = strtoull(argv[2], NULL, 10);
    core_numerics numerics = CORE_EXACT;
    const par_comm_options options = {.stall_seconds = 60};
    const bool draws = argc > 3 && strcmp(argv[3], "drawn") == 0;
    goes_back = argc > 3 && strcmp(argv[3], "grad") == 0;
    decodes = argc > 3 && strcmp(argv[3], "decode") == 0;
    if ((argc > 3 && !draws && !goes_back && !decodes &&
         core_numerics_parse(&numerics, argv[3]) != CORE_OK) ||
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
        if (draws)
            numerics = draw_numerics(first + i);
        if (goes_back)
            make_family(&c);
        if (goes_back && (core_spec_validate(&c.spec) != CORE_OK ||
                          par_plan_check(&c.plan, &c.spec) != CORE_OK)) {
            core_message_clear();
            continue;
        }
        if (decodes && !fit_steps(&c))
            continue;
        n_failed += check_case(everyone, &c, numerics, folder) ? 0 : 1;
    }
    par_barrier(everyone, &everyone->world);
    if (everyone->rank == 0) {
        rmdir(folder);
        printf("%llu random cases in %s: %llu failed, %lld ran in part\n",
               (unsigned long long)count,
               draws ? "drawn roundings" : core_numerics_name(numerics).text,
               (unsigned long long)n_failed, (long long)n_partial);
        if (goes_back) {
            printf("%lld of them went back\n", (long long)n_back);
            n_failed += n_back == 0 ? 1 : 0; /* then nothing was shown */
        }
        if (decodes) {
            printf("%lld of them in steps\n", (long long)n_in_steps);
            n_failed += n_in_steps == 0 ? 1 : 0;
        }
    }
    par_comm_close(everyone);
    par_comm_stop();
    return n_failed == 0 && count > 0 ? 0 : 1;
}
