/* harness/perf/audit/run.c -- all readings, all meanings, one result.
 *
 * A word that the document does not define is tried in each of its meanings.  A
 * claim that is wrong in every one is wrong, and what is right in every one
 * holds; a claim that is right in one and not in another is undefined, by that
 * word.  Readings are compared by the number of claims that hold; where none
 * satisfies them all, those that cut rows or interleave stages though nobody
 * says so (cp, vpp) stand beside the others if they satisfy more.  A
 * requirement that holds by itself but rests on an undefined figure is
 * undefined too.
 */
#include "harness/perf/audit/impl.h"

#include "core/base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { N_COMBINATIONS = 1 << HAR_N_WORDS, MAX_SHOWN = 8 };

typedef struct workspace {
    int n_combination;
    int meaning[N_COMBINATIONS][HAR_N_WORDS];
    bool open[HAR_N_WORDS];
    har_finding *finding; /* [n_combination][n]                                */
    har_claim_result *scratch; /* [n]                                          */
} workspace;

/* Words that the claims use and the file does not define. */
static void find_combinations(workspace *w, const har_claims *claims)
{
    for (int i = 0; i < claims->n; i++) {
        const int word = har_word_of(claims->at[i].quantity);
        if (word >= 0 && claims->meaning[word] == 0)
            w->open[word] = true;
    }
    w->n_combination = 0;
    for (int k = 0; k < N_COMBINATIONS; k++) {
        int *m = w->meaning[w->n_combination];
        bool is_new = true;
        for (int word = 0; word < (int)HAR_N_WORDS; word++) {
            const int second = k >> word & 1;
            is_new = is_new && (w->open[word] || second == 0);
            m[word] = w->open[word] ? 1 + second
                      : claims->meaning[word] != 0 ? claims->meaning[word]
                                                   : 1;
        }
        w->n_combination += is_new ? 1 : 0;
    }
}

static const har_finding *at(const workspace *w, int n, int k, int claim)
{
    return &w->finding[(size_t)k * (size_t)n + (size_t)claim];
}

static int best_combination(const workspace *w, int n)
{
    int best = 0, most = -1;
    for (int k = 0; k < w->n_combination; k++) {
        int holds = 0;
        for (int i = 0; i < n; i++)
            holds += at(w, n, k, i)->verdict == HAR_CLAIM_HOLDS ? 1 : 0;
        if (holds > most) {
            most = holds;
            best = k;
        }
    }
    return best;
}

static bool is_wrong(har_claim_verdict v)
{
    return v != HAR_CLAIM_HOLDS && v != HAR_CLAIM_UNDEFINED;
}

/* Do two combinations differ in this word alone? */
static bool differ_by(const workspace *w, int j, int k, int word)
{
    for (int o = 0; o < (int)HAR_N_WORDS; o++)
        if ((w->meaning[j][o] != w->meaning[k][o]) != (o == word))
            return false;
    return true;
}

/* Does the verdict change with this word alone? */
static bool turns_on(const workspace *w, int n, int claim, int word)
{
    for (int k = 0; k < w->n_combination; k++) {
        for (int j = 0; j < w->n_combination; j++) {
            const har_claim_verdict a = at(w, n, k, claim)->verdict;
            const har_claim_verdict b = at(w, n, j, claim)->verdict;
            if (differ_by(w, j, k, word) &&
                (is_wrong(a) != is_wrong(b) || (!is_wrong(a) && a != b)))
                return true;
        }
    }
    return false;
}

/* The first check that fails; or the first. */
static const har_check *telling_check(const har_finding *f)
{
    for (int i = 0; i < f->n_check; i++)
        if (!f->check[i].ok)
            return &f->check[i];
    return f->n_check > 0 ? &f->check[0] : NULL;
}

/* The same claim under the other meaning of a word. */
static int other_meaning(const workspace *w, int k, int word)
{
    for (int j = 0; j < w->n_combination; j++)
        if (differ_by(w, j, k, word))
            return j;
    return k;
}

static void write_note(har_claim_result *out, const workspace *w, int n, int k,
                       int claim, int word)
{
    const int j = other_meaning(w, k, word);
    const har_finding *f = at(w, n, j, claim);
    const har_check *check = telling_check(f);
    const size_t used = strlen(out->note);
    snprintf(out->note + used, sizeof out->note - used, "%swith %s = %s %s%s%s",
             used > 0 ? "; " : "", har_word_name((har_word)word),
             har_meaning_name((har_word)word, w->meaning[j][word]),
             har_claim_verdict_name(f->verdict), check != NULL ? ": " : "",
             check != NULL ? check->text : "");
}

