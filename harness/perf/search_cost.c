/* harness/perf/search_cost.c -- a plan's memory and time in closed form.
 *
 * All plans share a few operators, so a thread remembers the times it asked
 * for.  A stage's time t is the sum over its layers; a pass takes sum(t) +
 * (mb - 1) max(t), with scope=replica (mb + pp - 1) max(t), for its stages move
 * in lockstep; a full pipeline takes mb max(t), in decode no less than a pass
 * of one micro-batch.  Traps: with scope=replica a rank holds its experts of
 * all layers and serves all stages at once; a tensor rank dispatches only its
 * slice of the tokens; every etp rank of an expert gets all of its rows; a kv
 * head needed by two tensor ranks is on both.
 */
#include "harness/perf/search_cost.h"

#include "core/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- times once asked for
 * ----------------------------------------------------- */

enum { MEMO_BITS = 13, MEMO_SIZE = 1 << MEMO_BITS, N_KEY = 4 };

typedef enum operator_kind {
    OP_NONE, /* an empty place                                                */
    OP_GEMM,
    OP_EXPERTS,
    OP_ATTENTION,
    OP_BYTES,
    OP_COLLECTIVE, /* + har_collective                                        */
} operator_kind;

typedef struct question {
    double key[N_KEY];
    int kind, tier;
} question;

struct har_search_memo {
    question asked[MEMO_SIZE];
    har_time answer[MEMO_SIZE];
};

typedef struct pricing {
    const har_quick *e;
    har_search_memo *memo;
} pricing;

static har_time experts_time(const har_quick *e, const question *q)
{
    /* one rank's experts, layers side by side; key: rows, experts, columns */
    const double n_call = ceil(q->key[1] / HAR_MAX_EXPERTS);
    const har_moe moe = {.n_token = fmax(1, ceil(q->key[0] / n_call)),
                         .n_d = (double)e->spec->n_d,
                         .n_f = q->key[2],
                         .n_expert = (int)ceil(q->key[1] / n_call),
                         .n_k = 1,
                         .ep = 1,
                         .n_matrix = e->spec->gated ? 3 : 2};
    har_time time = har_time_moe(e->machine, e->dtype, &moe);
    time.seconds *= n_call;
    return time;
}

static har_time attention_time(const har_quick *e, const question *q)
{
    const har_attention attention = {
        .n_row = q->key[0],
        .n_t = (double)(e->n_kv > 0 ? e->n_kv : e->n_t),
        .n_h = q->key[1],
        .n_g = q->key[2],
        .n_dh = (double)e->spec->n_dh,
        .window = q->key[3],
        .kv_share = 1};
    return e->n_kv > 0 ? har_time_decode(e->machine, e->dtype, &attention)
                       : har_time_prefill(e->machine, e->dtype, &attention);
}

static har_time answer(const har_quick *e, const question *q)
{
    switch (q->kind) {
    case OP_GEMM:
        return har_time_gemm(e->machine, e->dtype, q->key[0], q->key[1],
                             q->key[2]);
    case OP_EXPERTS:
        return experts_time(e, q);
    case OP_ATTENTION:
        return attention_time(e, q);
    case OP_BYTES:
        return har_time_elementwise(e->machine, q->key[0]);
    default:
        return har_time_collective(
            e->machine, (har_collective)(q->kind - OP_COLLECTIVE), HAR_LIBRARY,
            q->key[0], (int)q->key[1], q->tier);
    }
}

static uint64_t hash_of(const question *q)
{
    uint64_t h = (uint64_t)q->kind * 1099511628211u + (uint64_t)q->tier;
    for (int i = 0; i < N_KEY; i++) {
        uint64_t bits;
        memcpy(&bits, &q->key[i], sizeof bits);
        h = (h ^ bits ^ bits >> 32) * 0x9e3779b97f4a7c15u;
    }
    return h >> (64 - MEMO_BITS);
}

static bool is_same(const question *a, const question *b)
{
    return a->kind == b->kind && a->tier == b->tier &&
           memcmp(a->key, b->key, sizeof a->key) == 0;
}

