/*
 * A provider of chat completions that costs next to nothing: what the load is sent to, directly or through a gateway.
 *
 *   POST /v1/chat/completions   one completion of about 1 KB; with "stream":true, --events events, --interval-ms apart
 *   GET  /count                 {"answered":..,"streams":..,"events":..,"cut":..,"refused":..}
 *
 * One thread, epoll, loopback only. It is strict where a provider is strict, so that a gateway which sends a wrong
 * model, key or framing is found out: the model has to be --model, the key --key, the body an object with messages.
 * Every content event carries "@" and the CLOCK_MONOTONIC nanoseconds at which it was written, in 19 digits: whoever
 * reads it on the same machine knows how long it was under way.
 *
 * HTTP is RFC 9112: bodies by Content-Length or chunked, in any pieces, pipelined or not, Expect: 100-continue.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_LIMIT = 64 * 1024,
    BODY_LIMIT = 32 * 1024 * 1024,
    OUT_LIMIT = 1024 * 1024, /* more than this unread by the peer, and its next request waits */
    READ_SIZE = 64 * 1024,
    BATCH = 256,
    BACKLOG = 1024,
    ID_DIGITS = 16,
    STAMP_DIGITS = 19,
};

typedef struct {
    char *bytes;
    size_t length, capacity;
} Buffer;

typedef enum { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER } Phase;

typedef struct Connection {
    int fd;
    uint32_t interest;
    bool dead, closing;
    Buffer in, out;
    size_t out_sent;

    Phase phase;
    size_t scanned;            /* bytes of `in` known to hold no end of the head */
    size_t head, raw, decoded; /* length of the head; read and decoded bytes of the body */
    uint64_t wanted;           /* bytes still due: of the body, or of the chunk */
    bool is_post, is_get, keep_alive, authorized, expects;
    char target[64];

    bool streaming, usage_asked;
    int sent_events;
    uint64_t id, due;
    struct Connection *before, *after; /* in the queue of streams, by `due` */
    struct Connection *next_dead;
} Connection;

static struct {
    int port, events, lifetime;
    double interval_ms;
    long prompt_tokens, cached_tokens, completion_tokens;
    const char *model, *key;
} options = {0, 64, 3600, 5.0, 146, 64, 96, "mock-large", "mock-key"};

static struct {
    uint64_t answered, streams, events, cut, refused;
} count;

static int epoll, timer;
static uint64_t interval, next_id;
static Connection *first, *last, *graveyard;

/* Answers are made once; only the digits of an id or a stamp are written anew. */
typedef struct {
    Buffer text;
    size_t id; /* where the digits of the answer's id stand */
} Template;

static Template plain, stream_head, stream_event, stream_finish, stream_usage;
static Buffer stream_end;
static size_t event_stamp;

static const char TEXT[] =
    "A gateway stands between the applications of a house and the models that they call. It knows who is asking, what "
    "they may use and what is left of their budget, sends each call to a backend that can answer it, and writes down "
    "what was used and what it cost. When a provider fails before the first word has gone out, it asks the next one; "
    "afterwards it says honestly that the answer is incomplete.";

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* -- buffers ------------------------------------------------------------------------------------------------------ */

static void reserve(Buffer *buffer, size_t more) {
    if (buffer->length + more <= buffer->capacity) return;
    size_t capacity = buffer->capacity ? buffer->capacity : 4096;
    while (capacity < buffer->length + more) capacity *= 2;
    char *bytes = realloc(buffer->bytes, capacity);
    if (!bytes) fail("realloc");
    buffer->bytes = bytes;
    buffer->capacity = capacity;
}

static void append(Buffer *buffer, const char *bytes, size_t length) {
    reserve(buffer, length);
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

__attribute__((format(printf, 2, 3))) static void print(Buffer *buffer, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    reserve(buffer, (size_t)length + 1);
    vsnprintf(buffer->bytes + buffer->length, (size_t)length + 1, format, again);
    va_end(again);
    buffer->length += (size_t)length;
}

static void write_digits(char *place, uint64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--, value /= 10) place[i] = (char)('0' + value % 10);
}

static size_t end_of(const char *marker, const Buffer *buffer) {
    char *place = memmem(buffer->bytes, buffer->length, marker, strlen(marker));
    if (!place) {
        fprintf(stderr, "no %s in the template\n", marker);
        exit(1);
    }
    return (size_t)(place - buffer->bytes) + strlen(marker);
}

/* -- answers, made once ------------------------------------------------------------------------------------------- */

