import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { createGrpcServiceClient, GrpcError } from "../../../src/client/grpc-adapter.js";
import { createMiroirClient } from "../../../src/client/index.js";
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from "../../../src/gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../../src/gen/grpc/reflection/v1alpha/reflection_pb.js";
import { ClusterService } from "../../../src/gen/miroir/v1/cluster_pb.js";
import { IndexService } from "../../../src/gen/miroir/v1/indexes_pb.js";
import { TaskService } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { TopologyService } from "../../../src/gen/miroir/v1/topology_pb.js";
import { ControlRefusedError, ControlUnavailableError } from "../../../src/proxy/control-transport.js";
import { createGrpcControlTransport } from "../../../src/proxy/grpc-control-transport.js";
import { bearer, channel, startRig, stopAll, until, world } from "./rig.js";

afterEach(stopAll);

const KEY = "an-admin-key-of-some-length";

async function grpcCode(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof GrpcError ? (status[error.code] ?? "") : `no GrpcError: ${String(error)}`;
}

async function connectCode(call: Promise<unknown>): Promise<Code | undefined> {
  return await call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  );
}

describe("every service on one port", () => {
  it("answers grpc-js", async () => {
    const { address } = await startRig();
    const client = channel(address);
    const tasks = createGrpcServiceClient(TaskService, client);
    expect((await tasks.allocateTaskUids({ count: 3, session: "s" })).count).toBe(3);
    expect((await tasks.listTasks({ limit: 1 })).total).toBe(0n);
    expect((await createGrpcServiceClient(ClusterService, client).getStatus({})).clusterId).toBe(
      "test-cluster",
    );
    expect((await createGrpcServiceClient(IndexService, client).listIndexes({})).indexes).toEqual([]);
    const topology = await createGrpcServiceClient(TopologyService, client).getTopology({});
    expect(topology.topology?.nodes).toHaveLength(2);
    expect(await grpcCode(createGrpcServiceClient(IndexService, client).getIndex({ uid: "books" }))).toBe(
      "FAILED_PRECONDITION",
    );
  });

  it("answers Connect, gRPC-Web and gRPC, over HTTP/1.1 and HTTP/2, in binary and JSON", async () => {
    const { address } = await startRig();
    const baseUrl = `http://${address}`;
    const transports = (["1.1", "2"] as const).flatMap((httpVersion) =>
      [true, false].flatMap((useBinaryFormat) => [
        createConnectTransport({ baseUrl, httpVersion, useBinaryFormat }),
        createGrpcWebTransport({ baseUrl, httpVersion, useBinaryFormat }),
        ...(httpVersion === "2" ? [createGrpcTransport({ baseUrl, useBinaryFormat })] : []),
      ]),
    );
    for (const transport of transports) {
      const { epoch, nodes } = await createClient(ClusterService, transport).getStatus({});
      expect(epoch).toMatchObject({ clusterId: "test-cluster", term: 1n, counter: 1n });
      expect(nodes.map(({ node }) => node?.id)).toEqual(["node-0", "node-1"]);
      expect((await createClient(TaskService, transport).listTasks({})).tasks).toEqual([]);
      expect((await createClient(IndexService, transport).listIndexes({})).total).toBe(0n);
      expect(
        (await createClient(TopologyService, transport).getTopology({})).topology?.replicationFactor,
      ).toBe(2);
      expect(await connectCode(createClient(IndexService, transport).getIndex({ uid: "b" }))).toBe(
        Code.FailedPrecondition,
      );
    }
  });

  it("answers plain fetch with JSON, and says no in JSON", async () => {
    const { address } = await startRig();
    const post = (path: string, body: string) =>
      fetch(`http://${address}/${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
    const allocated = await post("miroir.v1.TaskService/AllocateTaskUids", '{"count": 2}');
    expect(allocated.headers.get("x-request-id")).toMatch(/^[0-9a-f]{16}$/);
    expect(await allocated.json()).toMatchObject({ count: 2 });
    const refused = await post("miroir.v1.TaskService/AllocateTaskUids", '{"count": 0}');
    expect(refused.status).toBe(400);
    expect(await refused.json()).toEqual({ code: "invalid_argument", message: "count: must be 1 to 10,000" });
    expect((await post("miroir.v1.TaskService/AllocateTaskUids", "{")).status).toBe(400);
    expect((await post("miroir.v1.TaskService/Nonsense", "{}")).status).toBe(404);
    expect(await (await fetch(`http://${address}/health`)).json()).toEqual({ status: "available" });
    const metrics = await (await fetch(`http://${address}/metrics`)).text();
    expect(metrics).toContain('method="AllocateTaskUids",code="invalid_argument"} 1');
    expect(metrics).toContain("miroir_control_connected_proxies 0");
    expect(metrics).toContain("miroir_control_topology_term 1");
    expect(metrics).toContain("miroir_control_leader 1");
  });

  it("streams in both directions through the package's client over HTTP/2", async () => {
    const { address } = await startRig();
    const client = createMiroirClient({ baseUrl: `http://${address}`, httpVersion: "2" });
    const end = new AbortController();
    async function* hello() {
      yield { message: { case: "hello" as const, value: { proxyId: "p", session: "s" } } };
      await new Promise((resolve) => end.signal.addEventListener("abort", resolve, { once: true }));
    }
    for await (const { message } of client.topology.subscribe(hello(), { signal: end.signal })) {
      expect(message.case).toBe("snapshot");
      break;
    }
    end.abort();
  });

  it("takes a connection that shows its protocol byte by byte, and one of HTTP/2 by any client", async () => {
    const { port, address } = await startRig();
    const request = `GET /health HTTP/1.1\r\nhost: ${address}\r\nconnection: close\r\n\r\n`;
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connectTcp(port, "127.0.0.1");
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString();
      });
      socket.on("end", () => resolve(text));
      socket.on("error", reject);
      void (async () => {
        for (const character of request) {
          socket.write(character);
          await world.timers.sleep(1);
        }
      })();
    });
    expect(answer).toContain("200 OK");
    const session = connectHttp2(`http://${address}`);
    const statusOf = await new Promise((resolve, reject) => {
      session.on("error", reject);
      session.request({ ":path": "/health" }).on("response", (headers) => resolve(headers[":status"]));
    });
    expect(statusOf).toBe(200);
    session.close();
  });
});

