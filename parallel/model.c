/* parallel/model.c -- the shards of one rank: opened, measured, closed.
 *
 * A rank holds the layers of its stage, of all its chunks: its operators'
 * parts, MLP columns and vocabulary rows of its t; norms and the router whole.
 * Of the experts it holds its own ids and inner columns, of the layers that its
 * expert scope serves: those of its stage (scope=stage) or all (scope=replica).
 *
 * One function carves it all, first only counting: par_weight_bytes is that
 * first run.
 */
#include "parallel/forward_impl.h"

#include "core/blas/blas.h"

#include <stdlib.h>
#include <string.h>

static core_weight weight(core_weight_kind kind, int layer, int expert)
{
    return (core_weight){.kind = kind, .layer = layer, .expert = expert};
}

static par_norm make_norm(par_model *m, core_weight_kind w,
                          core_weight_kind bias, int l)
{
    return (par_norm){.weight = par__norm_weight(m, w, l, 0, PAR_END),
                      .bias = par__vector(m, bias, l, 0, PAR_END)};
}

static void make_mlp(par_model *m, par_mlp *mlp, int l)
{
    const int tp = m->layout->plan.tp, t = m->layout->t;
    const par__entry *shared = par__shared(m->spec, l);
    const int64_t n_f = core_spec_n_mlp(m->spec, l);
    if (n_f == 0)
        return;
    const int64_t f0 = core_split_first(n_f, tp, t);
    const int64_t f1 = core_split_first(n_f, tp, t + 1);
    mlp->exists = true;
    if (m->spec->gated)
        mlp->gate = par__rows(m, CORE_W_MLP_GATE, l, f0, f1);
    mlp->up = par__rows(m, CORE_W_MLP_UP, l, f0, f1);
    mlp->down = par__columns(m, CORE_W_MLP_DOWN, l, f0, f1);
    mlp->shared = shared != NULL ? shared->make(m, l) : NULL;
}

static par_layer make_layer(par_model *m, int l)
{
    const par__entry *mixer = par__mixer(m->spec, l);
    const par__connection *connection = par__connection_of(m->spec);
    par_layer layer = {0};
    for (int part = PAR_PART_MIXER; connection != NULL && part < PAR_PART_HEAD;
         part++)
        layer.around[part] = connection->make(m, l, (par__part)part);
    layer.attn_norm = make_norm(m, CORE_W_ATTN_NORM, CORE_W_ATTN_NORM_BIAS, l);
    layer.mixer = mixer != NULL ? mixer->make(m, l) : NULL;
    layer.ffn_norm = make_norm(m, CORE_W_FFN_NORM, CORE_W_FFN_NORM_BIAS, l);
    layer.attn_post = make_norm(m, CORE_W_ATTN_POST, CORE_W_NONE, l);
    layer.ffn_post = make_norm(m, CORE_W_FFN_POST, CORE_W_NONE, l);
    layer.scale = par__vector(m, CORE_W_LAYER_SCALE, l, 0, PAR_END);
    if (core_spec_is_moe(m->spec, l)) {
        layer.router = par__rows(m, CORE_W_ROUTER, l, 0, PAR_END);
        layer.router_norm = par__vector(m, CORE_W_ROUTER_NORM, l, 0, PAR_END);
        layer.correction = par__vector(m, CORE_W_CORRECTION, l, 0, PAR_END);
        if (core_spec_by_table(m->spec, l))
            layer.table =
                par__doubles(m, CORE_W_EXPERT_TABLE, l, 0, m->spec->n_v);
        layer.expert_scale =
            par__vector(m, CORE_W_EXPERT_SCALE, l, 0, PAR_END);
        layer.moe_norm = make_norm(m, CORE_W_MOE_NORM, CORE_W_NONE, l);
        layer.moe_post = make_norm(m, CORE_W_MOE_POST, CORE_W_NONE, l);
        layer.mlp_post = make_norm(m, CORE_W_MLP_POST, CORE_W_NONE, l);
        if (m->spec->n_de > 0) {
            layer.narrow = par__rows(m, CORE_W_NARROW, l, 0, PAR_END);
            layer.wide = par__rows(m, CORE_W_WIDE, l, 0, PAR_END);
            layer.wide_norm = par__vector(m, CORE_W_WIDE_NORM, l, 0, PAR_END);
        }
    }
    make_mlp(m, &layer.mlp, l);
    return layer;
}

static par_expert make_expert(par_model *m, int l, int e)
{
    const par_layout *lay = m->layout;
    const int64_t f0 = lay->first_f[lay->etp_i];
    const int64_t f1 = lay->first_f[lay->etp_i + 1];
    par_expert x = {0};
    if (m->spec->gated)
        x.gate = par__shard_make(m, weight(CORE_W_EXPERT_GATE, l, e), f0, f1, 0,
                                 PAR_END, 1);
    x.up = par__shard_make(m, weight(CORE_W_EXPERT_UP, l, e), f0, f1, 0,
                           PAR_END, 1);
    x.down = par__shard_make(m, weight(CORE_W_EXPERT_DOWN, l, e), 0, PAR_END,
                             f0, f1, lay->plan.etp);
    return x;
}

