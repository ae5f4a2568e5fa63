/* tests/fuzz/fuzz_table.c -- the input as a table of measured times, of any
 * kind: every row that is read has a time.
 */
#include "harness/perf/score/table.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    const char *path = fuzz_file("table.csv", data, n_bytes);
    for (int kind = 0; kind < HAR_N_KIND; kind++) {
        har_table table;
        core_message_clear();
        const core_status status = har_table_read(&table, path, (har_kind)kind);
        if (status != CORE_OK)
            fuzz_expect_line(status);
        for (int64_t i = 0; status == CORE_OK && i < table.n; i++)
            if (!isfinite(table.row[i].seconds))
                abort();
        har_table_free(&table);
    }
    return 0;
}
