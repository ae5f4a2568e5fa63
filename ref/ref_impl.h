/* ref/ref_impl.h -- what the files of ref/ share and nobody else sees.
 *
 * A `ref__run` is one forward pass: the operators take it first, then their
 * inputs, then their output.  Operators deliver their own taps.  Nothing in a
 * pass can fail: all memory is taken, and everything validated, before.
 *
 * Work is cut into pieces whose sizes never depend on the number of threads or
 * on where weights live, and each piece is one single-threaded dgemm: dgemm
 * itself changes bits when a product is cut elsewhere.
 */
#ifndef REF_IMPL_H
#define REF_IMPL_H

#include "core/base/arena.h"
#include "core/model/elementary.h"
#include "core/model/operators.h"
#include "ref/ref.h"

enum {
    REF__MAX_TILE = 2048,   /* rows of a weight that one dgemm takes          */
    REF__QUERY_BLOCK = 128, /* queries of one head that attention takes       */
};

struct ref_model {
    const core_spec *spec;       /* borrowed                                  */
    const core_weights *weights; /* borrowed                                  */
    core_numerics numerics;
    ref_options options;

    core_arena arena; /* owns the storage                                     */
    core_arena work;  /* of the last pass: the next one need not clear pages  */
    double *storage;  /* all weights as doubles; NULL: read per tile          */
    int64_t n_stored; /* doubles in it                                        */
    double **tensor;  /* [core_weight_count] into storage, or NULL            */
    float *floats;    /* of the first drawn pass: every tensor where it lies
                       * in storage, as floats, transposed                    */
    bool has_floats;  /* of the weights as they are now                       */
    double *max_norm; /* [core_weight_count] exact mode: largest row norm     */

    /* How work is cut.  In exact mode no choice changes a bit: tests vary them.
     */
    int64_t row_chunk;     /* input rows of one dgemm                         */
    int64_t tile_rows;     /* weight rows of one dgemm, <= REF__MAX_TILE      */
    int64_t tile_doubles;  /* and at most so many weights                     */
    int64_t group_doubles; /* inner activations [rows, F] held at once        */
};

/* Whose errors a bound pays for: u of one addition or product, of storing, on
 * how many sides computing errs (storing does on both), and what storing may do
 * near zero.                                                                 */
typedef struct ref__roundoff {
    double sum, store, sides, least;
} ref__roundoff;

/* For the largest input of a product.                                        */
typedef struct ref__room {
    double *v, *norm;
} ref__room;

typedef struct ref__run {
    ref_model *model;
    const core_spec *spec;
    const core_batch *batch;
    const core_groups *groups;
    int n_copy;                /* of the rows of the batch; honest: 1         */
    const core_tap_sink *sink; /* [n_copy], or NULL                           */
    const ref_draw *draw; /* [n_copy] alike but for what they take over; NULL:
                           * an honest pass                                   */
    uint64_t draw_stream;
    const ref_dealt *dealt; /* NULL: the router chooses                         */
    ref_stats *stats;
    core_numerics numerics;
    bool exact, bounds;
    ref__roundoff u; /* bounds only; of what `out` stores                     */
    int n_threads;
    double before, share; /* of the progress that is told; 0: tells none      */
    int64_t n;            /* tokens: B*T, of all copies                       */

    core_arena arena;
    double *x;               /* [N, Dx] residual stream                       */
    double *h;               /* [N, D] what a part of a layer reads of it     */
    double *xn, *r;          /* [N, D] normed, sub-layer out                  */
    double *joint;           /* [N, *] weights of what joins part and stream  */
    double *streams;         /* [n_threads, Dx + D] of a token                */
    double *look;            /* [3, D] vectors of a connection                */
    struct {                 /* of each kind of heads                         */
        double *cos_tj, *sin_tj; /* [positions, Dr/2]                         */
        double *back_tj;         /* less sin, where something is turned back  */
    } rope[CORE_HEAD_KINDS];
    int64_t *seen;           /* [N, columns of the sets] keys chosen last       */
    double *norm_weight;     /* [widest vector] of a norm that adds 1         */
    double *row_norm;        /* [max rows of a product]; bounds only        */
    double *operand;         /* of a product, where it is rounded as it is read */
    bool quantises;          /* products may quantise what they read          */
    ref__room room[2];       /* where they do: two products at a time         */
    float *bound;            /* [N, max cols of a token tap]; bounds only   */
    double *tile_scratch;    /* [n_threads, tile_stride] a weight tile      */
    double *out_scratch;     /* [n_threads, out_stride] an output tile      */
    int64_t tile_stride, out_stride;
    float *draw_scratch; /* [n_threads, draw_stride] in a drawn pass          */
    int64_t draw_stride;
} ref__run;

/* ---- taps (forward.c) --------------------------------------------------- */

/* Elements of the tap in one copy of the batch.                              */
static inline int64_t ref__tap_size(const ref__run *run, core_tap tap)
{
    return core_tap_n_rows(run->spec, tap, run->n / run->n_copy) *
           core_tap_cols(run->spec, tap);
}

