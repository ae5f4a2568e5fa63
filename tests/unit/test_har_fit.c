/* tests/unit/test_har_fit.c -- planted coefficients found again, tables
 * refused, scores by hand.
 *
 * The synthetic table is written by a machine with coefficients of our choice;
 * the fit starts elsewhere and sees one shape in five.  Errors of a score are
 * planted too, so that every figure of it is known.
 */
#include "harness/perf/score/fit.h"
#include "harness/perf/score/score.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void setup(void)
{
    strcpy(path, "/tmp/har-fit-XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
}

static har_machine preset(const char *name)
{
    har_machine m;
    ck_assert_int_eq(har_machine_open(&m, name), CORE_OK);
    return m;
}

static void write_gemm(const har_machine *m, double factor)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("m,n,k,latency\n", file);
    for (int a = 1; a <= 8192; a *= 4)
        for (int b = 96; b <= 20000; b = b * 5 / 2)
            for (int c = 64; c <= 20000; c *= 3)
                fprintf(file, "%d,%d,%d,%.17g\n", a, b, c,
                        factor * 1e3 *
                            har_time_gemm(m, CORE_DTYPE_BF16, a, b, c).seconds);
    fclose(file);
}

static har_table read_ok(const char *file, har_kind kind)
{
    har_table table;
    core_message_clear();
    ck_assert_msg(har_table_read(&table, file, kind) == CORE_OK, "%s",
                  core_message());
    return table;
}

START_TEST(fit_finds_planted_coefficients)
{
    har_machine planted = preset("a100-sxm");
    static const double values[] = {3.7, 0.61, 0.52, 0.8, 0.37};
    for (int i = 0; i < 5; i++)
        planted.coef[i].value = values[i];
    write_gemm(&planted, 1);
    har_table table = read_ok(path, HAR_GEMM);
    har_machine fitted = preset("template");
    fitted.arch = planted.arch;
    memcpy(fitted.peak, planted.peak, sizeof fitted.peak);
    fitted.memory_bw = planted.memory_bw;
    fitted.n_unit = planted.n_unit;
    fitted.clock_hz = planted.clock_hz;
    int64_t used = 0;
    ck_assert_int_eq(har_fit(&fitted, &table, &used, NULL), CORE_OK);
    ck_assert(used > 0 && used < table.n / 3);
    /* the last step of the search is 0.4 %; launch and fill nearly add up */
    for (int i = 0; i < 5; i++) {
        const double found = fitted.coef[i].value;
        ck_assert_msg(fabs(found / values[i] - 1) < 0.05, "%s %g, planted %g",
                      har_coef_key(i), found, values[i]);
        ck_assert_int_eq(fitted.coef[i].origin, HAR_MEASURED);
    }
    ck_assert_int_eq(fitted.coef[HAR_COEF_MOE].origin, HAR_TRANSFERRED);
    har_score score;
    ck_assert_int_eq(har_score_table(&score, &fitted, &table, true), CORE_OK);
    ck_assert_int_eq(score.n, table.n - used);
    ck_assert(score.median < 0.01 && score.p90 < 0.03);
    har_table_free(&table);
}
END_TEST

/* One row in twelve is off by half: nine of ten are right, but of so few that
 * the tenth is not sure to be. */
START_TEST(few_rows_make_a_wide_sigma)
{
    har_machine m = preset("a100-sxm");
    write_gemm(&m, 1);
    har_table table = read_ok(path, HAR_GEMM);
    int64_t used = 0, n = 0;
    for (int64_t i = 0; i < table.n; i++)
        if (har_is_for_fitting(table.row[i].hash) && n++ % 12 == 0)
            table.row[i].seconds *= 1.5;
    ck_assert_int_eq(har_fit(&m, &table, &used, NULL), CORE_OK);
    ck_assert_msg(used > 30 && used < 100, "%d", (int)used);
    ck_assert(m.sigma[HAR_GEMM].value > 0.9 * log(1.5) / 1.645);
    har_table_free(&table);
}
END_TEST

START_TEST(fit_needs_rows)
{
    FILE *file = fopen(path, "w");
    fputs("m,n,k,latency\n1,1,1,1\n2,2,2,2\n", file);
    fclose(file);
    har_table table = read_ok(path, HAR_GEMM);
    har_machine m = preset("a100-sxm");
    int64_t used = 0;
    core_message_clear();
    ck_assert_int_eq(har_fit(&m, &table, &used, NULL), CORE_E_INPUT);
    har_table_free(&table);
}
END_TEST

