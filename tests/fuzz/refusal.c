/* tests/fuzz/refusal.c -- see fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_expect_line(core_status status)
{
    const char *line = core_message();
    if (line[0] != '\0' && strchr(line, '\n') == NULL &&
        core_status_exit_code(status) > 1 && core_status_exit_code(status) < 5)
        return;
    fprintf(stderr, "no line that refuses: %s: '%s'\n",
            core_status_name(status), line);
    abort();
}