bool ref__wants(const ref__run *run, core_tap_kind kind, int layer);
/* True if somebody wants the tap's bound.                                    */
bool ref__wants_bound(const ref__run *run, core_tap_kind kind, int layer);
/* Deliver what an operator stored; `values` is what the next one reads, so here
 * a drawn pass puts the honest values in their place.                        */
void ref__put(const ref__run *run, core_tap_kind kind, int layer,
              double *values, const float *bound);
/* Deliver only: a copy of what is forced where it is used.                   */
void ref__deliver(const ref__run *run, core_tap_kind kind, int layer,
                  const double *values, const float *bound);
void ref__put_ints(const ref__run *run, core_tap_kind kind, int layer,
                   const int64_t *ints);

/* run->bound if somebody wants the bound of this token tap, else NULL.       */
float *ref__bound_buffer(const ref__run *run, core_tap_kind kind, int layer);

/* A tap that only moves values, n of them: bound 0.                          */
void ref__put_transfer(const ref__run *run, core_tap_kind kind, int layer,
                       const double *values, int64_t n);

/* ---- draw.c -------------------------------------------------------------- */

/* How one operator of a drawn pass rounds.                                   */
typedef struct ref__drawn {
    core_numerics numerics;
    core_rounding type; /* of what is stored                                  */
    bool eager;  /* stores what it makes on its way                       */
    bool stated; /* stores what the numerics say, and nothing else        */
    bool split;  /* a product: stores two halves                          */
    int n_lane;  /* of a sum: a power of two                              */
    int n_block; /* of a product's K, the first of them, and the direction */
    int first;
    double cut;      /* [0, 1): where the blocks meet                         */
    bool descending;
} ref__drawn;

/* Of odd runs.                                                               */
static inline bool ref__is_eager(const ref_draw *draw)
{
    return draw->run % 2 != 0 && !draw->stated;
}

uint64_t ref__draw_stream(const ref_draw *draw);
ref__drawn ref__draw_operator(const ref__run *run, core_tap_kind kind,
                              int layer);
ref__drawn ref__draw_product(const ref__run *run, core_weight id);

/* Turn some of the stored elements [first, first + n) of a tap by a unit, in
 * draws of one style.                                                        */
void ref__turn(const ref__run *run, core_tap_kind kind, int layer,
               int64_t first, int64_t n, double *y);
/* Turn an element of each row [n_k] of what a product reads, where it was
 * rounded as it was read, in the same draws.                                 */
void ref__turn_operand(const ref__run *run, core_slot slot, double *x,
                       int64_t n_row, int64_t n_k);
/* Put elements [first, first + n) of the honest tap in place of values[0..n),
 * if this pass forces it.                                                    */
void ref__force(const ref__run *run, core_tap_kind kind, int layer,
                int64_t first, int64_t n, double *values);
/* The ints of the pass whose routing is taken over; false in an honest pass,
 * and where it does not say.                                                 */
bool ref__forced_ints(const ref__run *run, core_tap_kind kind, int layer,
                      int64_t *out);

/* The factors of y [n_row, n] = x w^T (w [n, n_k]) or x w (w [n_k, n]).      */
typedef struct ref__factors {
    const double *x, *w;
    const float *floats; /* [n_k, n] of either, if there are some             */
    int64_t ld_x, ld_w, ld_floats;
    int64_t n_row, n, n_k;
    bool transposed;
} ref__factors;

/* y [n_col, n_row] = x [n_row, n_col] as floats, transposed.                 */
void ref__to_floats_transposed(float *y, int64_t ld_y, const double *x,
                               int64_t ld_x, int64_t n_row, int64_t n_col);
/* Floats that a thread needs for a product of at most n_row rows over n_k.   */
int64_t ref__draw_floats(int64_t n_row, int64_t n_k);
/* y, not yet stored.                                                         */
void ref__drawn_product(const ref__run *run, const ref__drawn *d,
                        const ref__factors *f, double *y, int64_t ld_y);

/* ---- draw_rows.c: as their namesakes, in floats, not yet stored -----------
 */

/* x in the dtype.                                                            */
float ref__stored(const ref__drawn *d, float x);

/* As ref__stored_sum does, in floats.                                        */
void ref__drawn_stored_sum(core_rounding type, const double *p, int64_t n_key,
                           const double *v, int64_t ld, int64_t n, double *y);
/* sum of w[i ld] u[i ld] over n, and bias.                                   */
double ref__drawn_dot(const ref__drawn *d, const double *w, const double *u,
                      int64_t ld, int64_t n, double bias);

void ref__drawn_rmsnorm(const ref__drawn *d, double *y, const double *x,
                        const double *w, int64_t n, double n_sum, double eps);
void ref__drawn_layernorm(const ref__drawn *d, double *y, const double *x,
                          const double *w, const double *b, int64_t n,
                          double eps);
