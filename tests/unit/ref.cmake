set(REF_FIXTURE ${PROJECT_SOURCE_DIR}/tests/support/ref_fixture.c)
add_unit(test_ref_ops SOURCES test_ref_ops.c LIBS ref LABELS unit)
add_unit(test_ref_forward SOURCES test_ref_forward.c ${REF_FIXTURE} LIBS ref LABELS unit)
add_unit(test_ref_oracle SOURCES test_ref_oracle.c ${REF_FIXTURE} LIBS ref LABELS oracle)
