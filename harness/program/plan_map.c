/* harness/program/plan_map.c -- the ranks of a plan: a table.
 *
 * Placements use the words of the field: each tensor is Shard(dim), Replicate
 * or Partial on each axis of its mesh.
 */
#include "harness/program/plan_map.h"

#include "core/base/arena.h"
#include "harness/words/words.h"
#include "parallel/forward.h"
#include "parallel/layout.h"
#include "parallel/turns.h"

static int their_rank(har_system system, const par_plan *plan, int ours)
{
    return system < HAR_N_SYSTEMS ? har_system_rank(system, plan, ours) : ours;
}

static void vocabulary(const core_spec *spec, const par_layout *l,
                       har_system system, int64_t *first, int64_t *end)
{
    *first = l->first_vocab[l->t];
    *end = l->first_vocab[l->t + 1];
    if (system < HAR_N_SYSTEMS)
        har_system_vocabulary(system, &l->plan, spec, l->t, first, end);
}

static void write_experts(const par_layout *l)
{
    const int *mine = l->experts->mine;
    if (l->n_my_expert == 0) {
        printf("none");
        return;
    }
    if (l->plan.n_mapped > 0) {
        printf("physical %d-%d", l->ep_i * l->n_my_expert,
               (l->ep_i + 1) * l->n_my_expert - 1);
        return;
    }
    for (int i = 0; i < l->n_my_expert; i++) {
        int last = i;
        while (last + 1 < l->n_my_expert && mine[last + 1] == mine[last] + 1)
            last++;
        printf(i > 0 ? ",%d" : "%d", mine[i]);
        if (last > i)
            printf("-%d", mine[last]);
        i = last;
    }
}

static void write_rank(const core_spec *spec, const par_layout *l,
                       har_system system)
{
    int64_t v0, v1;
    char text[16];
    const par_heads *h = &l->heads[0];
    const size_t bytes = par_weight_bytes(spec, l, CORE_FP32);
    vocabulary(spec, l, system, &v0, &v1);
    printf("%5d  %5d %3d ", their_rank(system, &l->plan, l->rank), l->stage,
           l->d);
    if (l->plan.cp > 1)
        printf("%3d ", l->c);
    printf("%3d  %3d %4d %4d ", l->t, l->ep_i, l->etp_i, l->edp_i);
    for (int chunk = 0; chunk < l->plan.vpp; chunk++) {
        const int part = par_virtual_stage(&l->plan, l->stage, chunk);
        printf(" %3d-%-3d", l->first_layer[part], l->first_layer[part + 1] - 1);
    }
    if (spec->n_h > 0)
        printf(" %3lld-%-3lld %3lld-%-3lld %6lld-%-6lld", (long long)h->h0,
               (long long)(h->h0 + h->n_h) - 1, (long long)h->kv0,
               (long long)(h->kv0 + h->n_kv) - 1, (long long)v0,
               (long long)v1 - 1);
    printf(" %5lld-%-5lld %-10s ", (long long)l->first_f[l->etp_i],
           (long long)l->first_f[l->etp_i + 1] - 1,
           har_format_bytes(bytes, text));
    write_experts(l);
    putchar('\n');
}

static void write_group(const par_group *g, const par_plan *plan,
                        har_system system)
{
    printf("  %-4s of rank 0:", g->name);
    for (int i = 0; i < g->n && i < 16; i++)
        printf(" %d", their_rank(system, plan, g->rank[i]));
    printf(g->n > 16 ? " ... (%d ranks)\n" : "\n", g->n);
}

/* Of each layer with experts, the logical expert of every physical one, and back. */
static void write_physical(const core_spec *spec, const par_layout *l)
{
    const par_plan *p = &l->plan;
    const int n_slot = l->n_my_expert;
    printf("experts    %d physical in each layer, %d on each of %d ep indices\n",
           p->n_physical, n_slot, p->ep);
    for (int layer = 0, i = 0; layer < (int)spec->n_l; layer++) {
        if (!core_spec_is_moe(spec, layer))
            continue;
        const uint16_t *logical = p->physical + (int64_t)i++ * p->n_physical;
        printf("  layer %d, logical of physical:", layer);
        for (int k = 0; k < p->n_physical; k++)
            printf("%s %d", k > 0 && k % n_slot == 0 ? " |" : "", logical[k]);
        printf("\n  layer %d, physical of logical:", layer);
        for (int e = 0; e < (int)spec->n_e; e++) {
            const char *mark = " ";
            for (int k = 0; k < p->n_physical; k++)
                if (logical[k] == e) {
                    printf("%s%d", mark, k);
                    mark = "+";
                }
        }
        putchar('\n');
    }
}

static const char *const over_cp[PAR_N_CP_KINDS] = {
    [PAR_CP_GATHER] = "keys and values gathered for attention",
    [PAR_CP_RING] = "keys and values go round for attention, part by part",
    [PAR_CP_ULYSSES] = "for attention Shard(heads) of whole rows, by an "
                       "all-to-all there and one back"};

