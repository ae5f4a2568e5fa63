/* harness/verify/decode.c -- see decode.h.
 *
 * Slots begin at steps 0, 1, 2, 0, ..., prompts are up to three tokens shorter
 * than the longest, and all sequences have the same length: so they end at
 * different steps, prompts are read while others decode, and a slot is taken over
 * while its neighbours go on.
 */
#include "harness/verify/decode.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STARTS = 3, PROMPTS = 4 };

/* --- which tokens when --- */

typedef struct sequence {
    int64_t slot, start, n_prompt;
} sequence;

static int64_t chunks(const har_decode *d, int64_t n_prompt)
{
    return (n_prompt + d->n_chunk - 1) / d->n_chunk;
}

static int64_t n_steps(const har_decode *d, int64_t n_prompt)
{
    return chunks(d, n_prompt) + d->n_t - n_prompt;
}

/* The next one of a slot, that ends before step `end`; false: none does. */
static bool next_of(const har_decode *d, int64_t end, int64_t number,
                    sequence *s)
{
    s->n_prompt = d->most_prompt - number % PROMPTS;
    if (s->n_prompt < 1)
        s->n_prompt = d->most_prompt;
    while (s->n_prompt < d->most_prompt &&
           s->start + n_steps(d, s->n_prompt) > end)
        s->n_prompt++;
    while (number < d->n_slot && s->start > 0 &&
           s->start + n_steps(d, s->n_prompt) > end)
        s->start--;
    return s->start + n_steps(d, s->n_prompt) <= end;
}

/* All of them, by start and slot; out NULL: count them. */
static int64_t deal(const har_decode *d, int64_t end, sequence *out)
{
    int64_t n = 0;
    for (int64_t slot = 0; slot < d->n_slot; slot++) {
        sequence s = {.slot = slot, .start = slot % STARTS};
        for (int64_t number = slot; next_of(d, end, number, &s);
             number += d->n_slot, n++) {
            if (out != NULL)
                out[n] = s;
            s.start += n_steps(d, s.n_prompt);
        }
    }
    return n;
}

/* The tokens of a sequence in a step; none: n is 0. */
static par_step_row row_at(const har_decode *d, const sequence *s, int64_t row,
                           int64_t step)
{
    const int64_t at = step - s->start, n_chunk = chunks(d, s->n_prompt);
    par_step_row r = {.slot = s->slot, .row = row};
    if (at < 0 || at >= n_steps(d, s->n_prompt))
        return r;
    if (at >= n_chunk) {
        r.i0 = s->n_prompt + at - n_chunk;
        r.n = 1;
    } else {
        r.i0 = at * d->n_chunk;
        r.n = r.i0 + d->n_chunk < s->n_prompt ? d->n_chunk
                                              : s->n_prompt - r.i0;
    }
    return r;
}

static void fill_steps(har_decode *d, const sequence *all)
{
    int64_t n = 0;
    for (int64_t i = 0; i < d->n_step; i++) {
        par_step *step = &d->step[i];
        *step = (par_step){.n_slot = d->n_slot,
                           .row = d->row + n,
                           .greedy = d->greedy + n};
        for (int64_t s = 0; s < d->n_seq; s++) {
            const par_step_row r = row_at(d, &all[s], s, i);
            d->n_alone += r.n == 1 && r.i0 >= all[s].n_prompt;
            if (r.n > 0)
                d->row[n + step->n_row++] = r;
        }
        n += step->n_row;
    }
}

static core_status take(void **out, int64_t n, size_t bytes)
{
    CORE_TRY(core_alloc(out, n, bytes, "steps"));
    memset(*out, 0, (size_t)n * bytes);
    return CORE_OK;
}

static core_status make_steps(har_decode *d, const sequence *all)
{
    void *memory;
    int64_t n_row = 0;
    d->least_prompt = d->most_prompt;
    for (int64_t s = 0; s < d->n_seq; s++) {
        const int64_t n = n_steps(d, all[s].n_prompt);
        n_row += n;
        d->n_step = d->n_step > all[s].start + n ? d->n_step : all[s].start + n;
        if (all[s].n_prompt < d->least_prompt)
            d->least_prompt = all[s].n_prompt;
    }
    CORE_TRY(take(&memory, d->n_step, sizeof *d->step));
    d->step = memory;
    CORE_TRY(take(&memory, n_row, sizeof *d->row));
    d->row = memory;
    CORE_TRY(take(&memory, n_row, sizeof *d->greedy));
    d->greedy = memory;
    fill_steps(d, all);
    return CORE_OK;
}

