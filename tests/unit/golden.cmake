add_unit(test_gold SOURCES test_gold.c LIBS golden PkgConfig::JANSSON LABELS unit)
add_unit(test_gold_slope SOURCES test_gold_slope.c LIBS golden LABELS unit)