void ref__drawn_rope(const ref__drawn *d, double *r, const double *cos_j,
                     const double *sin_j, int64_t n_rot, bool interleaved);
/* x *= scale.                                                                */
void ref__drawn_scale(const ref__drawn *d, double *x, int64_t n, double scale);
double ref__drawn_quotient(const ref__drawn *d, double x, double divisor);
double ref__drawn_capped(const ref__drawn *d, double z, double cap);
/* Scores to exponentials, and their sum, the sink's included.                */
double ref__drawn_exponentials(const ref__drawn *d, double *s, int64_t lo,
                               int64_t hi, const uint8_t *mask, double scale,
                               double sink);
void ref__drawn_softmax(const ref__drawn *d, double *p, const double *logits,
                        int64_t n);
double ref__drawn_sigmoid(double z);
/* core_router_score.                                                         */
double ref__drawn_score(core_router router, double z);
double ref__drawn_softplus(double z);
double ref__drawn_time_step(double z, double least, double most);
/* a = act(up), or the gated form where gate is given.                        */
void ref__drawn_activate(const ref__drawn *d, core_gating gating,
                         const double *gate, const double *up, double *a,
                         int64_t n);
/* a += scale b.                                                              */
void ref__drawn_add(const ref__drawn *d, double *a, const double *b, int64_t n,
                    double scale);
/* sum += w y, where an eager draw stores the product and every sum.          */
void ref__drawn_multiply_add(const ref__drawn *d, double *sum, const double *y,
                             double w, int64_t n);
void ref__drawn_weigh(const core_spec *spec, const ref__drawn *d,
                      const double *logits, const double *p, const int64_t *idx,
                      const double *expert_scale, double *w);
double ref__drawn_decay(double a_log, double dt);
/* Their bounded forms (core_bounded_step).                                   */
double ref__drawn_bounded_step(double a_log, double z);
double ref__drawn_bounded_decay(double floor, double dt);
/* The states of a channel one position on: stored in eager and stated draws. */
void ref__drawn_advance(const ref__drawn *d, const double *a_log, int64_t n_s,
                        double dt, double a, const double *b, double *h);
/* The same where all states decay alike, and are stored as floats.           */
void ref__drawn_advance_head(double decay, int64_t n_s, double dt, double a,
                             const double *b, double *h);
/* sum_s h_s c_s + skip a.                                                    */
double ref__drawn_read_out(const ref__drawn *d, const double *h,
                           const double *c, int64_t n_s, double skip, double a);
/* n columns of a delta rule's state [n_k, n] one position on, row i of which
 * decays by decay[i * decay_step], and what q reads from them then: y [n].  The
 * state is kept in floats in every draw.                                     */
void ref__drawn_delta(const ref__drawn *d, double *state, int64_t n_k,
                      int64_t n, const double *q, const double *k,
                      const double *v, double beta, const double *decay,
                      int64_t decay_step, double *y);
/* A token's weights of its streams from their scores m, for hyper-connections
 * (hyper.c); reads_only: the head's.                                         */
void ref__drawn_streams(const core_hyper *hyper, const double *m,
                        const double *scale, const double *base,
                        bool reads_only, double *w);

/* ---- forward.c ------------------------------------------------------------
 */

/* An honest pass, without memory yet.                                        */
ref__run ref__begin(ref_model *model, const core_batch *batch,
                    const core_groups *groups, const core_tap_sink *sink,
                    ref_stats *stats);
/* The whole pass; `dry` only takes, to measure.                              */
void ref__pass(ref__run *run, bool dry);

/* core_store over all rows, in parallel; of the slot out, or another.        */
void ref__store(const ref__run *run, core_grid grid, double *x, int64_t n);
void ref__store_in(const ref__run *run, core_slot slot, core_grid grid,
                   double *x, int64_t n);

/* ---- exactness (exactness.c) -------------------------------------------- */

/* The larger of two; a NaN counts as infinite (fmax would drop it).          */
double ref__worse(double a, double b);
/* Bits a sum needs whose terms are multiples of `step` and whose magnitudes
 * add up to at most `magnitude`, one spare bit included; infinite if NaN.    */
double ref__bits(double magnitude, double step);
/* Note that the operator behind a tap needed so many bits.          [serial] */
void ref__record_bits(const ref__run *run, core_tap_kind kind, int layer,
                      double bits);

/* ---- bounds.c: u is the tap's, n elements from bound[0] ------------------ */

/* run->u, but for taps of other slots than out.                              */
ref__roundoff ref__u(const ref__run *run, core_tap_kind kind);

/* All 0 in exact mode, which has no bounds.                                  */
ref__roundoff ref__roundoff_of(core_numerics numerics);
double ref__sum_error(ref__roundoff u, int64_t n);
/* d, what computing gives on one side, and the stores of y on both, upwards. */
float ref__up(ref__roundoff u, double d, double y);
void ref__bound_product(ref__roundoff u, float *bound, int64_t ld_bound,
                        const double *y, int64_t ld_y, int64_t n_row,
                        int64_t n_col, int64_t n_k, const double *norm_x,
                        const double *norm_w, const double *bias);
