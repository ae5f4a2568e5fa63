/* harness/systems/import_ranks.c -- how many ranks a launch has. */
#include "harness/systems/import_impl.h"

static bool given(const har_facts *f, har_fact fact)
{
    return f->of[fact].is_given;
}

static core_status fail_unread(const har_value *v)
{
    CORE_FAIL(CORE_E_USAGE,
              "--import: %.*s %.60s: the file says how many ranks there are: "
              "give it in an --import too",
              v->n_name, v->name, v->text);
}

/* DeepSpeed's: the first hosts of its hostfile, the first slots of each. */
static core_status count_slots(const har_facts *f, double *world)
{
    const har_value *hosts = &f->of[HAR_F_FIRST_HOSTS],
                    *slots = &f->of[HAR_F_FIRST_SLOTS];
    const double n_host = given(f, HAR_F_HOSTS) ? f->of[HAR_F_HOSTS].number : 1;
    const double n = hosts->is_given ? hosts->number : n_host;
    CORE_FAIL_IF(given(f, HAR_F_HOSTS) && n > n_host, CORE_E_USAGE,
                 "--import: %.*s %g, and the hostfile has %g", hosts->n_name,
                 hosts->name, n, n_host);
    if (slots->is_given)
        *world = n * slots->number;
    else if (given(f, HAR_F_EQUAL_SLOTS))
        *world = n * f->of[HAR_F_EQUAL_SLOTS].number;
    else if (given(f, HAR_F_SLOTS) && n == n_host)
        *world = f->of[HAR_F_SLOTS].number;
    else
        CORE_FAIL(CORE_E_USAGE,
                  "--import: %.*s %g: how many ranks a host has is missing: "
                  "--num_gpus, or the hostfile in an --import",
                  hosts->n_name, hosts->name, n);
    return CORE_OK;
}

static core_status count_ranks(const har_facts *f, double *world)
{
    const har_value *hostfile = &f->of[HAR_F_HOSTFILE];
    const bool has_hosts = given(f, HAR_F_FIRST_HOSTS),
               has_slots = given(f, HAR_F_FIRST_SLOTS);
    const bool is_counted = (has_hosts && has_slots) || given(f, HAR_F_RANKS) ||
                            given(f, HAR_F_NODES) || given(f, HAR_F_PER_NODE);
    if (hostfile->is_given && !given(f, HAR_F_HOSTS) && !is_counted)
        return fail_unread(hostfile);
    if (given(f, HAR_F_PER_NODE) || given(f, HAR_F_NODES))
        *world = (double)har_fact_or_one(f, HAR_F_NODES) *
                 har_fact_or_one(f, HAR_F_PER_NODE);
    else if (has_hosts || has_slots)
        return count_slots(f, world);
    else if (given(f, HAR_F_RANKS))
        *world = f->of[HAR_F_RANKS].number;
    else if (given(f, HAR_F_SLOTS))
        *world = f->of[HAR_F_SLOTS].number;
    else if (given(f, HAR_F_TASKS))
        *world = f->of[HAR_F_TASKS].number;
    else if (given(f, HAR_F_TASKS_PER_NODE))
        *world = f->of[HAR_F_TASKS_PER_NODE].number *
                 har_fact_or_one(f, HAR_F_TASK_NODES);
    return CORE_OK;
}

/* What the innermost launcher starts; the variable WORLD_SIZE must agree. */
core_status har__find_world(har_facts *f)
{
    double world = 0;
    CORE_TRY(count_ranks(f, &world));
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
