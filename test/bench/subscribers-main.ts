// A program: as many proxies as its second argument says hold topology streams from the control plane at its first, each over a connection of its
// own, as far as the control plane can tell. Prints a JSON line whenever all of them hold the same epoch: its counter and when the last one got it.
import { Client, credentials } from "@grpc/grpc-js";
import { createGrpcServiceClient } from "../../src/client/grpc-adapter.js";
import { type Epoch, TopologyService } from "../../src/gen/miroir/v1/topology_pb.js";
import { PROTOCOL } from "../../src/topology/protocol.js";

const HEARTBEAT_MS = 1_000;
const [address = "", count = "1"] = process.argv.slice(2);
const subscribers = Number(count);
const holders = new Map<bigint, number>();

for (let number = 0; number < subscribers; number++) {
  void subscribe(number);
  // Not all in one moment: what is measured comes after.
  if (number % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 20));
}
process.stdin.on("end", () => process.exit(0)).resume();

async function subscribe(number: number): Promise<void> {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
  });
  const stream = createGrpcServiceClient(TopologyService, client).subscribe();
  stream.send({
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
      },
    },
  });
  let sequence = 0n;
  setInterval(() => {
    sequence += 1n;
    stream.send({ message: { case: "heartbeat", value: { sequence } } });
  }, HEARTBEAT_MS);
  let held: Epoch | undefined;
  for await (const { message } of stream.messages) {
    const { case: kind, value } = message;
    if (kind !== "snapshot" && kind !== "delta") continue;
    const epoch = kind === "snapshot" ? value.topology?.epoch : value.changes?.epoch;
    if (epoch === undefined) throw new Error("a topology came without its epoch");
    hold(held, epoch);
    held = epoch;
    stream.send({ message: { case: "ack", value: { nonce: value.nonce, epoch } } });
  }
}

function hold(former: Epoch | undefined, { counter }: Epoch): void {
  if (former !== undefined) holders.set(former.counter, (holders.get(former.counter) ?? 1) - 1);
  const now = (holders.get(counter) ?? 0) + 1;
  holders.set(counter, now);
  if (now === subscribers) {
    const at = Number(process.hrtime.bigint()) / 1e6;
    process.stdout.write(`${JSON.stringify({ counter: Number(counter), at })}\n`);
  }
}
