/* core/base/arena.c -- bump allocation, measured before it is made.
 *
 * Both modes run through the same arithmetic, so what the measure pass says is
 * what the real pass takes.  Traps: memory that was never written must not
 * look like a result, so debug builds fill with NaN bits (all ones: also -1 as
 * an integer); and an overrun into the next piece is invisible to the
 * allocator, so sanitizer builds keep a poisoned gap after every piece.  The
 * gap is part of the measured size.
 */
#include "core/base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
enum { GAP_BYTES = 128 };
#else
enum { GAP_BYTES = 0 };
#endif

enum {
    ALIGN_BYTES = 64,
    HUGE_PAGE_BYTES = 2 << 20,
    LARGE_BYTES = 16 << 20, /* from here on huge pages are asked for          */
};

/* Large arenas hold matrices that are walked across rows: with 4 KiB pages the
 * address translation costs a fifth of a product.  Asking is a hint only.    */
static void *allocate(size_t bytes)
{
    const size_t align = bytes < LARGE_BYTES ? ALIGN_BYTES : HUGE_PAGE_BYTES;
    /* aligned_alloc wants a multiple of the alignment, and not zero */
    const size_t whole =
        bytes == 0 ? align : (bytes + align - 1) / align * align;
    void *base = aligned_alloc(align, whole);
#if defined(MADV_HUGEPAGE)
    if (base != NULL && bytes >= LARGE_BYTES)
        (void)madvise(base, whole, MADV_HUGEPAGE);
#endif
    return base;
}

/* Nobody may read [begin, end) of the arena before it is taken again. */
static void forbid(core_arena *arena, size_t begin, size_t end)
{
    if (arena->base == NULL)
        return;
#if !defined(NDEBUG)
    memset(arena->base + begin, 0xff, end - begin);
#endif
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(arena->base + begin, end - begin);
#endif
    (void)begin, (void)end;
}

static void permit(core_arena *arena, size_t begin, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    if (arena->base != NULL)
        ASAN_UNPOISON_MEMORY_REGION(arena->base + begin, bytes);
#endif
    (void)arena, (void)begin, (void)bytes;
}

core_arena core_arena_measure(void)
{
    return (core_arena){.base = NULL};
}

core_status core_arena_make(core_arena *arena)
{
    core_assert(arena->base == NULL);
    const size_t bytes = arena->peak_bytes;
    char *base = allocate(bytes);
    CORE_FAIL_IF(base == NULL, CORE_E_MEMORY,
                 "no memory for an arena of %zu bytes", bytes);
    *arena = (core_arena){.base = base, .size_bytes = bytes};
    forbid(arena, 0, bytes);
    return CORE_OK;
}

core_status core_arena_room(core_arena *arena, const core_arena *need)
{
    if (arena->base != NULL && arena->size_bytes >= need->peak_bytes) {
        core_arena_rewind(arena, 0);
        return CORE_OK;
    }
    core_arena bigger = *need;
    bigger.peak_bytes += bigger.peak_bytes / 4;
    core_arena_free(arena);
    CORE_TRY(core_arena_make(&bigger));
    *arena = bigger;
    return CORE_OK;
}

void *core_arena_take(core_arena *arena, int64_t n, size_t elem_bytes)
{
    const size_t room = SIZE_MAX / 2 - arena->used_bytes;
    core_assert(n >= 0 && elem_bytes > 0 && (size_t)n <= room / elem_bytes);
    const size_t bytes = (size_t)n * elem_bytes;
    const size_t padded =
        (bytes + GAP_BYTES + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    const size_t begin = arena->used_bytes;
    arena->used_bytes = begin + padded;
    if (arena->used_bytes > arena->peak_bytes)
        arena->peak_bytes = arena->used_bytes;
    if (arena->base == NULL)
        return NULL;
    core_assert(arena->used_bytes <= arena->size_bytes);
    permit(arena, begin, bytes);
    return arena->base + begin;
}

double *core_arena_f64(core_arena *arena, int64_t n)
{
    return core_arena_take(arena, n, sizeof(double));
}

int64_t *core_arena_i64(core_arena *arena, int64_t n)
{
    return core_arena_take(arena, n, sizeof(int64_t));
}

void core_arena_rewind(core_arena *arena, size_t mark)
{
    core_assert(mark <= arena->used_bytes);
    permit(arena, mark, arena->used_bytes - mark);
    forbid(arena, mark, arena->used_bytes);
    arena->used_bytes = mark;
}

void core_arena_free(core_arena *arena)
{
    if (arena->base != NULL)
        permit(arena, 0, arena->size_bytes);
    free(arena->base);
    *arena = core_arena_measure();
}

core_status core_alloc(void **out, int64_t n, size_t elem_bytes,
                       const char *what)
{
    core_assert(elem_bytes > 0);
    CORE_FAIL_IF(n < 0 || (size_t)n > (size_t)PTRDIFF_MAX / elem_bytes,
                 CORE_E_MEMORY, "no memory for %s: %lld elements of %zu bytes",
                 what, (long long)n, elem_bytes);
    const size_t bytes = (size_t)n * elem_bytes;
    void *memory = malloc(bytes == 0 ? 1 : bytes);
    CORE_FAIL_IF(memory == NULL, CORE_E_MEMORY, "no memory for %s: %zu bytes",
                 what, bytes);
    *out = memory;
    return CORE_OK;
}

void *core_grow(void *list, int64_t *room, int64_t n, size_t elem_bytes,
                const char *what)
{
    const int64_t least = 4096 / (int64_t)elem_bytes + 1;
    if (n <= *room)
        return list;
    int64_t more = n > 2 * *room ? n : 2 * *room;
    more = more > least ? more : least;
    void *grown = NULL;
    if (more <= PTRDIFF_MAX / (int64_t)elem_bytes)
        grown = realloc(list, (size_t)more * elem_bytes);
    if (grown == NULL)
        core_fail(CORE_E_MEMORY, "no memory for %s: %lld elements of %zu bytes",
                  what, (long long)more, elem_bytes);
    else
        *room = more;
    return grown;
}
