/* harness/verify/switch_layer.c -- a Switch layer's taps under other people's names.
 *
 * golden/switch_names.h says where each tensor comes from: a tap as it is, the
 * input, or the routing.  Traps: the chosen expert is one number per token,
 * without a last dimension; `dispatch` is one-hot over all experts and zero for
 * a token that was dropped, so it comes from the slot and not from the choice.
 */
#include "harness/verify/switch_layer.h"

#include "golden/switch_names.h"
#include "harness/verify/pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 128 };

/* Of tensor i: the outputs of one prompt after the other. */
static const gold_switch_output *output_at(int64_t i)
{
    return &gold_switch_outputs[i % GOLD_N_SWITCH_OUTPUTS];
}

static const char *variant_of(const gold_switch_output *o)
{
    return o->passthrough ? HAR_SWITCH_PASSTHROUGH : HAR_SWITCH_ZERO;
}

static const core_st_tensor *tap_of(const core_tapfile *taps,
                                    const har_switch_part *part,
                                    const char *variant, core_tap_kind kind)
{
    char prefix[NAME_BYTES];
    snprintf(prefix, sizeof prefix, "%s%s", part->prefix, variant);
    return core_tapfile_find(taps, prefix, (core_tap){kind, 0}, false);
}

/* Values have the type that the numerics of the run stores. */
static core_st_tensor describe(const gold_switch_output *o,
                               const core_spec *spec, const core_tapfile *taps,
                               const har_switch_part *part, const char *name)
{
    const int64_t cols = gold_switch_last_dim(o, spec);
    return (core_st_tensor){
        .name = name,
        .dtype = o->kind == GOLD_FROM_BATCH
                     ? CORE_DTYPE_F64
                     : tap_of(taps, part, variant_of(o), o->tap)->dtype,
        .n_dim = cols > 0 ? 3 : 2,
        .shape = {part->batch->n_b, part->batch->n_t, cols}};
}

static void fill(const core_st_tensor *to, const gold_switch_output *o,
                 const core_spec *spec, const core_tapfile *taps,
                 const har_switch_part *part)
{
    const core_st_tensor *from = tap_of(taps, part, variant_of(o), o->tap);
    core_assert(from != NULL);
    if (o->kind == GOLD_FROM_BATCH) {
        memcpy(to->data, part->batch->hidden, to->bytes);
    } else if (o->kind == GOLD_FROM_DISPATCH) {
        const core_st_tensor *expert =
            tap_of(taps, part, variant_of(o), CORE_TAP_TOPK_IDX);
        const int64_t one = 1;
        memset(to->data, 0, to->bytes);
        for (int64_t i = 0; i < from->n; i++)
            if (core_st_int(from, i) >= 0)
                memcpy((char *)to->data +
                           (size_t)(i * spec->n_e + core_st_int(expert, i)) *
                               sizeof one,
                       &one, sizeof one);
    } else {
        core_assert(from->bytes == to->bytes);
        memcpy(to->data, from->data, to->bytes);
    }
}

core_status har_switch_write(const char *path, const core_spec *spec,
                             const core_tapfile *taps,
                             const har_switch_part *parts, int n_part,
                             const char *const *metadata)
{
    const int64_t n = (int64_t)n_part * GOLD_N_SWITCH_OUTPUTS;
    core_st_tensor *tensors = calloc((size_t)n, sizeof *tensors);
    char *names = calloc((size_t)n, NAME_BYTES);
    core_st *file = NULL;
    core_status status = tensors == NULL || names == NULL
                             ? core_fail(CORE_E_MEMORY, "no memory for names")
                             : CORE_OK;
    for (int64_t i = 0; i < n && status == CORE_OK; i++) {
        const gold_switch_output *o = output_at(i);
        const har_switch_part *part = &parts[i / GOLD_N_SWITCH_OUTPUTS];
        char *name = names + i * NAME_BYTES;
        snprintf(name, NAME_BYTES, "%s%s", part->prefix, o->name);
        tensors[i] = describe(o, spec, taps, part, name);
    }
    if (status == CORE_OK)
        status = core_st_create(&file, path, tensors, n, metadata);
    for (int64_t i = 0; i < n && status == CORE_OK; i++)
        fill(core_st_find(file, tensors[i].name), output_at(i), spec, taps,
             &parts[i / GOLD_N_SWITCH_OUTPUTS]);
    if (status == CORE_OK)
        status = core_st_commit(file);
    core_st_close(file);
    free(tensors);
    free(names);
    return status;
}