void ref__bound_relative(ref__roundoff u, float *bound, const double *y,
                         int64_t n, double n_round);
void ref__bound_copy(ref__roundoff u, float *bound, const double *y, int64_t n);
void ref__bound_norm(ref__roundoff u, float *bound, const double *y, int64_t n,
                     int64_t n_d, double n_more);
void ref__bound_rope(ref__roundoff u, float *bound, const double *qk, int64_t n,
                     int64_t n_dh, double attention_factor);
void ref__bound_act(ref__roundoff u, float *bound, const double *gate,
                    const double *up_v, const double *a, int64_t n,
                    core_act act);
void ref__bound_softmax(ref__roundoff u, float *bound, const double *logits,
                        const double *p, int64_t n);
double ref__score_error(ref__roundoff u, int64_t n_dh, double norm_q,
                        double norm_k, double score, double scale);
/* of_sum: what storing the sum after each key may do, or NULL: it is not.    */
double ref__context_share(ref__roundoff u, ref__roundoff of_p,
                          double max_score_error, int64_t n_visible);
void ref__bound_context(ref__roundoff u, ref__roundoff of_p, float *bound,
                        const double *sum_p_abs_v, const double *of_sum,
                        const double *y, int64_t n, double max_score_error,
                        double max_v, int64_t n_visible);
void ref__bound_combine(ref__roundoff u, float *bound, const double *sum_abs,
                        const double *y, int64_t n, int64_t n_k);

/* ---- bounds_families.c --------------------------------------------------- */

/* n_round of ref__bound_relative.  embed: of a scale that is no fp32 number.
 * temper: of scale, log1p (2), their product and the sum with 1.  sigmoid: of
 * exp (2), which counts less, and the sum with 1.                            */
enum {
    REF__ROUNDS_PRODUCT = 0,
    REF__ROUNDS_EMBED = 1,
    REF__ROUNDS_SIGMOID = 3,
    /* each of two quotients, tanh (4u) and products with what divides them: 8,
     * a sigmoid, two products */
    REF__ROUNDS_SITU = 21,
    REF__ROUNDS_TEMPER = 5,
};

void ref__bound_residual(ref__roundoff u, float *bound, const double *y,
                         const double *r, int64_t n, double scale,
                         double times);
/* Adds to the bounds of y's argument what core_capped does to them.          */
void ref__bound_capped(ref__roundoff u, float *bound, const double *y,
                       int64_t n);
void ref__bound_layernorm(ref__roundoff u, float *bound, const double *x,
                          const double *y, const double *w, int64_t n_d,
                          double mean, double r, double eps);
void ref__bound_clamped(ref__roundoff u, float *bound, const double *gate,
                        const double *up_v, const double *a, int64_t n,
                        core_gating gating);
void ref__bound_limited(ref__roundoff u, float *bound, const double *gate,
                        const double *up_v, const double *a, int64_t n,
                        core_gating gating);
void ref__bound_softmax_top(ref__roundoff u, float *bound, const double *logits,
                            const int64_t *idx, const double *w, int64_t n_k,
                            double scale);
void ref__bound_sparsemixer(ref__roundoff u, float *bound, const double *logits,
                            const int64_t *idx, const double *w, int64_t n_e,
                            double jitter, double scale);
void ref__bound_softplus(ref__roundoff u, float *bound, double z, double y);
void ref__bound_sqrt_softplus(ref__roundoff u, float *bound, double z,
                              double y);
/* y = sigmoid(z), z itself a product of an exponential.                       */
void ref__bound_bounded_step(ref__roundoff u, float *bound, double z, double y);
/* Of core_time_step, whose z is a sum of two.                                */
void ref__bound_time_step(ref__roundoff u, float *bound, double z, double y);
void ref__bound_sum(ref__roundoff u, float *bound, double sum_abs, double y,
                    int64_t n_term, double carried);

void ref__bound_edge(ref__roundoff u, float *bound, double largest, double y,
                     int64_t n_h, int64_t n_dh);

/* ---- model.c ------------------------------------------------------------- */

/* A model without weights, which suffices to measure.                        */
ref_model ref__model_init(const core_spec *spec);
/* Doubles from one row of a weight [*, n_k] to the next, resident or read.   */
int64_t ref__row_stride(int64_t n_k);
/* Rows [r0, r1) of a weight [*, n_k], ref__row_stride(n_k) apart: resident, or
 * read into scratch.                                                         */
const double *ref__weight_rows(const ref_model *model, core_weight id,
                               int64_t r0, int64_t r1, double *scratch);
/* Where they are columns of `floats`, as many apart as the weight has rows;
 * NULL where weights are read or nothing is drawn.                           */
const float *ref__weight_floats(const ref_model *model, core_weight id,
                                int64_t r0);
