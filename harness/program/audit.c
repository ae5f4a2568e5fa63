/* harness/program/audit.c -- are the published figures of a deployment true? */
#include "harness/perf/audit/audit.h"
#include "harness/program/command.h"
#include "harness/program/model.h"

#include "core/base/arena.h"

#include <stdlib.h>

typedef struct request {
    const char *path, *json;
    bool quantities, fields;
    core_overrides overrides;
} request;

static void check_request(const void *self, struct argp_state *state)
{
    const request *r = self;
    if (r->path == NULL && !r->quantities && !r->fields)
        argp_error(state, "expected a claims file");
}

static const har_command_line line = {
    "audit", "CLAIMS.yaml",
    "Holds the figures that a document publishes against each other, "
    "against hardware and model, and against every plan that it may "
    "mean.  Exit 1 if a claim does not hold.\v" HAR_EXIT_CODES,
    check_request};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->path},
        HAR_OVERRIDE_OPTIONS(&r->overrides),
        {"json", .text = &r->json},
        {"quantities", .flag = &r->quantities,
         .help = "list the quantities of a claims file and their units"},
        {"fields", .flag = &r->fields,
         .help = "list the fields of a claims file"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

static void write_quantities(void)
{
    char units[120];
    for (int q = 0; q < (int)HAR_N_QUANTITIES; q++) {
        const har_quantity quantity = (har_quantity)q;
        har_unit_list(har_quantity_dimension(quantity), units, sizeof units);
        printf("%-22s %-40s %s\n", har_quantity_name(quantity), units,
               har_quantity_about(quantity));
    }
}

static core_status audit_file(const request *r, const har_claims *claims)
{
    har_audit audit;
    CORE_TRY(har_audit_run(&audit, claims));
    core_status status = CORE_OK;
    if (r->json != NULL)
        status = har_audit_write_json(&audit, r->json);
    if (status == CORE_OK) {
        har_audit_write(&audit, stdout);
        if (!har_audit_is_clean(&audit))
            status = CORE_E_DIFFERS;
    }
    har_audit_free(&audit);
    return status;
}

int har_cmd_audit(int argc, char **argv)
{
    request r = {.path = NULL};
    void *claims = NULL;
    read_command_line(&r, argc, argv);
    if (r.quantities) {
        write_quantities();
        return 0;
    }
    if (r.fields) {
        har_claims_write_fields(stdout);
        return 0;
    }
    core_status status = core_alloc(&claims, 1, sizeof(har_claims), r.path);
    if (status == CORE_OK)
        status = har_claims_read(claims, r.path, &r.overrides);
    if (status == CORE_OK)
        status = audit_file(&r, claims);
    free(claims);
    /* a claim that does not hold is a result, not a failure to report */
    return status == CORE_E_DIFFERS ? core_status_exit_code(status)
                                    : har_end(status);
}
