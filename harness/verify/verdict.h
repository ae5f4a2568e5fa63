/* harness/verify/verdict.h -- what all ranks together found in one pass.
 *
 * Each rank has compared its own pieces; here the results are merged so that
 * every rank holds the same verdict: which taps fail, on which ranks, the first
 * one in execution order, and the numbers to show.
 */
#ifndef HAR_VERDICT_H
#define HAR_VERDICT_H

#include "harness/diagnose/diagnose.h"
#include "harness/verify/pieces.h"

/* In this order: what is worse decides.                                      */
typedef enum har_verdict {
    HAR_PASS,
    HAR_MARGINAL,  /* accepted, but over half of a bound                      */
    HAR_PARTIAL,   /* right where it ran: something had nothing to do         */
    HAR_UNPROVEN,  /* agreement would prove nothing                           */
    HAR_PRECISION, /* right values, with fewer bits than the numerics promise */
    HAR_FAIL       /* wrong values, or values at the wrong place              */
} har_verdict;

const char *har_verdict_name(har_verdict verdict); /* "PASS" ... */
bool har_verdict_is_bad(har_verdict verdict); /* PRECISION or FAIL            */

/* Why a tap fails; a set. */
enum {
    HAR_FAULT_VALUE = 1,    /* a value differs                                */
    HAR_FAULT_POISON = 2,   /* NaN: never written, or made of such            */
    HAR_FAULT_COVERAGE = 4, /* elements missing, twice or out of range        */
    HAR_FAULT_REPLICA = 8,  /* copies that ought to be equal are not          */
    HAR_FAULT_PRECISION = 16, /* errors of rounding, larger than promised; not
                               * beside those above */
    HAR_FAULT_NO_TAP = 32,  /* shown, and the reference has no such tap       */
    HAR_FAULT_LATTICE = 64, /* a value that its type does not hold            */
};
enum { HAR_N_FAULTS = 7 };

enum { HAR_MAX_DETAILS = 16 };

/* Which ranks a tap's set holds. */
typedef enum har_rank_set_kind {
    HAR_RANKS_BAD,  /* with a bad element                                     */
    HAR_RANKS_ROWS, /* no element is bad: that show rows row0 to row1         */
    HAR_RANKS_TAP,  /* nobody shows those: that show others of the tap        */
} har_rank_set_kind;

typedef struct har_tap_result {
    core_tap tap;
    int64_t n_row, n_col;
    har_verdict verdict;
    unsigned fault;         /* HAR_FAULT_...                                  */
    har_diff diff;          /* of all ranks: counts, worst; first if detailed */
    har_precision grade;        /* of all ranks                               */
    har_precision honest;       /* of the watch                               */
    bool is_pooled;             /* both of all layers together                */
    har_lattice lattice;        /* of all ranks: count; first if detailed     */
    int lattice_rank;           /* where lattice.first was found              */
    bool detailed;          /* among the first HAR_MAX_DETAILS that fail      */
    int first_rank, first_round, first_mb; /* where diff.first was found      */
    int worst_rank;
    int64_t expert;         /* of diff.first, for taps with a row per choice; -1 */
    int64_t row0, row1;     /* coverage, replica: rows of the first bad block */
    int64_t n_owned, n_wanted; /* elements that owners show there, and ought to */
    har_rank_set_kind ranks;
    int64_t n_flip, n_flip_excused;
    double flip_margin;
} har_tap_result;

typedef struct har_pass {
    har_mode mode;
    bool is_exercise;       /* of the dealt batch                             */
    int64_t n_t;            /* tokens per row of the pass's batch; the caller
                             * sets it                                        */
    core_numerics numerics;
    int n_rank;
    int64_t n_tap;          /* with what is no tap of the reference, if shown */
    har_tap_result *tap;    /* [n_tap] in execution order                     */
    int n_word;             /* words of a rank set                            */
    uint64_t *rank_set;     /* [n_tap * n_word] ranks, see har_rank_set_kind  */
    har_verdict verdict;
    int64_t n_failed;       /* taps with a bad verdict                        */
    int64_t first;          /* index of the first failing tap, -1: none       */
    int64_t worst;          /* index of the tap with the largest score        */
    int64_t n_element;      /* compared, on all ranks                         */
    int64_t n_flip, n_flip_excused;
    int64_t n_key_flip; /* queries for which other keys were chosen           */
    double flip_margin;
    har_diagnosis diagnosis; /* of the first tap, of a forced pass            */
} har_pass;

/* Merge.  Errors, agreed: E_MEMORY.                        [collective, world] */
CORE_NODISCARD core_status har_pass_agree(har_pass *out, par_comm *comm,
                                          const har_watch *watch);
void har_pass_free(har_pass *pass);

/* What is known of each tap: of a pass that is not bad, only whoever reports
 * needs it.                                                          [local] */
void har_pass_drop_taps(har_pass *pass);

/* har_precision_ratio of a tap.                                      [local] */
double har_tap_ratio(const har_tap_result *tap);

bool har_pass_has_rank(const har_pass *pass, int64_t i_tap, int rank);

#endif
