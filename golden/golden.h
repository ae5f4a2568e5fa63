/* golden/golden.h -- committed outputs, and how to know they are still those.
 *
 * A golden case is a folder with a manifest.json and the files it fingerprints:
 *   origin "self"    taps.safetensors, computed here; the manifest says from what,
 *                    so that one command computes it again, byte for byte
 *   origin "oracle"  config.json, weights and expected.safetensors, printed by
 *                    other people's code; checked against, never regenerated
 * The two are never mixed.
 */
#ifndef GOLD_GOLDEN_H
#define GOLD_GOLDEN_H

#include "core/batch.h"
#include "core/numerics.h"

#define GOLD_SCHEMA "moeparity.golden/1"

enum { GOLD_MAX_GROUPS = 256 };

typedef enum gold_origin { GOLD_SELF, GOLD_ORACLE } gold_origin;

typedef struct gold_case {
    char folder[512];
    gold_origin origin;
    char generator[128];  /* program and version that made the numbers        */
    /* origin self: what to compute again */
    char model[CORE_NAME_BYTES];
    int64_t n_l;          /* layers kept of the model                         */
    uint64_t seed;
    int64_t n_b, n_t;
    core_numerics numerics;
    int64_t n_group, first_row[GOLD_MAX_GROUPS + 1];
} gold_case;

/* Compute a case of origin self from its description: writes taps.safetensors
 * (coarse taps) and manifest.json into gold->folder, which is made.  Same
 * description, same bytes.                                           [local] */
CORE_NODISCARD core_status gold_make(const gold_case *gold);

/* Write the manifest of an oracle case around the files that lie in
 * gold->folder.                                                      [local] */
CORE_NODISCARD core_status gold_seal(const gold_case *gold);

/* Read FOLDER/manifest.json and check every file and tensor against its
 * fingerprint.  Errors: E_FILE, E_FORMAT; E_DIFFERS naming the file or tensor
 * whose fingerprint is another.                                      [local] */
CORE_NODISCARD core_status gold_open(gold_case *out, const char *folder);

/* Compute a case of origin self again into `path` (a new taps file) and compare
 * it bit for bit.  Errors: E_DIFFERS naming the first tensor.        [local] */
CORE_NODISCARD core_status gold_recompute(const gold_case *gold,
                                          const char *path);

#endif
