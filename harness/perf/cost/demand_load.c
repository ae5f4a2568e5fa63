/* harness/perf/cost/demand_load.c -- from shares to rows.
 *
 * A token chooses K different experts; expert e is among them with probability
 * pi = min(1, K share), the excess of the popular given to the others.  So a
 * domain of n tokens has Binomial(n, pi) rows for e, of which its C slots keep
 * min(rows, C).  Drawn: the counts of all experts one after the other, each
 * given what is left.  Expected: E min(rows, C), dealt in whole rows so that
 * every sum of experts is within one row of its expectation.
 *
 * A domain's rows are split over its slices of tokens as evenly as whole rows
 * can be: where in the domain a chosen token stands is not known.
 */
#include "harness/perf/cost/demand.h"

#include "core/numbers/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDE = 64
}; /* from this expectation on a binomial is near normal      */

static const double GOLDEN = 0.6180339887498949;

static double fraction(double x)
{
    return x - floor(x);
}

typedef struct domain {
    const har_demand *demand;
    const double *pi;
    int n_e;
    int64_t n_k, n, capacity; /* tokens, slots per expert                     */
    uint64_t stream, index;   /* of its random numbers; index steps           */
    double phase;             /* of dealing expectations, in [0, 1)           */
    const double *kept;       /* expected: rows of each expert with a slot    */
} domain;

/* Probabilities of being among the K choices of a token; they add up to K. */
static void choose_probabilities(const double *share, int n_e, int64_t n_k,
                                 double *pi)
{
    double given = 0, open = 1, scale = (double)n_k;
    for (int e = 0; e < n_e; e++)
        pi[e] = 0;
    for (int pass = 0; pass < n_e && open > 0; pass++) {
        bool is_over = false;
        scale = ((double)n_k - given) / open;
        for (int e = 0; e < n_e; e++)
            if (pi[e] < 1 && share[e] * scale >= 1) {
                pi[e] = 1;
                given += 1;
                open -= share[e];
                is_over = true;
            }
        if (!is_over)
            break;
    }
    for (int e = 0; e < n_e; e++)
        if (pi[e] < 1)
            pi[e] = fmin(1, share[e] * scale);
}

/* --- drawn --- */

static uint32_t word(domain *m)
{
    return core_rng(m->demand->seed, m->stream, m->index++).word[0];
}

static double uniform(domain *m)
{
    return ((double)word(m) + 0.5) / 4294967296.0;
}

static double normal(domain *m)
{
    const uint32_t a = word(m), b = word(m);
    return core_rng_normal(a, b);
}

/* Binomial(n, p) with n p <= WIDE and p <= 1/2: from 0 upwards. */
static int64_t invert(int64_t n, double p, double u)
{
    double mass = exp((double)n * log1p(-p)), sum = mass;
    int64_t x = 0;
    while (sum < u && x < n) {
        mass *= (double)(n - x) / (double)(x + 1) * p / (1 - p);
        sum += mass;
        x++;
    }
    return x;
}

static int64_t binomial(domain *m, int64_t n, double p)
{
    if (p > 0.5)
        return n - binomial(m, n, 1 - p);
    if (n <= 0 || p <= 0)
        return 0;
    const double mean = (double)n * p;
    if (mean <= WIDE)
        return invert(n, p, uniform(m));
    const double x = rint(mean + sqrt(mean * (1 - p)) * normal(m));
    return (int64_t)fmin(fmax(x, 0), (double)n);
}

/* Rows of every expert before capacity; they add up to n K. */
static void draw(domain *m, int64_t *rows)
{
    double left_pi = (double)m->n_k;
    int64_t left = m->n * m->n_k;
    for (int e = 0; e < m->n_e; e++) {
        const int64_t least = left - m->n * (m->n_e - 1 - e);
        const double p = left_pi > 0 ? fmin(1, m->pi[e] / left_pi) : 1;
        int64_t x = binomial(m, left, p);
        x = x > m->n ? m->n : x;
        x = x < least ? least : x;
        rows[e] = e + 1 < m->n_e ? x : left;
        left -= rows[e];
        left_pi -= m->pi[e];
    }
}

/* --- expected --- */

