add_unit(test_core_arena SOURCES test_core_arena.c LABELS unit)
