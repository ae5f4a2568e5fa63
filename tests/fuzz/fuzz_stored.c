/* tests/fuzz/fuzz_stored.c -- a file of codes and scales: what passes the check
 * can be read to its last value.
 *
 * The first byte of the input chooses what config.json says, the rest is the
 * file.
 */
#include "core/weights/stored.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 1 << 16 };

static const char *const SAID[] = {
    "{}",
    "{\"quantization_config\":{\"quant_method\":\"fp8\"}}",
    "{\"quantization_config\":{\"quant_method\":\"mxfp4\"}}",
    "{\"quantization_config\":{\"quant_algo\":\"NVFP4\"}}",
    "{\"quantization_config\":{\"quant_algo\":\"FP8\"}}",
    "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\","
    "\"format\":\"pack-quantized\",\"config_groups\":{\"g\":{\"weights\":{"
    "\"num_bits\":4,\"type\":\"int\",\"group_size\":8}}}}}",
    "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\","
    "\"format\":\"pack-quantized\",\"config_groups\":{\"g\":{\"weights\":{"
    "\"num_bits\":8,\"type\":\"int\",\"strategy\":\"channel\"}}}}}",
};
enum { N_SAID = sizeof SAID / sizeof SAID[0] };

static void read_all(const core__stored *s)
{
    static double values[MOST_VALUES];
    int64_t n = 1;
    for (int d = 0; d < s->n_dim; d++)
        n = s->shape[d] > 0 && n <= MOST_VALUES / s->shape[d] ? n * s->shape[d]
                                                              : 0;
    core__stored_read(s, 0, n, values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const char *const NAMES[] = {"w.weight", "w", "v.weight"};
    const core_spec spec = {.family = CORE_FAMILY_QWEN3_MOE};
    core_st_folder *folder = NULL;
    core_quant *quant = NULL;
    if (n_bytes < 1)
        return 0;
    fuzz_write_text("config.json", SAID[data[0] % N_SAID]);
    fuzz_write("model.safetensors", data + 1, n_bytes - 1);
    core_message_clear();
    if (core_st_folder_open(&folder, fuzz_folder()) != CORE_OK)
        return 0;
    if (core_quant_open(&quant, fuzz_folder()) != CORE_OK)
        abort();
    for (int i = 0; i < 3; i++) {
        core__stored s = core__stored_find(folder, &spec, quant, NAMES[i]);
        core_message_clear();
        if (s.codes.tensor != NULL &&
            core__stored_check(&s, quant, false) == CORE_OK)
            read_all(&s);
    }
    core_quant_close(quant);
    core_st_folder_close(folder);
    return 0;
}
