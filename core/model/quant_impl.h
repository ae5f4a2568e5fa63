/* core/model/quant_impl.h -- private to core/model: rules, and who makes them.
 */
#ifndef CORE_QUANT_IMPL_H
#define CORE_QUANT_IMPL_H

#include "core/model/config_impl.h"
#include "core/model/quant.h"

#include <regex.h>

/* How a rule names modules.                                                  */
typedef enum core__naming {
    CORE__NAMED_MODULE, /* that one and what is in it                         */
    CORE__NAMED_START,  /* the name begins so                                 */
    CORE__NAMED_END,    /* it ends so, or names a module                      */
    CORE__NAMED_GLOB,   /* with * and ?                                       */
    CORE__NAMED_REGEX,  /* matched from the start                             */
} core__naming;

typedef struct core__rule {
    core__naming naming;
    char *text; /* owned                                                      */
    regex_t regex;
    core_quant_scheme scheme;
} core__rule;

struct core_quant {
    char source[32];
    core__rule *rules; /* [n_rule]; the first that names a module holds       */
    int64_t n_rule, room;
    core__rule **modules; /* [n_module] those by MODULE, sorted               */
    int64_t n_module;
    core_quant_scheme other; /* what no rule names                            */
};

/* Add a rule.  Languages differ in what a text means:
 *   fp8, mxfp4          a module, or the end of a name, or a regex
 *   modelopt            with *
 *   compressed-tensors  a module, or "re:" and a regex
 * Errors: E_SPEC with key and text, for a regex that is none; E_MEMORY.      */
typedef enum core__language {
    CORE__SAID_AS_FP8,
    CORE__SAID_AS_MODELOPT,
    CORE__SAID_AS_TENSORS
} core__language;
CORE_NODISCARD core_status core__quant_rule(core_quant *quant, core__reader r,
                                            const char *key, const char *text,
                                            core__language language,
                                            core_quant_scheme scheme);

/* All rules are there: from now on they are asked.  Errors: E_MEMORY.         */
CORE_NODISCARD core_status core__quant_sort(core_quant *quant);

/* The object under `key` or in the text_config beside it; NULL: none.        */
const json_t *core__quant_object(core__reader r, const char *key);

/* Fill *quant from an object of any language that stands in the file `root`. */
CORE_NODISCARD core_status core__quant_read(core_quant *quant, core__reader r,
                                            core__reader root);

#endif
