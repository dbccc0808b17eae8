import { createSecureServer, createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { PeerService } from "../../gen/miroir/v1/peers_pb.js";
import type { World } from "../../runtime/world.js";
import { requirePeerKey } from "./peer-service.js";

/** Writes of one other proxy at once. */
const MAX_STREAMS = 1_000;
/** Bytes of one message. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

/** What {@link createPeerServer} serves, and how. */
export interface PeerServerOptions {
  readonly service: ServiceImpl<typeof PeerService>;
  /** Asked of every call. */
  readonly key: string;
  readonly world: World;
  /** Plain text unless given. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
}

/** The port on which other proxies reach this one. */
export interface PeerServer {
  /** Resolves with the port once calls are accepted; rejects where it is taken. Port 0 takes a free one. */
  listen(address: { readonly host: string; readonly port: number }): Promise<number>;
  /** Takes no more calls, and cuts off what is still under way after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Serves {@link PeerService} over gRPC. */
export function createPeerServer({ service, key, world, tls }: PeerServerOptions): PeerServer {
  const listener = connectNodeAdapter({
    routes: (router) => {
      router.service(PeerService, service);
    },
    interceptors: [requirePeerKey(key)],
    connect: false,
    grpcWeb: false,
    readMaxBytes: MAX_MESSAGE_BYTES,
  });
  const settings = { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: MAX_MESSAGE_BYTES };
  const server: Http2Server =
    tls === undefined
      ? createServer({ settings }, listener)
      : createSecureServer({ settings, cert: tls.cert, key: tls.key }, listener);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  // A session that breaks is the end of its calls, each of which learns of it.
  server.on("sessionError", () => undefined);
  return {
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, () => {
          server.off("error", reject);
          const address = server.address();
          if (address !== null && typeof address === "object") resolve(address.port);
          else reject(new Error("the server listens on no TCP port"));
        });
      }),
    close: async (graceMs) => {
      const closed = new Promise<void>((resolve) => {
        // The only error is that it was not listening, which is what is wanted.
        server.close(() => resolve());
      });
      for (const session of sessions) session.close();
      const cut = world.timers.after(graceMs, () => {
        for (const session of sessions) session.destroy();
      });
      await closed;
      cut.cancel();
    },
  };
}