/* Make the floats of a drawn pass, once.  Errors: E_MEMORY.                  */
CORE_NODISCARD core_status ref__make_floats(ref_model *model);
/* The most rows of a weight [*, n_k] that one tile takes.                    */
int64_t ref__max_tile_rows(const ref_model *model, int64_t n_k);
/* Rows of one tile of a weight [n_out, n_k]: as many, but all tiles alike.   */
int64_t ref__tile_rows(const ref_model *model, int64_t n_out, int64_t n_k);

/* ---- context_sum.c ------------------------------------------------------- */

/* y [n] = sum_j p_j v_j, stored as ctx says after each of the n_key keys, one
 * after the other, relative to the largest p so far: a larger one scales what
 * there is, which is stored, too.  p [n_key, stride ld_p], 0 of a key that is
 * not seen; v [n_key, stride ld_v].
 *
 * error [3, n], or NULL: of y in its first n, the rest is room.  An
 * implementation's terms and what it scales by are off by `share` of themselves,
 * each operation by u.                                                       */
typedef struct ref__sum_stores {
    core_numerics ctx;
    double share, u;
} ref__sum_stores;
void ref__stored_sum(ref__sum_stores how, const double *p, int64_t ld_p,
                     int64_t n_key, const double *v, int64_t ld_v, int64_t n,
                     double *y, double *error);

/* ---- operand.c ----------------------------------------------------------- */

/* The input of products, measured once for all of them. */
typedef struct ref__rows {
    const double *v; /* [n, n_k]                                              */
    int64_t n, n_k;
    double max_norm;    /* exact mode                                         */
    const double *norm; /* [n] with bounds, else NULL                         */
} ref__rows;

/* Rows that out stored, as they are read in another slot: rounded again, or as
 * they are.                                                                  */
void ref__reread(const ref__run *run, core_slot slot, double *x, int64_t n_row,
                 int64_t n_k);

/* As a product with a matrix reads it; or one that reads in another slot than
 * act, out: as it is.  Where it is rounded it is a copy, and lasts until the
 * next.                                                                      */
ref__rows ref__measure(const ref__run *run, const double *v, int64_t n,
                       int64_t n_k);
ref__rows ref__measure_as(const ref__run *run, core_slot slot, const double *v,
                          int64_t n, int64_t n_k);

/* Rows as they are; norm [n] is room.                                        */
ref__rows ref__measure_in(const ref__run *run, const double *v, int64_t n,
                          int64_t n_k, double *norm);

/* Rows [first, first + n) of an input belong to one expert.                  */
typedef struct ref__piece {
    int expert;
    int64_t first, n;
} ref__piece;

/* x [n_row, n_k] as the product with this weight reads it, where it lies.    */
void ref__quantise(const ref__run *run, core_weight id, double *x,
                   int64_t n_row, int64_t n_k);
/* Measured rows as products with weights of that kind read them, each piece
 * with its expert's: themselves, or quantised and measured again in `room`.  */
ref__rows ref__read_by(const ref__run *run, const ref__rows *x,
                       core_weight_kind kind, int layer,
                       const ref__piece *piece, int64_t n_piece,
                       ref__room *room);

/* ---- linear.c ------------------------------------------------------------ */

/* Some rows of a weight, its bias, and what the checks need to know of them. */
typedef struct ref__tile {
    const double *w; /* [n, n_k], rows ref__row_stride(n_k) apart; NULL: rows r0
                      * of id, multiplied as they are made                    */
    core_weight id;
    int64_t r0;
    const float *floats; /* the same: [n_k, n], ld_floats apart; or NULL      */
    int64_t ld_floats;
    int64_t n, n_k;
    bool has_bias;
    double bias[REF__MAX_TILE];
    core_numerics numerics;     /* of what the product stores                 */
    ref__drawn drawn;           /* in a drawn pass                            */
    double divisor, cap;        /* of the complete sum: 1 and 0 but for the
                                 * head                                       */
    double clip;                /* results lie in [-clip, clip]; 0: anywhere  */
    double norm[REF__MAX_TILE]; /* with bounds; of the rows / divisor         */
    double max_norm, max_bias;  /* exact mode; the first with w or after a product */
    double step, bias_step;     /* exact mode                                 */
} ref__tile;

/* y, not yet stored: one dgemm, or as this pass draws it.                    */
void ref__product(const ref__run *run, const ref__drawn *drawn,
                  const ref__factors *f, double *y, int64_t ld_y);

void ref__tile_get(const ref__run *run, ref__tile *tile, core_weight id,
                   int64_t r0, int64_t r1, bool want_norms, double *scratch);
/* y [n_row, tile.n] = x W^T, not yet stored; x [n_row, n_k].                 */
void ref__tile_sums(const ref__run *run, ref__tile *tile, const double *x,
                    int64_t n_row, double *y, int64_t ld_y);
/* y [n_row, tile.n] = store((x W^T + b) / divisor), capped and clamped; x
 * [n_row, n_k].                                                              */
void ref__tile_apply(const ref__run *run, ref__tile *tile, const double *x,
                     int64_t n_row, double *y, int64_t ld_y);