/* E min(X, c) of X ~ Binomial(n, p). */
static double expect_kept(int64_t n, double p, int64_t c)
{
    const double mean = (double)n * p, sd = sqrt(mean * (1 - p));
    if (c >= n || p <= 0)
        return mean;
    if (p >= 1)
        return (double)c;
    if (mean > WIDE) {
        const double z = ((double)c - mean) / sd;
        const double above = 0.5 * erfc(z / sqrt(2.0));
        const double density = exp(-z * z / 2) / sqrt(6.283185307179586);
        return mean - sd * (density - z * above);
    }
    double mass = exp((double)n * log1p(-p)), below = 0, kept = 0;
    for (int64_t x = 0; x < c; x++) {
        below += mass;
        kept += (double)x * mass;
        mass *= (double)(n - x) / (double)(x + 1) * p / (1 - p);
    }
    return kept + (double)c * (1 - below);
}

/* Whole rows whose running sums follow those of the expectations. */
static void expect(const domain *m, int64_t *rows)
{
    double sum = m->phase;
    int64_t dealt = 0;
    for (int e = 0; e < m->n_e; e++) {
        sum += m->kept[e];
        const int64_t to = (int64_t)(sum + 1e-9); /* not negative: floor */
        rows[e] = to - dealt;
        dealt = to;
    }
}

/* --- draws of before --- */

enum {
    N_SET = 16,
    MOST_KEPT = 1 << 20, /* rows of a set: 4 MiB                              */
    N_SPLIT = 4,         /* loads of a set, by tp                             */
    MOST_SPLIT = 6 << 20 /* rows of all of them: 48 MiB                       */
};

/* All that draws depend on, of a demand that is the same for all layers.     */
typedef struct draw_key {
    uint64_t seed;
    int64_t n_e, n_k, n_l, n_part, n_b, n_t, by_row;
    int64_t capacity[2]; /* of the largest and the smallest domain            */
    bool is_moe[CORE_MAX_LAYERS];
    double share[PAR_MAX_EXPERTS];
} draw_key;

/* Draws spread over the slices of a plan.                                    */
typedef struct split_load {
    int tp; /* 0: an empty place */
    int64_t room;
    har_load load; /* owned                                                   */
    double n_choice, n_kept;
} split_load;

struct har__drawn {
    draw_key key; /* seed 0 and n_e 0: an empty place                         */
    int64_t room;
    int32_t *rows; /* [domains, n_e] with a slot, owned                       */
    split_load split[N_SPLIT];
    int next; /* whose place is taken next                                    */
};

void har_draws_free(har_draws *draws)
{
    for (int i = 0; draws->set != NULL && i < N_SET; i++) {
        free(draws->set[i].rows);
        for (int k = 0; k < N_SPLIT; k++)
            har_load_free(&draws->set[i].split[k].load);
    }
    free(draws->set);
    *draws = (har_draws){0};
}

static void make_key(draw_key *key, const har_demand *demand,
                     const core_spec *spec, int64_t n_part, int64_t n_b,
                     int64_t n_t)
{
    const bool by_row = spec->capacity.domain == CORE_DOMAIN_SEQUENCE;
    memset(key, 0, sizeof *key); /* keys are compared byte for byte */
    key->seed = demand->seed;
    key->n_e = demand->n_e;
    key->n_k = spec->n_k;
    key->n_l = spec->n_l;
    key->n_part = n_part;
    key->n_b = n_b;
    key->n_t = n_t;
    key->by_row = by_row;
    for (int i = 0; i < 2; i++) /* n_b / n_part rounded up and down */
        key->capacity[i] = core_spec_capacity(
            spec,
            by_row ? n_t : (n_b + (i == 0 ? n_part - 1 : 0)) / n_part * n_t);
    for (int l = 0; l < (int)spec->n_l; l++)
        key->is_moe[l] = core_spec_is_moe(spec, l);
    memcpy(key->share, demand->share,
           (size_t)demand->n_e * sizeof *demand->share);
}

/* The set of a key; NULL: there is none. */
static struct har__drawn *known_set(const har_draws *draws, const draw_key *key)
{
    for (int i = 0; i < N_SET; i++)
        if (memcmp(&draws->set[i].key, key, sizeof *key) == 0)
            return &draws->set[i];
    return NULL;
}

