/* harness/systems/settings_words.c -- what a word of a launch line is. */
#include "core/files/text.h"
#include "harness/systems/settings_impl.h"

#include <ctype.h>
#include <string.h>

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Launchers, by the last part of their path or by their module. */
har_place har__launcher_at(const char *word)
{
    static const struct {
        const char *name;
        har_place place;
    } known[] = {
        {"torchrun", HAR_AT_TORCHRUN},
        {"torch.distributed.run", HAR_AT_TORCHRUN},
        {"torch.distributed.launch", HAR_AT_TORCHRUN},
        {"mpirun", HAR_AT_MPIEXEC},
        {"mpiexec", HAR_AT_MPIEXEC},
        {"mpiexec.hydra", HAR_AT_MPIEXEC},
        {"srun", HAR_AT_SLURM},
        {"deepspeed", HAR_AT_DEEPSPEED},
        {"accelerate", HAR_AT_ACCELERATE},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, base(word)) == 0)
            return known[i].place;
    return HAR_AT_SYSTEM;
}

bool har__is_wrapper(const char *word)
{
    static const char *const known[] = {
        "env",    "nohup", "exec",        "sudo",      "numactl", "taskset",
        "docker", "nsys",  "singularity", "apptainer", "podman",  "ncu",
        "uv",     "nice",  "stdbuf",      "timeout",   "bash",    "sh",
        "eval",   "run",   "conda",       "launch",    "pixi",    "poetry"};
    const char *name = base(word);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return har__is_python(word);
}

bool har__is_python(const char *word)
{
    return core_text_after(base(word), "python", NULL);
}

bool har__is_server(const har_word *word, int n)
{
    const char *name = base(word->text);
    return strcmp(name, "vllm.entrypoints.openai.api_server") == 0 ||
           strcmp(name, "sglang.launch_server") == 0 ||
           ((strcmp(name, "vllm") == 0 || strcmp(name, "sglang") == 0) &&
            n > 1 && strcmp(word[1].text, "serve") == 0);
}

bool har__is_program(const har_word *word, int n)
{
    return har__is_server(word, n) || core_text_ends(word->text, ".py");
}

/* --flag, -f, a.dotted.name=value. */
bool har__is_setting(const har_word *word)
{
    const char *text = word->text;
    if (text[0] == '-')
        return isalpha((unsigned char)text[1]) ||
               (text[1] == '-' && isalpha((unsigned char)text[2]));
    text += strspn(text, "+~");
    const size_t n = strcspn(text, "=");
    if (text[n] == '\0' || !isalpha((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) &&
            strchr("_.-@/", text[i]) == NULL)
            return false;
    return memchr(text, '.', n) != NULL;
}
