/* moeparity.h -- two questions of the program, for programs of others.
 *
 *     does this dump compute what that golden says?    moeparity_compare
 *     what does this plan cost on that machine?        moeparity_predict
 *
 * Both return the exit code that `moeparity compare` and `moeparity predict`
 * would end with, and write one line that says why into `message`, if it is not
 * 0 (nor 1).  They print nothing, start no process and no MPI, and may be called
 * by one thread at a time.  Strings are borrowed for the call.
 */
#ifndef MOEPARITY_H
#define MOEPARITY_H

#ifdef __cplusplus
extern "C" {
#endif

enum { MOEPARITY_MESSAGE = 1024, MOEPARITY_TEXT = 320 };

/* What a dump says itself needs no option: start with {0}.                   */
typedef struct moeparity_compare_options {
    const char *map;      /* a ready map or a YAML file; NULL: none            */
    const char *numerics; /* which file of the golden; NULL: as the dump says */
    int forced_routing;   /* the dump used the golden's routing               */
    const char *json;     /* also write this report; NULL: none               */
} moeparity_compare_options;

typedef struct moeparity_comparison {
    char verdict[16]; /* PASS, MARGINAL, PRECISION, FAIL                      */
    char why[MOEPARITY_TEXT];
    long long n_judged, n_passed, n_failed; /* taps                           */
    char first[MOEPARITY_TEXT]; /* the first tap that fails, "" if none       */
} moeparity_comparison;

/* Hold a dump (a file or a folder) against a golden (a bundle or a file of taps;
 * options: NULL or as above).  Returns 0 within, 1 differs, else an error: 2
 * usage, 3 bad input, 4 not enough resources, 5 internal; *out is set for 0 and
 * 1 alone.                                                                   */
int moeparity_compare(moeparity_comparison *out, const char *golden,
                      const char *dump,
                      const moeparity_compare_options *options,
                      char message[MOEPARITY_MESSAGE]);

/* A value, and the ends of its 90 % interval. */
typedef struct moeparity_range {
    double value, low, high;
} moeparity_range;

typedef struct moeparity_prediction {
    int n_gpu;
    moeparity_range latency;      /* seconds of a pass                        */
    moeparity_range tokens_per_s; /* with the pipeline kept full              */
    moeparity_range mfu, communication, bubble; /* shares, 0 to 1             */
    double memory_bytes;          /* of the fullest GPU                       */
    int fits;                     /* in the memory of a GPU                   */
} moeparity_prediction;

/* The cost of a pass.  model, plan and machine: as on the command line; batch:
 * "256x2048" rows x tokens.  Returns 0, or an error as above.                */
int moeparity_predict(moeparity_prediction *out, const char *model,
                      const char *plan, const char *machine, const char *batch,
                      char message[MOEPARITY_MESSAGE]);

#ifdef __cplusplus
}
#endif

#endif
