/* harness/program/plan_map_json.c -- the ranks of a plan as JSON: what each
 * owns, and every group that it is in.
 *
 * Groups are found, not computed: ranks whose other coordinates are equal, in
 * the order of the system's numbers.
 */
#include "harness/program/plan_map.h"

#include "core/base/arena.h"
#include "harness/launch/jsonfile.h"
#include "parallel/layout.h"
#include "parallel/turns.h"

#include <stdlib.h>

typedef struct coordinates {
    int rank; /* the system's number                                          */
    int stage, d, c, t, ep, etp, edp;
} coordinates;

/* A kind of group: its members differ in one coordinate, the others are the
 * key.
 */
typedef enum kind {
    KIND_TP,
    KIND_CP,
    KIND_PP,
    KIND_DP,
    KIND_EP,
    KIND_ETP,
    KIND_EDP,
    N_KINDS
} kind;

static const char *const kind_names[N_KINDS] = {"tp", "cp",  "pp", "dp",
                                                "ep", "etp", "edp"};

typedef struct member {
    int64_t key;
    int rank;
} member;

typedef struct map {
    const core_spec *spec;
    const par_plan *plan;
    har_system system;
    int n;
    coordinates *at;         /* [n] by the system's number                   */
    member *member[N_KINDS]; /* [n] sorted: a run of one key is a group      */
} map;

static int64_t join(int a, int b, int c)
{
    return ((int64_t)a << 40) + ((int64_t)b << 20) + c;
}

static int64_t key(const par_plan *plan, const coordinates *c, kind k)
{
    const int scope = plan->scope == PAR_SCOPE_STAGE ? c->stage : c->d;
    switch (k) {
    case KIND_TP:
        return join(c->stage, c->d, c->c);
    case KIND_CP:
        return join(c->stage, c->d, c->t);
    case KIND_PP:
        return join(c->d, c->c, c->t);
    case KIND_DP:
        return join(c->stage, c->c, c->t);
    case KIND_EP:
        return join(scope, c->edp, c->etp);
    case KIND_ETP:
        return join(scope, c->edp, c->ep);
    default:
        return join(scope, c->ep, c->etp);
    }
}

