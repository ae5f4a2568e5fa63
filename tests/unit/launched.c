/* tests/unit/launched.c -- a test program as ranks of our own launcher.
 *
 *     launched N PROGRAM
 *
 * starts itself as N ranks through har_launch; every rank becomes PROGRAM.  So
 * what passes under mpiexec is tested where messages go through shared memory.
 */
#include "harness/launch/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void show_log(const char *folder)
{
    char path[300], text[4096];
    snprintf(path, sizeof path, "%s/log", folder);
    FILE *log = fopen(path, "r");
    size_t n;
    while (log && (n = fread(text, 1, sizeof text, log)) > 0)
        fwrite(text, 1, n, stdout);
    if (log)
        fclose(log);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    if (har_is_rank()) {
        execv(argv[2], argv + 2);
        return 3;
    }
    har_run run;
    const har_launch_options options = {
        .n_rank = atoi(argv[1]), .stall_seconds = 20, .what = "a test"};
    int exit_code = 5;
    core_status status = har_run_open(&run, 1 << 20);
    if (status == CORE_OK) {
        status = har_launch(&run, &options, argv, &exit_code);
        show_log(run.folder);
        har_run_close(&run);
    }
    if (status == CORE_OK)
        return exit_code;
    fprintf(stderr, "%s\n", core_message());
    return core_status_exit_code(status);
}
