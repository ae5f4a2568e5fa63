/* harness/verify/dealer.c -- see dealer.h.
 *
 * All ranks deal by the same counts, so nobody has to be told the maps.  What
 * moved is known twice: by the two maps, and by what came over the wires.
 */
#include "harness/verify/dealer.h"

#include "core/base/arena.h"
#include "harness/verify/routing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static par_balancer balancer(const par_plan *plan, const core_spec *spec,
                             int n_slot, int n_node)
{
    return (par_balancer){.n_e = (int)spec->n_e,
                          .n_gpu = plan->ep,
                          .n_slot = n_slot,
                          .n_node = n_node,
                          .n_group = n_node,
                          .is_once = true};
}

core_status har_dealer_plan(par_plan *plan, const core_spec *spec, int n_slot,
                            int n_node)
{
    const int n_moe = core_spec_count_moe(spec, 0, (int)spec->n_l);
    const bool has_own = plan->n_mapped > 0;
    int in_order[PAR_MAX_SLOTS];
    CORE_FAIL_IF(n_moe == 0, CORE_E_SPEC, "--passes: %s has no experts to deal",
                 spec->name);
    CORE_FAIL_IF(plan->n_placed > 0, CORE_E_USAGE,
                 "--passes: experts are dealt in each layer, expected a plan with "
                 "physical or without, found placement");
    CORE_FAIL_IF(has_own && n_slot > 0, CORE_E_USAGE,
                 "--slots: the plan has %d physical experts in each layer",
                 plan->n_physical);
    if (has_own)
        n_slot = plan->n_physical / plan->ep;
    else if (n_slot == 0)
        n_slot = ((int)spec->n_e + plan->ep - 1) / plan->ep;
    const par_balancer how = balancer(plan, spec, n_slot, n_node);
    CORE_TRY(par_balancer_check(&how));
    if (has_own)
        return CORE_OK;
    plan->n_physical = plan->ep * n_slot;
    CORE_FAIL_IF((int64_t)n_moe * plan->n_physical > PAR_MAX_PHYSICAL,
                 CORE_E_USAGE, "--slots: %d layers x %d physical experts, at "
                 "most %d in all", n_moe, plan->n_physical, PAR_MAX_PHYSICAL);
    plan->n_mapped = n_moe;
    par_balancer_in_order(&how, in_order);
    for (int i = 0; i < n_moe * plan->n_physical; i++)
        plan->physical[i] = (uint16_t)in_order[i % plan->n_physical];
    return par_plan_check(plan, spec);
}

static void take(har_dealer *d, core_arena *a, const par_layout *layout)
{
    const int64_t n = (int64_t)d->n_moe * d->plan.n_physical;
    d->mine = core_arena_i64(a, d->spec->n_l * layout->n_my_expert);
    d->rows = core_arena_take(a, n, sizeof *d->rows);
    d->load = core_arena_f64(a, d->n_moe * d->spec->n_e);
    d->logical = core_arena_take(a, 2 * d->plan.n_physical, sizeof *d->logical);
    d->before = core_arena_take(a, n, sizeof *d->before);
    d->after = core_arena_take(a, n, sizeof *d->after);
}

core_status har_dealer_open(har_dealer *out, const core_spec *spec,
                            const par_layout *layout, int n_node)
{
    core_arena need = core_arena_measure();
    *out = (har_dealer){
        .spec = spec, .plan = layout->plan, .arena = core_arena_measure()};
    out->how = balancer(&out->plan, spec, layout->n_my_expert, n_node);
    out->n_moe = core_spec_count_moe(spec, 0, (int)spec->n_l);
    take(out, &need, layout);
    CORE_TRY(core_arena_room(&out->arena, &need));
    take(out, &out->arena, layout);
    memcpy(out->before, out->plan.physical,
           (size_t)(out->n_moe * out->plan.n_physical) * sizeof *out->before);
    return CORE_OK;
}

int har_dealer_parts(const par_plan *plan)
{
    const int n_stage = plan->scope == PAR_SCOPE_STAGE ? plan->pp : 1;
    return par_plan_world(plan) / n_stage / plan->ep;
}

void har_dealer_close(har_dealer *d) { core_arena_free(&d->arena); }

/* --- counting --- */

void har_dealer_begin(har_dealer *d, par_model *model)
{
    par_take_rows(model, d->mine);
}

/* Rows of every slot, all replicas of the experts together; the rows of a logical
 * expert are those of its slots. */
