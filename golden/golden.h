/* golden/golden.h -- what an implementation must produce, and how to know that
 * it still is that.
 *
 * A golden is a folder with a manifest.json and the files it fingerprints:
 *   origin "self"    a bundle: input.safetensors and, per numerics, a file with
 *                    every tap, routing margins and tolerances; computed here,
 *                    the manifest says from what.  docs/golden.md is its format
 *   origin "oracle"  config.json, weights and expected.safetensors, printed by
 *                    other people's code; checked against, never regenerated
 * The two are never mixed.
 */
#ifndef GOLD_GOLDEN_H
#define GOLD_GOLDEN_H

#include "core/model/config.h"
#include "core/numbers/numerics.h"
#include "core/pass/batch.h"
#include "core/weights/quantiser.h"
#include "golden/mistakes.h"

#include <stddef.h>

#define GOLD_SCHEMA "moeparity.golden/3"
#define GOLD_PREFIX "p0." /* of every tensor of a bundle */

enum {
    GOLD_MAX_GROUPS = 256,
    GOLD_MAX_NUMERICS = 8,
    GOLD_PATH_BYTES = 512,
    GOLD_HEX_BYTES = 17,
    GOLD_TEXT_BYTES = 256,
    GOLD_SAYS_BYTES = 512,
};

typedef enum gold_origin { GOLD_SELF, GOLD_ORACLE } gold_origin;

typedef struct gold_case {
    char folder[GOLD_PATH_BYTES];
    gold_origin origin;
    char generator[GOLD_TEXT_BYTES]; /* what made the numbers                 */
    /* origin self: what to compute */
    char model[GOLD_PATH_BYTES]; /* the MODEL argument; of gold_open, its name,
                                  * and gold_find_model says where it lies    */
    bool is_checkpoint;
    bool act_quant; /* of a checkpoint: core_weights_open_checkpoint          */
    bool is_quantised; /* its experts are, here, by the quantiser             */
    core_quantiser quantiser;
    char quantiser_says[GOLD_SAYS_BYTES]; /* how far quantised weights are from
                                           * the original ones; ""            */
    core_overrides overrides; /* of the model; what is set the manifest says  */
    char *sets; /* the texts of these; owned: of gold_open, else NULL         */
    core_spec spec;   /* the whole model                                      */
    int64_t n_l;      /* its first layers, that are run                       */
    uint64_t seed;    /* of procedural weights, and of the batch if from_seed */
    bool from_seed;   /* the batch was made, not read                         */
    core_batch batch; /* owned: gold_close frees it                           */
    int64_t n_group, first_row[GOLD_MAX_GROUPS + 1];
    bool all_taps; /* not only the coarse ones                             */
    int n_numerics;
    core_numerics numerics[GOLD_MAX_NUMERICS];
    /* origin self, as the manifest has it: set by gold_open */
    char weights_xxh3[GOLD_HEX_BYTES];
    char arithmetic[GOLD_TEXT_BYTES]; /* libraries whose rounding it shows    */
} gold_case;

typedef struct gold_options {
    int n_threads; /* of a pass                                               */
    int n_beside;  /* drawn passes at a time, each then in one thread         */
    size_t weight_budget_bytes; /* see ref_options */
    bool export_weights; /* the bundle is a checkpoint folder, too; make only,
                          * and of a checkpoint only if it is quantised here  */
    void (*progress)(void *self, core_numerics numerics, double done);
    void *progress_self; /* progress may be NULL                              */
} gold_options;

/* What was seen while a numerics was computed. */
typedef struct gold_summary {
    double bits;           /* exact: most bits that a sum needed              */
    double worst_relative; /* with tolerances: the largest, over the largest
                            * magnitude of its row                            */
    char worst_tap[CORE_NAME_BYTES];
    gold_reach reach; /* of roundings, towards mistakes                       */
} gold_summary;

void gold_close(gold_case *gold); /* frees what it owns; harmless twice */

/* May a bundle be written to FOLDER?  It may if nothing or an empty folder is
 * there, or, with `force`, a bundle of ours with no other file in it.  [local]
 * Errors: E_FILE, E_FORMAT.                                                  */
CORE_NODISCARD core_status gold_check_target(const char *folder, bool force);

/* Compute a bundle into the folder `partial`, which is made.  Same description,
 * same machine: same bytes.  After an error `partial` may be half written.
 * summary: [n_numerics].                                             [local] */
CORE_NODISCARD core_status gold_make(const gold_case *gold,
                                     const gold_options *options,
                                     const char *partial,
                                     gold_summary *summary);

/* Give a finished `partial` its name gold->folder, replacing what
 * gold_check_target has allowed.                                     [local] */
CORE_NODISCARD core_status gold_commit(const gold_case *gold,
                                       const char *partial);

/* Remove a folder and the files in it; what is not there is no error.        */
void gold_remove(const char *folder);

/* Write the manifest of an oracle case around the files that lie in
 * gold->folder.                                                      [local] */
CORE_NODISCARD core_status gold_seal(const gold_case *gold);

/* Read FOLDER/manifest.json and check every file and tensor against its
 * fingerprint.  Free with gold_close.                                [local]
 * Errors: E_FILE, E_FORMAT; E_DIFFERS naming the file or tensor whose
 * fingerprint is another.                                                    */
CORE_NODISCARD core_status gold_open(gold_case *out, const char *folder);

/* Where the checkpoint of an open bundle lies: at `given`, or, if that is NULL,
 * in a folder of its name beside the bundle.  Nothing happens to a bundle of
 * other weights.  Errors: E_FILE.                                    [local] */
CORE_NODISCARD core_status gold_find_model(gold_case *gold, const char *given);

/* The weights that it was computed from; close with core_weights_close.  Errors:
 * those of core_weights_open_checkpoint; E_SPEC for fields that are set and need
 * other weights.                                                     [local] */
CORE_NODISCARD core_status gold_open_weights(core_weights **out,
                                             const gold_case *gold);

/* Compute an open bundle again, into files in the folder `scratch`, and
 * compare: exact bit for bit; other numerics bit for bit where the libraries
 * are those of the manifest, else within the stored tolerances (*within is then
 * true). Errors: E_DIFFERS naming the first tensor. [local] */
CORE_NODISCARD core_status gold_recompute(const gold_case *gold,
                                          const gold_options *options,
                                          const char *scratch, bool *within);

#endif
