/* core/base/arena.h -- many buffers, one allocation, one lifetime.
 *
 * An arena is laid out twice by the same function: first in measure mode (no
 * memory, only the sum), then for real.  Sizes cannot diverge from use.
 *     core_arena a = core_arena_measure();  carve(&a);
 *     CORE_TRY(core_arena_make(&a));        carve(&a);
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct core_arena {
    char *base;          /* NULL in measure mode                              */
    size_t used_bytes;
    size_t size_bytes;
    size_t peak_bytes;   /* largest used_bytes so far                         */
} core_arena;

core_arena core_arena_measure(void);

/* Allocate what was measured and reset.  Errors: E_MEMORY with the size.     */
CORE_NODISCARD core_status core_arena_make(core_arena *arena);

/* The same for an arena that is kept from call to call: it is emptied, and made
 * anew only if it has less room than was measured in `need`.  Errors: E_MEMORY;
 * the arena is then empty.                                                   */
CORE_NODISCARD core_status core_arena_room(core_arena *arena,
                                           const core_arena *need);

/* n elements of elem_bytes, aligned to 64 bytes; NULL in measure mode.  Debug
 * builds fill with NaN bits.  Overflow and overrun are programmer errors.    */
void *core_arena_take(core_arena *arena, int64_t n, size_t elem_bytes);
double *core_arena_f64(core_arena *arena, int64_t n);
int64_t *core_arena_i64(core_arena *arena, int64_t n);

/* Give back everything taken after `mark` (an earlier used_bytes); poisons.  */
void core_arena_rewind(core_arena *arena, size_t mark);
void core_arena_free(core_arena *arena);

/* malloc of n * elem_bytes with overflow check.  Errors: E_MEMORY naming what.
 * *out is written only on success; free() releases it.                       */
CORE_NODISCARD core_status core_alloc(void **out, int64_t n, size_t elem_bytes,
                                      const char *what);

/* realloc of a list so that n elements fit; *room, of how many it has room,
 * doubles at least.  NULL: E_MEMORY naming what is recorded, and list and *room
 * are as they were.                                                          */
void *core_grow(void *list, int64_t *room, int64_t n, size_t elem_bytes,
                const char *what);
#if defined(CORE_ANALYSED)
/* For scripts/analyse: CORE_OK comes with memory. */
#define core_alloc(out, n, elem_bytes, what)                                   \
    (core_alloc(out, n, elem_bytes, what) != CORE_OK ? CORE_E_MEMORY           \
     : *(out) == NULL ? (__builtin_unreachable(), CORE_E_MEMORY)               \
                      : CORE_OK)
#endif

#endif
