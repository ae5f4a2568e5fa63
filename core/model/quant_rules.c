/* core/model/quant_rules.c -- which rule names a module.
 *
 * A list may name thousands of modules and a model have a hundred thousand, so
 * those named in full are found by their names.  Traps: of a module that an
 * ignore list and a group both name the list is right; experts that the files
 * keep in one tensor are named one by one in the list.
 */
#include "core/model/quant_impl.h"

#include "core/base/arena.h"
#include "core/files/text.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const core_quant_scheme PLAIN = {.kind = CORE_BLOCK_NONE};

static bool ends_with_star_only(const char *text)
{
    const char *special = strpbrk(text, "*?[\\");
    return special != NULL && special[0] == '*' && special[1] == '\0';
}

static core__naming naming_of(const char *text, core__language language)
{
    const bool star = strpbrk(text, "*?[") != NULL;
    if (language == CORE__SAID_AS_TENSORS && strncmp(text, "re:", 3) == 0)
        return CORE__NAMED_REGEX;
    if (language == CORE__SAID_AS_FP8 && strpbrk(text, "*?[(|\\^$+") != NULL)
        return CORE__NAMED_REGEX;
    if (ends_with_star_only(text))
        return CORE__NAMED_START;
    if (star)
        return CORE__NAMED_GLOB;
    return language == CORE__SAID_AS_FP8 && strstr(text, "layers.") == NULL
               ? CORE__NAMED_END
               : CORE__NAMED_MODULE;
}

/* Python's expression as one of POSIX, in `out`; false: there is none, and no
 * text in `out`. */
static bool translate(char *out, const char *text)
{
    static const char *const WORDS[][2] = {
        {"\\d", "[0-9]"}, {"\\w", "[A-Za-z0-9_]"}, {"(?:", "("}, {"*?", "*"}};
    while (*text != '\0') {
        size_t taken = 1;
        const char *word = NULL;
        for (int i = 0; i < 4 && word == NULL; i++)
            if (strncmp(text, WORDS[i][0], strlen(WORDS[i][0])) == 0) {
                word = WORDS[i][1];
                taken = strlen(WORDS[i][0]);
            }
        if (word == NULL && strncmp(text, "(?", 2) == 0)
            return false;
        if (word != NULL)
            out += strlen(strcpy(out, word));
        else
            *out++ = *text;
        text += taken;
    }
    *out = '\0';
    return true;
}

/* From the start, as Python's re.match does; fp8 wants the whole of a name
 * between two points, too. */
static core_status compile(core__rule *rule, core__reader r, const char *key,
                           core__language language)
{
    const char *text = rule->text;
    const bool tensors = language == CORE__SAID_AS_TENSORS;
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 8 * (int64_t)strlen(text) + 16, 1, key));
    char *pattern = strcpy(memory, "^(");
    bool ok = translate(pattern + 2, text + (tensors ? 3 : 0));
    if (ok) {
        strcat(pattern, tensors ? ")" : ")(\\.|$)");
        ok = regcomp(&rule->regex, pattern, REG_EXTENDED | REG_NOSUB) == 0;
    }
    free(memory);
    CORE_FAIL_IF(!ok, CORE_E_SPEC,
                 "%s: %s: '%.80s': not a regular expression that is supported",
                 r.where, key, text);
    return CORE_OK;
}

core_status core__quant_rule(core_quant *quant, core__reader r, const char *key,
                             const char *text, core__language language,
                             core_quant_scheme scheme)
{
    core__rule *more = core_grow(quant->rules, &quant->room, quant->n_rule + 1,
                                 sizeof *quant->rules, key);
    if (more == NULL)
        return CORE_E_MEMORY;
    quant->rules = more;
    void *copy = NULL;
    CORE_TRY(core_alloc(&copy, (int64_t)strlen(text) + 1, 1, key));
    core__rule rule = {.naming = naming_of(text, language),
                       .text = strcpy(copy, text),
                       .scheme = scheme};
    if (rule.naming == CORE__NAMED_REGEX) {
        const core_status status = compile(&rule, r, key, language);
        if (status != CORE_OK) {
            free(copy);
            return status;
        }
    }
    if (rule.naming == CORE__NAMED_START)
        rule.text[strlen(text) - 1] = '\0';
    quant->rules[quant->n_rule++] = rule;
    return CORE_OK;
}

static bool begins(const char *module, const char *text, bool whole)
{
    const size_t n = strlen(text);
    return strncmp(module, text, n) == 0 &&
           (!whole || module[n] == '\0' || module[n] == '.');
}

