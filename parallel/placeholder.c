typedef int parallel_placeholder;
