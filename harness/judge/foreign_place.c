/* harness/judge/foreign_place.c -- which tap a dump's tensor is part of, and where.
 *
 * What is said nearest wins: slice:NAME of the file, then the file's slice,
 * then the map's slice for the rank, then the whole.  What cannot be read is
 * refused (exit 3); what can be read and does not fit is a finding, and its
 * tap fails. Trap: a decode dump holds few positions, so those that no file
 * claims are not missing, while a position that one file claims is expected
 * of every tap.
 */
#include "harness/judge/foreign.h"

#include "harness/judge/misfit.h"

#include "core/base/arena.h"
#include "core/files/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct placing {
    har_foreign *dump;
    const har_yardstick *yard;
    const har_foreign_options *options;
    har_dump_file *file;
    int i_file;
} placing;

/* --- positions --- */

static const har_range *positions_of(const placing *p)
{
    if (p->options->positions != NULL)
        return p->options->positions;
    return p->file->positions.end >= 0 ? &p->file->positions : NULL;
}

/* Which positions of each prompt does some file claim? */
static core_status want_positions(placing *p)
{
    har_foreign *d = p->dump;
    void *memory = NULL;
    CORE_TRY(
        core_alloc(&memory, p->yard->n_part, sizeof *d->wanted, "prompts"));
    d->wanted = memory;
    for (int i = 0; i < p->yard->n_part; i++) {
        const int64_t n_t = p->yard->part[i].n_t;
        CORE_TRY(core_alloc(&memory, n_t, sizeof **d->wanted, "positions"));
        d->wanted[d->n_part++] = memory;
        memset(memory, 0, (size_t)n_t * sizeof **d->wanted);
        for (int f = 0; f < d->n_file; f++) {
            p->file = &d->file[f];
            const har_range *claimed = positions_of(p);
            for (int64_t t = 0; t < n_t; t++)
                d->wanted[i][t] |= claimed == NULL ||
                                   (t >= claimed->begin && t < claimed->end);
            CORE_FAIL_IF(claimed != NULL && claimed->end > n_t, CORE_E_INPUT,
                         "%s: expected positions within 0:%lld, found "
                         "%lld:%lld",
                         core_st_path(p->file->st), (long long)n_t,
                         (long long)claimed->begin, (long long)claimed->end);
        }
    }
    return CORE_OK;
}

/* --- places --- */

/* The slice of a tensor, in `room` or the map's; NULL if nobody says one. */
static core_status slice_of(const placing *p, const core_st_tensor *t,
                            const char *body, har_slice *room,
                            const har_slice **out)
{
    char key[2 * HAR_DUMP_NAME], where[1024];
    snprintf(key, sizeof key, "slice:%.200s", t->name);
    const char *text = core_st_metadata(p->file->st, key);
    if (text == NULL) {
        snprintf(key, sizeof key, "slice");
        text = core_st_metadata(p->file->st, key);
    }
    if (text == NULL) {
        *out = har_namemap_slice(p->options->map, p->file->rank, body);
        return CORE_OK;
    }
    *out = room;
    snprintf(where, sizeof where, "%s: metadata '%s'",
             core_st_path(p->file->st), key);
    return har_slice_parse(room, text, where);
}

/* The ids that list the rows of a tensor; NULL if nothing does. */
static core_status ids_of(const placing *p, const core_st_tensor *t,
                          const core_st_tensor **out)
{
    char key[2 * HAR_DUMP_NAME];
    snprintf(key, sizeof key, "token_ids:%.200s", t->name);
    const char *name = core_st_metadata(p->file->st, key);
    *out = NULL;
    if (name == NULL)
        return CORE_OK;
    *out = core_st_find(p->file->st, name);
    CORE_FAIL_IF(*out == NULL || (*out)->dtype != CORE_DTYPE_I64,
                 CORE_E_FORMAT, "%s: metadata '%s': expected the name of an "
                 "I64 tensor, found '%.80s'",
                 core_st_path(p->file->st), key, name);
    return CORE_OK;
}

/* Which experts the physical ones of a tensor of choices are; NULL if its ids
 * are the model's own.                                                       */
static core_status logical_of(const placing *p, const core_st_tensor *t,
                              const core_st_tensor **out)
{
    const har_namemap *map = p->options->map;
    char key[2 * HAR_DUMP_NAME];
    snprintf(key, sizeof key, "logical:%.200s", t->name);
    const char *name = core_st_metadata(p->file->st, key);
    if (name == NULL && map->logical[0] != '\0')
        name = map->logical;
    *out = name != NULL ? core_st_find(p->file->st, name) : NULL;
    CORE_FAIL_IF(name != NULL && *out == NULL, CORE_E_FORMAT,
                 "%s: expected the tensor '%.80s', which says what the "
                 "physical experts of '%.80s' are",
                 core_st_path(p->file->st), name, t->name);
    return CORE_OK;
}

