/* core/base/wide.h -- loops that may use a processor's wider registers.
 *
 * What is built runs on any x86-64, whose vectors hold two doubles.  A function
 * marked CORE_WIDE is compiled for wider ones, too, and the one that fits is
 * taken when the program starts.  Bits are the same in all: products are never
 * contracted with sums, and every sum keeps the order of the text.
 */
#ifndef CORE_WIDE_H
#define CORE_WIDE_H

#include <stdint.h> /* __GLIBC__ */

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) &&         \
    defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define CORE_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CORE_WIDE
#endif

#endif
