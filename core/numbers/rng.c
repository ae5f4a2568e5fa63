/* core/numbers/rng.c -- Philox 4x32-10, and the ways it is used.
 *
 * The counter is (index, stream), the key is the seed: nothing is chained, so
 * element i costs the same whoever asks first.  core_rng goes through Random123
 * itself; weights/procedural.c has a bulk version for whole rows, and a test
 * holds the two equal.  core_rng_below multiplies instead of taking a remainder:
 * its bias is below n / 2^64.
 */
#include "core/numbers/rng.h"

#include <Random123/philox.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

core_rng_block core_rng(uint64_t seed, uint64_t stream, uint64_t index)
{
    const philox4x32_ctr_t counter = {
        {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream,
         (uint32_t)(stream >> 32)}};
    const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const philox4x32_ctr_t bits = philox4x32_R(10, counter, key);
    return (core_rng_block){{bits.v[0], bits.v[1], bits.v[2], bits.v[3]}};
}

uint64_t core_rng_stream(const char *name)
{
    return XXH3_64bits(name, strlen(name));
}

double core_rng_normal(uint32_t a, uint32_t b)
{
    const double u = ((double)a + 0.5) * 0x1p-32;
    const double v = ((double)b + 0.5) * 0x1p-32;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

/* The upper half of the 128-bit product. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    const uint64_t mask = UINT32_MAX;
    const uint64_t low = (a & mask) * (b & mask);
    const uint64_t mid_a = (a >> 32) * (b & mask) + (low >> 32);
    const uint64_t mid_b = (a & mask) * (b >> 32) + (mid_a & mask);
    return (a >> 32) * (b >> 32) + (mid_a >> 32) + (mid_b >> 32);
}

uint64_t core_rng_below(uint64_t seed, uint64_t stream, uint64_t index,
                        uint64_t n)
{
    const core_rng_block block = core_rng(seed, stream, index);
    return multiply_high((uint64_t)block.word[1] << 32 | block.word[0], n);
}
