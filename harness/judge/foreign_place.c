/* harness/judge/foreign_place.c -- which tap a dump's tensor is part of, and
 * where.
 *
 * What cannot be read is refused (exit 3); what can be read and does not fit is
 * a finding, and its tap fails.  Trap: a decode dump holds few positions, so
 * those that no file claims are not missing, while a position that one file
 * claims is expected of every tap.
 */
#include "harness/judge/foreign_impl.h"

#include "harness/judge/misfit.h"

#include "core/base/arena.h"
#include "core/files/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_in(har_range range, int64_t i)
{
    return range.end < 0 || (i >= range.begin && i < range.end);
}

static core_status check_claim(const har__placing *p, const char *what,
                               har_range range, int64_t n)
{
    CORE_FAIL_IF(range.end > n, CORE_E_INPUT,
                 "%s: expected %s within 0:%lld, found %lld:%lld",
                 core_st_path(p->file->st), what, (long long)n,
                 (long long)range.begin, (long long)range.end);
    return CORE_OK;
}

/* Which tokens of each prompt does some file claim? */
static core_status want_tokens(har__placing *p)
{
    har_foreign *d = p->dump;
    void *memory = NULL;
    CORE_TRY(
        core_alloc(&memory, p->yard->n_part, sizeof *d->wanted, "prompts"));
    d->wanted = memory;
    for (int i = 0; i < p->yard->n_part; i++) {
        const int64_t n_b = p->yard->part[i].n_b, n_t = p->yard->part[i].n_t;
        CORE_TRY(core_alloc(&memory, n_b * n_t, sizeof **d->wanted, "tokens"));
        d->wanted[d->n_part++] = memory;
        memset(memory, 0, (size_t)(n_b * n_t) * sizeof **d->wanted);
        for (int f = 0; f < d->n_file; f++) {
            p->file = &d->file[f];
            const har_claim claim = har__said_claim(p);
            for (int64_t k = 0; k < n_b * n_t; k++)
                d->wanted[i][k] |=
                    is_in(claim.b, k / n_t) && is_in(claim.t, k % n_t);
            CORE_TRY(check_claim(p, "rows", claim.b, n_b));
            CORE_TRY(check_claim(p, "positions", claim.t, n_t));
        }
    }
    return CORE_OK;
}

/* --- places --- */

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
static bool place_whole(const har__placing *p, har_piece *piece,
                        har_extent whole, const int64_t *shape, int n_dim,
                        const har_slice *slice, char problem[HAR_PLACE_TEXT])
{
    har_claim claim = har__said_claim(p);
    const bool may_be_short =
        piece->chosen.n_k > 0 && claim.t.end < 0 && whole.n_t > 1;
    char unused[HAR_PLACE_TEXT];
    if (har_place_make(&piece->place, whole, shape, n_dim, p->file->axes, slice,
                       &claim, problem))
        return true;
    claim.t = (har_range){0, whole.n_t - 1};
    piece->is_short =
        may_be_short && har_place_make(&piece->place, whole, shape, n_dim,
                                       p->file->axes, slice, &claim, unused);
    return piece->is_short;
}

/* may_fit: in another reading of its axes or columns. */
static void find_misshapen(const har__placing *p, const har_piece *piece,
                           int64_t n_col, const har_slice *slice, bool may_fit,
                           const char *problem)
{
    const har_claim claim = har__said_claim(p);
    const har_misfit about = {p->yard,       &p->yard->tap[piece->i_tap],
                              piece->tensor, n_col,
                              p->file->axes, slice,
                              &claim};
    char hint[HAR_MISFIT_TEXT] = "";
    const bool has_hint = may_fit && har_misfit_text(hint, &about);
    har_foreign_find(p->dump, HAR_FOUND_MISSHAPEN, piece->i_tap, p->i_file,
                     piece->tensor->name, "%s%s%s", problem,
                     has_hint ? "; " : "", hint);
}

/* How the tensor holds choices, its shape without their form, and its slice. */
static core_status read_choices(const har__placing *p, har_piece *piece,
                                int64_t i, int64_t *shape, int *n_dim,
                                bool *good, char problem[HAR_PLACE_TEXT])
{
    const core_st_tensor *logical = NULL;
    CORE_TRY(har__said_logical(p, piece->tensor, &logical));
    *good = har_chosen_make(&piece->chosen, p->yard, piece->i_tap,
                            piece->tensor, i, logical, problem);
    if (*good)
        *n_dim = har_chosen_shape(&piece->chosen, piece->tensor, shape);
    return CORE_OK;
}

