/* parallel/operators.c -- the tables of operators, made from the core's lists.
 */
#include "parallel/operators.h"
#include "parallel/forward.h"

#define ROW(kind, name) &par__##name,
const par__entry *const par__mixers[] = {CORE_MIXER_LIST(ROW)};
const par__entry *const par__shareds[] = {CORE_SHARED_LIST(ROW)};
static const par__entry *const projections[] = {CORE_PROJECTION_LIST(ROW)};
static const par__connection *const connections[] = {CORE_CONNECTION_LIST(ROW)
                                                         NULL};
static const par__entry *const choosers[] = {CORE_CHOOSER_LIST(ROW)};
static const par__entry *const all[] = {
    CORE_PROJECTION_LIST(ROW) CORE_CHOOSER_LIST(ROW) CORE_MIXER_LIST(ROW) CORE_SHARED_LIST(ROW)};
#undef ROW

const par__entry *par__mixer(const core_spec *spec, int l)
{
    const core_mixer kind = core_spec_mixer(spec, l);
    return kind < CORE_N_MIXERS ? par__mixers[kind] : NULL;
}

const par__entry *par__projection(const core_spec *spec)
{
    return projections[core_spec_projection(spec)];
}

const par__entry *par__chooser(const core_spec *spec, int l)
{
    const core_chooser kind = core_spec_chooser(spec, l);
    return kind < CORE_N_CHOOSERS ? choosers[kind] : NULL;
}

const par__entry *par__shared(const core_spec *spec, int l)
{
    const core_shared kind = core_spec_shared(spec, l);
    return kind < CORE_N_SHARED ? par__shareds[kind] : NULL;
}

const par__connection *par__connection_of(const core_spec *spec)
{
    return connections[core_spec_connection(spec)];
}

int64_t par__kept(const par__entry *op, const core_spec *spec,
                  const par_layout *layout, int l, int64_t n_t)
{
    return op != NULL && op->kept != NULL ? op->kept(spec, layout, l, n_t) : 0;
}

bool par__has(const core_spec *spec, int l0, int l1, const par__entry *op)
{
    for (int l = l0; l < l1; l++) {
        const par__entry *mixer = par__mixer(spec, l);
        if (mixer == op || par__shared(spec, l) == op ||
            par__chooser(spec, l) == op ||
            (mixer == &par__attention && par__projection(spec) == op))
            return true;
    }
    return false;
}

const char *par_placement(const core_spec *spec, int i)
{
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (all[k]->placement != NULL &&
            par__has(spec, 0, (int)spec->n_l, all[k]) && i-- == 0)
            return all[k]->placement;
    const par__connection *connection = par__connection_of(spec);
    return connection != NULL && i == 0 ? connection->placement : NULL;
}

const char *par_operator_name(par_operator op)
{
#define ROW(kind, name) [PAR_OP_##kind] = #name,
    static const char *const name[] = {PAR_OPERATOR_LIST(ROW)};
#undef ROW
    core_assert(op >= 0 && op < PAR_N_OPERATORS);
    return name[op];
}

/* What else is repeated, if the stream is: norms over whole rows, the router,
 * and what stands between the stream and the parts of a layer. */
bool par_operator_is_replicated(const par_plan *plan, par_operator op)
{
#define ROW(kind, name) [PAR_OP_##kind] = &par__##name,
    static const par__entry *const by_name[PAR_N_OPERATORS] = {
        CORE_PROJECTION_LIST(ROW) CORE_CHOOSER_LIST(ROW) CORE_MIXER_LIST(ROW)};
#undef ROW
#define IS_IT(kind, name) op == PAR_OP_##kind ||
    const bool connects = CORE_CONNECTION_LIST(IS_IT) false;
#undef IS_IT
    return (!plan->sp &&
            (op == PAR_OP_NORM || op == PAR_OP_ROUTER || connects)) ||
           (by_name[op] != NULL && by_name[op]->is_replicated);
}
