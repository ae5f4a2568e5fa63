/* harness/perf/predict/traffic.h -- who sends how many bytes to whom in a pass.
 *
 * Collectives of a tensor group go around a ring in the order of its ranks, as
 * the machine's time for them assumes (machine/collective.c); rows of experts
 * and activations between stages go from rank to rank, and are exact for the
 * load given.  Ranks may be put together in blocks, so that the table of a
 * large plan stays small.
 */
#ifndef HAR_PERF_TRAFFIC_H
#define HAR_PERF_TRAFFIC_H

#include "harness/perf/predict/predict.h"

typedef enum har_flow {
    HAR_FLOW_TENSOR, /* all-reduce, all-gather of the tensor group            */
    HAR_FLOW_EXPERT, /* rows to experts and back, with their labels; parts of
                      * an expert's columns made whole                        */
    HAR_FLOW_STAGE,  /* activations to the next stage                         */
    HAR_FLOW_CONTEXT, /* what ranks that share rows exchange for them          */
    HAR_N_FLOW
} har_flow;

typedef struct har_traffic {
    int n_gpu, block; /* ranks per block                                      */
    int n_cell;       /* blocks                                               */
    double *sent;     /* [HAR_N_FLOW, n_cell, n_cell] bytes, owned            */
    double *out;      /* [n_gpu] bytes that a rank sends, owned               */
    double *rows;     /* [n_gpu] rows that its experts work on, owned         */
    double by_link[HAR_N_FLOW][HAR_MAX_LINKS]; /* bytes over each kind of link
                                                * of the machine */
} har_traffic;

/* Bytes of a pass of request, whose load is `load` (made for its plan).
 * collectives must be the library's.  Free with har_traffic_free also after an
 * error.  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har_traffic_make(har_traffic *out,
                                            const har_predict_case *request,
                                            const har_machine *machine,
                                            const har_load *load, int block);
void har_traffic_free(har_traffic *traffic);

/* Bytes from block i to block j.    [local] */
double har_traffic_at(const har_traffic *traffic, har_flow flow, int i, int j);

/* Is the flow worth a word?  That of a context group only where there is one.
 *                                                                    [local] */
bool har_traffic_has(const har_traffic *traffic, har_flow flow);

/* "tensor group", "experts", "next stage", "context group". */
const char *har_flow_name(har_flow flow);

#endif
