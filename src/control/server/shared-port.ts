import { createServer, type RequestListener, type Server } from "node:http";
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { World } from "../../runtime/world.js";

/** Certificate and key for TLS, as PEM. */
export interface ServerTls {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** Authorities whose certificates are demanded of clients; none are demanded unless given. */
  readonly clientCa?: string | Buffer;
}

/** Answers a request of either HTTP version. */
export type SharedListener = RequestListener & ((req: Http2ServerRequest, res: Http2ServerResponse) => void);

/** One listening port for HTTP/1.1 and HTTP/2. */
export interface SharedPort {
  /** Resolves with the address once connections are accepted; rejects where the port is taken. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /**
   * Stops accepting connections, lets requests under way finish for at most `drainMs` milliseconds, and then cuts what is left.
   */
  close(drainMs: number): Promise<void>;
}

/** How every HTTP/2 connection begins; no HTTP/1 request does. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n", "latin1");
/** Milliseconds that a connection has to show which protocol it speaks. */
const SNIFF_MS = 10_000;
const MAX_CONNECTIONS = 10_000;
/** Connections that may wait to be accepted: as many proxies as may come back in the same moment. The system may allow fewer. */
const BACKLOG = 4_096;

const HTTP2_SETTINGS = {
  settings: { maxConcurrentStreams: 1_000, initialWindowSize: 1024 * 1024 },
};

/**
 * With TLS, the protocol is agreed in the handshake. Without, a connection that begins with HTTP/2's preface is served as HTTP/2 with
 * prior knowledge, as gRPC clients speak it, and every other one as HTTP/1.1.
 */
export function createSharedPort(listener: SharedListener, world: World, tls?: ServerTls): SharedPort {
  return tls === undefined ? plainPort(listener, world) : securePort(listener, world, tls);
}

function plainPort(listener: SharedListener, world: World): SharedPort {
  const http1 = createServer(listener);
  const http2 = createHttp2Server(HTTP2_SETTINGS, listener);
  const sessions = trackSessions(http2);
  const sockets = new Set<Socket>();
  // The HTTP/1.1 server does the listening, so that its own timeouts apply; its connections pass through the sniffing first.
  const serveHttp1 = http1.listeners("connection");
  http1.removeAllListeners("connection");
  http1.maxConnections = MAX_CONNECTIONS;
  http1.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    sniff(socket, world, (isHttp2) => {
      if (isHttp2) http2.emit("connection", socket);
      else for (const serve of serveHttp1) serve.call(http1, socket);
    });
  });
  return {
    listen: (host, port) => listen(http1, host, port),
    close: async (drainMs) => {
      const closed = closeServer(http1);
      for (const session of sessions) session.close();
      http1.closeIdleConnections();
      await closedWithin(drainMs, closed, sockets, world);
    },
  };
}

function securePort(listener: SharedListener, world: World, tls: ServerTls): SharedPort {
  const server = createSecureServer(
    {
      ...HTTP2_SETTINGS,
      allowHTTP1: true,
      cert: tls.cert,
      key: tls.key,
      ...(tls.clientCa === undefined
        ? {}
        : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
    },
    listener,
  );
  server.maxConnections = MAX_CONNECTIONS;
  const sessions = trackSessions(server);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return {
    listen: (host, port) => listen(server, host, port),
    close: async (drainMs) => {
      const closed = closeServer(server);
      for (const session of sessions) session.close();
      await closedWithin(drainMs, closed, sockets, world);
    },
  };
}

/** Resolves once the server is closed; destroys what is left of its connections after that time, and then waits for nothing more. */
async function closedWithin(
  ms: number,
  closed: Promise<void>,
  sockets: ReadonlySet<Socket>,
  world: World,
): Promise<void> {
  const ended = new AbortController();
  const cut = world.timers.sleep(ms, ended.signal).then(
    () => {
      for (const socket of sockets) socket.destroy();
    },
    // Closed before.
    () => undefined,
  );
  await Promise.race([closed, cut]);
  ended.abort();
}

/** Says whether a connection begins as HTTP/2 does, with every byte back in its place; says nothing of one that is closed before. */
function sniff(socket: Socket, world: World, decide: (isHttp2: boolean) => void): void {
  let seen = Buffer.alloc(0);
  const timer = world.timers.after(SNIFF_MS, () => socket.destroy());
  const stop = () => {
    timer.cancel();
    socket.off("readable", onReadable);
    socket.off("close", stop);
    socket.off("error", ignore);
  };
  const onReadable = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, PREFACE.length);
    const alike = seen.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (alike && length < PREFACE.length) return;
    stop();
    socket.unshift(seen);
    decide(alike);
  };
  // A connection that breaks here has asked for nothing; "close" follows.
  const ignore = () => undefined;
  socket.on("error", ignore);
  socket.on("close", stop);
  socket.on("readable", onReadable);
}

function trackSessions(server: Http2Server): ReadonlySet<ServerHttp2Session> {
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  // A session that breaks is the end of its streams, each of which learns of it.
  server.on("sessionError", () => undefined);
  return sessions;
}

interface Listening {
  listen(options: { readonly port: number; readonly host: string; readonly backlog: number }): unknown;
  address(): AddressInfo | string | null;
  once(event: "error", listener: (error: Error) => void): unknown;
  once(event: "listening", listener: () => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

function listen(server: Listening, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      const address = server.address();
      if (address !== null && typeof address === "object") resolve(address);
      else reject(new Error("the server listens on no TCP port"));
    });
    server.listen({ port, host, backlog: BACKLOG });
  });
}

function closeServer(server: Server | Http2Server): Promise<void> {
  return new Promise((resolve) => {
    // The only error is that it was not listening, which is what is wanted.
    server.close(() => resolve());
  });
}
