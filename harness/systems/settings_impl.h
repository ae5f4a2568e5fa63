/* harness/systems/settings_impl.h -- words of launch lines. */
#ifndef HAR_SETTINGS_IMPL_H
#define HAR_SETTINGS_IMPL_H

#include "harness/systems/impl.h"

/* --- settings_words.c --- */

/* Whose options come behind the word: HAR_AT_SYSTEM: it is no launcher.      */
har_place har__launcher_at(const char *word);
bool har__is_wrapper(const char *word);
bool har__is_python(const char *word);
/* Does a server, a server or a program, begin at the first of n words?       */
bool har__is_server(const har_word *word, int n);
bool har__is_program(const har_word *word, int n);
/* --flag, -f, a.dotted.name=value.                                           */
bool har__is_setting(const har_word *word);

/* --- settings_launch.c --- */

/* The launch line among the commands from `first` on, the one of out->launch
 * where there are several; NULL: there is none.  E_USAGE lists them.         */
CORE_NODISCARD core_status har__find_launch(const har_command **line,
                                            har_settings *out, int first,
                                            const char *name);

#endif
