/* harness/page/sheet_verify.c -- the verdicts of a run of verify.
 *
 * They come from the file that `verify --json` wrote, schema
 * moeparity.verify/1; all that the page shows of it is checked before the page
 * is begun, so a missing member is a refusal and not an empty cell.
 */
#include "harness/page/sheet_impl.h"

#include "core/files/json.h"
#include "core/files/text.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 20 };

static const char SCHEMA[] = "moeparity.verify/1";

/* --- reading --- */

static core_status want(const json_t *o, const char *key, json_type type,
                        const char *path, const char *where)
{
    const json_t *found = json_object_get(o, key);
    CORE_FAIL_IF(found == NULL || json_typeof(found) != type, CORE_E_FORMAT,
                 "%s: %s%s: expected it in a report of verify --json, found %s",
                 path, where, key,
                 found == NULL ? "none" : "a value of another type");
    return CORE_OK;
}

static core_status check_case(const json_t *c, const char *path)
{
    static const char where[] = "plans.cases.";
    size_t i;
    json_t *pass;
    CORE_TRY(want(c, "numerics", JSON_STRING, path, where));
    CORE_TRY(want(c, "verdict", JSON_STRING, path, where));
    CORE_TRY(want(c, "reason", JSON_STRING, path, where));
    CORE_TRY(want(c, "passes", JSON_ARRAY, path, where));
    json_array_foreach(json_object_get(c, "passes"), i, pass)
    {
        CORE_TRY(want(pass, "mode", JSON_STRING, path, "passes."));
        CORE_TRY(want(pass, "taps", JSON_INTEGER, path, "passes."));
        CORE_TRY(want(pass, "elements", JSON_INTEGER, path, "passes."));
        CORE_TRY(want(pass, "failed_taps", JSON_INTEGER, path, "passes."));
    }
    return CORE_OK;
}

static core_status check_plans(const json_t *plans, const char *path)
{
    size_t i, k;
    json_t *plan, *c;
    json_array_foreach(plans, i, plan)
    {
        CORE_TRY(want(plan, "plan", JSON_STRING, path, "plans."));
        CORE_TRY(want(plan, "world", JSON_INTEGER, path, "plans."));
        CORE_TRY(want(plan, "cases", JSON_ARRAY, path, "plans."));
        json_array_foreach(json_object_get(plan, "cases"), k, c)
            CORE_TRY(check_case(c, path));
    }
    return CORE_OK;
}

static core_status check(const json_t *o, const char *path)
{
    const char *schema = json_string_value(json_object_get(o, "schema"));
    CORE_FAIL_IF(schema == NULL || strcmp(schema, SCHEMA) != 0, CORE_E_FORMAT,
                 "%s: schema: expected %s, which verify --json writes, found "
                 "%.60s",
                 path, SCHEMA, schema != NULL ? schema : "none");
    CORE_TRY(want(o, "verdict", JSON_STRING, path, ""));
    CORE_TRY(want(o, "model", JSON_OBJECT, path, ""));
    CORE_TRY(
        want(json_object_get(o, "model"), "name", JSON_STRING, path, "model."));
    CORE_TRY(want(o, "batch", JSON_ARRAY, path, ""));
    CORE_TRY(want(o, "plans", JSON_ARRAY, path, ""));
    return check_plans(json_object_get(o, "plans"), path);
}

core_status har__verdicts_read(void **out, const char *path)
{
    char *text = NULL;
    json_t *read = NULL;
    CORE_TRY_CTX(core_text_read(&text, path, MAX_FILE_BYTES),
                 "reading a report of verify --json");
    core_status status = core_json_parse(&read, text, strlen(text), path);
    free(text);
    if (status == CORE_OK)
        status = check(read, path);
    if (status != CORE_OK) {
        json_decref(read);
        return status;
    }
    *out = read;
    return CORE_OK;
}

void har__verdicts_free(void *verdicts)
{
    json_decref(verdicts);
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

const char *har__verdicts_word(const void *verdicts)
{
    return text_of(verdicts, "verdict");
}

const char *har__verdicts_model(const void *verdicts)
{
    return text_of(json_object_get(verdicts, "model"), "name");
}

bool har__verdicts_has(const void *verdicts, const char *plan)
{
    size_t i;
    json_t *at;
    json_array_foreach(json_object_get(verdicts, "plans"), i, at)
    {
        if (strcmp(text_of(at, "plan"), plan) == 0)
            return true;
    }
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
        const char *tap = text_of(json_object_get(pass, "first"), "tap");
        if (tap == NULL)
            continue;
        fputs("first ", out);
        har_page_text(out, tap);
        fputs(", in the ", out);
        har_page_text(out, text_of(pass, "mode"));
        fputs(" pass; ", out);
        break;
    }
    har_page_text(out, text_of(c, "reason"));
}

static void write_case(const json_t *plan, const json_t *c, bool is_ours,
                       FILE *out)
{
    const char *verdict = text_of(c, "verdict");
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
    har_page_cell(out, "plan", text_of(plan, "plan"));
    har_page_count(out, number_of(plan, "world"));
    har_page_cell(out, "", text_of(c, "numerics"));
    har_page_cell(out,
                  strcmp(verdict, "PASS") == 0       ? "PASS"
                  : strcmp(verdict, "MARGINAL") == 0 ? "MARGINAL"
                                                     : "FAIL",
                  verdict);
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
    fputs("<table id=\"verdicts\"><thead><tr><th>plan</th>"
          "<th class=\"n\">ranks</th><th>numerics</th><th>verdict</th>"
          "<th class=\"n\">taps</th><th class=\"n\">elements</th>"
          "<th class=\"n\">taps that differ</th><th></th></tr></thead>"
          "<tbody>\n",
          out);
    json_array_foreach(json_object_get(o, "plans"), i, plan)
    {
        const bool is_ours = strcmp(text_of(plan, "plan"), s->plan) == 0;
        json_array_foreach(json_object_get(plan, "cases"), k, c)
            write_case(plan, c, is_ours, out);
    }
    fputs("</tbody></table>\n", out);
}

static void write_run(const json_t *o, FILE *out)
{
    const json_t *batch = json_object_get(o, "batch");
    char text[64];
    fputs("<dl>", out);
    har_page_fact(out, "verdict", text_of(o, "verdict"));
    har_page_fact(out, "model", text_of(json_object_get(o, "model"), "name"));
    snprintf(text, sizeof text, "%lld rows of %lld tokens",
             (long long)json_integer_value(json_array_get(batch, 0)),
             (long long)json_integer_value(json_array_get(batch, 1)));
    har_page_fact(out, "batch", text);
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
