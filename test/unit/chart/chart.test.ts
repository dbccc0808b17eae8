import { beforeAll, describe, expect, it } from "vitest";
import { storeLocation } from "../../../src/cli/config.js";
import {
  at,
  defaultValues,
  failingFiles,
  isMapping,
  mappings,
  mergeValues,
  passingFiles,
  type ValuesFile,
} from "./chart-files.js";
import {
  configOf,
  container,
  describeObject,
  eachOf,
  environmentOf,
  type HelmAnswer,
  helm,
  helmVersion,
  nameOf,
  namespace,
  podSpec,
  type Rendered,
  release,
  render,
  secretData,
} from "./render.js";

const passing = passingFiles();
const failing = failingFiles();

if (helmVersion === undefined) {
  console.warn(
    `helm is not on the PATH: the templates of the chart were not rendered for ${passing.length} passing and ${failing.length} failing files of values`,
  );
}

/** Names under which Kubernetes makes the pods of a StatefulSet reachable. */
function podNames(rendered: Rendered, component: string): readonly string[] {
  const set = rendered.workload(component);
  const service = rendered.object("Service", String(at(set, "spec", "serviceName")));
  expect(at(service, "spec", "clusterIP")).toBe("None");
  expect(rendered.selected(at(service, "spec", "selector"))).toEqual([set]);
  const count = Number(at(set, "spec", "replicas"));
  return Array.from({ length: count }, (_, i) => `${nameOf(set)}-${i}.${nameOf(service)}.${namespace}.svc`);
}