describe("the admin key", () => {
  it("is asked for by every service of Miroir's, in either header, and by nothing else", async () => {
    const { address } = await startRig({ server: { adminKey: KEY } });
    const client = channel(address);
    const calls = (metadata = bearer("wrong-key")) => [
      createGrpcServiceClient(TaskService, client, metadata).listTasks({}),
      createGrpcServiceClient(IndexService, client, metadata).listIndexes({}),
      createGrpcServiceClient(ClusterService, client, metadata).getStatus({}),
      createGrpcServiceClient(TopologyService, client, metadata).getTopology({}),
    ];
    for (const call of calls()) expect(await grpcCode(call)).toBe("UNAUTHENTICATED");
    await Promise.all(calls(bearer(KEY)));
    const stream = createGrpcServiceClient(TopologyService, client).subscribe();
    stream.send({ message: { case: "hello", value: { proxyId: "p", session: "s" } } });
    expect(await grpcCode(stream.messages[Symbol.asyncIterator]().next())).toBe("UNAUTHENTICATED");

    const post = (headers: Record<string, string>) =>
      fetch(`http://${address}/miroir.v1.ClusterService/GetStatus`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: "{}",
      });
    expect((await post({})).status).toBe(401);
    expect((await post({ "x-admin-key": `${KEY}x` })).status).toBe(401);
    expect((await post({ "x-admin-key": KEY })).status).toBe(200);
    expect((await post({ authorization: `Bearer ${KEY}` })).status).toBe(200);
    const withKey = createMiroirClient({ baseUrl: `http://${address}`, adminKey: KEY });
    expect((await withKey.cluster.listNodes({})).nodes).toHaveLength(2);
    expect((await createGrpcServiceClient(Health, client).check({})).status).toBe(Serving.SERVING);
  });

  it("is what a proxy's transport carries; its refusal is told from silence", async () => {
    const { address } = await startRig({ server: { adminKey: KEY } });
    const good = createGrpcControlTransport({ world, addresses: [address], adminKey: KEY });
    const bad = createGrpcControlTransport({ world, addresses: [address] });
    const nobody = createGrpcControlTransport({ world, addresses: ["127.0.0.1:1"] });
    const first = createGrpcControlTransport({ world, addresses: ["127.0.0.1:1", address], adminKey: KEY });
    try {
      expect((await good.allocateTaskUids({ count: 5 })).count).toBe(5);
      expect((await first.allocateTaskUids({ count: 5 })).count).toBe(5);
      await expect(bad.allocateTaskUids({ count: 5 })).rejects.toMatchObject({ code: "unauthenticated" });
      await expect(good.getTask({ uid: 1n })).rejects.toBeInstanceOf(ControlRefusedError);
      await expect(nobody.getTask({ uid: 1n })).rejects.toBeInstanceOf(ControlUnavailableError);
    } finally {
      for (const transport of [good, bad, nobody, first]) transport.close();
    }
  });
});

