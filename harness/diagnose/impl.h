/* harness/diagnose/impl.h -- private: a case, and what a signature is. */
#ifndef HAR_DIAGNOSE_IMPL_H
#define HAR_DIAGNOSE_IMPL_H

#include "harness/diagnose/diagnose.h"

/* A scene with what signatures share.  Rows i and columns j count what was
 * found: row[i] and col0 + j are their places in the tap.                    */
typedef struct har__case {
    const har_scene *scene;
    int64_t n, n_col;       /* rows and columns that were found               */
    const int64_t *row;     /* [n]                                            */
    const double *found;    /* [n, n_col]                                     */
    const double *expected; /* [n, n_col]                                     */
    const bool *is_bad;     /* [n_col] some row differs in the column         */
    int64_t n_bad_col;
    const double *tolerance; /* [n] what rounding leaves of a right element   */
    double *guess;           /* [n, n_col] what a hypothesis predicts         */
    bool *skip;              /* [n] rows that it predicts nothing of          */
    const double *whole;     /* [n_row, n_col of the tap] as it should be;
                              * NULL: too large                               */
    int64_t *source;         /* [n] which row was found there; made by
                              * har__find_rows, with has_source               */
    int has_source;          /* -1: not looked for yet                        */
    int is_product;          /* the tap is the product of weights that it was
                              * thought to be; -1: not looked at yet          */
    double explained;        /* of the last guess that was accepted           */
    struct har__room *room;  /* buffers, freed with the case                  */
    bool is_full;            /* no memory for one                             */
} har__case;

/* Make the case of a scene: n == 0 without a difference, or without memory.  Free
 * with har__case_free, always.                                       [local] */
void har__case_make(har__case *out, const har_scene *scene);
void har__case_free(har__case *c);

/* Try to explain the case.  If it does: true, with the sentence in text.     */
typedef bool har__try(har__case *c, char text[HAR_LIKENESS_TEXT]);

/* Is found what guess[] says, and is the difference explained so?    [local] */
bool har__accepts(har__case *c);

/* Is guess[] what was to be found?  Whoever computes an operator anew asks this
 * first: if not, it is another operator than was thought.            [local] */
bool har__is_expected(const har__case *c);

/* Is the best of several candidates, by its sum of squares, the one beyond doubt?
 *                                                                    [local] */
bool har__is_clear(double best, double second);

/* A buffer that lives as long as the case; NULL: no memory.          [local] */
double *har__room(har__case *c, int64_t n);

/* Rows of another tap, those of the case, or all; all columns.  NULL: not known
 * (or no memory).                                                    [local] */
const double *har__tap_rows(har__case *c, core_tap tap);
const double *har__tap_whole(har__case *c, core_tap tap);

/* A tap of the same layer.                                           [local] */
core_tap har__beside(const har__case *c, core_tap_kind kind);

/* A weight matrix or vector, whole.  NULL: not known, or absent.     [local] */
const double *har__weight_of(har__case *c, core_weight weight);

/* A tap that is a product with weights: x W^T, and a bias.                   */
typedef struct har__product {
    core_tap_kind out;
    core_weight_kind weight;
    core_tap_kind in;
    bool is_dealt; /* its inner columns are dealt to ranks                    */
} har__product;

/* The product that the tap is; NULL: none, or its weights are not known.
 *                                                                    [local] */
const har__product *har__product_of(const har__case *c);

/* Expert of each row [n] of a tap of choices, 0 for other taps; NULL: not known
 * (only with a spec).                                                [local] */
const int64_t *har__experts_of(har__case *c);

/* May a product with n_k inner columns be computed anew: are weights and products
 * few enough for a second or so?                                     [local] */
bool har__is_affordable(const har__case *c, const int64_t *expert, int64_t n_k);

/* The bias of each row's outputs, [n, n_col]; *kind says which.  False: there is
 * none, or it is not known.                                          [local] */
bool har__bias_rows(har__case *c, double *out, core_weight_kind *kind);

/* Round guess[] as the tap is stored.                                [local] */
void har__store(har__case *c);

/* Rows per token: the choices of a tap of choices, else 1.           [local] */
int64_t har__n_choice(const har__case *c);

/* Is the tap one of these kinds?  (only with a spec)                 [local] */
bool har__is_kind(const har__case *c, core_tap_kind kind);

/* --- signatures, by file --- */

/* scale.c */
har__try har__try_ratio, har__try_row_ratios, har__try_column_ratios;
/* offset.c */
har__try har__try_bias, har__try_same_offset, har__try_addend,
    har__try_other_tap;
/* move_rows.c */
har__try har__try_shift, har__try_sequence_first, har__try_reversed,
    har__try_batch_rows, har__try_stale, har__try_rows;
/* move_columns.c */
har__try har__try_transposed, har__try_axes, har__try_roll, har__try_columns;
/* hole.c */
har__try har__try_nonfinite, har__try_zeros, har__try_maximum;
/* bits.c */
har__try har__try_rounded, har__try_truncated;
/* weights.c */
har__try har__try_weights, har__try_input, har__try_untransposed;
/* part.c */
har__try har__try_parts;
/* act.c */
har__try har__try_act, har__try_gate_up;
/* norm.c */
har__try har__try_norm_weight, har__try_eps, har__try_norm_kind,
    har__try_norm_share;
/* rope.c */
har__try har__try_pairs, har__try_position, har__try_rope_sign, har__try_theta;
/* router.c */
har__try har__try_scores, har__try_renormalised, har__try_ids;
/* combine.c */
har__try har__try_combine;
/* setting.c */
har__try har__try_setting;
/* attention.c */
har__try har__try_mask, har__try_score_scale, har__try_kv_heads;

#endif
