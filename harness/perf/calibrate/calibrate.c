/* harness/perf/calibrate/calibrate.c -- what was measured, and a machine of it.
 *
 * The coefficients that every machine has are fitted as `perf fit` does it, but
 * on all shapes; the rates of products and operators are then added.  Where
 * there are rates, a prediction uses them; the coefficients stay for what asks
 * in shapes no operator of the emulation has (a search, a fused layer).
 */
#include "harness/perf/calibrate/calibrate.h"

#include "harness/perf/calibrate/cpuinfo.h"
#include "harness/perf/calibrate/rates_fit.h"
#include "harness/perf/score/fit.h"

#include "core/base/arena.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ROWS = 1 << 20, MOST_SAMPLE_BYTES = 64 << 20 };

void har_calibration_free(har_calibration *c)
{
    free(c->row);
    free(c->samples);
    c->row = NULL;
    c->samples = NULL;
}

core_status har_calibration_add(har_calibration *c, const har_op_shape *shape,
                                double seconds)
{
    har_row *row = core_grow(c->row, &c->room, c->n_row + 1, sizeof *row,
                             "measured shapes");
    if (row == NULL)
        return CORE_E_MEMORY;
    c->row = row;
    /* hash 0: all are for fitting; what is held out is measured by --check */
    c->row[c->n_row++] = (har_row){.shape = *shape, .seconds = seconds};
    return CORE_OK;
}

/* --- files --- */

core_status har_calibration_save(const har_calibration *c, const char *path)
{
    FILE *file = fopen(path, "wb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    bool ok = fwrite(c, sizeof *c, 1, file) == 1;
    ok = ok && fwrite(c->row, sizeof *c->row, (size_t)c->n_row, file) ==
                   (size_t)c->n_row;
    ok = ok && fwrite(c->samples, 1, c->n_samples, file) == c->n_samples;
    ok = fclose(file) == 0 && ok;
    CORE_FAIL_IF(!ok, CORE_E_FILE, "%s: cannot be written", path);
    return CORE_OK;
}

/* A file of the run folder says how long it is: nothing is taken from one that
 * says what no stage writes. */
static bool is_possible(const har_calibration *c)
{
    return c->n_row >= 0 && c->n_row <= MOST_ROWS &&
           c->n_samples <= MOST_SAMPLE_BYTES && c->rates.n >= 0 &&
           c->rates.n <= HAR_MAX_RATES;
}

/* Rows and samples of a calibration whose pointers mean nothing here. */
static core_status load_parts(har_calibration *c, FILE *file, const char *path)
{
    void *row, *text;
    c->row = NULL;
    c->samples = NULL;
    c->room = 0;
    CORE_FAIL_IF(!is_possible(c), CORE_E_FILE, "%s: no calibration", path);
    CORE_TRY(core_alloc(&row, c->n_row, sizeof *c->row, "shapes"));
    c->row = row;
    c->room = c->n_row;
    CORE_TRY(core_alloc(&text, (int64_t)c->n_samples + 1, 1, "samples"));
    c->samples = text;
    c->samples[c->n_samples] = '\0';
    CORE_FAIL_IF(fread(c->row, sizeof *c->row, (size_t)c->n_row, file) !=
                         (size_t)c->n_row ||
                     fread(c->samples, 1, c->n_samples, file) != c->n_samples ||
                     fgetc(file) != EOF,
                 CORE_E_FILE, "%s: cannot be read", path);
    return CORE_OK;
}

core_status har_calibration_load(har_calibration *out, const char *path)
{
    har_calibration c;
    FILE *file = fopen(path, "rb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    if (fread(&c, sizeof c, 1, file) != 1) {
        fclose(file);
        CORE_FAIL(CORE_E_FILE, "%s: cannot be read", path);
    }
    const core_status status = load_parts(&c, file, path);
    fclose(file);
    if (status == CORE_OK)
        *out = c;
    else
        har_calibration_free(&c);
    return status;
}

/* --- a machine --- */

double har_shared_cache_bytes(void)
{
    const double bytes = har_cpuinfo_cache_bytes();
    return bytes > 0 ? bytes : 8e6;
}

static void describe(har_machine *m, const har_calibration *kernels,
                     const har_calibration *links)
{
    m->peak[CORE_DTYPE_F64] = kernels->peak[0];
    m->peak[CORE_DTYPE_F32] = kernels->peak[1];
    m->memory_bytes =
        (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    m->memory_bw = kernels->copy_bw;
    m->n_unit = 1;
    m->clock_hz = har_cpuinfo_hz();
    m->unit_bytes_per_clock = kernels->cache_bw / m->clock_hz;
    m->l2_bytes = har_shared_cache_bytes();
    m->n_tile = 1; /* the library's blocks of rows and columns               */
    m->tile[0][0] = 32;
    m->tile[0][1] = 64;
    m->max_split = 1;
    m->n_link = 1;
    m->link[0] = (har_link){.name = "shared memory",
                            .n_gpu = 1024,
                            .bw = links->link_bw,
                            .origin = HAR_MEASURED};
}

static core_status fit_kind(har_machine *m, har_calibration *c, har_kind kind)
{
    int64_t used = 0;
    void *row;
    CORE_TRY(core_alloc(&row, c->n_row + 1, sizeof(har_row), "rows of a fit"));
    har_table table = {.kind = kind, .row = row};
    for (int64_t i = 0; i < c->n_row; i++)
        if (c->row[i].shape.kind == kind)
            table.row[table.n++] = c->row[i];
    const core_status status = har_fit(m, &table, &used, NULL);
    free(row);
    return status;
}

/* The uncertainty of a kind, where rates speak for it. */
static void take_sigma(har_machine *m, har_kind kind, core_cost_kind of)
{
    double worst = 0;
    for (int i = 0; i < m->rates.n; i++)
        if (m->rates.rate[i].of.kind == of)
            worst = fmax(worst, m->rates.rate[i].sigma);
    if (worst > 0)
        m->sigma[kind] = (har_value){worst, HAR_MEASURED};
}

core_status har_calibration_machine(har_machine *out, har_calibration *kernels,
                                    har_calibration *links)
{
    static const har_kind fitted[] = {HAR_GEMM, HAR_MOE, HAR_ATTENTION};
    har_machine *m = out;
    memset(m, 0, sizeof *m);
    snprintf(m->name, sizeof m->name, "this-cpu");
    describe(m, kernels, links);
    for (size_t i = 0; i < sizeof fitted / sizeof fitted[0]; i++)
        CORE_TRY(fit_kind(m, kernels, fitted[i]));
    CORE_TRY(fit_kind(m, links, HAR_COLLECTIVE));
    /* nobody trains here: a pass costs its operators, each one's start is in
     * its rate */
    m->coef[HAR_COEF_HOST] =
        (har_value){fmax(0.1, m->coef[HAR_COEF_LAUNCH].value), HAR_ASSUMED};
    m->sigma[HAR_PLAN] = (har_value){m->sigma[HAR_MOE].value, HAR_ASSUMED};
    m->rates = kernels->rates;
    take_sigma(m, HAR_GEMM, CORE_COST_GEMM);
    take_sigma(m, HAR_MOE, CORE_COST_GROUPED_GEMM);
    take_sigma(m, HAR_ATTENTION, CORE_COST_ATTENTION);
    har_machine_clamp(m);
    return CORE_OK;
}
