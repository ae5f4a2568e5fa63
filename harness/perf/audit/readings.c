/* harness/perf/audit/readings.c -- which plans a document may mean.
 *
 * Degrees and a number of GPUs that do not fit leave open which of them counts
 * the GPUs.  So every product of stated degrees, and the stated number, is
 * taken as the number of ranks, and every legal plan on it, with either scope,
 * is a candidate: a degree that nobody states may be any.  Candidates are
 * ordered by how many claims about the structure they contradict, then by how
 * far their degrees are from the stated ones, then by whether the experts have
 * dp copies, then by size, then by how little is cut: replicas are the first
 * that an unstated degree is taken for, then tensor ranks, then stages, then
 * parts of rows.  Rows and stages are cut (cp, vpp) as stated; plans whose rows
 * are cut though nobody says so are a list of their own, which is asked for
 * where the others leave a claim open (run.c, which tries vpp, too).
 */
#include "harness/perf/audit/impl.h"

#include <math.h>
#include <string.h>

enum { MAX_WORLD = 1 << 14, MAX_WORLDS = 40 };

static const har_quantity degrees[] = {HAR_Q_TP, HAR_Q_PP, HAR_Q_DP, HAR_Q_EP,
                                       HAR_Q_CP};
enum { N_DEGREES = sizeof degrees / sizeof degrees[0] };

/* The first figure of a quantity, or what the hardware is said to have; 0 if
 * nobody states it. */
static int stated(const har_claims *claims, har_quantity q)
{
    for (int i = 0; i < claims->n; i++) {
        const har_claim *c = &claims->at[i];
        if (c->quantity == q && har__is_figure(c) && c->value >= 1.0 &&
            c->value <= (double)MAX_WORLD)
            return (int)c->value;
    }
    return claims->has_fact[q] ? (int)claims->fact[q].lo : 0;
}

static int add_world(int *world, int n, int64_t size)
{
    for (int i = 0; i < n; i++)
        if (world[i] == size)
            return n;
    if (size < 1 || size > MAX_WORLD || n == MAX_WORLDS)
        return n;
    world[n] = (int)size;
    return n + 1;
}

/* The stated number of GPUs and every product of stated degrees. */
static int list_worlds(int *world, const har_claims *claims)
{
    const int64_t of_nodes = (int64_t)stated(claims, HAR_Q_NODES) *
                             stated(claims, HAR_Q_GPUS_PER_NODE);
    const bool has_cp = stated(claims, HAR_Q_CP) > 0; /* the last degree      */
    const unsigned n_set = 1u << (has_cp ? N_DEGREES : N_DEGREES - 1);
    int n = add_world(world, 0, stated(claims, HAR_Q_GPUS));
    n = add_world(world, n, of_nodes);
    for (unsigned set = 1; set < n_set; set++) {
        int64_t size = 1;
        for (unsigned i = 0; i < N_DEGREES; i++)
            if ((set >> i & 1u) != 0 && stated(claims, degrees[i]) > 0)
                size *= stated(claims, degrees[i]);
        n = add_world(world, n, size);
    }
    return n;
}

/* --- candidates --- */

typedef struct search {
    const har_claims *claims;
    bool cut; /* rows, which nobody says                                       */
    int64_t n_searched;
    int n;
    har_reading best[HAR_MAX_READINGS];
} search;

static bool is_structural(har_quantity q)
{
    double ignored = 0.0;
    const har_reading any = {true, 1, 1, 1, 1, 1, 1, 1, PAR_SCOPE_STAGE, 0, 1, 1};
    return har__degree(&any, q, &ignored) || q == HAR_Q_EXPERTS_PER_GPU ||
           q == HAR_Q_LAYERS_PER_STAGE || q == HAR_Q_HEADS_PER_GPU ||
           q == HAR_Q_MODULES || q == HAR_Q_MODULES_PER_GPU;
}