START_TEST(score_of_planted_errors)
{
    har_machine m = preset("a100-sxm");
    write_gemm(&m, 1.25); /* measured 25 % over the model: 20 % too low */
    har_table table = read_ok(path, HAR_GEMM);
    har_score score;
    m.sigma[HAR_GEMM].value = log(1.25) / 1.645 * 1.01;
    ck_assert_int_eq(har_score_table(&score, &m, &table, false), CORE_OK);
    ck_assert_int_eq(score.n, table.n);
    ck_assert(fabs(score.median - 0.2) < 1e-9);
    ck_assert(fabs(score.p90 - 0.2) < 1e-9);
    ck_assert(fabs(score.bias + log(1.25)) < 1e-9);
    ck_assert(fabs(score.coverage - 1) < 1e-9);
    ck_assert(!score.has_ranking);
    m.sigma[HAR_GEMM].value *= 0.98;
    ck_assert_int_eq(har_score_table(&score, &m, &table, false), CORE_OK);
    ck_assert(score.coverage < 1e-9);
    table.row[0].seconds = (double)NAN;
    ck_assert_int_eq(har_score_table(&score, &m, &table, false), CORE_OK);
    ck_assert(isnan(score.bias));
    har_table_free(&table);
}
END_TEST

/* Two rows of one shape fall on the same side, whoever's columns they are in.
 */
START_TEST(the_split_is_by_shape)
{
    har_table a = read_ok(TEST_DATA_DIR "/perf/gemm.csv", HAR_GEMM);
    FILE *file = fopen(path, "w");
    fputs("kernel_source,gemm_dtype,m,n,k,latency\n", file);
    for (int64_t i = 0; i < a.n; i++)
        fprintf(file, "other,bfloat16,%.0f,%.0f,%.0f,1\n",
                a.row[i].shape.as.gemm[0], a.row[i].shape.as.gemm[1],
                a.row[i].shape.as.gemm[2]);
    fclose(file);
    har_table b = read_ok(path, HAR_GEMM);
    int n_fit = 0;
    ck_assert_int_eq(a.n, b.n);
    for (int64_t i = 0; i < a.n; i++) {
        ck_assert(a.row[i].hash == b.row[i].hash);
        n_fit += har_is_for_fitting(a.row[i].hash);
    }
    ck_assert(n_fit > 0 && n_fit < a.n / 2);
    har_table_free(&a);
    har_table_free(&b);
}
END_TEST

/* The excerpts: every layout is read, and the fitted machine is about right. */
static const struct {
    const char *name;
    har_kind kind;
    int n;
    double median;
} EXCERPTS[] = {
    {"gemm", HAR_GEMM, 60, 0.15},
    {"gemm_long", HAR_GEMM, 24, 0.15},
    {"moe", HAR_MOE, 53, 0.2},
    {"attention_context", HAR_ATTENTION, 41, 0.15},
    {"attention_generation", HAR_ATTENTION, 42, 0.25},
    {"nccl", HAR_COLLECTIVE, 50, 0.15},
    {"custom_allreduce", HAR_COLLECTIVE, 23, 0.2},
    {"vidur_all_reduce", HAR_COLLECTIVE, 24, 0.5},
    {"vidur_send_recv", HAR_COLLECTIVE, 20, 0.6},
    {"plans", HAR_PLAN, 80, 0.1},
    {"deepep_normal", HAR_COLLECTIVE, 42, 0.3},
    {"deepep_ll", HAR_COLLECTIVE, 40, 0.2},
};
enum { N_EXCERPTS = sizeof EXCERPTS / sizeof EXCERPTS[0] };

START_TEST(excerpts_are_read_and_scored)
{
    char file[256];
    snprintf(file, sizeof file, "%s/perf/%s.csv", TEST_DATA_DIR,
             EXCERPTS[_i].name);
    har_table table = read_ok(file, EXCERPTS[_i].kind);
    const bool is_h100 = strncmp(EXCERPTS[_i].name, "deepep", 6) == 0;
    const har_machine m = preset(is_h100 ? "h100-sxm" : "a100-sxm");
    har_score score;
    ck_assert_int_eq(har_score_table(&score, &m, &table, false), CORE_OK);
    ck_assert_int_eq(score.n, EXCERPTS[_i].n);
    ck_assert_msg(score.median < EXCERPTS[_i].median, "%s: median %g",
                  EXCERPTS[_i].name, score.median);
    ck_assert_int_eq(score.has_ranking, EXCERPTS[_i].kind == HAR_PLAN);
    har_table_free(&table);
}
END_TEST

