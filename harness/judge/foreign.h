/* harness/judge/foreign.h -- other people's dump: files, and the pieces in them.
 *
 * One file, or a folder of files (one per rank, or not).  Every tensor is a
 * piece of a tap, or it is a finding: nothing is skipped.  A file's metadata
 * may say
 *     rank "3", world "4", plan {"tp":1,"dp":0}   whose it is
 *     positions "7:9"          a decode dump: positions of the golden it holds
 *     rows "0:1"               the same of the batch's rows
 *     axes "sbh", first_layer "8"
 *     slice:NAME, slice        place of tensor NAME, of the others (place.h)
 *     padded:NAME, padded "32" columns of the whole of NAME, of the logits,
 *                              padding included
 *     token_ids:NAME           the I64 tensor that lists the rows of NAME
 *     logical:NAME             the tensor that says which experts the physical
 *                              ones of NAME are
 */
#ifndef HAR_FOREIGN_H
#define HAR_FOREIGN_H

#include "harness/judge/chosen.h"
#include "harness/judge/namemap.h"

typedef enum har_finding_kind {
    HAR_FOUND_MISSING,    /* a tap, a part of it, or a rank's file            */
    HAR_FOUND_REPLICA,    /* two tensors hold an element and differ           */
    HAR_FOUND_EXTRA,      /* a tap that the yardstick does not have: a note   */
    HAR_FOUND_MISSHAPEN,  /* shape, place or type does not fit                */
    HAR_FOUND_UNKNOWN,    /* no name of a tap: a note                         */
    HAR_FOUND_NONFINITE,  /* NaN or infinity where none is expected           */
    HAR_FOUND_UNREADABLE, /* choices of experts that do not exist             */
    HAR_N_FOUND_KINDS
} har_finding_kind;

typedef struct har_finding {
    har_finding_kind kind;
    int64_t i_tap;        /* of the yardstick, -1: none                       */
    int file;             /* -1: none                                         */
    const char *tensor;   /* the dump's name, or the tap's; borrowed          */
    char text[420];       /* expected and found                               */
} har_finding;

typedef struct har_dump_file {
    core_st *st;          /* owned                                            */
    char name[128];       /* without its folder                               */
    char owner[96];       /* "rank 3 (tp 1, dp 0)", or the name               */
    int rank;             /* -1: not a rank's                                 */
    har_claim claim;      /* what it holds of the batch                       */
    int first_layer;
    har_axes axes;
    bool has_lists;       /* has token_ids or logical experts of its own      */
} har_dump_file;

typedef struct har_piece {
    int file;
    const core_st_tensor *tensor;
    int64_t i_tap;
    har_place place;
    har_chosen chosen;    /* of topk_idx                                      */
    bool is_short;        /* choices without those of the last position       */
    int64_t n_nonfinite, n_unreadable; /* elements, rows; counted in reading  */
    int64_t bad_row, bad_col; /* of the tap: the first of them                */
    double bad_value;
    bool has_differed;    /* from another piece with the same element         */
} har_piece;

typedef struct har_foreign {
    char path[512];
    char numerics[CORE_NUMERICS_BYTES]; /* that its metadata, types or values
                           * stand for; "" if it holds integers only          */
    char said[CORE_NUMERICS_BYTES]; /* that its metadata name; "": none       */
    const char *lattice;  /* "bf16", "fp16", "fp32": where all its activations
                           * are numbers of that type, coarser than `type`,
                           * which stores them; else NULL                     */
    core_dtype type;
    char held[320];       /* against what it is held, if nothing said so      */
    int n_file, world;    /* world: ranks there should be, 0: not said        */
    har_dump_file *file;  /* owned                                            */
    int64_t n_padding;    /* values behind the model's columns: not judged    */
    int64_t n_piece;
    har_piece *piece;     /* owned; by tap                                    */
    int64_t n_finding, max_finding;
    har_finding *finding; /* owned                                            */
    bool **wanted;        /* [parts][B*T] the token is expected; owned        */
    int n_part;
    bool is_bundle;       /* another golden: its tolerances are no taps       */
} har_foreign;

typedef struct har_foreign_options {
    const har_namemap *map;
    har_claim claim;            /* of all files; end < 0: as the files say    */
    const char *numerics;       /* the golden's file, NULL: by the types      */
} har_foreign_options;

/* Open the files at path and read their metadata.
 * Errors: E_FILE, E_FORMAT, E_INPUT if there is no file.  Free with
 * har_foreign_close.                                                 [local] */
CORE_NODISCARD core_status har_foreign_open(har_foreign *out, const char *path,
                                            const har_foreign_options *options);
void har_foreign_close(har_foreign *dump);

/* Set numerics and lattice: what the options say, else the metadata, else the
 * types and values.  Errors: E_INPUT naming the word of the metadata that is no
 * numerics.                                                          [local] */
CORE_NODISCARD core_status har__foreign_numerics(har_foreign *dump,
                           const har_foreign_options *options);

/* Which file of the bundle at `golden` the dump is held against, "fp32", and in
 * dump->held why, where neither options nor metadata say it.  NULL for a golden
 * that is no bundle.  Errors: E_INPUT if the bundle has none that fits.
 *                                                                    [local] */
CORE_NODISCARD core_status har_foreign_against(har_foreign *dump,
                                               const char *golden,
                                               const char *asked,
                                               const char **out);

/* Find the place of every tensor.  The dump borrows the yardstick's names.
 * Errors: E_FORMAT for a place that cannot be read, E_INPUT if no tensor is a
 * piece of any tap.                                                  [local] */
CORE_NODISCARD core_status
har_foreign_place(har_foreign *dump, const har_yardstick *yard,
                  const har_foreign_options *options);

/* Pieces [*begin, *end) of a tap.                                    [local] */
void har_foreign_pieces(const har_foreign *dump, int64_t i_tap, int64_t *begin,
                        int64_t *end);

void har_foreign_find(har_foreign *dump, har_finding_kind kind, int64_t i_tap,
                      int file, const char *tensor, const char *fmt, ...)
    CORE_PRINTF(6, 7);

/* "missing", "replica", ...                                          [local] */
const char *har_finding_name(har_finding_kind kind);

/* Does the file's metadata say where its tensors lie, or that they are padded?
 *                                                                    [local] */
bool har_foreign_says_places(const core_st *file);

/* Extra and unknown tensors are told, but fail nothing.              [local] */
bool har_finding_is_note(har_finding_kind kind);

#endif
