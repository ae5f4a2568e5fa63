/* golden/golden_impl.h -- shared by the two sources of golden/. */
#ifndef GOLD_GOLDEN_IMPL_H
#define GOLD_GOLDEN_IMPL_H

#include "golden/golden.h"

/* XXH3 of the model description a case was made for; 0 if it cannot be opened. */
uint64_t gold__spec_hash(const gold_case *gold);

/* Fingerprint what lies in gold->folder and write its manifest.json.         */
CORE_NODISCARD core_status gold__write_manifest(const gold_case *gold);

#endif