static void write_placements(const core_spec *spec, const par_plan *plan)
{
    puts("placements (attention mesh: pp, dp, cp, tp; expert mesh: ep, etp, "
         "edp)");
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
    printf("  activations          dp Shard(rows), tp %s; q, k, v, "
           "context tp "
           "Shard(heads); logits tp Shard(vocabulary)\n",
           plan->sp ? "Shard(tokens) between the blocks, gathered in front of "
                      "what is cut over tp, scattered behind it"
                    : "Replicate");
    if (plan->cp > 1)
        printf("  over cp              activations Shard(tokens of a row), two "
               "runs each; %s; weights Replicate\n",
               over_cp[plan->cp_kind]);
}

static core_status with_layout(const core_spec *spec, const par_plan *plan,
                               int rank, har_system system)
{
    core_arena arena = core_arena_measure();
    par_layout layout;
    CORE_TRY(par_layout_make(&layout, &arena, spec, plan, rank));
    if (rank == 0) {
        printf("groups\n");
        write_group(&layout.tp_group, plan, system);
        if (plan->cp > 1)
            write_group(&layout.cp_group, plan, system);
        write_group(&layout.ep_group, plan, system);
        write_group(&layout.etp_group, plan, system);
        write_placements(spec, plan);
        if (plan->n_mapped > 0)
            write_physical(spec, &layout);
        printf(" rank  stage  dp  %stp   ep  etp  edp   layers%*s",
               plan->cp > 1 ? "cp  " : "", 8 * (plan->vpp - 1), "");
        printf(spec->n_h > 0 ? "   heads      kv    vocabulary" : "");
        printf("       inner  weights    experts\n");
    }
    write_rank(spec, &layout, system);
    core_arena_free(&arena);
    return CORE_OK;
}

/* Which micro-batch each stage works on, tick by tick, with which of its chunks
 * of layers: "3b" is micro-batch 3 with the second.                          */
static void write_turns(const par_plan *plan)
{
    enum { MOST = 24 };
    const int n = par_turns(plan, plan->mb), n_shown = n < MOST ? n : MOST;
    printf("turns      %d ticks a round; 3b: micro-batch 3 with the second run "
           "of layers\n  tick    ", n);
    for (int tick = 0; tick < n_shown; tick++)
        printf(" %4d", tick);
    putchar('\n');
    for (int stage = 0; stage < plan->pp && stage < MOST; stage++) {
        printf("  stage %-3d", stage);
        for (int tick = 0; tick < n_shown; tick++) {
            const par_turn at = par_turn_of(plan, plan->mb, stage, tick);
            if (at.run < 0)
                printf("    .");
            else
                printf(" %3d%c", at.run, 'a' + at.chunk % 26);
        }
        puts(n > n_shown ? " ..." : "");
    }
}

/* What else the system does in its own way. */
static void write_system(const core_spec *spec, const par_plan *plan,
                         har_system system)
{
    static const char *const rows[] = {
        [HAR_ROWS_IN_BLOCKS] = "micro-batch m of replica d has row d mb + m",
        [HAR_ROWS_DEALT] = "micro-batch m of replica d has row m dp + d",
        [HAR_ROWS_SCHEDULED] = "as its scheduler deals them"};
    int64_t first, end;
    har_system_vocabulary(system, plan, spec, plan->tp - 1, &first, &end);
    printf("numbers    as %s has them; rows: %s\n", har_system_name(system),
           rows[har_system_rows(system)]);
    if (end != spec->n_v)
        printf("vocabulary %lld rows, from %lld on padding\n", (long long)end,
               (long long)spec->n_v);
}

core_status har_plan_map_show(const core_spec *spec, const par_plan *plan,
                              har_system system)
{
    char text[PAR_PLAN_TEXT], cp[24] = "", vpp[24] = "";
    par_plan_format(plan, text);
    if (plan->cp > 1)
        snprintf(cp, sizeof cp, " x cp %d", plan->cp);
    if (plan->vpp > 1)
        snprintf(vpp, sizeof vpp, " (of %d runs)", plan->vpp);
    printf("plan       %s for %s\n", text, spec->name);
    printf("ranks      %d = pp %d%s x dp %d%s x tp %d; experts: ep %d x etp "
           "%d, scope %s\n",
           par_plan_world(plan), plan->pp, vpp, plan->dp, cp, plan->tp,
           plan->ep, plan->etp,
           plan->scope == PAR_SCOPE_STAGE ? "stage" : "replica");
    printf("groups of tokens  %d (rounds %d x dp %d x micro-batches %d)\n",
           plan->rounds * plan->dp * plan->mb, plan->rounds, plan->dp,
           plan->mb);
    if (plan->vpp > 1)
        write_turns(plan);
    if (system < HAR_N_SYSTEMS)
        write_system(spec, plan, system);
    for (int i = 0; i < par_plan_world(plan); i++)
        CORE_TRY(with_layout(
            spec, plan,
            system < HAR_N_SYSTEMS ? har_system_ours(system, plan, i) : i,
            system));
    return CORE_OK;
}
