/* core/weights/kernels.c -- the definition of the loops, and which one runs.
 *
 * Philox 4x32-10 as core/numbers/rng.c has it, GROUP blocks side by side in
 * arrays, which a compiler may keep in vectors.  Of the 16 bits of a lane the
 * upper 11 make the code: they are cut before the odd integer is made, for
 * shifting that one would lose its symmetry.
 */
#include "core/weights/kernels.h"

#include <stddef.h>

enum { GROUP = 8, ROUNDS = 10 };

static bool runs_anywhere(void)
{
    return true;
}

static void group(uint64_t seed, uint64_t stream, uint64_t first, int cut,
                  int16_t *restrict code)
{
    uint32_t x[4][GROUP];
    for (int i = 0; i < GROUP; i++) {
        const uint64_t index = first + (uint64_t)i;
        x[0][i] = (uint32_t)index;
        x[1][i] = (uint32_t)(index >> 32);
        x[2][i] = (uint32_t)stream;
        x[3][i] = (uint32_t)(stream >> 32);
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < GROUP; i++) {
            const uint64_t p0 = (uint64_t)x[0][i] * 0xD2511F53u;
            const uint64_t p1 = (uint64_t)x[2][i] * 0xCD9E8D57u;
            x[0][i] = (uint32_t)(p1 >> 32) ^ x[1][i] ^ k0;
            x[1][i] = (uint32_t)p1;
            x[2][i] = (uint32_t)(p0 >> 32) ^ x[3][i] ^ k1;
            x[3][i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const uint32_t mask = (uint32_t)CORE__MOST_ODD >> cut << 1;
    const int most = CORE__MOST_ODD >> cut;
    for (int i = 0; i < GROUP; i++)
        for (int w = 0; w < 4; w++) {
            int16_t *pair = code + CORE__LANES * i + 2 * w;
            pair[0] = (int16_t)((int)(x[w][i] >> (4 + cut) & mask) - most);
            pair[1] = (int16_t)((int)(x[w][i] >> (20 + cut) & mask) - most);
        }
}

static void plain_codes(uint64_t seed, uint64_t stream, uint64_t first,
                        int64_t n_block, int cut, int16_t *code)
{
    for (int64_t b = 0; b < n_block; b += GROUP)
        group(seed, stream, first + (uint64_t)b, cut, code + CORE__LANES * b);
}

static void plain_values(const int16_t *restrict code, int64_t n, double offset,
                         double step, double *restrict out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = offset + (double)code[i] * step;
}

const core__kernels core__kernels_plain = {.name = "plain",
                                           .runs = runs_anywhere,
                                           .codes = plain_codes,
                                           .values = plain_values};

const core__kernels *const core__all_kernels[CORE__N_KERNELS] = {
    &core__kernels_avx512, &core__kernels_avx2, &core__kernels_plain};

const core__kernels *core__kernels_here(void)
{
    int i = 0;
    while (!core__all_kernels[i]->runs())
        i++;
    return core__all_kernels[i];
}