/* The slice of a tensor of choices, without its layers: how wide ids or masks
 * are is no place.                                                           */
static const har_slice *rows_of(const har_slice *slice, bool is_stacked,
                                har_slice *room)
{
    if (slice == NULL)
        return NULL;
    *room = *slice;
    room->c = (har_range){0, -1};
    if (room->n > (is_stacked ? 2 : 1)) {
        room->n -= is_stacked;
        room->at[room->n - 1] = room->c;
    }
    return room;
}

/* How many columns there are in all with padding: *out, unchanged if nobody says
 * so.                                                                        */
static core_status padded_of(const placing *p, const core_st_tensor *t,
                             const char *body, int64_t *out)
{
    char key[2 * HAR_DUMP_NAME], *end = NULL;
    snprintf(key, sizeof key, "padded:%.200s", t->name);
    const char *text = core_st_metadata(p->file->st, key);
    const int64_t in_map = har_namemap_padded(p->options->map, body);
    const int64_t n = text != NULL ? strtoll(text, &end, 10) : in_map;
    if (n == 0 && text == NULL)
        return CORE_OK;
    CORE_FAIL_IF(n < *out || (text != NULL && *end != '\0'), CORE_E_FORMAT,
                 "%s: '%.80s': expected at least %lld columns with padding, "
                 "found '%.40s'",
                 core_st_path(p->file->st), t->name, (long long)*out,
                 text != NULL ? text : "fewer by the map");
    *out = n;
    return CORE_OK;
}

/* Types must agree: a NaN is no expert. */
static bool check_type(const har_yard_tap *tap, const core_st_tensor *t,
                       char problem[HAR_PLACE_TEXT])
{
    const bool wants_float = core_dtype_is_float(tap->data->dtype);
    if (wants_float == core_dtype_is_float(t->dtype))
        return true;
    snprintf(problem, HAR_PLACE_TEXT, "expected %s, found type %s",
             wants_float ? "floating-point numbers" : "integers",
             core_dtype_name(t->dtype));
    return false;
}

/* Values of a piece that lie behind the columns of the model. */
static int64_t count_padding(const har_place *place, int64_t n_col)
{
    const int64_t first = place->c.begin > n_col ? place->c.begin : n_col;
    return place->c.end > first ? place->n_row * (place->c.end - first) : 0;
}

/* By the tensor's shape.  Tools that record routing as it is used do not have
 * that of the last token, for which nothing was computed.                    */
static bool place_whole(const placing *p, har_piece *piece, har_extent whole,
                        const int64_t *shape, int n_dim, const har_slice *slice,
                        char problem[HAR_PLACE_TEXT])
{
    const har_range *positions = positions_of(p);
    const har_range but_last = {0, whole.n_t - 1};
    char unused[HAR_PLACE_TEXT];
    if (har_place_make(&piece->place, whole, shape, n_dim, p->file->axes, slice,
                       positions, problem))
        return true;
    piece->is_short =
        piece->chosen.n_k > 0 && positions == NULL && but_last.end > 0 &&
        har_place_make(&piece->place, whole, shape, n_dim, p->file->axes, slice,
                       &but_last, unused);
    return piece->is_short;
}

static void find_misshapen(const placing *p, const har_yard_tap *tap,
                           const core_st_tensor *t, const har_slice *slice,
                           bool may_fit, const char *problem)
{
    const har_misfit about = {p->yard, tap,   t, p->file->axes,
                              slice,   positions_of(p)};
    char hint[HAR_MISFIT_TEXT] = "";
    const bool has_hint = may_fit && har_misfit_text(hint, &about);
    har_foreign_find(p->dump, HAR_FOUND_MISSHAPEN, tap - p->yard->tap,
                     p->i_file, t->name, "%s%s%s", problem,
                     has_hint ? "; " : "", hint);
}

