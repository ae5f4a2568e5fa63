add_unit(test_par_plan SOURCES test_par_plan.c LIBS parallel LABELS unit)
add_unit(test_par_layout SOURCES test_par_layout.c LIBS parallel LABELS unit)
add_unit(test_no_coincidence
  SOURCES test_no_coincidence.c ${PROJECT_SOURCE_DIR}/tests/support/shadow_plans.c
  LIBS parallel LABELS unit)
