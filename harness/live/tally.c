/* harness/live/tally.c -- see tally.h. */
#include "harness/live/tally.h"

#include "core/base/arena.h"
#include "core/files/json.h"
#include "harness/live/line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_of(const har_tally_pass *pass, const har_tick_line *t)
{
    return strcmp(pass->plan, t->plan) == 0 &&
           strcmp(pass->numerics, t->numerics) == 0 &&
           strcmp(pass->name, t->pass) == 0;
}

static core_status fill(har_tally_pass *pass, const har_tick_line *t)
{
    void *rank = NULL;
    *pass = (har_tally_pass){.from = INFINITY};
    strcpy(pass->plan, t->plan);
    strcpy(pass->numerics, t->numerics);
    strcpy(pass->name, t->pass);
    CORE_TRY(par_plan_parse(&pass->degrees, t->plan));
    pass->n_rank = par_plan_world(&pass->degrees);
    CORE_TRY(core_alloc(&rank, (size_t)pass->n_rank, sizeof *pass->rank,
                        "what ranks did"));
    memset(rank, 0, (size_t)pass->n_rank * sizeof *pass->rank);
    pass->rank = rank;
    return CORE_OK;
}

/* *out: the pass that the line is of, a new one if need be. */
static core_status find(har_tally_pass **out, har_tally *live,
                        const har_tick_line *t)
{
    for (int i = live->n_pass - 1; i >= 0; i--)
        if (is_of(live->pass[i], t)) {
            *out = live->pass[i];
            return CORE_OK;
        }
    void *pass = NULL;
    void *more = realloc(live->pass,
                         (size_t)(live->n_pass + 1) * sizeof *live->pass);
    CORE_FAIL_IF(more == NULL, CORE_E_MEMORY, "no memory for %d passes",
                 live->n_pass + 1);
    live->pass = more;
    CORE_TRY(core_alloc(&pass, 1, sizeof(har_tally_pass), "a pass"));
    *out = live->pass[live->n_pass++] = pass;
    return fill(*out, t);
}

static void add_rows(har_tally_pass *pass, const har_tick_line *t)
{
    const size_t n = json_array_size(t->experts);
    const json_t *rows;
    size_t i;
    json_array_foreach(t->expert_rows, i, rows)
    {
        const int64_t e =
            json_integer_value(json_array_get(t->experts, i % n));
        const int64_t n_row = json_integer_value(rows);
        pass->n_row[e] += n_row;
        pass->rank[t->rank].n_row += n_row;
        pass->n_expert = e >= pass->n_expert ? (int)e + 1 : pass->n_expert;
    }
}

static core_status add_tick(har_tally *live, const har_tick_line *t,
                            const char *name)
{
    har_tally_pass *pass = NULL;
    CORE_TRY_CTX(find(&pass, live, t), "%s", name);
    CORE_FAIL_IF(t->rank >= pass->n_rank, CORE_E_FORMAT,
                 "%s: rank: expected one of the %d of %s, found %d", name,
                 pass->n_rank, pass->plan, t->rank);
    pass->n_token += t->n_token;
    pass->n_choice += t->n_choice;
    pass->n_dropped += t->n_dropped;
    for (int kind = 0; kind < (int)PAR_N_OP_KINDS; kind++)
        pass->n_bytes[kind] += t->n_bytes[kind];
    pass->from = fmin(pass->from, fmax(t->at - t->seconds, 0.0));
    pass->to = fmax(pass->to, t->at);
    pass->rank[t->rank].seconds += t->seconds;
    pass->rank[t->rank].wait_seconds += t->wait_seconds;
    add_rows(pass, t);
    return CORE_OK;
}

static core_status add(har_tally *live, const json_t *line, const char *name)
{
    har_tick_line tick;
    har_progress_line progress;
    if (!har_line_is_progress(line)) {
        CORE_TRY(har_line_tick(&tick, line, name));
        return add_tick(live, &tick, name);
    }
    CORE_TRY(har_line_progress(&progress, line, name));
    live->is_told = true;
    live->progress = progress.progress;
    live->seconds = progress.seconds;
    live->left_seconds = progress.left_seconds;
    strcpy(live->step, progress.step);
    return CORE_OK;
}

core_status har_tally_add(har_tally *live, const char *line, size_t n_bytes,
                         const char *name)
{
    json_t *root;
    CORE_TRY(core_json_parse(&root, line, n_bytes, name));
    const core_status status = add(live, root, name);
    json_decref(root);
    return status;
}

void har_tally_free(har_tally *live)
{
    for (int i = 0; i < live->n_pass; i++) {
        free(live->pass[i]->rank);
        free(live->pass[i]);
    }
    free(live->pass);
    *live = (har_tally){.n_pass = 0};
}

int64_t har_tally_tokens(const har_tally_pass *pass)
{
    return pass->n_token /
           (pass->degrees.tp * par_plan_parts(&pass->degrees));
}

double har_tally_tokens_per_second(const har_tally_pass *pass)
{
    return pass->to > pass->from
               ? (double)har_tally_tokens(pass) / (pass->to - pass->from)
               : 0.0;
}

double har_tally_dropped_share(const har_tally_pass *pass)
{
    return pass->n_choice > 0
               ? (double)pass->n_dropped / (double)pass->n_choice
               : 0.0;
}

double har_tally_waiting_share(const har_tally_pass *pass)
{
    double seconds = 0.0, wait_seconds = 0.0;
    for (int r = 0; r < pass->n_rank; r++) {
        seconds += pass->rank[r].seconds;
        wait_seconds += pass->rank[r].wait_seconds;
    }
    return seconds > 0.0 ? wait_seconds / seconds : 0.0;
}

double har_tally_balance(const har_tally_pass *pass)
{
    int64_t most = 0, sum = 0;
    for (int r = 0; r < pass->n_rank; r++) {
        sum += pass->rank[r].n_row;
        most = pass->rank[r].n_row > most ? pass->rank[r].n_row : most;
    }
    return most > 0 ? (double)sum / ((double)most * pass->n_rank) : 1.0;
}
