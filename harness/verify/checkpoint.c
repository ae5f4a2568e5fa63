/* harness/verify/checkpoint.c -- see checkpoint.h.
 *
 * The facts are a small safetensors file: the mark and texts as metadata, the
 * figures and the spread of roundings as doubles, so that nothing is rounded on
 * its way.  The taps carry no mark of their own, so their bytes are hashed: a
 * file that was cut, changed or exchanged is noticed, at the price of reading
 * it once.
 */
#include "harness/verify/checkpoint.h"

#include "core/base/arena.h"
#include "core/files/open.h"
#include "core/files/safetensors.h"
#include "harness/launch/launch.h"
#include "harness/words/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static const char *const FIELD[HAR_MARK_FIELDS] = {
    "program", "model", "weights", "batch", "numerics", "groups"};

enum { N_FIGURE = 5, HEX_BYTES = 20, KEY_PAIRS = HAR_MARK_FIELDS + 5 };

/* --- fingerprints --- */

static core_status hash_file(uint64_t *out, const char *path)
{
    enum { CHUNK = 1 << 20 };
    void *chunk = NULL;
    FILE *file = NULL;
    CORE_TRY(core_open_stream(&file, path));
    XXH3_state_t *state = XXH3_createState();
    core_status status = core_alloc(&chunk, CHUNK, 1, "a piece of a file");
    if (status == CORE_OK &&
        (state == NULL || XXH3_64bits_reset(state) != XXH_OK))
        status = core_fail(CORE_E_MEMORY, "no memory to read %s", path);
    for (size_t n; status == CORE_OK && (n = fread(chunk, 1, CHUNK, file)) > 0;)
        XXH3_64bits_update(state, chunk, n);
    if (status == CORE_OK && ferror(file) != 0)
        status = core_fail(CORE_E_FILE, "%s: cannot be read", path);
    if (status == CORE_OK)
        *out = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    free(chunk);
    fclose(file);
    return status;
}

/* Which does not change while it runs: read once. */
static core_status hash_program(uint64_t *out)
{
    static uint64_t hash;
    static bool is_known;
    if (!is_known)
        CORE_TRY(hash_file(&hash, "/proc/self/exe"));
    is_known = true;
    *out = hash;
    return CORE_OK;
}

static core_status hash_spec(uint64_t *out, const core_spec *spec)
{
    char *text = NULL;
    size_t n = 0;
    FILE *stream = open_memstream(&text, &n);
    CORE_FAIL_IF(stream == NULL, CORE_E_MEMORY, "no memory for the model");
    core_spec_write_yaml(spec, stream);
    const bool is_whole = fclose(stream) == 0;
    *out = is_whole ? XXH3_64bits(text, n) : 0;
    free(text);
    CORE_FAIL_IF(!is_whole, CORE_E_MEMORY, "no memory for the model");
    return CORE_OK;
}

static uint64_t more(uint64_t so_far, const void *data, int64_t n, size_t each)
{
    return data == NULL ? so_far
                        : XXH3_64bits_withSeed(data, (size_t)n * each, so_far);
}

static uint64_t hash_batch(const core_batch *batch, int64_t n_d)
{
    const int64_t n = batch->n_b * batch->n_t;
    uint64_t hash = more(0, batch->ids, n, sizeof *batch->ids);
    hash = more(hash, batch->mask, n, sizeof *batch->mask);
    return more(hash, batch->hidden, n * n_d, sizeof *batch->hidden);
}

static uint64_t hash_deal(const par_deal *deal, int64_t n_k)
{
    const int64_t n = deal->n_b * deal->n_t;
    const int64_t shape[2] = {deal->n_b, deal->n_t};
    uint64_t hash = more(0, shape, 2, sizeof *shape);
    hash = more(hash, deal->expert, n * n_k, sizeof *deal->expert);
    hash = more(hash, deal->weight, n * n_k, sizeof *deal->weight);
    return more(hash, deal->id, n, sizeof *deal->id);
}