/* The same, or an empty one for it (*is_new); NULL: not to be kept. */
static struct har__drawn *find_drawn(har_draws *draws, const draw_key *key,
                                     int64_t n_domain, bool *is_new)
{
    const int64_t n = n_domain * key->n_e;
    if (draws->set == NULL)
        draws->set = calloc(N_SET, sizeof *draws->set);
    if (draws->set == NULL || n > MOST_KEPT)
        return NULL;
    struct har__drawn *set = known_set(draws, key);
    *is_new = set == NULL;
    if (set != NULL)
        return set;
    set = &draws->set[draws->next];
    for (int k = 0; k < N_SPLIT; k++)
        set->split[k].tp = 0;
    if (n > set->room) {
        free(set->rows);
        set->room = 0;
        set->rows = malloc((size_t)n * sizeof *set->rows);
        if (set->rows == NULL) {
            memset(&set->key, 0, sizeof set->key);
            return NULL;
        }
        set->room = n;
    }
    draws->next = (draws->next + 1) % N_SET;
    set->key = *key;
    return set;
}

/* --- into a load --- */

typedef struct filling {
    const core_spec *spec;
    const par_layout *lay;
    har_load *load;
    double pi[PAR_MAX_EXPERTS];
    double turn[PAR_MAX_EXPERTS]; /* golden turns, so that rounding spreads   */
    double phase[PAR_MAX_EXPERTS]; /* the same in this domain, in [0, 1)      */
    int64_t rows[PAR_MAX_EXPERTS];
    int64_t until[PAR_MAX_EXPERTS]; /* rows of the slices so far              */
    int64_t n_expected[2];          /* tokens for which `kept` is known       */
    double kept[2][PAR_MAX_EXPERTS];
    int32_t *drawn;                 /* rows of the domain at hand; NULL: none */
    bool is_known;                  /* drawn before; else to be kept          */
    double n_choice, n_kept;
} filling;

/* A token group of a layer. */
typedef struct group {
    int64_t layer, part;
    int64_t n_row, n_t;
} group;

/* A slice's rows of expert e, over its replicas. */
static void put_rows(const par_experts *x, int e, int64_t mine, uint64_t *to)
{
    const int first = x->replica_first[e];
    const int n = x->replica_first[e + 1] - first;
    if (n == 1)
        to[first] += (uint64_t)mine;
    for (int r = 0; n > 1 && r < n; r++)
        to[first + r] += (uint64_t)(core_split_first(mine, n, r + 1) -
                                    core_split_first(mine, n, r));
}

/* Rows [row0, row1) of a token group of n_row rows of n_t tokens, spread over its
 * slices: of the x rows of an expert, floor(v x + phase) are in slices that end by
 * v of the tokens.                                                           */
static void split(filling *f, const domain *m, const group *g, int64_t row0,
                  int64_t row1)
{
    const par_plan *plan = &f->lay->plan;
    const int tp = plan->tp, n_slice = plan->cp * tp;
    double before = 0; /* tokens of the ranks c that are past */
    memset(f->until, 0, (size_t)m->n_e * sizeof f->until[0]);
    for (int e = 0; n_slice > 1 && e < m->n_e; e++)
        f->phase[e] = fraction(f->turn[e] + m->phase);
    for (int s = 0; s < n_slice; s++) {
        const int64_t n_t = par_layout_n_t(plan, s / tp, g->n_t);
        uint64_t *to = har_load_at(f->load, g->layer, g->part, s);
        const double start = (double)(row0 * n_t), end = (double)(row1 * n_t);
        const double b =
            (double)core_split_first(g->n_row * n_t, tp, s % tp + 1);
        const double v =
            (before + fmin(fmax(b, start), end) - start) / (double)m->n;
        if (s % tp == tp - 1)
            before += end - start;
        for (int e = 0; v > 0 && e < m->n_e; e++) {
            const int64_t until =
                v >= 1 ? f->rows[e]
                       : (int64_t)(v * (double)f->rows[e] + f->phase[e]);
            put_rows(&f->lay->experts[g->layer], e, until - f->until[e], to);
            f->until[e] = until;
        }
    }
}

