/* harness/perf/machine/tiers.h -- which links the groups of a plan use.
 *
 * Ranks fill nodes in order, so a group that lies inside one node may have a
 * neighbour of the same kind that crosses into the next.  Whoever speaks for
 * all of them (one rank of a stage, a closed form) takes the slowest.
 */
#ifndef HAR_PERF_TIERS_H
#define HAR_PERF_TIERS_H

#include "core/pass/cost.h"
#include "harness/perf/machine/machine.h"
#include "parallel/plan.h"

/* The degrees of a plan that say where its groups lie.                       */
typedef struct har_mesh {
    int dp, pp, cp, tp, ep, etp;
    par_scope scope;
    int vpp; /* 0 is 1: no virtual stages                                     */
} har_mesh;

har_mesh har_mesh_of(const par_plan *plan);

/* The nearest links that reach all of the ranks first .. last.       [local] */
int har_tier_between(const har_machine *machine, int first, int last);

/* Members of an expert group that share a node, where it reaches further: those
 * that are sure to.                                                   [local]
 */
int har_experts_near(const har_machine *machine, const har_mesh *mesh);

/* For every axis, the slowest tier of links that any group with a member in the
 * stage uses; PP: of any send to the next stage, of virtual ones round about.
 * 0 for groups of one rank.
 *   tier  [CORE_N_AXES]                                              [local] */
void har_stage_tiers(const har_machine *machine, const har_mesh *mesh,
                     int stage, int *tier);

#endif
