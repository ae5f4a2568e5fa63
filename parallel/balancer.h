/* parallel/balancer.h -- physical experts of a layer: which logical expert
 * each is, from what the logical ones are asked for.
 *
 * Physical expert p is slot p % n_slot of GPU p / n_slot.  Where there are more
 * of them than logical ones, the most loaded have several, which share their
 * tokens evenly.  Two ways, as published of expert-parallel load balancing:
 * greedy over all GPUs (n_node = 1), or by node, then by GPU, so that a group of
 * experts stays in a node, as routing that is limited to groups wants it.
 */
#ifndef PAR_BALANCER_H
#define PAR_BALANCER_H

#include "core/base/status.h"

enum { PAR_MAX_SLOTS = 4096 };

typedef struct par_balancer {
    int n_e;             /* logical experts, at most as many as physical ones */
    int n_gpu, n_slot;   /* at most PAR_MAX_SLOTS slots                    */
    int n_node, n_group; /* n_node divides n_gpu and n_group, which divides
                          * n_e                                               */
    bool is_once;        /* no GPU needs two copies of an expert, as plans
                          * want it; published dealing may                    */
} par_balancer;

/* E_USAGE with the equation that fails.                              [local] */
CORE_NODISCARD core_status par_balancer_check(const par_balancer *deal);

/* Physical experts in order: expert p is logical p mod n_e.  What a run begins
 * with that knows no load.
 *   logical [n_gpu * n_slot] of each physical expert                 [local] */
void par_balancer_in_order(const par_balancer *deal, int *logical);

/* 1. Groups go to nodes, largest load first, each to the least loaded that has
 * room, as many to each.  2. In a node every expert has a copy; the others are
 * given one by one to the expert whose copies carry most.  3. Copies go to the
 * node's GPUs, largest first, each to the least loaded that has room, if
 * possible one that does not have the expert.  With is_once an expert has no more
 * copies than its node has GPUs.
 *   load [n_e]; logical [n_gpu * n_slot]                             [local] */
void par_balancer_deal(const par_balancer *deal, const double *load, int *logical);

/* How many copies each logical expert has, [n_e].                    [local] */
void par_balancer_copies(const par_balancer *deal, const int *logical, int *n_copy);

/* Mean load of a GPU / that of the fullest: 1 is even.               [local] */
double par_balancer_balance(const par_balancer *deal, const double *load,
                        const int *logical);

/* Experts that GPUs need and do not have: of all, and *most of one.  [local] */
int par_balancer_moved(const par_balancer *deal, const int *before, const int *after,
                   int *most);

#endif
