/* harness/verify/report_json.c -- the report for machines: "moeparity.verify/1".
 *
 * Keys may be added within a schema version, never renamed.  `first` and
 * `forced` are those of the first case that fails; every case repeats its own.
 * Numbers that JSON cannot hold (NaN, infinities) are strings.
 */
#include "harness/verify/impl.h"

#include "core/files/json.h"
#include "harness/diagnose/report.h"
#include "harness/launch/jsonfile.h"

#include <string.h>

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
        "value", "poison", "coverage", "replica", "precision", "no tap",
        "lattice"};
    json_t *faults = json_array();
    for (unsigned i = 0; i < HAR_N_FAULTS; i++)
        if (((fault >> i) & 1) != 0)
            json_array_append_new(faults, json_string(name[i]));
    return faults;
}

static json_t *element(const har_element *e)
{
    json_t *o = json_object();
    core_json_put_int(o, "row", e->row);
    core_json_put_int(o, "column", e->col);
    core_json_put_number(o, "expected", e->expected);
    core_json_put_number(o, "found", e->found);
    core_json_put_number(o, "allowed", e->allowed);
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
    core_json_put_text(o, "tap", name);
    core_json_put_int(o, "layer", t->tap.layer);
    core_json_put_text(o, "operator", operator== NULL ? name : operator+ 1);
    core_json_put_text(o, "words", core_tap_words(t->tap.kind));
    core_json_put_text(o, "verdict", har_verdict_name(t->verdict));
    core_json_put(o, "faults", faults_of(t->fault));
    core_json_put(o, "ranks", ranks_of(pass, i));
    core_json_put_int(o, "elements", t->diff.n);
    core_json_put_int(o, "bad_elements", t->diff.n_bad);
    core_json_put_int(o, "nan_elements", t->diff.n_nan);
    core_json_put_number(o, "worst_score", t->diff.worst_score);
    core_json_put_number(o, "rms_error", har_diff_relative_rms(&t->diff));
    if (t->grade.n > 0.0)
        core_json_put_number(o, "rms_ratio", har_tap_ratio(t));
    if (t->is_pooled)
        core_json_put(o, "all_layers", json_true());
    if ((t->fault & HAR_FAULT_PRECISION) != 0)
        core_json_put_number(o, "bits",
                             har_precision_bits(
                                 &t->grade, core_tap_coarsest(pass->numerics,
                                                              t->tap.kind)));
    if (t->detailed && t->first_rank >= 0) {
        json_t *first = element(&t->diff.first);
        core_json_put_int(first, "rank", t->first_rank);
        core_json_put_int(first, "round", t->first_round);
        core_json_put_int(first, "micro_batch", t->first_mb);
        if (t->expert >= 0)
            core_json_put_int(first, "expert", t->expert);
        core_json_put(o, "first_element", first);
        core_json_put(o, "worst_element", element(&t->diff.worst));
    }
    if (t->lattice_rank >= 0) {
        json_t *off = element(&t->lattice.first);
        core_json_put_int(off, "rank", t->lattice_rank);
        core_json_put_int(off, "elements", t->lattice.n_off);
        core_json_put(o, "off_lattice", off);
    }
    if (har_diff_ratio(&t->diff, &ratio))
        core_json_put_number(o, "ratio", ratio);
    if (t->row0 >= 0) {
        core_json_put(
            o, "rows",
            json_pack("[I,I]", (json_int_t)t->row0, (json_int_t)t->row1));
        core_json_put_int(o, "elements_owned", t->n_owned);
        core_json_put_int(o, "elements_wanted", t->n_wanted);
        core_json_put_text(o, "ranks_show",
                           t->ranks == HAR_RANKS_BAD    ? "bad elements"
                           : t->ranks == HAR_RANKS_ROWS ? "these rows"
                                                        : "other rows");
    }
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
            json_array_append_new(list, core_json_number(har_diff_relative_rms(
                                            &pass->tap[i].diff)));
    return list;
}

