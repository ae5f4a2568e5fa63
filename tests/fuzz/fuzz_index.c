/* tests/fuzz/fuzz_index.c -- an index beside two files: what opens is a set of
 * tensors that are found again.
 */
#include "core/files/st_folder.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One tensor of 8 bytes. */
static void write_file(const char *name, const char *tensor)
{
    char text[256] = "", header[160];
    const int n = snprintf(header, sizeof header,
                           "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2],"
                           "\"data_offsets\":[0,8]}}",
                           tensor);
    text[0] = (char)n;
    memcpy(text + 8, header, (size_t)n);
    fuzz_write(name, text, 8 + (size_t)n + 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static bool is_ready = false;
    core_st_folder *folder = NULL;
    if (!is_ready) {
        write_file("a.safetensors", "x");
        write_file("b.safetensors", "y");
        is_ready = true;
    }
    fuzz_write("model.safetensors.index.json", data, n_bytes);
    core_message_clear();
    if (core_st_folder_open(&folder, fuzz_folder()) != CORE_OK)
        return 0;
    for (int64_t i = 0; i < core_st_folder_count(folder); i++) {
        const core_st_place at = core_st_folder_at(folder, i);
        if (core_st_folder_find(folder, at.tensor->name).tensor != at.tensor)
            abort();
    }
    core_st_folder_close(folder);
    return 0;
}
