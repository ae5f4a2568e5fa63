/* harness/judge/tapname.c -- see tapname.h.
 *
 * A prefix is whatever stands before "layers." or, for the taps that exist
 * once, before the last dot; the digits in it number the prompt.  Trap: a slash
 * ("bound/layers.0.out") marks a companion of a tap, which is no tap.
 */
#include "harness/judge/tapname.h"

#include <ctype.h>
#include <string.h>

/* Known names that are no taps of a decoder; phase 0 comes first. */
static const struct {
    const char *name;
    int64_t phase;
} others[] = {
    {"input_ids", 0},     {"attention_mask", 0},
    {"hidden_in", 1},     {"mlp_in", 1},
    {"router_prob", 3},   {"expert", 3},
    {"router_logits", 2}, {"dispatch", 4},
    {"mlp_out", 5},       {"mlp_out_passthrough", 5},
    {"out", 6},           {"out_passthrough", 6},
    {"logits_f64", 9},
};

static int64_t part_number(const char *prefix, const char *end)
{
    int64_t n = 0;
    for (const char *p = prefix; p < end; p++)
        if (isdigit((unsigned char)*p) && n < INT32_MAX)
            n = n * 10 + (*p - '0');
    return n;
}

bool har_tapname_parse(har_tapname *out, const char *name)
{
    const char *body = strstr(name, "layers.");
    if (strlen(name) >= HAR_DUMP_NAME || strchr(name, '/') != NULL)
        return false;
    if (body == NULL)
        body = strrchr(name, '.') != NULL ? strrchr(name, '.') + 1 : name;
    memset(out, 0, sizeof *out);
    out->prefix_bytes = (int)(body - name);
    out->order[0] = part_number(name, body);
    out->is_tap = core_tap_parse(&out->tap, body);
    if (out->is_tap) {
        out->order[1] = !core_tap_is_global(out->tap.kind) ? 7
                        : out->tap.kind == CORE_TAP_EMBED  ? 1
                                                           : 8;
        out->order[2] = out->tap.layer;
        out->order[3] = (int64_t)out->tap.kind;
        return true;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(body, others[i].name) == 0) {
            out->order[1] = others[i].phase;
            return true;
        }
    }
    return false;
}

int har_tapname_compare(const int64_t a[4], const int64_t b[4])
{
    for (int i = 0; i < 4; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}