/* Answers of GPTs: rows of the other engine, of memory and without room are not
 * read; of the first that is, 48 layers on 8 GPUs. */
START_TEST(answers_are_scored_by_predictions)
{
    har_table table = read_ok(TEST_DATA_DIR "/perf/gpt.csv", HAR_PLAN);
    const har_machine m = preset("a100-sxm");
    har_score score;
    ck_assert_int_eq(table.n, 24);
    const har_gpt *g = &table.row[0].shape.as.gpt;
    ck_assert(g->n_l == 48 && g->n_d == 12288 && g->tp == 8);
    ck_assert_int_eq(har_score_table(&score, &m, &table, false), CORE_OK);
    ck_assert_msg(score.median < 0.15, "median %g", score.median);
    ck_assert(score.naive_median > score.median && !score.has_ranking);
    /* twice the tokens take twice the steps */
    har_gpt twice = *g;
    twice.output = 2 * g->output - 1;
    const double once = har_time_gpt(&m, g).seconds;
    const double more = har_time_gpt(&m, &twice).seconds;
    ck_assert(more > 1.5 * once && more < 2 * once);
    /* more GPUs than heads */
    twice.tp = 97;
    ck_assert(isnan(har_time_gpt(&m, &twice).seconds));
    har_table_free(&table);
}
END_TEST

/* A line of DeepEP's tables is two rows: a byte for each value there, two back.
 */
START_TEST(dispatch_and_combine_are_rows_of_their_own)
{
    har_table table =
        read_ok(TEST_DATA_DIR "/perf/deepep_normal.csv", HAR_COLLECTIVE);
    for (int64_t i = 0; i < table.n; i++) {
        const har_exchange *x = &table.row[i].shape.as.exchange;
        ck_assert_str_eq(table.row[i].shape.op,
                         i % 2 == 0 ? "dispatch" : "combine");
        ck_assert(x->is_combine == (i % 2 == 1) && x->n_gpu == 8);
        ck_assert_double_eq(x->value_bytes, i % 2 == 0 ? 1.03125 : 2);
        ck_assert(table.row[i].seconds > 2e-5 && table.row[i].seconds < 0.2);
    }
    /* of the first line: 4 units, 25.3 us and 29.9 us */
    ck_assert_int_eq(table.row[0].shape.as.exchange.n_unit, 4);
    ck_assert_double_eq_tol(table.row[0].seconds, 25.28653e-6, 1e-10);
    ck_assert_double_eq_tol(table.row[1].seconds, 29.93437e-6, 1e-10);
    har_table_free(&table);
}
END_TEST

/* --- ranking ----------------------------------------------------------------
 */

START_TEST(ranking_of_a_reversed_order)
{
    har_machine m = preset("a100-sxm");
    har_row row[3] = {{.line = 2}};
    double t[3];
    for (int i = 0; i < 3; i++) {
        row[i].shape = (har_op_shape){.kind = HAR_PLAN};
        row[i].shape.as.training =
            (har_training){4, 16, 1, 1024, 16, 12, 1024, 1 << i, 4 >> i, 1};
        t[i] = har_op_time(&m, &row[i].shape).seconds;
    }
    for (int i = 0; i < 3; i++)
        row[i].seconds = t[i];
    har_table table = {HAR_PLAN, "hand", row, 3};
    har_score score;
    ck_assert_int_eq(har_score_table(&score, &m, &table, false), CORE_OK);
    ck_assert(score.has_ranking && score.n_group == 1);
    ck_assert(fabs(score.tau - 1) < 1e-9 && fabs(score.regret) < 1e-9);
    for (int i = 0; i < 3; i++)
        row[i].seconds = 1 / t[i]; /* the best is measured as the worst */
    double best = row[0].seconds, chosen = 0, least = t[0];
    for (int i = 0; i < 3; i++) {
        best = fmin(best, row[i].seconds);
        least = fmin(least, t[i]);
    }
    chosen = 1 / least;
    ck_assert_int_eq(har_score_table(&score, &m, &table, false), CORE_OK);
    ck_assert(fabs(score.tau + 1) < 1e-9);
    ck_assert(fabs(score.regret - (chosen / best - 1)) < 1e-9);
}
END_TEST

/* --- refusals ---------------------------------------------------------------
 */

#define PLAN_COLUMNS                                                           \
    "# GPUs,global batch,micro batch,hidden size,attention heads,# layers,"    \
    "sequence length,tensor parallelism,data parallelism,pipeline "            \
    "parallelism,iteration time (ms)\n"