core_status har_mark_make(har_mark *out, char path[HAR_PATH_BYTES],
                          const har_job *job, core_numerics numerics,
                          int64_t n_part, const par_deal *deal)
{
    const core_spec *spec = job->spec;
    const core_batch *batch = job->batch;
    const core_numerics_text text = core_numerics_name(numerics);
    uint64_t program, model;
    CORE_TRY(hash_program(&program));
    CORE_TRY(hash_spec(&model, spec));
    const uint64_t dealt = deal != NULL ? hash_deal(deal, spec->n_k) : 0;
    snprintf(out->value[0], HAR_MARK_BYTES, "%s, built as %016" PRIx64,
             HAR_VERSION, program);
    snprintf(out->value[1], HAR_MARK_BYTES, "%.80s, %lld layers, %016" PRIx64,
             spec->name, (long long)spec->n_l, model);
    snprintf(out->value[2], HAR_MARK_BYTES, "%.120s", job->weights_mark);
    snprintf(out->value[3], HAR_MARK_BYTES,
             "%lldx%lld, seed %llu%s, %016" PRIx64, (long long)batch->n_b,
             (long long)batch->n_t, (unsigned long long)job->seed,
             job->is_padded ? ", padded" : "", hash_batch(batch, spec->n_d));
    snprintf(out->value[4], HAR_MARK_BYTES, "%s", text.text);
    snprintf(out->value[5], HAR_MARK_BYTES, "%lld parts, routing %016" PRIx64,
             (long long)n_part, dealt);
    const int n =
        deal != NULL
            ? snprintf(path, HAR_PATH_BYTES,
                       "%s/exercise-%s-%lld-%016" PRIx64 ".taps",
                       job->checkpoint, text.text, (long long)n_part, dealt)
            : snprintf(path, HAR_PATH_BYTES, "%s/reference-%s-%lld.taps",
                       job->checkpoint, text.text, (long long)n_part);
    CORE_FAIL_IF(n >= HAR_PATH_BYTES, CORE_E_FILE, "--checkpoint: %s: too long",
                 job->checkpoint);
    return CORE_OK;
}

/* reference.taps -> reference.facts */
static void facts_path(char out[HAR_PATH_BYTES + 8], const char *taps)
{
    snprintf(out, HAR_PATH_BYTES + 8, "%.*s.facts",
             (int)(strlen(taps) - strlen(".taps")), taps);
}

/* --- keep --- */

core_status har_checkpoint_store(const har_reference_entry *entry,
                                 const har_mark *mark, int64_t n_spread)
{
    char path[HAR_PATH_BYTES + 8], hex[HEX_BYTES], redraw[16];
    uint64_t hash;
    const ref_stats *s = &entry->stats;
    const double figure[N_FIGURE] = {s->wall_seconds, s->cpu_seconds,
                                     s->gemm_flops, s->bits, s->exact};
    const core_st_tensor tensors[2] = {
        {.name = "figures",
         .dtype = CORE_DTYPE_F64,
         .n_dim = 1,
         .shape = {N_FIGURE}},
        {.name = "spread",
         .dtype = CORE_DTYPE_F64,
         .n_dim = 2,
         .shape = {n_spread, HAR_PRECISION_SUMS}}};
    const char *pairs[2 * KEY_PAIRS + 1] = {NULL};
    int n = 0;
    CORE_TRY(hash_file(&hash, entry->path));
    snprintf(hex, sizeof hex, "%016" PRIx64, hash);
    snprintf(redraw, sizeof redraw, "%d", entry->n_redraw);
    for (int i = 0; i < HAR_MARK_FIELDS; i++) {
        pairs[n++] = FIELD[i];
        pairs[n++] = mark->value[i];
    }
    const char *const rest[] = {"taps_xxh3",  hex,
                                "n_redraw",   redraw,
                                "is_telling", entry->is_telling ? "1" : "0",
                                "vacuity",    entry->vacuity};
    memcpy(pairs + n, rest, sizeof rest);
    core_st *file = NULL;
    facts_path(path, entry->path);
    CORE_TRY(core_st_create(&file, path, tensors, n_spread > 0 ? 2 : 1, pairs));
    memcpy(core_st_find(file, "figures")->data, figure, sizeof figure);
    if (n_spread > 0)
        memcpy(core_st_find(file, "spread")->data, entry->spread,
               (size_t)n_spread * sizeof *entry->spread);
    const core_status status = core_st_commit(file);
    core_st_close(file);
    return status;
}

