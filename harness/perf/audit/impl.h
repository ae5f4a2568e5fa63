/* harness/perf/audit/impl.h -- private: values of quantities.
 *
 * A case is one reading of the plan, one meaning of each word, and the claim on
 * trial, whose value stands for its quantity while it is judged.
 */
#ifndef HAR_PERF_AUDIT_IMPL_H
#define HAR_PERF_AUDIT_IMPL_H

#include "harness/perf/audit/audit.h"

typedef struct har__case {
    const har_claims *claims;
    const har_reading *reading;
    const int *meaning; /* [HAR_N_WORDS], 1 or 2                               */
    int trial;          /* index of the claim on trial                        */
    bool visiting[HAR_N_QUANTITIES]; /* being derived                          */
    int barred;         /* rule that must not derive its target, or -1         */
    bool without_claims; /* plan, hardware and model only                      */
    bool with_text; /* fill har_check.text                                */
} har__case;

typedef struct har__value {
    har_interval x;
    uint64_t from; /* claims that it rests on                                  */
    int claim;     /* index if it is a claim as written, else -1               */
    int rule;      /* that derived it, else -1                                 */
} har__value;

/* The quantity that a claim is about, words resolved. */
har_quantity har__quantity_of(const har__case *c, int claim);

/* The claim is a figure and no requirement. */
bool har__is_figure(const har_claim *claim);

/* Value of a quantity in this case; false if nothing gives it. */
bool har__resolve(har__case *c, har_quantity q, har__value *out);

/* What plan and model alone say of a quantity, claims aside. */
bool har__given(const har_claims *claims, const har_reading *reading,
                const int meaning[HAR_N_WORDS], har_quantity q,
                har_interval *out);

/* Does a figure of the document, or what it gives, say the quantity? */
bool har__is_stated(const har_claims *claims, har_quantity q);

/* Does the rule apply under this reading and these words? */
bool har__applies(const har__case *c, const har_rule *rule);

/* What the plan of the reading says of a degree; false for other quantities. */
bool har__degree(const har_reading *reading, har_quantity q, double *out);

/* Do two readings differ in nothing but degrees that nobody states? */
bool har__reads_alike(const har_claims *claims, const har_reading *a,
                      const har_reading *b);

/* What the model says of a quantity of which it has_model. */
har_interval har__model_says(const har_claims *claims, har_quantity q);

/* Fill in what the spec of the claims fixes, once. */
void har__fill_model(har_claims *claims);

/* The arithmetic of a rule in one line. */
void har__write_rule(char *out, size_t bytes, const har__case *c,
                     const har_rule *rule, const har__value *input,
                     har_interval found, const har__value *target);

#endif