static core_status finish(har_decode *out, har_decode *d, const sequence *all)
{
    const core_status status = make_steps(d, all);
    if (status == CORE_OK)
        *out = *d;
    else
        har_decode_free(d);
    return status;
}

static int64_t chunk_of(int64_t n_chunk, int64_t n_prompt)
{
    return n_chunk > 0 ? n_chunk : (n_prompt + 3) / 4;
}

core_status har_decode_rows(har_decode *out, int64_t n_row, int64_t n_prompt,
                            int64_t n_t, int64_t n_chunk)
{
    har_decode d = {.n_slot = n_row,
                    .n_chunk = chunk_of(n_chunk, n_prompt),
                    .n_seq = n_row,
                    .n_t = n_t,
                    .most_prompt = n_prompt};
    void *memory;
    CORE_TRY(core_alloc(&memory, n_row, sizeof(sequence), "sequences"));
    sequence *all = memory;
    for (int64_t row = 0; row < n_row; row++)
        all[row] = (sequence){.slot = row, .n_prompt = n_prompt};
    const core_status status = finish(out, &d, all);
    free(memory);
    return status;
}

core_status har_decode_make(har_decode *out, int64_t n_slot, int64_t n_t,
                            int64_t n_decode, int64_t n_chunk)
{
    har_decode d = {.n_slot = n_slot,
                    .n_chunk = chunk_of(n_chunk, n_t),
                    .most_prompt = n_t};
    const int64_t end = chunks(&d, n_t) + n_decode;
    /* a slot has two, whatever their prompts and the first one's start are */
    const int64_t behind = (end - (STARTS - 1)) / 2 - chunks(&d, n_t) -
                           (PROMPTS - 1);
    void *memory;
    d.n_t = n_t + (behind > 1 ? behind : 1);
    d.n_seq = deal(&d, end, NULL);
    CORE_TRY(core_alloc(&memory, d.n_seq, sizeof(sequence), "sequences"));
    deal(&d, end, memory);
    const core_status status = finish(out, &d, memory);
    free(memory);
    return status;
}

void har_decode_free(har_decode *d)
{
    free(d->step);
    free(d->row);
    free(d->greedy);
    *d = (har_decode){0};
}

/* --- for the reference --- */

/* The tokens of slots [slot0, slot1) in a step; how many. */
static int64_t list_tokens(const har_decode *d, const par_step *step,
                           int64_t slot0, int64_t slot1, int64_t *token)
{
    int64_t n = 0;
    for (int64_t r = 0; r < step->n_row; r++) {
        const par_step_row *row = &step->row[r];
        for (int64_t i = 0; i < row->n; i++)
            if (row->slot >= slot0 && row->slot < slot1)
                token[n++] = row->row * d->n_t + row->i0 + i;
    }
    return n;
}

/* Slots compete part by part. */
static int64_t n_parts(const har_decode *d, const par_plan *plan,
                       core_capacity_domain domain)
{
    if (domain == CORE_DOMAIN_SEQUENCE)
        return d->n_slot;
    return domain == CORE_DOMAIN_GROUP && plan != NULL
               ? (int64_t)plan->rounds * plan->dp * plan->mb
               : 1;
}

core_status har_decode_groups(core_groups *out, const har_decode *d,
                              const par_plan *plan, core_capacity_domain domain)
{
    const int64_t n_part = n_parts(d, plan, domain);
    void *first = NULL, *token = NULL;
    CORE_TRY(core_alloc(&first, d->n_step * n_part + 1, sizeof(int64_t),
                        "token groups"));
    const core_status status =
        core_alloc(&token, d->n_seq * d->n_t, sizeof(int64_t), "token groups");
    if (status != CORE_OK) {
        free(first);
        return status;
    }
    int64_t *at = first, *list = token, n = 0;
    for (int64_t s = 0; s < d->n_step; s++)
        for (int64_t part = 0; part < n_part; part++) {
            *at++ = n;
            n += list_tokens(d, &d->step[s],
                             core_split_first(d->n_slot, n_part, part),
                             core_split_first(d->n_slot, n_part, part + 1),
                             list + n);
        }
    *at = n;
    *out = (core_groups){
        .n = d->n_step * n_part, .first = first, .token = token};
    return CORE_OK;
}

/* --- the pass --- */