/* i: of har_chosen_layer for a stacked tensor, else -1. */
static core_status place_tensor(placing *p, const core_st_tensor *t,
                                int64_t i_tap, int64_t i)
{
    har_foreign *d = p->dump;
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const core_st_tensor *ids = NULL, *logical = NULL;
    const har_slice *slice = NULL;
    har_slice room;
    char problem[HAR_PLACE_TEXT] = "";
    bool fits = false;
    int64_t shape[CORE_ST_MAX_DIM + 1];
    int n_dim = t->n_dim;
    memcpy(shape, t->shape, sizeof t->shape);
    if (tap->is_flat || (tap->extent.n_col == 1 && n_dim == 1))
        shape[n_dim++] = 1; /* ids have no columns, nor need one column any */
    har_piece piece = {.file = p->i_file, .tensor = t, .i_tap = i_tap};
    CORE_TRY(slice_of(p, t, i < 0 ? har_yard_body(tap) : HAR_STACKED, &room,
                      &slice));
    CORE_TRY(ids_of(p, t, &ids));
    har_extent whole = tap->extent;
    bool good = check_type(tap, t, problem);
    const bool may_fit = good && ids == NULL && !har_is_choice(tap);
    if (!har_is_choice(tap))
        CORE_TRY(padded_of(p, t, har_yard_body(tap), &whole.n_col));
    if (har_is_choice(tap) && good) {
        CORE_TRY(logical_of(p, t, &logical));
        good = har_chosen_make(&piece.chosen, p->yard, i_tap, t, i, logical,
                               problem);
        if (good)
            n_dim = har_chosen_shape(&piece.chosen, t, shape);
        slice = rows_of(slice, i >= 0, &room);
    }
    if (!good)
        fits = false;
    else if (ids != NULL)
        CORE_TRY(har_place_make_listed(&piece.place, whole, shape, n_dim,
                                       ids, slice, &fits, problem));
    else
        fits = place_whole(p, &piece, whole, shape, n_dim, slice, problem);
    if (fits) {
        d->n_padding += count_padding(&piece.place, tap->extent.n_col);
        d->piece[d->n_piece++] = piece;
    } else {
        find_misshapen(p, tap, t, slice, may_fit, problem);
    }
    return CORE_OK;
}

/* Is the tensor only there to say where others lie? */
static bool lists_others(const placing *p, const core_st_tensor *t)
{
    const char *key, *value;
    if (strcmp(p->options->map->logical, t->name) == 0)
        return true;
    for (int64_t i = 0; p->file->has_lists &&
                        core_st_metadata_at(p->file->st, i, &key, &value);
         i++)
        if ((core_text_after(key, "token_ids:", NULL) ||
             core_text_after(key, "logical:", NULL)) &&
            strcmp(value, t->name) == 0)
            return true;
    return false;
}

/* Inputs that every dump may hold, and what a golden bundle holds beside its
 * taps.                                                                      */
static bool is_companion(const har_foreign *d, const char *name)
{
    return core_text_ends(name, "attention_mask") || core_text_ends(name, "hidden_in") ||
           strstr(name, "fed/") != NULL || /* forced.c */
           (d->is_bundle && (core_text_ends(name, "tolerance") ||
                             core_text_ends(name, "routing_margin")));
}

/* A piece of the choices of every layer. */
static core_status place_stacked(placing *p, const core_st_tensor *t,
                                 const char *name)
{
    int64_t i_tap, i = 0;
    for (; (i_tap = har_chosen_layer(p->yard, name, i)) >= 0; i++)
        CORE_TRY(place_tensor(p, t, i_tap, i));
    if (i == 0)
        har_foreign_find(p->dump, HAR_FOUND_EXTRA, -1, p->i_file, t->name,
                         "expected no choices, the yardstick has none");
    return CORE_OK;
}

static core_status take_tensor(placing *p, const core_st_tensor *t)
{
    char name[HAR_DUMP_NAME];
    har_tapname parsed;
    if (lists_others(p, t) || is_companion(p->dump, t->name))
        return CORE_OK;
    const bool mapped = har_namemap_apply(p->options->map, t->name,
                                          p->file->first_layer, name);
    if (mapped && core_text_ends(name, HAR_STACKED))
        return place_stacked(p, t, name);
    const int64_t i_tap = mapped ? har_yardstick_index(p->yard, name) : -1;
    if (i_tap >= 0)
        return place_tensor(p, t, i_tap, -1);
    if (mapped && har_tapname_parse(&parsed, name) && parsed.is_tap)
        har_foreign_find(p->dump, HAR_FOUND_EXTRA, -1, p->i_file, t->name,
                         "expected no tap '%s', the yardstick has none", name);
    else
        har_foreign_find(p->dump, HAR_FOUND_UNKNOWN, -1, p->i_file, t->name,
                         "expected the name of a tap%s",
                         p->options->map->n_rule > 0 ? " by the map" : "");
    return CORE_OK;
}

