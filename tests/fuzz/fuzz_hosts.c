/* tests/fuzz/fuzz_hosts.c -- the input as a file of hosts. */
#include "harness/launch/host_file.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    core_message_clear();
    const core_status status =
        har_host_file_check(fuzz_file("hosts", data, n_bytes), 8);
    if (status != CORE_OK)
        fuzz_expect_line(status);
    return 0;
}
