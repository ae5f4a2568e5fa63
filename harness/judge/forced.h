/* harness/judge/forced.h -- dumps that were fed the golden's own inputs.
 *
 * Metadata of a file of such a dump:
 *     forced       "layer" or "block"
 *     forced_with  the bundle's fingerprint of the numerics' file: in
 *                  manifest.json, files."bf16.safetensors".xxh3
 * and beside its taps it holds what it was fed, as fed/NAME for the bundle's
 * tensor NAME: embed for layer 0, layers.N.out for layer N+1 and the final norm;
 * in blocks attn.norm, ffn.norm and final_norm, too.  A dump in blocks that has
 * of a layer only what its feed-forward part computes shows ffn.norm of it alone.
 * docs/compare.md.
 */
#ifndef HAR_FORCED_H
#define HAR_FORCED_H

#include "harness/judge/foreign.h"

/* What the files of a dump say.  Errors: E_FORMAT if a word is none of ours or
 * they differ.                                                       [local] */
CORE_NODISCARD core_status har_forced_read(har_forcing *out,
                                           const har_foreign *dump);

/* Was the dump, which has been placed, forced as yard->forcing says, with this
 * bundle, and does it hold what it was fed wherever it has taps of the layer
 * that read it?  Errors: E_INPUT.                                    [local] */
CORE_NODISCARD core_status har_forced_check(const har_foreign *dump,
                                            const har_yardstick *yard);

#endif
