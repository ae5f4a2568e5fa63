/* harness/page/sheet_impl.h -- private to harness/page: what the sections of a
 * sheet share.
 *
 * sheet.c gathers everything first; a section only writes.  Each begins with
 * har__section and closes its <section>.
 */
#ifndef HAR_PAGE_SHEET_IMPL_H
#define HAR_PAGE_SHEET_IMPL_H

#include "core/files/json.h"
#include "harness/page/gnuplot.h"
#include "harness/page/page.h"
#include "harness/page/sheet.h"
#include "harness/page/svg.h"
#include "harness/perf/audit/audit.h"
#include "harness/perf/predict/figures.h"
#include "harness/perf/predict/traffic.h"

/* --- what a GPU holds (sheet_module.c) --- */

enum { HAR__RUNS_TEXT = 120, HAR__SHORT_TEXT = 24 };

typedef struct har__module {
    int stage, d, t, ep_i, etp_i;
    int64_t head0, head1, kv0, kv1, vocab0, vocab1, f0, f1;
    int n_expert;
    char layers[HAR__RUNS_TEXT]; /* "0-3, 9", cut off with "..."              */
    char experts[HAR__RUNS_TEXT];
    char some_experts[HAR__SHORT_TEXT];
    double weight_bytes;
    bool is_copy; /* an earlier rank holds the same           */
} har__module;

/* *out: [n_gpu], to be freed.  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har__modules_make(har__module **out,
                                             const har_setup *setup);

/* --- the predicted timeline (sheet_timeline.c) --- */

typedef enum har__work {
    HAR__DENSE,
    HAR__EXPERTS,
    HAR__TO_TENSOR,
    HAR__TO_EXPERTS,
    HAR__TO_STAGE,
    HAR__TO_CONTEXT,
    HAR__N_WORK
} har__work;

enum { HAR__N_BIN = 780 };

enum { HAR__MAX_CLOSE = 8 }; /* GPUs of the closer look                       */

typedef struct har__timeline {
    int n_gpu, step; /* every step-th GPU has a track                         */
    int n_in_stage;
    int64_t n_of_first; /* operators of GPU 0                                 */
    int n_track;
    double seconds;
    float *busy; /* [2, n_track, HAR__N_BIN, HAR__N_WORK] seconds of a GPU, and
                  * of what is under way beside it; owned                     */

    /* a closer look: every operator of the first GPU of some stages          */
    double close0, close1; /* seconds of the pass                             */
    int n_close;
    int64_t n_span, n_room;
    har_span *span; /* owned                                                  */
    bool is_short;  /* no memory for one                                      */
} har__timeline;

/* Of the case last predicted, whose plan this is.  Free busy and span also
 * after an error.  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har__timeline_make(har__timeline *out,
                                              har_predictor *predictor,
                                              const par_plan *plan,
                                              const har_prediction *p);

/* --- other plans (sheet_rivals.c) --- */

enum { HAR__MAX_COUNTS = 6, HAR__MAX_RIVALS = 48, HAR__RIVALS_OF_COUNT = 8 };

typedef struct har__rival {
    char plan[PAR_PLAN_TEXT];
    int n_gpu, i_count;
    double latency, tokens_per_s, memory; /* as the page's plan is predicted  */
    bool is_ours, is_best; /* nothing shown beats it in both                  */
} har__rival;

typedef struct har__rivals {
    int n_count;
    int count[HAR__MAX_COUNTS];
    int64_t n_plan, n_large; /* legal; of them too large                      */
    int n;
    har__rival at[HAR__MAX_RIVALS + 1]; /* by latency                         */
    char refused[200]; /* why there is no search; "" if there was one         */
} har__rivals;

CORE_NODISCARD core_status har__rivals_find(har__rivals *out,
                                            const har_sheet_ask *ask,
                                            har_predictor *predictor,
                                            const har_prediction *ours);

/* --- the sheet --- */

