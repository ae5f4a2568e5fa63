/* harness/perf/search/cost.c -- a plan's time in closed form, from its parts.
 *
 * scope=stage: a stage's time t is the sum of its parts; a pass takes sum(t) +
 * (mb - 1) max(t), which is what a chain of stages does with equal
 * micro-batches; virtual stages are played, group by group, until groups take
 * as long as one another.  scope=replica: stages move in step, so a tick takes the
 * longest own time of the stages at work and the pairs of all.  A pair's time
 * is asked for 1, 2, 4, ... stages at work and all of them, and taken as linear
 * in between.  Virtual stages in step: turns.c.
 *
 * A full pipeline takes mb max(t) per batch; in decode no less than a row's
 * next token waits for its last one.  Traps: without a micro-batch on every
 * stage a pass never fills the pipeline, but a full one does; which links a
 * group uses depends on where in its node the stage begins.
 */
#include "harness/perf/search/impl.h"

#include "harness/perf/machine/tiers.h"

#include <math.h>
#include <stdlib.h>

typedef struct pricing {
    const har_quick *e;
    har_search_memo *memo;
    const har_shape *shape;
    int64_t n_row;
    bool has_pairs;
} pricing;

static void add(har__part *sum, const har__part *more, double times)
{
    if (times == 0)
        return;
    sum->seconds += times * more->seconds;
    for (int i = 0; i < HAR_N_TERM; i++)
        sum->term[i] += times * more->term[i];
}

static har_mesh mesh_of(const har_shape *s)
{
    return (har_mesh){.dp = s->dp,
                      .cp = har_shape_cp(s),
                      .vpp = s->vpp,
                      .pp = s->pp,
                      .tp = s->tp,
                      .ep = s->ep,
                      .etp = s->etp,
                      .scope = s->scope};
}

static void find_tiers(const har_quick *e, const har_shape *s, int stage,
                       int *tier)
{
    const har_mesh mesh = mesh_of(s);
    har_stage_tiers(e->machine, &mesh, stage, tier);
}

static har__part_key key_of(const pricing *p, har__part_kind kind, int i,
                            const int *tier)
{
    har__part_key key = {
        .n_row = p->n_row, .kind = kind, .i = i, .tp = p->shape->tp, .etp = 1};
    key.cp = har_shape_cp(p->shape);
    key.cp_kind = (uint8_t)p->shape->cp_kind;
    key.sp = (uint8_t)p->shape->sp;
    key.tier[CORE_AXIS_TP] = (uint8_t)tier[CORE_AXIS_TP];
    key.tier[CORE_AXIS_CP] = (uint8_t)tier[CORE_AXIS_CP];
    return key;
}

/* Stages in step wait for the one with the slowest links. */
har__part_key har__pair_key(const har_quick *e, const har_shape *shape,
                            int stage, int n_stage)
{
    const pricing p = {.e = e, .shape = shape, .n_row = har__rows_of(e, shape)};
    const int end = n_stage != 0 ? shape->pp : stage + 1;
    int tier[CORE_N_AXES], most[CORE_N_AXES] = {0};
    for (int s = stage; s < end; s++) {
        find_tiers(e, shape, s, tier);
        for (int axis = 0; axis < CORE_N_AXES; axis++)
            most[axis] = tier[axis] > most[axis] ? tier[axis] : most[axis];
    }
    har__part_key key = key_of(&p, HAR__PAIR, n_stage, most);
    const har_mesh mesh = mesh_of(shape);
    key.ep = shape->ep;
    key.etp = shape->etp;
    key.n_near = har_experts_near(e->machine, &mesh);
    key.tier[CORE_AXIS_EP] = (uint8_t)most[CORE_AXIS_EP];
    key.tier[CORE_AXIS_ETP] = (uint8_t)most[CORE_AXIS_ETP];
    return key;
}

/* --- a stage --- */

/* A stage or a virtual one but its pairs, for one micro-batch. */
typedef struct own_time {
    har__part all;
    double start, end;             /* seconds: embedding; head or send        */
    double layer[CORE_MAX_LAYERS]; /* seconds, by class; 0 if it has none     */
    int n_moe;                     /* its pairs                               */
} own_time;

static int n_parts(const pricing *p)
{
    return p->shape->pp * har_shape_vpp(p->shape);
}

