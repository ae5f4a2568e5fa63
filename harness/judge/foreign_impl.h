/* harness/judge/foreign_impl.h -- private: placing the tensors of a dump, and
 * what its metadata and the map say of one.
 */
#ifndef HAR_FOREIGN_IMPL_H
#define HAR_FOREIGN_IMPL_H

#include "harness/judge/foreign.h"

typedef struct har__placing {
    har_foreign *dump;
    const har_yardstick *yard;
    const har_foreign_options *options;
    har_dump_file *file; /* at hand                                           */
    int i_file;
} har__placing;

/* Which part of the batch the file holds: the options say it, or the file.
 *                                                                    [local] */
har_claim har__said_claim(const har__placing *placing);

/* The slice of a tensor, in `room` or the map's; NULL if nobody says one. body:
 * the tap's name.  Errors: E_FORMAT.                                 [local] */
CORE_NODISCARD core_status har__said_slice(const har__placing *placing,
                                           const core_st_tensor *t,
                                           const char *body, har_slice *room,
                                           const har_slice **out);

/* The ids that list the rows of a tensor; NULL if nothing does.
 * Errors: E_FORMAT.                                                  [local] */
CORE_NODISCARD core_status har__said_ids(const har__placing *placing,
                                         const core_st_tensor *t,
                                         const core_st_tensor **out);

/* Which experts the physical ones of a tensor of choices are; NULL if its ids
 * are the model's own.  Errors: E_FORMAT.                            [local] */
CORE_NODISCARD core_status har__said_logical(const har__placing *placing,
                                             const core_st_tensor *t,
                                             const core_st_tensor **out);

/* How many columns there are in all with padding: *out, unchanged if nobody
 * says so, in which case a slice of the logits (or NULL) may.  Errors: E_FORMAT.
 * [local] */
CORE_NODISCARD core_status har__said_columns(const har__placing *placing,
                                             const core_st_tensor *t,
                                             const char *body,
                                             const har_slice *slice,
                                             int64_t *out);

/* Is the tensor only there to say something of others?               [local] */
bool har__said_by(const har__placing *placing, const core_st_tensor *t);

#endif