static void add_up(har_dealer *d, par_comm *comm, const par_layout *lay)
{
    const int n = d->plan.n_physical, n_slot = lay->n_my_expert;
    memset(d->rows, 0, (size_t)(d->n_moe * n) * sizeof *d->rows);
    for (int l = 0, i = 0; l < (int)d->spec->n_l; l++) {
        if (!core_spec_is_moe(d->spec, l))
            continue;
        for (int slot = 0; lay->etp_i == 0 && slot < n_slot; slot++)
            d->rows[i * n + lay->ep_i * n_slot + slot] =
                (uint64_t)d->mine[l * n_slot + slot];
        i++;
    }
    par_all_reduce_u64(comm, &comm->world, d->rows, d->n_moe * n);
    memset(d->load, 0,
           (size_t)(d->n_moe * d->spec->n_e) * sizeof *d->load);
    for (int i = 0; i < d->n_moe * n; i++)
        d->load[i / n * d->spec->n_e + d->plan.physical[i]] +=
            (double)d->rows[i];
}

/* Rows of the fullest ep index, layers added up: counted. */
static double fullest(const har_dealer *d)
{
    const int n = d->plan.n_physical, n_slot = d->how.n_slot;
    double all = 0;
    for (int i = 0; i < d->n_moe; i++) {
        double most = 0;
        for (int g = 0; g < d->how.n_gpu; g++) {
            double sum = 0;
            for (int slot = 0; slot < n_slot; slot++)
                sum += (double)d->rows[i * n + g * n_slot + slot];
            most = fmax(most, sum);
        }
        all += most;
    }
    return all;
}

/* Rows of an ep index in the mean, likewise. */
static double mean_rows(const har_dealer *d)
{
    double all = 0;
    for (int64_t i = 0; i < d->n_moe * d->spec->n_e; i++)
        all += d->load[i];
    return all / d->how.n_gpu;
}

static const int *to_ints(const uint16_t *physical, int n, int *out)
{
    for (int p = 0; p < n; p++)
        out[p] = physical[p];
    return out;
}

/* Rows of the fullest had the copies of `physical` shared the counted loads
 * evenly. */
static double fullest_under(const har_dealer *d, const uint16_t *physical)
{
    const int n = d->plan.n_physical;
    double all = 0;
    for (int i = 0; i < d->n_moe; i++) {
        const double *load = d->load + i * d->spec->n_e;
        double sum = 0;
        for (int e = 0; e < d->how.n_e; e++)
            sum += load[e];
        if (sum > 0)
            all += sum / d->how.n_gpu /
                   par_balancer_balance(&d->how, load,
                                        to_ints(physical + (int64_t)i * n, n,
                                                d->logical));
    }
    return all;
}

/* Of products of all layers, their copies sharing the counted loads evenly. */
static double seconds_under(const har_dealer *d, const uint16_t *physical,
                            const har_price *price)
{
    const int n = d->plan.n_physical;
    double all = 0;
    for (int i = 0; i < d->n_moe; i++)
        all += price->products(price->self, d->load + i * d->spec->n_e,
                               to_ints(physical + (int64_t)i * n, n,
                                       d->logical));
    return all;
}

void har_dealer_weigh(const har_dealer *d, har_dealt *out,
                      const har_price *price)
{
    const double mean = mean_rows(d);
    out->fullest = fullest(d);
    out->fullest_kept = fullest_under(d, d->before);
    out->balance = out->fullest > 0 ? mean / out->fullest : 1;
    out->kept = out->fullest_kept > 0 ? mean / out->fullest_kept : 1;
    out->n_bytes_before = d->moved_bytes;
    out->is_priced = price != NULL;
    if (price == NULL)
        return;
    out->seconds = seconds_under(d, d->plan.physical, price);
    out->seconds_kept = seconds_under(d, d->before, price);
    out->seconds_before = price->move(price->self, d->most);
    out->pays =
        price->pays(out->seconds_before, out->seconds_kept, out->seconds);
}

/* Rank 0: are the counts those of the reference's choices that have a slot? */
static core_status check_counts(const har_dealer *d, har_dealt *out,
                                const core_tapfile *file, int64_t n_token)
{
    const core_spec *spec = d->spec;
    const int64_t n_e = spec->n_e, n = n_token * spec->n_k;
    uint8_t **live;
    void *memory;
    CORE_TRY(core_alloc(&memory, n_e, sizeof(int64_t), "rows of experts"));
    int64_t *count = memory;
    const core_status status = har_live_make(&live, spec, file, n_token);
    for (int l = 0, i = 0; status == CORE_OK && l < (int)spec->n_l; l++) {
        if (!core_spec_is_moe(spec, l))
            continue;
        const core_st_tensor *idx = core_tapfile_find(
            file, "", (core_tap){CORE_TAP_TOPK_IDX, l}, false);
        memset(count, 0, (size_t)n_e * sizeof *count);
        for (int64_t c = 0; c < n; c++)
            if (live[l][c] != 0)
                count[core_st_int(idx, c)]++;
        for (int64_t e = 0; e < n_e && out->wrong[0] == '\0'; e++)
            if ((double)count[e] != d->load[i * n_e + e])
                snprintf(out->wrong, sizeof out->wrong,
                         "layers.%d expert %lld: %.0f rows were counted, the "
                         "reference sends it %lld",
                         l, (long long)e, d->load[i * n_e + e],
                         (long long)count[e]);
        i++;
    }
    if (status == CORE_OK)
        har_live_free(live, spec);
    free(count);
    return status;
}