/* Has the layer experts that this rank serves? */
static bool serves(const par_model *m, int l)
{
    return core_spec_is_moe(m->spec, l) &&
           (m->layout->plan.scope == PAR_SCOPE_REPLICA ||
            m->layout->local_layer[l] >= 0);
}

/* pair_layer: pair j serves the j-th MoE layer of every virtual stage. */
static void make_tables(par_model *m)
{
    const par_layout *lay = m->layout;
    const int n_part = par_plan_parts(&lay->plan);
    const int n_entry = n_part * lay->n_pair;
    m->n_moe = 0;
    for (int l = 0; l < m->spec->n_l; l++)
        m->n_moe += serves(m, l) ? 1 : 0;
    m->moe_index = core_arena_take(&m->shards, m->spec->n_l, sizeof(int));
    m->pair_layer = core_arena_take(&m->shards, n_entry, sizeof(int));
    if (m->moe_index == NULL)
        return;
    for (int l = 0, n = 0; l < m->spec->n_l; l++)
        m->moe_index[l] = serves(m, l) ? n++ : -1;
    for (int i = 0; i < n_entry; i++)
        m->pair_layer[i] = -1;
    for (int part = 0; part < n_part; part++)
        for (int l = lay->first_layer[part], j = 0;
             l < lay->first_layer[part + 1]; l++)
            if (core_spec_is_moe(m->spec, l))
                m->pair_layer[part * lay->n_pair + j++] = l;
}

/* One tile of a matrix that is as large as any. */
static void make_tiles(par_model *m)
{
    int64_t widest = 0;
    for (int l = 0; l < m->spec->n_l; l++)
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
            const core_weight id = weight((core_weight_kind)k, l, 0);
            int64_t n_row, n_col;
            if (core_weight_scope_of(id.kind) == CORE_SCOPE_ONCE ||
                !core_weight_exists(m->spec, id))
                continue;
            core_weight_shape(m->spec, id, &n_row, &n_col);
            n_row = n_row > n_col ? n_row : n_col;
            widest = n_row > widest ? n_row : widest;
        }
    const int64_t longest = m->spec->n_v > widest ? m->spec->n_v : widest;
    int64_t n = longest * widest;
    if (n > PAR_TILE_ELEMENTS)
        n = widest > PAR_TILE_ELEMENTS ? widest : PAR_TILE_ELEMENTS;
    const int64_t n32 = core_uses_floats(m->numerics) ? n : 0;
    m->tile64 = core_arena_f64(&m->shards, n);
    m->tile32 = core_arena_take(&m->shards, n32, sizeof(float));
}

static void make_ends(par_model *m)
{
    const core_spec *spec = m->spec;
    const par_layout *lay = m->layout;
    const bool is_first = lay->stage == 0;
    const bool is_last = lay->stage == lay->plan.pp - 1;
    const int64_t v0 = lay->first_vocab[lay->t];
    const int64_t v1 = lay->first_vocab[lay->t + 1];
    const core_weight embed = weight(CORE_W_EMBED, 0, 0);
    if (is_first)
        m->embed = par__shard_make(m, embed, v0, v1, 0, spec->n_d, 1);
    if (!is_last)
        return;
    if (par__connection_of(spec) != NULL)
        m->around_head = par__connection_of(spec)->make(m, 0, PAR_PART_HEAD);
    m->final_norm = make_norm(m, CORE_W_FINAL_NORM, CORE_W_FINAL_NORM_BIAS, 0);
    if (spec->tied && is_first)
        m->head = m->embed; /* the very same rectangle, in the same place */
    else
        m->head =
            par__shard_make(m, spec->tied ? embed : weight(CORE_W_HEAD, 0, 0),
                            v0, v1, 0, spec->n_d, 1);
    if (spec->tied)
        m->head.bias = par__vector(m, CORE_W_HEAD_BIAS, 0, v0, v1);
}

static void carve(par_model *m)
{
    const par_layout *lay = m->layout;
    make_tables(m);
    make_tiles(m);
    m->layer = core_arena_take(&m->shards, lay->n_my_layer, sizeof *m->layer);
    for (int i = 0; i < lay->n_my_layer; i++) {
        const par_layer layer = make_layer(m, lay->my_layer[i]);
        if (m->layer != NULL)
            m->layer[i] = layer;
    }
    if (m->spec->n_h > 0)
        make_ends(m);
    m->expert = core_arena_take(
        &m->shards, (int64_t)m->n_moe * lay->n_my_expert, sizeof *m->expert);
    for (int l = 0, i = 0; l < m->spec->n_l; l++)
        for (int e = 0; serves(m, l) && e < lay->n_my_expert; e++, i++) {
            const par_expert x = make_expert(m, l, lay->experts[l].mine[e]);
            if (m->expert != NULL)
                m->expert[i] = x;
        }
    const int n_slot = m->n_moe * lay->n_my_expert;
    m->n_row = core_arena_i64(&m->shards, n_slot);
    for (int i = 0; m->n_row != NULL && i < n_slot; i++)
        m->n_row[i] = 0;
}

