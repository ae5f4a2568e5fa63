/* harness/systems/shell_skipped.c -- what is no word of a command: comments,
 * redirections, here-documents.
 *
 * Traps: options behind #SBATCH are a command of that name; the text that
 * sbatch reads is the script.
 */
#include "harness/systems/shell_impl.h"

#include <stdio.h>
#include <string.h>

static core_status set_slurm(har__reader *r, const char *option,
                             const char *value)
{
    static const char *const sets[][3] = {
        {"--nodes", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"},
        {"-N", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"},
        {"--ntasks", "SLURM_NTASKS", "SLURM_NPROCS"},
        {"-n", "SLURM_NTASKS", "SLURM_NPROCS"},
        {"--ntasks-per-node", "SLURM_NTASKS_PER_NODE", NULL},
        {"--gpus-per-node", "SLURM_GPUS_PER_NODE", "SLURM_GPUS_ON_NODE"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        for (int k = 1; k < 3 && strcmp(sets[i][0], option) == 0; k++)
            if (sets[i][k] != NULL)
                CORE_TRY(har__variable_set(r, sets[i][k], strlen(sets[i][k]),
                                           value, false, false));
    return CORE_OK;
}

core_status har__read_comment(har__reader *r)
{
    har_script *s = r->script;
    static const char sbatch[] = "#SBATCH";
    const size_t n = strlen(sbatch);
    if (strncmp(r->at, sbatch, n) != 0 || r->first_word != s->n_word) {
        r->at += strcspn(r->at, "\n");
        return CORE_OK;
    }
    CORE_TRY(har__field_add(r, sbatch, n));
    CORE_TRY(har__field_end(r));
    for (r->at += n; *r->at != '\n' && *r->at != '\0' && *r->at != '#';)
        if (har__is_blank_or_end(*r->at) || har__ends_word(r))
            r->at++;
        else
            CORE_TRY(har__read_word(r));
    for (int i = r->first_word + 1; i < s->n_word; i++) {
        char option[40] = "";
        const char *word = s->word[i].text, *equal = strchr(word, '=');
        snprintf(option, sizeof option, "%.*s",
                 equal != NULL ? (int)(equal - word) : 39, word);
        if (equal != NULL || i + 1 < s->n_word)
            CORE_TRY(set_slurm(
                r, option, equal != NULL ? equal + 1 : s->word[i + 1].text));
    }
    return har__end_command(r);
}

/* The lines up to the one that is `end`: what a script is for sbatch. */
static core_status read_document(har__reader *r, const char *end)
{
    har_script *s = r->script;
    const bool is_script = s->n_word > r->first_word &&
                           strcmp(s->word[r->first_word].text, "sbatch") == 0;
    r->at += strcspn(r->at, "\n");
    const char *start = r->at, *stop = r->at;
    while (*r->at != '\0') {
        r->line++;
        r->at++;
        stop = r->at;
        const size_t n = strcspn(r->at, "\n"), tabs = strspn(r->at, "\t");
        const bool is_end =
            n - tabs == strlen(end) && memcmp(r->at + tabs, end, n - tabs) == 0;
        r->at += n;
        if (is_end)
            break;
    }
    if (!is_script)
        return CORE_OK;
    const char *text = har_shell_keep(s, start, (size_t)(stop - start));
    if (text == NULL)
        return har__shell_full(r, "characters", HAR_SHELL_POOL);
    CORE_TRY(har__end_command(r));
    CORE_TRY(har__read_text(r, text));
    return har__end_command(r);
}

/* > FILE, 2>&1, <<END ... END: no words. */
core_status har__skip_redirection(har__reader *r)
{
    har_script *s = r->script;
    const bool is_document = strncmp(r->at, "<<", 2) == 0 && r->at[2] != '<';
    const int first = s->n_word;
    r->at += strspn(r->at, "<>&-");
    r->at += strspn(r->at, " \t");
    CORE_TRY(har__read_word(r));
    const char *end =
        is_document && s->n_word > first ? s->word[first].text : NULL;
    s->n_word = first;
    return end != NULL ? read_document(r, end) : CORE_OK;
}
