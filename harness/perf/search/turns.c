/* harness/perf/search/turns.c -- virtual stages in step, turn by turn.
 *
 * Stage 0 takes pp micro-batches with a chunk and goes over to the next; stage
 * s does so s turns later (parallel/turns.h).  In turn j of such a change the
 * stages up to j have the new chunk and those behind the old one, so a group is
 * vpp changes, of pp turns each, and pp - 1 more turns where nothing follows.
 *
 * A stage begins when its turn before is done and the message is there, which
 * the part of one number less has sent in the turn before.
 */
#include "harness/perf/search/impl.h"

enum { NONE = -1 /* no chunk: the pipeline is empty */ };

static double later(double a, double b)
{
    return b <= a ? a : b;
}

/* Over the turns of a change, of the slowest stage at work: again [n_part]
 * where it has the part in the turn before, too; enter [pp] where it changes.
 */
static double sum_of_slowest(const double *again, const double *enter, int pp,
                             int old, int next)
{
    double behind[CORE_MAX_LAYERS + 1]; /* [pp + 1] of stage s and up */
    double before = 0, sum = 0;
    behind[pp] = 0;
    for (int s = pp - 1; s > 0; s--)
        behind[s] = old != NONE ? later(behind[s + 1], again[old * pp + s]) : 0;
    for (int j = 0; j < pp; j++) {
        double most = behind[j + 1];
        if (next != NONE) {
            most = later(most, later(before, enter[j]));
            before = later(before, again[next * pp + j]);
        }
        sum += most;
    }
    return sum;
}

/* Seconds until a part has the message of the one before it. */
static double sent_to(const har__segments *own, int part)
{
    return part > 0 ? own->after[part - 1] : 0;
}

/* From the last pair of a turn to the first of the next. */
static double sum_between(const har__segments *own, int old, int next)
{
    const int pp = own->pp, n_part = pp * own->vpp;
    double again[CORE_MAX_LAYERS], enter[CORE_MAX_LAYERS];
    for (int part = 0; part < n_part; part++)
        again[part] =
            own->seconds[part] + later(sent_to(own, part), own->after[part]);
    for (int s = 0; next != NONE && s < pp; s++) {
        const int part = next * pp + s;
        const double done = old != NONE ? own->after[old * pp + s] : 0;
        enter[s] = own->seconds[part] + later(sent_to(own, part), done);
    }
    return sum_of_slowest(again, enter, pp, old, next);
}

static void count_pairs(const har__segments *own, int pair, int old, int next,
                        har__pair_count *out)
{
    const int pp = own->pp, n_turn = next != NONE ? pp : pp - 1;
    int n = 0;
    for (int s = 0; old != NONE && s < pp; s++)
        n += own->n_moe[old * pp + s] > pair;
    for (int j = 0; j < n_turn; j++) {
        n -= old != NONE && own->n_moe[old * pp + j] > pair;
        n += next != NONE && own->n_moe[next * pp + j] > pair;
        out->n[n]++;
    }
}

static void change(const har__segments *own, int old, int next, har__turns *out)
{
    const int n_part = own->pp * own->vpp;
    out->seconds += sum_between(own, old, next);
    for (int pair = 1; pair < own->n_pair; pair++) {
        const double *mine = own->seconds + pair * n_part;
        out->seconds +=
            sum_of_slowest(mine, mine + (next != NONE ? next * own->pp : 0),
                           own->pp, old, next);
    }
    for (int pair = 0; pair < own->n_pair; pair++)
        count_pairs(own, pair, old, next, &out->pairs);
}

static void change_all(const har__segments *own, int before, har__turns *out)
{
    *out = (har__turns){0};
    change(own, before, 0, out);
    for (int chunk = 1; chunk < own->vpp; chunk++)
        change(own, chunk - 1, chunk, out);
}

void har__turns_of_group(const har__segments *own, har__turns *out)
{
    change_all(own, NONE, out);
    change(own, own->vpp - 1, NONE, out);
    out->seconds += own->after[own->pp * own->vpp - 1];
}

void har__turns_of_more(const har__segments *own, har__turns *out)
{
    change_all(own, own->vpp - 1, out);
}
