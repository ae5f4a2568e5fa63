/* harness/perf/machine/machine.c -- names of a machine's parts, and how the
 * parts of a time are put together.
 *
 * A kernel's compute and memory time overlap, but not perfectly: a fourth-power
 * mean lies a little over the larger of the two where they are alike and is the
 * larger one elsewhere.  Overhead and latency add.
 */
#include "harness/perf/machine/impl.h"

static const struct {
    const char *key;
    har_kind kind;
} COEFS[HAR_N_COEF] = {
#define COEF_ROW(name, key, kind, start, least, most, text) {#key, HAR_##kind},
    HAR_COEF_LIST(COEF_ROW)
#undef COEF_ROW
};

const char *har_coef_key(har_coef coef)
{
    return COEFS[coef].key;
}

har_kind har_coef_kind(har_coef coef)
{
    return COEFS[coef].kind;
}

const char *har_kind_name(har_kind kind)
{
    static const char *const names[HAR_N_KIND] = {[HAR_GEMM] = "gemm",
                                                  [HAR_MOE] = "moe",
                                                  [HAR_ATTENTION] = "attention",
                                                  [HAR_COLLECTIVE] =
                                                      "collective",
                                                  [HAR_PLAN] = "plan"};
    return names[kind];
}

const char *har_origin_name(har_origin origin)
{
    static const char *const names[HAR_N_ORIGIN] = {
        [HAR_DATASHEET] = "datasheet",
        [HAR_MEASURED] = "measured",
        [HAR_TRANSFERRED] = "transferred",
        [HAR_ASSUMED] = "assumed"};
    return names[origin];
}

const char *har_link_kind_name(har_link_kind kind)
{
    static const char *const names[HAR_N_LINK_KIND] = {
        [HAR_LINK_UNSAID] = "",
        [HAR_LINK_PLAIN] = "plain",
        [HAR_LINK_SWITCH] = "switch",
        [HAR_LINK_PCIE] = "pcie"};
    return names[kind];
}

/* Of a time that grows by `share` of what a coefficient does. */
static double squared(const har_machine *m, har_coef coef, double share)
{
    const double off = har_prior(m, coef) * share;
    return off * off;
}

/* The sigma of the kind, and of each part what its coefficient may be off. */
static double sigma_of(const har_machine *m, har_kind kind, const har__parts *p,
                       double work, double seconds)
{
    static const har_coef products[HAR_N_KIND] = {[HAR_GEMM] = HAR_COEF_COMPUTE,
                                                  [HAR_MOE] = HAR_COEF_MOE,
                                                  [HAR_ATTENTION] =
                                                      HAR_COEF_ATTENTION};
    const double sigma = m->sigma[kind].value;
    if (!m->is_carried || !(seconds > 0) || !(work > 0))
        return sigma;
    const double c = pow(p->compute / work, 4) * work / seconds;
    return sqrt(sigma * sigma +
                squared(m, HAR_COEF_LAUNCH, p->overhead / seconds) +
                squared(m, HAR_COEF_FILL, p->latency / seconds) +
                squared(m, products[kind], c) +
                squared(m, HAR_COEF_MEMORY, work / seconds - c));
}

har_time har__together(const har_machine *m, har_kind kind, har__parts parts)
{
    har_time out = {.bound = HAR_BOUND_OVERHEAD};
    const double work = har__overlap(parts.compute, parts.memory);
    out.seconds = parts.overhead + parts.latency + work;
    out.sigma = sigma_of(m, kind, &parts, work, out.seconds);
    out.bound =
        parts.compute > parts.memory ? HAR_BOUND_COMPUTE : HAR_BOUND_MEMORY;
    if (parts.latency > work)
        out.bound = HAR_BOUND_LATENCY;
    if (parts.overhead > work && parts.overhead > parts.latency)
        out.bound = HAR_BOUND_OVERHEAD;
    return out;
}

int har_tier(const har_machine *machine, int n_gpu)
{
    int tier = 0;
    while (tier + 1 < machine->n_link && machine->link[tier].n_gpu < n_gpu)
        tier++;
    return tier;
}