/* i: of har_chosen_layer for a stacked tensor, else -1. */
static core_status place_tensor(har__placing *p, const core_st_tensor *t,
                                int64_t i_tap, int64_t i)
{
    har_foreign *d = p->dump;
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const bool is_choice = har_is_choice(tap);
    const char *body = i < 0 ? har_yard_body(tap) : HAR_STACKED;
    const core_st_tensor *ids = NULL;
    const har_slice *slice = NULL;
    har_slice room;
    har_extent whole = tap->extent;
    char problem[HAR_PLACE_TEXT] = "";
    int64_t shape[CORE_ST_MAX_DIM + 1];
    int n_dim = t->n_dim;
    memcpy(shape, t->shape, sizeof t->shape);
    if (tap->is_flat || (tap->extent.n_col == 1 && n_dim == 1))
        shape[n_dim++] = 1; /* ids have no columns, nor need one column any */
    har_piece piece = {.file = p->i_file, .tensor = t, .i_tap = i_tap};
    CORE_TRY(har__said_slice(p, t, body, &room, &slice));
    CORE_TRY(har__said_ids(p, t, &ids));
    bool fits = check_type(tap, t, problem);
    const bool may_fit = fits && ids == NULL && !is_choice;
    if (is_choice) {
        slice = rows_of(slice, i >= 0, &room);
        if (fits)
            CORE_TRY(read_choices(p, &piece, i, shape, &n_dim, &fits, problem));
    } else {
        CORE_TRY(har__said_columns(p, t, body, slice, &whole.n_col));
    }
    if (fits && ids != NULL)
        CORE_TRY(har_place_make_listed(&piece.place, whole, shape, n_dim, ids,
                                       slice, &fits, problem));
    else if (fits)
        fits = place_whole(p, &piece, whole, shape, n_dim, slice, problem);
    if (!fits) {
        find_misshapen(p, &piece, whole.n_col, slice, may_fit, problem);
        return CORE_OK;
    }
    d->n_padding += count_padding(&piece.place, tap->extent.n_col);
    d->piece[d->n_piece++] = piece;
    return CORE_OK;
}

/* Inputs that every dump may hold, and what a golden bundle holds beside its
 * taps.                                                                      */
static bool is_companion(const har_foreign *d, const char *name)
{
    return core_text_ends(name, "attention_mask") ||
           core_text_ends(name, "hidden_in") ||
           strstr(name, "fed/") != NULL || /* forced.c */
           (d->is_bundle && (core_text_ends(name, "tolerance") ||
                             core_text_ends(name, "routing_margin")));
}

/* A piece of the choices of every layer. */
static core_status place_stacked(har__placing *p, const core_st_tensor *t,
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

static core_status take_tensor(har__placing *p, const core_st_tensor *t)
{
    char name[HAR_DUMP_NAME];
    har_tapname parsed;
    if (har__said_by(p, t) || is_companion(p->dump, t->name))
        return CORE_OK;
    const bool mapped =
        har_namemap_apply(p->options->map, t->name, p->file->first_layer, name);
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

/* Names of two frameworks are two dumps, of which one would not be compared. */
static core_status check_names(const har_foreign *d, const har_namemap *map)
{
    for (int64_t i = 0; i < d->n_finding; i++) {
        const har_finding *f = &d->finding[i];
        const char *whose = f->kind == HAR_FOUND_UNKNOWN
                                ? har_namemap_whose(map, f->tensor)
                                : NULL;
        CORE_FAIL_IF(whose != NULL, CORE_E_INPUT,
                     "%s: '%.80s' is a name of --map %s, others are of %s%s: "
                     "expected names of one kind",
                     core_st_path(d->file[f->file].st), f->tensor, whose,
                     map->n_rule > 0 ? "--map " : "no --map", map->name);
    }
    return CORE_OK;
}

/* How many pieces a file's tensors can be: stacked choices are one per layer.
 */
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
    har__placing p = {dump, yard, options, NULL, 0};
    CORE_TRY(make_lists(dump, yard, options->map));
    CORE_TRY(want_tokens(&p));
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
    CORE_TRY(check_names(dump, options->map));
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