/* After the tile's products. */
double ref__tile_bits(const ref__run *run, const ref__tile *tile,
                      double max_norm_x);

/* y [x.n, out] = store(x W^T + b), delivered as tap `kind`.  y NULL: nobody
 * wants it, and a tile at a time is computed for its exactness check.        */
void ref__linear(ref__run *run, const ref__rows *x, core_weight_kind weight,
                 int layer, core_tap_kind kind, double *y);

/* Columns [r0, r1) of y [x.n, out] = store(x W^T + b), and of its bound (or
 * NULL); nothing is delivered.                                               */
void ref__linear_rows(ref__run *run, const ref__rows *x, core_weight id,
                      core_tap_kind kind, int64_t r0, int64_t r1, double *y,
                      float *bound);

/* A whole small tensor, rows one after the other.                            */
void ref__read_vector(const ref__run *run, core_weight_kind kind, int layer,
                      double *out);

/* ---- norm.c, layernorm.c ------------------------------------------------- */

/* y [N, n_part * n]: every part of a row of x normed by itself; y may be x.  */
typedef struct ref__norm {
    const double *x;
    int64_t ld_x; /* from one row of x to the next                            */
    double *y;
    int64_t n_part, n;
    core_weight_kind weight; /* [1, n], for every part; CORE_W_NONE:
                              * none                                          */
    bool is_split;           /* the weight is [1, n_part * n], each part's own */
    double eps;
    double clip;  /* afterwards clamped to [-clip, clip]; 0: not              */
    bool plus;    /* the weight is 1 + what is stored (ref__is_plus_one)      */
    double over;  /* afterwards divided by this; 0: not                       */
    double n_sum; /* what the sum of squares is divided by; 0: n              */
    double step;  /* exact mode: of x; 0: CORE_STEP_ACT                       */
} ref__norm;

double ref__sum_of_squares(const double *x, int64_t n);
/* x[0..n) clamped to [-clip, clip]; clip 0: as it is.                        */
void ref__clip(double *x, int64_t n, double clip);
/* w NULL: without weight.                                                    */
void ref__rmsnorm_row(double *y, const double *x, const double *w, int64_t n_d,
                      double n_sum, double eps);
/* Do the norms of the stream, of queries and keys add 1 to their weights?    */
bool ref__is_plus_one(const ref__run *run);
void ref__rmsnorm(ref__run *run, int layer, core_tap_kind kind,
                  const ref__norm *norm);
void ref__layernorm_row(double *y, const double *x, const double *w,
                        const double *b, int64_t n_d, double eps);
/* Of whole rows: n_part 1; y may not be x.                                   */
void ref__layernorm(ref__run *run, int layer, core_tap_kind kind,
                    const ref__norm *norm, core_weight_kind bias);
/* y [N, D] = norm of x [N, D], which may be y, as norms of the stream are; the
 * model has no layernorm.                                                    */
void ref__norm_rows(ref__run *run, core_weight_kind weight, int layer,
                    core_tap_kind kind, const double *x, double *y);
/* xn = the model's norm of h.                                                */
void ref__norm_stream(ref__run *run, core_weight_kind weight,
                      core_weight_kind bias, int layer, core_tap_kind kind);

/* ---- rope.c, softmax.c --------------------------------------------------- */

/* Turn r[0..n_rot).                                                          */
void ref__rope_row(double *r, const double *cos_j, const double *sin_j,
                   int64_t n_rot, bool interleaved);
/* qk [N, n_head*n_dh]: elements [first, first + Dr) of every head are turned in
 * place, the tap is delivered.                                               */
void ref__rope(ref__run *run, int layer, core_tap_kind kind, double *qk,
               int64_t n_head, int64_t n_dh, int64_t first);
/* The same with pairs of its own: neighbours, or halves.                     */
void ref__rope_pairs(ref__run *run, int layer, core_tap_kind kind, double *qk,
                     int64_t n_head, int64_t n_dh, int64_t first,
                     bool interleaved);

/* The same, turned the other way.                                            */
void ref__rope_back(ref__run *run, int layer, core_tap_kind kind, double *qk,
                    int64_t n_head, int64_t n_dh, int64_t first);

/* The same of digests k [N, n_dh] (digest.c).                                */
void ref__rope_digests(ref__run *run, int layer, core_tap_kind kind, double *k,
                       int64_t n_dh, int64_t first);

/* s[lo..hi) = softmax of the visible scores s * scale, the others 0;
 * two passes, the exponentials stored before they are summed.  mask may be NULL.
 * sink: a logit that takes its share and gives nothing; -HUGE_VAL: none.
 * Returns the number of visible keys.                                        */
int64_t ref__softmax_row(core_numerics numerics, double *s, int64_t lo,
                         int64_t hi, const uint8_t *mask, double scale,
                         double sink);

/* ---- best_keys.c --------------------------------------------------------- */

