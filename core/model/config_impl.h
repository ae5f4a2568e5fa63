/* core/model/config_impl.h -- private to core/model: reading a config.json.
 *
 * A reader is told which keys were asked for: what is left at the end is refused
 * (config_keys.c).  A key that is absent has the value of the family's class,
 * and that is noted; one that is null has none.  Integers may be written 8.0
 * and reals 4.  Errors are E_SPEC with file and key.
 */
#ifndef CORE_CONFIG_IMPL_H
#define CORE_CONFIG_IMPL_H

#include "core/files/json.h"
#include "core/model/config.h"
#include "core/model/spec_impl.h"

typedef struct core__reader {
    const json_t *object;
    const char *where;      /* file, for messages                             */
    json_t *unread;         /* the keys of object that nobody asked for       */
    const json_t *defaults; /* of the class, for keys that object lacks       */
    json_t *taken;          /* those of them that were asked for              */
    core_config_facts *facts;
} core__reader;

/* A reader that watches nothing.                                             */
static inline core__reader core__reader_of(const json_t *object,
                                           const char *where)
{
    return (core__reader){.object = object, .where = where};
}

/* ---- config_read.c ------------------------------------------------------- */

/* The value of a key; NULL if it has none.  The key counts as read.          */
const json_t *core__config_value(core__reader r, const char *key);
/* A reader of the object under a key, whose own keys are watched instead of it;
 * .object is NULL if there is none.                                          */
CORE_NODISCARD core_status core__config_object(core__reader r, const char *key,
                                               core__reader *out);
/* The object itself has the key, and it is not null.  Does not read it.      */
bool core__config_has(core__reader r, const char *key);
/* The class gives an absent key this value: what `_or` functions note.       */
void core__config_take(core__reader r, const char *key, json_t *value);
/* Refuses a file without the key.                                            */
CORE_NODISCARD core_status core__config_present(core__reader r,
                                                const char *key);
CORE_NODISCARD core_status core__config_real(core__reader r, const char *key,
                                             double *out);
CORE_NODISCARD core_status core__config_real_or(core__reader r, const char *key,
                                                double fallback, double *out);
/* An integer from 1; `_or` takes one from 0 too.                             */
CORE_NODISCARD core_status core__config_count(core__reader r, const char *key,
                                              int64_t *out);
CORE_NODISCARD core_status core__config_count_or(core__reader r,
                                                 const char *key,
                                                 int64_t fallback,
                                                 int64_t *out);
CORE_NODISCARD core_status core__config_flag(core__reader r, const char *key,
                                             bool fallback, bool *out);
/* fallback NULL: the key must be there.                                      */
CORE_NODISCARD core_status core__config_text(core__reader r, const char *key,
                                             const char *fallback,
                                             const char **out);
CORE_NODISCARD core_status core__config_act(core__reader r, const char *key,
                                            const char *fallback,
                                            core_act *out);
/* The key may be absent, or say what we do anyway.                           */
CORE_NODISCARD core_status core__config_expect(core__reader r, const char *key,
                                               const char *only);
CORE_NODISCARD core_status core__config_expect_flag(core__reader r,
                                                    const char *key, bool only);
CORE_NODISCARD core_status core__config_expect_count(core__reader r,
                                                     const char *key,
                                                     int64_t only);
CORE_NODISCARD core_status core__config_refuse(core__reader r, const char *key);
/* A list of one word per layer, each written to layer[l] as its index in
 * `words` (NULL-terminated); *found false if the key is absent.              */
CORE_NODISCARD core_status core__config_layers(core__reader r, const char *key,
                                               const char *const *words,
                                               int64_t n_l, uint8_t *layer,
                                               bool *found);
/* Absent, or a list of nothing but 1.                                        */
CORE_NODISCARD core_status core__config_expect_ones(core__reader r,
                                                    const char *key);
/* A list of 0 or 1 for each layer, which must be there.                      */
CORE_NODISCARD core_status core__config_layer_bits(core__reader r,
                                                   const char *key, int64_t n_l,
                                                   uint8_t *bits);
/* A list of layer numbers: marks[l] = 1 for each of them.                    */
CORE_NODISCARD core_status core__config_layer_set(core__reader r,
                                                  const char *key, int64_t n_l,
                                                  uint8_t *marks, bool *found);

/* ---- config_keys.c ------------------------------------------------------- */

/* JSON written as it is. */
#define CORE_JSON(...) #__VA_ARGS__

/* Is the word in a list, blanks between, in which a * stands for any letters?
 * A list that is NULL has none.                                      [local] */
bool core__config_is_listed(const char *word, const char *list);

/* Refuses keys that nobody asked for, unless they are of a list that every file
 * may have or of the list `ignores`, have the value of a feature that is off,
 * or are left out on request.                                                */
CORE_NODISCARD core_status core__config_refuse_unread(
    core__reader r, const char *ignores, const core_overrides *overrides);

/* ---- config_rope.c ------------------------------------------------------- */

/* theta, scaling and the rotated part of heads of n_dh elements into *spec, by
 * the rules of version 5: rope_scaling if it says anything, else
 * rope_parameters; what that lacks stands beside it, or in the class.
 *   has_alpha  "dynamic" with alpha is only another theta                    */
CORE_NODISCARD core_status core__config_rope(core__reader r, bool has_alpha,
                                             core_spec *spec);
/* The same where full and sliding layers differ: the first into the heads of
 * *spec, the others, with the key of their theta beside the object, into its
 * other heads.                                                               */
CORE_NODISCARD core_status core__config_ropes(core__reader r,
                                              const char *other_theta,
                                              core_spec *spec);

/* The same where two objects of rope_parameters are called `first` and `other`,
 * each with a key of its theta beside it; a file without them has the scaling of
 * the first alone, which leaves cos and sin as they are unless it says otherwise.
 */
CORE_NODISCARD core_status core__config_two_ropes(
    core__reader r, const char *first, const char *theta, const char *other,
    const char *other_theta, core_spec *spec);

/* 0.1 * mscale * ln(factor) + 1, the magnitude yarn restores; 1 for factor
 * <= 1. */
double core__mscale(double factor, double mscale);

/* mscale_all_dim of the scaling, 0 if there is none.                         */
CORE_NODISCARD core_status core__config_mscale_all_dim(core__reader r,
                                                       double *out);

/* ---- config_wrappers.c --------------------------------------------------- */

typedef struct core__wrapper {
    const char *model_type;
    const char *key;     /* where the text model stands                       */
    const char *inner;   /* its model_type, if it does not say                */
    const char *instead; /* what it says that it is, but is not; or NULL      */
    const char *ignores; /* keys beside it; *_config are other parts          */
    bool tied;           /* the head, if the file does not say                */
} core__wrapper;

/* NULL: the model_type is no wrapper's.                                      */
const core__wrapper *core__wrapper_of(const char *model_type);
/* The text model as a file of its own; the caller frees *part.               */
CORE_NODISCARD core_status core__wrapper_part(const core__wrapper *w,
                                              core__reader r, json_t **part);

/* ---- quant.c ------------------------------------------------------------- */

/* Refuses a quantization_config of `root` that is not supported.             */
CORE_NODISCARD core_status core__quant_check(core__reader root);

/* ---- config_families.c --------------------------------------------------- */

/* Fill *out by the rules of the family that model_type names; the file may hold
 * its text model in an object of its own.                                    */
CORE_NODISCARD core_status core__config_family(
    core_spec *out, core__reader r, const core_overrides *overrides,
    const char *model_type);

#endif