static json_t *pass_object(const har_pass *pass)
{
    json_t *o = json_object();
    core_json_put_text(o, "mode", har_mode_name(pass->mode));
    core_json_put(o, "exercise", json_boolean(pass->is_exercise));
    core_json_put_int(o, "tokens_per_row", pass->n_t);
    core_json_put_text(o, "verdict", har_verdict_name(pass->verdict));
    core_json_put_int(o, "taps", pass->n_tap);
    core_json_put_int(o, "elements", pass->n_element);
    core_json_put_int(o, "failed_taps", pass->n_failed);
    core_json_put(o, "first",
                  pass->first < 0 ? json_null()
                                  : tap_object(pass, pass->first));
    core_json_put(o, "worst", tap_object(pass, pass->worst));
    if (pass->mode == HAR_FORCED) {
        core_json_put(o, "failing", failing_taps(pass));
        core_json_put(o, "diagnosis", har_diagnosis_json(&pass->diagnosis));
    }
    if (pass->mode == HAR_FORCED_ROUTING) {
        core_json_put(o, "layer_rms_error", drift_of(pass));
        core_json_put_int(o, "flips", pass->n_flip);
        core_json_put_int(o, "flips_excused", pass->n_flip_excused);
        core_json_put_number(o, "flip_margin_max", pass->flip_margin);
        core_json_put_int(o, "key_flips", pass->n_key_flip);
    }
    return o;
}

static json_t *totals_object(const har_case_result *c)
{
    const har_totals *t = &c->totals;
    json_t *o = json_object(), *cpu = json_object(), *bytes = json_object();
    core_json_put_int(o, "choices", t->n_choice);
    core_json_put_int(o, "dropped", t->n_dropped);
    core_json_put_int(o, "sent", t->n_sent);
    core_json_put_int(o, "received", t->n_received);
    core_json_put_int(o, "returned", t->n_returned);
    core_json_put_number(o, "wall_seconds", t->wall_seconds);
    core_json_put_number(o, "wait_seconds", t->wait_seconds);
    core_json_put_number(o, "startup_seconds", c->startup_seconds);
    core_json_put_int(o, "largest_rank_weight_bytes", (int64_t)t->weight_bytes);
    core_json_put_int(o, "largest_rank_work_bytes", (int64_t)t->work_bytes);
    core_json_put_int(o, "micro_batches_together", t->n_lane);
    for (int i = 0; i < (int)PAR_N_OPERATORS; i++)
        core_json_put_number(cpu, par_operator_name((par_operator)i),
                             t->cpu_seconds[i]);
    for (int i = 0; i < (int)PAR_N_OP_KINDS; i++)
        core_json_put_int(bytes, par_op_name((par_op_kind)i), t->n_bytes[i]);
    core_json_put(o, "cpu_seconds", cpu);
    core_json_put(o, "bytes", bytes);
    return o;
}

static json_t *reference_object(const har_case_result *c)
{
    json_t *o = json_object();
    core_json_put_number(o, "wall_seconds", c->reference.wall_seconds);
    core_json_put_number(o, "cpu_seconds", c->reference.cpu_seconds);
    core_json_put_number(o, "gemm_flops", c->reference.gemm_flops);
    core_json_put_number(o, "bits", c->reference.bits);
    core_json_put_int(o, "bytes", (int64_t)c->reference_bytes);
    core_json_put(o, "made_earlier", json_boolean(!c->reference_was_made));
    return o;
}

static json_t *routing_object(const har_routing *g)
{
    json_t *o = json_object();
    core_json_put_int(o, "choices", g->n_choice);
    core_json_put_int(o, "dropped", g->n_dropped);
    core_json_put_int(o, "ties", g->n_tie);
    core_json_put_int(o, "experts", g->n_expert);
    core_json_put_int(o, "experts_idle", g->n_idle);
    core_json_put_int(o, "busiest_layer", g->busy_layer);
    core_json_put_int(o, "busiest_expert", g->busy_expert);
    core_json_put_int(o, "busiest_rows", g->busy_rows);
    return o;
}

static json_t *held_list(const har_held *list, int n)
{
    json_t *all = json_array();
    char name[CORE_NAME_BYTES];
    for (int i = 0; i < n; i++) {
        const core_weight w = list[i].weight;
        json_t *o = json_object();
        if (w.kind == CORE_W_EXPERT_DOWN) {
            core_json_put_int(o, "layer", w.layer);
            core_json_put_int(o, "expert", w.expert);
        } else {
            core_json_put_text(o, "weight", core_weight_name(w, name));
        }
        core_json_put_int(o, "rank", list[i].rank);
        json_array_append_new(all, o);
    }
    return all;
}

/* Of idle and unmet ones the first few are named. */
static json_t *reached_object(const har_reached *r)
{
    json_t *o = json_object();
    core_json_put_int(o, "experts", r->n_expert);
    core_json_put_int(o, "experts_idle", r->n_idle);
    core_json_put_int(o, "replicas", r->n_replica);
    core_json_put_int(o, "replicas_empty", r->n_empty_replica);
    core_json_put_int(o, "token_groups", r->n_group);
    core_json_put_int(o, "token_groups_empty", r->n_empty_group);
    core_json_put_int(o, "weight_rectangles", r->n_rectangle);
    core_json_put_int(o, "weight_rectangles_unmet", r->n_unmet);
    core_json_put(o, "idle", held_list(r->idle, r->n_named_idle));
    core_json_put(o, "unmet", held_list(r->unmet, r->n_named_unmet));
    return o;
}

