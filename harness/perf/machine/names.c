/* harness/perf/machine/names.c -- the words of a machine file. */
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