describe("limits", () => {
  const never = () => new Promise<never>(() => undefined);

  it("end calls at the client's deadline, at the default one, and at the longest allowed", async () => {
    let aborted = 0;
    const rig = await startRig();
    const services = (timeout: { defaultMs: number; maxMs: number }) =>
      startRig({
        server: {
          deadlines: timeout,
          services: {
            topology: { getTopology: () => ({}), subscribe: async function* () {} },
            tasks: {
              allocateTaskUids: () => ({}),
              registerTasks: () => ({}),
              listTasks: () => ({}),
              deleteTasks: () => ({}),
              cancelTasks: () => ({}),
              countTasks: () => ({}),
              compactTaskStore: () => ({}),
              getTask: (_, { signal }) => {
                signal.addEventListener("abort", () => {
                  aborted += 1;
                });
                return never();
              },
            },
            indexes: {} as never,
            cluster: {} as never,
            keys: {} as never,
            features: {} as never,
            backups: {} as never,
            exports: {} as never,
            settings: {} as never,
            verify: {} as never,
            copies: {} as never,
            workflows: {} as never,
            resources: {} as never,
            control: {} as never,
          },
        },
      });
    const short = await services({ defaultMs: 100, maxMs: 300 });
    const tasks = createGrpcServiceClient(TaskService, channel(short.address));
    const from = world.clock.monotonic();
    expect(await grpcCode(tasks.getTask({ uid: 1n }))).toBe("DEADLINE_EXCEEDED");
    expect(world.clock.monotonic() - from).toBeLessThan(290);
    expect(await grpcCode(tasks.getTask({ uid: 1n }, { timeoutMs: 60_000 }))).toBe("DEADLINE_EXCEEDED");
    expect(await grpcCode(tasks.getTask({ uid: 1n }, { timeoutMs: 30 }))).toBe("DEADLINE_EXCEEDED");
    const client = createMiroirClient({ baseUrl: `http://${short.address}`, timeoutMs: 50 });
    expect(await connectCode(client.tasks.getTask({ uid: 1n }))).toBe(Code.DeadlineExceeded);
    await until(() => aborted === 4, "the handlers' signals");
    expect(rig.address).toBeDefined();
  });

  it("name every field at fault", async () => {
    const { address } = await startRig();
    const tasks = createGrpcServiceClient(TaskService, channel(address));
    const indexes = createGrpcServiceClient(IndexService, channel(address));
    await expect(
      tasks.registerTasks({ tasks: [{ uid: 1n, nodeTasks: [{ nodeId: "" }] }] }),
    ).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details:
        "tasks[0].type: is not a type of a task; tasks[0].status: is not a status of a task; " +
        "tasks[0].node_tasks[0].node_id: must have 1 to 512 characters; tasks[0].node_tasks[0].status: is not a status of a task",
    });
    await expect(
      indexes.commitGeneration({ instance: "", expectedGeneration: 3n, newGeneration: 3n }),
    ).rejects.toMatchObject({
      details: expect.stringContaining("new_generation: must be above expected_generation"),
    });
    await expect(tasks.listTasks({ limit: 0 })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

describe("health and reflection", () => {
  it("say by Check and Watch whether the server works", async () => {
    const rig = await startRig();
    const health = createGrpcServiceClient(Health, channel(rig.address));
    expect((await health.check({})).status).toBe(Serving.SERVING);
    expect((await health.check({ service: "miroir.v1.TaskService" })).status).toBe(Serving.SERVING);
    expect(await grpcCode(health.check({ service: "nothing" }))).toBe("NOT_FOUND");
    const watch = health.watch({ service: "miroir.v1.TaskService" })[Symbol.asyncIterator]();
    expect((await watch.next()).value?.status).toBe(Serving.SERVING);
    const unknown = health.watch({ service: "nothing" })[Symbol.asyncIterator]();
    expect((await unknown.next()).value?.status).toBe(Serving.SERVICE_UNKNOWN);
    const change = watch.next();
    await rig.control.close();
    expect((await change).value?.status).toBe(Serving.NOT_SERVING);
    expect((await fetch(`http://${rig.address}/health`)).status).toBe(503);
    const ended = grpcCode(watch.next());
    const unknownEnded = grpcCode(unknown.next());
    await rig.server.close(500);
    expect(await ended).toBe("UNAVAILABLE");
    expect(await unknownEnded).toBe("UNAVAILABLE");
  });

  for (const [name, service] of [
    ["v1", ServerReflection],
    ["v1alpha", ServerReflectionAlpha],
  ] as const) {
    it(`describe everything, imports of well-known types included (${name})`, async () => {
      const { address } = await startRig();
      const stream = createGrpcServiceClient(service, channel(address)).serverReflectionInfo();
      const answers = stream.messages[Symbol.asyncIterator]();
      const ask = async (messageRequest: { case: string; value: unknown }) => {
        stream.send({ messageRequest } as never);
        return (await answers.next()).value?.messageResponse;
      };
      const list = await ask({ case: "listServices", value: "" });
      expect(list?.case).toBe("listServicesResponse");
      const names =
        list?.case === "listServicesResponse"
          ? list.value.service.map((each: { name: string }) => each.name)
          : [];
      expect(names).toEqual([
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "miroir.v1.BackupService",
        "miroir.v1.ClusterService",
        "miroir.v1.ControlService",
        "miroir.v1.CopyService",
        "miroir.v1.ExportService",
        "miroir.v1.FeatureService",
        "miroir.v1.IndexService",
        "miroir.v1.KeyService",
        "miroir.v1.ResourceService",
        "miroir.v1.SettingsService",
        "miroir.v1.TaskService",
        "miroir.v1.TopologyService",
        "miroir.v1.VerifyService",
        "miroir.v1.WorkflowService",
      ]);
      const files = new Map<string, FileDescriptorProto>();
      for (const symbol of names) {
        const answer = await ask({ case: "fileContainingSymbol", value: symbol });
        if (answer?.case !== "fileDescriptorResponse") throw new Error(`${symbol}: ${answer?.case}`);
        for (const bytes of answer.value.fileDescriptorProto) {
          const file = fromBinary(FileDescriptorProtoSchema, bytes);
          files.set(file.name, file);
        }
      }
      expect([...files.keys()]).toContain("google/protobuf/timestamp.proto");
      // Whoever has nothing but these bytes can build every type.
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: importsFirst(files) }));
      expect(registry.getService("miroir.v1.TopologyService")?.method.subscribe?.methodKind).toBe(
        "bidi_streaming",
      );
      expect(registry.getMessage("miroir.v1.NodeStatus")?.field.lastSeenAt?.message?.typeName).toBe(
        "google.protobuf.Timestamp",
      );
      for (const symbol of [
        "miroir.v1.Topology.content_hash",
        "miroir.v1.NODE_STATE_SUSPECT",
        "miroir.v1.TaskService.GetTask",
      ]) {
        expect((await ask({ case: "fileContainingSymbol", value: symbol }))?.case).toBe(
          "fileDescriptorResponse",
        );
      }
      expect((await ask({ case: "fileByFilename", value: "miroir/v1/tasks.proto" }))?.case).toBe(
        "fileDescriptorResponse",
      );
      expect(await ask({ case: "fileContainingSymbol", value: "no.Such" })).toMatchObject({
        case: "errorResponse",
        value: { errorCode: 5 },
      });
      stream.end();
      expect((await answers.next()).done).toBe(true);
    });
  }

  it("let buf curl call without proto files", async () => {
    const { address } = await startRig();
    const buf = join(import.meta.dirname, "../../../node_modules/.bin/buf");
    const call = (args: string[]) =>
      runAsync(buf, ["curl", ...args, `http://${address}/miroir.v1.ClusterService/GetStatus`]);
    for (const protocol of ["grpc", "connect"]) {
      const text = await call(["--protocol", protocol, "--http2-prior-knowledge", "--reflect", "-d", "{}"]);
      expect(JSON.parse(text)).toMatchObject({ clusterId: "test-cluster", epoch: { term: "1" } });
    }
  });
});