core_status har_dealer_count(har_dealer *d, har_dealt *out, par_comm *comm,
                             par_model *model, const par_layout *layout,
                             const core_batch *batch,
                             const core_tapfile *reference,
                             const har_price *price)
{
    core_status status = CORE_OK;
    out->is_there = true;
    par_take_rows(model, d->mine);
    add_up(d, comm, layout);
    har_dealer_weigh(d, out, price);
    if (comm->rank == 0)
        status = check_counts(d, out, reference, batch->n_b * batch->n_t);
    CORE_TRY(par_agree(comm, status));
    par_broadcast(comm, &comm->world, out->wrong, (int64_t)sizeof out->wrong,
                  0);
    return CORE_OK;
}

/* --- dealing --- */

/* Into d->after; returns the experts that some ep index lacks. */
static int64_t deal(har_dealer *d)
{
    const int n = d->plan.n_physical;
    int *had = d->logical, *wants = d->logical + n;
    int64_t n_moved = 0;
    d->most = 0;
    for (int i = 0; i < d->n_moe; i++) {
        int most;
        to_ints(d->plan.physical + (int64_t)i * n, n, had);
        par_balancer_deal(&d->how, d->load + i * d->spec->n_e, wants);
        n_moved += par_balancer_moved(&d->how, had, wants, &most);
        d->most += most;
        for (int p = 0; p < n; p++)
            d->after[i * n + p] = (uint16_t)wants[p];
    }
    return n_moved;
}

/* The first expert that lies where others' weights are, of the lowest rank. */
static void check_weights(par_comm *comm, par_model *model, har_dealt *out)
{
    par_misplaced wrong = {0};
    char text[sizeof out->wrong] = "";
    double rank = -HUGE_VAL;
    if (par_find_misplaced(model, &wrong)) {
        rank = -(double)comm->rank;
        snprintf(text, sizeof text,
                 "layers.%d expert %d: slot %d of rank %d has other weights "
                 "behind the move",
                 wrong.layer, wrong.expert, wrong.slot, comm->rank);
    }
    par_all_reduce(comm, &comm->world, &rank, 1, PAR_MAX, CORE_FP64);
    if (rank == -HUGE_VAL)
        return;
    par_broadcast(comm, &comm->world, text, (int64_t)sizeof text, (int)-rank);
    if (out->wrong[0] == '\0')
        memcpy(out->wrong, text, sizeof text);
}

core_status har_dealer_move(har_dealer *d, har_dealt *out, par_comm *comm,
                            par_model *model, par_layout *layout)
{
    const size_t bytes =
        (size_t)(d->n_moe * d->plan.n_physical) * sizeof *d->after;
    const int64_t sent_before = comm->n_bytes[PAR_ALL_TO_ALL];
    const int64_t expected = deal(d) * har_dealer_parts(&layout->plan);
    par_moved mine;
    memcpy(d->before, d->plan.physical, bytes);
    memcpy(d->plan.physical, d->after, bytes);
    CORE_TRY_CTX(par_plan_check(&d->plan, d->spec), "dealing experts anew");
    par_at(comm, "moving experts", 0);
    par_move_experts(model, layout, d->after, &mine);
    uint64_t all[] = {(uint64_t)mine.n_expert, (uint64_t)mine.n_bytes,
                      (uint64_t)(comm->n_bytes[PAR_ALL_TO_ALL] - sent_before)};
    par_all_reduce_u64(comm, &comm->world, all, 3);
    out->n_moved = (int64_t)all[0];
    out->n_bytes = d->moved_bytes = (int64_t)all[1];
    if (out->wrong[0] == '\0' && (out->n_moved != expected || all[1] != all[2]))
        snprintf(out->wrong, sizeof out->wrong,
                 "%lld experts of %lld bytes came from other ranks, %lld bytes "
                 "were sent, the maps want %lld experts",
                 (long long)out->n_moved, (long long)out->n_bytes,
                 (long long)all[2], (long long)expected);
    check_weights(comm, model, out);
    return CORE_OK;
}
