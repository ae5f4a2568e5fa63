/* harness/cmd_compare.c -- two files of taps. */
#include "harness/cmd.h"
#include "harness/dump.h"
#include "harness/outfile.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

typedef struct request {
    const char *a, *b, *json;
    bool forced_routing;
} request;

enum { OPT_FORCED_ROUTING = 256, OPT_JSON };

static const struct argp_option options[] = {
    {"forced-routing", OPT_FORCED_ROUTING, NULL, 0,
     "set tokens aside from where "
     "their experts differ on, and count them",
     0},
    {"json", OPT_JSON, "FILE", 0, "the result for machines", 0},
    {0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    request *r = state->input;
    switch (key) {
    case OPT_FORCED_ROUTING:
        r->forced_routing = true;
        return 0;
    case OPT_JSON:
        r->json = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "more than two files: '%s'", arg);
        *(state->arg_num == 0 ? &r->a : &r->b) = arg;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num < 2)
            argp_error(state, "expected two files");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse_option,
    "A B",
    "Compares the tap file B with the yardstick A, tap by tap.\vEvery tap of A "
    "must be in B. " HAR_EXIT_CODES,
    NULL,
    NULL,
    NULL};

static void write_tap(const har_dump_tap *t, FILE *out)
{
    if (t->problem[0] != '\0') {
        fprintf(out, "  %-32s %s\n", t->name, t->problem);
        return;
    }
    fprintf(out,
            "  %-32s %lld of %lld elements; row %lld column %lld: expected "
            "%.9g, found %.9g",
            t->name, (long long)t->diff.n_bad, (long long)t->diff.n,
            (long long)t->diff.first.row, (long long)t->diff.first.col,
            t->diff.first.expected, t->diff.first.found);
    if (t->rule.kind == HAR_RULE_TOLERANCE)
        fprintf(out, " (tolerance %.3g)", t->rule.tolerance);
    fputc('\n', out);
}

static void write_text(const har_dump *d, const core_st *a, const core_st *b,
                       FILE *out)
{
    enum { MAX_LINES = 20 };
    int n = 0;
    const har_dump_tap *worst = &d->tap[d->worst];
    fprintf(out, "expected   %s\nfound      %s\n", core_st_path(a),
            core_st_path(b));
    fprintf(out,
            "compared   %lld tensors, %lld differ; %lld only in the second\n",
            (long long)d->n_tap, (long long)d->n_failed, (long long)d->n_extra);
    if (d->n_ignored > 0)
        fprintf(out, "ignored    %lld tensors of the first, whose names are no "
                "taps\n", (long long)d->n_ignored);
    if (d->n_flip > 0)
        fprintf(out,
                "routing    %lld tokens chose other experts and were set "
                "aside from there on\n",
                (long long)d->n_flip);
    if (worst->diff.n > 0 && worst->rule.kind == HAR_RULE_TOLERANCE)
        fprintf(out, "worst      %s: %.3g of its tolerance\n", worst->name,
                worst->diff.worst_score);
    if (d->first >= 0)
        fprintf(out, "first      %s\n", d->tap[d->first].name);
    for (int64_t i = 0; i < d->n_tap; i++) {
        if (!d->tap[i].failed)
            continue;
        if (n++ == MAX_LINES) {
            fprintf(out, "  and %lld more\n",
                    (long long)(d->n_failed - MAX_LINES));
            break;
        }
        write_tap(&d->tap[i], out);
    }
    fputs(d->n_failed > 0 ? "DIFFERS\n" : "SAME\n", out);
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x)
                       : json_string(isnan(x)  ? "nan"
                                     : x > 0.0 ? "inf"
                                               : "-inf");
}

static json_t *tap_object(const har_dump_tap *t)
{
    json_t *o = json_object();
    json_object_set_new(o, "tap", json_string(t->name));
    json_object_set_new(o, "failed", json_boolean(t->failed));
    json_object_set_new(o, "problem", json_string(t->problem));
    json_object_set_new(o, "elements", json_integer((json_int_t)t->diff.n));
    json_object_set_new(o, "bad_elements",
                        json_integer((json_int_t)t->diff.n_bad));
    json_object_set_new(o, "excluded_rows",
                        json_integer((json_int_t)t->n_excluded));
    json_object_set_new(o, "tolerance", number(t->rule.tolerance));
    json_object_set_new(o, "worst_score", number(t->diff.worst_score));
    if (t->diff.n_bad > 0) {
        json_object_set_new(o, "row",
                            json_integer((json_int_t)t->diff.first.row));
        json_object_set_new(o, "column",
                            json_integer((json_int_t)t->diff.first.col));
        json_object_set_new(o, "expected", number(t->diff.first.expected));
        json_object_set_new(o, "found", number(t->diff.first.found));
    }
    return o;
}

static core_status write_json(const har_dump *d, const char *path)
{
    har_outfile out;
    json_t *o = json_object(), *taps = json_array();
    const bool differs = d->n_failed > 0;
    for (int64_t i = 0; i < d->n_tap; i++)
        json_array_append_new(taps, tap_object(&d->tap[i]));
    json_object_set_new(o, "schema", json_string("moeparity.compare/1"));
    json_object_set_new(o, "verdict",
                        json_string(differs ? "DIFFERS" : "SAME"));
    json_object_set_new(o, "exit", json_integer(differs ? 1 : 0));
    json_object_set_new(o, "ignored", json_integer((json_int_t)d->n_ignored));
    json_object_set_new(o, "flips", json_integer((json_int_t)d->n_flip));
    json_object_set_new(
        o, "first", d->first < 0 ? json_null() : tap_object(&d->tap[d->first]));
    json_object_set_new(o, "taps", taps);
    core_status status = har_outfile_open(&out, path);
    if (status == CORE_OK && json_dumpf(o, out.file, JSON_INDENT(1)) != 0) {
        har_outfile_drop(&out);
        status = core_fail(CORE_E_FILE, "%s: cannot be written", path);
    }
    if (status == CORE_OK)
        status = har_outfile_commit(&out);
    json_decref(o);
    return status;
}

static core_status compare(const request *r)
{
    core_st *a = NULL, *b = NULL;
    har_dump dump = {0};
    core_status status = core_st_open(&a, r->a);
    if (status == CORE_OK)
        status = core_st_open(&b, r->b);
    if (status == CORE_OK)
        status = har_dump_compare(&dump, a, b, r->forced_routing);
    if (status == CORE_OK) {
        write_text(&dump, a, b, stdout);
        if (r->json != NULL)
            status = write_json(&dump, r->json);
        if (status == CORE_OK && dump.n_failed > 0)
            status = CORE_E_DIFFERS;
    }
    har_dump_free(&dump);
    core_st_close(a);
    core_st_close(b);
    return status;
}

int har_cmd_compare(int argc, char **argv)
{
    request r = {NULL, NULL, NULL, false};
    har_parse(&argp, argc, argv, "compare", &r);
    core_message_clear();
    const core_status status = compare(&r);
    return status == CORE_E_DIFFERS ? core_status_exit_code(status)
                                    : har_end(status);
}
