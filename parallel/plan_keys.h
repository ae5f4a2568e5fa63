/* parallel/plan_keys.h -- the keys of a plan, whatever they are written in.
 *
 * The string form and the YAML form differ only in how text is found; what a
 * key may hold, and what is refused, is decided here once.  Private to the plan
 * files of this folder.
 */
#ifndef PAR_PLAN_KEYS_H
#define PAR_PLAN_KEYS_H

#include "parallel/plan.h"

#include <stddef.h>

typedef enum par__key {
    PAR__KEY_TP, PAR__KEY_CP, PAR__KEY_CP_KIND, PAR__KEY_PP, PAR__KEY_VPP,
    PAR__KEY_DP, PAR__KEY_EP, PAR__KEY_ETP, PAR__KEY_EDP, PAR__KEY_SP,
    PAR__KEY_OVERLAP, PAR__KEY_BATCH_REDUCE, PAR__KEY_MB, PAR__KEY_ROUNDS,
    PAR__KEY_SCOPE, PAR__KEY_STAGES, PAR__KEY_PLACEMENT, PAR__KEY_PHYSICAL,
    PAR__N_KEYS
} par__key;

/* A piece of text: not terminated, borrowed. */
typedef struct par__text {
    const char *s;
    size_t n;
} par__text;

typedef struct par__reader {
    par_plan *plan;
    unsigned seen;      /* a bit per key                                       */
    int edp;            /* as written; 0: not written                          */
    core_status status; /* what a refusal is: E_USAGE (string), E_FORMAT (YAML) */
    char where[512];    /* start of messages: "plan 'tp=4'", "a.yaml:3:5"      */
} par__reader;

/* Degrees of 1, scope=stage, even stages, contiguous placement.              */
void par__plan_unit(par_plan *out);

const char *par__key_name(par__key key);

/* The word of bit i of an overlap; NULL after the last.              [local] */
const char *par__overlap_word(int i);

/* Which key is called `name`; refuses an unknown or repeated one.    [local] */
core_status par__read_key(par__reader *reader, par__text name, par__key *out);

/* Store the value of a key, text as in the string form.              [local] */
core_status par__read_value(par__reader *reader, par__key key, par__text value);

/* The same in pieces: one more stage; one more expert; one more ep index of the
 * last expert; one more physical expert of the layer that has n already; the
 * layer's end.                                                       [local] */
core_status par__read_stage(par__reader *reader, par__text value);
core_status par__read_expert(par__reader *reader);
core_status par__read_replica(par__reader *reader, par__text value);
core_status par__read_physical(par__reader *reader, par__text value, int n);
core_status par__end_layer(par__reader *reader, int n);

/* "2*3*4", without a cp of 1.                                               */
enum { PAR__DEGREES = 36 };
const char *par__degrees(char out[PAR__DEGREES], int a, int cp, int b);

/* What only all keys together can show: E_PLAN if a written edp is wrong.    */
core_status par__read_end(const par__reader *reader);

/* Fill the reader's plan from a YAML file.                           [local] */
core_status par__read_yaml(par__reader *reader, const char *path);

/* The first rule that the plan breaks, with its numbers, into why; true if it
 * breaks none.                                                       [local] */
bool par__plan_is_legal(const par_plan *plan, const core_spec *spec, char *why,
                        size_t why_bytes);

/* " | "-separated legal plans with as many ranks, nearest first, at most three;
 * "" if there is none.                                               [local] */
void par__plan_nearest(const par_plan *plan, const core_spec *spec, char *out,
                       size_t out_bytes);

#endif
