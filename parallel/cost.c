/* parallel/cost.c -- one record of cost per operator (docs/cost-records.md).
 *
 * A record is open until the next one begins, or the tick ends: so every moment
 * of an operator's work belongs to exactly one record, its bias and its storing
 * too.  Whoever computes adds what it computes to the open record.  Nobody has
 * to ask for the records: without a sink they are filled and forgotten, and no
 * clock is read.
 *
 * Trap: par__cost charges processor time, so it must not be called between
 * par__pause and par__resume.
 */
#include "parallel/forward_impl.h"

#include "core/base/clock.h"

enum { ELEMENT = 8 }; /* bytes on the wire of a double and of an integer      */

static double operator_seconds(const par_model *m)
{
    double sum = 0.0;
    for (int i = 0; i < PAR_N_OPERATORS; i++)
        sum += i == PAR_OP_CHECK ? 0.0 : m->stats->cpu_seconds[i];
    return sum;
}

static par_cost_time clocks(par_model *m)
{
    par__pause(m);
    par__resume(m);
    return (par_cost_time){.start = core_seconds(CLOCK_MONOTONIC),
                           .seconds = m->cost.away_seconds,
                           .wait_seconds = m->comm->wait_seconds,
                           .cpu_seconds = operator_seconds(m)};
}

static void add_to_part(par_cost_part *part, const core_cost *record,
                        const par_cost_time *took)
{
    if (!part->is_begun)
        part->took.start = took->start;
    part->is_begun = true;
    part->record = *record;
    part->took.seconds += took->seconds;
    part->took.wait_seconds += took->wait_seconds;
    part->took.cpu_seconds += took->cpu_seconds;
}

void par__cost_close(par_model *m)
{
    par_open_cost *open = &m->cost;
    const bool is_open = open->is_open;
    open->is_open = false;
    if (!is_open || m->options.cost == NULL)
        return;
    const par_cost_time now = clocks(m), then = open->since;
    const par_cost_time took = {
        .start = then.start,
        .seconds = now.start - then.start - (now.seconds - then.seconds),
        .wait_seconds = now.wait_seconds - then.wait_seconds,
        .cpu_seconds = now.cpu_seconds - then.cpu_seconds};
    if (open->is_counted)
        open->record.sent =
            (m->comm->n_bytes[open->op] - open->bytes_before) / ELEMENT;
    if (open->part != NULL)
        add_to_part(open->part, &open->record, &took);
    else if (!core_cost_is_empty(&open->record))
        m->options.cost(m->options.cost_self, &open->record, &took);
}

core_cost *par__cost(par_model *m, core_cost_kind kind, core_tap tap)
{
    par_open_cost *open = &m->cost;
    par__cost_close(m);
    open->is_open = true;
    open->is_counted = false;
    open->part = NULL;
    open->record = (core_cost){.kind = kind,
                               .op = par_operator_name(m->op),
                               .tap = tap,
                               .stage = m->layout->stage,
                               .rank = m->layout->rank,
                               .round = m->now.round,
                               .mb = m->now.mb,
                               .tick = m->now.tick,
                               .n_token = m->now.n};
    if (m->options.cost != NULL)
        open->since = clocks(m);
    return &open->record;
}

core_cost *par__cost_part(par_model *m, par_cost_part *part,
                          core_cost_kind kind, core_tap tap)
{
    core_cost *record = par__cost(m, kind, tap);
    m->cost.part = part;
    if (part->is_begun)
        *record = part->record;
    return record;
}

void par__cost_parts_close(par_model *m, const par_cost_part *part, int n)
{
    double end = 0.0;
    par__cost_close(m);
    for (int i = 0; i < n; i++) {
        par_cost_time took = part[i].took;
        if (!part[i].is_begun || core_cost_is_empty(&part[i].record))
            continue;
        took.start = fmax(took.start, end);
        end = took.start + took.seconds;
        m->options.cost(m->options.cost_self, &part[i].record, &took);
    }
}

void par__way_begin(par_model *m, par_under_way *way)
{
    if (m->options.under_way == NULL)
        return;
    way->cost = m->cost.record;
    way->start = core_seconds(CLOCK_MONOTONIC);
}

void par__way_end(par_model *m, par_under_way *way)
{
    if (m->options.under_way == NULL)
        return;
    way->end = core_seconds(CLOCK_MONOTONIC);
    m->options.under_way(m->options.cost_self, way);
}

void par__cost_add_rows(par_model *m, int64_t n_row, int64_t n_col,
                        int64_t flops)
{
    core_cost *cost = &m->cost.record;
    cost->m += n_row;
    cost->n = n_col;
    cost->flops += n_row * n_col * flops;
    cost->read += n_row * n_col;
    cost->written += n_row * n_col;
}

core_cost *par__cost_rows(par_model *m, core_tap tap, int64_t n_row,
                          int64_t n_col, int64_t flops)
{
    core_cost *cost = par__cost(m, CORE_COST_ELEMENTWISE, tap);
    par__cost_add_rows(m, n_row, n_col, flops);
    return cost;
}

void par__cost_is_kv(par_model *m)
{
    core_cost *cost = &m->cost.record;
    cost->kv_written += cost->written;
    cost->written = 0;
    if (cost->kind != CORE_COST_ELEMENTWISE)
        return;
    cost->kv_read += cost->read;
    cost->read = 0;
}

static core_axis axis_of(const par_layout *lay, const par_group *group)
{
    return group == &lay->tp_group   ? CORE_AXIS_TP
           : group == &lay->cp_group ? CORE_AXIS_CP
           : group == &lay->ep_group ? CORE_AXIS_EP
                                     : CORE_AXIS_ETP;
}

core_cost *par__cost_collective(par_model *m, par_op_kind op,
                                const par_group *group, core_tap tap,
                                int64_t in, int64_t out)
{
    static const core_collective collective[PAR_N_OP_KINDS] = {
        [PAR_ALL_REDUCE] = CORE_ALL_REDUCE,
        [PAR_ALL_GATHER] = CORE_ALL_GATHER,
        [PAR_REDUCE_SCATTER] = CORE_REDUCE_SCATTER,
        [PAR_ALL_TO_ALL] = CORE_ALL_TO_ALL,
        [PAR_SEND] = CORE_RING};
    core_cost *cost = par__cost(m, CORE_COST_COLLECTIVE, tap);
    cost->collective = collective[op];
    cost->axis = axis_of(m->layout, group);
    cost->group = group->n;
    cost->in = in;
    cost->out = out;
    m->cost.is_counted = true;
    m->cost.op = op;
    m->cost.bytes_before = m->comm->n_bytes[op];
    return cost;
}

void par__cost_stage(par_model *m, core_collective collective, core_tap tap,
                     int64_t n)
{
    core_cost *cost = par__cost(m, CORE_COST_COLLECTIVE, tap);
    cost->op = "pipeline";
    cost->collective = collective;
    cost->axis = CORE_AXIS_PP;
    cost->group = m->layout->plan.pp;
    cost->in = cost->sent = collective == CORE_SEND ? n : 0;
    cost->out = collective == CORE_RECEIVE ? n : 0;
}