/* --- take up again --- */

/* A text of the facts; E_FORMAT without. */
static core_status get(const char **out, const core_st *file, const char *key)
{
    *out = core_st_metadata(file, key);
    CORE_FAIL_IF(*out == NULL, CORE_E_FORMAT, "%s: damaged: no '%s'",
                 core_st_path(file), key);
    return CORE_OK;
}

static core_status check_mark(const core_st *file, const har_mark *mark)
{
    const char *found;
    for (int i = 0; i < HAR_MARK_FIELDS; i++) {
        CORE_TRY(get(&found, file, FIELD[i]));
        CORE_FAIL_IF(strcmp(found, mark->value[i]) != 0, CORE_E_INPUT,
                     "%s: made for another %s: expected '%s', found '%s'",
                     core_st_path(file), FIELD[i], mark->value[i], found);
    }
    return CORE_OK;
}

static core_status check_taps(const core_st *file, const char *taps)
{
    const char *want;
    char hex[HEX_BYTES];
    uint64_t hash;
    CORE_TRY(get(&want, file, "taps_xxh3"));
    CORE_TRY(hash_file(&hash, taps));
    snprintf(hex, sizeof hex, "%016" PRIx64, hash);
    CORE_FAIL_IF(strcmp(want, hex) != 0, CORE_E_FORMAT,
                 "%s: damaged: expected XXH3 %s, found %s", taps, want, hex);
    return CORE_OK;
}

static core_status get_figures(double *out, const core_st *file,
                               const char *name, int64_t n)
{
    const core_st_tensor *tensor = core_st_find(file, name);
    CORE_FAIL_IF(tensor == NULL || tensor->n != n ||
                     tensor->dtype != CORE_DTYPE_F64,
                 CORE_E_FORMAT, "%s: damaged: no %lld doubles '%s'",
                 core_st_path(file), (long long)n, name);
    core_st_read(tensor, 0, n, out);
    return CORE_OK;
}

static core_status read_facts(har_reference_entry *entry, const core_st *file,
                              int64_t n_spread)
{
    double figure[N_FIGURE];
    const char *redraw, *telling, *vacuity;
    CORE_TRY(get(&redraw, file, "n_redraw"));
    CORE_TRY(get(&telling, file, "is_telling"));
    CORE_TRY(get(&vacuity, file, "vacuity"));
    CORE_TRY(get_figures(figure, file, "figures", N_FIGURE));
    void *p = NULL;
    if (n_spread > 0)
        CORE_TRY(core_alloc(&p, n_spread, sizeof *entry->spread, "the spread"));
    const core_status status =
        n_spread > 0
            ? get_figures(p, file, "spread", n_spread * HAR_PRECISION_SUMS)
            : CORE_OK;
    if (status != CORE_OK) {
        free(p);
        return status;
    }
    entry->spread = p;
    entry->n_redraw = atoi(redraw);
    entry->is_telling = telling[0] == '1';
    snprintf(entry->vacuity, sizeof entry->vacuity, "%s", vacuity);
    entry->stats = (ref_stats){.wall_seconds = figure[0],
                               .cpu_seconds = figure[1],
                               .gemm_flops = figure[2],
                               .bits = figure[3],
                               .exact = figure[4] != 0.0};
    return CORE_OK;
}

core_status har_checkpoint_load(har_reference_entry *entry,
                                const har_mark *mark, int64_t n_spread,
                                bool *found)
{
    char path[HAR_PATH_BYTES + 8];
    core_st *file = NULL;
    facts_path(path, entry->path);
    *found = access(path, F_OK) == 0;
    if (!*found)
        return CORE_OK;
    CORE_TRY(core_st_open(&file, path));
    core_status status = check_mark(file, mark);
    if (status == CORE_OK)
        status = check_taps(file, entry->path);
    if (status == CORE_OK)
        status = read_facts(entry, file, n_spread);
    core_st_close(file);
    return status;
}

bool har_checkpoint_in_memory(const char *folder)
{
    char above[HAR_PATH_BYTES];
    snprintf(above, sizeof above, "%s/..", folder);
    return har_folder_in_memory(access(folder, F_OK) == 0 ? folder : above);
}
