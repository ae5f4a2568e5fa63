/* harness/program/rebalance.c -- what dealing experts anew is worth while what is
 * asked of them changes (docs/rebalancing.md).
 */
#include "harness/launch/outfile.h"
#include "harness/perf/cost/demand.h"
#include "harness/perf/search/drift.h"
#include "harness/program/command.h"
#include "harness/program/model.h"

#include <math.h>

typedef struct request {
    core_overrides overrides;
    const char *model, *machine, *popularity, *gpus, *tokens, *drift, *passes;
    const char *every, *slots, *nodes, *groups, *seed, *maps;
} request;

static const har_command_line line = {
    "rebalance", "[MODEL]",
    "Draws what experts are asked for, pass by pass, while their popularity "
    "drifts, deals the experts of each layer anew by what was counted, and says "
    "what that does for the balance of GPUs, what moves, and when it pays "
    "(docs/rebalancing.md).\v" HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->model},
        HAR_OVERRIDE_OPTIONS(&r->overrides),
        {"machine", .text = &r->machine},
        {"popularity", .text = &r->popularity},
        {"seed", .text = &r->seed},
        {"gpus", .text = &r->gpus, .argument = "N",
         .help = "GPUs that share the experts of a layer"},
        {"tokens", .text = &r->tokens, .argument = "N",
         .help = "tokens of a pass, on all of them"},
        {"drift", .text = &r->drift, .argument = "D",
         .help = "share of the experts that trade popularity after a pass, 0 "
                 "to 1"},
        {"passes", .text = &r->passes, .argument = "N", .help = "passes"},
        {"every", .text = &r->every, .argument = "N",
         .help = "passes between two dealings"},
        {"slots", .text = &r->slots, .argument = "N",
         .help = "physical experts of a GPU in each layer; as many as there "
                 "have to be"},
        {"nodes", .text = &r->nodes, .argument = "N",
         .help = "by node, then by GPU; 1: over all GPUs"},
        {"groups", .text = &r->groups, .argument = "N",
         .help = "groups of experts that stay in a node; as many as nodes"},
        {"maps", .text = &r->maps, .argument = "FILE",
         .help = "logical experts of physical ones and back, of each layer"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

static core_status read_int(int *out, const char *option, const char *text)
{
    int64_t n = 0;
    CORE_TRY(har_parse_count(&n, option, text));
    CORE_FAIL_IF(n > PAR_MAX_SLOTS, CORE_E_USAGE,
                 "%s: expected at most %d, found '%s'", option,
                 PAR_MAX_SLOTS, text);
    *out = (int)n;
    return CORE_OK;
}

static core_status read_deal(par_balancer *d, const request *r, int n_e)
{
    *d = (par_balancer){.n_e = n_e};
    CORE_TRY(read_int(&d->n_gpu, "--gpus", r->gpus));
    CORE_TRY(read_int(&d->n_node, "--nodes", r->nodes));
    d->n_slot = (n_e + d->n_gpu - 1) / d->n_gpu;
    d->n_group = d->n_node;
    if (r->slots != NULL)
        CORE_TRY(read_int(&d->n_slot, "--slots", r->slots));
    if (r->groups != NULL)
        CORE_TRY(read_int(&d->n_group, "--groups", r->groups));
    return par_balancer_check(d);
}

static core_status read_case(har_drift_case *c, const request *r,
                             har_demand *demand)
{
    const core_spec *s = c->dealing.spec;
    int64_t seed = 0;
    CORE_FAIL_IF(core_spec_count_moe(s, 0, (int)s->n_l) == 0 ||
                     s->n_e > PAR_MAX_EXPERTS,
                 CORE_E_SPEC, "%s: %lld experts, expected 1 to %d", s->name,
                 (long long)s->n_e, PAR_MAX_EXPERTS);
    CORE_TRY(read_deal(&c->dealing.deal, r, (int)s->n_e));
    CORE_TRY(har_demand_parse(demand, r->popularity, (int)s->n_e));
    CORE_TRY(har_parse_count(&c->n_token, "--tokens", r->tokens));
    CORE_FAIL_IF(c->n_token > 1 << 24, CORE_E_USAGE,
                 "--tokens: expected at most %d, found '%s'", 1 << 24,
                 r->tokens);
    CORE_TRY(har_parse_number(&c->drift, "--drift", r->drift, 0, 1,
                              "a share from 0 to 1"));
    CORE_TRY(read_int(&c->n_pass, "--passes", r->passes));
    CORE_TRY(read_int(&c->every, "--every", r->every));
    CORE_TRY(har_parse_count(&seed, "--seed", r->seed));
    c->seed = (uint64_t)seed;
    c->share = demand->share;
    c->dealing.dtype = CORE_DTYPE_F16;
    return CORE_OK;
}

static void write_pass(const har_drift_case *c, const har_drift *d, int i)
{
    const har_drift_pass *p = &d->pass[i];
    printf("%6d %10.1f %10.1f %10.1f %12.3f %12.3f", i, 100 * p->in_order,
           100 * p->kept, 100 * p->dealt, 1e3 * p->kept_seconds,
           1e3 * p->dealt_seconds);
    if (p->moved_bytes > 0 && i + 1 < c->n_pass)
        printf(" %10.3f %9.3f %10.1f", (double)p->moved_bytes * 1e-9,
               1e3 * p->move_seconds, har_drift_pays(d, i));
    else if (p->moved_bytes > 0)
        printf(" %10.3f %9.3f %10s", (double)p->moved_bytes * 1e-9,
               1e3 * p->move_seconds, "-");
    putchar('\n');
}

/* Means of the passes behind the first dealing. */
static void write_means(const har_drift_case *c, const har_drift *d)
{
    double in_order = 0, dealt = 0;
    int n = 0;
    for (int i = c->every; i < c->n_pass; i++, n++) {
        in_order += d->pass[i].in_order;
        dealt += d->pass[i].dealt;
    }
    if (n > 0)
        printf("balance    %.1f %% with experts in order, %.1f %% dealt, mean of "
               "the %d passes behind the first dealing\n",
               100 * in_order / n, 100 * dealt / n, n);
}

static void write_report(const har_drift_case *c, const har_drift *d,
                         const har_demand *demand)
{
    const par_balancer *k = &c->dealing.deal;
    printf("model      %s: %d layers of %d experts\n", c->dealing.spec->name,
           d->n_layer, k->n_e);
    printf("experts    %d physical on each of %d GPUs, %d redundant in a layer; "
           "dealt %s\n",
           k->n_slot, k->n_gpu, k->n_gpu * k->n_slot - k->n_e,
           k->n_node > 1 ? "by node, then by GPU" : "over all GPUs");
    printf("popularity %s, of %lld choices in a layer and pass; %.3g of the "
           "experts trade theirs after each\n",
           demand->text, (long long)(c->n_token * c->dealing.spec->n_k), c->drift);
    printf("  pass   in order       kept      dealt    kept ms     dealt ms  "
           "  moved GB   move ms pays after\n");
    for (int i = 0; i < c->n_pass; i++)
        write_pass(c, d, i);
    write_means(c, d);
}

static core_status write_maps(const char *path, const har_drift_case *c,
                              const har_drift *d)
{
    const par_balancer *k = &c->dealing.deal;
    const int n = k->n_gpu * k->n_slot;
    har_outfile out;
    int i = 0;
    CORE_TRY(har_outfile_open(&out, path));
    for (int l = 0; l < (int)c->dealing.spec->n_l; l++) {
        if (!core_spec_is_moe(c->dealing.spec, l))
            continue;
        const int *logical = d->logical + (int64_t)i++ * n;
        fprintf(out.file, "layer_%d:\n  logical_of_physical: [", l);
        for (int p = 0; p < n; p++)
            fprintf(out.file, "%s%d", p > 0 ? ", " : "", logical[p]);
        fputs("]\n  physical_of_logical:\n", out.file);
        for (int e = 0; e < k->n_e; e++) {
            const char *mark = "    - [";
            for (int p = 0; p < n; p++)
                if (logical[p] == e) {
                    fprintf(out.file, "%s%d", mark, p);
                    mark = ", ";
                }
            fputs("]\n", out.file);
        }
    }
    const core_status status = har_outfile_commit(&out);
    har_outfile_drop(&out);
    return status;
}

static core_status rebalance(const request *r, har_drift *d)
{
    static core_spec spec;
    static har_machine machine;
    static har_demand demand;
    core_config_facts facts;
    har_drift_case c = {.dealing = {.spec = &spec, .machine = &machine}};
    CORE_TRY(core_config_open(&spec, &facts, &r->overrides, r->model));
    CORE_TRY(har_machine_open(&machine, r->machine));
    CORE_TRY(read_case(&c, r, &demand));
    CORE_TRY(har_drift_run(d, &c));
    if (r->maps != NULL)
        CORE_TRY(write_maps(r->maps, &c, d));
    har_config_write(stdout, r->model, &facts, "no weights are needed");
    write_report(&c, d, &demand);
    return CORE_OK;
}

int har_cmd_rebalance(int argc, char **argv)
{
    request r = {.model = "seed-30b",
                 .machine = "gpu-400t-64g",
                 .popularity = "zipf:1",
                 .gpus = "16",
                 .tokens = "65536",
                 .drift = "0.05",
                 .passes = "8",
                 .every = "1",
                 .nodes = "1",
                 .seed = "1"};
    har_drift drift = {0};
    read_command_line(&r, argc, argv);
    const core_status status = rebalance(&r, &drift);
    har_drift_free(&drift);
    return har_end(status);
}