static har_time ask(const pricing *p, const question *q)
{
    const uint64_t at = hash_of(q);
    if (!is_same(&p->memo->asked[at], q)) {
        p->memo->answer[at] = answer(p->e, q);
        p->memo->asked[at] = *q;
    }
    return p->memo->answer[at];
}

/* --- a layer
 * ------------------------------------------------------------------ */

typedef struct part {
    double term[HAR_N_TERM];
} part;

static void add(part *sum, const part *more, double times)
{
    for (int i = 0; i < HAR_N_TERM; i++)
        sum->term[i] += times * more->term[i];
}

static double total(const part *p)
{
    double sum = 0;
    for (int i = 0; i < HAR_N_TERM; i++)
        sum += p->term[i];
    return sum;
}

static void compute(part *out, const pricing *p, question q)
{
    const har_time time = ask(p, &q);
    const har_search_term term =
        time.bound == HAR_BOUND_COMPUTE  ? HAR_TERM_ARITHMETIC
        : time.bound == HAR_BOUND_MEMORY ? HAR_TERM_MEMORY
                                         : HAR_TERM_SMALL;
    out->term[term] += time.seconds;
}

static void gemm(part *out, const pricing *p, double m, double n, double k)
{
    compute(out, p, (question){{m, n, k}, OP_GEMM, 0});
}

/* n_span: consecutive GPUs that the group's members are among. */
static void transfer(part *out, const pricing *p, har_search_term term,
                     har_collective kind, double bytes, int n, int n_span)
{
    const question q = {
        {bytes, n}, OP_COLLECTIVE + (int)kind, har_tier(p->e->machine, n_span)};
    if (n > 1)
        out->term[term] += ask(p, &q).seconds;
}

typedef struct sizes {
    double value_bytes;
    double rows, tokens; /* of the fullest micro-batch                        */
    double slice;        /* tokens that a tensor rank dispatches              */
    double n_h, n_g;     /* heads of a tensor rank                            */
    double row_bytes;    /* of all tokens' hidden states                      */
} sizes;

static double split_up(double n, double parts)
{
    return ceil(n / parts);
}

static sizes sizes_of(const har_quick *e, const har_shape *shape)
{
    const core_spec *s = e->spec;
    sizes z = {.value_bytes = (double)core_dtype_bytes(e->dtype)};
    z.rows = split_up(split_up((double)e->n_b, shape->dp), shape->mb);
    z.tokens = z.rows * (double)e->n_t;
    z.slice = split_up(z.tokens, shape->tp);
    z.n_h = (double)s->n_h / shape->tp;
    z.n_g = split_up((double)s->n_g, shape->tp);
    z.row_bytes = z.tokens * (double)s->n_d * z.value_bytes;
    return z;
}

static double window_of(const core_spec *s, int layer)
{
    switch (s->span[layer]) {
    case CORE_SPAN_FULL:
        return 0;
    case CORE_SPAN_CHUNK:
        return (double)s->chunk;
    default:
        return (double)s->sliding_window;
    }
}

static void attention_part(part *out, const pricing *p, const har_shape *shape,
                           const sizes *z, double window)
{
    const core_spec *s = p->e->spec;
    const double n_d = (double)s->n_d, n_dh = (double)s->n_dh;
    compute(out, p, (question){{2 * z->row_bytes}, OP_BYTES, 0});
    gemm(out, p, z->tokens, (z->n_h + 2 * z->n_g) * n_dh, n_d);
    compute(out, p,
            (question){{z->rows, z->n_h, z->n_g, window}, OP_ATTENTION, 0});
    gemm(out, p, z->tokens, n_d, z->n_h * n_dh);
    transfer(out, p, HAR_TERM_TENSOR, HAR_ALL_REDUCE, z->row_bytes, shape->tp,
             shape->tp);
    compute(out, p, (question){{2 * z->row_bytes}, OP_BYTES, 0});
}

