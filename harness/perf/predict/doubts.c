/* harness/perf/predict/doubts.c -- what an interval is wide for, in words. */
#include "harness/perf/predict/figures.h"

static const char *const KINDS[] = {[HAR_GEMM] = "products",
                                    [HAR_MOE] = "products of experts",
                                    [HAR_ATTENTION] = "attention",
                                    [HAR_COLLECTIVE] = "transfers"};

const char *har_doubt_name(char text[HAR_DOUBT_TEXT], const har_doubt *doubt,
                           const har_machine *machine)
{
    if (doubt->kind == HAR_DOUBT_OPERATORS)
        snprintf(text, HAR_DOUBT_TEXT, "%s", KINDS[doubt->index]);
    else if (doubt->kind == HAR_DOUBT_LINK)
        snprintf(text, HAR_DOUBT_TEXT, "bandwidth of links '%s'",
                 machine->link[doubt->index].name);
    else
        snprintf(text, HAR_DOUBT_TEXT, "the draw of the routing");
    return text;
}

/* Has every coefficient of the kind been measured on this machine? */
static bool is_fitted(const har_machine *machine, har_kind kind)
{
    for (int i = 0; i < HAR_N_COEF; i++)
        if (har_coef_kind(i) == kind && machine->coef[i].origin != HAR_MEASURED)
            return false;
    return true;
}

const char *har_doubt_remedy(char text[HAR_DOUBT_TEXT], const har_doubt *doubt,
                             const har_machine *machine)
{
    if (doubt->kind == HAR_DOUBT_LINK)
        snprintf(text, HAR_DOUBT_TEXT,
                 "measure them and state gbytes_per_s with `from: measured`");
    else if (doubt->kind == HAR_DOUBT_ROUTING)
        snprintf(text, HAR_DOUBT_TEXT,
                 "--routing measured:FILE of the real choices");
    else if (is_fitted(machine, (har_kind)doubt->index))
        snprintf(text, HAR_DOUBT_TEXT,
                 "fitted already: what is left is the form of the model");
    else
        snprintf(text, HAR_DOUBT_TEXT,
                 "perf fit --kind %s on a table measured on this machine",
                 har_kind_name((har_kind)doubt->index));
    return text;
}
