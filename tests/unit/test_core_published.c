/* tests/unit/test_core_published.c -- config.json files of published models
 * against published sizes.
 *
 * The files are in no repository of ours: MOEPARITY_CONFIGS names their folder,
 * NAME/config.json; without it this is skipped.  The sizes (tests/data/published)
 * are the publishers' own and those of transformers' classes: nothing in them
 * came from this program.
 */
#include "core/model/config.h"
#include "core/model/weight_list.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 128, SKIPPED = 77, WORD_BYTES = 96 };

/* Models that open; every further family that is read raises it. */
enum { LEAST_OPEN = 64 };

typedef struct row {
    char name[WORD_BYTES], total[WORD_BYTES], active[WORD_BYTES];
    char klass[WORD_BYTES];
    double total_to, active_to, beside;
} row;

static row rows[MOST];
static int n_row;
static const char *configs;

/* False: the list cannot be read. */
static bool read_rows(void)
{
    char line[512], total_to[WORD_BYTES], active_to[WORD_BYTES];
    FILE *file = fopen(TEST_DATA_DIR "/published/sizes.tsv", "r");
    bool good = file != NULL;
    while (good && fgets(line, sizeof line, file) != NULL) {
        row *r = &rows[n_row];
        if (line[0] == '#')
            continue;
        good = n_row < MOST &&
               sscanf(line, "%95s %95s %95s %95s %95s %lf %95s", r->name,
                      r->total, total_to, r->active, active_to, &r->beside,
                      r->klass) == 7;
        r->total_to = strtod(total_to, NULL);
        r->active_to = strtod(active_to, NULL);
        n_row += good ? 1 : 0;
    }
    if (file != NULL)
        fclose(file);
    return good && n_row > 0;
}

static core_status open_row(const row *r, core_spec *spec)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%.3900s/%.95s", configs, r->name);
    core_message_clear();
    return core_config_open(spec, NULL, NULL, folder);
}

static int64_t elements(const core_spec *spec, core_weight_kind kind)
{
    const core_weight id = {kind, 0, 0};
    int64_t n_row_, n_col;
    core_weight_shape(spec, id, &n_row_, &n_col);
    return n_row_ * n_col;
}

static bool fits(double ours, const char *published, double to)
{
    return fabs(ours * 1e-9 - strtod(published, NULL)) < to;
}

START_TEST(sizes_are_the_published_ones)
{
    const row *r = &rows[_i];
    core_spec spec;
    if (open_row(r, &spec) != CORE_OK) {
        ck_assert_msg(strstr(core_message(), "' is not supported: ") != NULL,
                      "%s", core_message());
        return;
    }
    const int64_t total = core_spec_parameters(&spec);
    ck_assert_msg(r->klass[0] == '-' || total == strtoll(r->klass, NULL, 10),
                  "%s: %lld, its class has %s", r->name, (long long)total,
                  r->klass);
    ck_assert_msg(r->total[0] == '-' || fits((double)total + r->beside * 1e9,
                                             r->total, r->total_to),
                  "%s: %lld, published %s", r->name, (long long)total,
                  r->total);
    const double active = (double)core_spec_active_parameters(&spec);
    const double embedding = (double)elements(&spec, CORE_W_EMBED);
    ck_assert_msg(r->active[0] == '-' ||
                      fits(active, r->active, r->active_to) ||
                      fits(active - embedding, r->active, r->active_to) ||
                      fits(active - 2.0 * embedding, r->active, r->active_to),
                  "%s: %.0f active, published %s", r->name, active, r->active);
}
END_TEST

START_TEST(as_many_open_as_before)
{
    int n = 0;
    core_spec spec;
    for (int i = 0; i < n_row; i++)
        n += open_row(&rows[i], &spec) == CORE_OK;
    ck_assert_int_ge(n, LEAST_OPEN);
}
END_TEST

/* The control: another total is seen. */
START_TEST(another_size_would_be_seen)
{
    ck_assert(fits(234.4e9, "235", 1.0) && !fits(233.9e9, "235", 1.0));
    ck_assert(!fits(NAN, "235", 1.0));
}
END_TEST

int main(void)
{
    configs = getenv("MOEPARITY_CONFIGS");
    if (configs == NULL || configs[0] == '\0')
        configs = PUBLISHED_CONFIGS;
    if (access(configs, R_OK) != 0) {
        printf("skipped: no folder %s (MOEPARITY_CONFIGS)\n", configs);
        return SKIPPED;
    }
    if (!read_rows()) {
        puts("tests/data/published/sizes.tsv cannot be read");
        return 1;
    }
    Suite *suite = suite_create("core_published");
    TCase *tcase = tcase_create("published");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, sizes_are_the_published_ones, 0, n_row);
    tcase_add_test(tcase, as_many_open_as_before);
    tcase_add_test(tcase, another_size_would_be_seen);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
