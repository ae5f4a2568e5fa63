/* harness/perf/cost/room.h -- an arena that is kept from call to call. */
#ifndef HAR_PERF_ROOM_H
#define HAR_PERF_ROOM_H

#include "core/base/arena.h"

/* Empty an arena, made anew if it has less room than was measured in `need`.
 * Errors: E_MEMORY; the arena is then empty.    [local] */
CORE_NODISCARD static inline core_status har__room(core_arena *arena,
                                                   const core_arena *need)
{
    if (arena->base != NULL && arena->size_bytes >= need->peak_bytes) {
        core_arena_rewind(arena, 0);
        return CORE_OK;
    }
    core_arena bigger = *need;
    bigger.peak_bytes += bigger.peak_bytes / 4;
    core_arena_free(arena);
    *arena = core_arena_measure();
    CORE_TRY(core_arena_make(&bigger));
    *arena = bigger;
    return CORE_OK;
}

#endif