describe("TLS", () => {
  it("serves gRPC and Connect on the same port, by ALPN", async () => {
    const directory = mkdtempSync(join(tmpdir(), "miroir-tls-"));
    try {
      const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
      execFileSync(
        "openssl",
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"].concat([
          "-addext",
          "subjectAltName=DNS:localhost,IP:127.0.0.1",
          "-keyout",
          key,
          "-out",
          cert,
        ]),
        { stdio: "ignore" },
      );
      const ca = readFileSync(cert);
      const rig = await startRig({ server: { tls: { cert: ca, key: readFileSync(key) } } });
      const transport = createGrpcControlTransport({
        world,
        addresses: [rig.address],
        tls: { ca, serverName: "localhost" },
      });
      expect((await transport.allocateTaskUids({ count: 1 })).count).toBe(1);
      transport.close();
      for (const httpVersion of ["1.1", "2"] as const) {
        const client = createMiroirClient({ baseUrl: `https://localhost:${rig.port}`, ca, httpVersion });
        expect((await client.cluster.getStatus({})).clusterId).toBe("test-cluster");
      }
      const plain = createGrpcControlTransport({ world, addresses: [rig.address] });
      await expect(plain.allocateTaskUids({ count: 1 })).rejects.toBeInstanceOf(ControlUnavailableError);
      plain.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

function importsFirst(files: ReadonlyMap<string, FileDescriptorProto>): FileDescriptorProto[] {
  const sorted = new Set<FileDescriptorProto>();
  const visit = (name: string) => {
    const file = files.get(name);
    if (file === undefined) throw new Error(`${name} was not served`);
    if (sorted.has(file)) return;
    file.dependency.forEach(visit);
    sorted.add(file);
  };
  for (const name of files.keys()) visit(name);
  return [...sorted];
}

async function runAsync(command: string, args: readonly string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    execFile(command, args, { timeout: 20_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} ${args.join(" ")}: ${stderr}`, { cause: error }));
    });
  });
}