/* Structural figures that differ from what the plan gives. */
static int count_broken(const har_claims *claims, const har_reading *reading)
{
    static const int any_meaning[HAR_N_WORDS] = {1, 1, 1};
    int n = 0;
    for (int i = 0; i < claims->n; i++) {
        const har_claim *claim = &claims->at[i];
        har_interval given;
        if (is_structural(claim->quantity) && har__is_figure(claim) &&
            har__given(claims, reading, any_meaning, claim->quantity, &given) &&
            !har_intervals_meet(claim->range, given))
            n++;
    }
    return n;
}

static int copies(const har_reading *r)
{
    const int in_scope = r->scope == PAR_SCOPE_STAGE ? r->dp : r->dp * r->pp;
    return in_scope * r->cp * r->tp / (r->ep * r->etp);
}

/* How far the degrees are from the stated ones, in doublings. */
static double distance(const har_claims *claims, const har_reading *r)
{
    const int number[] = {r->tp, r->pp, r->dp, r->ep, r->cp};
    double sum = 0.0;
    for (int i = 0; i < N_DEGREES; i++)
        if (stated(claims, degrees[i]) > 0)
            sum += fabs(log2((double)number[i] / stated(claims, degrees[i])));
    return sum;
}

static bool is_better(const har_reading *a, const har_reading *b,
                      const har_claims *claims)
{
    const int dp = stated(claims, HAR_Q_DP);
    const double far_a = distance(claims, a), far_b = distance(claims, b);
    if (a->n_broken_degree != b->n_broken_degree)
        return a->n_broken_degree < b->n_broken_degree;
    if (far_a != far_b)
        return far_a < far_b;
    if ((copies(a) == dp) != (copies(b) == dp))
        return copies(a) == dp;
    if (har_reading_gpus(a) != har_reading_gpus(b))
        return har_reading_gpus(a) < har_reading_gpus(b);
    if (a->cp != b->cp)
        return a->cp < b->cp;
    if (a->pp != b->pp)
        return a->pp < b->pp;
    if (a->tp != b->tp)
        return a->tp < b->tp;
    return a->etp < b->etp;
}

static void keep(search *s, const har_reading *r)
{
    int at = s->n;
    while (at > 0 && is_better(r, &s->best[at - 1], s->claims))
        at--;
    if (at == HAR_MAX_READINGS)
        return;
    const int last = s->n < HAR_MAX_READINGS ? s->n++ : HAR_MAX_READINGS - 1;
    memmove(s->best + at + 1, s->best + at,
            (size_t)(last - at) * sizeof *s->best);
    s->best[at] = *r;
}

static har_reading reading_of(const par_plan *p)
{
    return (har_reading){true,  p->tp, p->pp,     p->dp,    p->ep,
                         p->etp, p->mb, p->rounds, p->scope, 0,
                         p->cp,  p->vpp};
}

static void consider(void *self, const par_plan *plan)
{
    search *s = self;
    const har_claims *claims = s->claims;
    s->n_searched++;
    if (plan->pp == 1 && plan->scope == PAR_SCOPE_REPLICA)
        return; /* one stage is all of them */
    har_reading r = reading_of(plan);
    const int dp = stated(claims, HAR_Q_DP);
    const int mb = stated(claims, HAR_Q_MICRO_BATCHES);
    const int vpp = stated(claims, HAR_Q_VPP);
    r.mb = mb > 0 ? mb : 1;
    r.vpp = r.pp > 1 && vpp > 0 && vpp <= (int)claims->spec.n_l / r.pp ? vpp : 1;
    r.rounds = r.dp < dp && dp % r.dp == 0 ? dp / r.dp : 1;
    r.n_broken_degree = count_broken(claims, &r);
    keep(s, &r);
}

