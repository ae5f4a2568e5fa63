add_unit(test_har_compare SOURCES test_har_compare.c LIBS harness LABELS unit)
add_unit(test_har_cover SOURCES test_har_cover.c LIBS harness LABELS unit)
add_unit(test_har_dump SOURCES test_har_dump.c LIBS harness LABELS unit)