static void judge_claim(har_claim_result *out, const workspace *w, int n,
                        int claim, int best, int own_word)
{
    int n_wrong = 0, n_same = 0;
    const har_finding *shown = at(w, n, best, claim);
    *out = (har_claim_result){.verdict = shown->verdict, .finding = *shown};
    for (int k = 0; k < w->n_combination; k++) {
        const har_claim_verdict v = at(w, n, k, claim)->verdict;
        n_wrong += is_wrong(v) ? 1 : 0;
        n_same += v == shown->verdict ? 1 : 0;
    }
    const bool all_wrong = n_wrong == w->n_combination;
    const bool one_verdict = n_same == w->n_combination || all_wrong;
    if (!one_verdict)
        out->verdict = HAR_CLAIM_UNDEFINED;
    for (int word = 0; word < (int)HAR_N_WORDS; word++) {
        const bool turns = w->open[word] && !one_verdict &&
                           turns_on(w, n, claim, word);
        out->depends[word] = turns;
        out->meaning[word] = turns ? w->meaning[best][word] : 0;
        if (turns || (w->open[word] && word == own_word))
            write_note(out, w, n, best, claim, word);
    }
}

/* What a requirement rests on. */
static void look_at_figures(har_claim_result *result, const har_claims *claims)
{
    for (int i = 0; i < claims->n; i++) {
        const har_claim *mine = &claims->at[i];
        if (har__is_figure(mine) || result[i].verdict != HAR_CLAIM_HOLDS)
            continue;
        for (int j = 0; j < claims->n; j++) {
            if (!har__is_figure(&claims->at[j]) ||
                claims->at[j].quantity != mine->quantity ||
                result[j].verdict != HAR_CLAIM_UNDEFINED)
                continue;
            result[i].verdict = HAR_CLAIM_UNDEFINED;
            snprintf(result[i].note, sizeof result[i].note,
                     "rests on %s, which is undefined", claims->at[j].id);
        }
    }
}

static void judge_reading(har_reading_result *out, const har_reading *reading,
                          const har_claims *claims, workspace *w,
                          bool with_text)
{
    const int n = claims->n;
    for (int k = 0; k < w->n_combination; k++)
        har_audit_one(w->finding + (size_t)k * (size_t)n, claims, reading,
                      w->meaning[k], with_text);
    const int best = best_combination(w, n);
    out->reading = *reading;
    memset(out->n_verdict, 0, sizeof out->n_verdict);
    for (int i = 0; i < n; i++)
        judge_claim(&out->claim[i], w, n, i, best,
                    har_word_of(claims->at[i].quantity));
    look_at_figures(out->claim, claims);
    for (int i = 0; i < n; i++)
        out->n_verdict[out->claim[i].verdict]++;
}

/* --- candidates --- */

typedef struct candidates {
    int n, most; /* most: claims that hold under the best                      */
    har_reading at[2 * HAR_MAX_READINGS];
    int holds[2 * HAR_MAX_READINGS];
} candidates;

static int count_holds(const har_reading *reading, const har_claims *claims,
                       workspace *w)
{
    har_reading_result r = {.claim = w->scratch};
    judge_reading(&r, reading, claims, w, false);
    return r.n_verdict[HAR_CLAIM_HOLDS];
}

static void add(candidates *c, const har_reading *reading, int holds)
{
    if (c->n == 2 * HAR_MAX_READINGS)
        return;
    c->at[c->n] = *reading;
    c->holds[c->n++] = holds;
    c->most = holds > c->most ? holds : c->most;
}

/* Try a reading, and keep it if it satisfies more claims than at_most. */
static void try_cut(candidates *c, const har_reading *reading, int at_most,
                    const har_claims *claims, workspace *w)
{
    const int holds = count_holds(reading, claims, w);
    if (holds > at_most)
        add(c, reading, holds);
}

/* The best candidates with virtual stages, where nobody says how many: all that
 * an interleaved schedule may have.  Returns the number tried. */
static int try_chunks(candidates *c, const har_claims *claims, workspace *w)
{
    const int n = c->n, most = c->most, n_l = (int)claims->spec.n_l;
    int n_tried = 0;
    for (int i = 0; i < n && !har__is_stated(claims, HAR_Q_VPP); i++) {
        har_reading r = c->at[i];
        if (c->holds[i] != most || r.pp <= 1 || r.mb % r.pp != 0)
            continue;
        for (r.vpp = 2; r.pp * r.vpp <= n_l; r.vpp++) {
            if (n_l % (r.pp * r.vpp) != 0)
                continue;
            try_cut(c, &r, most, claims, w);
            n_tried++;
        }
    }
    return n_tried;
}

static void find_candidates(candidates *c, har_audit *out, workspace *w)
{
    const har_claims *claims = out->claims;
    har_reading found[HAR_MAX_READINGS];
    int64_t n_cut_searched = 0;
    const int n = har_readings_find(found, claims, false, &out->n_searched);
    for (int i = 0; i < n; i++)
        add(c, &found[i], count_holds(&found[i], claims, w));
    if (claims->has_plan || c->most == claims->n)
        return;
    const int n_cut = har_readings_find(found, claims, true, &n_cut_searched);
    const int most_plain = c->most;
    for (int i = 0; i < n_cut; i++)
        try_cut(c, &found[i], most_plain, claims, w);
    out->n_searched += n_cut_searched + try_chunks(c, claims, w);
}

