/* harness/perf/machine/carry.c -- what a machine file leaves to its `arch`.
 *
 * Of design: tiles, parts of K and bytes per clock.  Coefficients that nobody
 * measured on this machine are those of the machine that `coefficients_from`
 * names, an A100 if it names none, as the rules of both generations carry them.
 */
#include "harness/perf/machine/impl.h"

#include <string.h>

double har_carry(const har_machine *m, har_coef coef)
{
    const har_generation *here = har_generation_of(m->arch);
    const har_generation *there = har_generation_of(m->from[coef].arch);
    if (m->arch == HAR_ARCH_NONE || m->coef[coef].origin != HAR_TRANSFERRED)
        return 1;
    switch (coef) {
    case HAR_COEF_LAUNCH: /* so many instructions, one after the other */
    case HAR_COEF_FILL:
        return m->from[coef].clock_hz / m->clock_hz;
    case HAR_COEF_HOP:
    case HAR_COEF_RENDEZVOUS:
        return m->from[coef].clock_hz / m->clock_hz * here->small /
               there->small;
    case HAR_COEF_HOST:
        return here->host / there->host;
    case HAR_COEF_MEMORY:
        return here->memory / there->memory;
    default:
        return 1;
    }
}

/* One generation on.  A judgement, wider where a design changes what a number
 * stands for: how a pipeline is filled more than what a memory gives. */
static const double PRIOR[HAR_N_COEF] = {
    [HAR_COEF_LAUNCH] = 0.08,     [HAR_COEF_COMPUTE] = 0.05,
    [HAR_COEF_MEMORY] = 0.05,     [HAR_COEF_FILL] = 0.12,
    [HAR_COEF_FEED] = 0.12,       [HAR_COEF_MOE] = 0.08,
    [HAR_COEF_ATTENTION] = 0.15,  [HAR_COEF_LINK] = 0.08,
    [HAR_COEF_SMALL] = 0.15,      [HAR_COEF_HOP] = 0.12,
    [HAR_COEF_RENDEZVOUS] = 0.15, [HAR_COEF_HOST] = 0.3};

double har_prior(const har_machine *m, har_coef coef)
{
    if (m->arch == HAR_ARCH_NONE || m->coef[coef].origin != HAR_TRANSFERRED)
        return 0;
    const double steps = fabs(har_generation_of(m->arch)->step -
                              har_generation_of(m->from[coef].arch)->step);
    /* another chip of the same design; then each step is as unsure as the rule
     * before it was */
    return PRIOR[coef] *
           (m->arch == m->from[coef].arch ? 0.5 : fmax(1, steps * steps));
}

double har_sigma(const har_machine *m, har_kind kind)
{
    static const har_coef carriers[HAR_N_KIND] = {
        [HAR_GEMM] = HAR_COEF_COMPUTE,
        [HAR_MOE] = HAR_COEF_MOE,
        [HAR_ATTENTION] = HAR_COEF_ATTENTION,
        [HAR_COLLECTIVE] = HAR_COEF_LINK,
        [HAR_PLAN] = HAR_COEF_COMPUTE};
    return hypot(m->sigma[kind].value, har_prior(m, carriers[kind]));
}

/* A link named after its bus; the node of a generation that has the switch. */
static har_link_kind kind_of(const har_machine *m, int i)
{
    if (strstr(m->link[i].name, "pcie") != NULL)
        return HAR_LINK_PCIE;
    return i == 0 && har_generation_of(m->arch)->has_switch ? HAR_LINK_SWITCH
                                                            : HAR_LINK_PLAIN;
}

