/* harness/verify/need.c -- see need.h. */
#include "harness/verify/need.h"

#include "harness/launch/launch.h"
#include "harness/verify/checkpoint.h"
#include "harness/words/words.h"

#include <stdio.h>
#include <string.h>

static size_t max_bytes(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Of plan i, with its exercise, which runs in the first numerics. */
static core_status add_plan(har_need *n, har_estimate *out,
                            const har_wish *wish, int i,
                            const har_limits *limits)
{
    const par_plan *plan = &wish->plan[i];
    size_t files = 0;
    for (int j = wish->n_numerics - 1; j >= 0; j--) { /* ends with the first */
        CORE_TRY(har_estimate_make(out, wish->spec, plan, wish->n_b, wish->n_t,
                                   wish->numerics[j], wish->order, limits));
        if (j == 0)
            CORE_TRY(har_estimate_exercise(out, wish->spec, plan, wish->n_b,
                                           wish->n_t, wish->numerics[j],
                                           wish->order, limits));
        files = wish->keeps_files ? files + out->tap_bytes
                                  : max_bytes(files, out->tap_bytes);
        n->least_bytes = max_bytes(n->least_bytes, out->least_bytes);
        n->address_bytes = max_bytes(n->address_bytes, out->address_bytes);
        n->all_ranks_bytes =
            max_bytes(n->all_ranks_bytes, out->all_ranks_bytes);
        n->seconds += out->seconds;
    }
    n->folder_bytes = wish->keeps_files ? n->folder_bytes + files
                                        : max_bytes(n->folder_bytes, files);
    return CORE_OK;
}

core_status har_need_make(har_need *out, har_estimate *plan,
                          const har_wish *wish, const har_limits *limits)
{
    const size_t small_files = (size_t)1 << 20; /* board, report, log */
    har_need n = {0};
    har_estimate unasked;
    for (int i = 0; i < wish->n_plan; i++)
        CORE_TRY(
            add_plan(&n, plan != NULL ? &plan[i] : &unasked, wish, i, limits));
    n.folder_bytes += small_files;
    *out = n;
    return CORE_OK;
}

bool har_files_in_memory(const char *folder, size_t bytes)
{
    return folder != NULL ? har_checkpoint_in_memory(folder)
                          : har_run_in_memory(bytes);
}

size_t har_need_memory(const har_need *n, const char *folder,
                       har_in_memory *in_memory)
{
    return n->least_bytes +
           (in_memory(folder, n->folder_bytes) ? n->folder_bytes : 0);
}

static bool fits(const har_wish *wish, const har_limits *limits,
                 har_in_memory *in_memory)
{
    har_need n;
    const bool is_known = har_need_make(&n, NULL, wish, limits) == CORE_OK;
    core_message_clear();
    return is_known &&
           har_need_memory(&n, wish->folder, in_memory) <= limits->memory_bytes &&
           n.address_bytes <= limits->process_bytes;
}

static bool on_a_disk(const char *folder, size_t bytes)
{
    (void)folder, (void)bytes;
    return false;
}

/* --- what would fit --- */

enum { REMEDY_BYTES = 160 };

static bool are_legal(const har_wish *wish)
{
    for (int i = 0; i < wish->n_plan; i++) {
        par_plan plan = wish->plan[i];
        const core_status status = par_plan_check(&plan, wish->spec);
        core_message_clear();
        if (status != CORE_OK)
            return false;
    }
    return true;
}

/* The most layers that fit with this wish, 0 if none do.  More never need less;
 * a plan may need a layer for every stage. */
static int64_t most_layers(har_wish wish, const har_limits *limits,
                           har_in_memory *in_memory)
{
    core_spec spec = *wish.spec;
    int64_t least = 0, most = spec.n_l - 1;
    wish.spec = &spec;
    while (least < most) {
        spec.n_l = least + (most - least + 1) / 2;
        if (!are_legal(&wish) || fits(&wish, limits, in_memory))
            least = spec.n_l;
        else
            most = spec.n_l - 1;
    }
    spec.n_l = least;
    return least > 0 && are_legal(&wish) ? least : 0;
}

static void find_remedy(char out[REMEDY_BYTES], const har_wish *wish,
                        const har_limits *limits, har_in_memory *in_memory)
{
    har_wish less = *wish;
    less.n_numerics = 1;
    if (wish->n_numerics > 1 && fits(&less, limits, in_memory)) {
        snprintf(out, REMEDY_BYTES, "--numerics %s alone fits",
                 core_numerics_name(less.numerics[0]).text);
        return;
    }
    less = *wish;
    while (less.n_t > 1) {
        less.n_t /= 2;
        if (!fits(&less, limits, in_memory))
            continue;
        snprintf(out, REMEDY_BYTES, "--batch %lldx%lld fits",
                 (long long)less.n_b, (long long)less.n_t);
        return;
    }
    if (fits(wish, limits, on_a_disk)) {
        snprintf(out, REMEDY_BYTES, "%s on a disk with room fits",
                 wish->folder != NULL ? "--checkpoint" : "MOEPARITY_RUN_DIR");
        return;
    }
    const int64_t n_l = most_layers(*wish, limits, in_memory);
    if (n_l > 0)
        snprintf(out, REMEDY_BYTES, "--layers %lld fits", (long long)n_l);
    else
        snprintf(out, REMEDY_BYTES, "no batch and no number of layers fits");
}

core_status har_need_check(const har_need *need, const har_wish *wish,
                           const har_limits *limits, har_in_memory *in_memory)
{
    const size_t memory = har_need_memory(need, wish->folder, in_memory);
    char want[16], have[16], files[16], remedy[REMEDY_BYTES];
    char text[PAR_PLAN_TEXT];
    if (memory <= limits->memory_bytes &&
        need->address_bytes <= limits->process_bytes)
        return CORE_OK;
    par_plan_format(&wish->plan[0], text);
    find_remedy(remedy, wish, limits, in_memory);
    CORE_FAIL_IF(memory <= limits->memory_bytes, CORE_E_MEMORY,
                 "%s on %s: the largest process needs at least %s of "
                 "addresses, ulimit -v allows %s; %s",
                 wish->spec->name, text,
                 har_format_bytes(need->address_bytes, want),
                 har_format_bytes(limits->process_bytes, have), remedy);
    CORE_FAIL(CORE_E_MEMORY,
              "%s on %s: needs at least %s of memory, %s of it for the "
              "reference's taps, %s are available%s%s; %s",
              wish->spec->name, text, har_format_bytes(memory, want),
              har_format_bytes(memory - need->least_bytes, files),
              har_format_bytes(limits->memory_bytes, have),
              limits->group[0] != '\0' ? " in the group " : "", limits->group,
              remedy);
}
