/* core/model/config_impl.h -- private to core/model: reading a config.json.
 *
 * A key that is null means the same as an absent one; integers may be written
 * 8.0 and reals 4.  Sizes, counts, eps and theta must be there; only flags have
 * defaults, those of the model classes.  Errors are E_SPEC with file and key.
 */
#ifndef CORE_CONFIG_IMPL_H
#define CORE_CONFIG_IMPL_H

#include "core/files/json.h"
#include "core/model/spec_impl.h"

typedef struct core__reader {
    const json_t *object;
    const char *where; /* file, for messages                                  */
} core__reader;

/* ---- config_read.c ------------------------------------------------------- */

/* The value of a key; NULL if absent or null.                                */
const json_t *core__config_value(core__reader r, const char *key);
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
CORE_NODISCARD core_status core__config_refuse(core__reader r, const char *key);
/* A list of one word per layer, each written to layer[l] as its index in
 * `words` (NULL-terminated); *found false if the key is absent.              */
CORE_NODISCARD core_status core__config_layers(core__reader r, const char *key,
                                               const char *const *words,
                                               int64_t n_l, uint8_t *layer,
                                               bool *found);
/* A list of layer numbers: marks[l] = 1 for each of them.                    */
CORE_NODISCARD core_status core__config_layer_set(core__reader r,
                                                  const char *key, int64_t n_l,
                                                  uint8_t *marks, bool *found);

/* ---- config_rope.c ------------------------------------------------------- */

/* theta, scaling and the rotated part of heads of n_dh elements into *spec.
 * Version 5: everything inside rope_parameters.  Version 4: rope_theta, and
 * rope_scaling if there is any.                                              */
CORE_NODISCARD core_status core__config_rope(core__reader r, core_spec *spec);

/* Refuses a file that says nowhere which part of a head is rotated.          */
CORE_NODISCARD core_status core__config_fraction_present(core__reader r);

/* 0.1 * mscale * ln(factor) + 1, the magnitude yarn restores; 1 for factor
 * <= 1. */
double core__mscale(double factor, double mscale);

/* mscale_all_dim of the scaling, 0 if there is none.                         */
CORE_NODISCARD core_status core__config_mscale_all_dim(core__reader r,
                                                       double *out);

/* ---- quant.c ------------------------------------------------------------- */

/* Refuses a quantization_config of `root` that is not supported.             */
CORE_NODISCARD core_status core__quant_check(core__reader root);

/* ---- config_families.c --------------------------------------------------- */

/* Fill *out by the rules of the family that model_type names.                */
CORE_NODISCARD core_status core__config_family(core_spec *out, core__reader r,
                                               const char *model_type);

#endif
