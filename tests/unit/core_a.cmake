add_unit(test_core_arena SOURCES test_core_arena.c LABELS unit)
add_unit(test_core_dtype SOURCES test_core_dtype.c LABELS unit)
add_unit(test_core_safetensors SOURCES test_core_safetensors.c LABELS unit)
add_unit(test_core_numerics SOURCES test_core_numerics.c LABELS unit)
