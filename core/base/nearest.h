/* core/base/nearest.h -- the word that was probably meant.
 *
 * For refusals of unknown names: a list is asked for the one that is nearest.
 */
#ifndef CORE_NEAREST_H
#define CORE_NEAREST_H

/* The name i of a list; NULL behind its end. */
typedef const char *core_name_of(const void *list, int i);

/* The name that `word` is nearest to, or NULL if none is near: one that it holds
 * or that holds it, as hidden_size holds hidden, or one that a change of a third
 * of its letters makes of it.  Of several the first.  '_', '-' and '.' are the
 * same letter.                                                       [local] */
const char *core_nearest(const char *word, core_name_of *name_of,
                         const void *list);

#endif
