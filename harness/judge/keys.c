/* harness/judge/keys.c -- keys that are chosen for queries, and could have been
 * chosen otherwise.
 *
 * Dumps seldom say which keys they chose.  The golden tells for every query the
 * scores of the last key taken and of the best one left (attn.edge), and how far
 * roundings move them.  Where these may meet, another choice is no mistake, and
 * what it makes is no rounding: a row that differs from there on is set aside.
 * One that agrees counts, but only by itself; sums over rows go without it.
 * Traps: a layer may keep the choice of one before; in a free dump what such a
 * choice makes reaches the later tokens of its row from the next layer on; of a
 * query that leaves no key both scores are 0.
 */
#include "harness/judge/judge_impl.h"

static bool is_open(har__pass *p, const har_yard_tap *edge, int64_t token,
                    int64_t n_key)
{
    const double allowed = har_yardstick_allowed(edge, token);
    if (token % edge->extent.n_t < n_key)
        return false;
    har_yardstick_row(edge, token, p->expected);
    for (int64_t c = 0; c + 1 < edge->extent.n_col; c += 2)
        if (!(p->expected[c] - p->expected[c + 1] > 2.0 * allowed))
            return true;
    return false;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void open_token(har__routing *r, int64_t token, int64_t n_t,
                       bool spreads)
{
    const int64_t now = (int64_t)r->layer * CORE_N_TAP_KINDS + CORE_TAP_SEEN;
    const int64_t next = (int64_t)(r->layer + 1) * CORE_N_TAP_KINDS;
    r->open_from[token] = least(r->open_from[token], now);
    for (int64_t i = token + 1; spreads && i / n_t == token / n_t; i++)
        r->open_from[i] = least(r->open_from[i], next);
}

void har__keys_enter(har__pass *p)
{
    har__routing *r = &p->routing;
    const core_spec *spec = &p->yard->spec;
    if (r->layer < 0 || r->layer >= spec->n_l ||
        core_spec_seen(spec, r->layer).n_set == 0)
        return;
    const har_yard_tap *edge = har_yardstick_find(
        p->yard, r->part,
        (core_tap){CORE_TAP_EDGE, core_spec_chooses(spec, r->layer)});
    const core_seen seen = core_spec_seen(spec, r->layer);
    const int64_t n_key = seen.n_key * seen.n_wide;
    if (edge == NULL)
        return;
    for (int64_t i = 0; i < edge->extent.n_b * edge->extent.n_t; i++)
        if (is_open(p, edge, i, n_key))
            open_token(r, i, edge->extent.n_t,
                       p->yard->forcing == HAR_FED_NOTHING);
}

bool har__keys_are_open(const har__pass *p, const har_yard_tap *tap,
                        int64_t row)
{
    return har__moment(tap) >= p->routing.open_from[row / tap->extent.n_k];
}
