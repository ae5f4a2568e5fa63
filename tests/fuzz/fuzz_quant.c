/* tests/fuzz/fuzz_quant.c -- what a folder says of quantised weights: the input
 * as config.json, and as hf_quant_config.json.
 */
#include "core/model/quant.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const char *const MODULES[] = {"model.layers.0.self_attn.q_proj",
                                      "model.layers.1.mlp.experts.3.up_proj",
                                      "model.layers.10.mlp.gate",
                                      "lm_head",
                                      "",
                                      "."};

static void ask(void)
{
    core_quant *quant = NULL;
    char text[CORE_QUANT_TEXT_BYTES];
    core_message_clear();
    if (core_quant_open(&quant, fuzz_folder()) != CORE_OK || quant == NULL)
        return;
    for (size_t i = 0; i < sizeof MODULES / sizeof MODULES[0]; i++)
        (void)core_quant_text(core_quant_of(quant, MODULES[i]), text);
    core_quant_close(quant);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    fuzz_write("config.json", data, n_bytes);
    fuzz_write_text("hf_quant_config.json", "{}");
    ask();
    fuzz_write_text("config.json", "{}");
    fuzz_write("hf_quant_config.json", data, n_bytes);
    ask();
    return 0;
}
