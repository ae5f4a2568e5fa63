/* harness/verify/report_json.c -- the report for machines: "moeparity.verify/1".
 *
 * Keys may be added within a schema version, never renamed.  `first` and
 * `forced` are those of the first case that fails; every case repeats its own.
 * Numbers that JSON cannot hold (NaN, infinities) are strings.
 */
#include "harness/verify/report.h"

#include "core/files/json.h"
#include "harness/launch/jsonfile.h"

#include <string.h>

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static void set_int(json_t *object, const char *key, int64_t value)
{
    set(object, key, json_integer((json_int_t)value));
}

static void set_text(json_t *object, const char *key, const char *value)
{
    set(object, key, core_json_text(value));
}

static json_t *ranks_of(const har_pass *pass, int64_t i)
{
    json_t *ranks = json_array();
    for (int rank = 0; rank < pass->n_rank; rank++)
        if (har_pass_has_rank(pass, i, rank))
            json_array_append_new(ranks, json_integer(rank));
    return ranks;
}

static json_t *faults_of(unsigned fault)
{
    static const char *const name[HAR_N_FAULTS] = {
        "value", "poison", "coverage", "replica", "precision"};
    json_t *faults = json_array();
    for (unsigned i = 0; i < HAR_N_FAULTS; i++)
        if (((fault >> i) & 1) != 0)
            json_array_append_new(faults, json_string(name[i]));
    return faults;
}

static json_t *element(const har_element *e)
{
    json_t *o = json_object();
    set_int(o, "row", e->row);
    set_int(o, "column", e->col);
    set(o, "expected", core_json_number(e->expected));
    set(o, "found", core_json_number(e->found));
    set(o, "allowed", core_json_number(e->allowed));
    return o;
}

static json_t *tap_object(const har_pass *pass, int64_t i)
{
    const har_tap_result *t = &pass->tap[i];
    char name[CORE_NAME_BYTES];
    double ratio;
    json_t *o = json_object();
    core_tap_name(t->tap, name);
    const char *operator= strrchr(name, '.');
    if (!core_tap_is_global(t->tap.kind)) /* drop "layers.N." */
        operator= strchr(strchr(name, '.') + 1, '.');
    set_text(o, "tap", name);
    set_int(o, "layer", t->tap.layer);
    set_text(o, "operator", operator== NULL ? name : operator+ 1);
    set_text(o, "words", core_tap_words(t->tap.kind));
    set_text(o, "verdict", har_verdict_name(t->verdict));
    set(o, "faults", faults_of(t->fault));
    set(o, "ranks", ranks_of(pass, i));
    set_int(o, "elements", t->diff.n);
    set_int(o, "bad_elements", t->diff.n_bad);
    set_int(o, "nan_elements", t->diff.n_nan);
    set(o, "worst_score", core_json_number(t->diff.worst_score));
    set(o, "rms_error", core_json_number(har_diff_relative_rms(&t->diff)));
    if (t->grade.n > 0.0)
        set(o, "rms_ratio", core_json_number(har_precision_ratio(&t->grade)));
    if (t->verdict == HAR_PRECISION)
        set(o, "bits", core_json_number(har_precision_bits(&t->grade, pass->numerics)));
    if (t->detailed && t->first_rank >= 0) {
        json_t *first = element(&t->diff.first);
        set_int(first, "rank", t->first_rank);
        set_int(first, "round", t->first_round);
        set_int(first, "micro_batch", t->first_mb);
        if (t->expert >= 0)
            set_int(first, "expert", t->expert);
        set(o, "first_element", first);
        set(o, "worst_element", element(&t->diff.worst));
    }
    if (har_diff_ratio(&t->diff, &ratio))
        set(o, "ratio", core_json_number(ratio));
    if (t->row0 >= 0)
        set(o, "rows",
            json_pack("[I,I]", (json_int_t)t->row0, (json_int_t)t->row1));
    return o;
}

static json_t *failing_taps(const har_pass *pass)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < pass->n_tap; i++)
        if (har_verdict_is_bad(pass->tap[i].verdict))
            json_array_append_new(list, tap_object(pass, i));
    return list;
}

