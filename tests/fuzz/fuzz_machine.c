/* tests/fuzz/fuzz_machine.c -- the input as a machine file: what is read is
 * written again, and read.
 */
#include "harness/perf/machine/machine.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static void read_back(const har_machine *machine, const char *text)
{
    char *written = NULL;
    size_t n = 0;
    har_machine again;
    FILE *out = open_memstream(&written, &n);
    if (out == NULL)
        abort();
    har_machine_write(out, text, machine);
    fclose(out);
    if (har_machine_parse(&again, written, "written") != CORE_OK) {
        fprintf(stderr, "%s\n", core_message());
        abort();
    }
    free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    char *text = fuzz_text(data, n_bytes);
    har_machine machine;
    core_message_clear();
    const core_status status = har_machine_parse(&machine, text, "input");
    if (status == CORE_OK)
        read_back(&machine, text);
    else
        fuzz_expect_line(status);
    free(text);
    return 0;
}
