/* harness/perf/predict/sections.c -- sections of records that come again.
 *
 * What a rank of the same place in its tensor group, over the same links, did
 * with as many rows in a layer like this one is copied, with another layer,
 * micro-batch and group.  Sections are kept for other plans, as long as the
 * question is the same but for the plan (har__asked), and until there are too
 * many.  Products of experts, which differ in each pair, are made anew from
 * their shapes.
 *
 * Traps: what is looked up is added to its classes at the end, once for all
 * times it came; a section holds only what its place and har__asked say, so
 * whoever lets a record depend on more adds it there.
 */
#include "harness/perf/predict/putting.h"

#include "core/base/arena.h"

#include <string.h>

enum { N_FIND = 2 * HAR__MOST_SECTIONS };

/* --- memory --- */

static core_status keep(har_predictor *p, const har__known *known)
{
    har__known *more = core_grow(p->known, &p->n_known_room, p->n_known + 1,
                                 sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->known = more;
    p->known[p->n_known++] = *known;
    return CORE_OK;
}

/* As one row of one expert. */
static core_status keep_product(har_predictor *p, const core_cost *cost)
{
    core_cost *more = core_grow(p->product, &p->n_product_room,
                                p->n_product + 1, sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->product = more;
    core_cost *one = &more[p->n_product++];
    *one = *cost;
    one->flops /= cost->m;
    one->read /= cost->m;
    one->written /= cost->m;
    one->weights /= cost->n_expert;
    return CORE_OK;
}

core_status har__keep_record(har__putting *u, const har__known *known,
                             const core_cost *cost)
{
    if (u->kept.part == HAR_COST_PRODUCTS)
        CORE_TRY(keep_product(u->p, cost));
    return keep(u->p, known);
}

har__place har__place_of(const har__putting *u, const har_cost_section *now)
{
    const har_cost_part part = now->part;
    const bool is_way = part == HAR_COST_DISPATCH || part == HAR_COST_RETURN ||
                        part == HAR_COST_LAYER;
    return (har__place){.part = (int16_t)part,
                        .like = (int16_t)now->like,
                        .t = now->is_of_flow ? u->etp_i : u->t,
                        .tensor = now->is_of_flow ? 0 : u->tensor,
                        .expert = is_way            ? u->ways
                                  : now->is_of_flow ? u->expert
                                                    : 0,
                        .n_row = now->is_of_flow ? 0 : now->n_row,
                        .n_flow = now->n_flow};
}

static bool is_place(const har__place *a, const har__place *b)
{
    return a->n_flow == b->n_flow && a->n_row == b->n_row &&
           a->part == b->part && a->like == b->like && a->t == b->t &&
           a->tensor == b->tensor && a->expert == b->expert;
}

/* Most come again with the next layer. */
int32_t *har__find_section(har_predictor *p, const har__place *place)
{
    int32_t *last = p->found[place->part];
    if (last != NULL && is_place(&p->section[*last - 1].place, place))
        return last;
    const uint64_t few = (uint64_t)place->part << 32 |
                         (uint64_t)place->like << 16 | (uint64_t)place->t;
    uint64_t h = ((uint64_t)place->n_row * 31 + few) * 1099511628211u;
    h = (h ^ place->tensor ^ place->expert << 7) * 1099511628211u;
    h = (h ^ (h >> 29) ^ (uint64_t)place->n_flow) * 1099511628211u;
    for (uint64_t at = h >> 29;; at++) {
        int32_t *found = &p->find[at % N_FIND];
        if (*found == 0)
            return found;
        if (is_place(&p->section[*found - 1].place, place))
            return p->found[place->part] = found;
    }
}

static core_status forget(har_predictor *p)
{
    void *find;
    if (p->find == NULL) {
        CORE_TRY(core_alloc(&find, N_FIND, sizeof *p->find, "a schedule"));
        p->find = find;
        memset(p->find, 0, N_FIND * sizeof *p->find);
    }
    for (int64_t i = 0; i < p->n_section; i++)
        p->find[p->section[i].slot] = 0;
    p->n_class = 0;
    p->n_section = p->n_known = p->n_sum = p->n_product = p->n_layer = 0;
    return CORE_OK;
}

/* Byte for byte: what is not set is 0. */
static void set_asked(har__asked *to, const har_predictor *p,
                      const har_predict_case *r)
{
    memset(to, 0, sizeof *to);
    memcpy(&to->spec, r->spec, sizeof to->spec);
    memcpy(&to->types, &r->types, sizeof to->types);
    to->n_t = r->n_t;
    to->n_kv = r->n_kv;
    to->prompt_share = p->timer.prompt_share;
    to->n_run = r->n_run;
    to->n_past = r->n_past;
    to->logit_share = r->logit_share;
    to->overlap = r->overlap;
    to->algorithm = r->algorithm;
    to->is_decode = r->is_decode;
    to->is_eager = r->is_eager;
    to->is_planned = p->is_planned;
    to->no_interval = r->no_interval;
    to->all_ranks = r->all_ranks;
}

core_status har__begin_sections(har_predictor *p, const har_predict_case *r)
{
    har__asked now;
    set_asked(&now, p, r);
    const bool is_full = p->n_section > HAR__MOST_SECTIONS / 2 ||
                         p->n_class > HAR__MAX_SORT - HAR_MAX_CLASS;
    if (!p->is_known || is_full || memcmp(&now, &p->asked, sizeof now) != 0)
        CORE_TRY(forget(p));
    memcpy(&p->asked, &now, sizeof now);
    memset(p->found, 0, sizeof p->found);
    p->is_known = false; /* until the lanes are made */
    p->number++;
    p->n_order = 0;
    p->n_touched = 0;
    return CORE_OK;
}

core_status har__touch(har_predictor *p, har__section *s)
{
    if (s->number == p->number)
        return CORE_OK;
    int32_t *more = core_grow(p->touched, &p->n_touched_room, p->n_touched + 1,
                              sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->touched = more;
    more[p->n_touched++] = (int32_t)(s - p->section);
    s->number = p->number;
    s->weight = 0;
    for (int64_t i = 0; i < s->n; i++)
        har__see_class(p, p->known[s->first + i].event.class_i);
    if (s->place.part == HAR_COST_LAYER)
        p->layer[s->product - 1].weight = 0;
    return CORE_OK;
}

/* A known section's events for each record, of another layer, micro-batch and
 * group. */
static core_status recall_whole(har__putting *u, const har__section *known,
                                const har_cost_section *now)
{
    har_predictor *p = u->p;
    for (int64_t i = 0; i < known->n; i++) {
        const har__known *k = &p->known[known->first + i];
        har_event event = k->event;
        event.layer = (int16_t)(k->is_global ? 0 : now->layer);
        event.mb = (int16_t)now->mb;
        event.step = (uint8_t)u->step;
        event.group = u->group[k->axis];
        CORE_TRY(har__push(p, &event));
    }
    return CORE_OK;
}

core_status har__recall_sums(har__putting *u, const har__section *known)
{
    har_predictor *p = u->p;
    for (int64_t i = 0; i < known->n_sum; i++) {
        har_event event = p->sum[known->sum + i];
        event.group = u->group[event.group];
        CORE_TRY(har__add_event(u, &event));
    }
    return CORE_OK;
}

core_status har__multiply(har__putting *u, const har__section *known,
                          const har_cost_section *now)
{
    har_predictor *p = u->p;
    const double weight = p->weight[now->tick];
    har_event event = p->known[known->first].event;
    event.seconds = event.more = 0;
    for (int64_t i = 0; i < known->n; i++) {
        core_cost c = p->product[known->product + i];
        har__known like = p->known[known->first + i];
        c.m = now->rows.m;
        c.m_max = now->rows.m_max;
        c.n_expert = now->rows.n_expert;
        c.flops *= c.m;
        c.read *= c.m;
        c.written *= c.m;
        c.weights *= c.n_expert;
        const har_time time = har_timer_ask(&p->timer, &c, 0);
        like.event.seconds = time.seconds;
        like.bound = time.bound;
        like.flops = har_timer_flops(&p->timer, &c);
        har__add_to_class(p, &like, weight,
                          weight * har_timer_bytes(&p->timer, &c));
        event.seconds += time.seconds;
        event.more += har__more_of(u, &c, time);
    }
    if (now->rows.m > p->most_rows[u->lane])
        p->most_rows[u->lane] = now->rows.m;
    return har__add_event(u, &event);
}

void har__add_sent(har_predictor *p, const har__section *known, double weight,
                   const int64_t *sent)
{
    for (int64_t i = 0; i < known->n; i++) {
        const har__known *k = &p->known[known->first + i];
        p->class_of[k->event.class_i].bytes +=
            weight * ((double)sent[i] * k->of_sent);
    }
}

static core_status recall(har__putting *u, har__section *known,
                          const har_cost_section *now)
{
    har_predictor *p = u->p;
    CORE_TRY(har__touch(p, known));
    if (now->part == HAR_COST_PRODUCTS)
        return har__multiply(u, known, now);
    const double weight = p->weight[now->tick];
    const bool ends = now->part == HAR_COST_MLP && now->layer == u->layer &&
                      u->step != PAR_STEP_MIX;
    CORE_TRY(har__enter(u, ends ? PAR_STEP_ADD : PAR_STEP_MIX));
    u->layer = now->layer;
    known->weight += weight;
    if (known->is_exchange)
        har__add_sent(p, known, weight, now->sent);
    return p->is_whole ? recall_whole(u, known, now)
                       : har__recall_sums(u, known);
}

/* What was recalled, into its classes. */
void har__add_sections(har_predictor *p)
{
    for (int64_t i = 0; i < p->n_touched; i++) {
        const har__section *s = &p->section[p->touched[i]];
        if (s->place.part != HAR_COST_LAYER)
            continue;
        const har__layer *of = &p->layer[s->product - 1];
        const int32_t part[] = {of->mixer, of->mlp};
        for (int k = 0; of->weight > 0 && k < 2; k++)
            p->section[part[k] - 1].weight += of->weight;
    }
    for (int64_t s = 0; s < p->n_touched; s++) {
        const har__section *of = &p->section[p->touched[s]];
        if (of->place.part == HAR_COST_PRODUCTS ||
            of->place.part == HAR_COST_LAYER)
            continue;
        for (int64_t i = of->first; i < of->first + of->n; i++)
            har__add_to_class(p, &p->known[i], of->weight,
                              of->is_exchange ? 0
                                              : of->weight * p->known[i].bytes);
    }
}

core_status har__begin_section(har__putting *u, const har__place *place,
                               int32_t *at, const har_cost_section *now)
{
    har_predictor *p = u->p;
    har__section *more =
        core_grow(p->section, &p->n_section_room, p->n_section + 1,
                  sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->section = more;
    p->section[p->n_section++] =
        (har__section){.place = *place,
                       .is_exchange = now->sent != NULL,
                       .slot = (int32_t)(at - p->find),
                       .first = p->n_known,
                       .sum = p->n_sum,
                       .product = p->n_product};
    *at = (int32_t)p->n_section;
    u->kept = *now;
    u->is_kept = true;
    return CORE_OK;
}

/* A layer that comes for the first time has this section. */
static void note_part(har__layer *layer, har_cost_part part, int32_t section)
{
    int32_t *const place[HAR_COST_N_PARTS] = {[HAR_COST_MIXER] = &layer->mixer,
                                              [HAR_COST_PRODUCTS] =
                                                  &layer->products,
                                              [HAR_COST_MLP] = &layer->mlp};
    if (place[part] != NULL)
        *place[part] = section;
}

bool har__section_has(void *self, const har_cost_section *now)
{
    har__putting *u = self;
    har_predictor *p = u->p;
    har__reach(u, now->tick);
    /* whose exchanges go on has steps to tell its records apart by */
    if (u->status != CORE_OK || (u->begins && now->part >= HAR_COST_PACK))
        return false;
    const har__place place = har__place_of(u, now);
    int32_t *at = har__find_section(p, &place);
    const bool is_known = *at > 0;
    if (!is_known && p->n_section < HAR__MOST_SECTIONS)
        u->status = har__begin_section(u, &place, at, now);
    if (u->new_layer > 0)
        note_part(&p->layer[u->new_layer - 1], now->part, *at);
    if (is_known)
        u->status = recall(u, &p->section[*at - 1], now);
    return is_known;
}

/* Do meetings of a section, one right after the other, come to one?  The same
 * member of the group takes longest in each: all grow with what the section
 * depends on.  Where they hide behind what was computed, only the first does.
 */
static bool is_one_meeting(const har_predictor *p, const har_event *before,
                           const har_event *event)
{
    return !p->schedule.meets_aside && before->kind == HAR_EVENT_MEET &&
           event->kind == HAR_EVENT_MEET && before->class_i == event->class_i;
}

static core_status add_to_sums(har_predictor *p, har__section *s,
                               const har_event *event)
{
    if (har__join_computing(p->sum, s->sum, p->n_sum, event))
        return CORE_OK;
    har_event *last = p->n_sum > s->sum ? &p->sum[p->n_sum - 1] : NULL;
    if (last != NULL && is_one_meeting(p, last, event)) {
        last->seconds += event->seconds;
        last->more += event->more;
        return CORE_OK;
    }
    har_event *more = core_grow(p->sum, &p->n_sum_room, p->n_sum + 1,
                                sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->sum = more;
    p->sum[p->n_sum++] = *event;
    s->n_sum++;
    return CORE_OK;
}

/* The section is known, and comes for the first time. */
void har__section_ends(void *self)
{
    har__putting *u = self;
    har_predictor *p = u->p;
    if (!u->is_kept)
        return;
    har__section *s = &p->section[p->n_section - 1];
    u->is_kept = false;
    s->n = p->n_known - s->first;
    for (int64_t i = 0; i < s->n && u->status == CORE_OK; i++) {
        har_event event = p->known[s->first + i].event;
        event.group = (int32_t)p->known[s->first + i].axis;
        u->status = add_to_sums(p, s, &event);
    }
    if (u->status == CORE_OK)
        u->status = recall(u, s, &u->kept);
}