static void mlp_part(part *out, const pricing *p, const har_shape *shape,
                     const sizes *z, double n_f)
{
    const double n_mine = split_up(n_f, shape->tp);
    const double n_d = (double)p->e->spec->n_d;
    gemm(out, p, z->tokens, n_mine * (p->e->spec->gated ? 2 : 1), n_d);
    gemm(out, p, z->tokens, n_d, n_mine);
    transfer(out, p, HAR_TERM_TENSOR, HAR_ALL_REDUCE, z->row_bytes, shape->tp,
             shape->tp);
}

/* Of all choices of an expert group those of its fullest rank; the layers that
 * a rank serves at once. */
static void moe_part(part *out, const pricing *p, const har_shape *shape,
                     const sizes *z)
{
    const har_quick *e = p->e;
    const core_spec *s = e->spec;
    const bool replica = shape->scope == PAR_SCOPE_REPLICA;
    const int n_set = shape->ep * shape->etp;
    const int n_layer = replica ? shape->pp : 1;
    const int n_span =
        replica ? (shape->pp - 1) * shape->dp * shape->tp + shape->tp : n_set;
    const double sent = z->slice * (double)s->n_k;
    const double rows = ceil(sent * n_set * e->most_share[shape->ep]);
    const double bytes =
        fmax(sent * shape->etp, rows) * (double)s->n_d * z->value_bytes;
    gemm(out, p, z->tokens, (double)s->n_e, (double)s->n_d);
    for (int i = 0; i < 2; i++) /* there and back */
        transfer(out, p, HAR_TERM_EXPERT, HAR_ALL_TO_ALL, bytes, n_set, n_span);
    compute(out, p,
            (question){{rows, split_up((double)s->n_e, shape->ep) * n_layer,
                        split_up((double)s->n_f, shape->etp)},
                       OP_EXPERTS,
                       0});
    transfer(out, p, HAR_TERM_TENSOR, HAR_ALL_GATHER, z->row_bytes, shape->tp,
             shape->tp);
}

/* --- a stage
 * ------------------------------------------------------------------ */

static void first_last(int *first, int *end, int64_t n_l, int pp, int stage)
{
    *first = (int)core_split_first(n_l, pp, stage);
    *end = (int)core_split_first(n_l, pp, stage + 1);
}

/* Parts that layers share, made once a plan. */
typedef struct layer_parts {
    part attention[3]; /* by core_span                                        */
    part moe, mlp[2];  /* mlp: of a dense layer, of a shared expert           */
} layer_parts;

static void make_parts(layer_parts *out, const pricing *p,
                       const har_shape *shape, const sizes *z)
{
    const core_spec *s = p->e->spec;
    bool has_span[3] = {false, false, false}, has_ffn[2] = {false, false};
    *out = (layer_parts){0};
    for (int l = 0; l < (int)s->n_l; l++) {
        const bool dense = !core_spec_is_moe(s, l);
        int64_t n_f;
        if (!has_span[s->span[l]])
            attention_part(&out->attention[s->span[l]], p, shape, z,
                           window_of(s, l));
        has_span[s->span[l]] = true;
        if (has_ffn[dense])
            continue;
        has_ffn[dense] = true;
        if (!dense)
            moe_part(&out->moe, p, shape, z);
        if (core_spec_has_mlp(s, l, &n_f))
            mlp_part(&out->mlp[!dense], p, shape, z, (double)n_f);
    }
}

static part stage_part(const pricing *p, const har_shape *shape, const sizes *z,
                       const layer_parts *parts, int stage)
{
    const core_spec *s = p->e->spec;
    part out = {{0}};
    int first, end;
    first_last(&first, &end, s->n_l, shape->pp, stage);
    for (int l = first; l < end; l++) {
        const bool dense = !core_spec_is_moe(s, l);
        add(&out, &parts->attention[s->span[l]], 1);
        add(&out, &parts->moe, dense ? 0 : 1);
        add(&out, &parts->mlp[!dense], 1);
    }
    if (stage == 0) {
        compute(&out, p, (question){{2 * z->row_bytes}, OP_BYTES, 0});
        transfer(&out, p, HAR_TERM_TENSOR, HAR_ALL_REDUCE, z->row_bytes,
                 shape->tp, shape->tp);
    }
    if (stage == shape->pp - 1)
        gemm(&out, p, z->tokens, split_up((double)s->n_v, shape->tp),
             (double)s->n_d);
    else
        transfer(&out, p, HAR_TERM_SEND, HAR_SEND_RECV, z->row_bytes, 2,
                 2 * shape->dp * shape->tp);
    return out;
}

