/* harness/program/library_compare.c -- moeparity_compare, see moeparity.h. */
#include "harness/program/library_impl.h"

#include "harness/judge/comparison.h"
#include "harness/judge/report.h"

static void tell(moeparity_comparison *out, const har_judgement *judged)
{
    snprintf(out->verdict, sizeof out->verdict, "%s", har__word_text(judged));
    har__verdict_text(out->why, judged);
    out->n_judged = judged->n_judged;
    out->n_passed = judged->n_passed;
    out->n_failed = judged->n_failed;
    out->first[0] = '\0';
    if (judged->first >= 0)
        snprintf(out->first, sizeof out->first, "%s",
                 judged->yard->tap[judged->first].data->name);
}

static core_status compare(moeparity_comparison *out, const char *golden,
                           const char *dump,
                           const moeparity_compare_options *options)
{
    har_namemap map;
    har_comparison c = {0};
    har_foreign_options with = {.map = &map, .numerics = options->numerics};
    with.claim.b = with.claim.t = (har_range){0, -1};
    CORE_TRY(har_namemap_open(&map, options->map));
    core_status status =
        har_comparison_make(&c, golden, dump, &with, options->numerics,
                            options->forced_routing != 0);
    if (status == CORE_OK && options->json != NULL)
        status = har_judge_json(&c.judged, options->json);
    if (status == CORE_OK)
        tell(out, &c.judged);
    if (status == CORE_OK && c.judged.verdict == HAR_FAIL)
        status = CORE_E_DIFFERS;
    har_comparison_free(&c);
    har_namemap_free(&map);
    return status;
}

int moeparity_compare(moeparity_comparison *out, const char *golden,
                      const char *dump,
                      const moeparity_compare_options *options,
                      char message[MOEPARITY_MESSAGE])
{
    static const moeparity_compare_options nothing = {0};
    core_message_clear();
    return har__library_end(
        compare(out, golden, dump, options != NULL ? options : &nothing),
        message);
}
