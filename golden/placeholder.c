typedef int golden_placeholder;