/* What libraries of every generation have kernels for; others are between. */
static void design(har_machine *m)
{
    static const int tiles[][2] = {
        {256, 128}, {128, 256}, {128, 128}, {128, 64}, {64, 128},
        {64, 64},   {32, 64},   {64, 32},   {16, 64},  {32, 128}};
    if (!(m->unit_bytes_per_clock > 0))
        m->unit_bytes_per_clock = har_generation_of(m->arch)->bytes_per_clock;
    if (m->n_tile == 0) {
        m->n_tile = (int)(sizeof tiles / sizeof tiles[0]);
        memcpy(m->tile, tiles, sizeof tiles);
    }
    if (m->max_split == 0)
        m->max_split = 16;
    for (int i = 0; i < m->n_link; i++)
        if (m->link[i].kind == HAR_LINK_UNSAID)
            m->link[i].kind = kind_of(m, i);
}

enum { MAX_DEPTH = 4 }; /* of machines that take from machines */

/* A path beside the file that names it. */
static core_status open_reference(har_machine *out, const har__stated *s)
{
    char path[2 * HAR__MAX_PATH];
    const char *name = s->reference[0] != '\0' ? s->reference : "a100-sxm";
    const char *preset, *text, *slash = strrchr(s->file, '/');
    bool is_preset = false;
    for (int i = 0; har_machine_preset(i, &preset, &text); i++)
        is_preset |= strcmp(preset, name) == 0;
    CORE_FAIL_IF(s->depth >= MAX_DEPTH, CORE_E_FORMAT,
                 "%s: coefficients_from: expected at most %d files one after "
                 "the other, found more",
                 s->file, MAX_DEPTH);
    if (is_preset || slash == NULL || name[0] == '/')
        return har__machine_open(out, name, s->depth + 1);
    CORE_FAIL_IF((size_t)(slash - s->file) >= HAR__MAX_PATH, CORE_E_FORMAT,
                 "%s: coefficients_from: too long a path", s->file);
    snprintf(path, sizeof path, "%.*s/%s", (int)(slash - s->file), s->file,
             name);
    return har__machine_open(out, path, s->depth + 1);
}

static bool needs_reference(const har_machine *m, const har__stated *s)
{
    bool needs = false;
    for (int i = 0; i < HAR_N_COEF; i++)
        needs |= !s->coef[i] || m->coef[i].origin == HAR_TRANSFERRED;
    for (int i = 0; i < HAR_N_KIND; i++)
        needs |= !s->sigma[i];
    return needs;
}

core_status har__fill_in(har_machine *m, const har__stated *s)
{
    har_machine from;
    CORE_FAIL_IF(m->arch == HAR_ARCH_NONE && s->reference[0] != '\0',
                 CORE_E_FORMAT,
                 "%s: coefficients_from: expected beside it an `arch`, whose "
                 "rules carry them, found none",
                 s->file);
    if (m->arch == HAR_ARCH_NONE)
        return CORE_OK;
    design(m);
    if (!needs_reference(m, s))
        return CORE_OK;
    CORE_TRY(open_reference(&from, s));
    CORE_FAIL_IF(from.arch == HAR_ARCH_NONE, CORE_E_FORMAT,
                 "%s: coefficients_from: expected a machine with an `arch`, "
                 "found %s",
                 s->file, from.name);
    m->is_carried = true;
    for (int i = 0; i < HAR_N_COEF; i++) {
        const bool is_missing = !s->coef[i] && !s->coef_from[i];
        m->from[i] = (har_origin_machine){from.arch, from.clock_hz};
        /* from where it was measured, not from where it was carried to */
        if (from.coef[i].origin == HAR_TRANSFERRED)
            m->from[i] = from.from[i];
        if (is_missing) {
            const double value = from.coef[i].value / har_carry(&from, i);
            m->coef[i] = (har_value){value, HAR_TRANSFERRED};
            s->coef[i] = s->coef_from[i] = true;
        }
        m->coef[i].value *= har_carry(m, i);
    }
    for (int i = 0; i < HAR_N_KIND; i++)
        if (!s->sigma[i] && !s->sigma_from[i]) {
            m->sigma[i] = (har_value){from.sigma[i].value, HAR_TRANSFERRED};
            s->sigma[i] = s->sigma_from[i] = true;
        }
    return CORE_OK;
}