/* Expected rows of a domain of n tokens; parts have one size or two. */
static const double *kept_of(filling *f, const domain *m)
{
    const int i = m->n == f->n_expected[0] ? 0 : 1;
    if (m->n == f->n_expected[i])
        return f->kept[i];
    const int to = f->n_expected[0] == 0 ? 0 : 1;
    for (int e = 0; e < m->n_e; e++)
        f->kept[to][e] = e > 0 && m->pi[e] == m->pi[e - 1]
                             ? f->kept[to][e - 1]
                             : expect_kept(m->n, m->pi[e], m->capacity);
    f->n_expected[to] = m->n;
    return f->kept[to];
}

/* Rows of every expert with a slot. */
static void find_rows(filling *f, domain *m)
{
    if (f->drawn != NULL && f->is_known) {
        for (int e = 0; e < m->n_e; e++)
            f->rows[e] = f->drawn[e];
        return;
    }
    if (m->demand->is_drawn) {
        draw(m, f->rows);
    } else {
        m->kept = kept_of(f, m);
        expect(m, f->rows);
    }
    for (int e = 0; e < m->n_e; e++)
        if (f->rows[e] > m->capacity)
            f->rows[e] = m->capacity;
    for (int e = 0; f->drawn != NULL && e < m->n_e; e++)
        f->drawn[e] = (int32_t)f->rows[e];
}

static void fill_domain(filling *f, domain *m, const group *g, int64_t row0,
                        int64_t row1)
{
    find_rows(f, m);
    if (f->drawn != NULL)
        f->drawn += m->n_e;
    for (int e = 0; e < m->n_e; e++)
        f->n_kept += (double)f->rows[e];
    f->n_choice += (double)(m->n * m->n_k);
    split(f, m, g, row0, row1);
}

static void fill_group(filling *f, const har_demand *demand, int64_t n_row,
                       int64_t n_t, int64_t layer, int64_t part)
{
    const bool by_row = f->spec->capacity.domain == CORE_DOMAIN_SEQUENCE;
    const int64_t n_domain = by_row ? n_row : 1;
    const int64_t n = by_row ? n_t : n_row * n_t;
    const group g = {layer, part, n_row, n_t};
    for (int64_t i = 0; i < n_domain && n > 0; i++) {
        const uint64_t number =
            ((uint64_t)layer << 40) + ((uint64_t)part << 20) + (uint64_t)i;
        domain m = {.demand = demand,
                    .pi = f->pi,
                    .n_e = demand->n_e,
                    .n_k = f->spec->n_k,
                    .n = n,
                    .capacity = core_spec_capacity(f->spec, n),
                    .stream = core_rng_stream("load") + number,
                    .phase =
                        fraction((double)(layer * 31 + part + i) * GOLDEN)};
        fill_domain(f, &m, &g, i, by_row ? i + 1 : n_row);
    }
}

static void use_draws(filling *f, har_draws *draws, const har_demand *demand,
                      int64_t n_b, int64_t n_t)
{
    const core_spec *spec = f->spec;
    const bool by_row = spec->capacity.domain == CORE_DOMAIN_SEQUENCE;
    const int64_t n_domain = by_row ? n_b : f->load->n_part;
    bool is_new;
    draw_key key;
    make_key(&key, demand, spec, f->load->n_part, n_b, n_t);
    struct har__drawn *set =
        find_drawn(draws, &key,
                   n_domain * core_spec_count_moe(spec, 0, (int)spec->n_l),
                   &is_new);
    if (set == NULL || n_b * n_t > INT32_MAX)
        return;
    f->drawn = set->rows;
    f->is_known = !is_new;
}

