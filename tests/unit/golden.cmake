add_unit(test_gold SOURCES test_gold.c LIBS golden PkgConfig::JANSSON LABELS unit)
