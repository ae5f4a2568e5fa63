/* harness/launch/waiting.h -- one line on a terminal for work that takes long.
 *
 * Nothing is said in the first two seconds, nothing where stderr is no terminal,
 * and the line is gone when the work is done.
 */
#ifndef HAR_WAITING_H
#define HAR_WAITING_H

#include <stdio.h>
#include <time.h>

typedef struct har_waiting {
    FILE *out;    /* NULL: nobody looks                                       */
    time_t begun; /* seconds, any clock that time() shows                     */
    char said[160];
} har_waiting;

har_waiting har_waiting_begin(void);

/* Replace the line by `text`, cut to the terminal's width; the same again is not
 * written.                                                           [local] */
void har_waiting_say(har_waiting *w, const char *text);

/* "WHAT: 43 %"; done from 0 to 1.                                     [local] */
void har_waiting_share(har_waiting *w, const char *what, double done);

/* Take the line away; harmless twice.                                 [local] */
void har_waiting_end(har_waiting *w);

#endif
