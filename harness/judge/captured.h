/* harness/judge/captured.h -- dumps that golden/capture wrote.
 *
 * Metadata of a file of such a dump:
 *     capture       version of the module
 *     weights_xxh3  of the bundle it was recorded for, in manifest.json
 *                   weights.xxh3
 *     input_xxh3    the same of files."input.safetensors".xxh3
 * What is not said is not held against a dump: other tools know none of it.
 */
#ifndef HAR_CAPTURED_H
#define HAR_CAPTURED_H

#include "harness/judge/foreign.h"

/* Were all files written by one version, for this model and this prompt?
 * Errors: E_INPUT with the first file that was not.                  [local] */
CORE_NODISCARD core_status har_captured_check(const har_foreign *dump,
                                              const har_yardstick *yard);

#endif