/* key[0..n_key) = the positions of the n_key largest of score[lo..hi), ascending,
 * those that mask (NULL: none) hides left out, ties to the lowest position; then
 * -1.  edge: the scores of the last one taken and of the best one left, 0 and 0
 * if none is left.  room [hi - lo] is scratch.                               */
void ref__best_keys(int64_t *key, int64_t n_key, const double *score,
                    int64_t lo, int64_t hi, const uint8_t *mask, double *room,
                    double edge[2]);
/* The edge of a choice made elsewhere, of positions [0, n).                  */
void ref__edge_of(const int64_t *key, int64_t n_key, const double *score,
                  int64_t n, const uint8_t *mask, double edge[2]);

/* ---- convolution.c ------------------------------------------------------- */

/* Channels, each convolved along its row with weights of its own, then silu. */
typedef struct ref__convolution {
    core_weight_kind weight; /* [C, Kc]; it may have a bias                   */
    core_tap_kind tap, act_tap;
    const double *u; /* [N, C]                                                */
    double *a;       /* [N, C] convolved, then activated                      */
    int64_t n_c, n_conv;
    double *w, *bias; /* [Kc, C], [C]                                         */
} ref__convolution;

/* Sizes of the layer's weight, and room for it.                              */
void ref__convolution_take(ref__run *run, int layer, ref__convolution *c);
void ref__convolve(ref__run *run, int layer, const ref__convolution *c);
/* Without an activation.                                                     */
void ref__convolve_only(ref__run *run, int layer, const ref__convolution *c);

/* ---- gate.c, context_gate.c ---------------------------------------------- */

/* y [N, n_c] := y * act(gate), or act(y) where gate is NULL, delivered as tap
 * `kind`.                                                                    */
void ref__gate(ref__run *run, int layer, core_tap_kind kind, core_act act,
               const double *gate, double *y, int64_t n_c);
/* context [N, H*Dv] := context * sigmoid(xn . g).                            */
void ref__context_gate(ref__run *run, int layer, double *context, bool dry);
/* o_groups.c: [N, groups * n_r] from the context, in memory that it takes.   */
double *ref__o_groups(ref__run *run, int layer, const double *context,
                      bool dry);
/* digest.c: digests [N, n] of xn, as keys or for what picks of them.         */
void ref__digests(ref__run *run, int layer, bool of_picker, int64_t n,
                  double *digest, bool dry);
/* latent.c: q [N, H*Dh] from xn, by way of a short vector q_a [N, Rq] where the
 * model has one, which is normed with this eps.                              */
void ref__short_query(ref__run *run, int layer, double eps, double *q_a,
                      double *q);

/* ---- core/model/operators.h: an operator is the file of its name --------- */

/* out [N, D] from xn, and the taps on the way; one of CORE_SHARED_LIST
 * multiplies what out holds.  An operator takes what it needs from the arena;
 * `dry` only takes (to measure).  The caller rewinds.                        */
typedef void ref__operator(ref__run *run, int layer, double *out, bool dry);

/* What attention works on, whatever it was made from. */
typedef struct ref__heads {
    double *q; /* [N, n_h*n_dh]                                               */
    double *k; /* [N, n_g*n_dh]                                               */
    double *v; /* [N, n_g*n_dv]                                               */
    double *digest; /* [N, n_dh] or NULL: the digest that a token sees last   */
    double *q_a; /* [N, Rq] the short query, normed, where there is one       */
    core_heads size;
} ref__heads;

/* The heads from xn, likewise.                                               */
typedef void ref__projection(ref__run *run, int layer, const ref__heads *heads,
                             bool dry);

/* What joins a part of a layer, or the head, to the residual stream. */
typedef enum ref__part { REF__MIXER, REF__FFN, REF__HEAD } ref__part;
typedef struct ref__connection {
    int64_t (*width)(const core_spec *spec); /* columns of run->joint         */
    /* h from x, and joint; layer 0 of the head.                              */
    void (*collapse)(ref__run *run, int layer, ref__part part);
    /* x from x and what the part gave, r, by joint; delivered as tap `kind`. */
    void (*expand)(ref__run *run, int layer, core_tap_kind kind);
} ref__connection;

/* streams.c: h = the sum of the first n streams of a token, by the first n of its ld_w
 * weights in joint; delivered as tap `kind`.                                 */
void ref__read_streams(ref__run *run, int layer, core_tap_kind kind, int64_t n,
                       int64_t ld_w);
/* y [D] += w x; sum_abs may be NULL.  The largest magnitude of a term.       */
double ref__add_term(const ref__run *run, const ref__drawn *drawn, double w,
                     const double *x, double *y, double *sum_abs);
/* Store and bound (or NULL) of a finished sum of n_term terms.               */
void ref__finish_sum(const ref__run *run, core_tap_kind kind, double *y,
                     const double *sum_abs, int64_t n_term, float *bound);

#define REF__CONNECTION(kind, name) extern const ref__connection ref__##name;
CORE_CONNECTION_LIST(REF__CONNECTION)
#undef REF__CONNECTION

