add_unit(test_har_checkpoint SOURCES test_har_checkpoint.c LIBS harness LABELS unit)
add_unit(test_har_compare SOURCES test_har_compare.c LIBS harness LABELS unit)
add_unit(test_har_diagnose SOURCES test_har_diagnose.c ../support/ref_fixture.c ../support/ref_families.c LIBS harness m LABELS unit)
add_unit(test_har_explain SOURCES test_har_explain.c LIBS harness LABELS unit TIMEOUT 300)
target_compile_definitions(test_har_explain PRIVATE MODELS_DIR="${PROJECT_SOURCE_DIR}/tests/mutation/models")
add_unit(test_har_cover SOURCES test_har_cover.c LIBS harness LABELS unit)
add_unit(test_har_distinct SOURCES test_har_distinct.c LIBS harness LABELS unit)
target_compile_definitions(test_har_distinct PRIVATE MODELS_DIR="${PROJECT_SOURCE_DIR}/tests/mutation/models")
add_unit(test_har_dump SOURCES test_har_dump.c LIBS harness LABELS unit)
add_unit(test_har_estimate SOURCES test_har_estimate.c LIBS harness LABELS unit)
add_unit(test_har_limits SOURCES test_har_limits.c LIBS harness LABELS unit)
add_unit(test_har_need SOURCES test_har_need.c LIBS harness LABELS unit)
add_unit(test_har_page SOURCES test_har_page.c LIBS harness LABELS unit)
add_unit(test_har_pieces SOURCES test_har_pieces.c LIBS harness LABELS unit)
add_unit(test_har_precision SOURCES test_har_precision.c LIBS harness LABELS unit)
add_unit(test_har_spread
  SOURCES test_har_spread.c ../support/ref_fixture.c ../support/ref_families.c
  LIBS harness LABELS unit)
add_unit(test_har_choosing SOURCES test_har_choosing.c LIBS harness LABELS unit)
add_unit(test_har_half SOURCES test_har_half.c LIBS harness LABELS unit)
add_unit(test_har_place SOURCES test_har_place.c LIBS harness LABELS unit)
add_unit(test_har_namemap SOURCES test_har_namemap.c LIBS harness LABELS unit)
add_unit(test_har_judge SOURCES test_har_judge.c LIBS harness LABELS unit)
add_unit(test_har_search
  SOURCES test_har_search.c ../support/ref_fixture.c ../support/ref_families.c
  LIBS harness LABELS unit)
add_unit(test_har_deal SOURCES test_har_deal.c LIBS harness LABELS unit)
add_unit(test_har_cost
  SOURCES test_har_cost.c ../support/mpi_check.c ../support/random_case.c
          ../support/shadow_plans.c ../support/ref_fixture.c ../support/ref_families.c
  LIBS harness LABELS unit mpi NPROCS 36 TIMEOUT 240)
add_unit(test_har_backward SOURCES test_har_backward.c ../support/mpi_check.c LIBS harness LABELS unit mpi NPROCS 12 TIMEOUT 120)
add_unit(test_har_overlap SOURCES test_har_overlap.c LIBS harness m LABELS unit)
add_unit(test_har_train SOURCES test_har_train.c LIBS harness m LABELS unit)
add_unit(test_har_decode SOURCES test_har_decode.c ../support/ref_fixture.c ../support/ref_families.c LIBS harness m LABELS unit)
add_unit(test_har_measured SOURCES test_har_measured.c ../support/ref_fixture.c ../support/ref_families.c LIBS harness m LABELS unit)
add_unit(test_har_trace SOURCES test_har_trace.c LIBS harness PkgConfig::JANSSON LABELS unit)
add_unit(test_har_machine SOURCES test_har_machine.c LIBS harness LABELS unit)
add_unit(test_har_serve SOURCES test_har_serve.c ../support/ref_fixture.c ../support/ref_families.c LIBS harness m LABELS unit)
add_unit(test_har_types SOURCES test_har_types.c LIBS harness m LABELS unit)
target_compile_definitions(test_har_types PRIVATE GPT_OSS="${PROJECT_SOURCE_DIR}/tests/data/launch/models/gpt_oss")
add_unit(test_har_fit SOURCES test_har_fit.c LIBS harness LABELS unit)
add_unit(test_har_generation SOURCES test_har_generation.c LIBS harness m LABELS unit)
add_unit(test_har_calibrate
  SOURCES test_har_calibrate.c ../support/mpi_check.c
  LIBS harness LABELS unit mpi NPROCS 3)
target_link_options(test_har_calibrate PRIVATE -Wl,--wrap=core_alloc -Wl,--wrap=core_grow
  -Wl,--wrap=core_blas_used_threads)
add_unit(test_har_rates SOURCES test_har_rates.c LIBS harness m LABELS unit)
add_unit(test_har_audit SOURCES test_har_audit.c LIBS harness LABELS unit)
target_compile_definitions(test_har_audit PRIVATE CLAIMS_DIR="${PROJECT_SOURCE_DIR}/docs/claims")
add_unit(test_har_launch SOURCES test_har_launch.c LIBS harness LABELS unit)
add_unit(test_har_steps SOURCES test_har_steps.c LIBS harness LABELS unit)
add_unit(test_har_bring SOURCES test_har_bring.c ../support/mpi_check.c LIBS harness LABELS unit mpi NPROCS 3)
add_unit(test_har_hosts SOURCES test_har_hosts.c LIBS harness LABELS unit)
add_unit(test_har_words SOURCES test_har_words.c LIBS harness LABELS unit)
add_unit(test_har_waiting SOURCES test_har_waiting.c LIBS harness LABELS unit)
add_unit(test_har_tally SOURCES test_har_tally.c LIBS harness m LABELS unit)
add_unit(test_har_systems SOURCES test_har_systems.c LIBS harness LABELS unit)
add_unit(test_har_predict SOURCES test_har_predict.c ../support/ref_fixture.c ../support/ref_families.c LIBS harness m LABELS unit)
add_unit(test_har_traffic SOURCES test_har_traffic.c LIBS harness m LABELS unit)
add_unit(test_har_reach
  SOURCES test_har_reach.c ../support/mpi_check.c
  LIBS harness LABELS unit mpi NPROCS 2)
