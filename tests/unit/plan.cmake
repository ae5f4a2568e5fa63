add_unit(test_par_plan SOURCES test_par_plan.c LIBS parallel LABELS unit)
add_unit(test_par_layout SOURCES test_par_layout.c LIBS parallel LABELS unit)
add_unit(test_no_coincidence
  SOURCES test_no_coincidence.c
  LIBS parallel LABELS unit)
add_unit(test_random_case
  SOURCES test_random_case.c
  LIBS parallel LABELS unit)
add_unit(test_par_weights SOURCES test_par_weights.c LIBS parallel LABELS unit)
add_unit(test_par_deal
  SOURCES test_par_deal.c
  LIBS parallel LABELS unit)