static void print_usage(Buffer *buffer, long completion_tokens) {
    print(buffer,
          "{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld,"
          "\"prompt_tokens_details\":{\"cached_tokens\":%ld,\"audio_tokens\":0},"
          "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
          "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
          options.prompt_tokens, completion_tokens, options.prompt_tokens + completion_tokens, options.cached_tokens);
}

static void print_head(Buffer *buffer, const char *type, const char *framing) {
    char date[64];
    time_t seconds = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&seconds, &utc));
    print(buffer,
          "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: %s\r\n%s\r\n"
          "openai-version: 2020-10-01\r\nopenai-processing-ms: 412\r\n"
          "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 30000000\r\n"
          "x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 29999853\r\n"
          "x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 0s\r\n"
          "x-request-id: req_5f0c3a9be1d24c4f8a6e7d1b90c2e354\r\n\r\n",
          date, type, framing);
}

static void print_chunk(Buffer *buffer, const char *choices, const char *usage) {
    print(buffer,
          "data: {\"id\":\"chatcmpl-%0*d\",\"object\":\"chat.completion.chunk\",\"created\":%lld,\"model\":\"%s\","
          "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[%s]%s%s}\n\n",
          ID_DIGITS, 0, (long long)time(NULL), options.model, choices, usage ? ",\"usage\":" : "", usage ? usage : "");
}

/* One event as one chunk of the transfer coding. */
static void frame(Buffer *into, Buffer *event) {
    print(into, "%zx\r\n", event->length);
    append(into, event->bytes, event->length);
    append(into, "\r\n", 2);
    event->length = 0;
}

static void frame_with_id(Template *into, Buffer *event) {
    frame(&into->text, event);
    into->id = end_of("chatcmpl-", &into->text);
}

static void make_answers(void) {
    Buffer body = {0}, usage = {0};
    print(&body,
          "{\"id\":\"chatcmpl-%0*d\",\"object\":\"chat.completion\",\"created\":%lld,\"model\":\"%s\",\"choices\":["
          "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null,\"annotations\":[]},"
          "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":",
          ID_DIGITS, 0, (long long)time(NULL), options.model, TEXT);
    print_usage(&body, options.completion_tokens);
    print(&body, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\"}");
    char length[64];
    snprintf(length, sizeof length, "Content-Length: %zu", body.length);
    print_head(&plain.text, "application/json", length);
    append(&plain.text, body.bytes, body.length);
    plain.id = end_of("chatcmpl-", &plain.text);
    body.length = 0;

    print_head(&stream_head.text, "text/event-stream; charset=utf-8", "Transfer-Encoding: chunked");
    print_chunk(&body,
                "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,"
                "\"finish_reason\":null}",
                NULL);
    frame_with_id(&stream_head, &body);

    print_chunk(&body,
                "{\"index\":0,\"delta\":{\"content\":\"@0000000000000000000 \"},\"logprobs\":null,"
                "\"finish_reason\":null}",
                NULL);
    frame_with_id(&stream_event, &body);
    event_stamp = end_of("\"@", &stream_event.text);

    print_chunk(&body, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}", NULL);
    frame_with_id(&stream_finish, &body);

    print_usage(&usage, options.events);
    print_chunk(&body, "", usage.bytes);
    frame_with_id(&stream_usage, &body);

    print(&body, "data: [DONE]\n\n");
    frame(&stream_end, &body);
    print(&stream_end, "0\r\n\r\n");
    free(body.bytes);
    free(usage.bytes);
}

/* -- connections -------------------------------------------------------------------------------------------------- */

static void unqueue(Connection *c) {
    if (!c->streaming) return;
    c->streaming = false;
    if (c->before) c->before->after = c->after; else first = c->after;
    if (c->after) c->after->before = c->before; else last = c->before;
    c->before = c->after = NULL;
}

/* Every stream has the same interval, so what is due next is always appended last: the queue stays sorted. */
static void queue(Connection *c, uint64_t due) {
    c->due = due;
    c->streaming = true;
    c->before = last;
    c->after = NULL;
    if (last) last->after = c; else first = c;
    last = c;
}

/* Freed after the batch of events, which may still name it. */
static void bury(Connection *c) {
    if (c->dead) return;
    if (c->streaming) count.cut++;
    unqueue(c);
    close(c->fd);
    c->dead = true;
    c->next_dead = graveyard;
    graveyard = c;
}

static void free_dead(void) {
    while (graveyard) {
        Connection *c = graveyard;
        graveyard = c->next_dead;
        free(c->in.bytes);
        free(c->out.bytes);
        free(c);
    }
}

