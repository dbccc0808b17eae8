// A program: as many proxies as its second argument says hold topology streams from the control plane at its first, each over a connection of its
// own, as far as the control plane can tell. Prints a JSON line whenever all of them hold the same epoch: its counter, when the last one got it, and
// how many streams broke and were opened again until then. With "whole" as third argument they take large snapshots in one message, not in parts.
import { create, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { type Epoch, SubscribeRequestSchema, TopologyService } from "../../src/gen/miroir/v1/topology_pb.js";
import { PROTOCOL } from "../../src/topology/protocol.js";
import { StreamGlance } from "./subscription-glance.js";

const HEARTBEAT_MS = 1_000;
/** The pauses of a proxy, whose connection attempts double between these bounds, each by half at random. */
const BACK_OFF = { firstMs: 100, maxMs: 500 };
const [address = "", count = "1", form = "parts"] = process.argv.slice(2);
const subscribers = Number(count);
const holders = new Map<bigint, number>();
let broken = 0;

type Request = Parameters<typeof create<typeof SubscribeRequestSchema>>[1];
type Stream = ClientDuplexStream<Request, Buffer>;

for (let number = 0; number < subscribers; number++) {
  void stay(number);
  // Not all in one moment: what is measured comes after.
  if (number % 20 === 19) await pause(20);
}
process.stdin.on("end", () => process.exit(0)).resume();

/** One proxy: subscribes again whenever its stream has broken. */
async function stay(number: number): Promise<never> {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
  });
  const held: { epoch?: Epoch } = {};
  for (let attempt = 0; ; attempt++) {
    const wasHeld = held.epoch;
    await subscribe(client, number, held);
    if (held.epoch !== wasHeld) attempt = 0;
    broken += 1;
    const whole = Math.min(BACK_OFF.maxMs, BACK_OFF.firstMs * 2 ** attempt);
    await pause(whole / 2 + (whole / 2) * Math.random());
  }
}

/** Resolves when the stream is over, for whatever reason. */
async function subscribe(client: Client, number: number, held: { epoch?: Epoch }): Promise<void> {
  const method = TopologyService.method.subscribe;
  const stream: Stream = client.makeBidiStreamRequest(
    `/${TopologyService.typeName}/${method.name}`,
    (message) => Buffer.from(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, message))),
    (bytes) => bytes,
  );
  stream.write({
    message: {
      case: "hello",
      value: {
        proxyId: `proxy-${number}`,
        session: `session-of-proxy-${number}`,
        address: `http://proxy-${number}.test:7700`,
        peerAddress: `proxy-${number}.test:7701`,
        peerKey: "k".repeat(64),
        version: "bench",
        protocolMin: PROTOCOL.min,
        protocolMax: PROTOCOL.max,
        keepsHolders: true,
        takesParts: form === "parts",
        takesHolderChanges: true,
      },
    },
  });
  const glance = new StreamGlance();
  let sequence = 0n;
  const beat = setInterval(() => {
    sequence += 1n;
    stream.write({ message: { case: "heartbeat", value: { sequence } } });
  }, HEARTBEAT_MS);
  try {
    for await (const bytes of stream) {
      const told = glance.at(bytes as Buffer);
      if (told === undefined) continue;
      hold(held.epoch, told.epoch);
      held.epoch = told.epoch;
      stream.write({ message: { case: "ack", value: told } });
    }
  } catch {
    // Counted by its caller, whatever it was.
  } finally {
    clearInterval(beat);
  }
}

function hold(former: Epoch | undefined, { counter }: Epoch): void {
  if (former?.counter === counter) return;
  if (former !== undefined) holders.set(former.counter, (holders.get(former.counter) ?? 1) - 1);
  const now = (holders.get(counter) ?? 0) + 1;
  holders.set(counter, now);
  if (now === subscribers) {
    const at = Number(process.hrtime.bigint()) / 1e6;
    process.stdout.write(`${JSON.stringify({ counter: Number(counter), at, broken })}\n`);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
