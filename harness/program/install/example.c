/* example.c -- the library in use:
 *
 *     cc example.c $(pkg-config --cflags --libs moeparity) -o example
 *     ./example GOLDEN DUMP
 *
 * says whether the dump is right, then what a plan of the 30B model costs.
 */
#include <moeparity.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    char message[MOEPARITY_MESSAGE];
    moeparity_comparison compared;
    moeparity_prediction predicted;
    if (argc != 3) {
        fprintf(stderr, "usage: example GOLDEN DUMP\n");
        return 2;
    }
    const int exit_code =
        moeparity_compare(&compared, argv[1], argv[2], NULL, message);
    if (exit_code > 1) {
        fprintf(stderr, "example: %s\n", message);
        return exit_code;
    }
    printf("%s: %s (%lld of %lld taps)\n", compared.verdict, compared.why,
           compared.n_passed, compared.n_judged);
    if (moeparity_predict(&predicted, "seed-30b", "seed-32", "a100-sxm",
                          "64x256", message) != 0) {
        fprintf(stderr, "example: %s\n", message);
        return 3;
    }
    printf("%d GPUs: %.1f ms (%.1f to %.1f), %.0f tokens/s, %.1f GB%s\n",
           predicted.n_gpu, predicted.latency.value * 1e3,
           predicted.latency.low * 1e3, predicted.latency.high * 1e3,
           predicted.tokens_per_s.value, predicted.memory_bytes * 1e-9,
           predicted.fits ? "" : ": does not fit");
    return exit_code;
}