static int by_key_and_rank(const void *a, const void *b)
{
    const member *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_key(const void *a, const void *b)
{
    const member *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static int our_rank(const map *m, int rank)
{
    return m->system < HAR_N_SYSTEMS ? har_system_ours(m->system, m->plan, rank)
                                     : rank;
}

/* --- JSON --- */

static json_t *range(int64_t first, int64_t end)
{
    return json_pack("[I,I]", (json_int_t)first, (json_int_t)end);
}

static json_t *group(const map *m, kind k, const coordinates *c)
{
    const member wanted = {key(m->plan, c, k), 0};
    const member *all = m->member[k], *end = all + m->n;
    const member *at = bsearch(&wanted, all, (size_t)m->n, sizeof *all, by_key);
    json_t *out = json_array();
    while (at > all && at[-1].key == wanted.key)
        at--;
    for (; at < end && at->key == wanted.key; at++)
        json_array_append_new(out, json_integer(at->rank));
    return out;
}

/* The row of each micro-batch where every part has one. */
static json_t *rows(const map *m, const coordinates *c)
{
    const bool is_dealt = m->system < HAR_N_SYSTEMS &&
                          har_system_rows(m->system) == HAR_ROWS_DEALT;
    json_t *out = json_array();
    for (int i = 0; i < m->plan->mb; i++)
        json_array_append_new(out,
                              json_integer(is_dealt ? i * m->plan->dp + c->d
                                                    : c->d * m->plan->mb + i));
    return out;
}

static void put_vocabulary(json_t *o, const map *m, const par_layout *l)
{
    int64_t first = l->first_vocab[l->t], end = l->first_vocab[l->t + 1];
    if (m->system < HAR_N_SYSTEMS)
        har_system_vocabulary(m->system, m->plan, m->spec, l->t, &first, &end);
    core_json_put(o, "vocabulary", range(first, end));
}

/* Inner columns that tensor ranks share out, where the model has some. */
static void put_columns(json_t *o, const char *key, int64_t n,
                        const par_layout *l)
{
    if (n > 0)
        core_json_put(o, key,
                      range(core_split_first(n, l->plan.tp, l->t),
                            core_split_first(n, l->plan.tp, l->t + 1)));
}

/* One range, or one of each virtual stage. */
static void put_layers(json_t *o, const par_layout *l)
{
    json_t *parts = json_array();
    for (int chunk = 0; chunk < l->plan.vpp; chunk++) {
        const int part = par_virtual_stage(&l->plan, l->stage, chunk);
        json_array_append_new(
            parts, range(l->first_layer[part], l->first_layer[part + 1]));
    }
    if (l->plan.vpp > 1) {
        core_json_put(o, "virtual_stages", parts);
        return;
    }
    core_json_put(o, "layers", json_incref(json_array_get(parts, 0)));
    json_decref(parts);
}

static void put_owned(json_t *o, const map *m, const par_layout *l)
{
    const par_heads *h = &l->heads[0];
    put_layers(o, l);
    if (m->spec->n_h > 0) {
        core_json_put(o, "heads", range(h->h0, h->h0 + h->n_h));
        core_json_put(o, "kv_heads", range(h->kv0, h->kv0 + h->n_kv));
        put_vocabulary(o, m, l);
    }
    core_json_put(o, "inner",
                  range(l->first_f[l->etp_i], l->first_f[l->etp_i + 1]));
    put_columns(o, "dense_inner", m->spec->n_f_dense, l);
    put_columns(o, "shared_inner", m->spec->n_f_shared, l);
    if (m->plan->n_mapped > 0) {
        core_json_put(o, "physical", range(l->ep_i * l->n_my_expert,
                                           (l->ep_i + 1) * l->n_my_expert));
        return;
    }
    json_t *experts = json_array();
    for (int i = 0; i < l->n_my_expert; i++)
        json_array_append_new(experts, json_integer(l->experts->mine[i]));
    core_json_put(o, "experts", experts);
}

static core_status put_rank(json_t *out, const map *m, core_arena *arena,
                            int rank)
{
    const coordinates *c = &m->at[rank];
    par_layout l;
    json_t *o = json_object(), *groups = json_object();
    CORE_TRY(par_layout_make(&l, arena, m->spec, m->plan, our_rank(m, rank)));
    core_json_put_int(o, "rank", rank);
    core_json_put_int(o, "stage", c->stage);
    core_json_put_int(o, "dp", c->d);
    core_json_put_int(o, "cp", c->c);
    core_json_put_int(o, "tp", c->t);
    core_json_put_int(o, "ep", c->ep);
    core_json_put_int(o, "etp", c->etp);
    core_json_put_int(o, "edp", c->edp);
    put_owned(o, m, &l);
    if (m->system >= HAR_N_SYSTEMS ||
        har_system_rows(m->system) != HAR_ROWS_SCHEDULED)
        core_json_put(o, "rows", rows(m, c));
    for (int k = 0; k < (int)N_KINDS; k++)
        core_json_put(groups, kind_names[k], group(m, (kind)k, c));
    core_json_put(o, "groups", groups);
    json_array_append_new(out, o);
    return CORE_OK;
}

/* Of each layer with experts, the logical expert of every physical one. */
static json_t *physical_of(const map *m)
{
    const par_plan *p = m->plan;
    json_t *layers = json_array();
    for (int l = 0, i = 0; l < (int)m->spec->n_l; l++) {
        if (!core_spec_is_moe(m->spec, l))
            continue;
        json_t *o = json_object(), *logical = json_array();
        for (int k = 0; k < p->n_physical; k++)
            json_array_append_new(
                logical, json_integer(p->physical[i * p->n_physical + k]));
        core_json_put_int(o, "layer", l);
        core_json_put(o, "logical_of_physical", logical);
        json_array_append_new(layers, o);
        i++;
    }
    return layers;
}

static core_status write_map(const char *path, const map *m, core_arena *arena)
{
    char text[PAR_PLAN_TEXT];
    json_t *root = json_object(), *ranks = json_array();
    par_plan_format(m->plan, text);
    core_json_put_text(root, "plan", text);
    core_json_put_text(root, "model", m->spec->name);
    core_json_put_text(root, "numbers",
                       m->system < HAR_N_SYSTEMS ? har_system_name(m->system)
                                                 : "moeparity");
    core_json_put_int(root, "vocabulary", m->spec->n_v);
    core_json_put_int(root, "vpp", m->plan->vpp);
    core_json_put_int(root, "sp", m->plan->sp);
    core_status status = CORE_OK;
    for (int i = 0; i < m->n && status == CORE_OK; i++)
        status = put_rank(ranks, m, arena, i);
    if (m->plan->n_mapped > 0)
        core_json_put(root, "physical", physical_of(m));
    core_json_put(root, "ranks", ranks);
    if (status == CORE_OK)
        return har_json_write(path, root);
    json_decref(root);
    return status;
}

/* --- coordinates --- */

static core_status read_coordinates(map *m, core_arena *arena)
{
    for (int i = 0; i < m->n; i++) {
        par_layout l;
        CORE_TRY(par_layout_make(&l, arena, m->spec, m->plan, our_rank(m, i)));
        m->at[i] =
            (coordinates){i, l.stage, l.d, l.c, l.t, l.ep_i, l.etp_i, l.edp_i};
        for (int k = 0; k < (int)N_KINDS; k++)
            m->member[k][i] = (member){key(m->plan, &m->at[i], (kind)k), i};
    }
    for (int k = 0; k < (int)N_KINDS; k++)
        qsort(m->member[k], (size_t)m->n, sizeof(member), by_key_and_rank);
    return CORE_OK;
}

core_status har_plan_map_write(const char *path, const core_spec *spec,
                               const par_plan *plan, har_system system)
{
    map m = {.spec = spec,
             .plan = plan,
             .system = system,
             .n = par_plan_world(plan)};
    core_arena arena = core_arena_measure();
    void *at = NULL, *members = NULL;
    core_status status =
        core_alloc(&at, m.n, sizeof(coordinates), "coordinates of ranks");
    if (status == CORE_OK)
        status = core_alloc(&members, (int64_t)N_KINDS * m.n, sizeof(member),
                            "members of groups");
    m.at = at;
    for (int k = 0; k < (int)N_KINDS && status == CORE_OK; k++)
        m.member[k] = (member *)members + (size_t)k * (size_t)m.n;
    if (status == CORE_OK)
        status = read_coordinates(&m, &arena);
    if (status == CORE_OK)
        status = write_map(path, &m, &arena);
    core_arena_free(&arena);
    free(at);
    free(members);
    return status;
}
