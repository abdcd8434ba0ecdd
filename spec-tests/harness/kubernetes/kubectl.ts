import { join } from "node:path";
import { runCommand } from "../engines/engine.ts";
import type { Result } from "../runtime.ts";
import { HOME, KUBECONFIG, PROGRAMS } from "./places.ts";

/** An object of Kubernetes' API, as much of it as the tests read. */
export interface KubeObject {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: Status;
}

export interface Status {
  readonly phase?: string;
  readonly podIP?: string;
  readonly hostIP?: string;
  readonly reason?: string;
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly ephemeralContainerStatuses?: readonly ContainerStatus[];
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly state: ContainerState;
  readonly lastState: ContainerState;
}

export interface ContainerState {
  readonly running?: { readonly startedAt: string };
  readonly waiting?: { readonly reason: string; readonly message?: string };
  readonly terminated?: {
    readonly exitCode: number;
    readonly reason: string;
    readonly message?: string;
    readonly signal?: number;
    readonly startedAt: string;
    readonly finishedAt: string;
  };
}

/** kubectl, for the cluster or for one of its namespaces. */
export class Kubectl {
  readonly namespace: string | undefined;

  constructor(namespace?: string) {
    this.namespace = namespace;
  }

  call(...args: readonly string[]): Promise<Result> {
    return runCommand(this.words(...args), { env: { HOME }, timeoutMs: 180_000 });
  }

  /** Output of a command that has to succeed. */
  async ok(...args: readonly string[]): Promise<string> {
    return checked(args, await this.call(...args));
  }

  /** Like `ok`, with input. */
  async feed(input: string, ...args: readonly string[]): Promise<string> {
    return checked(args, await runCommand(this.words(...args), { env: { HOME }, input, timeoutMs: 180_000 }));
  }

  /** Creates objects, or changes them. */
  async apply(...items: readonly object[]): Promise<void> {
    await this.feed(JSON.stringify({ apiVersion: "v1", kind: "List", items }), "apply", "-f", "-");
  }

  async get(kind: string, name: string): Promise<KubeObject> {
    return JSON.parse(await this.ok("get", kind, name, "-o", "json"));
  }

  async list(kind: string, selector?: string): Promise<readonly KubeObject[]> {
    const words = selector === undefined ? [] : ["-l", selector];
    return JSON.parse(await this.ok("get", kind, ...words, "-o", "json")).items;
  }

  /** The whole command, for those that go on while a test does something else. */
  words(...args: readonly string[]): string[] {
    const where = this.namespace === undefined ? [] : [`--namespace=${this.namespace}`];
    return [join(PROGRAMS, "kubectl"), `--kubeconfig=${KUBECONFIG}`, ...where, ...args];
  }
}

function checked(args: readonly string[], { code, stdout, stderr }: Result): string {
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")} exits with ${code}: ${stderr}${stdout}`);
  return stdout;
}
