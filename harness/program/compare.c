/* harness/program/compare.c -- what was computed, against what it should be.
 *
 * Two files of taps are compared as they are (dump.h).  A golden bundle, a dump
 * in a folder, a name map, rows, positions or a report for people or CI mean a
 * foreign dump, which is judged row by row (judge.h).
 */
#include "core/files/mapped.h"
#include "harness/judge/comparison.h"
#include "harness/judge/dump.h"
#include "harness/judge/explain.h"
#include "harness/judge/namemap.h"
#include "harness/judge/report.h"
#include "harness/launch/outfile.h"
#include "harness/launch/waiting.h"
#include "harness/program/command.h"

#include <string.h>

typedef struct request {
    const char *golden, *dump, *map, *numerics, *rows, *positions;
    const char *json, *junit, *html;
    const char *model;
    bool forced_routing, explain, fields;
} request;

static void check_request(const void *self, struct argp_state *state)
{
    const request *r = self;
    if (r->dump == NULL && !r->fields)
        argp_error(state, "expected GOLDEN and DUMP");
    if (r->model != NULL && !r->explain)
        argp_error(state, "--model belongs to --explain");
}

static const har_command_line line = {
    "compare", "GOLDEN DUMP",
    "Compares DUMP with the yardstick GOLDEN, tap by tap.\vGOLDEN is a "
    "golden bundle (a folder) or a file of taps; DUMP is a file or a "
    "folder of files, one per rank or not.  Every tap of GOLDEN must "
    "be in DUMP, or with --map every one that the map names.  "
    "--numerics chooses the file of a bundle; else metadata, types and "
    "values of the dump do.  A dump that was fed the bundle's inputs says so "
    "(metadata forced, forced_with) and is judged operator by operator.  "
    HAR_EXIT_CODES,
    check_request};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->golden},
        {.text = &r->dump},
        {"map", .text = &r->map, .argument = "MAP",
         .help = "names of the dump: hf, megatron, llama, onnx, replay, "
                 "or a YAML file (docs/compare.md)"},
        {"fields", .flag = &r->fields, .help = "list the fields of a map"},
        {"numerics", .text = &r->numerics},
        {"rows", .text = &r->rows, .argument = "FROM:TO",
         .help = "the dump holds these rows of the batch, TO not among them"},
        {"positions", .text = &r->positions, .argument = "FROM:TO",
         .help = "the dump holds these positions of every row, TO not among "
                 "them (a decode step)"},
        {"forced-routing", .flag = &r->forced_routing,
         .help = "bundle: the dump used the golden's routing, which is then "
                 "not judged; two tap files: set tokens aside from where their "
                 "experts differ on, and count them"},
        {"explain", .flag = &r->explain,
         .help = "of a dump that fails: try which other model it is, from a "
                 "table and then two of its rows at a time, with the bundle's "
                 "checkpoint at --model or beside it (docs/explain.md)"},
        {"model", .text = &r->model},
        {"json", .text = &r->json},
        {"junit", .text = &r->junit, .argument = "FILE",
         .help = "the result for CI systems"},
        {"html", .text = &r->html, .argument = "FILE",
         .help = "the result as one page to look at"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

/* --- two files of taps --- */

static core_status compare_files(const request *r)
{
    core_st *a = NULL, *b = NULL;
    har_dump dump = {0};
    core_status status = core_st_open(&a, r->golden);
    if (status == CORE_OK)
        status = core_st_open(&b, r->dump);
    if (status == CORE_OK && core_st_metadata(b, "forced") != NULL)
        status = core_fail(CORE_E_INPUT, HAR_FORCED_WANTS_BUNDLE, r->dump);
    if (status == CORE_OK)
        status = har_dump_compare(&dump, a, b, r->forced_routing);
    if (status == CORE_OK)
        status = core_mapped_check();
    if (status == CORE_OK) {
        har_dump_text(&dump, a, b, stdout);
        if (r->json != NULL)
            status = har_dump_json(&dump, r->json);
        if (status == CORE_OK && dump.n_failed > 0)
            status = CORE_E_DIFFERS;
    }
    har_dump_free(&dump);
    core_st_close(a);
    core_st_close(b);
    return status;
}

/* --- a foreign dump --- */

/* A complete file or none; path NULL: nothing to do. */
static core_status write_file(const char *path,
                              void (*write)(const har_judgement *judged,
                                            FILE *out),
                              const har_judgement *judged)
{
    har_outfile out;
    if (path == NULL)
        return CORE_OK;
    CORE_TRY(har_outfile_open(&out, path));
    write(judged, out.file);
    return har_outfile_commit(&out);
}

static core_status write_reports(const request *r, const har_judgement *judged)
{
    har_judge_text(judged, stdout);
    if (r->json != NULL)
        CORE_TRY(har_judge_json(judged, r->json));
    CORE_TRY(write_file(r->junit, har_judge_junit, judged));
    return write_file(r->html, har_judge_html, judged);
}

static void show_progress(void *self, double done)
{
    har_waiting_share(self, "compare --explain", done);
}

/* Which other model a dump is of that fails. */
static core_status explain(const request *r, har_comparison *c,
                           const har_namemap *map, har_explanation *out)
{
    if (!r->explain || c->judged.verdict != HAR_FAIL)
        return CORE_OK;
    har_waiting waiting = har_waiting_begin();
    const core_status status = har_explain(out, &c->judged, &c->dump, map,
                                           r->model, show_progress, &waiting);
    har_waiting_end(&waiting);
    c->judged.explanation = out;
    return status;
}

static core_status judge_dump(const request *r, const har_foreign_options *with)
{
    har_comparison c = {0};
    har_explanation explanation;
    core_status status = har_comparison_make(&c, r->golden, r->dump, with,
                                             r->numerics, r->forced_routing);
    if (status == CORE_OK)
        status = explain(r, &c, with->map, &explanation);
    if (status == CORE_OK)
        status = write_reports(r, &c.judged);
    if (status == CORE_OK && c.judged.verdict == HAR_FAIL)
        status = CORE_E_DIFFERS;
    har_comparison_free(&c);
    return status;
}

static core_status read_range(har_range *out, const char *option,
                              const char *text)
{
    *out = (har_range){0, -1};
    CORE_FAIL_IF(text != NULL && !har_range_parse(out, text), CORE_E_USAGE,
                 "%s: expected a range such as 7:9, found '%s'", option, text);
    return CORE_OK;
}

static core_status compare_foreign(const request *r)
{
    har_namemap map;
    core_numerics numerics;
    core_numerics_text name;
    har_foreign_options with = {.map = &map};
    CORE_TRY(read_range(&with.claim.b, "--rows", r->rows));
    CORE_TRY(read_range(&with.claim.t, "--positions", r->positions));
    if (r->numerics != NULL) {
        CORE_TRY(core_numerics_parse(&numerics, r->numerics));
        name = core_numerics_name(numerics);
        with.numerics = name.text;
    }
    CORE_FAIL_IF(r->numerics != NULL && !har_yardstick_is_bundle(r->golden),
                 CORE_E_USAGE,
                 "--numerics: chooses a file of a bundle, %s is none",
                 r->golden);
    CORE_TRY(har_namemap_open(&map, r->map));
    const core_status status = judge_dump(r, &with);
    har_namemap_free(&map);
    return status;
}

static bool says_places(const char *path)
{
    core_st *dump = NULL;
    const bool says = core_st_open(&dump, path) == CORE_OK &&
                      har_foreign_says_places(dump);
    core_st_close(dump);
    core_message_clear(); /* who compares them says what is wrong             */
    return says;
}

/* Are these two files of our own taps? */
static bool is_plain(const request *r)
{
    return !har_yardstick_is_bundle(r->golden) &&
           !har_yardstick_is_bundle(r->dump) && r->map == NULL &&
           r->rows == NULL && r->positions == NULL && r->numerics == NULL &&
           !r->explain &&
           r->junit == NULL && r->html == NULL && !says_places(r->dump);
}

int har_cmd_compare(int argc, char **argv)
{
    request r = {.golden = NULL};
    read_command_line(&r, argc, argv);
    if (r.fields) {
        har_namemap_write_fields(stdout);
        return 0;
    }
    const core_status status = is_plain(&r) ? compare_files(&r)
                                            : compare_foreign(&r);
    return status == CORE_E_DIFFERS ? core_status_exit_code(status)
                                    : har_end(status);
}