static size_t measure(par_model *m, bool keeps_dense, bool keeps_experts)
{
    m->keeps.dense = keeps_dense;
    m->keeps.experts = keeps_experts;
    m->shards = core_arena_measure();
    carve(m);
    return m->shards.peak_bytes;
}

static par_model describe(const core_spec *spec, const par_layout *layout,
                          core_numerics numerics)
{
    return (par_model){
        .layout = layout, .spec = spec, .numerics = numerics};
}

size_t par_weight_bytes(const core_spec *spec, const par_layout *layout,
                        core_numerics numerics)
{
    par_model m = describe(spec, layout, numerics);
    return measure(&m, true, true);
}

size_t par_tiled_weight_bytes(const core_spec *spec, const par_layout *layout,
                              core_numerics numerics)
{
    par_model m = describe(spec, layout, numerics);
    return measure(&m, true, false);
}

size_t par_least_weight_bytes(const core_spec *spec, const par_layout *layout,
                              core_numerics numerics)
{
    par_model m = describe(spec, layout, numerics);
    return measure(&m, false, false);
}

/* Engines keep codes and scales, and split neither. */
static core_status refuse_cut(const par_model *m)
{
    char name[CORE_NAME_BYTES];
    const par_cut *cut = &m->cut;
    CORE_FAIL_IF(cut->block > 0, CORE_E_PLAN,
                 "%s: a shard begins at %s %lld, inside a block of %lld that "
                 "share a scale: %lld %% %lld is %lld, expected 0%s",
                 core_weight_name(cut->id, name), cut->what,
                 (long long)cut->at, (long long)cut->block, (long long)cut->at,
                 (long long)cut->block, (long long)(cut->at % cut->block),
                 cut->of_operand
                     ? " (of activations, by --act-quant)"
                     : "; --cut-blocks splits what is dequantised");
    return CORE_OK;
}

/* A lane of each micro-batch, whatever the order of work, and two streams.   */
static core_status open_lanes(par_model *m)
{
    const int n = m->layout->plan.mb, n_stream = 2 * n;
    void *memory;
    CORE_TRY(core_alloc(&memory, n, sizeof *m->lane, "lanes"));
    m->lane = memory;
    memset(m->lane, 0, (size_t)n * sizeof *m->lane);
    CORE_TRY(core_alloc(&memory, n_stream, sizeof *m->stream, "streams"));
    m->stream = memory;
    memset(m->stream, 0, (size_t)n_stream * sizeof *m->stream);
    return CORE_OK;
}

static core_status open_shards(par_model *m)
{
    const par_options *options = &m->options;
    if (measure(m, true, true) > options->weight_budget_bytes &&
        measure(m, true, false) > options->dense_budget_bytes)
        measure(m, false, false);
    CORE_TRY(refuse_cut(m));
    CORE_TRY(open_lanes(m));
    CORE_TRY_CTX(core_arena_make(&m->shards),
                 "while making room for %s's shards", m->spec->name);
    carve(m);
    return CORE_OK;
}

core_status par_model_open(par_model **out, par_comm *comm,
                           const par_layout *layout, const core_spec *spec,
                           const core_weights *weights, core_numerics numerics,
                           const par_options *options)
{
    void *memory;
    CORE_TRY(core_alloc(&memory, 1, sizeof(par_model), "the model"));
    par_model *m = memory;
    *m = describe(spec, layout, numerics);
    m->comm = comm;
    m->weights = weights;
    m->options = *options;
    m->options.n_threads = options->n_threads > 1 ? options->n_threads : 1;
    const core_status status = open_shards(m);
    if (status != CORE_OK) {
        par_model_close(m);
        return status;
    }
    (void)core_blas_set_threads(1); /* products are handed out here */
    *out = m;
    return CORE_OK;
}

void par_model_close(par_model *m)
{
    if (m == NULL)
        return;
    par_grow *const buffers[] = {&m->sorted_rows, &m->inner_gate, &m->inner_up,
                                 &m->table,       &m->operand,    &m->largest};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        par__grow_free(buffers[i]);
    for (int i = 0; m->lane != NULL && i < m->layout->plan.mb; i++) {
        par__grow_free(&m->lane[i].meta);
        par__grow_free(&m->lane[i].table);
        par__grow_free(&m->lane[i].rows);
    }
    par__cache_close(m->cache);
    free(m->lane);
    free(m->stream);
    core_arena_free(&m->shards);
    free(m);
}
