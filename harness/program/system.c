/* harness/program/system.c -- see system.h. */
#include "harness/program/system.h"

#include "harness/words/words.h"

core_status har_choose_system(har_system *out, const char *option,
                              const char *text, int n)
{
    const char *name[HAR_N_SYSTEMS];
    int system = HAR_N_SYSTEMS;
    for (int i = 0; i < n; i++)
        name[i] = har_system_name((har_system)i);
    if (text != NULL)
        CORE_TRY(har_choose(&system, option, text, name, n));
    *out = (har_system)system;
    return CORE_OK;
}
