/* harness/perf/search/replay.h -- private to the search: the last word. */
#ifndef HAR_PERF_SEARCH_REPLAY_H
#define HAR_PERF_SEARCH_REPLAY_H

#include "harness/perf/search/search.h"

/* Replay what may be on the front of n points that fit memory, in their places;
 * fills the members of *out that are about replays.  Errors: E_MEMORY; those of
 * the replay.                                                        [local] */
CORE_NODISCARD core_status har__search_replay(har_search_result *out,
                                              const har_search_case *request,
                                              har_search_point *point,
                                              int64_t n);

#endif
