/* harness/diagnose/act.c -- another inner activation, or gate and up exchanged.
 *
 * The tap is computed anew from the gate and up beside it.
 */
#include "harness/diagnose/impl.h"

#include "core/model/elementary.h"

#include <stdio.h>

typedef struct inputs {
    const double *gate, *up; /* [n, n_all]; gate NULL: not gated              */
    int64_t n_all;
} inputs;

typedef double function(core_gating gating, double gate, double up);

static double gated(core_gating gating, double gate, double up)
{
    return core_gated(gating, gate, up);
}

static double exchanged(core_gating gating, double gate, double up)
{
    return core_gated(gating, up, gate);
}

static double product(core_gating gating, double gate, double up)
{
    (void)gating;
    return gate * up;
}

static double gate_alone(core_gating gating, double gate, double up)
{
    (void)up;
    return core_act_apply(gating.act, gate);
}

static double ungated(core_gating gating, double gate, double up)
{
    (void)gate;
    return core_act_apply(gating.act, up);
}

static void compute(har__case *c, const inputs *in, core_gating gating,
                    function *f)
{
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++) {
            const int64_t at = i * in->n_all + c->scene->col0 + j;
            c->guess[i * c->n_col + j] =
                f(gating, in->gate != NULL ? in->gate[at] : 0.0, in->up[at]);
        }
    har__store(c);
}

static core_gating gating_of(const har__case *c)
{
    return core_spec_gating_in(c->scene->spec, c->scene->tap.layer,
                               har__is_kind(c, CORE_TAP_EXPERT_ACT));
}

static bool open_inputs(har__case *c, inputs *in)
{
    const bool is_expert = har__is_kind(c, CORE_TAP_EXPERT_ACT);
    if (!is_expert && !har__is_kind(c, CORE_TAP_MLP_ACT))
        return false;
    const core_spec *spec = c->scene->spec;
    in->n_all = c->scene->n_col;
    in->up = har__tap_rows(
        c, har__beside(c, is_expert ? CORE_TAP_EXPERT_UP : CORE_TAP_MLP_UP));
    in->gate =
        spec->gated
            ? har__tap_rows(c, har__beside(c, is_expert ? CORE_TAP_EXPERT_GATE
                                                        : CORE_TAP_MLP_GATE))
            : NULL;
    if (in->up == NULL || (spec->gated && in->gate == NULL))
        return false;
    compute(c, in, gating_of(c), spec->gated ? gated : ungated);
    return har__is_expected(c);
}

/* The two forms of GELU are near each other: the one that explains most. */
bool har__try_act(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    inputs in;
    double best = 0.0;
    if (!open_inputs(c, &in))
        return false;
    const core_spec *spec = c->scene->spec;
    for (int act = 0; core_act_name(act) != NULL; act++) {
        if (act == (int)spec->act ||
            (core_act_is_clamped((core_act)act) && !spec->gated))
            continue;
        core_gating other = gating_of(c);
        other.act = (core_act)act;
        compute(c, &in, other, spec->gated ? gated : ungated);
        if (!har__accepts(c) || c->explained <= best)
            continue;
        best = c->explained;
        snprintf(text, HAR_LIKENESS_TEXT, "activation %s instead of %s",
                 core_act_name(act), core_act_name(spec->act));
    }
    c->explained = best;
    return best > 0.0;
}

bool har__try_gate_up(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    static const struct {
        function *f;
        const char *words;
    } wrong[] = {{exchanged, "gate and up are exchanged: act(up) * gate"},
                 {product, "gate * up, without an activation"},
                 {gate_alone, "the activation of gate, without up"}};
    inputs in;
    if (!open_inputs(c, &in) || in.gate == NULL)
        return false;
    const core_gating gating = gating_of(c);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (core_act_is_clamped(gating.act) && wrong[i].f == gate_alone)
            continue;
        compute(c, &in, gating, wrong[i].f);
        if (har__accepts(c)) {
            snprintf(text, HAR_LIKENESS_TEXT, "%s", wrong[i].words);
            return true;
        }
    }
    return false;
}
