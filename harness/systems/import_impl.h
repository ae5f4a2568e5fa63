/* harness/systems/import_impl.h -- what becomes of the settings of an import.
 */
#ifndef HAR_IMPORT_IMPL_H
#define HAR_IMPORT_IMPL_H

#include "harness/systems/impl.h"

typedef struct har__found { /* what became of each setting */
    const har_settings *settings;
    const har_system_row *row;
    har_facts facts;
    int n_stated, n_without, n_uncompared, n_replaced;
    char open[400]; /* words like $MORE_ARGS that nobody sets                 */
    int stated[HAR_MAX_SETTINGS], without[HAR_MAX_SETTINGS],
        uncompared[HAR_MAX_SETTINGS];
    int replaced[HAR_MAX_SETTINGS]; /* of a file: a line says otherwise       */
} har__found;

/* For "%.*s". */
#define HAR__NAME(s) (int)(s)->n_name, (s)->name

/* --- import_names.c --- */

/* Is the name one of a list with blanks between?  - and _ are the same; NAME*
 * has any ending.                                                            */
bool har__is_named(const char *list, const char *name, size_t n);

typedef struct har__match { /* what the tables of a row have of a name        */
    const har_flag *flag;   /* NULL: it states nothing                        */
    bool has_no_bearing, is_uncompared;
    bool is_negated; /* no-NAME                                               */
    int n_begun;     /* none has it, and so many begin so                     */
    const char *whole; /* one of these, n_whole characters                    */
    size_t n_whole;
} har__match;

/* Of a row that cuts names, the one that begins so is found as if whole.     */
har__match har__look_up(const har_system_row *row, const har_setting *s);
bool har__is_known(const har__match *match);
/* The name without the dashes of a flag or the + of an override.             */
void har__strip(const har_setting *s, const char **name, size_t *n);

/* --- import_values.c --- */

/* The setting as the fact of its flag, words of a line before those of files.
 * E_USAGE: the value is wrong.                                               */
CORE_NODISCARD core_status har__state(har__found *o, const har_setting *s,
                                      const har_flag *f);

/* --- import_ranks.c --- */

/* What the innermost launcher starts; the variable WORLD_SIZE must agree.    */
CORE_NODISCARD core_status har__find_world(har_facts *f);

/* --- import_report.c --- */

void har__write_report(const har__found *o, const core_spec *spec,
                       const par_plan *plan, FILE *out);

#endif
