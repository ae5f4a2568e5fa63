/* golden/golden_impl.h -- what the files of golden/ share. */
#ifndef GOLD_GOLDEN_IMPL_H
#define GOLD_GOLDEN_IMPL_H

#include "core/files/path.h"
#include "core/files/safetensors.h"
#include "core/model/taps.h"
#include "core/weights/weights.h"
#include "golden/golden.h"
#include "golden/slope.h"
#include "ref/ref.h"

#include <jansson.h>

#define GOLD__MANIFEST "manifest.json"
#define GOLD__INPUT    "input.safetensors"

enum { GOLD__NAME_BYTES = 160, GOLD__DRAWS = 16, GOLD__SEED = 20240607 };

/* A tolerance is so many times the largest deviation of the draws; see
 * docs/golden.md for why.                                                    */
#define GOLD__FACTOR 5.0
#define GOLD__SLOPE_FACTOR 2.5
#define GOLD__LEAST_UNITS  2.0 /* a slope may be so many units of storing       */
#define GOLD__LEAST_SIGMAS 7.0 /* exp(-7^2 / 2) = 2e-11                         */

/* --- fingerprint.c --- */

/* Every file of a folder but the manifest: size, XXH3, and the dtype, shape and
 * XXH3 of every tensor.  Errors: E_FILE, E_FORMAT.                           */
CORE_NODISCARD core_status gold__fingerprint_folder(const char *folder,
                                                    json_t *files);

/* XXH3 of the name, shape and values of every tensor of the model in a fixed
 * order.  Prepares the weights for fp64.  Errors: E_MEMORY.                  */
CORE_NODISCARD core_status gold__fingerprint_weights(char out[GOLD_HEX_BYTES],
                                                     const core_spec *spec,
                                                     core_weights *weights);

/* --- manifest.c, manifest_read.c --- */

/* The last component of a model's path, which is all that a manifest says of
 * it: where it lay means nothing on another machine.                         */
void gold__model_name(char out[GOLD_PATH_BYTES], const char *model);

/* Libraries whose versions and kernels decide how sums are rounded.          */
void gold__arithmetic(char out[GOLD_TEXT_BYTES]);

/* The file of a numerics in a bundle: "fp32.safetensors".                    */
void gold__numerics_file(char out[GOLD_PATH_BYTES], core_numerics numerics);

/* Errors: E_INPUT if a text is no UTF-8: its member would be missing.        */
CORE_NODISCARD core_status gold__check_text(const char *what, const char *text);

/* Fingerprint what lies in `folder` and write its manifest.json.  summary
 * [n_numerics] of a bundle, else NULL.                                       */
CORE_NODISCARD core_status gold__write_manifest(const gold_case *gold,
                                                const char *folder,
                                                const gold_summary *summary);

/* Read and judge the frame of a manifest; json_decref(*root).                */
CORE_NODISCARD core_status gold__read_manifest(json_t **root,
                                               gold_origin *origin,
                                               const char *folder);

/* --- taps.c: the taps of a pass, in memory --- */

/* How draws were forced, each a tolerance of its own: REF_FREE, _LAYER, _BLOCK. */
enum { GOLD__FORCINGS = 3 };

/* What draws deviated by from the honest pass, per row the largest of them.  */
typedef struct gold__spread {
    double *largest; /* [n_row] of an element                                 */
    double *rms;     /* [n_row] root mean square over the row                 */
    double slope;    /* the largest of any cell: slope.h; 0: none, or free    */
} gold__spread;

typedef struct gold__tap {
    core_tap tap;
    bool is_output; /* else only needed to make something of it               */
    bool is_shares; /* a row's values are divided by their sum                */
    int64_t n_row, n_col;
    double *v;     /* [n_row, n_col], or                                      */
    int64_t *ints; /* the same                                                */
    gold__spread spread[GOLD__FORCINGS]; /* with tolerances, else NULLs       */
    double *margin; /* [n_row] of topk_idx: by how much they were chosen      */
} gold__tap;

typedef struct gold__taps {
    int64_t n;
    gold__tap *at;
} gold__taps;

/* Forcings that a model has a tolerance for: a Switch layer reads its input
 * anyway.                                                                    */
