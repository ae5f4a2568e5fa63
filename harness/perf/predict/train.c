/* harness/perf/predict/train.c -- see train.h.
 *
 * The forward pass of one micro-batch is laid out as for a prediction whose
 * ranks speak for their stages (lanes.c).  Products and transfers of the way
 * back have records of their own (cost/backward.h); what is between products is
 * done twice there.  What a layer's records take back for what they take there
 * is the same in all of its ticks.  Transfers of the way there come again where
 * layers are made again.
 *
 * Traps: a chunk of layers is one of vpp, a tick has one chunk; the sums of
 * gradients are recorded weight by weight, but go together, as long messages.
 */
#include "harness/perf/predict/train.h"

#include "harness/perf/cost/backward.h"
#include "harness/perf/cost/memory.h"
#include "harness/perf/machine/tiers.h"
#include "harness/perf/predict/impl.h"

#include <math.h>
#include <string.h>

static const double NINETY = 1.645;

const char *har_recompute_name(har_recompute recompute)
{
    static const char *const name[HAR_N_RECOMPUTE] = {"none", "selective",
                                                      "full"};
    return name[recompute];
}

double har_train_state_bytes(core_dtype parameters)
{
    enum { FP32 = 4 };
    return parameters == CORE_DTYPE_F32 ? 2 * FP32 : 3 * FP32;
}

int har_train_in_flight(const par_plan *plan, int stage, int n_mb)
{
    const int behind = plan->pp - 1 - stage;
    const int n = plan->vpp > 1 ? 2 * behind + (plan->vpp - 1) * plan->pp + 1
                                : behind + 1;
    const int all = n_mb * plan->vpp;
    return n < all ? n : all;
}

/* What a stage is asked for, and how a world errs. */
typedef struct training {
    har_predictor *p;
    const har_train_case *r;
    par_layout lay;
    int tier[CORE_N_AXES];
    int tier_of_sums;

    har_step_stage step;
    double part;              /* a micro-batch, of those that are walked      */
    double end_there;         /* computing in embedding and head              */
    double there[2], back[2]; /* of records, seconds: layers; the two ends    */
    double kept, layer_kept;  /* elements of a micro-batch, of its last layer */
    double most_kept;         /* of a layer                                   */
    int layer, mb;            /* that layer_kept is of                        */
    double sums[CORE_N_AXES]; /* elements of gradients                        */
} training;

/* --- the way there --- */

static bool is_end(const char *op)
{
    return op == par_operator_name(PAR_OP_EMBED) ||
           op == par_operator_name(PAR_OP_HEAD);
}

/* Events of a tick of a lane. */
static void add_tick(training *t, int lane, int tick)
{
    const har_predictor *p = t->p;
    const int64_t *first =
        p->first + (int64_t)lane * (p->schedule.n_tick + 1) + tick;
    const bool all_again = t->r->recompute == HAR_RECOMPUTE_FULL;
    for (int64_t i = first[0]; i < first[1]; i++) {
        const har_event *e = &p->event[i];
        const har_class *c = &p->class_of[e->class_i];
        if (e->kind == HAR_EVENT_SEND)
            t->step.send = e->seconds;
        else if (is_end(c->op))
            *(e->kind == HAR_EVENT_COMPUTE ? &t->end_there : &t->step.ends) +=
                e->seconds;
        else if (e->kind == HAR_EVENT_MEET)
            t->step.moves += (all_again ? 2 : 1) * e->seconds;
        else if (e->kind == HAR_EVENT_COMPUTE) {
            t->step.forward += e->seconds;
            t->step.n_op++;
        }
    }
}

/* The ticks of one micro-batch: all chunks; where stages are in step, of one
 * when as many are at work as ever. */
