add_unit(test_par_comm SOURCES test_par_comm.c ../support/mpi_check.c
  LIBS parallel LABELS unit mpi NPROCS 1 2 3 5 8)

add_executable(fault_driver fault_driver.c)
target_link_libraries(fault_driver PRIVATE harness parallel core build_flags)
add_test(NAME mpi.comm_faults
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_comm_faults.sh $<TARGET_FILE:fault_driver>)
set_tests_properties(mpi.comm_faults PROPERTIES LABELS mpi TIMEOUT 120 PROCESSORS 2)
