/* harness/systems/settings_list.c -- settings, however they were written. */
#include "harness/systems/impl.h"

core_status har_settings_add(har_settings *out, const har_setting *setting)
{
    CORE_FAIL_IF(out->n == HAR_MAX_SETTINGS, CORE_E_FORMAT,
                 "--import: more than %d settings", HAR_MAX_SETTINGS);
    out->item[out->n++] = *setting;
    return CORE_OK;
}
