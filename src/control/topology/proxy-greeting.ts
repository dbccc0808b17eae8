import { create } from "@bufbuild/protobuf";
import { type Hello, type Welcome, WelcomeSchema } from "../../gen/miroir/v1/topology_pb.js";
import { negotiate, type ProtocolRange, protocolOf } from "../../topology/protocol.js";
import { ProtocolBehindError } from "./protocol-gate.js";
import { ProxyRefusedError } from "./proxy-refused-error.js";

/** Looks at what a proxy says of itself. @throws ProxyRefusedError where a field of it cannot be meant */
export function checkHello(hello: Hello): void {
  const faults = [
    ...(/^[\w.:-]{1,128}$/.test(hello.proxyId) ? [] : ["proxy_id is 1 to 128 letters, digits or . _ : -"]),
    ...(/^[\w.:-]{1,128}$/.test(hello.session) ? [] : ["session is 1 to 128 letters, digits or . _ : -"]),
    ...(hello.address === "" || (hello.address.length <= 2_048 && URL.canParse(hello.address))
      ? []
      : ["address is a base URL"]),
    ...(hello.peerAddress.length <= 300 && hello.peerKey.length <= 200
      ? []
      : ["peer_address has at most 300 characters, and peer_key 200"]),
    ...(hello.version.length <= 128 ? [] : ["version has at most 128 characters"]),
  ];
  if (faults.length > 0) throw new ProxyRefusedError("invalid", `hello: ${faults.join("; ")}`);
}

/** What the control plane speaks, and what the topology asks of whoever reads it. */
export interface Greeter {
  readonly protocol: ProtocolRange;
  /** Miroir's version. */
  readonly version: string;
  /** The protocol that the present topology takes. */
  readonly minProtocol: number;
}

/**
 * What a proxy is greeted with; undefined where it knows no greetings.
 *
 * @throws ProtocolBehindError where it would misread the topology
 */
export function welcomeOf(hello: Hello, { protocol, version, minProtocol }: Greeter): Welcome | undefined {
  const outcome = negotiate(protocol, protocolOf(hello), minProtocol);
  if (outcome.kind === "agreed") {
    return hello.protocolMax === 0
      ? undefined
      : create(WelcomeSchema, { protocol: outcome.protocol, version });
  }
  const who =
    outcome.behind === "client"
      ? `the proxy ${hello.proxyId} (version ${hello.version})`
      : `the control plane (version ${version})`;
  throw new ProtocolBehindError("the topology stream", outcome.required, { max: outcome.spoken, who });
}
