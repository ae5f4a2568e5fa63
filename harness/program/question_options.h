/* harness/program/question_options.h -- the options of a prediction. */
#ifndef HAR_QUESTION_OPTIONS_H
#define HAR_QUESTION_OPTIONS_H

#include "harness/perf/predict/question.h"

#include <argp.h>

/* A command's argp has this as a child, its input a har_question; its own keys
 * begin at HAR_QUESTION_KEYS.                                                */
extern const struct argp har_question_argp;
enum { HAR_QUESTION_KEYS = 512 };

#endif
