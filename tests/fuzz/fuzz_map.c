/* tests/fuzz/fuzz_map.c -- the input as a name map, which is then asked. */
#include "harness/judge/namemap.h"
#include "tests/fuzz/fuzz.h"

static void ask(const har_namemap *map)
{
    static const char *const NAMES[] = {"model.layers.3.mlp",
                                        "module.layers.0.out",
                                        "p0.layers.12.router.ids",
                                        "layers.",
                                        "",
                                        "."};
    char name[HAR_DUMP_NAME];
    bool optional;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        (void)har_namemap_apply(map, NAMES[i], 2, name);
        (void)har_namemap_expects(map, NAMES[i], &optional);
        (void)har_namemap_slice(map, 3, NAMES[i]);
        (void)har_namemap_padded(map, NAMES[i]);
        (void)har_namemap_first_layer(map, (int)i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    har_namemap map;
    core_message_clear();
    const core_status status =
        har_namemap_open(&map, fuzz_file("map.yaml", data, n_bytes));
    if (status == CORE_OK) {
        ask(&map);
        har_namemap_free(&map);
    } else {
        fuzz_expect_line(status);
    }
    return 0;
}