describe.skipIf(helmVersion === undefined)(`the chart, rendered by helm ${helmVersion ?? ""}`, () => {
  const installations = new Map<ValuesFile, Rendered>();

  beforeAll(async () => {
    await eachOf(passing, async (file) => {
      installations.set(file, await render("--values", file.path));
    });
  });

  function installation(file: ValuesFile): Rendered {
    const found = installations.get(file);
    if (found === undefined) throw new Error(`${file.name} was not rendered`);
    return found;
  }

  it("stands up to helm lint --strict", async () => {
    await eachOf(passing, async ({ path }) => {
      const { ok, text } = await helm(["lint", "--strict"], "--values", path);
      expect(ok, text).toBe(true);
      expect(text).not.toMatch(/\[(WARNING|ERROR)\]/);
    });
  });

  describe("refuses", () => {
    const answers = new Map<ValuesFile, HelmAnswer>();

    beforeAll(async () => {
      await eachOf(failing, async (file) => {
        answers.set(file, await helm(["template", release], "--values", file.path));
      });
    });

    it.each(failing)("$name", (file) => {
      const answer = answers.get(file);
      expect(answer?.ok).toBe(false);
      expect(answer?.text).toContain(file.expected);
    });

    it("the two worst mistakes by its templates too, where somebody skips the schema", async () => {
      const flags = ["--skip-schema-validation", "--set", "secrets.existingSecret=keys"];
      const replicas = await helm(["template", release], ...flags, "--set", "control.replicas=2");
      expect(replicas.text).toContain("control.replicas is 2, and store.kind is sqlite");
      const rotation = "searchUi.scopedKey.rotateBeforeExpiryDays=0";
      const never = await helm(["template", release], ...flags, "--set", rotation);
      expect(never.text).toContain("rotateBeforeExpiryDays (0) must be at least 1");
    });
  });

  describe.each(passing)("$name", (file) => {
    const values = mergeValues(defaultValues(), file.values);
    const value = (path: string): unknown => at(values, ...path.split("."));

    it("labels every object, and names each once", () => {
      const { objects } = installation(file);
      expect(new Set(objects.map(describeObject)).size).toBe(objects.length);
      for (const object of objects) {
        expect(at(object, "metadata", "labels"), describeObject(object)).toMatchObject({
          "app.kubernetes.io/name": expect.any(String),
          "app.kubernetes.io/instance": release,
          "app.kubernetes.io/component": expect.any(String),
          "app.kubernetes.io/version": expect.any(String),
          "app.kubernetes.io/managed-by": "Helm",
          "helm.sh/chart": "miroir-0.1.0",
        });
        expect(nameOf(object)).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
      }
    });

    it("selects with everything that selects, and only its own", () => {
      const rendered = installation(file);
      for (const workload of rendered.workloads()) {
        expect(rendered.selected(at(workload, "spec", "selector", "matchLabels"))).toEqual([workload]);
      }
      for (const service of rendered.ofKind("Service")) {
        const [workload, ...others] = rendered.selected(at(service, "spec", "selector"));
        expect(others).toEqual([]);
        const ports = mappings(workload && container(workload).ports).map(({ name }) => name);
        for (const { targetPort } of mappings(at(service, "spec", "ports")))
          expect(ports).toContain(targetPort);
      }
      for (const budget of rendered.ofKind("PodDisruptionBudget")) {
        const [workload, ...others] = rendered.selected(at(budget, "spec", "selector", "matchLabels"));
        expect(others).toEqual([]);
        expect(at(workload, "spec", "replicas") ?? 2).toBeGreaterThan(1);
      }
      for (const policy of rendered.ofKind("NetworkPolicy")) {
        const [workload, ...others] = rendered.selected(at(policy, "spec", "podSelector", "matchLabels"));
        expect(others).toEqual([]);
        const ports = mappings(workload && container(workload).ports).map(({ name }) => name);
        for (const rule of mappings(at(policy, "spec", "ingress"))) {
          for (const { port } of mappings(rule.ports)) expect(ports).toContain(port);
        }
      }
      expect(rendered.ofKind("NetworkPolicy").length > 0).toBe(value("networkPolicy.enabled"));
    });

    it("gives control plane and proxies a configuration that they accept", () => {
      const rendered = installation(file);
      const control = configOf(rendered, "control");
      const proxy = configOf(rendered, "proxy");
      expect(control.control_replicas).toBe(value("control.replicas"));
      expect(control.admin_key).toBe(proxy.admin_key);
      expect(control).toMatchObject({ admin_key: expect.any(String), node_key: expect.any(String) });
      expect(control.master_key).toBeUndefined();
      expect(proxy).toMatchObject({ master_key: expect.any(String), advertise: "http://10.1.2.3:7700" });
      expect(proxy.node_key).toBeUndefined();
      expect(proxy.control).toEqual(podNames(rendered, "control").map((name) => `${name}:7800`));
      // Where a replica sends proxies must be one of the addresses that they know.
      expect(proxy.control).toContain(control.grpc_advertise);
      const copies = Number(value("cluster.groups")) * Number(value("cluster.replicationFactor"));
      expect(control.nodes.length).toBeGreaterThanOrEqual(copies);
      if (rendered.hasComponent("meilisearch")) {
        const names = podNames(rendered, "meilisearch");
        expect(control.nodes.map(({ url }) => url)).toEqual(names.map((name) => `http://${name}:7700`));
        expect(control.node_key).toBe(
          environmentOf(rendered, rendered.workload("meilisearch")).MEILI_MASTER_KEY,
        );
      }
    });

    it("reaches the store it names", () => {
      const rendered = installation(file);
      const location = storeLocation(configOf(rendered, "control"));
      const control = rendered.workload("control");
      const claims = mappings(at(control, "spec", "volumeClaimTemplates"));
      expect(location.kind).toBe(value("store.kind"));
      expect(rendered.hasComponent("redis")).toBe(value("redis.enabled"));
      if (location.kind === "sqlite") {
        expect(location.path).toBe("/data/control.db");
        expect(at(control, "spec", "replicas")).toBe(1);
        expect(claims.map(nameOf)).toEqual(["data"]);
        return;
      }
      expect(claims).toEqual([]);
      if (!rendered.hasComponent("redis")) return;
      const service = rendered.object("Service", `${nameOf(rendered.workload("redis"))}`);
      expect(location.servers).toEqual({
        kind: "single",
        server: { host: `${nameOf(service)}.${namespace}.svc`, port: 6379 },
      });
      expect(location.password).toBe(environmentOf(rendered, rendered.workload("redis")).REDIS_PASSWORD);
    });

    it("keeps every secret in Secrets", () => {
      const rendered = installation(file);
      const secrets = new Set<string>();
      for (const secret of rendered.ofKind("Secret")) {
        for (const text of Object.values(secretData(secret))) secrets.add(text);
      }
      const inline = [value("secrets"), value("redis.auth.password"), value("externalRedis.auth.password")];
      for (const name of ["masterKey", "adminKey", "nodeKey"]) inline.push(at(inline[0], name));
      for (const text of inline) if (typeof text === "string" && text !== "") secrets.add(text);
      const elsewhere = rendered.objects.filter(({ kind }) => kind !== "Secret");
      for (const object of elsewhere) {
        const strings = everyText(object);
        for (const secret of secrets) {
          expect(
            strings.filter((text) => text.includes(secret)),
            describeObject(object),
          ).toEqual([]);
        }
      }
    });

    it("runs without privileges, on a root file system that nobody writes to", () => {
      for (const workload of installation(file).workloads()) {
        const pod = podSpec(workload);
        expect(pod).toMatchObject({
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, runAsUser: expect.any(Number), fsGroup: expect.any(Number) },
          terminationGracePeriodSeconds: expect.any(Number),
          serviceAccountName: expect.any(String),
          affinity: expect.anything(),
        });
        expect(container(workload)).toMatchObject({
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
          resources: { requests: expect.anything(), limits: expect.anything() },
          image: expect.stringMatching(/^[^:@]+(:\d+\/[^:@]+)?(:[^:@]+|@sha256:[0-9a-f]{64})$/),
        });
        const volumes = [
          ...mappings(pod.volumes).map(({ name }) => name),
          ...mappings(at(workload, "spec", "volumeClaimTemplates")).map(nameOf),
        ];
        const mounts = mappings(container(workload).volumeMounts);
        expect(mounts.map(({ name }) => name).sort()).toEqual(volumes.sort());
        expect(new Set(mounts.map(({ mountPath }) => mountPath)).size).toBe(mounts.length);
      }
    });
  });
});

function everyText(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(everyText);
  return isMapping(value) ? Object.values(value).flatMap(everyText) : [];
}
