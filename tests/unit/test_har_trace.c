/* tests/unit/test_har_trace.c -- a trace is JSON, whatever it has to say. */
#include "harness/perf/cost/trace.h"
#include "tests/support/check_main.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* A trace with one event, parsed; the event is the last. */
static json_t *write_one(const har_trace_event *event)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(out);
    har_trace_begin(out, "first \"process\"");
    har_trace_process(out, 1, "second");
    har_trace_track(out, 1, 7, "rank 7");
    har_trace_put(out, event);
    har_trace_end(out);
    ck_assert_int_eq(fclose(out), 0);
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, text);
    free(text);
    return root;
}

static json_t *event_at(json_t *root, size_t from_end)
{
    json_t *events = json_object_get(root, "traceEvents");
    return json_array_get(events, json_array_size(events) - 1 - from_end);
}

START_TEST(any_text_and_number_is_json)
{
    const har_trace_arg arg[] = {
        {.name = "quoted", .text = "a \"b\" \\ \n\t\x01 c"},
        {.name = "count", .number = 9007199254740993.0 - 1.0},
        {.name = "nothing", .number = (double)NAN},
        {.name = "endless", .number = (double)INFINITY}};
    const har_trace_event event = {.process = 1,
                                   .track = 7,
                                   .name = "gemm \"q\"",
                                   .category = "gemm",
                                   .start_us = 1234567890.5,
                                   .dur_us = 0.25,
                                   .n_arg = 4,
                                   .arg = arg};
    json_t *root = write_one(&event);
    json_t *x = event_at(root, 0), *args = json_object_get(x, "args");
    ck_assert_str_eq(json_string_value(json_object_get(x, "name")),
                     "gemm \"q\"");
    ck_assert_str_eq(json_string_value(json_object_get(x, "ph")), "X");
    ck_assert_int_eq(json_integer_value(json_object_get(x, "tid")), 7);
    ck_assert(json_number_value(json_object_get(x, "ts")) == 1234567890.5);
    ck_assert(json_number_value(json_object_get(x, "dur")) == 0.25);
    ck_assert_str_eq(json_string_value(json_object_get(args, "quoted")),
                     "a \"b\" \\ \n\t\x01 c");
    ck_assert(json_is_null(json_object_get(args, "nothing")));
    ck_assert(json_is_null(json_object_get(args, "endless")));
    json_decref(root);
}
END_TEST

/* An operator and a transfer say what they are. */
START_TEST(costs_are_named)
{
    const core_cost cost[] = {{.kind = CORE_COST_GEMM,
                               .op = "qkv",
                               .tap = {CORE_TAP_Q, 3},
                               .rank = 5,
                               .mb = -1,
                               .tick = 2,
                               .m = 4,
                               .n = 6,
                               .k = 8,
                               .flops = 384},
                              {.kind = CORE_COST_COLLECTIVE,
                               .op = "dispatch",
                               .rank = 5,
                               .tap = {CORE_TAP_RECV, 3},
                               .collective = CORE_ALL_TO_ALL,
                               .axis = CORE_AXIS_EP,
                               .group = 16,
                               .in = 9,
                               .out = 7,
                               .sent = 5}};
    static const char *const name[] = {"qkv layers.3.attn.q",
                                       "all-to-all layers.3.moe.recv"};
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(out);
    har_trace_begin(out, "run");
    for (int i = 0; i < 2; i++)
        har_trace_put_cost(out, 0, &cost[i], 10.0 * i, 5.0, 1.0);
    har_trace_end(out);
    ck_assert_int_eq(fclose(out), 0);
    json_t *root = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(root);
    for (int i = 0; i < 2; i++) {
        json_t *x = event_at(root, (size_t)(1 - i));
        ck_assert_str_eq(json_string_value(json_object_get(x, "name")),
                         name[i]);
        ck_assert_str_eq(json_string_value(json_object_get(x, "cat")),
                         core_cost_kind_name(cost[i].kind));
        ck_assert_int_eq(json_integer_value(json_object_get(x, "tid")), 5);
    }
    json_t *gemm = json_object_get(event_at(root, 1), "args");
    json_t *exchange = json_object_get(event_at(root, 0), "args");
    ck_assert_str_eq(json_string_value(json_object_get(gemm, "shape")),
                     "4 x 6 x 8");
    ck_assert_int_eq(json_integer_value(json_object_get(gemm, "micro_batch")),
                     -1);
    ck_assert_int_eq(json_integer_value(json_object_get(exchange, "sent")), 5);
    ck_assert_str_eq(json_string_value(json_object_get(exchange, "axis")),
                     "ep");
    json_decref(root);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_trace");
    TCase *tc = tcase_create("trace");
    tcase_add_test(tc, any_text_and_number_is_json);
    tcase_add_test(tc, costs_are_named);
    suite_add_tcase(suite, tc);
    return check_main(suite);
}
