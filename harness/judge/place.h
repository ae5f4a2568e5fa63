/* harness/judge/place.h -- where the elements of a tensor lie in the whole tap.
 *
 * A tap is a table of rows x columns; row (b*T + t)*K + k belongs to position t
 * of row b of the batch (K = 1 but for taps of choices).  A tensor of a dump
 * holds a rectangle of it, or rows listed one by one.  Written as
 *     "0:4,0:16,8:16"   a range for each of the tensor's own dimensions;
 *                       two of them: token ids and columns
 *     "b=0:4,t=2:3,c=8:16"   by name, any of them left out: whole
 * and ":" for all of a dimension.  Nothing here knows what a plan is.
 */
#ifndef HAR_PLACE_H
#define HAR_PLACE_H

#include "core/files/safetensors.h"

enum { HAR_PLACE_TEXT = 200 };

typedef struct har_range {
    int64_t begin, end; /* end < 0: not given                                 */
} har_range;

typedef enum har_axes { HAR_AXES_BSH, HAR_AXES_SBH } har_axes;

typedef struct har_slice {
    int n;              /* positional ranges at[0..n); 0: by name             */
    har_range at[3];
    har_range b, t, c;
} har_slice;

/* The part of the batch that a whole file holds.                             */
typedef struct har_claim {
    har_range b, t;     /* rows and positions; end < 0: all                   */
} har_claim;

/* The tap that a tensor is part of: n_row = n_b * n_t * n_k rows.            */
typedef struct har_extent {
    int64_t n_b, n_t, n_k, n_col;
} har_extent;

typedef struct har_place {
    har_extent whole;
    har_axes axes;
    har_range b, t, c;   /* c also where rows are listed                      */
    bool is_flat;        /* rows [row0, row0 + n_row), b and t unused         */
    int64_t row0;
    int64_t n_row;       /* rows of the tensor                                */
    int64_t *local;      /* listed rows: [whole rows] row of the tensor or -1;
                          * owned, NULL else                                  */
} har_place;

/* "7:9".  False if the text is none, or empty.                       [local] */
bool har_range_parse(har_range *out, const char *text);

/* Errors: E_FORMAT as "WHERE: ...".                                  [local] */
CORE_NODISCARD core_status har_slice_parse(har_slice *out, const char *text,
                                           const char *where);

/* "bsh" or "sbh".                                                    [local] */
bool har_axes_parse(har_axes *out, const char *text);

/* The place of a tensor with n_dim leading dimensions `shape` and its columns
 * last.  slice, claim: NULL if not given.  False if the tensor does not fit
 * there: what is wrong goes to problem.                              [local] */
bool har_place_make(har_place *out, har_extent whole, const int64_t *shape,
                    int n_dim, har_axes axes, const har_slice *slice,
                    const har_claim *claim,
                    char problem[HAR_PLACE_TEXT]);

/* The same for listed rows: ids, an I64 tensor, has the global row of each row,
 * -1 means that the row is padding.  slice may give the columns.
 * Errors: E_MEMORY; a misfit is *fits = false and a problem.         [local] */
CORE_NODISCARD core_status har_place_make_listed(
    har_place *out, har_extent whole, const int64_t *shape, int n_dim,
    const core_st_tensor *ids, const har_slice *slice, bool *fits,
    char problem[HAR_PLACE_TEXT]);
void har_place_free(har_place *place);

/* The tensor's row that holds row `row` of the tap, -1 if none does. [local] */
int64_t har_place_row(const har_place *place, int64_t row);

#endif
