/* A PostgreSQL upstream that costs next to nothing, so that the database does not hide what a proxy costs.
 *
 * canned PORT UPSTREAM listens on 127.0.0.1:PORT and links every connection to a real server on 127.0.0.1:UPSTREAM.
 * Logging in, preparing and catalog look-ups are the real server's. pgbench's select is answered by it once on each
 * connection; from then on the same answer is given from memory. It ends when its standard input does.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 65536
#define KINDS 3
static const char SELECT[] = "SELECT abalance FROM";
static const char READY[] = {'Z', 0, 0, 0, 5, 'I'};

typedef struct {
  unsigned char bytes[ROOM];
  size_t size;
} Buffer;

typedef struct Link {
  struct Side { int socket; struct Link *link; } agent, server;
  int started, learning; /* learning: the kind whose answer comes in now, or -1 */
  Buffer in, answers[KINDS];
} Link;

static int poll_set;

static void die(const char *what) { perror(what); exit(1); }

static void put(int socket, const unsigned char *bytes, size_t size) {
  while (size) {
    ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) return; /* the reader notices that it is gone */
    bytes += sent, size -= sent;
  }
}

static int loopback(void) {
  int one = 1, made = socket(AF_INET, SOCK_STREAM, 0);
  if (made < 0) die("socket");
  setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return made;
}

static struct sockaddr_in at(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void watch(int socket, void *what) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
  if (epoll_ctl(poll_set, EPOLL_CTL_ADD, socket, &event)) die("epoll_ctl");
}

static void welcome(int agent, const char *upstream) {
  int one = 1;
  struct sockaddr_in address = at(upstream);
  Link *link = calloc(1, sizeof *link);
  if (!link) die("calloc");
  setsockopt(agent, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  link->learning = -1;
  link->agent = (struct Side){agent, link};
  link->server = (struct Side){loopback(), link};
  if (connect(link->server.socket, (void *)&address, sizeof address)) die("connect");
  watch(agent, &link->agent);
  watch(link->server.socket, &link->server);
}

static size_t length(const unsigned char *at) { return (size_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

/* Which of the answers a batch asks for; -1 if it is the real server's to answer. */
static int kind(const unsigned char *batch, int executes) {
  if (batch[0] == 'Q') return strncmp((const char *)batch + 5, SELECT, sizeof SELECT - 1) ? -1 : 0;
  return !executes ? -1 : batch[0] == 'B' ? 1 : batch[0] == 'P' ? 2 : -1;
}

static void answer(Link *link, const unsigned char *batch, size_t size, int which) {
  if (which >= 0 && link->answers[which].size) {
    put(link->agent.socket, link->answers[which].bytes, link->answers[which].size);
    return;
  }
  link->learning = which;
  put(link->server.socket, batch, size);
}

/* Handles whole batches (up to Sync, or one message outside of any) and keeps the rest. */
static void requests(Link *link) {
  unsigned char *all = link->in.bytes;
  size_t start = 0, next = 0, size = link->in.size;
  for (int executes = 0;;) {
    size_t tag = link->started;
    if (size - next < tag + 4) break;
    size_t end = next + tag + length(all + next + tag);
    if (end > size) break;
    unsigned char type = tag ? all[next] : 'p';
    executes |= type == 'E';
    next = end;
    if (strchr("PBDECH", type)) continue;
    answer(link, all + start, end - start, link->started ? kind(all + start, executes) : -1);
    link->started = 1, executes = 0, start = end;
  }
  memmove(all, all + start, size - start);
  link->in.size = size - start;
}

static int from_agent(Link *link) {
  ssize_t got = recv(link->agent.socket, link->in.bytes + link->in.size, ROOM - link->in.size, 0);
  if (got <= 0) return 0;
  link->in.size += got;
  requests(link);
  return link->in.size < ROOM;
}

static int from_server(Link *link) {
  static unsigned char bytes[ROOM];
  ssize_t got = recv(link->server.socket, bytes, ROOM, 0);
  if (got <= 0) return 0;
  put(link->agent.socket, bytes, got);
  if (link->learning >= 0) {
    Buffer *kept = &link->answers[link->learning];
    if (kept->size + got > ROOM) return 0;
    memcpy(kept->bytes + kept->size, bytes, got);
    kept->size += got;
    if (!memcmp(kept->bytes + kept->size - sizeof READY, READY, sizeof READY)) link->learning = -1;
  }
  return 1;
}

int main(int count, char **words) {
  if (count != 3) return fprintf(stderr, "usage: canned PORT UPSTREAM\n"), 2;
  struct sockaddr_in address = at(words[1]);
  int listener = loopback();
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 256)) die("listen");
  poll_set = epoll_create1(0);
  watch(listener, &listener);
  watch(0, NULL);
  for (;;) {
    struct epoll_event events[64];
    int ready = epoll_wait(poll_set, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      struct Side *side = events[i].data.ptr;
      if (!side) return 0;
      if ((void *)side == &listener) {
        welcome(accept(listener, NULL, NULL), words[2]);
        continue;
      }
      Link *link = side->link;
      if (link->started < 0) continue; /* closed earlier in this turn */
      if (side == &link->agent ? from_agent(link) : from_server(link)) continue;
      close(link->agent.socket), close(link->server.socket);
      link->started = -1; /* the few links of one run are never freed: an event may still name one */
    }
  }
}
