/* harness/judge/figures.h -- figures of logits that people report.
 *
 * They are averages over a vocabulary, and hide a wrong row among many as well
 * as a wrong layer that the head does not see: nothing is judged by them.
 * KL(golden || dump) = sum p (log p - log q), p and q the softmax of a row.
 */
#ifndef HAR_FIGURES_H
#define HAR_FIGURES_H

#include <jansson.h>
#include <stdint.h>

typedef struct har_figures {
    int64_t n_row, n_nonfinite; /* rows with finite values, the others       */
    double kl_sum, kl_largest;  /* KL(golden || dump) of a row, in nats      */
    double cosine_sum, cosine_smallest;
    int64_t n_top1; /* rows whose largest logit is the golden's  */
    double largest; /* difference, found at b, t, col            */
    int64_t b, t, col;
} har_figures;

/* Take a row of n_col logits, the golden's and the dump's; rows have n_t
 * positions.                                                         [local] */
void har_figures_add(har_figures *figures, int64_t row, int64_t n_t,
                     int64_t n_col, const double *golden, const double *dump);

enum { HAR_FIGURES_TEXT = 320 };

/* In words, "" if there was no row; as JSON, null if there was none.  [local]
 */
const char *har_figures_text(char text[HAR_FIGURES_TEXT],
                             const har_figures *figures);
json_t *har_figures_json(const har_figures *figures);

#endif
