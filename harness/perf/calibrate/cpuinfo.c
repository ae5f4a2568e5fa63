/* harness/perf/calibrate/cpuinfo.c -- see cpuinfo.h.
 *
 * Some processors have no "model name" and no "cpu MHz" (Arm), and a hypervisor
 * may call one what it likes: the name goes into a YAML file, where ": " and
 * " #" mean something, so it is quoted.
 */
#include "harness/perf/calibrate/cpuinfo.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CACHES = 8 };
static const char CPUINFO[] = "/proc/cpuinfo";

/* What stands after "KEY :" in a line; NULL if it is another line. */
static const char *value_of(const char *line, const char *key)
{
    const size_t n = strlen(key);
    if (strncmp(line, key, n) != 0)
        return NULL;
    line += n + strspn(line + n, " \t");
    return *line == ':' ? line + 1 + strspn(line + 1, " \t") : NULL;
}

static void copy_printable(char *out, size_t n, const char *text)
{
    size_t i = 0;
    for (; i + 1 < n && text[i] != '\0' && text[i] != '\n'; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    out[i] = '\0';
}

bool har_cpuinfo_value(char *out, size_t n, FILE *cpuinfo, const char *key)
{
    char line[1024];
    out[0] = '\0';
    while (cpuinfo != NULL && fgets(line, sizeof line, cpuinfo) != NULL) {
        const char *value = value_of(line, key);
        if (value == NULL)
            continue;
        copy_printable(out, n, value);
        return true;
    }
    return false;
}

static void ask(char *out, size_t n, const char *key)
{
    FILE *file = fopen(CPUINFO, "r");
    (void)har_cpuinfo_value(out, n, file, key);
    if (file != NULL)
        fclose(file);
}

void har_cpuinfo_name(char *out, size_t n)
{
    ask(out, n, "model name");
    if (out[0] == '\0')
        snprintf(out, n, "unknown processor");
}

double har_cpuinfo_hz(void)
{
    char text[64];
    ask(text, sizeof text, "cpu MHz");
    const double mhz = strtod(text, NULL);
    return mhz > 0 ? mhz * 1e6 : 2e9;
}

double har_cpuinfo_size(const char *text)
{
    char unit = '\0', end = '\0';
    int64_t n = 0;
    if (sscanf(text, "%9" SCNd64 "%c%c", &n, &unit, &end) < 2 || n <= 0 ||
        (unit != 'K' && unit != 'M') || (end != '\0' && end != '\n'))
        return 0;
    return (double)n * (unit == 'K' ? 1024 : 1024 * 1024);
}

double har_cpuinfo_cache_bytes(void)
{
    double most = 0;
    for (int i = 0; i < MOST_CACHES; i++) {
        char path[80], text[32] = "";
        snprintf(path, sizeof path,
                 "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            break;
        if (fgets(text, sizeof text, file) != NULL)
            most = fmax(most, har_cpuinfo_size(text));
        fclose(file);
    }
    return most;
}

void har_cpuinfo_about(FILE *out, const char *name, const char *date)
{
    fputs("about: 'one core of ", out);
    for (; *name != '\0'; name++)
        fputs(*name == '\'' ? "''" : (const char[]){*name, '\0'}, out);
    fprintf(out, ", measured %s'\n", date);
}
