/* core/model/gguf_get.c -- keys and tensors of a GGUF file by what they are
 * called behind the architecture's name, or the layer's.
 */
#include "core/model/gguf_impl.h"

#include <math.h>
#include <stdio.h>

enum { NAME_BYTES = 320 };

const core_gguf_key *core__gguf_get(const core_gguf *file, const char *suffix)
{
    char name[NAME_BYTES];
    const core_gguf_key *arch =
        core_gguf_find_key(file, "general.architecture");
    size_t n = 0;
    const char *text = core_gguf_text(arch, &n);
    snprintf(name, sizeof name, "%.*s.%s", (int)n, text, suffix);
    return core_gguf_find_key(file, name);
}

bool core__gguf_value(const core_gguf *file, const char *suffix, double *out)
{
    const core_gguf_key *key = core__gguf_get(file, suffix);
    return key != NULL && !key->is_list && core_gguf_number(key, 0, out);
}

int core__gguf_layers(const core_gguf *file)
{
    double n = 0.0;
    (void)core__gguf_value(file, "block_count", &n);
    return n > 0.0 ? (int)fmin(n, CORE_MAX_LAYERS) : 0;
}

const core_gguf_tensor *core__gguf_layer_tensor(const core_gguf *file,
                                                int64_t layer, const char *rest)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "blk.%lld.%s", (long long)layer, rest);
    return core_gguf_find(file, name);
}
