/* tests/support/cost_text.c -- see cost_text.h.
 *
 * The table of fields is what makes records comparable: a field that is not in
 * it is not compared, so a new one belongs here, too.
 */
#include "tests/support/cost_text.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct field {
    const char *name;
    size_t at, bytes;
} field;

#define FIELD(name)                                                            \
    {                                                                          \
#name, offsetof(core_cost, name), sizeof(((core_cost *)0)->name)       \
    }

/* Everything but kind, op and tap; the fields are int, int64_t or enums. */
static const field FIELDS[] = {
    FIELD(stage),   FIELD(rank),    FIELD(round),      FIELD(mb),
    FIELD(tick),    FIELD(n_token), FIELD(m),          FIELD(n),
    FIELD(k),       FIELD(n_head),  FIELD(n_pair),     FIELD(n_expert),
    FIELD(m_max),   FIELD(flops),   FIELD(weights),    FIELD(read),
    FIELD(written), FIELD(kv_read), FIELD(kv_written), FIELD(collective),
    FIELD(axis),    FIELD(group),   FIELD(type),       FIELD(in),
    FIELD(out),     FIELD(sent),
};

static int64_t value_of(const core_cost *cost, const field *f)
{
    const char *at = (const char *)cost + f->at;
    int small;
    int64_t large;
    if (f->bytes == sizeof small) {
        memcpy(&small, at, sizeof small);
        return small;
    }
    memcpy(&large, at, sizeof large);
    return large;
}

const char *cost_difference(const core_cost *a, const core_cost *b, int64_t *x,
                            int64_t *y)
{
    *x = a->kind;
    *y = b->kind;
    if (a->kind != b->kind)
        return "kind";
    if (strcmp(a->op, b->op) != 0)
        return "op";
    *x = a->tap.kind;
    *y = b->tap.kind;
    if (a->tap.kind != b->tap.kind || a->tap.layer != b->tap.layer)
        return "tap";
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        *x = value_of(a, &FIELDS[i]);
        *y = value_of(b, &FIELDS[i]);
        if (*x != *y)
            return FIELDS[i].name;
    }
    return NULL;
}

const char *cost_format(const core_cost *c, char text[COST_TEXT])
{
    char name[CORE_NAME_BYTES];
    const int n = snprintf(
        text, COST_TEXT, "%s %s %s, rank %d, tick %lld, micro-batch %d: ",
        c->kind == CORE_COST_COLLECTIVE ? core_collective_name(c->collective)
                                        : core_cost_kind_name(c->kind),
        c->op, core_tap_name(c->tap, name), c->rank, (long long)c->tick, c->mb);
    if (n < 0 || n >= COST_TEXT)
        return text;
    const size_t left = COST_TEXT - (size_t)n;
    if (c->kind == CORE_COST_COLLECTIVE)
        snprintf(text + n, left,
                 "%d ranks of %s, gives %lld, gets %lld, sends "
                 "%lld elements",
                 c->group, core_axis_name(c->axis), (long long)c->in,
                 (long long)c->out, (long long)c->sent);
    else
        snprintf(text + n, left,
                 "%lld x %lld x %lld, %lld flops, weights %lld, read %lld, "
                 "written %lld, kv %lld + %lld elements",
                 (long long)c->m, (long long)c->n, (long long)c->k,
                 (long long)c->flops, (long long)c->weights, (long long)c->read,
                 (long long)c->written, (long long)c->kv_read,
                 (long long)c->kv_written);
    return text;
}
