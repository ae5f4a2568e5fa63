/* tests/fuzz/replay.c -- replay N FILE...: each file, and N edits of it,
 * through a target.
 *
 * The edits are a function of the file and their number: a failure says which,
 * and comes again.  They cut, repeat and overwrite bytes, and put in what the
 * readers look for.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 16, MOST_EDITS = 4 };

static const char *const WORDS[] = {
    "[",        "]",          "{",       "}",       ",",      ":",      "null",
    "true",     "-1",         "0",       "1e99",    "128",    "\"\"",   "[0,0]",
    "\"re:(\"", "\"*\"",      "F8_E4M3", "F8_E8M0", "U8",     "I32",    "I8",
    "_scale",   "_scale_inv", "_packed", "_blocks", "_shape", "weight", "16"};
enum { N_WORDS = sizeof WORDS / sizeof WORDS[0] };

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(state >> 33) % (below > 0 ? below : 1);
}

static size_t edit(uint8_t *data, size_t n)
{
    const size_t at = draw((uint32_t)n), most = n - at;
    const char *word = WORDS[draw(N_WORDS)];
    const size_t n_word = strlen(word), length = 1 + draw(most < 16 ? 1 : 16);
    switch (n > 0 ? draw(5) : 4) {
    case 0:
        data[at] ^= (uint8_t)(1U << draw(8));
        return n;
    case 1:
        data[at] = (uint8_t)draw(256);
        return n;
    case 2: /* cut */
        memmove(data + at, data + at + (length < most ? length : most),
                most - (length < most ? length : most));
        return n - (length < most ? length : most);
    case 3: /* repeat */
        if (n + most > MAX_BYTES || at + most + most > MAX_BYTES)
            return n;
        memmove(data + at + most, data + at, most);
        return n + most;
    default: /* put in */
        if (n + n_word > MAX_BYTES)
            return n;
        memmove(data + at + n_word, data + at, most);
        memcpy(data + at, word, n_word);
        return n + n_word;
    }
}

static void replay(const char *path, long n_edit)
{
    static uint8_t seed[MAX_BYTES], data[2 * MAX_BYTES];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    const size_t n_seed = fread(seed, 1, sizeof seed, file);
    fclose(file);
    for (long i = 0; i <= n_edit; i++) {
        size_t n = n_seed;
        memcpy(data, seed, n);
        state = (uint64_t)i * 2654435761U + n_seed;
        for (uint32_t k = i == 0 ? 0 : 1 + draw(MOST_EDITS); k > 0; k--)
            n = edit(data, n);
        fprintf(stderr, "\r%s, edit %ld", path, i); /* the last: which failed */
        (void)LLVMFuzzerTestOneInput(data, n);
    }
    fprintf(stderr, "\n");
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s N FILE...\n", argv[0]);
        return 2;
    }
    for (int i = 2; i < argc; i++)
        replay(argv[i], strtol(argv[1], NULL, 10));
    return 0;
}
