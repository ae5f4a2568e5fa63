/* core/model/families/list.c -- all families, by their number. */
#include "core/model/families/family.h"

const core__family *core__family_of(core_family family)
{
    static const core__family *const FAMILIES[] = {
#define FAMILY_ROW(kind, name) &core__family_##name,
        CORE_FAMILY_LIST(FAMILY_ROW)
#undef FAMILY_ROW
    };
    return FAMILIES[family];
}
