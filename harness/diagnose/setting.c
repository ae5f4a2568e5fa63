/* harness/diagnose/setting.c -- a pass of the model with another setting.
 *
 * Where the model is at hand a tap between which and its inputs much happens
 * can be tried as a whole.  Settings that are near each other may both fit: the
 * one that explains most is told.
 */
#include "harness/diagnose/impl.h"

#include "core/model/elementary.h"

#include <stdio.h>
#include <string.h>

/* Change the spec to try number i; false: there is no such (or it is the same).
 */
typedef bool change(core_spec *spec, int i);

static bool set_act(core_spec *s, int i)
{
    const bool other = i != (int)s->act && !core_act_is_clamped(s->act) &&
                       !core_act_is_clamped((core_act)i);
    s->act = (core_act)i;
    return other;
}

static bool set_pairs(core_spec *s, int i)
{
    (void)i;
    s->rope.interleaved ^= true;
    return s->n_h > 0;
}

static bool set_number(double *field, double value)
{
    const bool other = *field != value;
    *field = value;
    return other;
}

static bool set_theta(core_spec *s, int i)
{
    static const double usual[] = {1e3, 1e4, 1e5, 1.5e5, 5e5, 1e6, 5e6, 1e7};
    return set_number(&s->rope.theta, usual[i]);
}

static bool set_waves(core_spec *s, int i)
{
    (void)i;
    const bool other = s->rope.scaling != CORE_ROPE_PLAIN;
    s->rope.scaling = CORE_ROPE_PLAIN;
    s->rope.attention_factor = 1.0;
    return other;
}

static bool set_eps(core_spec *s, int i)
{
    static const double usual[] = {0.0, 1e-12, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3};
    return set_number(&s->norm_eps, usual[i]);
}

static bool set_renormalised(core_spec *s, int i)
{
    (void)i;
    s->renormalise ^= true;
    return core_router_scores_all(s->router);
}

static bool set_router(core_spec *s, int i)
{
    const bool other = i != (int)s->router;
    s->router = (core_router)i;
    return other;
}

static bool set_routed_scale(core_spec *s, int i)
{
    return set_number(&s->routed_scale,
                      i == 0 ? 1.0 : s->routed_scale * s->routed_scale);
}

static bool set_score_scale(core_spec *s, int i)
{
    const double scale = s->n_h > 0 ? core_spec_heads_of(s, 0).scale : 1.0;
    s->score_scale = scale;
    return set_number(&s->score_scale, i == 0 ? 1.0 : scale * scale);
}

static bool set_window(core_spec *s, int i)
{
    const int64_t window = s->sliding_window;
    s->sliding_window = i == 0 ? 0 : i == 1 ? window - 1 : window + 1;
    return window > 1;
}

static bool set_scales(core_spec *s, int i)
{
    return set_number(i == 0   ? &s->embed_scale
                      : i == 1 ? &s->residual_scale
                               : &s->logits_divisor,
                      1.0);
}

static bool set_norms(core_spec *s, int i)
{
    (void)i;
    const bool other = s->qk_norm != CORE_QK_NORM_NONE;
    s->qk_norm = CORE_QK_NORM_NONE;
    return other;
}

static bool set_sinks(core_spec *s, int i)
{
    (void)i;
    const bool other = s->sinks;
    s->sinks = false;
    return other;
}

static bool set_correction(core_spec *s, int i)
{
    (void)i;
    const bool other = s->correction;
    s->correction = false;
    return other;
}

static bool set_groups(core_spec *s, int i)
{
    (void)i;
    const bool other = s->n_group > 0;
    s->n_group = s->n_group_kept = 0;
    return other;
}

static bool set_weigh_input(core_spec *s, int i)
{
    (void)i;
    s->weigh_input ^= true;
    return s->n_e > 0;
}

static bool set_shared(core_spec *s, int i)
{
    const bool other = i == 0 ? s->n_f_shared > 0 : s->shared_gate;
    if (i == 0) {
        s->n_f_shared = 0;
        s->branch_norm = false;
    }
    s->shared_gate = false;
    return other;
}

static bool set_own_numbers(core_spec *s, int i)
{
    bool *has = i == 0 ? &s->layer_scale : &s->expert_scale;
    const bool other = *has;
    *has = false;
    return other;
}

static bool set_further_norms(core_spec *s, int i)
{
    bool *has = i == 0 ? &s->post_norm : &s->value_norm;
    const bool other = *has;
    *has = false;
    return other;
}

static bool set_cap(core_spec *s, int i)
{
    (void)i;
    return set_number(&s->logits_cap, 0.0);
}

