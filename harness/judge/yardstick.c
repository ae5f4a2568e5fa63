/* harness/judge/yardstick.c -- see yardstick.h.
 *
 * A yardstick is checked before anything is held against it: a tolerance with
 * another number of rows than its tap, or a tap with another number of tokens
 * than the input, would make verdicts about the wrong tokens.  Trap: the taps
 * of a bundle share their file with their tolerances and margins, which are no
 * taps.
 */
#include "harness/judge/yardstick.h"

#include "core/base/arena.h"
#include "harness/judge/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_BYTES = 2 * HAR_DUMP_NAME };

/* --- files --- */

bool har_yardstick_is_bundle(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static void file_of(char out[1024], const char *path, const char *numerics)
{
    snprintf(out, 1024, "%.800s/%s.safetensors", path,
             core_numerics_file(numerics).text);
}

bool har_yardstick_has(const char *path, const char *numerics)
{
    struct stat info;
    char name[1024];
    file_of(name, path, numerics);
    return stat(name, &info) == 0;
}

/* --- parts --- */

static int find_part(const har_yardstick *y, const char *prefix, size_t n)
{
    for (int i = 0; i < y->n_part; i++)
        if (strlen(y->part[i].prefix) == n &&
            memcmp(y->part[i].prefix, prefix, n) == 0)
            return i;
    return -1;
}

/* A tensor of the input, or else of the taps. */
static const core_st_tensor *input_tensor(const har_yardstick *y,
                                          const char *prefix, const char *body)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s%s", prefix, body);
    const core_st_tensor *t =
        y->input != NULL ? core_st_find(y->input, name) : NULL;
    return t != NULL ? t : core_st_find(y->taps, name);
}

/* B and T: from what has them in its shape. */
static core_status size_part(har_yardstick *y, har_yard_part *part)
{
    static const char *const bodies[] = {"input_ids", "hidden_in", "embed",
                                         "logits", "layers.0.out"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const core_st_tensor *t = input_tensor(y, part->prefix, bodies[i]);
        if (t == NULL || t->n_dim < 2 || (i > 0 && t->n_dim < 3) || t->n == 0)
            continue;
        part->n_b = t->shape[0];
        part->n_t = t->shape[1];
        break;
    }
    CORE_FAIL_IF(part->n_b == 0, CORE_E_INPUT,
                 "%s: expected '%sinput_ids' with rows and positions", y->path,
                 part->prefix);
    part->mask = input_tensor(y, part->prefix, "attention_mask");
    CORE_FAIL_IF(
        part->mask != NULL && (part->mask->n != part->n_b * part->n_t ||
                               core_dtype_is_float(part->mask->dtype)),
        CORE_E_FORMAT,
        "%s: '%sattention_mask': expected integers [%lld,%lld]",
        y->path, part->prefix, (long long)part->n_b, (long long)part->n_t);
    return CORE_OK;
}

/* The part of a prefix, made if it is new. */
static core_status get_part(har_yardstick *y, const char *name, int n_prefix,
                            int *out)
{
    har_yard_part *part = &y->part[y->n_part];
    CORE_FAIL_IF(n_prefix >= (int)sizeof part->prefix, CORE_E_FORMAT,
                 "%s: '%s': expected a prefix of less than %zu bytes", y->path,
                 name, sizeof part->prefix);
    *out = find_part(y, name, (size_t)n_prefix);
    if (*out >= 0)
        return CORE_OK;
    *part = (har_yard_part){.n_b = 0};
    memcpy(part->prefix, name, (size_t)n_prefix);
    CORE_TRY(size_part(y, part));
    *out = y->n_part++;
    return CORE_OK;
}

/* --- taps --- */

static core_status set_extent(const har_yardstick *y, har_yard_tap *t)
{
    const har_yard_part *part = &y->part[t->part];
    const int64_t n_token = part->n_b * part->n_t;
    t->is_flat = !t->name.is_tap && t->data->n_dim == 2 &&
                 t->data->shape[0] == part->n_b &&
                 t->data->shape[1] == part->n_t;
    const int64_t n_col = t->is_flat || t->data->n_dim == 0
                              ? 1
                              : t->data->shape[t->data->n_dim - 1];
    const int64_t n_row = n_col > 0 ? t->data->n / n_col : 0;
    CORE_FAIL_IF(n_row == 0 || n_row % n_token != 0, CORE_E_FORMAT,
                 "%s: '%s': expected rows for %lld tokens, found %lld", y->path,
                 t->data->name, (long long)n_token, (long long)n_row);
    t->extent = (har_extent){part->n_b, part->n_t, n_row / n_token, n_col};
    return CORE_OK;
}