static void add_forward(training *t, int lane)
{
    const har_predictor *p = t->p;
    const bool in_step = p->plan.scope == PAR_SCOPE_REPLICA;
    const int at = p->plan.mb < p->plan.pp ? lane : p->plan.pp - 1;
    const int first = in_step ? at : 0;
    const int end = in_step ? at + 1 : p->schedule.n_tick;
    for (int tick = first; tick < end; tick++)
        add_tick(t, lane, tick);
    const double least = HAR_OPS_PER_LAYER * (double)t->lay.n_my_layer;
    t->step.n_op = fmax(t->step.n_op, least);
    if (t->r->recompute == HAR_RECOMPUTE_FULL) {
        t->step.again = t->step.forward;
        t->step.n_op_again = t->step.n_op;
    }
}

/* --- what is kept --- */

/* Results that nobody reads on the way back: they are added to something, or
 * turned.  A layer's output stands for the input of the next. */
static bool is_read_back(const core_cost *c)
{
    switch ((int)c->tap.kind) {
    case CORE_TAP_EMBED:
    case CORE_TAP_Q:
    case CORE_TAP_K:
    case CORE_TAP_ATTN_OUT:
    case CORE_TAP_ATTN_POST:
    case CORE_TAP_ROUTER_LOGITS:
    case CORE_TAP_EXPERT_OUT:
    case CORE_TAP_COMBINE:
    case CORE_TAP_MLP_OUT:
    case CORE_TAP_FFN_OUT:
    case CORE_TAP_FFN_POST:
        return false;
    case CORE_TAP_RECV: /* sorted, not packed */
        return c->op == par_operator_name(PAR_OP_EXPERT);
    default:
        return true;
    }
}

/* A norm or an activation: made of what is kept anyway. */
static bool is_selected(const core_cost *c)
{
    return c->kind == CORE_COST_ELEMENTWISE &&
           (c->op == par_operator_name(PAR_OP_NORM) ||
            c->tap.kind == CORE_TAP_EXPERT_ACT ||
            c->tap.kind == CORE_TAP_MLP_ACT);
}

/* Elements that are kept of a record; of logits as fp32. */
static double kept_of(const training *t, const core_cost *c)
{
    const double bytes = (double)core_dtype_bytes(t->r->what->types.dtype);
    if (c->kind == CORE_COST_COLLECTIVE) /* experts' results, for the router */
        return c->tap.kind == CORE_TAP_BACK ? (double)c->out : 0;
    if (c->tap.kind == CORE_TAP_LOGITS)
        return 4 / bytes * (double)c->written;
    return is_read_back(c) ? (double)(c->written + c->kv_written) : 0;
}

/* Seconds of a record there, and of what it is on the way back. */
static double see_both_ways(training *t, const core_cost *c)
{
    const bool is_product =
        c->kind == CORE_COST_GEMM || c->kind == CORE_COST_GROUPED_GEMM;
    const bool ends = is_end(c->op);
    core_cost back[2];
    const double seconds = har_timer_ask(&t->p->timer, c, 0).seconds;
    t->there[ends] += seconds;
    if (!is_product) {
        t->back[ends] += HAR_BACKWARD * seconds;
        return seconds;
    }
    har_cost_products_back(c, back);
    for (int i = 0; i < 2; i++)
        t->back[ends] += har_timer_ask(&t->p->timer, &back[i], 0).seconds;
    return seconds;
}