/* --- choosing what is shown --- */

/* The first of its number of GPUs and scope, on a number that the degrees give:
 * as stated, tp*pp*dp, tp*pp*dp*ep. */
static bool is_first_of_kind(const har_reading *all, int i,
                             const har_claims *claims)
{
    double gpus = 0.0, degrees = 1.0, ep = 1.0;
    for (int k = 0; k < claims->n; k++) {
        const har_claim *c = &claims->at[k];
        if (!har__is_figure(c))
            continue;
        gpus = c->quantity == HAR_Q_GPUS ? c->value : gpus;
        ep = c->quantity == HAR_Q_EP ? c->value : ep;
        if (c->quantity == HAR_Q_TP || c->quantity == HAR_Q_PP ||
            c->quantity == HAR_Q_DP)
            degrees *= c->value;
    }
    const double world = har_reading_gpus(&all[i]);
    if (world != gpus && world != degrees && world != degrees * ep)
        return false;
    for (int k = 0; k < i; k++)
        if (har_reading_gpus(&all[k]) == world && all[k].scope == all[i].scope)
            return false;
    return true;
}

/* The one shown that says the same of what is stated, or -1. */
static int find_alike(const int *shown, int n_shown, const har_reading *all,
                      int i, const har_claims *claims)
{
    for (int k = 0; k < n_shown; k++)
        if (har__reads_alike(claims, &all[shown[k]], &all[i]))
            return k;
    return -1;
}

/* Those with the most claims first, of those that are alike the first; then one
 * for each way to count GPUs.
 *   n_alike  [MAX_SHOWN] of the best: how many more are alike */
static int choose(int *shown, int *n_alike, int *n_best, const candidates *c,
                  const har_claims *claims)
{
    int n_shown = 0;
    for (int i = 0; i < c->n; i++) {
        if (c->holds[i] != c->most)
            continue;
        const int like = find_alike(shown, n_shown, c->at, i, claims);
        if (like >= 0)
            n_alike[like]++;
        else if (n_shown < MAX_SHOWN)
            shown[n_shown++] = i;
    }
    *n_best = n_shown;
    for (int i = 0; i < c->n && n_shown < MAX_SHOWN; i++)
        if (c->holds[i] != c->most && is_first_of_kind(c->at, i, claims))
            shown[n_shown++] = i;
    return n_shown;
}

static core_status add_result(har_audit *out, const har_reading *reading,
                              int n_alike, workspace *w)
{
    har_reading_result *r = &out->reading[out->n_reading];
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, out->claims->n + 1, sizeof *r->claim,
                        "audit"));
    r->claim = memory;
    out->n_reading++;
    judge_reading(r, reading, out->claims, w, true);
    r->n_alike = n_alike;
    return CORE_OK;
}

static core_status run(har_audit *out, workspace *w)
{
    candidates c = {.n = 0};
    int shown[MAX_SHOWN], n_alike[MAX_SHOWN] = {0};
    find_candidates(&c, out, w);
    const int n_shown = choose(shown, n_alike, &out->n_best, &c, out->claims);
    for (int i = 0; i < n_shown; i++)
        CORE_TRY(add_result(out, &c.at[shown[i]], n_alike[i], w));
    return CORE_OK;
}

core_status har_audit_run(har_audit *out, const har_claims *claims)
{
    workspace w = {.n_combination = 0};
    void *finding = NULL, *scratch = NULL, *reading = NULL;
    *out = (har_audit){.claims = claims};
    if (claims->has_plan)
        CORE_TRY(par_plan_check(&claims->plan, &claims->spec));
    find_combinations(&w, claims);
    const int64_t n = claims->n + 1;
    core_status status = core_alloc(&finding, n * w.n_combination,
                                    sizeof(har_finding), "audit");
    if (status == CORE_OK)
        status = core_alloc(&scratch, n, sizeof(har_claim_result), "audit");
    if (status == CORE_OK)
        status = core_alloc(&reading, MAX_SHOWN, sizeof *out->reading, "audit");
    if (status == CORE_OK) {
        w.finding = finding;
        w.scratch = scratch;
        out->reading = reading;
        status = run(out, &w);
    }
    free(finding);
    free(scratch);
    if (status != CORE_OK)
        har_audit_free(out);
    return status;
}

void har_audit_free(har_audit *audit)
{
    if (audit->reading != NULL)
        for (int i = 0; i < audit->n_reading; i++)
            free(audit->reading[i].claim);
    free(audit->reading);
    audit->reading = NULL;
    audit->n_reading = 0;
}

bool har_audit_is_clean(const har_audit *audit)
{
    return audit->n_reading > 0 &&
           audit->reading[0].n_verdict[HAR_CLAIM_HOLDS] == audit->claims->n;
}
