/* harness/perf/score/table_gpt.c -- FasterTransformer's answers of GPTs.
 *
 * Facts about the measurements: rows of another engine and of memory stand among
 * those of FasterTransformer, and what ran out of memory says OOM; models are
 * named by their size, whose extents its guide gives; 89B ran on 8 GPUs, 6.7B on
 * one, 20B on as many as the column says.
 */
#include "harness/perf/score/table_impl.h"

#include <stdlib.h>
#include <string.h>

enum { SECTION, BATCH, INPUT, OUTPUT, COLUMN, VALUE };
enum { MOST_ROWS = 4096, MOST_TOKENS = 1 << 15, VOCABULARY = 51200 };

static const struct gpt {
    const char *name;
    int n_l, n_d, n_h, tp; /* tp 0: the column says it */
} GPTS[] = {{"GPT-89B", 48, 12288, 96, 8},
            {"GPT-20B", 44, 6144, 48, 0},
            {"GPT-6.7B", 32, 4096, 32, 1}};

bool har__skips_gpt(const har__line *l)
{
    const char *column = l->field[COLUMN];
    return strncmp(column, "Megatron", 8) == 0 ||
           strncmp(column, "Memory", 6) == 0 ||
           strcmp(l->field[VALUE], "OOM") == 0;
}

static core_status find_gpt(const har__line *l, const struct gpt **out)
{
    const char *name = strstr(l->field[SECTION], "GPT-");
    for (size_t i = 0; name != NULL && i < sizeof GPTS / sizeof GPTS[0]; i++)
        if (strcmp(name, GPTS[i].name) == 0) {
            *out = &GPTS[i];
            return CORE_OK;
        }
    CORE_FAIL(CORE_E_FORMAT,
              "%s:%d:%d: section: expected ... GPT-89B, GPT-20B or GPT-6.7B, "
              "found '%.40s'", l->path, l->number, SECTION + 1,
              l->field[SECTION]);
}

static core_status find_tp(const har__line *l, const struct gpt *gpt, int *out)
{
    static const struct {
        const char *column;
        int tp;
    } of[] = {{"Latency of single GPU (ms)", 1},
              {"Latency of 2-way TP (ms)", 2},
              {"Latency of 4-way TP (ms)", 4},
              {"Latency of 8-way TP (ms)", 8},
              {"FT Latency (ms)", 0}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        if (strcmp(l->field[COLUMN], of[i].column) == 0 &&
            (of[i].tp > 0) != (gpt->tp > 0)) {
            *out = of[i].tp > 0 ? of[i].tp : gpt->tp;
            return CORE_OK;
        }
    CORE_FAIL(CORE_E_FORMAT,
              "%s:%d:%d: column: expected %s, found '%.40s'", l->path,
              l->number, COLUMN + 1,
              gpt->tp > 0 ? "FT Latency (ms)"
                          : "Latency of single GPU, of 2-, 4- or 8-way TP (ms)",
              l->field[COLUMN]);
}

core_status har__read_gpt(const har__line *l, har_op_shape *out)
{
    const struct gpt *gpt = NULL;
    double x[3];
    int tp = 0;
    CORE_TRY(find_gpt(l, &gpt));
    CORE_TRY(find_tp(l, gpt, &tp));
    CORE_TRY(har__field_number(l, BATCH, 1, MOST_ROWS, &x[0]));
    CORE_TRY(har__field_number(l, INPUT, 1, MOST_TOKENS, &x[1]));
    CORE_TRY(har__field_number(l, OUTPUT, 1, MOST_TOKENS, &x[2]));
    out->is_gpt = true;
    out->as.gpt = (har_gpt){.n_l = gpt->n_l,
                                              .n_d = gpt->n_d,
                                              .n_h = gpt->n_h,
                                              .n_v = VOCABULARY,
                                              .tp = tp,
                                              .batch = (int)x[0],
                                              .input = (int)x[1],
                                              .output = (int)x[2]};
    return CORE_OK;
}