static size_t unsent(const Connection *c) {
    return c->out.length - c->out_sent;
}

static void flush(Connection *c) {
    while (!c->dead && unsent(c)) {
        ssize_t sent = send(c->fd, c->out.bytes + c->out_sent, unsent(c), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) bury(c);
            return;
        }
        c->out_sent += (size_t)sent;
    }
    c->out.length = c->out_sent = 0;
}

static void answer(Connection *c, const Template *template) {
    write_digits(template->text.bytes + template->id, c->id, ID_DIGITS);
    append(&c->out, template->text.bytes, template->text.length);
}

static void refuse(Connection *c, int status, const char *reason, const char *code) {
    Buffer body = {0};
    print(&body, "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"%s\"}}",
          reason, code);
    print(&c->out,
          "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n%s",
          status, reason, body.length, c->closing ? "close" : "keep-alive", body.bytes);
    free(body.bytes);
    count.refused++;
}

/* For requests whose end cannot be told: what follows them cannot be read. */
static void refuse_and_close(Connection *c, int status, const char *reason) {
    c->closing = true;
    refuse(c, status, reason, "bad_request");
}

/* -- streams ------------------------------------------------------------------------------------------------------ */

static void begin_stream(Connection *c) {
    c->id = next_id++;
    c->sent_events = 0;
    answer(c, &stream_head);
    queue(c, now() + interval);
}

static void step_stream(Connection *c) {
    uint64_t due = c->due;
    unqueue(c);
    if (c->sent_events < options.events) {
        c->sent_events++;
        count.events++;
        write_digits(stream_event.text.bytes + event_stamp, now(), STAMP_DIGITS);
        answer(c, &stream_event);
        queue(c, due + interval);
        return;
    }
    answer(c, &stream_finish);
    if (c->usage_asked) answer(c, &stream_usage);
    append(&c->out, stream_end.bytes, stream_end.length);
    count.streams++;
    count.answered++;
    if (!c->keep_alive) c->closing = true;
}

/* -- requests ----------------------------------------------------------------------------------------------------- */

/*
 * Is there a member `name` whose value begins with `value`? Quotes inside a JSON string are escaped, so a raw `"name"`
 * followed by a colon is always a member, never a text that talks about one.
 */
static bool has_member(const char *body, size_t length, const char *name, const char *value) {
    char quoted[64];
    size_t quoted_length = (size_t)snprintf(quoted, sizeof quoted, "\"%s\"", name), value_length = strlen(value);
    const char *end = body + length, *at = body;
    while ((at = memmem(at, (size_t)(end - at), quoted, quoted_length))) {
        at += quoted_length;
        const char *rest = at;
        while (rest < end && strchr(" \t\r\n", *rest)) rest++;
        if (rest == end || *rest != ':') continue;
        rest++;
        while (rest < end && strchr(" \t\r\n", *rest)) rest++;
        if ((size_t)(end - rest) >= value_length && !memcmp(rest, value, value_length)) return true;
    }
    return false;
}

static bool is_object(const char *body, size_t length) {
    while (length && strchr(" \t\r\n", *body)) body++, length--;
    while (length && strchr(" \t\r\n", body[length - 1])) length--;
    return length > 1 && body[0] == '{' && body[length - 1] == '}';
}

static void respond(Connection *c, const char *body, size_t length) {
    char model[128];
    if (!c->keep_alive) c->closing = true;
    if (!strcmp(c->target, "/count")) {
        if (!c->is_get) {
            refuse(c, 405, "Method Not Allowed", "method_not_allowed");
            return;
        }
        Buffer text = {0};
        print(&text,
              "{\"answered\":%llu,\"streams\":%llu,\"events\":%llu,\"cut\":%llu,\"refused\":%llu}",
              (unsigned long long)count.answered, (unsigned long long)count.streams, (unsigned long long)count.events,
              (unsigned long long)count.cut, (unsigned long long)count.refused);
        print(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
              text.length, text.bytes);
        free(text.bytes);
        return;
    }
    if (strcmp(c->target, "/v1/chat/completions")) {
        refuse(c, 404, "Not Found", "unknown_url");
        return;
    }
    if (!c->is_post) {
        refuse(c, 405, "Method Not Allowed", "method_not_allowed");
        return;
    }
    if (!c->authorized) {
        refuse(c, 401, "Incorrect API key provided", "invalid_api_key");
        return;
    }
    snprintf(model, sizeof model, "\"%s\"", options.model);
    if (!is_object(body, length) || !has_member(body, length, "messages", "[")) {
        refuse(c, 400, "The body is no object with messages", "invalid_body");
        return;
    }
    if (!has_member(body, length, "model", model)) {
        refuse(c, 404, "The model does not exist", "model_not_found");
        return;
    }
    if (has_member(body, length, "stream", "true")) {
        c->closing = false; /* not before the last event */
        c->usage_asked = has_member(body, length, "include_usage", "true");
        begin_stream(c);
        return;
    }
    c->id = next_id++;
    answer(c, &plain);
    count.answered++;
}

