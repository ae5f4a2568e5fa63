/* golden/outputs.c -- the tensors of a bundle's file, listed and filled.
 *
 * Names and shapes are those that `moeparity run` writes; beside every real tap
 * lie its tolerances where the numerics rounds, beside every router
 * routing_margin.  Exact values are stored in fp32 where all of a tap fit it:
 * the same numbers in half the room.  The list is made first, because a file's
 * header comes before its data.
 */
#include "golden/golden_impl.h"

#include "core/base/arena.h"
#include "core/pass/tapfile.h"
#include "golden/switch_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum output_kind { TAP, DISPATCH, MARGIN, TOLERANCE, SLOPE } output_kind;

typedef struct output {
    output_kind kind;
    const gold__taps *taps;
    const gold__tap *tap;
    int forcing; /* a tolerance's                                             */
    bool rms;
    char name[GOLD__NAME_BYTES];
    core_st_tensor tensor; /* without its name */
} output;

typedef struct output_list {
    const gold_case *gold;
    core_numerics numerics;
    int64_t n;
    output *at;
} output_list;

static double roundoff_of(const output_list *list, const gold__tap *tap)
{
    return gold__roundoff(core_tap_numerics(list->numerics, tap->tap.kind));
}

static bool fits_float(const gold__tap *tap)
{
    for (int64_t i = 0; i < tap->n_row * tap->n_col; i++)
        if ((double)(float)tap->v[i] != tap->v[i])
            return false;
    return true;
}

/* The type of a tap's tensor. */
static core_dtype dtype_of(const output_list *list, const gold__tap *tap)
{
    if (tap->ints != NULL)
        return CORE_DTYPE_I64;
    const bool narrow =
        list->numerics == CORE_EXACT ? fits_float(tap)
                                     : roundoff_of(list, tap) > 0.0;
    return narrow ? CORE_DTYPE_F32 : CORE_DTYPE_F64;
}

/* GOLD_PREFIX + name + suffix. */
static void append(output_list *list, const gold__pass *pass, output_kind kind,
                   const gold__tap *tap, core_st_tensor tensor,
                   const char *name, const char *suffix)
{
    output *o = &list->at[list->n++];
    *o = (output){
        .kind = kind, .taps = &pass->taps, .tap = tap, .tensor = tensor};
    snprintf(o->name, sizeof o->name, GOLD_PREFIX "%s%s", name, suffix);
}

/* How large a slope may be, one number for each way to force. */
static void append_slopes(output_list *list, const gold__pass *pass,
                          const gold__tap *tap, const char *name)
{
    static const char *const suffix[GOLD__FORCINGS] = {
        [REF_LAYER] = ".layer.slope_tolerance",
        [REF_BLOCK] = ".block.slope_tolerance"};
    const core_st_tensor one = {
        .dtype = CORE_DTYPE_F32, .n_dim = 1, .shape = {1}};
    for (int f = REF_LAYER; f < GOLD__FORCINGS; f++) {
        if (tap->spread[f].largest == NULL ||
            !gold_has_slope(&pass->spec, tap->tap))
            continue;
        append(list, pass, SLOPE, tap, one, name, suffix[f]);
        list->at[list->n - 1].forcing = f;
    }
}

/* A tap and, where there are some, its tolerances. */
static void append_tap(output_list *list, const gold__pass *pass,
                       const gold__tap *tap, core_st_tensor tensor,
                       const char *name)
{
    append(list, pass, TAP, tap, tensor, name, "");
    static const char *const suffix[GOLD__FORCINGS][2] = {
        [REF_FREE] = {".tolerance", ".rms_tolerance"},
        [REF_LAYER] = {".layer.tolerance", ".layer.rms_tolerance"},
        [REF_BLOCK] = {".block.tolerance", ".block.rms_tolerance"}};
    const core_st_tensor rows = {
        .dtype = CORE_DTYPE_F32, .n_dim = 1, .shape = {tap->n_row}};
    for (int i = 0; i < 2 * GOLD__FORCINGS; i++) {
        if (tap->spread[i / 2].largest == NULL)
            continue;
        append(list, pass, TOLERANCE, tap, rows, name, suffix[i / 2][i % 2]);
        list->at[list->n - 1].forcing = i / 2;
        list->at[list->n - 1].rms = i % 2 != 0;
    }
    if (!gold__rounds_operands(list->gold, list->numerics))
        append_slopes(list, pass, tap, name);
}

static void append_margin(output_list *list, const gold__pass *pass,
                          const gold__tap *tap, const char *name)
{
    const core_st_tensor rows = {
        .dtype = CORE_DTYPE_F64, .n_dim = 1, .shape = {tap->n_row}};
    append(list, pass, MARGIN, tap, rows, name, "");
}

