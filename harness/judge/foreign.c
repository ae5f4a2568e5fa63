/* harness/judge/foreign.c -- opening a dump, see foreign.h.
 *
 * The files of a folder are taken in the order of their names.  Traps: a folder
 * in which rank 2 of 4 is missing looks complete if only its files are counted;
 * a dump in bf16 with a few fp32 tensors is a bf16 dump; another golden bundle
 * has several files of the same taps, of which one is meant.
 */
#include "harness/judge/foreign.h"

#include "core/base/arena.h"
#include "core/base/printable.h"
#include "core/files/json.h"
#include "core/files/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILES = 1 << 16, MAX_RANK = 1 << 24 };

static const char SUFFIX[] = ".safetensors";

/* --- metadata of a file --- */

static core_status bad_metadata(const har_dump_file *f, const char *key,
                                const char *expected, const char *found)
{
    CORE_FAIL(CORE_E_FORMAT, "%s: metadata '%s': expected %s, found '%.80s'",
              core_st_path(f->st), key, expected, found);
}

static core_status read_count(const har_dump_file *f, const char *key, int *out)
{
    const char *text = core_st_metadata(f->st, key);
    char *end = NULL;
    if (text == NULL)
        return CORE_OK;
    const long n = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > MAX_RANK)
        return bad_metadata(f, key, "a number", text);
    *out = (int)n;
    return CORE_OK;
}

static core_status read_range(const har_dump_file *f, const char *key,
                              har_range *out)
{
    const char *text = core_st_metadata(f->st, key);
    *out = (har_range){0, -1};
    return text == NULL || har_range_parse(out, text)
               ? CORE_OK
               : bad_metadata(f, key, "a range such as 7:9", text);
}

/* "rank 3 (tp 1, dp 0)" */
static core_status read_owner(har_dump_file *f)
{
    const char *text = core_st_metadata(f->st, "plan"), *key;
    json_t *plan = NULL, *value;
    size_t n = 0;
    bool good = true;
    if (f->rank < 0)
        n = (size_t)snprintf(f->owner, sizeof f->owner, "%.60s", f->name);
    else
        n = (size_t)snprintf(f->owner, sizeof f->owner, "rank %d", f->rank);
    if (text == NULL || text[0] != '{') /* `run` writes its plan's text */
        return CORE_OK;
    CORE_TRY_CTX(core_json_parse(&plan, text, strlen(text), "metadata 'plan'"),
                 "reading %s", core_st_path(f->st));
    good = json_is_object(plan);
    const char *before = " (";
    json_object_foreach(plan, key, value)
    {
        good = good && json_is_integer(value);
        if (n < sizeof f->owner)
            n += (size_t)snprintf(f->owner + n, sizeof f->owner - n,
                                  "%s%.8s %d", before, key,
                                  (int)json_integer_value(value));
        before = ", ";
    }
    if (n < sizeof f->owner && before[0] == ',')
        snprintf(f->owner + n, sizeof f->owner - n, ")");
    json_decref(plan);
    return good ? CORE_OK
                : bad_metadata(f, "plan", "coordinates such as {\"tp\":1}",
                               text);
}

/* The keys we know that name a tensor must name one of the file. */
static core_status check_keys(har_dump_file *f)
{
    static const char *const with_name[] = {"slice:", "padded:", "token_ids:",
                                            "logical:"};
    const char *key, *value;
    for (int64_t i = 0; core_st_metadata_at(f->st, i, &key, &value); i++) {
        for (int k = 0; k < 4; k++) {
            if (!core_text_after(key, with_name[k], NULL))
                continue;
            const char *name = key + strlen(with_name[k]);
            CORE_FAIL_IF(core_st_find(f->st, name) == NULL, CORE_E_FORMAT,
                         "%s: metadata '%.80s': there is no tensor '%.80s'",
                         core_st_path(f->st), key, name);
            f->has_lists |= k >= 2;
        }
    }
    return CORE_OK;
}

bool har_foreign_says_places(const core_st *file)
{
    static const char *const words[] = {"slice", "padded", "token_ids",
                                        "logical", "positions", "rows",
                                        "axes", "first_layer"};
    const char *key, *value;
    for (int64_t i = 0; core_st_metadata_at(file, i, &key, &value); i++)
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
            const size_t n = strlen(words[k]);
            if (strncmp(key, words[k], n) == 0 &&
                (key[n] == '\0' || key[n] == ':'))
                return true;
        }
    return false;
}

