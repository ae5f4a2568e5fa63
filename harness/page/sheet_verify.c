/* harness/page/sheet_verify.c -- the verdicts of a run of verify.
 *
 * They come from the file that `verify --json` wrote, schema
 * moeparity.verify/1; all that the page shows of it is checked before the page
 * is begun, so a missing member is a refusal and not an empty cell.
 */
#include "harness/page/sheet_impl.h"

#include "core/files/text.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 20 };

static const char SCHEMA[] = "moeparity.verify/1";

/* --- reading --- */

/* What the page shows, and the place of each. */
static const struct {
    const char *where, *key;
    json_type type;
} members[] = {{"", "verdict", JSON_STRING},
               {"", "model", JSON_OBJECT},
               {"", "batch", JSON_ARRAY},
               {"", "plans", JSON_ARRAY},
               {"model.", "name", JSON_STRING},
               {"plans.", "plan", JSON_STRING},
               {"plans.", "world", JSON_INTEGER},
               {"plans.", "cases", JSON_ARRAY},
               {"plans.cases.", "numerics", JSON_STRING},
               {"plans.cases.", "verdict", JSON_STRING},
               {"plans.cases.", "reason", JSON_STRING},
               {"plans.cases.", "passes", JSON_ARRAY},
               {"passes.", "mode", JSON_STRING},
               {"passes.", "taps", JSON_INTEGER},
               {"passes.", "elements", JSON_INTEGER},
               {"passes.", "failed_taps", JSON_INTEGER}};

static core_status check(const json_t *o, const char *where, const char *path)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (strcmp(members[i].where, where) != 0)
            continue;
        const json_t *found = json_object_get(o, members[i].key);
        CORE_FAIL_IF(
            found == NULL || json_typeof(found) != members[i].type,
            CORE_E_FORMAT,
            "%s: %s%s: expected it in a report of verify --json, found %s",
            path, where, members[i].key,
            found == NULL ? "none" : "a value of another type");
    }
    return CORE_OK;
}

static core_status check_plan(const json_t *plan, const char *path)
{
    size_t i, k;
    json_t *c, *pass;
    CORE_TRY(check(plan, "plans.", path));
    json_array_foreach(json_object_get(plan, "cases"), i, c)
    {
        CORE_TRY(check(c, "plans.cases.", path));
        json_array_foreach(json_object_get(c, "passes"), k, pass)
            CORE_TRY(check(pass, "passes.", path));
    }
    return CORE_OK;
}

static core_status check_all(const json_t *o, const char *path)
{
    const char *schema = har__text_of(o, "schema");
    size_t i;
    json_t *plan;
    CORE_FAIL_IF(schema == NULL || strcmp(schema, SCHEMA) != 0, CORE_E_FORMAT,
                 "%s: schema: expected %s, which verify --json writes, found "
                 "%.60s",
                 path, SCHEMA, schema != NULL ? schema : "none");
    CORE_TRY(check(o, "", path));
    CORE_TRY(check(json_object_get(o, "model"), "model.", path));
    json_array_foreach(json_object_get(o, "plans"), i, plan)
        CORE_TRY(check_plan(plan, path));
    return CORE_OK;
}

core_status har__verdicts_read(json_t **out, const char *path)
{
    char *text = NULL;
    CORE_TRY_CTX(core_text_read(&text, path, MAX_FILE_BYTES),
                 "reading a report of verify --json");
    const core_status status = core_json_parse(out, text, strlen(text), path);
    free(text);
    return status == CORE_OK ? check_all(*out, path) : status;
}

const char *har__text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

bool har__verdicts_has(const json_t *verdicts, const char *plan)
{
    size_t i;
    json_t *at;
    json_array_foreach(json_object_get(verdicts, "plans"), i, at)
        if (strcmp(har__text_of(at, "plan"), plan) == 0)
            return true;
    return false;
}

/* --- writing --- */

