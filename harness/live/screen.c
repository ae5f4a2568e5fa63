/* harness/live/screen.c -- see screen.h. */
#include "harness/live/screen.h"

#include "core/base/printable.h"
#include "harness/words/words.h"

#include <math.h>

static void write_progress(FILE *out, const har_tally *live)
{
    if (!live->is_told)
        return;
    fprintf(out, "run       %.0f %%, ", 100.0 * live->progress);
    core_print(out, live->step);
    fprintf(out, ", %.1f s", live->seconds);
    if (live->left_seconds > 0.0)
        fprintf(out, ", about %.0f s left", live->left_seconds);
    fputc('\n', out);
}

static int64_t sent(const har_tally_pass *p)
{
    int64_t n = 0;
    for (int kind = 0; kind < (int)PAR_N_OP_KINDS; kind++)
        n += p->n_bytes[kind];
    return n;
}

static void write_passes(FILE *out, const har_tally *live)
{
    fprintf(out, "numerics  %-30s %9s %9s %8s %8s %8s %8s %10s\n", "pass",
            "tokens", "tokens/s", "seconds", "waiting", "balance", "dropped",
            "sent");
    for (int i = 0; i < live->n_pass; i++) {
        const har_tally_pass *p = live->pass[i];
        char bytes[16];
        char name[CORE_PRINTABLE_BYTES], numerics[CORE_PRINTABLE_BYTES];
        fprintf(out,
                "%-9s %-30s %9lld %9.1f %8.2f %6.1f %% %8.3f %6.2f %% %10s\n",
                core_printable(numerics, sizeof numerics, p->numerics),
                core_printable(name, sizeof name, p->name),
                (long long)har_tally_tokens(p), har_tally_tokens_per_second(p),
                p->to - p->from, 100.0 * har_tally_waiting_share(p),
                har_tally_balance(p), 100.0 * har_tally_dropped_share(p),
                har_format_bytes((size_t)sent(p), bytes));
    }
}

static void write_bytes(FILE *out, const har_tally_pass *p)
{
    const char *between = "bytes     ";
    char bytes[16];
    for (int kind = 0; kind < (int)PAR_N_OP_KINDS; kind++) {
        if (p->n_bytes[kind] == 0)
            continue;
        fprintf(out, "%s%s %s", between, par_op_name((par_op_kind)kind),
                har_format_bytes((size_t)p->n_bytes[kind], bytes));
        between = ", ";
    }
    if (between[0] == ',')
        fputc('\n', out);
}

/* --- bars --- */

static double expert_rows(const har_tally_pass *p, int e)
{
    return (double)(p->n_row[e] / p->degrees.etp);
}

static double rank_waiting(const har_tally_pass *p, int r)
{
    const har_tally_rank *rank = &p->rank[r];
    return rank->seconds > 0.0 ? 100.0 * rank->wait_seconds / rank->seconds
                               : 0.0;
}

typedef double value_of(const har_tally_pass *pass, int i);

/* n bars, 64 in a line, the highest as high as the line; nothing alone is blank. */
static void write_bars(FILE *out, const har_tally_pass *p, value_of *value,
                       int n, int highest)
{
    static const char *const BAR[] = {" ", "▁", "▂", "▃", "▄",
                                      "▅", "▆", "▇", "█"};
    const double full = value(p, highest);
    for (int i = 0; i < n; i++) {
        if (i % 64 == 0)
            fprintf(out, "%8d  ", i);
        const double height = full > 0.0 ? value(p, i) / full : 0.0;
        fputs(BAR[(int)ceil(8.0 * height)], out);
        if (i % 64 == 63 || i == n - 1)
            fputc('\n', out);
    }
}

static void write_values(FILE *out, const har_tally_pass *p, value_of *value,
                         int n, const char *what, const char *unit)
{
    int least = 0, most = 0;
    for (int i = 1; i < n; i++) {
        least = value(p, i) < value(p, least) ? i : least;
        most = value(p, i) > value(p, most) ? i : most;
    }
    if (n == 0)
        return;
    fprintf(out, "%s of %d: most %.0f%s (%d), least %.0f%s (%d)\n", what, n,
            value(p, most), unit, most, value(p, least), unit, least);
    write_bars(out, p, value, n, most);
}

void har_screen_write(FILE *out, const har_tally *live)
{
    write_progress(out, live);
    if (live->n_pass == 0)
        return;
    const har_tally_pass *last = live->pass[live->n_pass - 1];
    fputs("plan      ", out);
    core_print(out, last->plan);
    fputc('\n', out);
    write_passes(out, live);
    write_bytes(out, last);
    write_values(out, last, expert_rows, last->n_expert, "experts   rows", "");
    write_values(out, last, rank_waiting, last->n_rank, "ranks     waiting",
                 " %");
}