static int first_layer(const pricing *p, int part)
{
    return (int)core_split_first(p->e->spec->n_l, n_parts(p), part);
}

/* The layer that a part ends with, where what it sends depends on the next. */
static int sender_of(const pricing *p, int part)
{
    const core_spec *spec = p->e->spec;
    const int next = first_layer(p, part + 1);
    return spec->n_seen > 0 ? next - 1 : 0;
}

static void add_ends(const pricing *p, int part_i, const int *tier,
                     own_time *out)
{
    har__part part;
    if (part_i == 0) {
        const har__part_key key = key_of(p, HAR__EMBED, 0, tier);
        part = har__part_of(p->memo, &key);
        add(&out->all, &part, 1);
        out->start = part.seconds;
    }
    const bool is_last = part_i == n_parts(p) - 1;
    har__part_key key = is_last
                            ? key_of(p, HAR__HEAD, 0, tier)
                            : key_of(p, HAR__SEND, sender_of(p, part_i), tier);
    key.tier[CORE_AXIS_PP] = (uint8_t)tier[CORE_AXIS_PP];
    part = har__part_of(p->memo, &key);
    add(&out->all, &part, 1);
    out->end = part.seconds;
}

/* Part number part_i: a stage, or with virtual ones a chunk of a stage. */
static void find_own(const pricing *p, int part_i, own_time *out)
{
    const har_search_memo *m = p->memo;
    const int first = first_layer(p, part_i), end = first_layer(p, part_i + 1);
    int tier[CORE_N_AXES];
    find_tiers(p->e, p->shape, part_i % p->shape->pp, tier);
    har__part_key key = key_of(p, HAR__OWN, 0, tier);
    out->all = (har__part){0};
    out->start = 0;
    out->n_moe = 0;
    for (int i = 0; i < m->n_class; i++) {
        const int n = har__count(m, i, first, end);
        out->n_moe += m->is_moe[i] ? n : 0;
        out->layer[i] = 0;
        if (n == 0)
            continue;
        key.i = i;
        const har__part part = har__part_of(p->memo, &key);
        out->layer[i] = part.seconds;
        add(&out->all, &part, n);
    }
    add_ends(p, part_i, tier, out);
}

/* --- a pass --- */

typedef struct pass {
    double latency;
    double period;  /* of a batch, pipeline kept full                         */
    double token;   /* until a row's next token may start                     */
    har__part work; /* of one GPU in a pass, mean over the stages             */
    double balance; /* of the expert ranks                                    */
} pass;

static har__part pair_part(const pricing *p, int stage, int n_stage)
{
    const har__part_key key = har__pair_key(p->e, p->shape, stage, n_stage);
    return p->has_pairs ? har__part_of(p->memo, &key)
                        : (har__part){.balance = 1};
}

static void by_stage(const pricing *p, pass *out)
{
    const har_shape *s = p->shape;
    double sum = 0, most = 0;
    for (int stage = 0; stage < s->pp; stage++) {
        own_time mine;
        find_own(p, stage, &mine);
        const har__part pair = pair_part(p, stage, 0);
        add(&mine.all, &pair, mine.n_moe);
        add(&out->work, &mine.all, (double)s->mb / s->pp);
        sum += mine.all.seconds;
        most = mine.all.seconds <= most ? most : mine.all.seconds; /* or NaN */
        out->balance = pair.balance;
    }
    out->latency = sum + (s->mb - 1) * most;
    out->period = s->mb * most;
    out->token = sum;
}

/* One after another the stages work on a group of pp micro-batches, with their
 * first chunks, then with their second, and so on (parallel/turns.h): seconds of
 * each part into the ends of so many groups; *token: of the first micro-batch. */
enum { GROUPS = 3 };

static void play_groups(const double *seconds, int pp, int n_part,
                        double end[GROUPS], double *token)
{
    double idle[CORE_MAX_LAYERS] = {0}; /* [pp] a stage has nothing to do     */
    double sent[CORE_MAX_LAYERS];       /* [pp] a micro-batch leaves the last */
    for (int group = 0; group < GROUPS; group++) {
        for (int i = 0; i < pp; i++)
            sent[i] = 0;
        for (int k = 0; k < n_part * pp; k++) {
            const int i = k / pp % pp, part = k / (pp * pp) * pp + k % pp;
            double *at = &idle[k % pp];
            *at = (sent[i] <= *at ? *at : sent[i]) + seconds[part];
            sent[i] = *at;
        }
        end[group] = sent[pp - 1];
        *token = group == 0 ? sent[0] : *token;
    }
}

