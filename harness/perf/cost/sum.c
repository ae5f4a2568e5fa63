/* harness/perf/cost/sum.c -- see sum.h. */
#include "harness/perf/cost/sum.h"

void har_cost_add(har_cost_total *total, const core_cost *cost)
{
    total->n_record[cost->kind]++;
    total->flops[cost->kind] += cost->flops;
    total->weights += cost->weights;
    total->read += cost->read;
    total->written += cost->written;
    total->kv_read += cost->kv_read;
    total->kv_written += cost->kv_written;
    if (cost->kind == CORE_COST_GROUPED_GEMM && cost->m > total->most_rows)
        total->most_rows = cost->m;
    if (cost->kind != CORE_COST_COLLECTIVE)
        return;
    total->n_call[cost->collective]++;
    if (cost->type == CORE_COST_WORDS)
        total->sent_words[cost->collective] += cost->sent;
    else
        total->sent[cost->collective] += cost->sent;
}

int64_t har_cost_n_ticks(const par_plan *plan)
{
    return (int64_t)plan->rounds * (plan->mb + plan->pp - 1);
}

void har_cost_sum_put(void *self, const core_cost *cost)
{
    har_cost_sum *sum = self;
    har_cost_add(&sum->all, cost);
    if (sum->tick != NULL)
        har_cost_add(&sum->tick[cost->tick], cost);
}

int64_t har_cost_bytes(const core_cost *cost, int64_t value_bytes)
{
    return (cost->weights + cost->read + cost->written + cost->kv_read +
            cost->kv_written) *
           value_bytes;
}

int64_t har_cost_sent_bytes(const core_cost *cost, int64_t value_bytes)
{
    const int64_t word_bytes = sizeof(int64_t);
    return cost->sent *
           (cost->type == CORE_COST_WORDS ? word_bytes : value_bytes);
}