static core_status read_world(const har_dump_file *f, int *world)
{
    int here = *world;
    CORE_TRY(read_count(f, "world", &here));
    CORE_FAIL_IF(*world != 0 && here != *world, CORE_E_FORMAT,
                 "%s: metadata 'world': expected %d as in another file, found "
                 "%d",
                 core_st_path(f->st), *world, here);
    *world = here;
    return CORE_OK;
}

static core_status read_metadata(har_dump_file *f, const har_namemap *map,
                                 int *world)
{
    int rank = -1;
    if (sscanf(f->name, "rank_%d.safetensors", &rank) == 1 && rank >= 0)
        f->rank = rank;
    CORE_TRY(read_count(f, "rank", &f->rank));
    CORE_TRY(read_world(f, world));
    f->first_layer = har_namemap_first_layer(map, f->rank);
    CORE_TRY(read_count(f, "first_layer", &f->first_layer));
    f->axes = map->has_axes ? map->axes : HAR_AXES_BSH;
    const char *axes = core_st_metadata(f->st, "axes");
    if (axes != NULL && !har_axes_parse(&f->axes, axes))
        return bad_metadata(f, "axes", "bsh or sbh", axes);
    CORE_TRY(read_range(f, "rows", &f->claim.b));
    CORE_TRY(read_range(f, "positions", &f->claim.t));
    CORE_TRY(check_keys(f));
    return read_owner(f);
}

/* --- files --- */

static bool is_wanted(const struct dirent *entry)
{
    const size_t n = strlen(entry->d_name);
    return n > sizeof SUFFIX - 1 && entry->d_name[0] != '.' &&
           strcmp(entry->d_name + n - (sizeof SUFFIX - 1), SUFFIX) == 0;
}

static core_status add_file(har_foreign *d, int64_t *room, const char *name)
{
    har_dump_file *file =
        core_grow(d->file, room, d->n_file + 1, sizeof *file, "files");
    if (file == NULL)
        return CORE_E_MEMORY;
    d->file = file;
    file += d->n_file++;
    *file = (har_dump_file){.rank = -1};
    snprintf(file->name, sizeof file->name, "%.127s", name);
    return CORE_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const har_dump_file *)a)->name,
                  ((const har_dump_file *)b)->name);
}

/* Of another bundle, the numerics that is meant: the first that is there. */
static const char *numerics_of_bundle(const char *path)
{
    static const char *const order[] = {"exact", "fp32", "bf16", "fp64"};
    for (int i = 0; i < 4; i++)
        if (har_yardstick_has(path, order[i]))
            return order[i];
    for (const core_profile *p = core_profiles; p->name != NULL; p++)
        if (har_yardstick_has(path, p->name))
            return p->name;
    return order[0];
}

/* Is the file of a folder one of the dump's?  Of a bundle, its input and the
 * numerics that is meant.                                                    */
static bool is_meant(const har_foreign *d, const struct dirent *entry)
{
    char wanted[CORE_NUMERICS_BYTES + sizeof SUFFIX];
    snprintf(wanted, sizeof wanted, "%s%s",
             core_numerics_file(d->numerics).text, SUFFIX);
    return is_wanted(entry) &&
           (!d->is_bundle || strcmp(entry->d_name, wanted) == 0 ||
            strcmp(entry->d_name, "input.safetensors") == 0);
}

/* The files of an open folder, by name. */
static core_status read_folder(har_foreign *d, DIR *dir)
{
    const struct dirent *entry;
    int64_t room = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (!is_meant(d, entry))
            continue;
        CORE_FAIL_IF(d->n_file == MAX_FILES ||
                         strlen(entry->d_name) >= sizeof d->file->name,
                     CORE_E_INPUT,
                     "%s: more than %d files, or a name that is too long: "
                     "'%.100s'",
                     d->path, MAX_FILES, entry->d_name);
        CORE_TRY(add_file(d, &room, entry->d_name));
    }
    CORE_FAIL_IF(d->n_file == 0, CORE_E_INPUT,
                 "%s: expected files *.safetensors, found none", d->path);
    qsort(d->file, (size_t)d->n_file, sizeof *d->file, by_name);
    return CORE_OK;
}