static void by_chunk(const pricing *p, pass *out)
{
    const har_shape *s = p->shape;
    const int n_part = n_parts(p), n_group = s->mb / s->pp;
    double seconds[CORE_MAX_LAYERS], end[GROUPS];
    for (int part = 0; part < n_part; part++) {
        own_time mine;
        find_own(p, part, &mine);
        const har__part pair = pair_part(p, part % s->pp, 0);
        add(&mine.all, &pair, mine.n_moe);
        add(&out->work, &mine.all, (double)s->mb / s->pp);
        seconds[part] = mine.all.seconds;
        out->balance = pair.balance;
    }
    play_groups(seconds, s->pp, n_part, end, &out->token);
    const double more = end[GROUPS - 1] - end[GROUPS - 2];
    out->latency = n_group <= GROUPS
                       ? end[n_group - 1]
                       : end[GROUPS - 1] + (n_group - GROUPS) * more;
    out->period = n_group * more;
}

static double largest(const double *own, int first, int last)
{
    double most = 0;
    for (int s = first; s <= last; s++)
        most = own[s] <= most ? most : own[s];
    return most;
}

/* Of the stages at work, first .. last: tick k has k - mb + 1 .. k. */
static int first_of(int k, int mb)
{
    return k - mb + 1 > 0 ? k - mb + 1 : 0;
}

/* Sum over the ticks of a pass of the largest own[s] of the stages at work. */
static double sum_of_largest(const double *own, int pp, int mb)
{
    double up = 0, down = 0, sum = 0;
    if (mb < pp) {
        for (int k = 0; k < pp + mb - 1; k++)
            sum += largest(own, first_of(k, mb), k < pp ? k : pp - 1);
        return sum;
    }
    for (int k = 0; k < pp - 1; k++) {
        up = own[k] <= up ? up : own[k];
        down = own[pp - 1 - k] <= down ? down : own[pp - 1 - k];
        sum += up + down;
    }
    return sum + (mb - pp + 1) * largest(own, 0, pp - 1);
}

/* Pairs of a tick that has stages first .. last at work; n_moe: of each. */
static void count_pairs(har__pair_count *c, const int *n_moe, int n_pair,
                        int first, int last, double times)
{
    for (int pair = 0; pair < n_pair; pair++) {
        int n = 0;
        for (int s = first; s <= last; s++)
            n += n_moe[s] > pair;
        c->n[n] += times;
    }
}

/* Times are asked for none, 1, 2, 4, ... and all stages. */
static har__part sum_of_pairs(const pricing *p, har__pair_count *c)
{
    const int pp = p->shape->pp;
    har__part sum = {0}, part;
    for (int low = 1; low < pp; low *= 2) {
        const int high = 2 * low < pp ? 2 * low : pp;
        for (int n = low + 1; n < high; n++) {
            c->n[low] += c->n[n] * (high - n) / (high - low);
            c->n[high] += c->n[n] * (n - low) / (high - low);
            c->n[n] = 0;
        }
    }
    for (int n = 0; n <= pp; n = n < 1 ? 1 : 2 * n < pp || n == pp ? 2 * n : pp)
        if (c->n[n] != 0) {
            part = pair_part(p, 0, n > 0 ? n : HAR__NOBODY);
            add(&sum, &part, c->n[n]);
        }
    return sum;
}

