/* harness/perf/search/report.c -- the front as a table, and why the best wins.
 *
 * "Why" compares term by term: the terms of a plan add up to its latency, so
 * the differences add up to the difference of the latencies.
 */
#include "harness/perf/search/report.h"

#include "harness/launch/jsonfile.h"

#include <math.h>
#include <string.h>

static void text_of(const har_shape *shape, char out[PAR_PLAN_TEXT])
{
    par_plan plan;
    har_shape_plan(shape, &plan);
    par_plan_format(&plan, out);
}

/* price: of a GPU for an hour, 0 if the machine has none. */
static void write_row(FILE *out, const char *name, double price,
                      const har_search_point *p, bool has_times)
{
    char text[PAR_PLAN_TEXT], cost[32] = "";
    const har_figures *f = &p->figures;
    const int n_gpu = har_shape_world(&p->shape);
    text_of(&p->shape, text);
    if (!has_times) {
        fprintf(out, "%-14s %32s %*s%9.2f %5d  %s  does not fit\n", name, "",
                price > 0 ? 10 : 0, "", f->memory / 1e9, n_gpu, text);
        return;
    }
    if (price > 0)
        snprintf(cost, sizeof cost, "%9.4g ", har_search_price(price, p));
    const har_search_term term = har_term_largest(f);
    fprintf(out, "%-14s %10.3f %11.0f %9.0f %s%9.2f %5d  %s  %s %.0f %%\n",
            name, f->latency * 1e3, f->tokens_per_s, f->tokens_per_s / n_gpu,
            cost, f->memory / 1e9, n_gpu, text, har_term_text(term),
            100 * f->term[term] / f->latency);
}

static void write_rows(FILE *out, const har_search_view *v)
{
    const double price = v->estimate->machine->price;
    fprintf(out, "\n%-14s %10s %11s %9s %s%9s %5s  plan  largest share\n",
            "front", "latency/ms", "tokens/s", "per GPU",
            price > 0 ? "  cost/M " : "", "GB", "GPUs");
    write_row(out, "best", price, v->best, true);
    for (int i = 0; i < v->result->n_front; i++)
        if (&v->result->front[i] != v->best)
            write_row(out, "", price, &v->result->front[i], true);
    for (int i = 0; i < v->n_mark; i++)
        write_row(out, v->mark[i].name, price, &v->mark[i].point,
                  v->mark[i].fits);
}

static void write_counts(FILE *out, const har_search_view *v)
{
    const har_search_result *r = v->result;
    const har_quick *e = v->estimate;
    fprintf(out, "search     %s on %s, %d to %d GPUs, %s of %lld rows, %s\n",
            e->spec->name, e->machine->name, v->request->n_gpu0,
            v->request->n_gpu1, e->n_kv > 0 ? "decode" : "prefill",
            (long long)e->n_b, core_types_text(&e->types).text);
    if (e->n_kv > 0)
        fprintf(out, "           one token per row, %lld cached\n",
                (long long)e->n_kv);
    else
        fprintf(out, "           %lld tokens per row\n", (long long)e->n_t);
    fprintf(out, "plans      %lld legal; skipped: %lld meshes not legal\n",
            (long long)r->n_plan, (long long)r->n_illegal);
    if (v->request->allows != NULL)
        fprintf(out, "           %lld legal meshes that %s cannot run\n",
                (long long)r->n_barred, v->system);
    fprintf(out, "           %lld need more than %.0f GB\n",
            (long long)r->n_large, v->request->memory_bytes / 1e9);
    fprintf(out, "           %lld miss the limits, %lld are left\n",
            (long long)r->n_missed, (long long)r->n_good);
    fprintf(out,
            "speed      %.2f s, %d threads, %.0f plans per second and thread\n",
            r->seconds, v->request->n_thread,
            (double)r->n_priced / r->seconds / v->request->n_thread);
    if (v->request->replay == NULL)
        return;
    fprintf(out,
            "replayed   %lld plans, of all kinds and all that may be on the "
            "front, in %.2f s; off by up to %.1f %% in latency, %.1f %% in "
            "tokens/s\n",
            (long long)r->n_replayed, r->replay_seconds, 100 * r->off_latency,
            100 * r->off_tokens);
    if (r->n_open > 0)
        fprintf(out,
                "           stopped there; as the replays differ, %lld other "
                "plans could be on it\n",
                (long long)r->n_open);
}

static void write_checked(FILE *out, const char *name, const har_shape *shape,
                          const har_checked *c)
{
    char text[PAR_PLAN_TEXT];
    text_of(shape, text);
    fprintf(out, "%-14s %10.3f ms (%.3f to %.3f), %.0f tokens/s, %.2f GB  %s\n",
            name, c->latency.value * 1e3, c->latency.low * 1e3,
            c->latency.high * 1e3, c->tokens_per_s.value, c->memory.value / 1e9,
            text);
}