/* The tolerance KIND of a tap, "tolerance" or another; *out NULL: none. */
static core_status find_tolerance(const har_yardstick *y, const har_yard_tap *t,
                                  const char *kind, const core_st_tensor **out)
{
    char name[NAME_BYTES];
    const int64_t n_row = t->data->n / t->extent.n_col;
    snprintf(name, sizeof name, "%s.%s", t->data->name, kind);
    *out = core_st_find(y->taps, name);
    CORE_FAIL_IF(
        *out != NULL && ((*out)->n != n_row || (*out)->dtype != CORE_DTYPE_F32),
        CORE_E_FORMAT,
        "%s: '%s': expected F32 [%lld], found %s of %lld elements",
        core_st_path(y->taps), name, (long long)n_row,
        core_dtype_name((*out)->dtype), (long long)(*out)->n);
    return CORE_OK;
}

static core_status set_tolerance(const har_yardstick *y, har_yard_tap *t,
                                 bool bits)
{
    CORE_TRY(find_tolerance(y, t, "tolerance", &t->tolerance));
    CORE_TRY(find_tolerance(y, t, "rms_tolerance", &t->rms_tolerance));
    if (t->is_input || !core_dtype_is_float(t->data->dtype) ||
        t->tolerance != NULL || y->is_exact || bits)
        return CORE_OK;
    if (!y->is_bundle)
        t->flat_tolerance = har_dump_tolerance(
            y->taps, t->data,
            input_tensor(y, y->part[t->part].prefix, "logits"));
    else if (strcmp(y->numerics, "fp64") == 0)
        t->flat_tolerance = 1e-9 * core_st_rms(t->data);
    else
        CORE_FAIL(CORE_E_FORMAT, "%s: expected the tensor '%s.tolerance'",
                  core_st_path(y->taps), t->data->name);
    return CORE_OK;
}

/* Known names that are compared: no masks and no hidden inputs, and not the
 * oracle's second opinion on the logits.                                     */
static bool is_compared(const har_yard_tap *t)
{
    static const char *const others[] = {"attention_mask", "hidden_in",
                                         "logits_f64"};
    for (int i = 0; i < 3; i++)
        if (strcmp(har_yard_body(t), others[i]) == 0)
            return false;
    return true;
}

static core_status add_tap(har_yardstick *y, const core_st_tensor *tensor,
                           bool bits)
{
    har_yard_tap *t = &y->tap[y->n_tap];
    *t = (har_yard_tap){.data = tensor};
    if (!har_tapname_parse(&t->name, tensor->name)) {
        y->n_ignored++;
        return CORE_OK;
    }
    t->is_input = strcmp(har_yard_body(t), "input_ids") == 0;
    if (!is_compared(t)) {
        y->n_ignored++;
        return CORE_OK;
    }
    CORE_TRY(get_part(y, tensor->name, t->name.prefix_bytes, &t->part));
    CORE_TRY(set_extent(y, t));
    CORE_TRY(set_tolerance(y, t, bits));
    t->is_spare = y->is_coarse && t->name.is_tap &&
                  !core_tap_is_coarse(t->name.tap.kind);
    const bool is_int =
        t->is_input ||
        (t->name.is_tap && core_tap_grid(t->name.tap.kind) == CORE_GRID_INT);
    CORE_FAIL_IF((is_int || t->name.is_tap) &&
                     is_int == core_dtype_is_float(tensor->dtype),
                 CORE_E_FORMAT, "%s: '%s': expected %s, found %s", y->path,
                 tensor->name, is_int ? "integers" : "floating-point numbers",
                 core_dtype_name(tensor->dtype));
    y->n_tap++;
    return CORE_OK;
}

/* A part's taps lie together, also where two prefixes have the same number. */
static int by_order(const void *x, const void *y)
{
    const har_yard_tap *a = x, *b = y;
    if (a->name.order[0] == b->name.order[0] && a->part != b->part)
        return a->part < b->part ? -1 : 1;
    const int order = har_tapname_compare(a->name.order, b->name.order);
    return order != 0 ? order : strcmp(a->data->name, b->data->name);
}

