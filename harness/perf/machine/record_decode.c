/* harness/perf/machine/record_decode.c -- see record_decode.h. */
#include "harness/perf/machine/record_decode.h"

#include <math.h>

int64_t har__decode_keys(const har_timer *t, int layer)
{
    return t->n_kv - core_spec_first_key(t->spec, layer, t->n_kv - 1);
}

double har__kv_heads(const har_timer *t, const core_cost *c)
{
    const core_spec *s = t->spec;
    const double columns = (double)(s->n_dh + core_spec_n_dv(s));
    const double n = (double)c->kv_read / ((double)c->m * columns);
    return fmin(fmax(1, rint(n)), (double)c->n_head);
}

har__step har__decode(const har_timer *t, const core_cost *c)
{
    const int layer = c->tap.layer;
    const har__operator *mixer = har__mixer_row[core_spec_mixer(t->spec, layer)];
    har__step step = {.flops = (double)c->flops,
                      .elements = (double)(c->weights + c->read + c->written +
                                           c->kv_read + c->kv_written)};
    if (mixer->decode != NULL)
        mixer->decode(&step, t->spec, c, har__decode_keys(t, layer));
    return step;
}

har_time har__decode_time(const har_timer *t, const core_cost *c)
{
    const har_attention a = {.n_row = (double)c->m,
                             .n_t = (double)har__decode_keys(t, c->tap.layer),
                             .n_h = (double)c->n_head,
                             .n_g = har__kv_heads(t, c),
                             .n_dh = (double)c->k,
                             .kv_share = 1,
                             .n_shared = (double)har__decode(t, c).n_shared,
                             .n_rot = (double)core_spec_n_rot(t->spec)};
    return har_time_decode(t->machine, t->dtype, &a);
}