static int by_tap(const void *x, const void *y)
{
    const har_piece *a = x, *b = y;
    if (a->i_tap != b->i_tap)
        return a->i_tap < b->i_tap ? -1 : 1;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return strcmp(a->tensor->name, b->tensor->name);
}

/* A rank whose file is not there. */
static void find_lost_ranks(har_foreign *d)
{
    int n_rank = 0, highest = -1, lost = -1;
    for (int i = 0; i < d->n_file; i++) {
        n_rank += d->file[i].rank >= 0;
        highest = d->file[i].rank > highest ? d->file[i].rank : highest;
    }
    const int wanted = d->world > highest + 1 ? d->world : highest + 1;
    if (n_rank == 0 || n_rank == wanted)
        return;
    for (int r = 0; r < wanted && lost < 0; r++) {
        lost = r;
        for (int i = 0; i < d->n_file; i++)
            lost = d->file[i].rank == r ? -1 : lost;
    }
    har_foreign_find(d, HAR_FOUND_MISSING, -1, -1, "(a rank's file)",
                     "expected %d ranks, found %d; the first that is missing "
                     "is rank %d",
                     wanted, n_rank, lost);
}

/* How many pieces a file's tensors can be: stacked choices are one per layer. */
static int64_t count_pieces(const har_dump_file *f, const har_yardstick *yard,
                            const har_namemap *map)
{
    int64_t n = core_st_count(f->st);
    for (int64_t i = 0; i < core_st_count(f->st); i++) {
        char name[HAR_DUMP_NAME];
        if (har_namemap_apply(map, core_st_at(f->st, i)->name, f->first_layer,
                              name) &&
            core_text_ends(name, HAR_STACKED))
            n += yard->n_tap;
    }
    return n;
}

/* Room for every piece and finding there can be: a piece may be misshapen or
 * unknown, or else non-finite or unreadable and a differing replica; a tap may
 * miss elements; a rank's file may.                                          */
static core_status make_lists(har_foreign *d, const har_yardstick *yard,
                              const har_namemap *map)
{
    void *p = NULL;
    int64_t n = 0;
    for (int i = 0; i < d->n_file; i++)
        n += count_pieces(&d->file[i], yard, map);
    CORE_TRY(core_alloc(&p, n + 1, sizeof *d->piece, "pieces"));
    d->piece = p;
    d->max_finding = 1 + yard->n_tap + 2 * n;
    CORE_TRY(core_alloc(&p, d->max_finding, sizeof *d->finding, "findings"));
    d->finding = p;
    return CORE_OK;
}

core_status har_foreign_place(har_foreign *dump, const har_yardstick *yard,
                              const har_foreign_options *options)
{
    placing p = {dump, yard, options, NULL, 0};
    CORE_TRY(make_lists(dump, yard, options->map));
    CORE_TRY(want_positions(&p));
    for (int i = 0; i < dump->n_file; i++) {
        p.file = &dump->file[i];
        p.i_file = i;
        for (int64_t j = 0; j < core_st_count(p.file->st); j++)
            CORE_TRY(take_tensor(&p, core_st_at(p.file->st, j)));
    }
    CORE_FAIL_IF(dump->n_piece == 0 && dump->n_finding > 0 &&
                     har_finding_is_note(dump->finding[0].kind),
                 CORE_E_INPUT,
                 "%s: no tensor has the name of a tap of %s; found e.g. "
                 "'%.80s', expected e.g. '%.80s' (is a --map needed?)",
                 dump->path, yard->path, dump->finding[0].tensor,
                 yard->tap[yard->n_tap - 1].data->name);
    CORE_FAIL_IF(dump->n_piece == 0 && dump->n_finding == 0, CORE_E_INPUT,
                 "%s: holds no tensor", dump->path);
    qsort(dump->piece, (size_t)dump->n_piece, sizeof *dump->piece, by_tap);
    find_lost_ranks(dump);
    return CORE_OK;
}

void har_foreign_pieces(const har_foreign *dump, int64_t i_tap, int64_t *begin,
                        int64_t *end)
{
    int64_t low = 0, high = dump->n_piece;
    while (low < high) {
        const int64_t mid = low + (high - low) / 2;
        if (dump->piece[mid].i_tap < i_tap)
            low = mid + 1;
        else
            high = mid;
    }
    *begin = *end = low;
    while (*end < dump->n_piece && dump->piece[*end].i_tap == i_tap)
        (*end)++;
}
