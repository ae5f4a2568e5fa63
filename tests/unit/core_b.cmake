add_unit(test_core_blas SOURCES test_core_blas.c LIBS core_blas PkgConfig::OPENBLAS OpenMP::OpenMP_C LABELS unit)
add_unit(test_core_rng SOURCES test_core_rng.c LABELS unit)
add_unit(test_core_elementary SOURCES test_core_elementary.c LABELS unit)
add_unit(test_core_taps SOURCES test_core_taps.c LABELS unit)
add_unit(test_core_target SOURCES test_core_target.c LABELS unit)
add_unit(test_core_text SOURCES test_core_text.c LABELS unit)
add_unit(test_core_batch SOURCES test_core_batch.c LABELS unit)
add_unit(test_core_spec SOURCES test_core_spec.c LABELS unit)
add_unit(test_core_weights SOURCES test_core_weights.c LABELS unit)
add_unit(test_core_checkpoint SOURCES test_core_checkpoint.c LABELS unit)
add_unit(test_core_experts SOURCES test_core_experts.c LABELS unit)
add_unit(test_core_families SOURCES test_core_families.c LABELS unit)
add_unit(test_core_config SOURCES test_core_config.c LABELS unit)

# Skipped where the published files are not.
add_unit(test_core_published SOURCES test_core_published.c LABELS unit)
target_compile_definitions(test_core_published PRIVATE
  PUBLISHED_CONFIGS="${PROJECT_SOURCE_DIR}/../shared/configs")
set_tests_properties(test_core_published PROPERTIES SKIP_RETURN_CODE 77)
