/* harness/judge/captured.c -- see captured.h.
 *
 * Numbers of another model or prompt would fail, too, at the first tap and with
 * nothing that says why.
 */
#include "harness/judge/captured.h"

#include <string.h>

/* Every file that says the key says `expected`; "": nothing is known. */
static core_status check_mark(const har_foreign *d, const har_yardstick *y,
                              const char *key, const char *what,
                              const char *expected)
{
    for (int i = 0; i < d->n_file && expected[0] != '\0'; i++) {
        const char *said = core_st_metadata(d->file[i].st, key);
        CORE_FAIL_IF(said != NULL && strcmp(said, expected) != 0, CORE_E_INPUT,
                     "%s: was recorded for another %s: expected %s %s, as in "
                     "%s/manifest.json, found '%.40s'",
                     core_st_path(d->file[i].st), what, key, expected, y->path,
                     said);
    }
    return CORE_OK;
}

static core_status check_version(const har_foreign *d)
{
    const char *first = core_st_metadata(d->file[0].st, "capture");
    for (int i = 1; i < d->n_file; i++) {
        const char *said = core_st_metadata(d->file[i].st, "capture");
        CORE_FAIL_IF((said == NULL) != (first == NULL) ||
                         (said != NULL && strcmp(said, first) != 0),
                     CORE_E_INPUT,
                     "%s: metadata 'capture': expected %.40s as in %s, found "
                     "%.40s",
                     core_st_path(d->file[i].st),
                     first != NULL ? first : "none", d->file[0].name,
                     said != NULL ? said : "none");
    }
    return CORE_OK;
}

core_status har_captured_check(const har_foreign *d, const har_yardstick *y)
{
    CORE_TRY(check_version(d));
    CORE_TRY(check_mark(d, y, "weights_xxh3", "model", y->weights));
    return check_mark(d, y, "input_xxh3", "prompt", y->prompt);
}