static void see_record(void *self, const core_cost *c)
{
    training *t = self;
    double seconds = 0;
    const bool is_global = core_tap_is_global(c->tap.kind);
    double kept = kept_of(t, c);
    if (c->mb < 0)
        return;
    if (c->kind != CORE_COST_COLLECTIVE)
        seconds = see_both_ways(t, c);
    if (c->tap.kind == CORE_TAP_LOGITS && c->kind == CORE_COST_GEMM)
        t->step.ends +=
            t->part * har_step_loss(t->p->machine, (double)c->written);
    if (t->r->recompute == HAR_RECOMPUTE_SELECTIVE && is_selected(c)) {
        t->step.again += t->part * seconds;
        t->step.n_op_again += t->part;
        kept = 0;
    }
    if (t->r->recompute != HAR_RECOMPUTE_FULL || is_global) {
        t->kept += t->part * kept;
        return;
    }
    if (c->tap.layer != t->layer || c->mb != t->mb)
        t->layer_kept = 0;
    t->layer = c->tap.layer;
    t->mb = c->mb;
    t->layer_kept += kept;
    t->most_kept = fmax(t->most_kept, t->layer_kept);
    if (c->tap.kind == CORE_TAP_OUT && c->kind != CORE_COST_COLLECTIVE)
        t->kept += t->part * kept;
}

/* --- the way back --- */

static void see_transfer(void *self, const core_cost *c)
{
    training *t = self;
    if (c->axis == CORE_AXIS_DP || c->axis == CORE_AXIS_EDP ||
        c->axis == CORE_AXIS_ENDS || c->mb < 0) {
        t->sums[c->axis] += (double)c->in;
        return;
    }
    if (c->group < 2 || c->axis == CORE_AXIS_PP)
        return;
    t->step.moves +=
        t->part * har_timer_ask(&t->p->timer, c, t->tier[c->axis]).seconds;
}

/* --- after the last micro-batch, or in each --- */

static double moved(const training *t, har_collective kind, double bytes, int n)
{
    if (n < 2 || bytes <= 0)
        return 0;
    return har_time_collective(t->p->machine, kind, HAR_LIBRARY, bytes, n,
                               t->tier_of_sums)
        .seconds;
}

/* Gradients of `elements` parameters that n ranks have: summed once a step, or
 * split from the start and summed in every micro-batch; parameters gathered
 * after the optimiser, or on the way there and back of every micro-batch. */
static double exchange(const training *t, double elements, int n, double n_mb)
{
    const har_train_case *r = t->r;
    const double grads = elements * (double)core_dtype_bytes(r->gradients);
    const double weights =
        elements * (double)core_dtype_bytes(r->what->types.dtype);
    if (r->zero == 0)
        return moved(t, HAR_ALL_REDUCE, grads, n);
    return (r->zero >= 2 ? n_mb : 1) * moved(t, HAR_REDUCE_SCATTER, grads, n) +
           (r->zero == 3 ? 2 * n_mb : 1) *
               moved(t, HAR_ALL_GATHER, weights, n);
}

typedef struct share {
    double dense, expert; /* elements that a rank has                         */
    int n_dense, n_expert; /* ranks that have them                            */
} share;

static share share_of(const training *t)
{
    const par_plan *k = &t->lay.plan;
    const core_spec *spec = t->r->what->spec;
    const bool everywhere = k->scope == PAR_SCOPE_REPLICA;
    share s = {.n_dense = k->dp * k->cp,
               .n_expert = everywhere ? k->dp
                                      : k->dp * k->cp * k->tp /
                                            (k->ep * k->etp)};
    for (int l = 0; l < (int)spec->n_l; l++)
        if (everywhere || t->lay.local_layer[l] >= 0)
            s.expert += har_cost_expert_size(spec, &t->lay, NULL, l);
    s.dense = har_cost_weight_size(spec, &t->lay, NULL) - s.expert;
    return s;
}

static double split(double elements, int n, bool is_split)
{
    return is_split ? elements / n : elements;
}

static double both(const share *s, bool is_split)
{
    return split(s->dense, s->n_dense, is_split) +
           split(s->expert, s->n_expert, is_split);
}

