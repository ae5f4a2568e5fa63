add_unit(test_par_comm SOURCES test_par_comm.c
  LIBS parallel LABELS unit mpi NPROCS 1 2 3 5 8)

# The same where a launcher's ranks pass messages in shared memory, 40 among them: as many as have other collectives.
add_unit(test_par_mail SOURCES test_par_mail.c LIBS parallel LABELS unit)
add_executable(launched launched.c)
target_link_libraries(launched PRIVATE harness core build_flags)
foreach(np 1 2 3 5 8 40)
  add_test(NAME shared.test_par_comm.np${np} COMMAND launched ${np} $<TARGET_FILE:test_par_comm>)
  set_tests_properties(shared.test_par_comm.np${np} PROPERTIES LABELS "unit;mpi" TIMEOUT 180 PROCESSORS 2)
endforeach()

add_executable(fault_driver fault_driver.c)
target_link_libraries(fault_driver PRIVATE harness parallel core build_flags)
add_test(NAME mpi.comm_faults
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_comm_faults.sh $<TARGET_FILE:fault_driver>)
set_tests_properties(mpi.comm_faults PROPERTIES LABELS mpi TIMEOUT 120 PROCESSORS 2)
