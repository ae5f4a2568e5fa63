add_unit(test_har_compare SOURCES test_har_compare.c LIBS harness LABELS unit)
