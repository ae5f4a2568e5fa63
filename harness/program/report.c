/* harness/program/report.c -- one page about a plan on a machine.
 *
 * The page exists only when it is complete: it is written beside its place and
 * renamed.  Whether there is a gnuplot is asked first, because everything else
 * takes longer.
 */
#include "harness/launch/outfile.h"
#include "harness/launch/waiting.h"
#include "harness/page/gnuplot.h"
#include "harness/page/sheet.h"
#include "harness/program/command.h"
#include "harness/program/question_options.h"

typedef struct request {
    har_question asked;
    const char *out, *verify, *claims, *gpus;
} request;

enum {
    MOST_GPUS = 4096,
    LARGE = 512 /* plans beyond are searched only if asked for */
};

static const har_command_line line = {
    "report", "[MODEL]",
    "Writes one page about a plan on a machine: modules, verdicts, "
    "memory, load, communication, timeline, roofline, other plans, "
    "audit (docs/report.md).  Draws with gnuplot.\v" HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        HAR_QUESTION_OPTIONS(&r->asked),
        {"out", .text = &r->out},
        {"verify", .text = &r->verify, .argument = "FILE",
         .help = "show the verdicts that verify --json wrote"},
        {"claims", .text = &r->claims, .argument = "FILE",
         .help = "audit these claims and show it"},
        {"gpus", .text = &r->gpus, .argument = "A..B",
         .help = "numbers of GPUs whose best plans are shown (half to twice "
                 "the plan's)"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

static core_status check_question(const har_setup *s)
{
    CORE_FAIL_IF(!s->source.all_ranks, CORE_E_USAGE,
                 "--routing: a report shows every GPU: expected drawn or "
                 "drawn:SEED, found 'expected'");
    CORE_FAIL_IF(s->what.algorithm != HAR_LIBRARY, CORE_E_USAGE,
                 "--collectives: a report draws the library's rings: expected "
                 "library, found 'shot'");
    return har_setup_check(s);
}

static core_status read_gpus(har_sheet_ask *ask, const char *text)
{
    const int n = par_plan_world(&ask->setup->plan);
    int64_t first = n > 1 ? n / 2 : 1, last = n > LARGE ? n : 2 * n;
    if (text != NULL)
        CORE_TRY(har_parse_range(&first, &last, "--gpus", text, MOST_GPUS));
    ask->n_gpu0 = (int)first;
    ask->n_gpu1 = (int)last;
    return CORE_OK;
}

static void show_progress(void *self, const char *what)
{
    har_waiting_say(self, what);
}

static core_status write_file(const har_sheet_ask *ask, const char *path)
{
    har_outfile file;
    CORE_TRY(har_outfile_open(&file, path));
    const core_status status = har_sheet_write(file.file, ask);
    har_waiting_end(ask->self);
    if (status != CORE_OK) {
        har_outfile_drop(&file);
        return status;
    }
    return har_outfile_commit(&file);
}

int har_cmd_report(int argc, char **argv)
{
    request r = {.asked = HAR_QUESTION, .out = "report.html"};
    static har_setup s;
    har_waiting waiting = har_waiting_begin();
    har_sheet_ask ask = {
        .setup = &s, .progress = show_progress, .self = &waiting};
    read_command_line(&r, argc, argv);
    core_status status = har_setup_read(&s, &r.asked);
    if (status == CORE_OK)
        status = check_question(&s);
    if (status == CORE_OK)
        status = read_gpus(&ask, r.gpus);
    if (status == CORE_OK)
        status = har_gnuplot_check();
    ask.verify = r.verify;
    ask.claims = r.claims;
    if (status == CORE_OK)
        status = write_file(&ask, r.out);
    if (status == CORE_OK)
        har_config_write(stdout, r.asked.model, &s.facts, HAR_NO_WEIGHTS);
    if (status == CORE_OK)
        printf("report     %s\n", r.out);
    har_setup_close(&s);
    return har_end(status);
}
