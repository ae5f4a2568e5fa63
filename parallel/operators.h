/* parallel/operators.h -- what the distributed pass knows of an operator.
 *
 * Every name of the lists in core/model/operators.h has a file here, which
 * defines par__NAME: its shards, its buffers, its pass, its part of a plan. All
 * else goes by these tables.
 */
#ifndef PAR_OPERATORS_H
#define PAR_OPERATORS_H

#include "core/model/taps.h"
#include "parallel/layout.h"

struct par_model;
struct par_work;

/* What tensor parallelism cuts a mixer into.                                 */
typedef struct par__cut {
    const char *letter, *what; /* "H", "query heads"                          */
    int64_t (*length)(const core_spec *spec);
    bool is_even; /* tp divides the length; else no part may be empty         */
} par__cut;

typedef struct par__entry {
    par__cut cut;          /* of a mixer                                      */
    const char *placement; /* its line of `plan`, NULL: among the common ones */
    bool takes_parts_of_rows; /* a mixer that context parallelism may cut rows
                            * of                                            */
    bool is_replicated;    /* a tensor group's ranks repeat what is charged to
                            * the operator's name                             */
    /* Elements of mine that layer l leaves for later tokens of a row of n_t at
     * most: a mixer's state, a projection's or a chooser's beside keys and
     * values; no function: none.                                             */
    int64_t (*kept)(const core_spec *spec, const par_layout *layout, int l,
                    int64_t n_t);
    /* The shards of layer l, kept in m->shards; NULL in measure mode.        */
    void *(*make)(struct par_model *m, int l);
    /* Its buffers for a tick, carved from w->arena: par__keep_buffers.  A shared
     * operator need not have any: no function.                               */
    void *(*carve)(struct par_work *w, const core_spec *spec,
                   const par_layout *layout);
    /* mixer: out = f(xn); projection: q, k, v of the work; chooser: the keys of
     * the queries; shared: out times something.                 [collective] */
    void (*run)(struct par_model *m, const void *shards, int l, double *out);
} par__entry;

/* What a layer's two parts, and the head, have between them and the stream.  */
typedef enum par__part {
    PAR_PART_MIXER,
    PAR_PART_FFN,
    PAR_PART_HEAD
} par__part;

/* A connection: Replicate, as the stream is.                                 */
typedef struct par__connection {
    const char *placement;
    /* Its shards around a part of layer l; NULL in measure mode, and where the
     * layer lacks the part.                                                  */
    void *(*make)(struct par_model *m, int l, par__part part);
    void (*carve)(struct par_work *w, const core_spec *spec);
    /* w->h = what the part reads of the stream; the stream with what the part
     * gave, y, stored as `tap`.                                              */
    void (*collapse)(struct par_model *m, const void *shards, int l,
                     par__part part);
    void (*expand)(struct par_model *m, const double *y, core_tap tap);
} par__connection;

#define PAR__DECLARE(kind, name) extern const par__connection par__##name;
CORE_CONNECTION_LIST(PAR__DECLARE)
#undef PAR__DECLARE

#define PAR__DECLARE(kind, name) extern const par__entry par__##name;
CORE_MIXER_LIST(PAR__DECLARE)
CORE_PROJECTION_LIST(PAR__DECLARE)
CORE_CHOOSER_LIST(PAR__DECLARE)
CORE_SHARED_LIST(PAR__DECLARE)
#undef PAR__DECLARE

extern const par__entry *const par__mixers[CORE_N_MIXERS];
extern const par__entry *const par__shareds[CORE_N_SHARED];

/* Its `kept`; 0 where there is no function or (NULL) no operator.            */
int64_t par__kept(const par__entry *op, const core_spec *spec,
                  const par_layout *layout, int l, int64_t n_t);

/* The operator of a layer, of a model; NULL: none.                           */
const par__entry *par__mixer(const core_spec *spec, int l);
const par__entry *par__projection(const core_spec *spec);
const par__entry *par__chooser(const core_spec *spec, int l);
const par__entry *par__shared(const core_spec *spec, int l);
const par__connection *par__connection_of(const core_spec *spec);
/* Does a layer of [l0, l1) have it?                                          */
bool par__has(const core_spec *spec, int l0, int l1, const par__entry *op);

#endif
