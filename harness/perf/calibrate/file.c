/* harness/perf/calibrate/file.c -- see file.h. */
#include "harness/perf/calibrate/file.h"

#include "harness/launch/outfile.h"
#include "harness/perf/calibrate/cpuinfo.h"

#include <cblas.h>
#include <sys/utsname.h>
#include <time.h>

static const char *const DTYPES[2] = {"f64", "f32"};

static void write_noise(FILE *out, const char *what, const har_noise *noise)
{
    fprintf(out, "# noise of %s: median %.1f %%, p90 %.1f %% of %lld\n", what,
            100 * noise->median, 100 * noise->p90, (long long)noise->n);
}

static void write_head(FILE *out, const har_machine *machine,
                       const har_calibration *kernels,
                       const har_calibration *links, const har_start_up *start)
{
    char cpu[128], date[40];
    struct utsname system = {.release = ""};
    const time_t now = time(NULL);
    har_cpuinfo_name(cpu, sizeof cpu);
    (void)uname(&system);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    fprintf(out,
            "# Made by moeparity calibrate; docs/calibrate.md says what is in "
            "it.\nmachine: %s\n",
            machine->name);
    har_cpuinfo_about(out, cpu, date);
    fprintf(out,
            "# versions: moeparity %s; %s; compiler %s; %s %s\n"
            "# start-up: %d rank %.3f s, %d ranks %.3f s\n",
            HAR_VERSION, openblas_get_config(), __VERSION__, system.sysname,
            system.release, start->n[0], start->seconds[0], start->n[1],
            start->seconds[1]);
    fputs("# noise: |one repetition / the middle one - 1|\n", out);
    write_noise(out, "products", &kernels->products);
    write_noise(out, "operators", &kernels->operators);
    write_noise(out, "collectives", &links->links);
}

core_status har_calibration_write(const char *path, const har_machine *machine,
                                  const har_calibration *kernels,
                                  const har_calibration *links,
                                  const har_start_up *start)
{
    har_outfile file;
    CORE_TRY(har_outfile_open(&file, path));
    write_head(file.file, machine, kernels, links, start);
    har_machine_print(file.file, machine);
    fputs("samples: # [what, dtype, sizes .., seconds]; bandwidth in bytes/s\n",
          file.file);
    for (int i = 0; i < 2; i++)
        fprintf(file.file, "  - [start-up, %d, %.4g]\n", start->n[i],
                start->seconds[i]);
    fputs(links->samples, file.file);
    fputs(kernels->samples, file.file);
    return har_outfile_commit(&file);
}

static void report_noise(FILE *out, const char *what, const har_noise *noise)
{
    fprintf(out, "  %-12s median %5.1f %%   p90 %5.1f %%   of %lld\n", what,
            100 * noise->median, 100 * noise->p90, (long long)noise->n);
}

void har_calibration_report(FILE *out, const har_machine *m,
                            const har_calibration *kernels,
                            const har_calibration *links,
                            const har_start_up *start, double seconds)
{
    char name[HAR_RATE_NAME];
    fprintf(out, "This machine, one core (%.0f s)\n", seconds);
    for (int i = 0; i < 2; i++)
        fprintf(out, "  products %s    %8.1f GFLOP/s at best\n", DTYPES[i],
                kernels->peak[i] * 1e-9);
    fprintf(out,
            "  memory          %8.1f GB/s, core's own cache %.1f GB/s\n"
            "  between ranks   %8.2f GB/s\n"
            "  start-up        %8.3f s for %d rank, %.3f s for %d\n",
            kernels->copy_bw * 1e-9, kernels->cache_bw * 1e-9,
            links->link_bw * 1e-9, start->seconds[0], start->n[0],
            start->seconds[1], start->n[1]);
    fputs("\nRepetitions of one measurement lie apart\n", out);
    report_noise(out, "products", &kernels->products);
    report_noise(out, "operators", &kernels->operators);
    report_noise(out, "collectives", &links->links);
    fputs("\nOperators of the emulation, error of the fit (1.645 sigma)\n", out);
    for (int i = 0; i < m->rates.n; i++)
        fprintf(out, "  %-28s %s %6.1f %%\n",
                har_rate_class_name(&m->rates.rate[i].of, name),
                m->rates.rate[i].dtype == CORE_DTYPE_F64 ? "f64" : "f32",
                164.5 * m->rates.rate[i].sigma);
    fputs("\nCoefficients of the common form\n", out);
    for (int i = 0; i < HAR_N_COEF; i++)
        fprintf(out, "  %-20s %10.4g   %s\n", har_coef_key(i), m->coef[i].value,
                har_origin_name(m->coef[i].origin));
}