static void add_after(training *t, const share *s, double n_mb,
                      har_training_step *out)
{
    const par_plan *k = &t->lay.plan;
    const double bytes = (double)core_dtype_bytes(t->r->gradients);
    const double sums =
        exchange(t, t->sums[CORE_AXIS_DP], s->n_dense, n_mb) +
        exchange(t, t->sums[CORE_AXIS_EDP], s->n_expert, n_mb) +
        moved(t, HAR_ALL_REDUCE, t->sums[CORE_AXIS_TP] * bytes, k->tp) +
        (k->pp > 1 ? moved(t, HAR_ALL_REDUCE,
                           t->sums[CORE_AXIS_ENDS] * bytes, 2)
                   : 0);
    const double optimiser =
        har_step_optimiser(t->p->machine, both(s, t->r->zero >= 1));
    t->step.after = sums + optimiser;
    out->gradients = fmax(out->gradients, sums);
    out->optimiser = fmax(out->optimiser, optimiser);
}

/* --- memory --- */

static double widest_layer(const training *t)
{
    const core_spec *spec = t->r->what->spec;
    double most = 0;
    for (int i = 0; i < t->lay.n_my_layer; i++) {
        const int l = t->lay.my_layer[i];
        most = fmax(most, har_cost_layer_size(spec, &t->lay, NULL, l) +
                              har_cost_expert_size(spec, &t->lay, NULL, l));
    }
    return most;
}

static void find_memory(const training *t, const share *s, int n_mb, int lane,
                        har_train_memory *out)
{
    const har_predict_case *w = t->r->what;
    const double bytes = (double)core_dtype_bytes(w->types.dtype);
    const int64_t n_part =
        (int64_t)w->plan->rounds * w->plan->dp * w->plan->mb;
    const double work =
        (double)(par_arena_bytes(w->spec, &t->lay,
                                 (w->n_b + n_part - 1) / n_part, w->n_t) +
                 par_pair_bytes(w->spec, &t->lay, t->p->most_rows[lane]));
    const int zero = t->r->zero;
    *out = (har_train_memory){
        .weights = both(s, zero >= 3) * bytes,
        .gradients =
            both(s, zero >= 2) * (double)core_dtype_bytes(t->r->gradients),
        .optimiser =
            both(s, zero >= 1) * har_train_state_bytes(w->types.dtype),
        .in_flight = har_train_in_flight(w->plan, t->lay.stage, n_mb)};
    out->kept = t->kept * bytes * out->in_flight / w->plan->vpp;
    out->buffers = work * bytes / (double)sizeof(double) +
                   t->most_kept * bytes +
                   (zero >= 3 ? widest_layer(t) * bytes : 0);
    out->total = out->weights + out->gradients + out->optimiser + out->kept +
                 out->buffers;
}

/* --- a stage, a step --- */

static double share_of_back(const training *t, int ends)
{
    return t->there[ends] > 0 ? t->back[ends] / t->there[ends] : 0;
}

static void add_back(training *t)
{
    t->step.back = share_of_back(t, 0) * t->step.forward;
    t->step.ends += (1 + share_of_back(t, 1)) * t->end_there;
}

static void find_tiers(training *t)
{
    const par_plan *k = &t->lay.plan;
    const int n = k->dp * k->cp * k->tp, first = t->lay.stage * n;
    const har_mesh mesh = har_mesh_of(k);
    har_stage_tiers(t->p->machine, &mesh, t->lay.stage, t->tier);
    har__aim_at_rank(t->p, &t->lay);
    t->tier_of_sums =
        har_tier_between(t->p->machine, first, first + n - 1);
}

