/* core/numbers/rng.h -- numbers that are a function of (seed, stream, index).
 *
 * Philox 4x32-10 (Salmon et al., SC11; Random123).  No state: any rank makes
 * exactly the elements it owns, in any order, at any size.
 */
#ifndef CORE_RNG_H
#define CORE_RNG_H

#include <stdint.h>

typedef struct core_rng_block {
    uint32_t word[4];
} core_rng_block;

/* The 128 random bits number `index` of stream `stream`.             [local] */
core_rng_block core_rng(uint64_t seed, uint64_t stream, uint64_t index);

/* A stream number from a name (XXH3, 64 bits).                       [local] */
uint64_t core_rng_stream(const char *name);

/* A normal number, mean 0 and deviation 1, of two random words (Box and Muller).
 *                                                                    [local] */
double core_rng_normal(uint32_t a, uint32_t b);

/* Uniform integer in [0, n), n >= 1, from block `index`.             [local] */
uint64_t core_rng_below(uint64_t seed, uint64_t stream, uint64_t index,
                        uint64_t n);

#endif