static bool set_biases(core_spec *s, int i)
{
    bool *bias = i == 0   ? &s->bias_qkv
                 : i == 1 ? &s->bias_o
                 : i == 2 ? &s->bias_router
                          : &s->bias_ffn;
    const bool other = *bias;
    *bias = false;
    return other;
}

static bool set_capacity(core_spec *s, int i)
{
    const bool other = s->capacity.rule != CORE_CAPACITY_NONE;
    if (i == 0)
        s->capacity.rule = CORE_CAPACITY_NONE;
    else
        s->capacity.priority = s->capacity.priority == CORE_PRIORITY_PROB
                                   ? CORE_PRIORITY_POSITION
                                   : CORE_PRIORITY_PROB;
    return other;
}

enum { MAX_TRIES = 8 };

static const struct {
    change *change;
    int n;
    const char *words[MAX_TRIES];
} settings[] = {
    {set_act,
     4,
     {"activation silu", "activation gelu (erf)", "activation gelu_tanh",
      "activation relu"}},
    {set_pairs,
     1,
     {"rope in the other pairs (interleaved for split halves, or "
      "the reverse)"}},
    {set_theta,
     8,
     {"rope's theta 1e3", "rope's theta 1e4", "rope's theta 1e5",
      "rope's theta 1.5e5", "rope's theta 5e5", "rope's theta 1e6",
      "rope's theta 5e6", "rope's theta 1e7"}},
    {set_waves, 1, {"rope without the scaling of its waves"}},
    {set_eps,
     7,
     {"norm eps 0", "norm eps 1e-12", "norm eps 1e-8", "norm eps 1e-6",
      "norm eps 1e-5", "norm eps 1e-4", "norm eps 1e-3"}},
    {set_renormalised,
     1,
     {"weights of the chosen experts divided by their sum "
      "where they are not, or the reverse"}},
    {set_router,
     3,
     {"router scores by softmax",
      "router scores by softmax over "
      "the chosen",
      "router scores by sigmoid"}},
    {set_routed_scale, 2, {"no routed_scale", "routed_scale twice"}},
    {set_score_scale,
     2,
     {"no scale of the scores", "the square of the scores' scale"}},
    {set_window,
     3,
     {"no sliding window", "a window one key shorter",
      "a window one key longer"}},
    {set_scales,
     3,
     {"no embed_scale", "no residual_scale", "no logits_divisor"}},
    {set_norms, 1, {"no norm of queries and keys"}},
    {set_sinks, 1, {"no attention sinks"}},
    {set_correction, 1, {"no correction of the router's scores"}},
    {set_groups, 1, {"no groups of experts"}},
    {set_weigh_input,
     1,
     {"experts' input weighed instead of their output, or "
      "the reverse"}},
    {set_shared, 2, {"no shared expert", "the shared expert without its gate"}},
    {set_own_numbers,
     2,
     {"no number of the layer's own", "no numbers of the experts' own"}},
    {set_further_norms,
     2,
     {"no norm of what a part of the layer gives", "no norm of values"}},
    {set_cap, 1, {"no cap of the logits"}},
    {set_biases,
     4,
     {"no bias of q, k, v", "no bias of the attention's output",
      "no bias of the router", "no biases of the experts"}},
    {set_capacity,
     2,
     {"no capacity rule: nothing dropped", "the other priority for slots"}},
};

static bool is_so(har__case *c, const core_spec *spec, double *whole)
{
    const har_scene *s = c->scene;
    if (!core_tap_exists(spec, s->tap) ||
        core_tap_cols(spec, s->tap) != s->n_col ||
        !s->otherwise(s->self, spec, whole))
        return false;
    for (int64_t i = 0; i < c->n; i++)
        memcpy(c->guess + i * c->n_col, whole + c->row[i] * s->n_col + s->col0,
               (size_t)c->n_col * sizeof *whole);
    return true;
}

bool har__try_setting(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const har_scene *s = c->scene;
    double best = 0.0;
    if (s->otherwise == NULL || s->spec == NULL || c->whole == NULL)
        return false;
    double *whole = har__room(c, s->n_row * s->n_col);
    if (whole == NULL || !is_so(c, s->spec, whole) || !har__is_expected(c))
        return false;
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++)
        for (int i = 0; i < settings[k].n; i++) {
            core_spec spec = *s->spec;
            if (!settings[k].change(&spec, i) || !is_so(c, &spec, whole) ||
                !har__accepts(c) || c->explained <= best)
                continue;
            best = c->explained;
            snprintf(text, HAR_LIKENESS_TEXT, "what the model gives with %s",
                     settings[k].words[i]);
        }
    c->explained = best;
    return best > 0.0;
}