/* Pairs of the ticks of a pass; *full: of those of mb stages at work, one. */
static void pairs_of_pass(const pricing *p, const int *n_moe, int n_pair,
                          har__part *all, har__part *full)
{
    const int pp = p->shape->pp, mb = p->shape->mb;
    const int n_full = mb < pp ? pp - mb + 1 : mb - pp + 1;
    har__pair_count in_all = {{0}}, in_full = {{0}};
    for (int k = 0; k < (mb < pp ? mb : pp) - 1; k++) { /* up and down */
        count_pairs(&in_all, n_moe, n_pair, 0, k, 1);
        count_pairs(&in_all, n_moe, n_pair, pp - 1 - k, pp - 1, 1);
    }
    if (mb < pp)
        for (int first = 0; first < n_full; first++)
            count_pairs(&in_full, n_moe, n_pair, first, first + mb - 1, 1);
    else
        count_pairs(&in_full, n_moe, n_pair, 0, pp - 1, n_full);
    const har__part ramp = sum_of_pairs(p, &in_all);
    const har__part flat = sum_of_pairs(p, &in_full);
    *all = ramp;
    add(all, &flat, 1);
    *full = (har__part){0};
    add(full, &flat, 1.0 / n_full);
}

/* From the last pair of a tick to the first of the next: again[s] of a stage at
 * work in both, which has a message to wait for, too; enter[s] in the next
 * alone. */
static void find_between(const har__segments *own, int pp, double *again,
                         double *enter)
{
    for (int s = 0; s < pp; s++) {
        enter[s] = own->seconds[s] + (s > 0 ? own->after[s - 1] : 0);
        again[s] = fmax(enter[s], own->seconds[s] + own->after[s]);
    }
}

/* The largest of them, over the ticks of a pass; and what comes after all. */
static double sum_between(const double *again, const double *enter, int pp,
                          int mb)
{
    double up = 0, sum = 0;
    if (mb < pp) {
        for (int k = 0; k < pp + mb - 1; k++) {
            const double old = largest(again, first_of(k, mb),
                                       k < pp ? k - 1 : pp - 1);
            sum += k < pp && !(enter[k] <= old) ? enter[k] : old;
        }
        return sum;
    }
    for (int k = 0; k < pp; k++) {
        sum += enter[k] <= up ? up : enter[k];
        up = again[k] <= up ? up : again[k];
    }
    sum += (mb - pp) * up;
    double down = 0;
    for (int s = pp - 1; s > 0; s--) {
        down = again[s] <= down ? down : again[s];
        sum += down;
    }
    return sum;
}

static void find_segments(const pricing *p, har__segments *out,
                          har__part *work)
{
    const har_search_memo *m = p->memo;
    const int pp = p->shape->pp, n_part = n_parts(p);
    *out = (har__segments){.pp = pp, .vpp = n_part / pp, .n_pair = 1};
    for (int part = 0; part < n_part; part++) {
        const int n_moe = core_spec_count_moe(p->e->spec, first_layer(p, part),
                                              first_layer(p, part + 1));
        out->n_moe[part] = n_moe;
        out->n_pair = n_moe > out->n_pair ? n_moe : out->n_pair;
    }
    for (int part = 0; part < n_part; part++) {
        own_time mine;
        int pair = 0;
        find_own(p, part, &mine);
        add(work, &mine.all, (double)p->shape->mb / pp);
        out->seconds[part] = mine.start;
        out->after[part] = mine.end;
        for (int l = first_layer(p, part); l < first_layer(p, part + 1); l++) {
            double *to = pair < out->n_pair
                             ? &out->seconds[pair * n_part + part]
                             : &out->after[part];
            *to += mine.layer[m->class_of[l]];
            pair += m->is_moe[m->class_of[l]];
        }
    }
}

static void in_step(const pricing *p, pass *out)
{
    const har_shape *s = p->shape;
    har__segments own;
    har__part pairs, full;
    har__pair_count in_serving = {{0}};
    double again[CORE_MAX_LAYERS], enter[CORE_MAX_LAYERS], most;
    find_segments(p, &own, &out->work);
    pairs_of_pass(p, own.n_moe, own.n_pair, &pairs, &full);
    count_pairs(&in_serving, own.n_moe, own.n_pair, 0, s->pp - 1, 1);
    add(&out->work, &pairs, 1);
    find_between(&own, s->pp, again, enter);
    out->latency = pairs.seconds + own.after[s->pp - 1] +
                   sum_between(again, enter, s->pp, s->mb);
    most = largest(again, 0, s->pp - 1);
    for (int i = 1; i < own.n_pair; i++) {
        const double *mine = own.seconds + i * s->pp;
        out->latency += sum_of_largest(mine, s->pp, s->mb);
        most += largest(mine, 0, s->pp - 1);
    }
    out->period = s->mb * (most + sum_of_pairs(p, &in_serving).seconds);
    out->token = s->pp * (most + full.seconds);
    out->balance = pair_part(p, 0, s->pp).balance;
}