static core_status list_taps(har_yardstick *y, bool bits)
{
    void *p = NULL;
    const int64_t n_taps = core_st_count(y->taps);
    const int64_t n_input = y->input != NULL ? core_st_count(y->input) : 0;
    CORE_TRY(core_alloc(&p, n_taps + n_input + 1, sizeof *y->tap, "taps"));
    y->tap = p;
    CORE_TRY(core_alloc(&p, n_taps + n_input + 1, sizeof *y->part, "prompts"));
    y->part = p;
    for (int64_t i = 0; i < n_input; i++)
        CORE_TRY(add_tap(y, core_st_at(y->input, i), bits));
    for (int64_t i = 0; i < n_taps; i++) {
        const core_st_tensor *tensor = core_st_at(y->taps, i);
        if (n_input == 0 || core_st_find(y->input, tensor->name) == NULL)
            CORE_TRY(add_tap(y, tensor, bits));
    }
    int64_t n_real = 0;
    for (int64_t i = 0; i < y->n_tap; i++)
        n_real += y->tap[i].is_input ? 0 : 1;
    CORE_FAIL_IF(n_real == 0, CORE_E_INPUT,
                 "%s: holds no tensor with the name of a tap", y->path);
    qsort(y->tap, (size_t)y->n_tap, sizeof *y->tap, by_order);
    return CORE_OK;
}

/* --- opening --- */

static core_status open_bundle(har_yardstick *y)
{
    char name[1024];
    y->is_bundle = true;
    CORE_TRY(har__yardstick_manifest(y));
    snprintf(name, sizeof name, "%s/input.safetensors", y->path);
    CORE_TRY(core_st_open(&y->input, name));
    file_of(name, y->path, y->numerics);
    return core_st_open(&y->taps, name);
}

static core_status open_plain(har_yardstick *y)
{
    CORE_TRY(core_st_open(&y->taps, y->path));
    const char *numerics = core_st_metadata(y->taps, "numerics");
    snprintf(y->numerics, sizeof y->numerics, "%.100s",
             numerics != NULL ? numerics : "");
    snprintf(y->estimate, sizeof y->estimate,
             "the oracle's rule per tap, not per row");
    return CORE_OK;
}

/* kind := what numerics says. */
static core_status read_kind(har_yardstick *y)
{
    y->kind = CORE_EXACT;
    if (y->numerics[0] != '\0' &&
        core_numerics_parse(&y->kind, y->numerics) != CORE_OK)
        return core_fail_context(CORE_E_FORMAT, "in the metadata of %s",
                                 core_st_path(y->taps));
    return CORE_OK;
}

core_status har_yardstick_open(har_yardstick *out, const char *path,
                               const char *numerics, bool bits)
{
    har_yardstick y;
    memset(&y, 0, sizeof y);
    CORE_FAIL_IF(strlen(path) >= sizeof y.path, CORE_E_FILE,
                 "%s: path is longer than %zu bytes", path, sizeof y.path - 1);
    snprintf(y.path, sizeof y.path, "%s", path);
    snprintf(y.numerics, sizeof y.numerics, "%.100s",
             numerics != NULL ? numerics : "");
    core_status status = har_yardstick_is_bundle(path) ? open_bundle(&y)
                                                       : open_plain(&y);
    if (status == CORE_OK)
        status = read_kind(&y);
    y.is_exact = strcmp(y.numerics, "exact") == 0;
    if (y.is_exact)
        snprintf(y.estimate, sizeof y.estimate, "none, bit for bit");
    if (status == CORE_OK)
        status = list_taps(&y, bits);
    if (status == CORE_OK)
        *out = y;
    else
        har_yardstick_close(&y);
    return status;
}

void har_yardstick_close(har_yardstick *yard)
{
    core_st_close(yard->taps);
    core_st_close(yard->input);
    free(yard->first_row);
    free(yard->part);
    free(yard->tap);
    memset(yard, 0, sizeof *yard);
}

const char *har_forcing_name(har_forcing forcing)
{
    static const char *const words[HAR_N_FORCINGS] = {"free", "layer", "block"};
    return words[forcing];
}

/* What the slopes of a tap may be, if the bundle says so. */
static core_status set_slope_tolerance(const har_yardstick *y, har_yard_tap *t)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s.%s.slope_tolerance", t->data->name,
             har_forcing_name(y->forcing));
    const core_st_tensor *one = core_st_find(y->taps, name);
    CORE_FAIL_IF(one != NULL && (one->n != 1 || one->dtype != CORE_DTYPE_F32),
                 CORE_E_FORMAT, "%s: '%s': expected F32 [1], found %s of %lld "
                 "elements",
                 core_st_path(y->taps), name, core_dtype_name(one->dtype),
                 (long long)one->n);
    t->slope_tolerance = one != NULL ? core_st_value(one, 0) : 0.0;
    return CORE_OK;
}