static void write_predictions(FILE *out, const har_search_view *v)
{
    fputs("\n90 % intervals\n", out);
    for (int i = 0; i < v->result->n_front && i < HAR_MAX_CHECKED; i++)
        write_checked(out, &v->result->front[i] == v->best ? "best" : "",
                      &v->result->front[i].shape, &v->checked[i]);
    for (int i = 0; i < v->n_mark; i++)
        if (v->mark[i].fits)
            write_checked(out, v->mark[i].name, &v->mark[i].point.shape,
                          &v->mark[i].checked);
}

static void write_why(FILE *out, const har_search_view *v, const har_mark *mark)
{
    const har_figures *a = &v->best->figures, *b = &mark->point.figures;
    if (!mark->fits) {
        fprintf(out, "why        %s does not fit: %.2f GB of %.2f\n",
                mark->name, b->memory / 1e9, v->request->memory_bytes / 1e9);
        return;
    }
    fprintf(out,
            "why        best against %s: latency %.3f ms, not %.3f; %.0f "
            "tokens/s, not %.0f\n",
            mark->name, a->latency * 1e3, b->latency * 1e3, a->tokens_per_s,
            b->tokens_per_s);
    for (int i = 0; i < HAR_N_TERM; i++)
        if (fabs(a->term[i] - b->term[i]) > 0.01 * b->latency)
            fprintf(out, "           %+10.3f ms %s (%.3f, not %.3f)\n",
                    1e3 * (a->term[i] - b->term[i]), har_term_text(i),
                    1e3 * a->term[i], 1e3 * b->term[i]);
    fprintf(out,
            "           balance %.1f %%, not %.1f; weights of a GPU %.2f "
            "GB, not %.2f\n",
            100 * a->balance, 100 * b->balance, a->weight_bytes / 1e9,
            b->weight_bytes / 1e9);
}

/* A line: the figures, and the terms that differ by a hundredth of its latency. */
static void write_usual(FILE *out, const har_search_view *v, const har_mark *u)
{
    char text[PAR_PLAN_TEXT];
    const har_figures *a = &v->best->figures, *b = &u->point.figures;
    text_of(&u->point.shape, text);
    fprintf(out, "usual      %s (%s)", u->name, text);
    if (u->refused[0] != '\0')
        fprintf(out, ": %s", u->refused);
    else if (!u->fits)
        fprintf(out, ": does not fit, %.2f GB of %.2f", b->memory / 1e9,
                v->request->memory_bytes / 1e9);
    else if (memcmp(&u->point.shape, &v->best->shape, sizeof u->point.shape) ==
             0)
        fputs(": is the best", out);
    else
        fprintf(out, ": latency %.3f ms, best %.3f; %.0f tokens/s, best %.0f",
                b->latency * 1e3, a->latency * 1e3, b->tokens_per_s,
                a->tokens_per_s);
    for (int i = 0; u->fits && i < HAR_N_TERM; i++)
        if (fabs(a->term[i] - b->term[i]) > 0.01 * b->latency)
            fprintf(out, "; %s %+.3f ms", har_term_text(i),
                    1e3 * (b->term[i] - a->term[i]));
    fputc('\n', out);
}

static void write_placed(FILE *out, const har_placed *p)
{
    char text[PAR_PLAN_TEXT];
    har_shape shape;
    har_shape_of(&p->plan, &shape);
    text_of(&shape, text);
    fprintf(out, "placement  %s, room for %d more experts per GPU\n", text,
            p->n_spare);
    fprintf(out, "  before   balance %.1f %%, latency %.3f ms, %.0f tokens/s\n",
            100 * p->before.balance, 1e3 * p->before.latency.value,
            p->before.tokens_per_s.value);
    fprintf(out,
            "  after    balance %.1f %%, latency %.3f ms, %.0f tokens/s; "
            "%d copies, at most %d on a GPU\n",
            100 * p->after.balance, 1e3 * p->after.latency.value,
            p->after.tokens_per_s.value, p->dealt.n_copy,
            p->dealt.most_experts);
}

void har_search_write_text(FILE *out, const har_search_view *v)
{
    write_counts(out, v);
    write_rows(out, v);
    write_predictions(out, v);
    fputc('\n', out);
    for (int i = 0; i < v->n_mark; i++)
        write_why(out, v, &v->mark[i]);
    for (int i = 0; i < HAR_N_USUAL; i++)
        write_usual(out, v, &v->usual[i]);
    if (v->placed != NULL)
        write_placed(out, v->placed);
}

