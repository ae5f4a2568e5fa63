/* harness/judge/chosen.h -- chosen experts, in the forms that people store
 * them.
 *
 * Ids, or a mask over the experts; of one layer, or "stacked": of all layers in
 * one tensor [tokens, layers, K], as tools for routing replay return it; of the
 * experts of the model, or of physical ones, of which a list says which expert
 * each is a copy of.
 */
#ifndef HAR_CHOSEN_H
#define HAR_CHOSEN_H

#include "harness/judge/yardstick.h"

/* The name that a map gives to a stacked tensor.                             */
#define HAR_STACKED "layers.*.topk_idx"

/* What stands in the place of an expert: of a token whose routing nobody
 * recorded; of an id that no expert has.                                     */
#define HAR_NOT_CAPTURED (-1.0)
#define HAR_UNREADABLE   (-2.0)

typedef struct har_chosen {
    bool is_stacked;
    int64_t n_layer, i_layer; /* of a stack, and this one; else 1 and 0       */
    int64_t width;    /* stored per layer: K ids, or the experts of a mask    */
    int64_t n_k;      /* choices of a token; 0: this is no tensor of choices  */
    int64_t n_expert; /* of the model; 0: not known                           */
    bool is_mask;
    const core_st_tensor *logical; /* of physical experts; NULL: none         */
    int64_t logical0, n_physical;  /* where the layer's list begins in it     */
} har_chosen;

/* Is the tap one of chosen experts?                                  [local] */
bool har_is_choice(const har_yard_tap *tap);

/* Index of the tap of the i-th layer that a stacked tensor of that name (with
 * its prefix) is about, -1 behind the last.                          [local] */
int64_t har_chosen_layer(const har_yardstick *yard, const char *name,
                         int64_t i);

/* How tensor t holds the choices of a tap.  `i` of har_chosen_layer for a
 * stacked one, else -1.  logical: I64 or any integers [physical] or [layers,
 * physical], or NULL; borrowed.  False if it does not fit: why goes to problem.
 * [local] */
bool har_chosen_make(har_chosen *out, const har_yardstick *yard, int64_t i_tap,
                     const core_st_tensor *t, int64_t i,
                     const core_st_tensor *logical,
                     char problem[HAR_PLACE_TEXT]);

/* Shape of the tensor without its layers, K columns last; how many.  [local] */
int har_chosen_shape(const har_chosen *chosen, const core_st_tensor *t,
                     int64_t shape[CORE_ST_MAX_DIM + 1]);

/* The experts of row `row` of the tensor, out [n_k].  Where one is unreadable
 * *bad is what was found: an id, or the number of experts that a mask marks.
 *                                                                    [local] */
void har_chosen_row(const har_chosen *chosen, const core_st_tensor *t,
                    int64_t row, double *out, double *bad);

/* Every expert the same number of times?                             [local] */
bool har_chosen_same(const double *a, const double *b, int64_t n);

#endif