static bool is_header(const char *line, size_t name_length, const char *name) {
    return strlen(name) == name_length && !strncasecmp(line, name, name_length);
}

/* Reads the head that ends at `c->head`; false, with the refusal queued, where it says nothing that can be followed. */
static bool read_head(Connection *c) {
    char *at = c->in.bytes, *end = c->in.bytes + c->head - 2; /* the empty line is not read */
    char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
    char *space = memchr(at, ' ', (size_t)(line_end - at));
    char *second = space ? memchr(space + 1, ' ', (size_t)(line_end - space - 1)) : NULL;
    if (!second || line_end - second != 9 || memcmp(second + 1, "HTTP/1.", 7)) {
        refuse_and_close(c, 400, "Bad Request");
        return false;
    }
    c->is_post = space - at == 4 && !memcmp(at, "POST", 4);
    c->is_get = space - at == 3 && !memcmp(at, "GET", 3);
    size_t target = (size_t)(second - space - 1);
    char *query = memchr(space + 1, '?', target);
    if (query) target = (size_t)(query - space - 1);
    if (target >= sizeof c->target) target = 0; /* no such path here */
    memcpy(c->target, space + 1, target);
    c->target[target] = 0;
    c->keep_alive = line_end[-1] != '0';
    c->authorized = !*options.key;
    c->expects = false;

    bool has_length = false, chunked = false;
    uint64_t length = 0;
    for (at = line_end + 2; at < end; at = line_end + 2) {
        line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        char *colon = memchr(at, ':', (size_t)(line_end - at));
        if (!colon || colon == at) {
            refuse_and_close(c, 400, "Bad Request");
            return false;
        }
        size_t name = (size_t)(colon - at);
        char *value = colon + 1, *value_end = line_end;
        while (value < value_end && (*value == ' ' || *value == '\t')) value++;
        while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t')) value_end--;
        size_t size = (size_t)(value_end - value);
        if (is_header(at, name, "content-length")) {
            uint64_t stated = 0;
            if (!size || size > 15 || has_length) {
                refuse_and_close(c, 400, "Bad Content-Length");
                return false;
            }
            for (size_t i = 0; i < size; i++) {
                if (value[i] < '0' || value[i] > '9') {
                    refuse_and_close(c, 400, "Bad Content-Length");
                    return false;
                }
                stated = stated * 10 + (uint64_t)(value[i] - '0');
            }
            has_length = true;
            length = stated;
        } else if (is_header(at, name, "transfer-encoding")) {
            if (size != 7 || strncasecmp(value, "chunked", 7)) {
                refuse_and_close(c, 501, "Unknown Transfer-Encoding");
                return false;
            }
            chunked = true;
        } else if (is_header(at, name, "connection")) {
            if (size == 5 && !strncasecmp(value, "close", 5)) c->keep_alive = false;
            if (size == 10 && !strncasecmp(value, "keep-alive", 10)) c->keep_alive = true;
        } else if (is_header(at, name, "expect")) {
            c->expects = size == 12 && !strncasecmp(value, "100-continue", 12);
        } else if (is_header(at, name, "authorization")) {
            size_t key = strlen(options.key);
            if (size == key + 7 && !strncasecmp(value, "bearer ", 7) && !memcmp(value + 7, options.key, key))
                c->authorized = true;
        }
    }
    if (has_length && chunked) {
        refuse_and_close(c, 400, "Both Content-Length and Transfer-Encoding");
        return false;
    }
    if (length > BODY_LIMIT) {
        refuse_and_close(c, 413, "Content Too Large");
        return false;
    }
    c->raw = c->decoded = 0;
    c->wanted = length;
    c->phase = chunked ? CHUNK_SIZE : BODY;
    return true;
}

