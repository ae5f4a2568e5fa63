typedef int ref_placeholder;