/* Virtual stages in step. */
static void in_turns(const pricing *p, pass *out)
{
    const int pp = p->shape->pp, n_group = p->shape->mb / pp;
    har__segments own;
    har__turns alone, more;
    find_segments(p, &own, &out->work);
    har__turns_of_group(&own, &alone);
    har__turns_of_more(&own, &more);
    const har__part pairs = sum_of_pairs(p, &alone.pairs);
    const har__part pairs_more = sum_of_pairs(p, &more.pairs);
    const double period = more.seconds + pairs_more.seconds;
    add(&out->work, &pairs, 1);
    add(&out->work, &pairs_more, n_group - 1);
    out->latency = alone.seconds + pairs.seconds + (n_group - 1) * period;
    out->period = n_group * period;
    out->token = period;
    out->balance = pair_part(p, 0, pp).balance;
}

static double balance_of(const pricing *p, double of_experts)
{
    const har_shape *s = p->shape;
    const double n_l = (double)p->e->spec->n_l;
    const double rows =
        (double)p->e->n_b / ((double)s->dp * s->mb * (double)p->n_row);
    return rows * n_l / (s->pp * ceil(n_l / s->pp)) * of_experts;
}

void har_quick_time(void *self, int thread, const har_shape *shape,
                    har_figures *out)
{
    const har_quick *e = self;
    const pricing p = {.e = e,
                       .memo = &e->memo[thread],
                       .shape = shape,
                       .n_row = har__rows_of(e, shape),
                       .has_pairs = e->spec->n_e > 0};
    pass at = {0};
    const bool is_virtual = har_shape_vpp(shape) > 1;
    if (shape->scope == PAR_SCOPE_REPLICA && is_virtual)
        in_turns(&p, &at);
    else if (shape->scope == PAR_SCOPE_REPLICA)
        in_step(&p, &at);
    else if (is_virtual)
        by_chunk(&p, &at);
    else
        by_stage(&p, &at);
    const bool waits = e->n_kv > 0 && !(at.token <= at.period);
    out->latency = at.latency;
    out->next_token = at.token;
    out->tokens_per_s =
        (double)(e->n_b * e->n_t) / (waits ? at.token : at.period);
    for (int i = 0; i < HAR_N_TERM; i++)
        out->term[i] = at.work.term[i];
    out->term[HAR_TERM_BUBBLE] = at.latency - at.work.seconds;
    out->balance = balance_of(&p, at.balance);
}

/* --- making --- */

static core_status check_model(const har_quick *e)
{
    const core_spec *s = e->spec;
    CORE_FAIL_IF(s->n_h == 0, CORE_E_SPEC,
                 "%s: a single sub-layer, expected a whole model", s->name);
    CORE_FAIL_IF(!(e->machine->peak[e->types.dtype] > 0), CORE_E_USAGE,
                 "%s has no peak for %s", e->machine->name,
                 core_dtype_name(e->types.dtype));
    return CORE_OK;
}

core_status har_quick_make(har_quick *estimate)
{
    estimate->memo = NULL;
    CORE_TRY(check_model(estimate));
    estimate->memo = calloc((size_t)estimate->n_thread, sizeof *estimate->memo);
    CORE_FAIL_IF(estimate->memo == NULL, CORE_E_MEMORY,
                 "no memory for the times of %d threads", estimate->n_thread);
    for (int i = 0; i < estimate->n_thread; i++)
        CORE_TRY(har__memo_make(&estimate->memo[i], estimate));
    return CORE_OK;
}

core_status har_quick_status(const har_quick *estimate)
{
    for (int i = 0; i < estimate->n_thread; i++)
        CORE_FAIL_IF(estimate->memo[i].status != CORE_OK, CORE_E_MEMORY,
                     "no memory for the times of a plan");
    return CORE_OK;
}

void har_quick_free(har_quick *estimate)
{
    for (int i = 0; estimate->memo != NULL && i < estimate->n_thread; i++)
        har__memo_free(&estimate->memo[i]);
    free(estimate->memo);
    estimate->memo = NULL;
}
