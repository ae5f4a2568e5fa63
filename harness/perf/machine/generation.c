/* harness/perf/machine/generation.c -- see generation.h; docs/machines.md has
 * the reasons. */
#include "harness/perf/machine/generation.h"

#include <stddef.h>
#include <string.h>

static const har_generation GENERATIONS[HAR_N_ARCH] = {
    [HAR_ARCH_NONE] =
        {.shared = 1, .refill = 1, .small = 1, .host = 1, .memory = 1},
    [HAR_ARCH_SM80] = {.word = "sm80",
                       .shared = 1,
                       .refill = 1,
                       .flop_per_clock = 2048,
                       .link_bw = 3e11,
                       .bytes_per_clock = 64,
                       .small = 1,
                       .host = 1,
                       .memory = 1},
    [HAR_ARCH_SM89] = {.word = "sm89",
                       .step = 1,
                       .shared = 1,
                       .refill = 1,
                       .flop_per_clock = 1024,
                       .bytes_per_clock = 64,
                       .small = 1,
                       .host = 0.55,
                       .memory = 1},
    [HAR_ARCH_SM90] = {.word = "sm90",
                       .step = 1,
                       .shared = 2,
                       .refill = 0.5,
                       .is_dealt = true,
                       .is_async = true,
                       .n_prepare = 1,
                       .flop_per_clock = 4096,
                       .link_bw = 4.5e11,
                       .bytes_per_clock = 64,
                       .has_switch = true,
                       .small = 0.85,
                       .host = 0.55,
                       .memory = 1.15},
    [HAR_ARCH_SM100] = {.word = "sm100",
                        .step = 2,
                        .shared = 4,
                        .refill = 0.5,
                        .is_dealt = true,
                        .is_async = true,
                        .n_prepare = 1,
                        .flop_per_clock = 8192,
                        .link_bw = 9e11,
                        .bytes_per_clock = 64,
                        .has_switch = true,
                        .small = 0.85,
                        .host = 0.55,
                        .memory = 1.15},
    [HAR_ARCH_SM120] = {.word = "sm120",
                        .step = 2,
                        .shared = 1,
                        .refill = 0.5,
                        .is_dealt = true,
                        .flop_per_clock = 1024,
                        .bytes_per_clock = 64,
                        .small = 0.85,
                        .host = 0.55,
                        .memory = 1.15},
};

const har_generation *har_generation_of(har_arch arch)
{
    return &GENERATIONS[arch];
}

bool har_arch_of_word(har_arch *out, const char *word)
{
    for (int i = 0; i < HAR_N_ARCH; i++)
        if (GENERATIONS[i].word != NULL &&
            strcmp(GENERATIONS[i].word, word) == 0) {
            *out = i;
            return true;
        }
    return false;
}