#define GPT_COLUMNS "section,batch,input_len,output_len,column,value_ms\n"

static const struct {
    const char *text, *message; /* no message: is read                        */
    har_kind kind;
} TABLES[] = {
    {"m,n,k,latency\n1,2,3,0.5\n", NULL, HAR_GEMM},
    {"m,n,k,latency\r\n1,2,3,0.5\r\n", NULL, HAR_GEMM},
    {"m,n,k,latency\n1,2,3,0.5\n1,x,3,0.5\n",
     ":3:2: n: expected a number from 1 to 1.67772e+07, found 'x'", HAR_GEMM},
    {"m,n,k,latency\n1,2,3,nan\n", ":2:4: latency: expected a number",
     HAR_GEMM},
    {"m,n,k,latency\n1,2,3,-1\n", ":2:4: latency: expected a number", HAR_GEMM},
    {"m,n,k,latency\n1,2,3\n", ":2:3: expected 4 fields, found 3", HAR_GEMM},
    {"m,n,k,latency\n", ": a table without a row", HAR_GEMM},
    {"", ":1:1: an empty table", HAR_GEMM},
    {"m,n,latency\n1,2,3\n",
     ":1:3: the columns of no known table of kind gemm (perf tables lists them)"
     ": expected m,n,k,latency, found 'latency' at column 3",
     HAR_GEMM},
    {"Parameters (million)," PLAN_COLUMNS "1,8,16,1,1024,16,24,1024,2,2,2,100\n",
     ":1:1: the columns of no known table of kind plan (perf tables lists them)"
     ": expected # GPUs,global batch,micro batch,",
     HAR_PLAN},
    {"Parameters (billion)," PLAN_COLUMNS
     "18.4,8,16,1,1024,16,24,1024,2,2,2,100\n",
     NULL, HAR_PLAN},
    {"Parameters (billion)," PLAN_COLUMNS
     "many,8,16,1,1024,16,24,1024,2,2,2,100\n",
     ":2:1: Parameters (billion): expected a number", HAR_PLAN},
    {"Parameters (billion)," PLAN_COLUMNS
     "18.4,4,16,1,1024,16,24,1024,2,2,2,100\n",
     ":2:9: tensor x data x pipeline parallelism = 8, expected the 4 GPUs",
     HAR_PLAN},
    {"m,n,k,latency\n1,2,3,0.5\n",
     ":1:1: columns of a table of kind gemm, expected moe", HAR_MOE},
    {"op_name,nccl_dtype,num_gpus,message_size,latency\n"
     "all_reduce,half,2,256,0.01\n",
     NULL, HAR_COLLECTIVE},
    {"op_name,nccl_dtype,num_gpus,message_size,latency\n"
     "some_reduce,half,2,256,0.01\n",
     ":2:1: op_name: unknown word 'some_reduce'", HAR_COLLECTIVE},
    {"framework,version,device,op_name,kernel_source,node_num,hidden_size,"
     "num_token,num_topk,num_experts,combine_avg_t_us,combine_bandwidth_gbps,"
     "dispatch_avg_t_us,dispatch_bandwidth_gbps\n"
     "a,b,c,ll,d,1,2048,1,8,128,11.1,2.9,ten,1.6\n",
     ":2:13: dispatch_avg_t_us: expected a number", HAR_COLLECTIVE},
    {"framework,version,device,op_name,kernel_source,node_num,hidden_size,"
     "num_token,num_topk,num_experts,combine_avg_t_us,combine_bandwidth_gbps,"
     "dispatch_avg_t_us,dispatch_bandwidth_gbps\n"
     "a,b,c,ll,d,1,2048,1,8,128,11.1,2.9,10,1.6\n",
     NULL, HAR_COLLECTIVE},
    {"op_name,nccl_dtype,num_gpus,message_size,latency\n"
     "all_reduce,half,1,256,0.01\n",
     ":2:3: num_gpus: expected a number from 2", HAR_COLLECTIVE},
    {PLAN_COLUMNS "4,16,1,1024,16,24,1024,2,2,2,100\n",
     ":2:8: tensor x data x pipeline parallelism = 8, expected the 4 GPUs",
     HAR_PLAN},
    {PLAN_COLUMNS "8,16,3,1024,16,24,1024,2,2,2,100\n",
     ":2:2: a batch of 16 does not split", HAR_PLAN},
    {GPT_COLUMNS "Performance of GPT-9B,1,20,8,FT Latency (ms),2\n",
     ":2:1: section: expected", HAR_PLAN},
    {GPT_COLUMNS "Performance of GPT-20B,1,20,8,FT Latency (ms),2\n",
     ":2:5: column: expected Latency of single GPU", HAR_PLAN},
    {GPT_COLUMNS "Performance of GPT-89B,1,20,8,Latency of 2-way TP (ms),2\n",
     ":2:5: column: expected FT Latency", HAR_PLAN},
    {GPT_COLUMNS "Performance of GPT-89B,1,0,8,FT Latency (ms),2\n",
     ":2:3: input_len: expected a number from 1", HAR_PLAN},
    {GPT_COLUMNS "Performance of GPT-89B,1,20,8,FT Latency (ms),fast\n",
     ":2:6: value_ms: expected a number", HAR_PLAN},
    {GPT_COLUMNS "Performance of GPT-20B,1,20,8,Latency of 2-way TP (ms),OOM\n",
     "a table without a row", HAR_PLAN},
    {"kernel_source,num_tokens,hidden_size,inter_size,topk,num_experts,"
     "moe_tp_size,moe_ep_size,distribution,latency\n"
     "a,1,4096,14336,2,8,1,1,power_law_x,0.4\n",
     ":2:9: distribution: expected balanced or power_law_EXPONENT", HAR_MOE},
    {"kernel_source,num_tokens,hidden_size,inter_size,topk,num_experts,"
     "moe_tp_size,moe_ep_size,distribution,latency\n"
     "a,1,4096,14336,9,8,1,1,balanced,0.4\n",
     ":2:5: topk: expected a number from 1 to 8, found '9'", HAR_MOE},
};
enum { N_TABLES = sizeof TABLES / sizeof TABLES[0] };

