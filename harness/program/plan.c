/* harness/program/plan.c -- who owns what under a plan, and which plans are legal.
 *
 * Placements use the words of the field: each tensor is Shard(dim), Replicate
 * or Partial on each axis of its mesh.
 */
#include "harness/program/command.h"
#include "harness/program/model.h"
#include "harness/systems/systems.h"
#include "parallel/forward.h"

#include "core/base/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct request {
    const char *name, *model, *gpus, *emit, *import;
    core_config_ignore ignore;
} request;

enum { MAX_ARGUMENT_BYTES = 1 << 16 };

static const har_command_line line = {
    "plan",
    "[PLAN]\nPLAN --emit SYSTEM\n--import ARGS\nMODEL --gpus N",
    "Shows ranks, groups and placements of a plan, or the legal plans "
    "of a model; without arguments, the presets.\v" HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->name},
        {"model", .text = &r->model},
        HAR_IGNORE_OPTION(&r->ignore),
        {"gpus", .text = &r->gpus, .argument = "N",
         .help = "list the legal plans of MODEL on N ranks"},
        {"emit", .text = &r->emit, .argument = "SYSTEM",
         .help = "print the plan as launch arguments of megatron or vllm"},
        {"import", .text = &r->import, .argument = "ARGS",
         .help = "print the plan that Megatron's arguments mean: a text or a "
                 "file"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

static void write_presets(void)
{
    const char *name, *text;
    for (int i = 0; par_plan_preset(i, &name, &text); i++)
        printf("%-14s %s\n", name, text);
}

/* --- legal plans --- */

static void write_plan_line(void *self, const par_plan *plan)
{
    int *n = self;
    char text[PAR_PLAN_TEXT];
    par_plan_format(plan, text);
    puts(text);
    (*n)++;
}

static core_status list_legal(const request *r)
{
    core_spec spec;
    int64_t n_rank = 0;
    int n = 0;
    CORE_TRY(har_parse_count(&n_rank, "--gpus", r->gpus));
    CORE_FAIL_IF(n_rank > 1 << 20, CORE_E_USAGE,
                 "--gpus: at most %d, found %lld", 1 << 20, (long long)n_rank);
    CORE_TRY(core_config_open(&spec, NULL, &r->ignore,
                              r->name != NULL ? r->name : "seed-30b"));
    par_plan_each_legal(&spec, (int)n_rank, write_plan_line, &n);
    CORE_FAIL_IF(n == 0, CORE_E_PLAN, "%s has no legal plan on %lld ranks",
                 spec.name, (long long)n_rank);
    return CORE_OK;
}

/* --- one plan --- */

static void write_experts(const par_layout *l)
{
    if (l->n_my_expert == 0) {
        printf("none");
        return;
    }
    for (int i = 0; i < l->n_my_expert; i++) {
        int last = i;
        while (last + 1 < l->n_my_expert &&
               l->my_expert[last + 1] == l->my_expert[last] + 1)
            last++;
        printf(i > 0 ? ",%d" : "%d", l->my_expert[i]);
        if (last > i)
            printf("-%d", l->my_expert[last]);
        i = last;
    }
}

static void write_rank(const core_spec *spec, const par_layout *l)
{
    char text[16];
    const par_heads *h = &l->heads[0];
    const size_t bytes = par_weight_bytes(spec, l, CORE_FP32);
    printf("%5d  %5d %3d %3d  %3d %4d %4d  %3d-%-3d", l->rank, l->stage, l->d,
           l->t, l->ep_i, l->etp_i, l->edp_i, l->first_layer[l->stage],
           l->first_layer[l->stage + 1] - 1);
    if (spec->n_h > 0)
        printf(" %3lld-%-3lld %3lld-%-3lld %6lld-%-6lld", (long long)h->h0,
               (long long)(h->h0 + h->n_h) - 1, (long long)h->kv0,
               (long long)(h->kv0 + h->n_kv) - 1,
               (long long)l->first_vocab[l->t],
               (long long)l->first_vocab[l->t + 1] - 1);
    printf(" %5lld-%-5lld %-10s ", (long long)l->first_f[l->etp_i],
           (long long)l->first_f[l->etp_i + 1] - 1,
           har_format_bytes(bytes, text));
    write_experts(l);
    putchar('\n');
}

static void write_group(const par_group *g)
{
    printf("  %-4s of rank 0:", g->name);
    for (int i = 0; i < g->n && i < 16; i++)
        printf(" %d", g->rank[i]);
    printf(g->n > 16 ? " ... (%d ranks)\n" : "\n", g->n);
}

static void write_placements(const core_spec *spec)
{
    puts("placements (attention mesh: pp, dp, tp; expert mesh: ep, etp, edp)");
    puts("  embedding, head      tp Shard(vocabulary), dp Replicate; partial "
         "sums of "
         "the embedding are reduced over tp");
    puts("  q, k, v              pp Shard(layer), dp Replicate, tp "
         "Shard(heads)");
    puts("  attention output     tp Shard(in); its result is Partial over tp "
         "until "
         "reduced");
    puts("  norms, router        pp Shard(layer), dp Replicate, tp Replicate");
    if (spec->qk_norm == CORE_QK_NORM_ALL)
        puts("  norm of all heads    tp Shard(heads); its sum of squares is "
             "Partial over tp until reduced");
    for (int i = 0; par_placement(spec, i) != NULL; i++)
        printf("  %s\n", par_placement(spec, i));
    puts("  experts              ep Shard(expert), etp Shard(inner), edp "
         "Replicate; "
         "their result is Partial over etp until reduced");
    puts("  shared, dense mlp    tp Shard(inner); the result is Partial over "
         "tp until "
         "reduced");
    puts("  activations          dp Shard(rows), tp Replicate; q, k, v, "
         "context tp "
         "Shard(heads); logits tp Shard(vocabulary)");
}

static core_status with_layout(const core_spec *spec, const par_plan *plan,
                               int rank)
{
    core_arena arena = core_arena_measure();
    par_layout layout;
    CORE_TRY(par_layout_make(&layout, &arena, spec, plan, rank));
    if (rank == 0) {
        printf("groups\n");
        write_group(&layout.tp_group);
        write_group(&layout.ep_group);
        write_group(&layout.etp_group);
        write_placements(spec);
        printf(" rank  stage  dp  tp   ep  etp  edp   layers");
        printf(spec->n_h > 0 ? "   heads      kv    vocabulary" : "");
        printf("       inner  weights    experts\n");
    }
    write_rank(spec, &layout);
    core_arena_free(&arena);
    return CORE_OK;
}

static core_status show_plan(const request *r)
{
    core_spec spec;
    par_plan plan;
    char text[PAR_PLAN_TEXT];
    CORE_TRY(core_config_open(&spec, NULL, &r->ignore, r->model));
    core_spec known;
    const core_status status = par_plan_parse(&plan, r->name);
    if (status != CORE_OK && core_config_open(&known, NULL, &r->ignore, r->name) == CORE_OK)
        return core_fail_context(status, "reading a plan; '%s' is a model: "
                                 "--gpus N lists its legal plans", r->name);
    CORE_TRY(status);
    CORE_TRY(par_plan_check(&plan, &spec));
    par_plan_format(&plan, text);
    printf("plan       %s for %s\n", text, spec.name);
    printf(
        "ranks      %d = pp %d x dp %d x tp %d; experts: ep %d x etp %d, scope "
        "%s\n",
        par_plan_world(&plan), plan.pp, plan.dp, plan.tp, plan.ep, plan.etp,
        plan.scope == PAR_SCOPE_STAGE ? "stage" : "replica");
    printf("groups of tokens  %d (rounds %d x dp %d x micro-batches %d)\n",
           plan.rounds * plan.dp * plan.mb, plan.rounds, plan.dp, plan.mb);
    for (int rank = 0; rank < par_plan_world(&plan); rank++)
        CORE_TRY(with_layout(&spec, &plan, rank));
    return CORE_OK;
}

/* --- other systems --- */

static const char *const systems[] = {
    [HAR_MEGATRON] = "megatron", [HAR_VLLM] = "vllm"};

static core_status emit_plan(const request *r)
{
    core_spec spec;
    par_plan plan;
    int system;
    CORE_TRY(har_choose(&system, "--emit", r->emit, systems, 2));
    CORE_FAIL_IF(r->name == NULL, CORE_E_USAGE, "--emit: expected a plan");
    CORE_TRY(core_config_open(&spec, NULL, &r->ignore, r->model));
    CORE_TRY(par_plan_parse(&plan, r->name));
    CORE_TRY(par_plan_check(&plan, &spec));
    return har_system_emit((har_system)system, &plan, &spec, stdout);
}

/* The file's text, or the text itself where there is no such file. */
static core_status read_arguments(const char *arg, char *text)
{
    FILE *file = fopen(arg, "rb");
    CORE_FAIL_IF(file == NULL && errno != ENOENT && errno != ENAMETOOLONG,
                 CORE_E_FILE, "%s: %s", arg, strerror(errno));
    size_t n = strlen(arg);
    if (file == NULL) {
        CORE_FAIL_IF(n >= MAX_ARGUMENT_BYTES, CORE_E_USAGE,
                     "--import: %zu characters, at most %d", n,
                     MAX_ARGUMENT_BYTES - 1);
        memcpy(text, arg, n + 1);
        return CORE_OK;
    }
    n = fread(text, 1, MAX_ARGUMENT_BYTES, file);
    const bool had_error = ferror(file) != 0;
    fclose(file);
    CORE_FAIL_IF(had_error, CORE_E_FILE, "%s: cannot be read", arg);
    CORE_FAIL_IF(n == MAX_ARGUMENT_BYTES || memchr(text, 0, n) != NULL,
                 CORE_E_FORMAT, "%s: expected a text of less than %d bytes",
                 arg, MAX_ARGUMENT_BYTES);
    text[n] = '\0';
    return CORE_OK;
}

static core_status import_plan(const request *r)
{
    core_spec spec;
    par_plan plan;
    void *text = NULL;
    CORE_FAIL_IF(r->name != NULL || r->emit != NULL || r->gpus != NULL,
                 CORE_E_USAGE, "--import: expected no plan beside it");
    CORE_TRY(core_config_open(&spec, NULL, &r->ignore, r->model));
    CORE_TRY(core_alloc(&text, MAX_ARGUMENT_BYTES, 1, "arguments"));
    core_status status = read_arguments(r->import, text);
    if (status == CORE_OK)
        status = har_megatron_import(&plan, text, &spec);
    free(text);
    CORE_TRY(status);
    puts(plan.text);
    return CORE_OK;
}

int har_cmd_plan(int argc, char **argv)
{
    request r = {.model = "seed-30b"};
    read_command_line(&r, argc, argv);
    if (r.import != NULL)
        return har_end(import_plan(&r));
    if (r.emit != NULL)
        return har_end(emit_plan(&r));
    if (r.gpus != NULL)
        return har_end(list_legal(&r));
    if (r.name == NULL) {
        write_presets();
        return 0;
    }
    return har_end(show_plan(&r));
}