static bool names(const core__rule *rule, const char *module)
{
    switch (rule->naming) {
    case CORE__NAMED_MODULE:
        return begins(module, rule->text, true);
    case CORE__NAMED_START:
        return begins(module, rule->text, false);
    case CORE__NAMED_END:
        return core_text_ends(module, rule->text) ||
               begins(module, rule->text, true);
    case CORE__NAMED_GLOB:
        return fnmatch(rule->text, module, 0) == 0;
    case CORE__NAMED_REGEX:
        return regexec(&rule->regex, module, 0, NULL, 0) == 0;
    }
    return false;
}

/* By text, then by place, so that the first of two comes first. */
static int compare_rules(const void *a, const void *b)
{
    const core__rule *const *x = a, *const *y = b;
    const int order = strcmp((*x)->text, (*y)->text);
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

core_status core__quant_sort(core_quant *quant)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, quant->n_rule + 1, sizeof *quant->modules,
                        "rules"));
    quant->modules = memory;
    for (int64_t i = 0; i < quant->n_rule; i++)
        if (quant->rules[i].naming == CORE__NAMED_MODULE)
            quant->modules[quant->n_module++] = &quant->rules[i];
    qsort(quant->modules, (size_t)quant->n_module, sizeof *quant->modules,
          compare_rules);
    return CORE_OK;
}

/* The first rule by MODULE with exactly that text, NULL if there is none. */
static const core__rule *find_module(const core_quant *quant, const char *text)
{
    int64_t first = 0, end = quant->n_module;
    while (first < end) {
        const int64_t middle = first + (end - first) / 2;
        if (strcmp(quant->modules[middle]->text, text) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first < quant->n_module &&
                   strcmp(quant->modules[first]->text, text) == 0
               ? quant->modules[first]
               : NULL;
}

/* The first rule that names the module or one that it is in. */
static const core__rule *find_named(const core_quant *quant, const char *module)
{
    char name[CORE_FILE_TENSOR_BYTES];
    const core__rule *best = NULL;
    snprintf(name, sizeof name, "%s", module);
    for (char *dot = name; dot != NULL;) {
        const core__rule *rule = find_module(quant, name);
        if (rule != NULL && (best == NULL || rule < best))
            best = rule;
        dot = strrchr(name, '.');
        if (dot != NULL)
            *dot = '\0';
    }
    return best;
}

/* The first rule of any kind. */
static const core__rule *find_rule(const core_quant *quant, const char *module)
{
    const core__rule *named = find_named(quant, module);
    for (int64_t i = 0; i < quant->n_rule; i++) {
        const core__rule *rule = &quant->rules[i];
        if (rule == named)
            break;
        if (rule->naming != CORE__NAMED_MODULE && names(rule, module))
            return rule;
    }
    return named;
}

core_quant_scheme core_quant_of(const core_quant *quant, const char *module)
{
    if (quant == NULL)
        return PLAIN;
    const core__rule *rule = find_rule(quant, module);
    return rule != NULL ? rule->scheme : quant->other;
}

void core_quant_module(const char *name, char module[CORE_FILE_TENSOR_BYTES])
{
    static const char WEIGHT[] = ".weight";
    snprintf(module, CORE_FILE_TENSOR_BYTES, "%s", name);
    if (core_text_ends(module, WEIGHT))
        module[strlen(module) - (sizeof WEIGHT - 1)] = '\0';
}

static bool is_linear(core_weight_kind kind, core_layout layout)
{
    return kind != CORE_W_EMBED && kind != CORE_W_HEAD &&
           kind != CORE_W_ROUTER && layout != CORE_LAYOUT_VECTOR &&
           layout != CORE_LAYOUT_CONV && layout != CORE_LAYOUT_PER_HEAD &&
           core_weight_scope_of(kind) != CORE_SCOPE_ONCE;
}

/* The rule of a module by its own name, or by that which it has as a part of a
 * larger model. */
static const core__rule *find_nested(const core_quant *quant,
                                     const char *module)
{
    char nested[CORE_FILE_TENSOR_BYTES];
    const char *inner, *outer;
    const core__rule *rule = NULL;
    for (int i = 0; rule == NULL && core_file_nesting(i, &inner, &outer); i++) {
        const size_t n = strlen(inner);
        if (strncmp(module, inner, n) != 0)
            continue;
        snprintf(nested, sizeof nested, "%s%s", outer, module + n);
        rule = find_rule(quant, nested);
    }
    return rule;
}

core_quant_scheme core_quant_of_weight(const core_quant *quant,
                                       core_weight_kind kind,
                                       core_layout layout, const char *name)
{
    char module[CORE_FILE_TENSOR_BYTES];
    if (quant == NULL)
        return PLAIN;
    core_quant_module(name, module);
    const core__rule *rule = find_nested(quant, module);
    if (rule != NULL)
        return rule->scheme;
    return is_linear(kind, layout) ? quant->other : PLAIN;
}
