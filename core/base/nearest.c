/* core/base/nearest.c -- see nearest.h. */
#include "core/base/nearest.h"

#include <stdbool.h>
#include <string.h>

enum {
    LONGEST = 64, /* letters that are compared                               */
    HELD = 4      /* letters of a word that is worth finding in another       */
};

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* `word` with one letter for all that joins words; returns its length. */
static int plain(char out[LONGEST + 1], const char *word)
{
    int n = 0;
    for (; n < LONGEST && word[n] != '\0'; n++)
        out[n] = (char)(strchr("-.", word[n]) != NULL ? '_' : word[n]);
    out[n] = '\0';
    return n;
}

/* Letters to be put in, left out or changed (Levenshtein). */
static int changes(const char *a, int n_a, const char *b, int n_b)
{
    int row[LONGEST + 1];
    for (int j = 0; j <= n_b; j++)
        row[j] = j;
    for (int i = 1; i <= n_a; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= n_b; j++) {
            const int swap = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            row[j] = least(swap, 1 + least(row[j], row[j - 1]));
        }
    }
    return row[n_b];
}

/* A third of the longer word at most; else LONGEST.  What one holds of the
 * other counts as near, the nearer the less is left over.                    */
static int distance(const char *word, const char *name)
{
    char a[LONGEST + 1], b[LONGEST + 1];
    const int n_a = plain(a, word), n_b = plain(b, name);
    const int most = n_a > n_b ? n_a : n_b;
    const int n = changes(a, n_a, b, n_b);
    const bool holds = least(n_a, n_b) >= HELD &&
                       (strstr(a, b) != NULL || strstr(b, a) != NULL);
    return 3 * n <= most || holds ? n : LONGEST;
}

const char *core_nearest(const char *word, core_name_of *name_of,
                         const void *list)
{
    const char *best = NULL, *name;
    int least_far = LONGEST;
    for (int i = 0; (name = name_of(list, i)) != NULL; i++) {
        const int far = distance(word, name);
        if (far < least_far) {
            least_far = far;
            best = name;
        }
    }
    return best;
}
