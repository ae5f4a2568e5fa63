add_unit(test_par_plan SOURCES test_par_plan.c LIBS parallel LABELS unit)
add_unit(test_par_layout SOURCES test_par_layout.c LIBS parallel LABELS unit)
