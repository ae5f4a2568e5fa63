set(REF_FIXTURE ${PROJECT_SOURCE_DIR}/tests/support/ref_fixture.c
                ${PROJECT_SOURCE_DIR}/tests/support/ref_families.c)
add_unit(test_ref_ops SOURCES test_ref_ops.c LIBS ref LABELS unit)
add_unit(test_ref_router SOURCES test_ref_router.c LIBS ref LABELS unit)
add_unit(test_ref_forward SOURCES test_ref_forward.c ${REF_FIXTURE} LIBS ref core_blas OpenMP::OpenMP_C LABELS unit)
add_unit(test_ref_families SOURCES test_ref_families.c ${REF_FIXTURE} LIBS ref LABELS unit)
add_unit(test_ref_family_bounds SOURCES test_ref_family_bounds.c ${REF_FIXTURE} LIBS ref LABELS unit)
add_unit(test_ref_oracle SOURCES test_ref_oracle.c ${REF_FIXTURE} LIBS ref LABELS oracle)
add_unit(test_ref_draw SOURCES test_ref_draw.c ${REF_FIXTURE} LIBS ref LABELS unit)