/* The next line of the chunked coding, NULL where it is not whole yet. */
static char *coding_line(Connection *c, char **line_end) {
    char *at = c->in.bytes + c->head + c->raw;
    size_t left = c->in.length - c->head - c->raw;
    *line_end = memmem(at, left, "\r\n", 2);
    return *line_end ? at : NULL;
}

typedef enum { WAIT, WHOLE, BROKEN } Progress;

/* Moves the bytes of each chunk down to the ones before it, so that the whole body ends up in one piece. */
static Progress read_chunks(Connection *c) {
    char *body = c->in.bytes + c->head, *line, *line_end;
    for (;;) {
        size_t left = c->in.length - c->head - c->raw;
        switch (c->phase) {
        case CHUNK_SIZE:
            if (!(line = coding_line(c, &line_end))) return left > 1024 ? BROKEN : WAIT;
            uint64_t size = 0;
            int digits = 0;
            for (; line < line_end && digits < 9; line++, digits++) {
                int digit = *line >= '0' && *line <= '9'   ? *line - '0'
                            : *line >= 'a' && *line <= 'f' ? *line - 'a' + 10
                            : *line >= 'A' && *line <= 'F' ? *line - 'A' + 10
                                                           : -1;
                if (digit < 0) break;
                size = size * 16 + (uint64_t)digit;
            }
            if (!digits || size > BODY_LIMIT || c->decoded + size > BODY_LIMIT) return BROKEN;
            if (line < line_end && *line != ';' && *line != ' ' && *line != '\t') return BROKEN;
            c->raw = (size_t)(line_end + 2 - body);
            c->wanted = size;
            c->phase = size ? CHUNK_DATA : TRAILER;
            break;
        case CHUNK_DATA:
            if (!left) return WAIT;
            size_t part = left < c->wanted ? left : (size_t)c->wanted;
            memmove(body + c->decoded, body + c->raw, part);
            c->decoded += part;
            c->raw += part;
            c->wanted -= part;
            if (c->wanted) return WAIT;
            c->phase = CHUNK_END;
            break;
        case CHUNK_END:
            if (left < 2) return WAIT;
            if (memcmp(body + c->raw, "\r\n", 2)) return BROKEN;
            c->raw += 2;
            c->phase = CHUNK_SIZE;
            break;
        case TRAILER:
            if (!(line = coding_line(c, &line_end))) return left > HEAD_LIMIT ? BROKEN : WAIT;
            c->raw = (size_t)(line_end + 2 - body);
            if (line == line_end) return WHOLE;
            break;
        case HEAD:
        case BODY:
            return BROKEN;
        }
    }
}

static Progress read_body(Connection *c) {
    if (c->phase != BODY) return read_chunks(c);
    if (c->in.length - c->head < c->wanted) return WAIT;
    c->raw = c->decoded = (size_t)c->wanted;
    return WHOLE;
}

static void consume(Connection *c) {
    size_t used = c->head + c->raw;
    memmove(c->in.bytes, c->in.bytes + used, c->in.length - used);
    c->in.length -= used;
    c->phase = HEAD;
    c->scanned = 0;
}

/* Answers whatever is whole, in order; a stream that runs keeps the requests behind it waiting. */
static void advance(Connection *c) {
    while (!c->dead && !c->closing && !c->streaming) {
        if (unsent(c) >= OUT_LIMIT) flush(c);
        if (c->dead || unsent(c) >= OUT_LIMIT) break;
        if (c->phase == HEAD) {
            char *end = memmem(c->in.bytes + c->scanned, c->in.length - c->scanned, "\r\n\r\n", 4);
            if (!end) {
                if (c->in.length > HEAD_LIMIT) refuse_and_close(c, 431, "Request Header Fields Too Large");
                c->scanned = c->in.length > 3 ? c->in.length - 3 : 0;
                break;
            }
            c->head = (size_t)(end - c->in.bytes) + 4;
            if (!read_head(c)) break;
        }
        Progress progress = read_body(c);
        if (progress == BROKEN) refuse_and_close(c, 400, "Bad chunk");
        if (progress != WHOLE) {
            if (progress == WAIT && c->expects) {
                c->expects = false;
                append(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
            }
            break;
        }
        respond(c, c->in.bytes + c->head, c->decoded);
        consume(c);
    }
    flush(c);
    if (!c->dead && c->closing && !unsent(c)) bury(c);
}

static void watch(Connection *c) {
    if (c->dead) return;
    size_t limit = (size_t)HEAD_LIMIT + 2 * (size_t)BODY_LIMIT;
    /* While a stream runs only its end is of interest: a little of what follows may be read, not all of it. */
    if (c->streaming) limit = HEAD_LIMIT;
    uint32_t interest = EPOLLRDHUP;
    if (c->in.length < limit && unsent(c) < OUT_LIMIT) interest |= EPOLLIN;
    if (unsent(c)) interest |= EPOLLOUT;
    if (interest == c->interest) return;
    c->interest = interest;
    struct epoll_event event = {.events = interest, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event)) fail("epoll_ctl");
}