static double balance_of(const har_quick *e, const har_shape *shape,
                         const sizes *z)
{
    const double rows = (double)e->n_b / (shape->dp * shape->mb * z->rows);
    const double layers =
        (double)e->spec->n_l /
        (shape->pp * split_up((double)e->spec->n_l, shape->pp));
    const double experts = 1 / (shape->ep * e->most_share[shape->ep]);
    return rows * layers * experts;
}

/* From batch to batch.  In decode a row's next token waits for the last one, so
 * fewer micro-batches than stages leave the pipeline empty in between. */
static double period(const har_quick *e, const har_shape *shape, double sum,
                     double most)
{
    const double full = shape->mb * most;
    if (e->n_kv == 0)
        return full;
    return fmax(full,
                shape->scope == PAR_SCOPE_REPLICA ? shape->pp * most : sum);
}

void har_quick_time(void *self, int thread, const har_shape *shape,
                    har_figures *out)
{
    const har_quick *e = self;
    const pricing p = {e, &e->memo[thread]};
    const sizes z = sizes_of(e, shape);
    layer_parts parts;
    part slowest = {{0}};
    double sum = 0;
    make_parts(&parts, &p, shape, &z);
    for (int stage = 0; stage < shape->pp; stage++) {
        const part mine = stage_part(&p, shape, &z, &parts, stage);
        sum += total(&mine);
        if (total(&mine) > total(&slowest))
            slowest = mine;
    }
    const double most = total(&slowest);
    out->latency = shape->scope == PAR_SCOPE_REPLICA
                       ? (shape->mb + shape->pp - 1) * most
                       : sum + (shape->mb - 1) * most;
    out->tokens_per_s = (double)(e->n_b * e->n_t) / period(e, shape, sum, most);
    for (int i = 0; i < HAR_N_TERM; i++)
        out->term[i] = shape->mb * slowest.term[i];
    out->term[HAR_TERM_BUBBLE] = out->latency - shape->mb * most;
    out->balance = balance_of(e, shape, &z);
}

/* --- memory
 * ------------------------------------------------------------------- */

/* Elements of the weights of a stage's rank. */
static double stage_weights(const core_spec *s, const har_shape *shape,
                            const sizes *z, int stage)
{
    const double n_d = (double)s->n_d, n_matrix = s->gated ? 3 : 2;
    const double vocab = split_up((double)s->n_v, shape->tp) * n_d;
    const double experts = split_up((double)s->n_e, shape->ep) * n_matrix *
                           n_d * split_up((double)s->n_f, shape->etp);
    const bool first_too = stage == 0, last_too = stage == shape->pp - 1;
    int first, end;
    int64_t n_f;
    first_last(&first, &end, s->n_l, shape->pp, stage);
    double n = (first_too ? vocab : 0) + (last_too ? vocab : 0);
    if (first_too && last_too && s->tied)
        n = vocab;
    for (int l = 0; l < (int)s->n_l; l++) {
        const bool mine = l >= first && l < end;
        if (core_spec_is_moe(s, l) &&
            (mine || shape->scope == PAR_SCOPE_REPLICA))
            n += experts;
        if (!mine)
            continue;
        n += n_d * (double)s->n_dh * 2 * (z->n_h + z->n_g) + 2 * n_d;
        if (core_spec_is_moe(s, l))
            n += n_d * (double)s->n_e;
        if (core_spec_has_mlp(s, l, &n_f))
            n += n_matrix * n_d * split_up((double)n_f, shape->tp);
    }
    return n;
}

/* Elements of the largest micro-batch in flight: hidden states, queries, keys
 * and values, the rows of experts with their inner columns, and the logits. */
