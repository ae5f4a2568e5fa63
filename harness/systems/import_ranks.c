/* harness/systems/import_ranks.c -- how many ranks a launch has. */
#include "harness/systems/import_impl.h"

static bool given(const har_facts *f, har_fact fact)
{
    return f->of[fact].is_given;
}

/* What the innermost launcher starts; the variable WORLD_SIZE must agree. */
core_status har__find_world(har_facts *f)
{
    double world = 0;
    if (given(f, HAR_F_PER_NODE) || given(f, HAR_F_NODES))
        world = (double)har_fact_or_one(f, HAR_F_NODES) *
                har_fact_or_one(f, HAR_F_PER_NODE);
    else if (given(f, HAR_F_RANKS))
        world = f->of[HAR_F_RANKS].number;
    else if (given(f, HAR_F_TASKS))
        world = f->of[HAR_F_TASKS].number;
    else if (given(f, HAR_F_TASKS_PER_NODE))
        world = f->of[HAR_F_TASKS_PER_NODE].number *
                har_fact_or_one(f, HAR_F_TASK_NODES);
    const double said = f->of[HAR_F_WORLD].number;
    CORE_FAIL_IF(world > 0 && given(f, HAR_F_WORLD) && said != world,
                 CORE_E_USAGE,
                 "--import: WORLD_SIZE is %g, and the launcher starts %g ranks",
                 said, world);
    world = world > 0 ? world : said;
    CORE_FAIL_IF(world > 1 << 20, CORE_E_USAGE,
                 "--import: %g ranks, at most %d are supported", world,
                 1 << 20);
    f->world = (int)world;
    return CORE_OK;
}