static void receive(Connection *c) {
    reserve(&c->in, READ_SIZE);
    ssize_t got = recv(c->fd, c->in.bytes + c->in.length, READ_SIZE, MSG_DONTWAIT);
    if (got > 0) c->in.length += (size_t)got;
    else if (!got || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) bury(c);
}

static void serve(Connection *c, uint32_t events) {
    if (c->dead) return;
    if (events & (EPOLLERR | EPOLLHUP)) {
        bury(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP)) receive(c);
    advance(c);
    watch(c);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) return;
            fail("accept");
        }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = calloc(1, sizeof *c);
        if (!c) fail("calloc");
        c->fd = fd;
        c->interest = EPOLLIN | EPOLLRDHUP;
        struct epoll_event event = {.events = c->interest, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
    }
}

static void run_streams(void) {
    uint64_t rings;
    if (read(timer, &rings, sizeof rings) < 0 && errno != EAGAIN) fail("timerfd");
    while (first && first->due <= now()) {
        Connection *c = first;
        step_stream(c);
        if (c->streaming) flush(c);
        else advance(c);
        watch(c);
    }
}

static void set_timer(void) {
    static uint64_t set;
    uint64_t due = first ? first->due : 0;
    if (due == set) return;
    set = due;
    struct itimerspec when = {.it_value = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL)) fail("timerfd_settime");
}

/* -- the process -------------------------------------------------------------------------------------------------- */

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},          {"events", required_argument, NULL, 'e'},
        {"interval-ms", required_argument, NULL, 'i'},   {"model", required_argument, NULL, 'm'},
        {"key", required_argument, NULL, 'k'},           {"prompt-tokens", required_argument, NULL, 'a'},
        {"cached-tokens", required_argument, NULL, 'b'}, {"completion-tokens", required_argument, NULL, 'c'},
        {"lifetime", required_argument, NULL, 'l'},      {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'e': options.events = atoi(optarg); break;
        case 'i': options.interval_ms = atof(optarg); break;
        case 'm': options.model = optarg; break;
        case 'k': options.key = optarg; break;
        case 'a': options.prompt_tokens = atol(optarg); break;
        case 'b': options.cached_tokens = atol(optarg); break;
        case 'c': options.completion_tokens = atol(optarg); break;
        case 'l': options.lifetime = atoi(optarg); break;
        default: exit(2);
        }
    }
    if (optind < argc || options.port < 0 || options.port > 65535 || options.events < 1 || options.events > 100000 ||
        options.interval_ms < 0.1 || options.interval_ms > 60000 || options.lifetime < 1 ||
        strlen(options.model) > 64) {
        fprintf(stderr,
                "usage: provider [--port N] [--events 1..100000] [--interval-ms 0.1..60000] [--model NAME]\n"
                "  [--key KEY] [--prompt-tokens N] [--cached-tokens N] [--completion-tokens N] [--lifetime SECONDS]\n"
                "--port 0 takes a free one; an empty --key accepts every key; ends by itself after --lifetime.\n");
        exit(2);
    }
    interval = (uint64_t)(options.interval_ms * 1e6);
}

static int listen_on_loopback(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (listener < 0) fail("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size)) fail("bind");
    if (listen(listener, BACKLOG)) fail("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &size)) fail("getsockname");
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* whoever started it has gone */
    alarm((unsigned)options.lifetime);
    make_answers();

    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll < 0 || timer < 0) fail("epoll");
    int listener = listen_on_loopback();
    struct epoll_event on_listener = {.events = EPOLLIN, .data.ptr = &listener},
                       on_timer = {.events = EPOLLIN, .data.ptr = &timer};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &on_listener)) fail("epoll_ctl");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &on_timer)) fail("epoll_ctl");

    for (;;) {
        struct epoll_event batch[BATCH];
        set_timer();
        int ready = epoll_wait(epoll, batch, BATCH, -1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (batch[i].data.ptr == &listener) accept_all(listener);
            else if (batch[i].data.ptr == &timer) run_streams();
            else serve(batch[i].data.ptr, batch[i].events);
        }
        free_dead();
    }
}
