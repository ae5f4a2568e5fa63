/* core/model/spec_presets.c -- the models that come with the program.
 *
 * The seed's family is full of coincidences (layers = heads, experts = head
 * size), so that many a partition bug does nothing there.  The two shadow
 * models have extents that differ pairwise, rows that divide badly, and an
 * expert whose router row equals its neighbour's: every token ties between the
 * two.  Changing a number here changes what the plans of the test set can see.
 */
#include "core/model/spec_impl.h"

#include <string.h>

static core_spec seed_family(const char *name)
{
    core_spec spec = core__spec_blank();
    strncpy(spec.name, name, sizeof spec.name - 1);
    spec.family = CORE_FAMILY_SEED;
    spec.norm_eps = 1e-5;
    spec.rope.theta = 10000.0;
    spec.gated = false;
    spec.act = CORE_ACT_GELU;
    spec.renormalise = false;
    spec.tied = true;
    spec.capacity.rule = CORE_CAPACITY_FACTOR;
    spec.capacity.domain = CORE_DOMAIN_GROUP;
    spec.capacity.priority = CORE_PRIORITY_POSITION;
    spec.capacity.dropped = CORE_DROPPED_ZERO;
    spec.capacity.factor = 1.1;
    return spec;
}

static core_spec seed_30b(const char *name)
{
    core_spec spec = seed_family(name);
    spec.n_l = 16;
    spec.n_d = 1024;
    spec.n_h = 16;
    spec.n_g = 16;
    spec.n_dh = 64;
    spec.n_e = 64;
    spec.n_k = 1;
    spec.n_f = 14336; /* makes the experts' matrices 30.06e9 parameters */
    spec.n_v = 32000;
    return spec;
}

static core_spec seed_mini(const char *name)
{
    core_spec spec = seed_30b(name);
    spec.n_d = 128;
    spec.n_dh = 8;
    spec.n_f = 256;
    spec.n_v = 512;
    return spec;
}

static core_spec shadow_a(const char *name)
{
    core_spec spec = seed_family(name);
    spec.n_l = 7;
    spec.n_d = 60;
    spec.n_h = 10;
    spec.n_g = 5;
    spec.n_dh = 6;
    spec.n_e = 20;
    spec.n_k = 3;
    spec.n_f = 28;
    spec.n_f_shared = 34;
    spec.n_v = 37;
    spec.gated = true;
    spec.act = CORE_ACT_SILU;
    spec.renormalise = true;
    spec.tied = false;
    spec.bias_qkv = true;
    spec.bias_o = true;
    spec.bias_router = true;
    spec.bias_ffn = true;
    spec.capacity.priority = CORE_PRIORITY_PROB;
    spec.capacity.factor = 1.15;
    spec.twin_expert = 7;
    return spec;
}

static core_spec shadow_b(const char *name)
{
    core_spec spec = seed_family(name);
    spec.n_l = 5;
    spec.n_d = 90;
    spec.n_h = 12;
    spec.n_g = 3;
    spec.n_dh = 14;
    spec.n_e = 26;
    spec.n_k = 1;
    spec.n_f = 45;
    spec.n_f_dense = 77;
    spec.n_v = 101;
    spec.ffn[2] = CORE_FFN_DENSE;
    spec.capacity.factor = 1.05;
    spec.twin_expert = 5;
    return spec;
}

static const struct {
    const char *name;
    core_spec (*make)(const char *name);
} PRESETS[] = {
    {"seed-30b", seed_30b},
    {"seed-mini", seed_mini},
    {"shadow-a", shadow_a},
    {"shadow-b", shadow_b},
};

enum { N_PRESETS = sizeof PRESETS / sizeof PRESETS[0] };

const char *core_spec_preset_name(int i)
{
    return i >= 0 && i < N_PRESETS ? PRESETS[i].name : NULL;
}

bool core__spec_preset(core_spec *out, const char *name)
{
    for (int i = 0; i < N_PRESETS; i++) {
        if (strcmp(PRESETS[i].name, name) == 0) {
            *out = PRESETS[i].make(name);
            return true;
        }
    }
    return false;
}