/* The forward pass is laid out. */
static core_status find_stage(training *t, int lane, int n_mb,
                              har_training_step *out)
{
    har_predictor *p = t->p;
    const har_predict_case *w = t->r->what;
    const core_batch batch = {.n_b = p->n_b, .n_t = w->n_t};
    const har_cost_case records = {
        .spec = w->spec, .plan = &p->plan, .batch = &batch, .load = &p->load};
    const har_cost_reader there = {.self = t, .put = see_record};
    const har_cost_reader back = {.self = t, .put = see_transfer};
    CORE_TRY(par_layout_make(&t->lay, &p->layout, w->spec, &p->plan,
                             p->rank_of[lane]));
    find_tiers(t);
    t->part = 1.0 / (p->plan.rounds * p->plan.mb);
    t->layer = -1;
    t->step.n = 1;
    add_forward(t, lane);
    CORE_TRY(har_cost_walk(&records, &t->lay, &p->records, &there));
    add_back(t);
    CORE_TRY(har_cost_backward(&records, &t->lay, &p->records, &back));
    const share s = share_of(t);
    add_after(t, &s, n_mb, out);
    find_memory(t, &s, n_mb, lane, &out->stage[lane]);
    return CORE_OK;
}

static core_status check(const har_predictor *p, const har_train_case *r)
{
    const har_predict_case *w = r->what;
    CORE_TRY(har_predict_check(p, w));
    const core_numerics_text types = core_types_text(&w->types);
    CORE_FAIL_IF(strcmp(types.text, core_dtype_name(w->types.dtype)) != 0,
                 CORE_E_USAGE,
                 "--train: expected one plain type, found --dtype %s",
                 types.text);
    CORE_FAIL_IF(w->is_decode, CORE_E_USAGE,
                 "--train: a step has whole rows, expected no --decode");
    CORE_FAIL_IF(w->plan->batch_reduce > 1, CORE_E_USAGE,
                 "--train: batch_reduce = %d, expected 1: a stage works forward "
                 "and back in turn",
                 w->plan->batch_reduce);
    CORE_FAIL_IF(w->plan->vpp > 1 && w->plan->scope == PAR_SCOPE_REPLICA,
                 CORE_E_USAGE,
                 "--train: vpp = %d with scope=replica, expected vpp = 1 or "
                 "scope=stage",
                 w->plan->vpp);
    return CORE_OK;
}

static void conclude(const har_predictor *p, const har_train_case *r,
                     har_training_step *out)
{
    const double sigma = har_sigma(p->machine, HAR_PLAN);
    const double f = exp(NINETY * sigma), seconds = out->parts.seconds;
    const double peak = p->machine->peak[har_predict_unit(p->machine, r->what)];
    out->n_gpu = par_plan_world(r->what->plan);
    out->n_token = (double)r->what->n_b * (double)r->what->n_t;
    out->seconds = (har_range){seconds, seconds / f, seconds * f};
    out->tokens_per_s =
        (har_range){out->n_token / seconds, out->n_token / seconds / f,
                    out->n_token / seconds * f};
    out->mfu = (1 + HAR_BACKWARD) * har__model_flops(r->what) / out->n_gpu /
               peak / seconds;
    out->memory = 0;
    for (int i = 0; i < r->what->plan->pp; i++)
        out->memory = fmax(out->memory, out->stage[i].total);
}

core_status har_predict_training(har_predictor *p, const har_train_case *r,
                                 har_training_step *out)
{
    har_predict_case w = *r->what;
    har_train_case asked = *r;
    har_step_stage stage[CORE_MAX_LAYERS];
    CORE_TRY(check(p, r));
    w.all_ranks = false;
    w.load = NULL;
    asked.what = &w;
    const int n_mb = w.plan->mb * w.plan->rounds;
    *out = (har_training_step){.n_mb = n_mb};
    har__aim(p, &w);
    p->looks_closer = true;
    CORE_TRY(har__lanes(p, &w, HAR__PASS));
    for (int i = 0; i < w.plan->pp; i++) {
        training t = {.p = p, .r = &asked};
        CORE_TRY(find_stage(&t, i, n_mb, out));
        stage[i] = t.step;
    }
    const har_step step = {.n_mb = n_mb,
                           .vpp = w.plan->vpp,
                           .n_stage = w.plan->pp,
                           .stage = stage};
    har_step_time_of(p->machine, &step, &out->parts);
    conclude(p, &asked, out);
    return CORE_OK;
}
