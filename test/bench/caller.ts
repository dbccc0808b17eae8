import { RawConnection, rawRequest } from "./raw-connection.js";

/** A request of a load. */
export interface LoadRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string;
}

/** What became of a request: `failed` with another status than 200, `wrong` where the answer was not the one expected. */
export type Outcome = "right" | "wrong" | "failed";

/** A client that makes one request of a load after the other. */
export interface Caller {
  /** Makes the request of this turn; turns go round and round through the load's requests. */
  call(turn: number): Promise<Outcome>;
  close(): void;
}

/** Opens one client of a load. */
export type OpenCaller = () => Promise<Caller>;

/** What is sent where, and what has to come back. */
export interface HttpLoad {
  readonly url: string;
  readonly key?: string | undefined;
  readonly requests: readonly LoadRequest[];
  /** Whether the answer to request `at` is right; every answer is, unless given. */
  readonly isRight?: (at: number, body: Buffer) => boolean;
}

/** Clients that send requests to one server, each over a connection of its own. */
export function httpCallers(load: HttpLoad): OpenCaller {
  const requests = load.requests.map((request) => rawRequest(load.url, request, load.key));
  return async () => {
    const connection = await RawConnection.open(load.url);
    return {
      call: async (turn) => {
        const at = turn % requests.length;
        const { status, body } = await connection.send(requests[at] ?? Buffer.alloc(0));
        if (status !== 200) return "failed";
        return load.isRight?.(at, body) === false ? "wrong" : "right";
      },
      close: () => connection.close(),
    };
  };
}

/** One request of a client, as several requests to several servers, whole answers of which nobody needs. */
export type Rounds = readonly (readonly { readonly url: string; readonly bytes: Buffer }[])[];

/**
 * Clients that make several requests of one: those of a round at once, each round when the one before is answered. What a proxy
 * does at least, without what it does with the answers.
 */
export function roundCallers(loads: readonly Rounds[]): OpenCaller {
  return async () => {
    const idle = new Map<string, RawConnection[]>();
    const all: RawConnection[] = [];
    const ask = async (url: string, bytes: Buffer): Promise<boolean> => {
      const free = idle.get(url) ?? [];
      idle.set(url, free);
      let connection = free.pop();
      if (connection === undefined) {
        connection = await RawConnection.open(url);
        all.push(connection);
      }
      const { status } = await connection.send(bytes);
      free.push(connection);
      return status === 200;
    };
    return {
      call: async (turn) => {
        let isRight = true;
        for (const round of loads[turn % loads.length] ?? []) {
          const answered = await Promise.all(round.map(({ url, bytes }) => ask(url, bytes)));
          if (answered.includes(false)) isRight = false;
        }
        return isRight ? "right" : "failed";
      },
      close: () => {
        for (const connection of all) connection.close();
      },
    };
  };
}