bool har__reads_alike(const har_claims *claims, const har_reading *a,
                      const har_reading *b)
{
    const int of_a[] = {a->tp, a->pp, a->dp, a->ep, a->cp};
    const int of_b[] = {b->tp, b->pp, b->dp, b->ep, b->cp};
    for (int i = 0; i < N_DEGREES; i++)
        if (stated(claims, degrees[i]) > 0 && of_a[i] != of_b[i])
            return false;
    return har_reading_gpus(a) == har_reading_gpus(b) &&
           (a->etp == b->etp || stated(claims, HAR_Q_ETP) == 0) &&
           a->scope == b->scope;
}

static void consider_cut(search *s, int n_rank, int cp)
{
    if (cp > 1 && n_rank % cp == 0)
        par_plan_each_legal_cp(&s->claims->spec, n_rank, cp, PAR_CP_GATHER,
                               consider, s);
}

/* Legal plans on so many ranks: with the stated cp and without, or with each. */
static void consider_world(search *s, int n_rank)
{
    if (!s->cut) {
        par_plan_each_legal(&s->claims->spec, n_rank, consider, s);
        consider_cut(s, n_rank, stated(s->claims, HAR_Q_CP));
        return;
    }
    for (int cp = 2; cp <= n_rank; cp++)
        consider_cut(s, n_rank, cp);
}

/* A step of decoding has one token of a row: nothing to cut. */
static bool is_about_decoding(const har_claims *claims)
{
    return claims->meaning[HAR_WORD_PASS] == 2 ||
           har__is_stated(claims, HAR_Q_TPOT) ||
           har__is_stated(claims, HAR_Q_USER_RATE) ||
           har__is_stated(claims, HAR_Q_MTP_ACCEPTED);
}

int har_readings_find(har_reading *out, const har_claims *claims, bool cut,
                      int64_t *n_searched)
{
    int world[MAX_WORLDS];
    search s = {.claims = claims, .cut = cut};
    bool any = false;
    *n_searched = 0;
    if (cut && (claims->has_plan || har__is_stated(claims, HAR_Q_CP) ||
                is_about_decoding(claims)))
        return 0;
    for (int i = 0; i < N_DEGREES; i++)
        any = any || stated(claims, degrees[i]) > 0;
    any = any || stated(claims, HAR_Q_GPUS) > 0 ||
          stated(claims, HAR_Q_NODES) * stated(claims, HAR_Q_GPUS_PER_NODE) > 0;
    if (cut && !any)
        return 0;
    if (claims->has_plan || !any) {
        out[0] = (har_reading){.exists = false, .mb = 1};
        if (claims->has_plan)
            out[0] = reading_of(&claims->plan);
        return 1;
    }
    const int n = list_worlds(world, claims);
    for (int i = 0; i < n; i++)
        consider_world(&s, world[i]);
    memcpy(out, s.best, (size_t)s.n * sizeof *out);
    *n_searched = s.n_searched;
    return s.n;
}

void har_reading_write(const har_reading *r, char *out, size_t bytes)
{
    char text[PAR_PLAN_TEXT], known[PAR_PLAN_TEXT];
    const char *name, *preset;
    par_plan plan;
    if (par_plan_parse(&plan, "tp=1") != CORE_OK || !r->exists) {
        snprintf(out, bytes, "no plan");
        return;
    }
    plan.tp = r->tp;
    plan.cp = r->cp;
    plan.pp = r->pp;
    plan.vpp = r->vpp;
    plan.dp = r->dp;
    plan.ep = r->ep;
    plan.etp = r->etp;
    plan.mb = r->mb;
    plan.rounds = r->rounds;
    plan.scope = r->scope;
    par_plan_format(&plan, text);
    for (int i = 0; par_plan_preset(i, &name, &preset); i++) {
        if (par_plan_parse(&plan, preset) != CORE_OK)
            continue;
        par_plan_format(&plan, known);
        if (strcmp(known, text) == 0) {
            snprintf(out, bytes, "%s (%s)", name, text);
            return;
        }
    }
    snprintf(out, bytes, "%s", text);
}