void har_demand_load(const har_demand *demand, const core_spec *spec,
                     const par_layout *layout, int64_t n_b, int64_t n_t,
                     har_draws *draws, har_load *load, double *n_choice,
                     double *n_kept)
{
    filling f = {.spec = spec, .lay = layout, .load = load};
    if (draws != NULL && demand->is_drawn && demand->by_layer == NULL)
        use_draws(&f, draws, demand, n_b, n_t);
    choose_probabilities(demand->share, demand->n_e, spec->n_k, f.pi);
    for (int e = 0; e < demand->n_e; e++)
        f.turn[e] = e * GOLDEN;
    for (int layer = 0; layer < (int)spec->n_l; layer++) {
        if (!core_spec_is_moe(spec, layer))
            continue;
        if (demand->by_layer != NULL) {
            choose_probabilities(demand->by_layer +
                                     (int64_t)layer * demand->n_e,
                                 demand->n_e, spec->n_k, f.pi);
            f.n_expected[0] = f.n_expected[1] = 0;
        }
        for (int64_t part = 0; part < load->n_part; part++) {
            const int64_t n_row =
                core_split_first(n_b, load->n_part, part + 1) -
                core_split_first(n_b, load->n_part, part);
            fill_group(&f, demand, n_row, n_t, layer, part);
        }
    }
    *n_choice = f.n_choice;
    *n_kept = f.n_kept;
}

/* The set of draws that the load of a layout is split from; NULL: such loads are
 * not kept. */
static struct har__drawn *set_of(har_draws *draws, const har_demand *demand,
                                 const core_spec *spec,
                                 const par_layout *layout, int64_t n_b,
                                 int64_t n_t)
{
    const par_plan *plan = &layout->plan;
    const bool is_plain = plan->cp == 1 &&
                          layout->experts->replica_first[spec->n_e] ==
                              (int)spec->n_e;
    draw_key key;
    if (draws->set == NULL || !is_plain || !demand->is_drawn ||
        demand->by_layer != NULL)
        return NULL;
    make_key(&key, demand, spec, (int64_t)plan->rounds * plan->dp * plan->mb,
             n_b, n_t);
    return known_set(draws, &key);
}

bool har_draws_find(har_draws *draws, const har_demand *demand,
                    const core_spec *spec, const par_layout *layout,
                    int64_t n_b, int64_t n_t, har_load *load, double *n_choice,
                    double *n_kept)
{
    const struct har__drawn *set =
        set_of(draws, demand, spec, layout, n_b, n_t);
    for (int k = 0; set != NULL && k < N_SPLIT; k++) {
        const split_load *split = &set->split[k];
        if (split->tp != layout->plan.tp)
            continue;
        *load = split->load;
        *n_choice = split->n_choice;
        *n_kept = split->n_kept;
        return true;
    }
    return false;
}

void har_draws_keep(har_draws *draws, const har_demand *demand,
                    const core_spec *spec, const par_layout *layout,
                    int64_t n_b, int64_t n_t, const har_load *load,
                    double n_choice, double n_kept)
{
    struct har__drawn *set = set_of(draws, demand, spec, layout, n_b, n_t);
    const int64_t n = har_load_size(load);
    split_load *split = set != NULL ? &set->split[set->next] : NULL;
    if (set == NULL || draws->n_split - split->room + n > MOST_SPLIT)
        return;
    uint64_t *n_row = split->load.n_row;
    split->tp = 0;
    if (n > split->room) {
        har_load_free(&split->load);
        draws->n_split -= split->room;
        split->room = 0;
        n_row = malloc((size_t)n * sizeof *n_row);
        if (n_row == NULL)
            return;
        split->room = n;
        draws->n_split += n;
    }
    set->next = (set->next + 1) % N_SPLIT;
    memcpy(n_row, load->n_row, (size_t)n * sizeof *n_row);
    split->load = *load;
    split->load.n_row = n_row;
    split->tp = layout->plan.tp;
    split->n_choice = n_choice;
    split->n_kept = n_kept;
}

void har_demand_kept(const har_demand *demand, const core_spec *spec,
                     int64_t n_row, int64_t n_t, double *kept)
{
    const bool by_row = spec->capacity.domain == CORE_DOMAIN_SEQUENCE;
    const int64_t n = by_row ? n_t : n_row * n_t;
    const int64_t capacity = core_spec_capacity(spec, n);
    double last_pi = -1, each = 0;
    choose_probabilities(demand->share, demand->n_e, spec->n_k, kept);
    for (int e = 0; e < demand->n_e; e++) {
        if (kept[e] != last_pi)
            each = expect_kept(n, kept[e], capacity);
        last_pi = kept[e];
        kept[e] = each * (double)(by_row ? n_row : 1);
    }
}
