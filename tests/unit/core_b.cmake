add_unit(test_core_rng SOURCES test_core_rng.c LABELS unit)
add_unit(test_core_elementary SOURCES test_core_elementary.c LABELS unit)
add_unit(test_core_taps SOURCES test_core_taps.c LABELS unit)
