typedef int harness_placeholder;
