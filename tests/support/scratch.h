/* tests/support/scratch.h -- a folder for the files of one test. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static inline void make_folder(void)
{
    strcpy(folder, "/tmp/moeparity-test-XXXXXX");
    ck_assert(mkdtemp(folder) != NULL);
}

static inline void path_of(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
}

static inline void remove_folder(void)
{
    char command[80];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

#endif
