/* harness/perf/cost/context.c -- what ranks that share rows exchange.
 *
 * With cp = 1 nothing.  Keys and values are gathered, go round in blocks, or
 * heads are dealt out: then a rank attends with some heads to all tokens, and
 * the context of every token goes back to the rank that has it.
 */
#include "harness/perf/cost/record.h"

static core_cost exchange(const har__walk *w, core_collective collective,
                          core_tap_kind tap)
{
    core_cost cost = har__record(w, CORE_COST_COLLECTIVE, tap);
    cost.collective = collective;
    cost.axis = CORE_AXIS_CP;
    cost.group = w->lay->plan.cp;
    return cost;
}

/* Tokens of all my rows, and those of rank c. */
static int64_t n_all(const har__walk *w)
{
    return w->n_row * w->request->batch->n_t;
}

static int64_t n_token(const har__walk *w, int c)
{
    return w->n_row *
           par_layout_n_t(&w->lay->plan, c, w->request->batch->n_t);
}

void har__put_context(har__walk *w, core_tap_kind tap, int64_t n_col,
                      core_cost_type type)
{
    const par_layout *lay = w->lay;
    if (lay->plan.cp == 1)
        return;
    core_cost cost = exchange(w, CORE_ALL_GATHER, tap);
    cost.type = type;
    cost.in = w->n * n_col;
    cost.out = n_all(w) * n_col;
    cost.sent = har__all_gather_sends(lay->plan.cp, lay->c, cost.in, cost.out);
    har__put(w, cost);
}

/* All parts but that of the next rank, which comes to me last. */
void har__put_ring(har__walk *w, core_tap_kind tap, int64_t n_col)
{
    const int cp = w->lay->plan.cp;
    core_cost cost = exchange(w, CORE_RING, tap);
    cost.in = w->n * n_col;
    cost.out = n_all(w) * n_col;
    cost.sent = cost.out - n_token(w, (w->lay->c + 1) % cp) * n_col;
    har__put(w, cost);
}

/* `width` columns a head of all my heads become those of the heads in my turn,
 * of all tokens.                                                             */
static void put_deal(har__walk *w, bool is_kv, int64_t width)
{
    const par_layout *lay = w->lay;
    const int kind = w->spec->head_kind[w->layer];
    core_cost cost = exchange(w, CORE_ALL_TO_ALL, CORE_TAP_CONTEXT);
    for (int c = 0; c < lay->plan.cp; c++) {
        const par_heads theirs = par_layout_dealt(lay, kind, c);
        const int64_t n = (is_kv ? theirs.n_kv : theirs.n_h) * width;
        cost.in += w->n * n;
        cost.sent += c != lay->c ? w->n * n : 0;
        cost.out += c == lay->c ? n_all(w) * n : 0;
    }
    har__put(w, cost);
}

par_heads har__put_dealt(har__walk *w)
{
    const par_heads *mine = har__heads(w);
    put_deal(w, false, mine->all.n_dh);
    put_deal(w, true, mine->all.n_dh);
    if (!w->spec->one_kv)
        put_deal(w, true, mine->all.n_dv);
    return par_layout_dealt(w->lay, w->spec->head_kind[w->layer], w->lay->c);
}

void har__put_dealt_back(har__walk *w)
{
    const par_heads dealt =
        par_layout_dealt(w->lay, w->spec->head_kind[w->layer], w->lay->c);
    const int64_t n = dealt.n_h * dealt.all.n_dv;
    core_cost cost = exchange(w, CORE_ALL_TO_ALL, CORE_TAP_CONTEXT);
    cost.in = n_all(w) * n;
    cost.out = w->n * n * w->lay->plan.cp;
    cost.sent = cost.in - w->n * n;
    har__put(w, cost);
}
