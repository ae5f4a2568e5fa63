/* tests/fuzz/fuzz.h -- what the targets share: an input as a file in a folder
 * of their own.
 *
 * A target is libFuzzer's entry point, so that clang's -fsanitize=fuzzer takes
 * it as it is; replay.c drives it where there is no libFuzzer.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

/* The folder of this process, made when it is first asked for and removed when
 * the process ends.                                                          */
const char *fuzz_folder(void);

/* Write a file there; n_bytes of it.                                         */
void fuzz_write(const char *name, const void *data, size_t n_bytes);
void fuzz_write_text(const char *name, const char *text);

/* The same, and its path.                                                    */
const char *fuzz_file(const char *name, const void *data, size_t n_bytes);

/* The input as a text; free() it.                                            */
char *fuzz_text(const uint8_t *data, size_t n_bytes);

/* Aborts unless the model, written in our own form, is read as the same.     */
struct core_spec;
void fuzz_read_back(const struct core_spec *spec);

/* After a status that is not CORE_OK: it blames the input, or the memory, in
 * one line.  Aborts otherwise.                                               */
void fuzz_expect_line(core_status status);

#endif
