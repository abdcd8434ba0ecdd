import { afterAll, beforeAll } from "vitest";
import { judgedTest } from "../../judged-test.ts";
import { RUNTIME } from "../../runtime.ts";
import { type CheckOptions, describeFailure, makeNamespace, Scope } from "../check.ts";
import { type Fields, podSpec } from "../pods.ts";
import { GuestNode, RUNTIME_ROOT } from "./node.ts";

const BOOT_MS = 1_500_000;
const CHECK_MS = 1_500_000;
const ROOT = "/sys/fs/cgroup";

/** What an emulated machine takes long for: a network of the pod's own, and a volume with the key of its account. */
const SLIM: Fields = { hostNetwork: true, automountServiceAccountToken: false };

/** What one test has: a namespace of the cluster, and the node that its pods run on. */
export class GuestScope extends Scope {
  readonly node: GuestNode;

  constructor(namespace: string, node: GuestNode) {
    super(namespace);
    this.node = node;
  }

  async create(name: string, one: Fields): Promise<void> {
    await this.pods.create(name, podSpec(one, SLIM));
  }

  /** Makes a pod of one container and waits until that runs. */
  async start(name: string, one: Fields): Promise<void> {
    await this.startAll({ [name]: one });
  }

  /** Makes several at once, which takes less time. */
  async startAll(pods: Readonly<Record<string, Fields>>): Promise<void> {
    for (const [name, one] of Object.entries(pods)) await this.create(name, one);
    for (const name of Object.keys(pods)) await this.pods.state(name, ({ ready }) => ready);
  }

  /** Cgroups of pods, and containers of the runtime, which may keep other things beside them (runts: @seccomp). */
  leftovers(): Promise<string> {
    const cgroups = `find ${ROOT} -type d -path '*kubepods*' -name '*pod[0-9a-f]*[0-9a-f]*'`;
    return this.node.output(`${cgroups}; ls -d ${RUNTIME_ROOT}/k8s.io/[!@]* 2>/dev/null || true`);
  }

  /** The directory of a pod's cgroup. */
  async podCgroup(name: string): Promise<string> {
    const uid = await this.#field(name, "{.metadata.uid}");
    const qos = (await this.#field(name, "{.status.qosClass}")).toLowerCase();
    const parents = qos === "guaranteed" ? ["kubepods"] : ["kubepods", qos];
    return [ROOT, ...parents, `pod${uid}`].join("/");
  }

  /** The directory of a container's cgroup, in a pod of one container. */
  async cgroup(name: string): Promise<string> {
    const id = await this.#field(name, "{.status.containerStatuses[0].containerID}");
    return `${await this.podCgroup(name)}/${id.replace("containerd://", "")}`;
  }

  /** Files of a container's cgroup, a line of each. */
  async files(name: string, ...files: readonly string[]): Promise<string[]> {
    return (await this.node.files(await this.cgroup(name), ...files)).split("\n");
  }

  async qosClass(name: string): Promise<string> {
    return this.#field(name, "{.status.qosClass}");
  }

  #field(name: string, path: string): Promise<string> {
    return this.ok("get", "pod", name, "-o", `jsonpath=${path}`);
  }
}

/** A program that holds so much memory: it fills a buffer and can't write it. */
export function holding(mebibytes: number): string {
  return `dd if=/dev/zero bs=${mebibytes}M count=1 | sleep 1000000`;
}

export type GuestCheck = (
  title: string,
  body: (scope: GuestScope) => Promise<void>,
  options?: CheckOptions,
) => void;

let namespaces = 0;

/** The tests of one node. Pods of a test may still be ending when the next one starts. Several run at once, unless one has to be alone. */
export function guestChecks(): GuestCheck {
  let node: GuestNode | undefined;
  beforeAll(async () => {
    node = await GuestNode.boot();
  }, BOOT_MS);
  afterAll(() => node?.stop(), 60_000);
  return (title, body, { alone, ...options } = {}) => {
    const run = async (): Promise<void> => {
      if (node === undefined) throw new Error("there is no node");
      namespaces += 1;
      const scope = new GuestScope(`check-${process.pid}-${namespaces}`, node);
      await makeNamespace(scope.namespace ?? "");
      try {
        await body(scope);
      } catch (error) {
        if (error instanceof Error) error.message += `\n${await describeFailure(scope)}`;
        throw error;
      } finally {
        await scope.ok("delete", "namespace", scope.namespace ?? "", "--wait=false");
      }
    };
    judgedTest({ title, path: RUNTIME, timeoutMs: CHECK_MS, concurrent: alone !== true, ...options }, run);
  };
}