static json_t *range(const int64_t from_to[2])
{
    return json_pack("[I,I]", (json_int_t)from_to[0], (json_int_t)from_to[1]);
}

static json_t *equal_weights(const har_distinct *distinct)
{
    json_t *list = json_array();
    for (har_axis a = har_distinct_next(distinct, -1); a != HAR_N_AXES;
         a = har_distinct_next(distinct, (int)a)) {
        const har_equal *e = &distinct->axis[a];
        json_t *o = json_object();
        core_json_put_text(o, "what", har_axis_name(a));
        core_json_put_text(o, "degree", har_axis_degree(a));
        core_json_put_int(o, "pairs", e->n_pair);
        core_json_put(o, "layer",
                      e->layer < 0 ? json_null() : json_integer(e->layer));
        core_json_put(o, "first", range(e->first));
        core_json_put(o, "second", range(e->second));
        json_array_append_new(list, o);
    }
    return list;
}

/* null without --decode. */
static json_t *decode_object(const har_decode *d, const har_greedy *greedy)
{
    if (d == NULL)
        return json_null();
    json_t *o = json_object();
    core_json_put_int(o, "slots", d->n_slot);
    core_json_put_int(o, "sequences", d->n_seq);
    core_json_put_int(o, "steps", d->n_step);
    core_json_put_int(o, "chunk", d->n_chunk);
    core_json_put_int(o, "single_tokens", d->n_alone);
    core_json_put_int(o, "greedy", greedy->n);
    core_json_put_int(o, "greedy_wrong", greedy->n_wrong);
    return o;
}

/* null without --machine. */
static json_t *priced_object(const har_dealt *d)
{
    if (!d->is_priced)
        return json_null();
    json_t *o = json_object();
    core_json_put_number(o, "move_seconds", d->seconds_before);
    core_json_put_number(o, "kept_seconds", d->seconds_kept);
    core_json_put_number(o, "dealt_seconds", d->seconds);
    core_json_put_number(o, "pays_after_passes", d->pays);
    return o;
}

/* null without --passes. */
static json_t *dealt_object(const har_dealt *d)
{
    if (!d->is_there)
        return json_null();
    json_t *o = json_object();
    core_json_put_int(o, "pass", d->number);
    core_json_put_number(o, "balance", d->balance);
    core_json_put_number(o, "balance_kept", d->kept);
    core_json_put_number(o, "fullest_rows", d->fullest);
    core_json_put_number(o, "fullest_rows_kept", d->fullest_kept);
    core_json_put_int(o, "moved_bytes_before", d->n_bytes_before);
    core_json_put(o, "priced", priced_object(d));
    core_json_put_int(o, "moved_experts", d->n_moved);
    core_json_put_int(o, "moved_bytes", d->n_bytes);
    core_json_put_text(o, "wrong", d->wrong);
    return o;
}

static json_t *case_object(const har_case_result *c, const har_decode *decode)
{
    json_t *o = json_object(), *passes = json_array();
    core_json_put_text(o, "numerics", core_numerics_name(c->numerics).text);
    core_json_put_text(o, "verdict", har_verdict_name(c->verdict));
    core_json_put_text(o, "reason", c->reason);
    core_json_put(o, "conserved", json_boolean(c->is_conserved));
    core_json_put(o, "telling", json_boolean(c->is_telling));
    core_json_put_int(o, "batch_seed", (int64_t)c->batch_seed);
    core_json_put(o, "took_part", reached_object(&c->reached));
    core_json_put_text(o, "no_exercise", c->no_exercise);
    core_json_put(o, "equal_weights", equal_weights(&c->distinct));
    core_json_put(o, "reference", reference_object(c));
    core_json_put(o, "emulation", totals_object(c));
    core_json_put(o, "routing", routing_object(&c->routing));
    for (int i = 0; i < c->n_pass; i++)
        json_array_append_new(passes, pass_object(&c->pass[i]));
    core_json_put(o, "passes", passes);
    core_json_put(o, "gradients", har__grad_object(c));
    core_json_put(o, "decode", decode_object(decode, &c->greedy));
    core_json_put(o, "dealt", dealt_object(&c->dealt));
    return o;
}

