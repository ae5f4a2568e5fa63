/* harness/judge/flip.h -- how close a choice of experts was, by the logits that
 * were compared.
 */
#ifndef HAR_FLIP_H
#define HAR_FLIP_H

#include <stdbool.h>
#include <stdint.h>

/* Is the expert among ids [n]?                                       [local] */
bool har_flip_holds(const int64_t *ids, int64_t n, int64_t id);

/* Are ids [n_k] different experts of n_e?                            [local] */
bool har_flip_are_experts(const int64_t *ids, int64_t n_k, int64_t n_e);

/* The widest gap between an expert that left and one that came, both lists of
 * different experts.  False if the right ones are not simply those with the
 * largest logits [n_e] (ties are): then something else decides.      [local] */
bool har_flip_gap(double *gap, const int64_t *right, const int64_t *found,
                  int64_t n_k, const double *logits, int64_t n_e);

#endif