static json_t *drift_of(const har_pass *pass)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < pass->n_tap; i++)
        if (pass->tap[i].tap.kind == CORE_TAP_OUT)
            json_array_append_new(
                list, core_json_number(har_diff_relative_rms(&pass->tap[i].diff)));
    return list;
}

static json_t *pass_object(const har_pass *pass)
{
    json_t *o = json_object();
    set_text(o, "mode", har_mode_name(pass->mode));
    set_text(o, "verdict", har_verdict_name(pass->verdict));
    set_int(o, "taps", pass->n_tap);
    set_int(o, "elements", pass->n_element);
    set_int(o, "failed_taps", pass->n_failed);
    set(o, "first",
        pass->first < 0 ? json_null() : tap_object(pass, pass->first));
    set(o, "worst", tap_object(pass, pass->worst));
    if (pass->mode == HAR_FORCED)
        set(o, "failing", failing_taps(pass));
    if (pass->mode == HAR_FORCED_ROUTING) {
        set(o, "layer_rms_error", drift_of(pass));
        set_int(o, "flips", pass->n_flip);
        set_int(o, "flips_excused", pass->n_flip_excused);
        set(o, "flip_margin_max", core_json_number(pass->flip_margin));
    }
    return o;
}

static json_t *totals_object(const har_case_result *c)
{
    const har_totals *t = &c->totals;
    json_t *o = json_object(), *cpu = json_object(), *bytes = json_object();
    set_int(o, "choices", t->n_choice);
    set_int(o, "dropped", t->n_dropped);
    set_int(o, "sent", t->n_sent);
    set_int(o, "received", t->n_received);
    set_int(o, "returned", t->n_returned);
    set(o, "wall_seconds", core_json_number(t->wall_seconds));
    set(o, "wait_seconds", core_json_number(t->wait_seconds));
    set(o, "startup_seconds", core_json_number(c->startup_seconds));
    set_int(o, "largest_rank_weight_bytes", (int64_t)t->weight_bytes);
    set_int(o, "largest_rank_work_bytes", (int64_t)t->work_bytes);
    for (int i = 0; i < (int)PAR_N_OPERATORS; i++)
        set(cpu, par_operator_name((par_operator)i), core_json_number(t->cpu_seconds[i]));
    for (int i = 0; i < (int)PAR_N_OP_KINDS; i++)
        set_int(bytes, par_op_name((par_op_kind)i), t->n_bytes[i]);
    set(o, "cpu_seconds", cpu);
    set(o, "bytes", bytes);
    return o;
}

static json_t *reference_object(const har_case_result *c)
{
    json_t *o = json_object();
    set(o, "wall_seconds", core_json_number(c->reference.wall_seconds));
    set(o, "cpu_seconds", core_json_number(c->reference.cpu_seconds));
    set(o, "gemm_flops", core_json_number(c->reference.gemm_flops));
    set(o, "bits", core_json_number(c->reference.bits));
    set_int(o, "bytes", (int64_t)c->reference_bytes);
    set(o, "made_earlier", json_boolean(!c->reference_was_made));
    return o;
}

static json_t *routing_object(const har_routing *g)
{
    json_t *o = json_object();
    set_int(o, "choices", g->n_choice);
    set_int(o, "dropped", g->n_dropped);
    set_int(o, "ties", g->n_tie);
    set_int(o, "experts", g->n_expert);
    set_int(o, "experts_idle", g->n_idle);
    set_int(o, "busiest_layer", g->busy_layer);
    set_int(o, "busiest_expert", g->busy_expert);
    set_int(o, "busiest_rows", g->busy_rows);
    return o;
}

