add_unit(test_par_forward
  SOURCES test_par_forward.c
  LIBS parallel core_blas LABELS unit mpi NPROCS 1 2 4 6 TIMEOUT 120)
add_unit(test_par_product SOURCES test_par_product.c LIBS parallel LABELS unit)
add_unit(test_par_gradients SOURCES test_par_gradients.c LIBS parallel LABELS unit)
add_unit(test_par_exactness
  SOURCES test_par_exactness.c
  LIBS parallel ref core_blas LABELS unit mpi NPROCS 1 2 TIMEOUT 120)
