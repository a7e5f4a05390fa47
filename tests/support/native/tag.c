/* Tags texts with an exported model through TensorFlow's C API: what a server without Python does.
 *
 * usage: tag SAVED_MODEL OPERATION_LIBRARY... < texts
 *
 * Reads one text a line; prints for each of its entities a line: number of the text, type, start, end (characters), score,
 * the entity's text; separated by tabs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { COUNT, TEXT, TYPE, SCORE, START, END, OUTPUTS };
static const char *NAMES[OUTPUTS] = {"entity_count", "entity_text",  "entity_type",
                                     "entity_score", "entity_start", "entity_end"};

static void check(TF_Status *status, const char *what) {
    if (TF_GetCode(status) == TF_OK) return;
    fprintf(stderr, "%s: %s\n", what, TF_Message(status));
    exit(1);
}

/* The number behind an output's name in the signature: the model names its tensors "op:index". The C API hands the
 * signature over as a serialized MetaGraphDef; a map entry in it is the key, then a TensorInfo whose first field is the name. */
static TF_Output find(TF_Graph *graph, const TF_Buffer *meta, const char *signature, const char *key) {
    const char *data = meta->data, *end = data + meta->length;
    char pattern[64];
    /* the signature's own entry in the map: field 1 (the key), its length, the key */
    int n = snprintf(pattern, sizeof pattern, "\n%c%s", (int)strlen(signature), signature);
    const char *from = memmem(data, meta->length, pattern, n);
    n = snprintf(pattern, sizeof pattern, "\n%c%s", (int)strlen(key), key);
    const char *at = from ? memmem(from, end - from, pattern, n) : NULL;
    if (!at) {
        fprintf(stderr, "signature %s has no %s\n", signature, key);
        exit(1);
    }
    at += n + 2 + 1; /* tag and length of the TensorInfo, tag of its name */
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)(unsigned char)at[0], at + 1);
    char *colon = strchr(name, ':');
    *colon = 0;
    return (TF_Output){TF_GraphOperationByName(graph, name), atoi(colon + 1)};
}

int main(int argc, char **argv) {
    TF_Status *status = TF_NewStatus();
    for (int i = 2; i < argc; i++) {
        TF_LoadLibrary(argv[i], status);
        check(status, argv[i]);
    }
    TF_Graph *graph = TF_NewGraph();
    TF_SessionOptions *options = TF_NewSessionOptions();
    TF_Buffer *meta = TF_NewBuffer();
    const char *tags[] = {"serve"};
    TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, meta, status);
    check(status, argv[1]);

    char **texts = NULL, *line = NULL;
    size_t room = 0;
    int64_t count = 0;
    for (ssize_t length; (length = getline(&line, &room, stdin)) >= 0; count++) {
        if (length && line[length - 1] == '\n') line[length - 1] = 0;
        texts = realloc(texts, (count + 1) * sizeof *texts);
        texts[count] = strdup(line);
    }
    TF_Tensor *input = TF_AllocateTensor(TF_STRING, &count, 1, count * sizeof(TF_TString));
    for (int64_t i = 0; i < count; i++) {
        TF_TString *cell = (TF_TString *)TF_TensorData(input) + i;
        TF_StringInit(cell);
        TF_StringCopy(cell, texts[i], strlen(texts[i]));
    }

    TF_Output feed = find(graph, meta, "serving_default", "text"), fetch[OUTPUTS];
    for (int i = 0; i < OUTPUTS; i++) fetch[i] = find(graph, meta, "serving_default", NAMES[i]);
    TF_Tensor *out[OUTPUTS] = {0};
    TF_SessionRun(session, NULL, &feed, &input, 1, fetch, out, OUTPUTS, NULL, 0, NULL, status);
    check(status, "run");

    int64_t most = TF_Dim(out[TEXT], 1);
    const int32_t *counts = TF_TensorData(out[COUNT]), *starts = TF_TensorData(out[START]), *ends = TF_TensorData(out[END]);
    const TF_TString *words = TF_TensorData(out[TEXT]), *types = TF_TensorData(out[TYPE]);
    const float *scores = TF_TensorData(out[SCORE]);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = i * most; j < i * most + counts[i]; j++)
            printf("%d\t%.*s\t%d\t%d\t%.6f\t%.*s\n", (int)i, (int)TF_StringGetSize(types + j),
                   TF_StringGetDataPointer(types + j), starts[j], ends[j], scores[j], (int)TF_StringGetSize(words + j),
                   TF_StringGetDataPointer(words + j));
    return 0;
}