static json_t *case_object(const har_case_result *c)
{
    json_t *o = json_object(), *passes = json_array();
    set_text(o, "numerics", core_numerics_name(c->numerics));
    set_text(o, "verdict", har_verdict_name(c->verdict));
    set_text(o, "reason", c->reason);
    set(o, "conserved", json_boolean(c->is_conserved));
    set(o, "telling", json_boolean(c->is_telling));
    set(o, "reference", reference_object(c));
    set(o, "emulation", totals_object(c));
    set(o, "routing", routing_object(&c->routing));
    for (int i = 0; i < c->n_pass; i++)
        json_array_append_new(passes, pass_object(&c->pass[i]));
    set(o, "passes", passes);
    return o;
}

static json_t *plan_object(const har_report *r, int i)
{
    const par_plan *p = &r->plan[i];
    char text[PAR_PLAN_TEXT];
    json_t *o = json_object(), *cases = json_array();
    par_plan_format(p, text);
    set_text(o, "text", p->text);
    set_text(o, "plan", text);
    set_int(o, "world", par_plan_world(p));
    set_int(o, "tp", p->tp);
    set_int(o, "pp", p->pp);
    set_int(o, "dp", p->dp);
    set_int(o, "ep", p->ep);
    set_int(o, "etp", p->etp);
    set_text(o, "scope", p->scope == PAR_SCOPE_STAGE ? "stage" : "replica");
    set_int(o, "micro_batches", p->mb);
    set_int(o, "rounds", p->rounds);
    set_int(o, "estimated_largest_rank_bytes",
            (int64_t)r->estimate[i].largest_rank_bytes);
    set(o, "estimated_seconds", core_json_number(r->estimate[i].seconds));
    for (int j = 0; j < r->n_numerics; j++)
        json_array_append_new(cases,
                              case_object(&r->result[i * r->n_numerics + j]));
    set(o, "cases", cases);
    return o;
}

static json_t *model_object(const har_report *r)
{
    const core_spec *s = r->spec;
    json_t *o = json_object();
    set_text(o, "name", s->name);
    set_text(o, "argument", r->model);
    set_text(o, "weights", r->origin);
    set_int(o, "layers", s->n_l);
    set_int(o, "hidden", s->n_d);
    set_int(o, "heads", s->n_h);
    set_int(o, "experts", s->n_e);
    set_int(o, "top_k", s->n_k);
    set_int(o, "parameters", core_spec_parameters(s));
    return o;
}

/* The pass of a failing case that names its wrong operators, or NULL. */
static const har_pass *forced_pass(const har_case_result *c)
{
    for (int i = 0; i < c->n_pass; i++)
        if (c->pass[i].mode == HAR_FORCED)
            return &c->pass[i];
    return NULL;
}

static json_t *report_object(const har_report *r)
{
    const har_case_result *first;
    const har_verdict verdict = har_report_verdict(r, &first);
    const bool is_bad = har_verdict_is_bad(verdict);
    json_t *o = json_object(), *plans = json_array();
    set_text(o, "schema", "moeparity.verify/1");
    set_text(o, "verdict",
             verdict == HAR_FAIL        ? "DIFFERS"
             : verdict == HAR_PRECISION ? "PRECISION"
                                        : "VERIFIED");
    set_int(o, "exit", is_bad ? 1 : 0);
    set_text(o, "reason", first != NULL ? first->reason : "");
    set(o, "first", json_null());
    set(o, "forced", json_array());
    for (int i = 0; is_bad && i < first->n_pass; i++) {
        const har_pass *pass = &first->pass[i];
        if (pass->first >= 0) {
            set(o, "first", tap_object(pass, pass->first));
            break;
        }
    }
    if (is_bad && forced_pass(first) != NULL)
        set(o, "forced", failing_taps(forced_pass(first)));
    set(o, "model", model_object(r));
    set(o, "seed", json_integer((json_int_t)r->seed));
    set(o, "batch", json_pack("[I,I]", (json_int_t)r->n_b, (json_int_t)r->n_t));
    set(o, "padded", json_boolean(r->is_padded));
    set(o, "seconds", core_json_number(r->seconds));
    for (int i = 0; i < r->n_plan; i++)
        json_array_append_new(plans, plan_object(r, i));
    set(o, "plans", plans);
    return o;
}

core_status har_report_json(const har_report *report, const char *path)
{
    return har_json_write(path, report_object(report));
}