/* The keys of its queries into run->seen, unless they are there already, and
 * their edges.                                                               */
typedef void ref__chooser(ref__run *run, int layer, const ref__heads *heads,
                          bool is_given, bool dry);

#define REF__OPERATOR(kind, name) ref__operator ref__##name;
CORE_MIXER_LIST(REF__OPERATOR)
CORE_SHARED_LIST(REF__OPERATOR)
#undef REF__OPERATOR
#define REF__PROJECTION(kind, name) ref__projection ref__##name;
CORE_PROJECTION_LIST(REF__PROJECTION)
#undef REF__PROJECTION
#define REF__CHOOSER(kind, name) ref__chooser ref__##name;
CORE_CHOOSER_LIST(REF__CHOOSER)
#undef REF__CHOOSER

/* ---- router_scores.c, router.c ------------------------------------------- */

/* What the router decides for N tokens. */
typedef struct ref__routing {
    double *logits, *probs; /* [N, E]; probs NULL: the router has none        */
    double *weight;         /* [N, K]                                         */
    int64_t *idx, *slot;    /* [N, K]                                         */
    double *in;             /* [N, D] what the router reads, or NULL: xn      */
    double *correction;     /* [E], or NULL                                   */
    bool by_table;
    double *expert_scale;   /* likewise                                       */
    double *score;          /* [n_threads, E + groups]                        */
    int64_t *kept;          /* [n_threads, groups]                            */
} ref__routing;

void ref__softmax(core_numerics numerics, double *p, const double *logits,
                  int64_t n);
/* The k largest of p[0..n), descending, ties to the lowest index.            */
void ref__top_k(int64_t *idx, const double *p, int64_t n, int64_t k);
/* The same, ties to the highest: for REF_LAST_OF_EQUAL alone.                */
void ref__top_k_last(int64_t *idx, const double *p, int64_t n, int64_t k);
/* score [E] = p + correction (or NULL), -infinity outside the kept groups.
 * score has room for E + groups, kept for groups.                            */
void ref__eligible(const core_spec *spec, const double *p,
                   const double *correction, double *score, int64_t *kept);
/* One token by the spec's router, in three steps, from logits [E]: stored p [E]
 * of the two routers that have probabilities (else p is not looked at), idx [K]
 * (the rest as above), stored w [K] of any choice.                           */
void ref__route_scores(const core_spec *spec, core_numerics numerics,
                       const double *logits, double *p);
void ref__route_choose(const core_spec *spec, const double *logits,
                       const double *p, const double *correction, int64_t *idx,
                       double *score, int64_t *kept);
void ref__route_weigh(const core_spec *spec, core_numerics numerics,
                      const double *logits, const double *p, const int64_t *idx,
                      const double *expert_scale, double *w);
/* slot[] of all tokens of the batch by the spec's capacity rule; `groups` NULL:
 * the batch is one group.  work: ref__slots_bytes(spec, B*T).                */
void ref__slots(const core_spec *spec, const core_batch *batch,
                const core_groups *groups, const int64_t *idx,
                const double *weight, int64_t *slot, void *work);
size_t ref__slots_bytes(const core_spec *spec, int64_t n);
ref__routing ref__routing_take(ref__run *run, int layer);
void ref__router(ref__run *run, int layer, ref__routing *routing, void *work);

/* ---- ffn.c, moe.c, layer.c ----------------------------------------------- */

/* A tap whose rows come from many pieces; NULL members: nobody wants it. */
typedef struct ref__tapbuf {
    double *v;
    float *bound;
} ref__tapbuf;

/* A feed-forward network as data: experts and the dense MLP are one text. */
typedef struct ref__ffn {
    core_weight_kind w_gate, w_up, w_down;
    core_tap_kind t_gate, t_up, t_act, t_out;
    int64_t n_d, n_f; /* columns of rows in and out, and inside               */
    ref__tapbuf gate, up, act, out; /* out.v is always there                  */
    double *hidden;                 /* [group rows, n_f]                      */
    int64_t group_rows;
} ref__ffn;

/* Rows of inner activations that are held at once.                           */
int64_t ref__group_rows(const ref_model *model, int64_t n_f, int64_t n_row);
/* Buffers of the taps somebody wants, zeroed.                                */
void ref__ffn_take(ref__run *run, ref__ffn *ffn, int layer, int64_t n_row);
/* Run the pieces of x; row i of x is row out_row[i] of the taps.             */
void ref__ffn_group(ref__run *run, const ref__ffn *ffn, int layer,
                    const double *x, const int64_t *out_row,
                    const ref__piece *piece, int64_t n_piece);
void ref__ffn_put(const ref__run *run, const ref__ffn *ffn, int layer);

/* That of the model; NULL: a part reads x itself, and is added to it.        */
const ref__connection *ref__connection_of(const core_spec *spec);
void ref__mlp(ref__run *run, int layer, int64_t n_f, double *out, bool dry);
ref__operator ref__moe;
void ref__layer(ref__run *run, int layer, bool dry);

#endif