typedef struct har__sheet {
    const har_sheet_ask *ask;
    const har_setup *setup;
    char plan[PAR_PLAN_TEXT];
    har_prediction p;
    har__module *module; /* [n_gpu]                                      */
    char routing[HAR_ROUTING_TEXT]; /* where the load is from                 */
    har_load load;
    double n_choice, n_kept;
    har_traffic traffic;
    har__timeline timeline;
    har__rivals rivals;
    har_claims *claims; /* NULL: none given                             */
    har_audit audit;
    json_t *verdicts; /* NULL: none given                             */
} har__sheet;

/* Read and check the verdicts of `verify --json`; *out is to be dropped after
 * an error, too.  Errors: E_FILE, E_FORMAT.    [local] */
CORE_NODISCARD core_status har__verdicts_read(json_t **out, const char *path);
/* Is a plan, by its canonical text, among those verified?                    */
bool har__verdicts_has(const json_t *verdicts, const char *plan);
/* A member of the verdicts that is a text, or of their model. */
const char *har__text_of(const json_t *o, const char *key);

/* The sections.  Those with plots may fail as har_gnuplot_draw does.         */
void har__sheet_head(const har__sheet *s, FILE *out);
void har__sheet_figures(const har__sheet *s, FILE *out);
void har__sheet_modules(const har__sheet *s, FILE *out);
void har__sheet_verdicts(const har__sheet *s, FILE *out);
void har__sheet_memory(const har__sheet *s, FILE *out);
CORE_NODISCARD core_status har__sheet_load(const har__sheet *s, FILE *out);
void har__sheet_traffic(const har__sheet *s, FILE *out);
void har__sheet_timeline(const har__sheet *s, FILE *out);
CORE_NODISCARD core_status har__sheet_roofline(const har__sheet *s, FILE *out);
void har__sheet_audit(const har__sheet *s, FILE *out);
CORE_NODISCARD core_status har__sheet_rivals(const har__sheet *s, FILE *out);
void har__sheet_basis(const har__sheet *s, FILE *out);

/* --- writing (sheet_text.c) --- */

/* The head of a section: id, heading, what is seen (plain text). */
void har__section(FILE *out, const char *id, const char *heading,
                  const char *fmt, ...) CORE_PRINTF(4, 5);

/* A line of a legend: the colour's variable, its strength, what it means. */
void har__key_open(FILE *out);
void har__key(FILE *out, const char *colour, double strength, const char *fmt,
              ...) CORE_PRINTF(4, 5);
void har__key_close(FILE *out);

enum { HAR__NUMBER = 32 };

/* Three significant digits with a prefix of thousands: "1.01 M", "0.30".     */
const char *har__si(char out[HAR__NUMBER], double x);
/* Three significant digits without an exponent: "0.057", "76.0", "12300". */
const char *har__digits(char out[HAR__NUMBER], double x);
/* "1,048,576" */
const char *har__grouped(char out[HAR__NUMBER], int64_t n);

/* har__si, har__digits */
typedef const char *(*har__words)(char out[HAR__NUMBER], double x);

/* A cell with scale * x in words and the whole number beside it for machines:
 * <td class="n"><data value="0.0760">76.0</data></td>                        */
void har__number(FILE *out, double x, double scale, har__words words);

/* "expert grouped gemm", "attn_out all-reduce over tp".                      */
void har__class_name(char *out, size_t bytes, const har_class *c);
/* Is it the work of experts, and of bringing rows to them?                   */
bool har__is_experts(const char *op);

/* A script under way, begun with borders, grid and colours of words.         */
typedef struct har__plot {
    FILE *script;
    char *text;
    size_t n;
} har__plot;
CORE_NODISCARD core_status har__plot_open(har__plot *plot);
/* Draw it HAR__WIDTH wide and let go of it.  Errors: as har_gnuplot_draw. */
CORE_NODISCARD core_status har__plot_close(har__plot *plot, FILE *out,
                                           int height, const char *label);

/* The colour variables of kinds of work and of flows. */
const char *har__work_colour(har__work work);
const char *har__flow_colour(har_flow flow);
extern const char har__sheet_style[];

enum { HAR__WIDTH = 900 }; /* of all pictures                                 */

#endif
