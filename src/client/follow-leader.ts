import type { DescMessage } from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse, type Transport } from "@connectrpc/connect";
import { NotLeaderSchema } from "../gen/miroir/v1/control_pb.js";

/**
 * A transport that goes on to the leader where the control process that it calls stands by and names it. Where the leader cannot be reached
 * from here, the standby's answer is what is told.
 *
 * @param connect makes a transport to a base URL
 */
export function followLeader(connect: (baseUrl: string) => Transport, baseUrl: string): Transport {
  const given = connect(baseUrl);
  let leader: Transport | undefined;

  async function follow<T>(call: (transport: Transport) => Promise<T>): Promise<T> {
    try {
      return await call(leader ?? given);
    } catch (error) {
      leader = undefined;
      const address = leaderNamedBy(error);
      if (address === undefined) throw error;
      const next = connect(`${new URL(baseUrl).protocol}//${address}`);
      try {
        const answer = await call(next);
        leader = next;
        return answer;
      } catch (again) {
        throw again instanceof ConnectError && again.code === Code.Unavailable ? error : again;
      }
    }
  }

  return {
    unary: (method, signal, timeoutMs, header, input, values) =>
      follow((transport) => transport.unary(method, signal, timeoutMs, header, input, values)),
    async stream(method, signal, timeoutMs, header, input, values) {
      // Who streams in both directions has said something already, and has to begin anew by itself.
      if (method.methodKind !== "server_streaming") {
        return given.stream(method, signal, timeoutMs, header, input, values);
      }
      const messages = await collect(input);
      return follow(async (transport) =>
        begun(await transport.stream(method, signal, timeoutMs, header, iterate(messages), values)),
      );
    },
  };
}

/** The answer once its first message is there: a refusal comes in that one's place. */
async function begun<I extends DescMessage, O extends DescMessage>(
  response: StreamResponse<I, O>,
): Promise<StreamResponse<I, O>> {
  const messages = response.message[Symbol.asyncIterator]();
  const first = await messages.next();
  async function* all() {
    if (first.done === true) return;
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => messages };
  }
  return { ...response, message: all() };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function* iterate<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}

/** HOST:PORT of the leader, as a standby gave it; undefined where nobody gave one. */
function leaderNamedBy(error: unknown): string | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const [detail] = error.findDetails(NotLeaderSchema);
  return detail === undefined || detail.leaderAddress === "" ? undefined : detail.leaderAddress;
}