static void add(par_stats *sum, const par_stats *one)
{
    sum->n_choice += one->n_choice;
    sum->n_dropped += one->n_dropped;
    sum->n_sent += one->n_sent;
    sum->n_received += one->n_received;
    sum->n_returned += one->n_returned;
    for (int i = 0; i < (int)PAR_N_OPERATORS; i++)
        sum->cpu_seconds[i] += one->cpu_seconds[i];
    sum->wall_seconds += one->wall_seconds;
    sum->wait_seconds += one->wait_seconds;
    if (sum->exact && !one->exact) {
        sum->exact = false;
        memcpy(sum->not_exact, one->not_exact, sizeof sum->not_exact);
    }
    if (sum->is_written && !one->is_written) {
        sum->is_written = false;
        sum->unwritten = one->unwritten;
    }
    sum->n_lane = one->n_lane;
    sum->weight_bytes = one->weight_bytes;
    if (one->work_bytes > sum->work_bytes)
        sum->work_bytes = one->work_bytes;
}

core_status har_decode_step(par_model *model, const core_batch *batch,
                            const par_step *step, par_stats *sum)
{
    par_stats one;
    for (int64_t r = 0; r < step->n_row; r++)
        step->greedy[r] = -1;
    CORE_TRY(par_decode_step(model, batch, step, &one));
    add(sum, &one);
    return CORE_OK;
}

int64_t har_best_token(const double *logits, int64_t n)
{
    int64_t at = 0;
    for (int64_t v = 1; v < n; v++)
        if (logits[v] > logits[at])
            at = v;
    return at;
}

/* What this rank chose in a step; those that it did not are -1. */
static void compare(const core_st_tensor *logits, const har_decode *d,
                    const par_step *step, double *room, har_greedy *greedy)
{
    const int64_t n_v = logits->n / (d->n_seq * d->n_t);
    for (int64_t r = 0; r < step->n_row; r++) {
        const par_step_row *row = &step->row[r];
        const int64_t at = row->i0 + row->n - 1, found = step->greedy[r];
        if (found < 0)
            continue;
        core_st_read(logits, (row->row * d->n_t + at) * n_v, n_v, room);
        const int64_t expected = har_best_token(room, n_v);
        greedy->n++;
        if (found != expected && greedy->n_wrong++ == 0) {
            greedy->row = row->row;
            greedy->at = at;
            greedy->expected = expected;
            greedy->found = found;
        }
    }
}

static core_status run_steps(par_model *model, const core_batch *batch,
                             const har_decode *d, const core_st_tensor *logits,
                             double *room, har_greedy *greedy,
                             par_stats *stats)
{
    for (int64_t i = 0; i < d->n_step; i++) {
        const par_step *step = &d->step[i];
        CORE_TRY(har_decode_step(model, batch, step, stats));
        compare(logits, d, step, room, greedy);
    }
    return CORE_OK;
}

/* Of all ranks: the first one that is wrong is of the lowest rank that has one. */
static void merge(har_greedy *greedy, par_comm *comm)
{
    enum { N_COUNT = 2, N_FIRST = 4 };
    uint64_t count[N_COUNT] = {(uint64_t)greedy->n, (uint64_t)greedy->n_wrong};
    int64_t first[N_FIRST] = {greedy->row, greedy->at, greedy->expected,
                              greedy->found};
    double rank = greedy->n_wrong > 0 ? -(double)comm->rank : -HUGE_VAL;
    par_all_reduce_u64(comm, &comm->world, count, N_COUNT);
    par_all_reduce(comm, &comm->world, &rank, 1, PAR_MAX, CORE_FP64);
    greedy->n = (int64_t)count[0];
    greedy->n_wrong = (int64_t)count[1];
    if (greedy->n_wrong == 0)
        return;
    par_broadcast(comm, &comm->world, first, (int64_t)sizeof first,
                  (int)-rank);
    greedy->row = first[0];
    greedy->at = first[1];
    greedy->expected = first[2];
    greedy->found = first[3];
}

core_status har_decode_pass(par_model *model, par_comm *comm,
                            const core_spec *spec, const core_batch *batch,
                            const har_decode *d, const core_tapfile *reference,
                            har_greedy *greedy, par_stats *stats)
{
    const core_st_tensor *logits = core_tapfile_find(
        reference, "", (core_tap){CORE_TAP_LOGITS, 0}, false);
    void *room = NULL;
    CORE_TRY(par_agree(comm, core_alloc(&room, spec->n_v, sizeof(double),
                                        "logits")));
    *greedy = (har_greedy){0};
    *stats = (par_stats){.exact = true, .is_written = true};
    const core_status status =
        run_steps(model, batch, d, logits, room, greedy, stats);
    free(room);
    if (status == CORE_OK)
        merge(greedy, comm);
    return status;
}
