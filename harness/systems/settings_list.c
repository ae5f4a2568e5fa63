/* harness/systems/settings_list.c -- settings, however they were written. */
#include "harness/systems/impl.h"

#include <string.h>

core_status har_settings_add(har_settings *out, const har_setting *setting)
{
    CORE_FAIL_IF(out->n == HAR_MAX_SETTINGS, CORE_E_FORMAT,
                 "--import: more than %d settings", HAR_MAX_SETTINGS);
    out->item[out->n++] = *setting;
    return CORE_OK;
}

core_status har_settings_put(har_settings *out, const char *path,
                             const char *value, size_t n_value)
{
    const char *name = har_shell_keep(&out->script, path, strlen(path));
    const char *text = har_shell_keep(&out->script, value, n_value);
    CORE_FAIL_IF(name == NULL || text == NULL, CORE_E_FORMAT,
                 "--import: more than %d characters", HAR_SHELL_POOL);
    const har_setting setting = {.name = name,
                                 .n_name = strlen(name),
                                 .value = text,
                                 .has_equal = true,
                                 .is_file = true,
                                 .place = HAR_AT_SYSTEM};
    return har_settings_add(out, &setting);
}
