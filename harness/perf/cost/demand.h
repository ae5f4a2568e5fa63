/* harness/perf/cost/demand.h -- how popular each expert is, and the load it makes.
 *
 * A demand is a share per expert.  The load (load.h) is made from it by drawing
 * every token group's choices from (seed, layer, group), or, without a seed, by
 * their expectation dealt out in whole rows; both then lose what has no slot.
 */
#ifndef HAR_PERF_DEMAND_H
#define HAR_PERF_DEMAND_H

#include "harness/perf/cost/load.h"

typedef struct har_demand {
    char text[64];                  /* as written: for reports                */
    int n_e;
    double share[PAR_MAX_EXPERTS];  /* of the choices; adds up to 1           */
    const double *by_layer;         /* [n_layer, n_e] shares of every layer,
                                     * borrowed; NULL: all have `share`       */
    bool is_drawn;
    uint64_t seed;                  /* is_drawn: of the draws                 */
} har_demand;

/* "uniform", "zipf:S" (share ~ 1 / place^S), "power:A" (weights at the middles
 * of equal slices of p(x) ~ x^-A on [1, 1000]), or the path of a file of one
 * number per expert, in order (measured counts, say), separated by white space,
 * commas or brackets; # starts a comment.  Places are dealt over the expert
 * numbers by a fixed permutation, so that the experts of a rank are a sample.
 * The load is drawn with seed 1 unless the caller changes that.
 * Errors: E_USAGE; E_FILE; E_FORMAT, naming the text.    [local] */
CORE_NODISCARD core_status har_demand_parse(har_demand *out, const char *text,
                                            int n_e);

/* x at probability u of p(x) ~ x^-a on [low, high].                  [local] */
double har_power_quantile(double a, double low, double high, double u);

/* What was drawn before: other plans whose token groups are the same need not
 * draw again.  Start with {0}.                                               */
typedef struct har_draws {
    struct har__drawn *set; /* owned                                          */
    int next;               /* the set whose place is taken next              */
    int64_t n_split;        /* room for rows of loads                         */
} har_draws;
void har_draws_free(har_draws *draws);

/* Fill a load that har_load_make made; a token's choices are different experts.
 *   n_b, n_t  the batch that the plan splits
 *   draws     NULL: none are kept
 *   n_choice, n_kept  choices, and those of them with a slot    [local] */
void har_demand_load(const har_demand *demand, const core_spec *spec,
                     const par_layout *layout, int64_t n_b, int64_t n_t,
                     har_draws *draws, har_load *load, double *n_choice,
                     double *n_kept);

/* A load that was kept: the same demand, batch and number of token groups, and as
 * many slices; without replicas or context parallelism.  *load borrows from draws
 * until more are made.  False: none was.    [local] */
bool har_draws_find(har_draws *draws, const har_demand *demand,
                    const core_spec *spec, const par_layout *layout,
                    int64_t n_b, int64_t n_t, har_load *load, double *n_choice,
                    double *n_kept);

/* Keep one that har_demand_load has just made with these draws, unless it is too
 * large or memory is short.    [local] */
void har_draws_keep(har_draws *draws, const har_demand *demand,
                    const core_spec *spec, const par_layout *layout,
                    int64_t n_b, int64_t n_t, const har_load *load,
                    double n_choice, double n_kept);

/* Choices with a slot that each expert can expect of a group of n_row rows of
 * n_t tokens.
 *   kept  [demand->n_e]    [local] */
void har_demand_kept(const har_demand *demand, const core_spec *spec,
                     int64_t n_row, int64_t n_t, double *kept);

#endif