core_status har_yardstick_force(har_yardstick *y, har_forcing forcing)
{
    char kind[40];
    y->forcing = forcing;
    for (int64_t i = 0; forcing != HAR_FED_NOTHING && i < y->n_tap; i++) {
        har_yard_tap *t = &y->tap[i];
        if (t->is_input || !core_dtype_is_float(t->data->dtype))
            continue;
        snprintf(kind, sizeof kind, "%s.tolerance", har_forcing_name(forcing));
        CORE_TRY(find_tolerance(y, t, kind, &t->tolerance));
        CORE_FAIL_IF(t->tolerance == NULL, CORE_E_INPUT,
                     "%s: the dump says forced=%s: expected the tensor "
                     "'%s.%s'; has no tolerances for such dumps",
                     core_st_path(y->taps), har_forcing_name(forcing),
                     t->data->name, kind);
        snprintf(kind, sizeof kind, "%s.rms_tolerance",
                 har_forcing_name(forcing));
        CORE_TRY(find_tolerance(y, t, kind, &t->rms_tolerance));
        CORE_TRY(set_slope_tolerance(y, t));
    }
    return CORE_OK;
}

/* --- questions --- */

const har_yard_tap *har_yardstick_find(const har_yardstick *yard, int part,
                                       core_tap tap)
{
    for (int64_t i = 0; i < yard->n_tap; i++) {
        const har_yard_tap *t = &yard->tap[i];
        if (t->part == part && t->name.is_tap && t->name.tap.kind == tap.kind &&
            t->name.tap.layer == tap.layer)
            return t;
    }
    return NULL;
}

int64_t har_yardstick_index(const har_yardstick *yard, const char *name)
{
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s%s", yard->part[0].prefix, name);
    for (int64_t i = 0; i < yard->n_tap; i++)
        if (strcmp(yard->tap[i].data->name, name) == 0 ||
            (yard->n_part == 1 && strcmp(yard->tap[i].data->name, full) == 0))
            return i;
    return -1;
}

const core_st_tensor *har_yardstick_margin(const har_yardstick *yard, int part,
                                           int layer)
{
    char name[NAME_BYTES];
    if (yard->margin != NULL)
        return yard->margin[layer].data != NULL ? &yard->margin[layer] : NULL;
    snprintf(name, sizeof name, "%slayers.%d.routing_margin",
             yard->part[part].prefix, layer);
    const core_st_tensor *t = core_st_find(yard->taps, name);
    const int64_t n = yard->part[part].n_b * yard->part[part].n_t;
    return t != NULL && t->dtype == CORE_DTYPE_F64 && t->n == n ? t : NULL;
}

bool har_yardstick_is_real(const har_yard_part *part, int64_t token)
{
    return part->mask == NULL || core_st_value(part->mask, token) != 0.0;
}

int64_t har_yardstick_rows(const har_yard_tap *tap)
{
    return tap->extent.n_b * tap->extent.n_t * tap->extent.n_k;
}

void har_yardstick_row(const har_yard_tap *tap, int64_t row, double *out)
{
    const int64_t n_col = tap->extent.n_col;
    core_st_read(tap->data, row * n_col, n_col, out);
}

double har_yardstick_allowed(const har_yard_tap *tap, int64_t row)
{
    return tap->tolerance != NULL ? core_st_value(tap->tolerance, row)
                                  : tap->flat_tolerance;
}

double har_yardstick_allowed_rms(const har_yard_tap *tap, int64_t row)
{
    return tap->rms_tolerance != NULL ? core_st_value(tap->rms_tolerance, row)
                                      : 0.0;
}

const char *har_widest_text(char text[HAR_WIDEST_TEXT], double relative,
                            const char *tap)
{
    snprintf(text, HAR_WIDEST_TEXT,
             "up to %.2g of a row's largest value, at %.64s%s", relative, tap,
             relative >= 1.0 ? ", where a row of zeros would pass" : "");
    return text;
}

const char *har_yard_body(const har_yard_tap *tap)
{
    return tap->data->name + tap->name.prefix_bytes;
}