static double activations(const har_quick *e, const har_shape *shape,
                          const sizes *z)
{
    const core_spec *s = e->spec;
    const bool has_experts = s->n_e > 0;
    const double n_set = (double)shape->ep * shape->etp;
    const double rows = has_experts ? z->slice * (double)s->n_k * n_set *
                                          e->most_share[shape->ep]
                                    : 0;
    const double inner = split_up((double)s->n_f, shape->etp);
    return z->tokens *
               (4 * (double)s->n_d + 2 * (z->n_h + z->n_g) * (double)s->n_dh) +
           rows * (2 * (double)s->n_d + 2 * inner) +
           z->tokens * split_up((double)s->n_v, shape->tp);
}

void har_quick_memory(void *self, const har_shape *shape, har_figures *out)
{
    const har_quick *e = self;
    const sizes z = sizes_of(e, shape);
    const double kept = (double)(e->n_kv > 0 ? e->n_kv : e->n_t);
    const double kv = split_up((double)e->n_b, shape->dp) * kept * 2 * z.n_g *
                      (double)e->spec->n_dh *
                      split_up((double)e->spec->n_l, shape->pp);
    double most = 0;
    for (int stage = 0; stage < shape->pp; stage++)
        most = fmax(most, stage_weights(e->spec, shape, &z, stage));
    out->weight_bytes = most * z.value_bytes;
    out->memory = (most + kv + activations(e, shape, &z)) * z.value_bytes;
}

/* --- making
 * ------------------------------------------------------------------- */

static core_status check_model(const har_quick *e)
{
    const core_spec *s = e->spec;
    CORE_FAIL_IF(s->n_h == 0, CORE_E_SPEC,
                 "%s: a single sub-layer, expected a whole model", s->name);
    CORE_FAIL_IF(core_spec_is_mla(s), CORE_E_SPEC,
                 "%s: latent attention, which the search does not time",
                 s->name);
    for (int l = 0; l < (int)s->n_l; l++)
        CORE_FAIL_IF(core_spec_has_mamba(s, l), CORE_E_SPEC,
                     "%s: layer %d has a mamba mixer, which the search does "
                     "not time",
                     s->name, l);
    CORE_FAIL_IF(!(e->machine->peak[e->dtype] > 0), CORE_E_USAGE,
                 "%s has no peak for %s", e->machine->name,
                 core_dtype_name(e->dtype));
    return CORE_OK;
}

/* The share of the fullest of ep ranks that hold consecutive experts. */
static double fullest(const har_quick *e, int ep)
{
    double most = 0;
    for (int r = 0; r < ep; r++) {
        const int64_t e0 = core_split_first(e->spec->n_e, ep, r);
        const int64_t e1 = core_split_first(e->spec->n_e, ep, r + 1);
        double sum = 0;
        for (int64_t i = e0; i < e1; i++)
            sum += e->share != NULL ? e->share[i] : 1.0 / (double)e->spec->n_e;
        most = fmax(most, sum);
    }
    return most;
}

core_status har_quick_make(har_quick *estimate)
{
    estimate->memo = NULL;
    estimate->most_share = NULL;
    CORE_TRY(check_model(estimate));
    const int n_e = (int)estimate->spec->n_e;
    estimate->memo = calloc((size_t)estimate->n_thread, sizeof *estimate->memo);
    estimate->most_share =
        calloc((size_t)n_e + 2, sizeof *estimate->most_share);
    CORE_FAIL_IF(estimate->memo == NULL || estimate->most_share == NULL,
                 CORE_E_MEMORY, "no memory for the times of %d threads",
                 estimate->n_thread);
    estimate->most_share[1] = 1;
    for (int ep = 1; ep <= n_e; ep++)
        estimate->most_share[ep] = fullest(estimate, ep);
    return CORE_OK;
}

void har_quick_free(har_quick *estimate)
{
    free(estimate->memo);
    free(estimate->most_share);
    estimate->memo = NULL;
    estimate->most_share = NULL;
}