/* A row is the same shape, on the same side of the split, in both tables of
 * plans: the parameters only name it.                                        */
START_TEST(parameters_only_name_a_plan)
{
    static const char *const TEXT[] = {
        PLAN_COLUMNS "8,16,1,1024,16,24,2048,4,2,1,100\n",
        "Parameters (billion)," PLAN_COLUMNS
        "18.4,8,16,1,1024,16,24,2048,4,2,1,100\n"};
    har_table table[2];
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(path, "w");
        fputs(TEXT[i], file);
        fclose(file);
        ck_assert_int_eq(har_table_read(&table[i], path, HAR_PLAN), CORE_OK);
    }
    const har_training *s = &table[1].row[0].shape.as.training;
    ck_assert(s->n_gpu == 8 && s->batch == 16 && s->micro_batch == 1 &&
              s->n_d == 1024 && s->n_h == 16 && s->n_l == 24 &&
              s->n_t == 2048 && s->tp == 4 && s->dp == 2 && s->pp == 1);
    ck_assert_double_eq(table[1].row[0].seconds, 0.1);
    ck_assert_mem_eq(s, &table[0].row[0].shape.as.training, sizeof *s);
    ck_assert_uint_eq(table[0].row[0].hash, table[1].row[0].hash);
    for (int i = 0; i < 2; i++)
        har_table_free(&table[i]);
}
END_TEST

START_TEST(tables_are_read_strictly)
{
    FILE *file = fopen(path, "w");
    fputs(TABLES[_i].text, file);
    fclose(file);
    har_table table;
    core_message_clear();
    const core_status status = har_table_read(&table, path, TABLES[_i].kind);
    if (TABLES[_i].message == NULL) {
        ck_assert_msg(status == CORE_OK, "%s", core_message());
    } else {
        ck_assert_int_eq(status, CORE_E_FORMAT);
        ck_assert_msg(strstr(core_message(), TABLES[_i].message) != NULL,
                      "found: %s", core_message());
    }
    har_table_free(&table);
}
END_TEST

static Suite *fit_suite(void)
{
    Suite *suite = suite_create("har_fit");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, fit_finds_planted_coefficients);
    tcase_add_test(all, few_rows_make_a_wide_sigma);
    tcase_add_test(all, fit_needs_rows);
    tcase_add_test(all, score_of_planted_errors);
    tcase_add_test(all, the_split_is_by_shape);
    tcase_add_loop_test(all, excerpts_are_read_and_scored, 0, N_EXCERPTS);
    tcase_add_test(all, dispatch_and_combine_are_rows_of_their_own);
    tcase_add_test(all, answers_are_scored_by_predictions);
    tcase_add_test(all, ranking_of_a_reversed_order);
    tcase_add_test(all, parameters_only_name_a_plan);
    tcase_add_loop_test(all, tables_are_read_strictly, 0, N_TABLES);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    return check_main(fit_suite());
}
