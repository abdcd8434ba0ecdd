import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Kubectl } from "../kubectl.ts";
import { CONTROL_ADDRESS, HOME } from "../places.ts";

const GROUP = "metrics.k8s.io";
const VERSION = `${GROUP}/v1beta1`;
const SERVICE = "metrics-server";

/** The kubelet's Summary, as much of it as metrics-server reads. */
interface Summary {
  readonly node: Usage;
  readonly pods: readonly {
    readonly podRef: { readonly name: string; readonly namespace: string };
    readonly containers?: readonly (Usage & { readonly name: string })[];
  }[];
}

interface Usage {
  readonly cpu?: { readonly usageNanoCores?: number };
  readonly memory?: { readonly workingSetBytes?: number };
}

export async function readSummary(cluster: Kubectl, node: string): Promise<Summary> {
  return JSON.parse(await cluster.ok("get", "--raw", `/api/v1/nodes/${node}/proxy/stats/summary`));
}

/**
 * In the place of metrics-server, which `kubectl top` asks and which no package has: an API below the cluster's own, with the figures of the
 * kubelet's Summary.
 */
export class MetricsApi {
  readonly #cluster: Kubectl;
  readonly #server: Server;
  readonly #node: string;

  private constructor(cluster: Kubectl, server: Server, node: string) {
    this.#cluster = cluster;
    this.#server = server;
    this.#node = node;
  }

  static async start(cluster: Kubectl, node: string): Promise<MetricsApi> {
    const key = join(HOME, "metrics.key");
    const cert = join(HOME, "metrics.crt");
    const words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", `/CN=${SERVICE}`];
    execFileSync("openssl", [...words, "-keyout", key, "-out", cert], { stdio: "ignore" });
    const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) });
    const api = new MetricsApi(cluster, server, node);
    server.on("request", (request, response) => {
      const { pathname } = new URL(request.url ?? "", "https://localhost");
      api.#answer(pathname).then(
        (body) => {
          response.writeHead(body === undefined ? 404 : 200, { "Content-Type": "application/json" });
          response.end(JSON.stringify(body ?? {}));
        },
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, CONTROL_ADDRESS, resolve));
    await api.#register();
    return api;
  }

  async stop(): Promise<void> {
    await this.#cluster.ok("delete", "apiservice", `v1beta1.${GROUP}`);
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }

  /** Tells the API server who answers for this group of APIs. */
  async #register(): Promise<void> {
    const { port } = this.#server.address() as AddressInfo;
    const metadata = { name: SERVICE, namespace: "kube-system" };
    await this.#cluster.apply(
      { apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ port: 443, targetPort: port }] } },
      {
        apiVersion: "v1",
        kind: "Endpoints",
        metadata,
        subsets: [{ addresses: [{ ip: CONTROL_ADDRESS }], ports: [{ port }] }],
      },
      {
        apiVersion: "apiregistration.k8s.io/v1",
        kind: "APIService",
        metadata: { name: `v1beta1.${GROUP}` },
        spec: {
          group: GROUP,
          version: "v1beta1",
          groupPriorityMinimum: 100,
          versionPriority: 100,
          insecureSkipTLSVerify: true,
          service: { name: SERVICE, namespace: "kube-system" },
        },
      },
    );
    await this.#cluster.ok(
      "wait",
      "--for=condition=Available",
      `apiservice/v1beta1.${GROUP}`,
      "--timeout=60s",
    );
  }

  async #answer(path: string): Promise<unknown> {
    if (path === `/apis/${VERSION}`) return RESOURCES;
    const [, namespace] = new RegExp(`^/apis/${VERSION}/namespaces/([^/]+)/pods$`).exec(path) ?? [];
    if (namespace !== undefined) return list("PodMetrics", await this.#pods(namespace));
    if (path === `/apis/${VERSION}/nodes`) return list("NodeMetrics", [await this.#nodeMetrics()]);
    return undefined;
  }

  async #pods(namespace: string): Promise<unknown[]> {
    const { pods } = await this.#summary();
    return pods
      .filter(({ podRef }) => podRef.namespace === namespace)
      .map(({ podRef, containers = [] }) => ({
        metadata: podRef,
        ...measured(),
        containers: containers.map((one) => ({ name: one.name, usage: usage(one) })),
      }));
  }

  async #nodeMetrics(): Promise<unknown> {
    const { node } = await this.#summary();
    return { metadata: { name: this.#node }, ...measured(), usage: usage(node) };
  }

  #summary(): Promise<Summary> {
    return readSummary(this.#cluster, this.#node);
  }
}

const RESOURCES = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: VERSION,
  resources: [
    { name: "nodes", singularName: "", namespaced: false, kind: "NodeMetrics", verbs: ["get", "list"] },
    { name: "pods", singularName: "", namespaced: true, kind: "PodMetrics", verbs: ["get", "list"] },
  ],
};

function list(kind: string, items: readonly unknown[]): unknown {
  return { kind: `${kind}List`, apiVersion: VERSION, metadata: {}, items };
}

function measured() {
  return { timestamp: new Date().toISOString(), window: "10s" };
}

function usage({ cpu, memory }: Usage) {
  return {
    cpu: `${cpu?.usageNanoCores ?? 0}n`,
    memory: `${Math.ceil((memory?.workingSetBytes ?? 0) / 1024)}Ki`,
  };
}