static void list_model(output_list *list, const gold__pass *pass)
{
    const core_batch *batch = &list->gold->batch;
    for (int64_t i = 0; i < pass->taps.n; i++) {
        const gold__tap *tap = &pass->taps.at[i];
        char name[CORE_NAME_BYTES];
        if (!tap->is_output)
            continue;
        const core_st_tensor tensor = core_tapfile_tensor(
            &pass->spec, tap->tap, batch->n_b, batch->n_t, dtype_of(list, tap));
        append_tap(list, pass, tap, tensor, core_tap_name(tap->tap, name));
        if (tap->tap.kind != CORE_TAP_TOPK_IDX)
            continue;
        snprintf(name, sizeof name, "layers.%d.routing_margin", tap->tap.layer);
        append_margin(list, pass, tap, name);
    }
}

/* passes[0] drops to zero, passes[1] passes dropped tokens through. */
static void list_switch(output_list *list, const gold__pass *passes)
{
    for (int i = 0; i < GOLD_N_SWITCH_OUTPUTS; i++) {
        const gold_switch_output *o = &gold_switch_outputs[i];
        const gold__pass *pass = &passes[o->passthrough ? 1 : 0];
        if (o->kind == GOLD_FROM_BATCH)
            continue;
        const gold__tap *tap =
            gold__taps_find(&pass->taps, (core_tap){o->tap, 0});
        const int64_t last = gold_switch_last_dim(o, &pass->spec);
        const core_st_tensor tensor = {
            .dtype = dtype_of(list, tap),
            .n_dim = last > 0 ? 3 : 2,
            .shape = {list->gold->batch.n_b, list->gold->batch.n_t, last}};
        if (o->kind == GOLD_FROM_DISPATCH)
            append(list, pass, DISPATCH, tap, tensor, o->name, "");
        else
            append_tap(list, pass, tap, tensor, o->name);
        if (o->kind == GOLD_FROM_EXPERT)
            append_margin(list, pass, tap, "routing_margin");
    }
}

/* One-hot over the experts, zero for a token without a slot. */
static void fill_dispatch(const output *o, const core_st_tensor *to)
{
    const gold__tap *expert =
        gold__taps_find(o->taps, (core_tap){CORE_TAP_TOPK_IDX, 0});
    const int64_t n_e = to->shape[2];
    memset(to->data, 0, to->bytes);
    for (int64_t t = 0; t < o->tap->n_row; t++)
        if (o->tap->ints[t] >= 0)
            ((int64_t *)to->data)[t * n_e + expert->ints[t]] = 1;
}

static void fill(const output_list *list, const output *o,
                 const core_st_tensor *to)
{
    switch (o->kind) {
    case TAP:
        if (o->tap->ints != NULL)
            memcpy(to->data, o->tap->ints, to->bytes);
        else
            core_dtype_from_f64(to->data, o->tap->v, to->dtype, to->n);
        break;
    case DISPATCH:
        fill_dispatch(o, to);
        break;
    case MARGIN:
        memcpy(to->data, o->tap->margin, to->bytes);
        break;
    case TOLERANCE:
        gold__tolerance(to->data, o->tap, o->forcing, o->rms,
                        roundoff_of(list, o->tap));
        break;
    case SLOPE:
        *(float *)to->data = gold__slope_tolerance(
            o->tap, o->forcing, roundoff_of(list, o->tap));
        break;
    }
}

static core_status write_list(const output_list *list, const char *path)
{
    const core_numerics_text numerics = core_numerics_name(list->numerics);
    const char *const metadata[] = {
        "schema",   GOLD_SCHEMA,
        "model",    list->gold->spec.name,
        "numerics", numerics.text,
        "taps",     list->gold->all_taps ? "all" : "coarse",
        NULL};
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, list->n, sizeof(core_st_tensor), path));
    core_st_tensor *tensors = memory;
    for (int64_t i = 0; i < list->n; i++) {
        tensors[i] = list->at[i].tensor;
        tensors[i].name = list->at[i].name;
    }
    core_st *st = NULL;
    core_status status = core_st_create(&st, path, tensors, list->n, metadata);
    for (int64_t i = 0; status == CORE_OK && i < list->n; i++)
        fill(list, &list->at[i], core_st_find(st, list->at[i].name));
    if (status == CORE_OK)
        status = core_st_commit(st);
    core_st_close(st);
    free(tensors);
    return status;
}

core_status gold__write_outputs(const gold_case *gold, const gold__pass *passes,
                                core_numerics numerics, const char *path)
{
    const int64_t n_each = 1 + 3 * GOLD__FORCINGS; /* or a margin */
    const int64_t n_max = n_each * (passes[0].taps.n + GOLD_N_SWITCH_OUTPUTS);
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n_max, sizeof(output), path));
    output_list list = {gold, numerics, 0, memory};
    if (gold->spec.n_h > 0)
        list_model(&list, passes);
    else
        list_switch(&list, passes);
    core_assert(list.n <= n_max);
    const core_status status = write_list(&list, path);
    free(list.at);
    return status;
}
