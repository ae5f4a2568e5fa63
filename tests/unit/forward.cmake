add_unit(test_par_forward
  SOURCES test_par_forward.c ../support/mpi_check.c ../support/random_case.c
  LIBS parallel core_blas LABELS unit mpi NPROCS 1 2 4 6 TIMEOUT 120)
add_unit(test_par_gradients SOURCES test_par_gradients.c LIBS parallel LABELS unit)
add_unit(test_par_exactness
  SOURCES test_par_exactness.c ../support/mpi_check.c ${REF_FIXTURE} ${SCALED_WEIGHTS}
  LIBS parallel ref core_blas LABELS unit mpi NPROCS 1 2 TIMEOUT 120)
