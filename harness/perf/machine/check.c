/* harness/perf/machine/check.c -- contradictions in a machine file.
 *
 * A data sheet prints a peak and what it is the product of; people copy the one
 * with sparsity, a link's two directions in one number, a clock of another
 * board.
 */
#include "harness/perf/machine/impl.h"

static const double NEAR = 0.15; /* relative: sheets round, clocks differ */

typedef struct checking {
    FILE *out;
    int n_wrong;
} checking;

static void say(checking *c, bool is_right, const char *key, double found,
                double expected, const char *unit, const char *why)
{
    fprintf(c->out, "%-6s %-22s %.4g %s, %s %.4g\n", is_right ? "ok" : "WRONG",
            key, found, unit, why, expected);
    c->n_wrong += !is_right;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= NEAR * b;
}

static void check_peaks(checking *c, const har_machine *m,
                        const har_generation *rules)
{
    static const core_dtype halves[] = {CORE_DTYPE_F16, CORE_DTYPE_BF16};
    static const core_dtype eights[] = {CORE_DTYPE_I8, CORE_DTYPE_F8_E4M3,
                                        CORE_DTYPE_F8_E5M2};
    const double made = m->n_unit * m->clock_hz * rules->flop_per_clock * 1e-12;
    for (int i = 0; i < 2; i++) {
        const double peak = m->peak[halves[i]] * 1e-12;
        /* boards for games have half of it */
        if (peak > 0)
            say(c,
                near(peak, made) ||
                    (rules->link_bw <= 0 && near(peak, made / 2)),
                core_dtype_name(halves[i]), peak, made, "TFLOPS",
                near(peak, 2 * made)
                    ? "twice (with sparsity?) count x clock x flop per clock ="
                    : "count x clock x flop per clock =");
    }
    for (int i = 0; i < 3; i++) {
        const double peak = m->peak[eights[i]] * 1e-12;
        const double half = 2e-12 * m->peak[CORE_DTYPE_F16];
        if (peak > 0 && half > 0)
            say(c, near(peak, half), core_dtype_name(eights[i]), peak, half,
                "TOPS", "twice f16 =");
    }
    if (m->peak[HAR_UNIT_F4] > 0 && m->peak[CORE_DTYPE_F8_E4M3] > 0)
        say(c,
            near(m->peak[HAR_UNIT_F4], 2 * m->peak[CORE_DTYPE_F8_E4M3]),
            har_unit_name(HAR_UNIT_F4), m->peak[HAR_UNIT_F4] * 1e-12,
            2e-12 * m->peak[CORE_DTYPE_F8_E4M3], "TFLOPS", "twice f8_e4m3 =");
}

static void check_links(checking *c, const har_machine *m,
                        const har_generation *rules)
{
    const har_link *near_by = &m->link[0];
    if (rules->link_bw > 0 && near_by->kind != HAR_LINK_PCIE)
        say(c, near_by->bw <= (1 + NEAR) * rules->link_bw, near_by->name,
            near_by->bw * 1e-9, rules->link_bw * 1e-9, "GB/s",
            "one direction of its generation is at most");
    for (int i = 1; i < m->n_link; i++)
        say(c, m->link[i].bw <= m->link[i - 1].bw, m->link[i].name,
            m->link[i].bw * 1e-9, m->link[i - 1].bw * 1e-9, "GB/s",
            "not more than the links inside it,");
}

/* What another machine's tables gave, and what its intervals are wider by. */
static void write_carried(FILE *out, const har_machine *m)
{
    for (int i = 0; i < HAR_N_COEF; i++) {
        const double prior = har_prior(m, (har_coef)i);
        if (prior > 0)
            fprintf(out, "carried %-21s %.4g, one sigma wider by %.3g %%\n",
                    har_coef_key((har_coef)i), m->coef[i].value, 100 * prior);
    }
}

int har_machine_check(FILE *out, const har_machine *m)
{
    const har_generation *rules = har_generation_of(m->arch);
    checking c = {.out = out};
    const double fed = m->n_unit * m->clock_hz * m->unit_bytes_per_clock;
    if (rules->flop_per_clock > 0)
        check_peaks(&c, m, rules);
    else
        fputs("       no arch: peaks are not checked, and nothing is carried "
              "over\n",
              out);
    say(&c, m->memory_bw < fed, "memory", m->memory_bw * 1e-9, fed * 1e-9,
        "GB/s", "less than the units take from their cache,");
    say(&c, m->link[0].bw < m->memory_bw, "links", m->link[0].bw * 1e-9,
        m->memory_bw * 1e-9, "GB/s", "less than the memory,");
    check_links(&c, m, rules);
    write_carried(out, m);
    return c.n_wrong;
}
