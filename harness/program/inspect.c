/* harness/program/inspect.c -- what a safetensors file holds. */
#include "core/files/safetensors.h"
#include "harness/program/command.h"

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    const char **path = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "more than one file: '%s'", arg);
        *path = arg;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num < 1)
            argp_error(state, "expected a file");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {NULL,
                                 parse_option,
                                 "FILE",
                                 "Lists the metadata and the tensors of a "
                                 "safetensors file.\v" HAR_EXIT_CODES,
                                 NULL,
                                 NULL,
                                 NULL};

static void write_file(const core_st *file)
{
    const char *key, *value;
    size_t bytes = 0;
    for (int64_t i = 0; core_st_metadata_at(file, i, &key, &value); i++)
        printf("# %s: %s\n", key, value);
    for (int64_t i = 0; i < core_st_count(file); i++) {
        const core_st_tensor *t = core_st_at(file, i);
        printf("%-40s %-8s [", t->name, core_dtype_name(t->dtype));
        for (int d = 0; d < t->n_dim; d++)
            printf("%s%lld", d > 0 ? "," : "", (long long)t->shape[d]);
        printf("]\n");
        bytes += t->bytes;
    }
    printf("# %lld tensors, %zu bytes\n", (long long)core_st_count(file),
           bytes);
}

int har_cmd_inspect(int argc, char **argv)
{
    const char *path = NULL;
    core_st *file = NULL;
    har_parse(&argp, argc, argv, "inspect", &path);
    core_message_clear();
    const core_status status = core_st_open(&file, path);
    if (status == CORE_OK)
        write_file(file);
    core_st_close(file);
    return har_end(status);
}