/* --- JSON --- */

static json_t *json_point(double price, const har_search_point *p,
                          const char *name, bool has_times)
{
    char text[PAR_PLAN_TEXT];
    text_of(&p->shape, text);
    const har_figures *f = &p->figures;
    json_t *out =
        json_pack("{s:s, s:i, s:f, s:f, s:b}", "plan", text, "gpus",
                  har_shape_world(&p->shape), "memory_bytes", f->memory,
                  "weight_bytes", f->weight_bytes, "fits", has_times);
    json_t *terms = json_object();
    for (int i = 0; has_times && i < HAR_N_TERM; i++)
        json_object_set_new(terms, har_term_text(i), json_real(f->term[i]));
    if (name != NULL)
        json_object_set_new(out, "name", json_string(name));
    if (has_times) {
        json_object_set_new(out, "latency_s", json_real(f->latency));
        json_object_set_new(out, "tokens_per_s", json_real(f->tokens_per_s));
        json_object_set_new(
            out, "tokens_per_s_per_gpu",
            json_real(f->tokens_per_s / har_shape_world(&p->shape)));
        if (price > 0)
            json_object_set_new(out, "cost_per_million_tokens",
                                json_real(har_search_price(price, p)));
        json_object_set_new(out, "balance", json_real(f->balance));
        json_object_set(out, "terms_s", terms);
    }
    json_decref(terms);
    return out;
}

static json_t *json_mark(double price, const har_mark *m)
{
    json_t *out = json_point(price, &m->point, m->name, m->fits);
    if (m->refused[0] != '\0')
        json_object_set_new(out, "refused", json_string(m->refused));
    return out;
}

static void json_checked(json_t *out, const har_checked *c)
{
    json_object_set_new(
        out, "predicted",
        json_pack("{s:f, s:f, s:f, s:f, s:f}", "latency_s", c->latency.value,
                  "latency_low_s", c->latency.low, "latency_high_s",
                  c->latency.high, "tokens_per_s", c->tokens_per_s.value,
                  "memory_bytes", c->memory.value));
}

static json_t *json_root(const har_search_view *v)
{
    const har_search_result *r = v->result;
    json_t *front = json_array(), *marks = json_array(), *usual = json_array();
    const double price = v->estimate->machine->price;
    for (int i = 0; i < r->n_front; i++)
        json_array_append_new(front,
                              json_point(price, &r->front[i], NULL, true));
    for (int i = 0; i < v->n_mark; i++)
        json_array_append_new(marks, json_mark(price, &v->mark[i]));
    for (int i = 0; i < HAR_N_USUAL; i++)
        json_array_append_new(usual, json_mark(price, &v->usual[i]));
    for (int i = 0; i < r->n_front && i < HAR_MAX_CHECKED; i++)
        json_checked(json_array_get(front, (size_t)i), &v->checked[i]);
    for (int i = 0; i < v->n_mark; i++)
        if (v->mark[i].fits)
            json_checked(json_array_get(marks, (size_t)i), &v->mark[i].checked);
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:i, s:o, s:o, s:o, "
        "s:o}",
        "schema", 1, "model", v->estimate->spec->name, "machine",
        v->estimate->machine->name, "plans", (json_int_t)r->n_plan, "illegal",
        (json_int_t)r->n_illegal, "barred", (json_int_t)r->n_barred, "too_large", (json_int_t)r->n_large,
        "missed_limits", (json_int_t)r->n_missed, "left", (json_int_t)r->n_good,
        "seconds", r->seconds, "threads", v->request->n_thread, "best",
        json_point(price, v->best, NULL, true), "front", front, "marked", marks,
        "usual", usual);
    if (root != NULL && v->request->replay != NULL)
        json_object_set_new(
            root, "replayed",
            json_pack("{s:I, s:I, s:f, s:f, s:f}", "plans",
                      (json_int_t)r->n_replayed, "open", (json_int_t)r->n_open,
                      "off_latency", r->off_latency, "off_tokens_per_s",
                      r->off_tokens, "seconds", r->replay_seconds));
    if (root != NULL && v->placed != NULL)
        json_object_set_new(
            root, "placement",
            json_pack("{s:f, s:f, s:i, s:f, s:f}", "balance_before",
                      v->placed->before.balance, "balance_after",
                      v->placed->after.balance, "copies",
                      v->placed->dealt.n_copy, "latency_before_s",
                      v->placed->before.latency.value, "latency_after_s",
                      v->placed->after.latency.value));
    return root;
}

core_status har_search_write_json(const har_search_view *view, const char *path)
{
    return har_json_write(path, json_root(view));
}