int gold__n_forcings(const core_spec *spec);

CORE_NODISCARD core_status gold__taps_make(gold__taps *out,
                                           const core_spec *spec,
                                           int64_t n_token, bool all,
                                           bool with_spread);
void gold__taps_free(gold__taps *taps); /* harmless twice */

gold__tap *gold__taps_find(const gold__taps *taps, core_tap tap);

/* A sink that keeps the taps; borrows.                                       */
core_tap_sink gold__taps_sink(gold__taps *taps);

/* A sink that raises one spread to the deviation from the kept values, and sees
 * how the pass leans towards mistakes; several passes may do so at a time.   */
typedef struct gold__measuring {
    gold__taps *taps; /* borrowed                                             */
    const core_spec *spec; /* borrowed                                        */
    ref_forcing forcing;
    const gold_directions *directions; /* borrowed; NULL: sums over a tap, its
                                        * slopes and leaning, are not for this
                                        * draw                                */
    gold_leaning leaning;
    bool turns_operands; /* the draw does, and nothing else: no factor        */
} gold__measuring;
core_tap_sink gold__spread_sink(gold__measuring *self);

/* Errors: E_INPUT naming the first tap with a value that is not finite.      */
CORE_NODISCARD core_status gold__taps_are_finite(const gold__taps *taps);

/* --- tolerance.c --- */

/* Half the distance from 1 to the next number that out stores: 2^-24 for fp32;
 * 0 for exact and doubles.                                                   */
double gold__roundoff(core_numerics numerics);

/* The largest magnitude of a row.                                            */
double gold__largest_of(const gold__tap *tap, int64_t row);

/* False where tolerances make no sense: exact, and fp64, which is the truth. */
bool gold__rounds(core_numerics numerics);

/* Are operands rounded as they are read, by the numerics or with activations
 * that are quantised?                                                        */
bool gold__rounds_operands(const gold_case *gold, core_numerics numerics);
/* Does a draw that turns units turn operands alone?  Each row's largest is off
 * by its unit then, which is as far as roundings go, and needs no factor.    */
bool gold__turns_operands(const gold_case *gold, core_numerics numerics);

/* out[n_row] = tolerance of each row of a tap with a spread, for its elements
 * or (rms) for its root mean square error.                                   */
void gold__tolerance(float *out, const gold__tap *tap, int forcing, bool rms,
                     double roundoff);

/* How large the slope of any cell may be.                                    */
float gold__slope_tolerance(const gold__tap *tap, int forcing,
                            double roundoff);

/* Fill in the margins of every layer's choices: ref_routing_margin.  weights
 * are looked at only if the router has a correction.  Errors: E_MEMORY.      */
CORE_NODISCARD core_status gold__routing_margins(gold__taps *taps,
                                                 const core_spec *spec,
                                                 const core_weights *weights);

/* --- compute.c, outputs.c --- */

/* A pass and its taps: one for a model, two for a Switch layer. */
typedef struct gold__pass {
    core_spec spec; /* shortened, with the rule for dropped tokens            */
    gold__taps taps;
} gold__pass;

/* Compute one numerics into the file `path`.  *model is NULL at first, and kept
 * from one numerics to the next: ref_model_close.  summary may be NULL.      */
CORE_NODISCARD core_status gold__compute(const gold_case *gold,
                                         core_weights *weights,
                                         ref_model **model,
                                         core_numerics numerics,
                                         const gold_options *options,
                                         const char *path,
                                         gold_summary *summary);

/* Write the tensors of a bundle's numerics.                                  */
CORE_NODISCARD core_status gold__write_outputs(const gold_case *gold,
                                               const gold__pass *passes,
                                               core_numerics numerics,
                                               const char *path);

/* The model as it is run.                                                    */
core_spec gold__short_spec(const gold_case *gold);

/* --- check.c --- */

/* Compare two files of a numerics: bit for bit, or (bitwise false) values
 * within the tolerances stored in `want`.  Errors: E_DIFFERS.                */
CORE_NODISCARD core_status gold__compare_files(const char *want,
                                               const char *found, bool bitwise);

#endif
