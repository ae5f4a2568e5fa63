/* harness/program/version.c -- see version.h. */
#include "harness/program/version.h"

#include "core/blas/check.h"
#include "harness/launch/ending.h"
#include "harness/perf/calibrate/cpuinfo.h"
#include "harness/words/words.h"
#include "parallel/comm.h"

#include <stdlib.h>
#include <string.h>

core_status har_check_blas(void)
{
    static const char *const names[] = {"MPI_LOCALRANKID", "SLURM_LOCALID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);
        if (text != NULL && strcmp(text, "0") != 0)
            return CORE_OK;
    }
    return core_blas_check();
}

static void write_versions(void)
{
    char blas[CORE_BLAS_TEXT], mpi[PAR_LIBRARY_TEXT], processor[128];
    har_cpuinfo_name(processor, sizeof processor);
    printf("moeparity %s\nblas       %s\nmpi        %s\nprocessor  %s\n",
           HAR_VERSION, core_blas_text(blas), par_library(mpi), processor);
}

int har_version(int argc, char **argv)
{
    if (argc > 3 || (argc == 3 && strcmp(argv[2], "--check") != 0))
        return har_end(core_fail(CORE_E_USAGE,
                                 "--version: expected --check or nothing, "
                                 "found '%s'",
                                 argv[argc - 1]));
    write_versions();
    if (argc < 3)
        return 0;
    const core_status status = core_blas_check();
    if (status == CORE_OK)
        puts("checked    products of this BLAS are right");
    return har_end(status);
}
