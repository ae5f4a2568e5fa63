/* harness/perf/predict/layers.c -- layers with experts that are known as a
 * whole.
 *
 * The first time that a layer like this one comes its sections are asked for
 * one by one, and those that do not depend on rows of experts are noted.  From
 * then on, if the others are known for the rows that come, all of it is put at
 * once.
 */
#include "harness/perf/predict/putting.h"

#include "core/base/arena.h"

/* A section of the layer's rows; NULL: not known. */
static har__section *of_layer(const har__putting *u, const har_cost_layer *now,
                              har_cost_part part, int64_t n_flow)
{
    har_cost_section section = now->section;
    section.part = part;
    section.is_of_flow = har_cost_is_of_flow(part);
    section.n_flow = n_flow;
    const har__place place = har__place_of(u, &section);
    const int32_t at = *har__find_section(u->p, &place);
    return at > 0 ? &u->p->section[at - 1] : NULL;
}

static core_status exchange(har__putting *u, har__section *known, double weight,
                            const int64_t *sent)
{
    known->weight += weight;
    har__add_sent(u->p, known, weight, sent);
    return har__recall_sums(u, known);
}

/* Sections of the rows of a layer.                                           */
typedef struct flow {
    har__section *pack, *out, *rows, *back, *combine;
} flow;

static core_status put_layer(har__putting *u, har__layer *layer,
                             const har_cost_layer *now, const flow *f)
{
    har__section *section = u->p->section;
    const double weight = u->p->weight[now->section.tick];
    har__section *const all[] = {
        &section[layer->mixer - 1],
        f->pack,
        f->out,
        f->rows,
        now->section.rows.m > 0 ? &section[layer->products - 1] : f->rows,
        f->back,
        f->combine,
        &section[layer->mlp - 1]};
    for (int i = 0; i < 8; i++)
        CORE_TRY(har__touch(u->p, all[i]));
    layer->weight += weight;
    f->pack->weight += weight;
    f->rows->weight += weight;
    f->combine->weight += weight;
    CORE_TRY(har__recall_sums(u, &section[layer->mixer - 1]));
    CORE_TRY(har__recall_sums(u, f->pack));
    CORE_TRY(exchange(u, f->out, weight, now->sent_out));
    CORE_TRY(har__recall_sums(u, f->rows));
    if (now->section.rows.m > 0)
        CORE_TRY(
            har__multiply(u, &section[layer->products - 1], &now->section));
    CORE_TRY(exchange(u, f->back, weight, now->sent_back));
    CORE_TRY(har__recall_sums(u, f->combine));
    return har__recall_sums(u, &section[layer->mlp - 1]);
}

/* Its sections are noted as they come. */
static core_status begin(har__putting *u, const har__place *place, int32_t *at,
                         const har_cost_section *now)
{
    har_predictor *p = u->p;
    if (p->n_section == HAR__MOST_SECTIONS)
        return CORE_OK;
    har__layer *more = core_grow(p->layer, &p->n_layer_room, p->n_layer + 1,
                                 sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->layer = more;
    more[p->n_layer++] = (har__layer){.weight = 0};
    CORE_TRY(har__begin_section(u, place, at, now));
    u->is_kept = false;
    p->section[p->n_section - 1].product = p->n_layer;
    u->new_layer = (int32_t)p->n_layer;
    return CORE_OK;
}

/* The sections of its rows; false: not all of it is known. */
static bool find_flow(const har__putting *u, const har__layer *layer,
                      const har_cost_layer *now, flow *out)
{
    const har_cost_section *s = &now->section;
    *out = (flow){.pack = of_layer(u, now, HAR_COST_PACK, now->n_kept),
                  .out = of_layer(u, now, HAR_COST_DISPATCH, now->n_most),
                  .rows = of_layer(u, now, HAR_COST_ROWS, s->rows.m),
                  .back = of_layer(u, now, HAR_COST_RETURN, now->n_most),
                  .combine = of_layer(u, now, HAR_COST_COMBINE, now->n_kept)};
    return layer->mixer > 0 && layer->mlp > 0 &&
           (layer->products > 0 || s->rows.m == 0) && out->pack != NULL &&
           out->out != NULL && out->rows != NULL && out->back != NULL &&
           out->combine != NULL;
}

bool har__layer_has(void *self, const har_cost_layer *now)
{
    har__putting *u = self;
    har_predictor *p = u->p;
    har__reach(u, now->section.tick);
    u->new_layer = 0;
    if (u->status != CORE_OK)
        return false;
    const har__place place = har__place_of(u, &now->section);
    int32_t *at = har__find_section(p, &place);
    if (*at == 0) {
        u->status = begin(u, &place, at, &now->section);
        return false;
    }
    u->status = har__touch(p, &p->section[*at - 1]);
    if (u->status != CORE_OK)
        return false;
    har__layer *layer = &p->layer[p->section[*at - 1].product - 1];
    flow f;
    if (!find_flow(u, layer, now, &f))
        return false;
    u->layer = now->section.layer;
    u->status = put_layer(u, layer, now, &f);
    return true;
}

void har__layer_ends(void *self)
{
    ((har__putting *)self)->new_layer = 0;
}
