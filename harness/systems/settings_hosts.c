/* harness/systems/settings_hosts.c -- how many ranks a hostfile has room for.
 *
 * DeepSpeed and Open MPI write "HOST slots=8", MPICH "HOST:8"; what else stands
 * on a line (max_slots=, binding) is not looked at.
 */
#include "harness/systems/impl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SLOTS = 1 << 20 };

/* Ranks of a line; 0: it names no host with a number. */
static long slots(const char *line, size_t n)
{
    char text[256];
    const size_t n_host = strcspn(line, " \t:\r\n");
    if (n_host == 0 || n >= sizeof text || !isalnum((unsigned char)line[0]))
        return 0;
    memcpy(text, line, n);
    text[n] = '\0';
    const char *rest = text + n_host + strspn(text + n_host, " \t");
    if (strncmp(rest, "slots=", 6) == 0)
        rest += 6;
    else if (*rest == ':')
        rest++;
    else
        return 0;
    const size_t n_digit = strspn(rest, "0123456789");
    const bool is_end =
        rest[n_digit] == '\0' || isspace((unsigned char)rest[n_digit]);
    return n_digit > 0 && n_digit < 7 && is_end ? strtol(rest, NULL, 10) : 0;
}

/* The next line that is no comment and not blank; its length. */
static size_t next_line(const char **text)
{
    while (**text != '\0') {
        *text += strspn(*text, " \t\r\n");
        if (**text != '#')
            break;
        *text += strcspn(*text, "\n");
    }
    return strcspn(*text, "\n");
}

bool har_is_hosts(const char *text)
{
    int n_host = 0;
    for (size_t n; (n = next_line(&text)) > 0; text += n, n_host++)
        if (slots(text, n) == 0)
            return false;
    return n_host > 0;
}

static core_status put(har_settings *out, const char *name, const char *what,
                       long value)
{
    char text[24];
    CORE_FAIL_IF(value > MOST_SLOTS, CORE_E_FORMAT,
                 "%s: room for %ld ranks, at most %d are supported", name,
                 value, MOST_SLOTS);
    snprintf(text, sizeof text, "%ld", value);
    CORE_TRY(har_settings_put(out, what, text, strlen(text)));
    out->item[out->n - 1].place = HAR_AT_HOSTFILE;
    return CORE_OK;
}

core_status har_settings_hosts(har_settings *out, const char *text,
                               const char *name)
{
    long sum = 0, n_host = 0, first = 0;
    bool is_equal = true;
    for (size_t n; (n = next_line(&text)) > 0; text += n, n_host++) {
        const long own = slots(text, n);
        first = n_host == 0 ? own : first;
        is_equal = is_equal && own == first;
        sum += own;
    }
    CORE_FAIL_IF(out->has_hosts, CORE_E_USAGE,
                 "%s: a second hostfile, expected one", name);
    out->has_hosts = true;
    CORE_TRY(put(out, name, "hosts", n_host));
    CORE_TRY(put(out, name, "slots", sum));
    return is_equal ? put(out, name, "slots-per-host", first) : CORE_OK;
}