static json_t *plan_object(const har_report *r, int i)
{
    const par_plan *p = &r->plan[i];
    char text[PAR_PLAN_TEXT];
    json_t *o = json_object(), *cases = json_array();
    par_plan_format(p, text);
    core_json_put_text(o, "text", p->text);
    core_json_put_text(o, "plan", text);
    core_json_put_int(o, "world", par_plan_world(p));
    core_json_put_int(o, "tp", p->tp);
    core_json_put_int(o, "cp", p->cp);
    core_json_put_text(o, "cp_kind", par_cp_kind_name(p->cp_kind));
    core_json_put_int(o, "pp", p->pp);
    core_json_put_int(o, "vpp", p->vpp);
    core_json_put_int(o, "dp", p->dp);
    core_json_put_int(o, "ep", p->ep);
    core_json_put_int(o, "etp", p->etp);
    core_json_put_text(o, "scope",
                       p->scope == PAR_SCOPE_STAGE ? "stage" : "replica");
    core_json_put_int(o, "sp", p->sp);
    core_json_put_int(o, "micro_batches", p->mb);
    core_json_put_int(o, "rounds", p->rounds);
    core_json_put_int(o, "estimated_largest_rank_bytes",
                      (int64_t)r->estimate[i].largest_rank_bytes);
    core_json_put_number(o, "estimated_seconds", r->estimate[i].seconds);
    for (int j = 0; j < har__n_case(r); j++) {
        const har_case_result *c = &r->result[i * har__n_case(r) + j];
        if (c->n_pass > 0)
            json_array_append_new(cases, case_object(c, r->decode));
    }
    core_json_put(o, "cases", cases);
    return o;
}

static json_t *model_object(const har_report *r)
{
    const core_spec *s = r->spec;
    json_t *o = json_object();
    core_json_put_text(o, "name", s->name);
    core_json_put_text(o, "argument", r->model);
    core_json_put_text(o, "weights", r->origin);
    core_json_put_int(o, "layers", s->n_l);
    core_json_put_int(o, "hidden", s->n_d);
    core_json_put_int(o, "heads", s->n_h);
    core_json_put_int(o, "experts", s->n_e);
    core_json_put_int(o, "top_k", s->n_k);
    core_json_put_int(o, "parameters", core_spec_parameters(s));
    return o;
}

/* The pass of a failing case that names its wrong operators, or NULL: the last
 * one on correct inputs (of floats a clean one may stand before it).         */
static const har_pass *forced_pass(const har_case_result *c)
{
    const har_pass *found = NULL;
    for (int i = 0; i < c->n_pass; i++)
        if (c->pass[i].mode == HAR_FORCED &&
            (found == NULL || found->n_failed == 0))
            found = &c->pass[i];
    return found;
}

static json_t *report_object(const har_report *r)
{
    const har_case_result *first;
    const har_verdict verdict = har_report_verdict(r, &first);
    const bool is_bad = har_verdict_is_bad(verdict);
    json_t *o = json_object(), *plans = json_array();
    core_json_put_text(o, "schema", "moeparity.verify/1");
    core_json_put_text(o, "verdict", har_report_word(verdict));
    core_json_put_int(o, "exit", core_status_exit_code(har_report_status(r)));
    core_json_put_text(o, "reason", first != NULL ? first->reason : "");
    core_json_put(o, "first", json_null());
    core_json_put(o, "forced", json_array());
    for (int i = 0; is_bad && i < first->n_pass; i++) {
        const har_pass *pass = &first->pass[i];
        if (pass->first >= 0) {
            core_json_put(o, "first", tap_object(pass, pass->first));
            break;
        }
    }
    if (is_bad && forced_pass(first) != NULL)
        core_json_put(o, "forced", failing_taps(forced_pass(first)));
    core_json_put(o, "model", model_object(r));
    core_json_put_int(o, "seed", (int64_t)r->seed);
    core_json_put(o, "batch",
                  json_pack("[I,I]", (json_int_t)r->n_b, (json_int_t)r->n_t));
    core_json_put(o, "padded", json_boolean(r->is_padded));
    core_json_put_number(o, "drift", r->drift);
    core_json_put_number(o, "seconds", r->seconds);
    for (int i = 0; i < r->n_plan; i++)
        json_array_append_new(plans, plan_object(r, i));
    core_json_put(o, "plans", plans);
    return o;
}

core_status har_report_json(const har_report *report, const char *path)
{
    return har_json_write(path, report_object(report));
}