static core_status list_folder(har_foreign *d, const char *numerics)
{
    struct stat info;
    char manifest[1024];
    snprintf(manifest, sizeof manifest, "%s/manifest.json", d->path);
    d->is_bundle = stat(manifest, &info) == 0;
    if (d->is_bundle)
        snprintf(d->numerics, sizeof d->numerics, "%s",
                 numerics != NULL ? numerics : numerics_of_bundle(d->path));
    DIR *dir = opendir(d->path);
    CORE_FAIL_IF(dir == NULL, CORE_E_FILE, "%s: %s", d->path, strerror(errno));
    const core_status status = read_folder(d, dir);
    closedir(dir);
    return status;
}

static core_status list_file(har_foreign *d)
{
    const char *slash = strrchr(d->path, '/');
    int64_t room = 0;
    return add_file(d, &room, slash != NULL ? slash + 1 : d->path);
}

static core_status open_files(har_foreign *d, const har_namemap *map,
                              bool is_folder)
{
    for (int i = 0; i < d->n_file; i++) {
        char path[1024];
        har_dump_file *f = &d->file[i];
        snprintf(path, sizeof path, "%s%s%s", d->path, is_folder ? "/" : "",
                 is_folder ? f->name : "");
        CORE_TRY(core_st_open(&f->st, path));
        CORE_TRY(read_metadata(f, map, &d->world));
        for (int j = 0; j < i; j++)
            CORE_FAIL_IF(f->rank >= 0 && d->file[j].rank == f->rank,
                         CORE_E_FORMAT, "%s: rank %d is also in %s",
                         core_st_path(f->st), f->rank, d->file[j].name);
    }
    return CORE_OK;
}

core_status har_foreign_open(har_foreign *out, const char *path,
                             const har_foreign_options *options)
{
    har_foreign d;
    struct stat info;
    memset(&d, 0, sizeof d);
    CORE_FAIL_IF(strlen(path) >= sizeof d.path, CORE_E_FILE,
                 "%s: path is longer than %zu bytes", path, sizeof d.path - 1);
    snprintf(d.path, sizeof d.path, "%s", path);
    CORE_FAIL_IF(stat(path, &info) != 0, CORE_E_FILE, "%s: %s", path,
                 strerror(errno));
    const bool is_folder = S_ISDIR(info.st_mode);
    core_status status = is_folder ? list_folder(&d, options->numerics)
                                   : list_file(&d);
    if (status == CORE_OK)
        status = open_files(&d, options->map, is_folder);
    if (status == CORE_OK && d.numerics[0] == '\0')
        status = har__foreign_numerics(&d, options);
    if (status == CORE_OK)
        *out = d;
    else
        har_foreign_close(&d);
    return status;
}

void har_foreign_close(har_foreign *d)
{
    for (int i = 0; i < d->n_file; i++)
        core_st_close(d->file[i].st);
    for (int64_t i = 0; i < d->n_piece; i++)
        har_place_free(&d->piece[i].place);
    for (int i = 0; i < d->n_part; i++)
        free(d->wanted[i]);
    free(d->wanted);
    free(d->file);
    free(d->piece);
    free(d->finding);
    memset(d, 0, sizeof *d);
}

/* --- findings --- */

const char *har_finding_name(har_finding_kind kind)
{
    static const char *const names[HAR_N_FOUND_KINDS] = {
        "missing", "replica",    "extra",     "misshapen",
        "unknown", "non-finite", "unreadable"};
    return names[kind];
}

bool har_finding_is_note(har_finding_kind kind)
{
    return kind == HAR_FOUND_EXTRA || kind == HAR_FOUND_UNKNOWN;
}

void har_foreign_find(har_foreign *d, har_finding_kind kind, int64_t i_tap,
                      int file, const char *tensor, const char *fmt, ...)
{
    core_assert(d->n_finding < d->max_finding);
    har_finding *f = &d->finding[d->n_finding++];
    *f = (har_finding){.kind = kind, .i_tap = i_tap, .file = file,
                       .tensor = tensor};
    char text[sizeof f->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    core_printable(f->text, sizeof f->text, text);
}