static int64_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* The first tap that differs, in words; "" if none does. */
static void write_first(const json_t *c, FILE *out)
{
    size_t i;
    json_t *pass;
    json_array_foreach(json_object_get(c, "passes"), i, pass)
    {
        const char *tap = har__text_of(json_object_get(pass, "first"), "tap");
        if (tap == NULL)
            continue;
        fputs("first ", out);
        har_page_text(out, tap);
        fputs(", in the ", out);
        har_page_text(out, har__text_of(pass, "mode"));
        fputs(" pass; ", out);
        break;
    }
    har_page_text(out, har__text_of(c, "reason"));
}

static void write_case(const json_t *plan, const json_t *c, bool is_ours,
                       FILE *out)
{
    const char *verdict = har__text_of(c, "verdict");
    int64_t taps = 0, elements = 0, failed = 0;
    size_t i;
    json_t *pass;
    json_array_foreach(json_object_get(c, "passes"), i, pass)
    {
        taps += number_of(pass, "taps");
        elements += number_of(pass, "elements");
        failed += number_of(pass, "failed_taps");
    }
    fprintf(out, "<tr class=\"%s\">", is_ours ? "ours" : "");
    har_page_cell(out, "plan", "%s", har__text_of(plan, "plan"));
    har_page_count(out, number_of(plan, "world"));
    har_page_cell(out, "", "%s", har__text_of(c, "numerics"));
    har_page_cell(out,
                  strcmp(verdict, "PASS") == 0       ? "PASS"
                  : strcmp(verdict, "MARGINAL") == 0 ||
                          strcmp(verdict, "PARTIAL") == 0 ||
                          strcmp(verdict, "UNPROVEN") == 0
                      ? "MARGINAL"
                      : "FAIL",
                  "%s", verdict);
    har_page_count(out, taps);
    har_page_count(out, elements);
    har_page_count(out, failed);
    fputs("<td class=\"text\">", out);
    write_first(c, out);
    fputs("</td></tr>\n", out);
}

static void write_table(const har__sheet *s, const json_t *o, FILE *out)
{
    size_t i, k;
    json_t *plan, *c;
    fputs("<div class=\"wide\"><table id=\"verdicts\"><thead><tr>"
          "<th>plan</th>"
          "<th class=\"n\">ranks</th><th>numerics</th><th>verdict</th>"
          "<th class=\"n\">taps</th><th class=\"n\">elements</th>"
          "<th class=\"n\">taps that differ</th><th></th></tr></thead>"
          "<tbody>\n",
          out);
    json_array_foreach(json_object_get(o, "plans"), i, plan)
    {
        const bool is_ours = strcmp(har__text_of(plan, "plan"), s->plan) == 0;
        json_array_foreach(json_object_get(plan, "cases"), k, c)
            write_case(plan, c, is_ours, out);
    }
    fputs("</tbody></table></div>\n", out);
}

static void write_run(const json_t *o, FILE *out)
{
    const json_t *batch = json_object_get(o, "batch");
    fputs("<dl>", out);
    har_page_fact(out, "verdict", "%s", har__text_of(o, "verdict"));
    har_page_fact(out, "model", "%s",
                  har__text_of(json_object_get(o, "model"), "name"));
    har_page_fact(out, "batch", "%lld rows of %lld tokens",
                  (long long)json_integer_value(json_array_get(batch, 0)),
                  (long long)json_integer_value(json_array_get(batch, 1)));
    fputs("</dl>\n", out);
}

void har__sheet_verdicts(const har__sheet *s, FILE *out)
{
    const json_t *o = s->verdicts;
    if (o == NULL) {
        har__section(out, "verify", "Verification", "No verdicts were given.");
        fputs("<p>They are made by <code>moeparity verify MODEL --plan '", out);
        har_page_text(out, s->plan);
        fputs("' --json verdict.json</code> and shown with <code>report "
              "--verify verdict.json</code>; a small model with the same "
              "counts (seed-mini for seed-30b) is enough for the plan.</p>"
              "</section>\n",
              out);
        return;
    }
    har__section(out, "verify", "Verification",
                 "Does a plan compute the same function as the model? Every "
                 "tensor that can be observed was compared with a reference "
                 "on this machine's processor; values, not speed.");
    write_run(o, out);
    write_table(s, o, out);
    if (!har__verdicts_has(o, s->plan))
        fputs("<div class=\"note\">None of these is the plan of this page."
              "</div>\n",
              out);
    fputs("</section>\n", out);
}
