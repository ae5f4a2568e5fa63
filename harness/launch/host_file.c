/* harness/launch/host_file.c -- see host_file.h. */
#include "harness/launch/host_file.h"

#include "core/files/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_BYTES = 256, MOST = 4096, MAX_FILE_BYTES = 1 << 20 };

typedef struct host_list {
    int n;
    long slots;
    bool says_slots; /* every host                                            */
    char (*name)[HOST_BYTES];
} host_list;

/* "HOST:SLOTS more words"; false for an empty line. */
static bool read_line(char name[HOST_BYTES], long *slots, char *line)
{
    line[strcspn(line, "#\n")] = '\0';
    if (sscanf(line, "%255s", name) != 1)
        return false;
    char *colon = strchr(name, ':');
    *slots = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
    if (colon != NULL)
        *colon = '\0';
    return true;
}

static core_status add_host(host_list *list, const char *name, long slots,
                            const char *path, int number)
{
    for (int i = 0; i < list->n; i++)
        CORE_FAIL_IF(strcmp(list->name[i], name) == 0, CORE_E_FILE,
                     "%s:%d: %s is named twice", path, number, name);
    CORE_FAIL_IF(list->n == MOST, CORE_E_FILE, "%s: more than %d hosts", path,
                 (int)MOST);
    strcpy(list->name[list->n++], name);
    list->slots += slots;
    list->says_slots &= slots > 0;
    return CORE_OK;
}

static core_status read_hosts(host_list *list, FILE *file, const char *path)
{
    char line[1024], name[HOST_BYTES];
    long slots;
    for (int number = 1; fgets(line, sizeof line, file) != NULL; number++)
        if (read_line(name, &slots, line))
            CORE_TRY(add_host(list, name, slots, path, number));
    CORE_FAIL_IF(list->n == 0, CORE_E_FILE, "%s: names no host", path);
    return CORE_OK;
}

core_status har_host_file_check(const char *path, int n_rank)
{
    host_list list = {.says_slots = true,
                      .name = calloc(MOST, sizeof *list.name)};
    CORE_FAIL_IF(list.name == NULL, CORE_E_MEMORY, "no memory for hosts");
    FILE *file = NULL;
    char *text = NULL;
    core_status status = core_text_stream(&file, &text, path, MAX_FILE_BYTES);
    if (status == CORE_OK)
        status = read_hosts(&list, file, path);
    if (status == CORE_OK && list.says_slots && list.slots < n_rank)
        status = core_fail(CORE_E_FILE, "%s: %ld slots for %d ranks", path,
                           list.slots, n_rank);
    if (file != NULL)
        fclose(file);
    free(text);
    free(list.name);
    return status;
}
