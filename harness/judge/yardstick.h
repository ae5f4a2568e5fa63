/* harness/judge/yardstick.h -- what a foreign dump is held against.
 *
 * Either a golden bundle (a folder with manifest.json, input.safetensors and a
 * file of taps for each numerics, see docs/golden.md): it has a tolerance for
 * every token row and routing margins; or one file of taps, whose tolerance per
 * tap is the rule of dump.h, and which has no margins.
 */
#ifndef HAR_YARDSTICK_H
#define HAR_YARDSTICK_H

#include "core/files/safetensors.h"
#include "core/model/spec.h"
#include "golden/mistakes.h"
#include "harness/judge/place.h"
#include "harness/judge/tapname.h"

/* What a dump was fed beside the batch: forced.h.                            */
typedef enum har_forcing {
    HAR_FED_NOTHING,
    HAR_FED_LAYERS,
    HAR_FED_BLOCKS,
    HAR_N_FORCINGS
} har_forcing;

/* "free", "layer", "block".                                          [local] */
const char *har_forcing_name(har_forcing forcing);

typedef struct har_yard_tap {
    const core_st_tensor *data;
    har_tapname name;
    bool is_input;               /* input_ids: exact, may be left out         */
    bool is_spare;               /* of a coarse bundle, there to be fed: a dump
                                  * need not hold it                          */
    bool is_flat;                /* [B, T] without a dimension for columns    */
    int part;
    har_extent extent;
    const core_st_tensor *tolerance; /* F32 [rows], or NULL: flat             */
    const core_st_tensor *rms_tolerance; /* of a row's rms, or NULL: none     */
    double slope_tolerance;      /* of the slopes of a forced dump, 0: none   */
    double flat_tolerance;       /* 0: bit for bit                            */
} har_yard_tap;

typedef struct har_yard_part {
    char prefix[16];             /* "p0.", or "" in a file with one prompt    */
    int64_t n_b, n_t;
    const core_st_tensor *mask;  /* [B, T], NULL: all tokens are real         */
} har_yard_part;

typedef struct har_yardstick {
    char path[512];
    char numerics[CORE_NUMERICS_BYTES]; /* "fp32"; "": no word that is known */
    core_numerics kind;          /* the same; exact if none                   */
    bool is_bundle;
    bool is_exact;               /* numerics: bit for bit, no tolerances      */
    har_forcing forcing;         /* its tolerances are for such dumps         */
    char fingerprint[24];        /* of the bundle's file of this numerics     */
    char weights[24], prompt[24]; /* of its weights and its input file, ""    */
    bool is_coarse;              /* a bundle of the coarse taps               */
    char estimate[160];          /* how its tolerances were made, for reports */
    core_st *taps, *input;       /* owned; input may be NULL                  */
    int n_part;
    har_yard_part *part;         /* owned                                     */
    int64_t n_tap;
    har_yard_tap *tap;           /* owned; in execution order                 */
    int64_t n_ignored;           /* tensors of a plain file that are no taps  */
    core_spec spec;              /* of a bundle; all 0: not known             */
    bool has_reach;              /* the manifest says how far roundings reach */
    gold_reach reach;            /* by har_forcing, which is ref_forcing      */
    int64_t n_group;             /* token groups of a bundle, 0: not said     */
    int64_t *first_row;          /* [n_group+1]; owned                        */
    const core_st_tensor *margin; /* [layers] in place of the file's, which has
                                   * another model's; NULL: no such; borrowed */
} har_yardstick;

/* Is this a bundle?  A folder counts as one.                         [local] */
bool har_yardstick_is_bundle(const char *path);

/* Open what lies at path.  numerics: the file of a bundle that is wanted
 * ("fp32"), NULL for a plain file.  bits: compare bit for bit whatever has no
 * tolerance of its own (a plain file).  Free with har_yardstick_close.
 * Errors: E_FILE, E_FORMAT, E_INPUT if there is no tap.              [local] */
CORE_NODISCARD core_status har_yardstick_open(har_yardstick *out,
                                              const char *path,
                                              const char *numerics, bool bits);
void har_yardstick_close(har_yardstick *yard);

/* Take the tolerances for forced dumps in place of those for free ones.
 * Errors: E_INPUT if the yardstick has none.                         [local] */
CORE_NODISCARD core_status har_yardstick_force(har_yardstick *yard,
                                               har_forcing forcing);

/* Does the bundle have that numerics?                                [local] */
bool har_yardstick_has(const char *path, const char *numerics);

/* The tap of that part, layer and kind; NULL if there is none.       [local] */
const har_yard_tap *har_yardstick_find(const har_yardstick *yard, int part,
                                       core_tap tap);

/* Index of the tap of that name; the prefix may be left out where there is one
 * part.  -1: none.                                                   [local] */
int64_t har_yardstick_index(const har_yardstick *yard, const char *name);

/* The tensor "routing_margin" of a layer, F64 [tokens], or NULL.     [local] */
const core_st_tensor *har_yardstick_margin(const har_yardstick *yard, int part,
                                           int layer);

/* Is the token real?                                                 [local] */
bool har_yardstick_is_real(const har_yard_part *part, int64_t token);

/* How many rows the tap has.                                         [local] */
int64_t har_yardstick_rows(const har_yard_tap *tap);

/* The elements of a row.                                             [local] */
void har_yardstick_row(const har_yard_tap *tap, int64_t row, double *out);

/* The largest allowed error of a row, and of its root mean square: 0 where
 * nothing is said of it.                                             [local] */
double har_yardstick_allowed(const har_yard_tap *tap, int64_t row);
double har_yardstick_allowed_rms(const har_yard_tap *tap, int64_t row);

enum { HAR_WIDEST_TEXT = 160 };

/* "up to 0.03 of a row's largest value, at layers.3.out": how wide tolerances
 * get; `relative` is the tolerance over the largest magnitude of its row.
 *                                                                    [local] */
const char *har_widest_text(char text[HAR_WIDEST_TEXT], double relative,
                            const char *tap);

/* Read the manifest of the bundle at yard->path for yard->numerics.
 * Errors: E_FILE, E_FORMAT.                                          [local] */
CORE_NODISCARD core_status har__yardstick_manifest(har_yardstick *yard);

/* The name without its prompt's prefix: "layers.3.out".              [local] */
const char *har_yard_body(const har_yard_tap *tap);

#endif
