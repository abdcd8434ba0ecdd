import { expect } from "vitest";
import { lines } from "../engines/engine.ts";
import type { Result } from "../runtime.ts";
import { eventually } from "./eventually.ts";
import { BUSYBOX } from "./images.ts";
import type { ContainerState, ContainerStatus, Kubectl, KubeObject } from "./kubectl.ts";

/** Fields of the API, as the documentation of Kubernetes has them. */
export type Fields = Readonly<Record<string, unknown>>;

/** A container that runs a script of the shell, or does nothing. */
export function container(script?: string, fields: Fields = {}): Fields {
  return { name: "main", image: BUSYBOX, command: ["sh", "-c", script ?? "exec sleep 1000000"], ...fields };
}

/** The spec of a pod that is killed a second after it is asked to end. */
export function podSpec(containers: Fields | readonly Fields[], fields: Fields = {}): Fields {
  return { terminationGracePeriodSeconds: 1, containers: [containers].flat(), ...fields };
}

export function podObject(name: string, spec: Fields, metadata: Fields = {}): Fields {
  return { apiVersion: "v1", kind: "Pod", metadata: { name, ...metadata }, spec };
}

/** A Deployment, DaemonSet, StatefulSet or Job whose pods have the label app=NAME. `template` is the spec of its pods. */
export function workload(kind: string, name: string, spec: Fields & { readonly template: Fields }): Fields {
  const labels = { app: name };
  // A Job chooses its own selector.
  const selector = kind === "Job" ? {} : { selector: { matchLabels: labels } };
  return {
    apiVersion: kind === "Job" ? "batch/v1" : "apps/v1",
    kind,
    metadata: { name },
    spec: { ...selector, ...spec, template: { metadata: { labels }, spec: spec.template } },
  };
}

/** The pods of one namespace. */
export class Pods {
  readonly #kubectl: Kubectl;

  constructor(kubectl: Kubectl) {
    this.#kubectl = kubectl;
  }

  async create(name: string, spec: Fields, metadata: Fields = {}): Promise<void> {
    await this.#kubectl.apply(podObject(name, spec, metadata));
  }

  /** Makes a pod that goes on, and waits until it is ready. */
  async start(name: string, spec: Fields, metadata: Fields = {}): Promise<void> {
    await this.create(name, spec, metadata);
    await this.ready(name);
  }

  async ready(name: string): Promise<void> {
    await this.#kubectl.ok("wait", "--for=condition=Ready", `pod/${name}`, "--timeout=90s");
  }

  /** Runs a script in a pod up to its end, once: its state at the end, and its log. */
  async run(script: string, fields: Fields = {}, ofPod: Fields = {}, metadata: Fields = {}): Promise<Ended> {
    const name = "once";
    await this.create(
      name,
      podSpec(container(script, fields), { restartPolicy: "Never", ...ofPod }),
      metadata,
    );
    const state = await this.ended(name);
    return { ...state, log: await this.log(name) };
  }

  log(name: string): Promise<string> {
    return this.#kubectl.ok("logs", name, "-c", "main");
  }

  /** Waits for the end of a container. */
  async ended(name: string, containerName = "main"): Promise<Terminated> {
    const { terminated } = await this.state(
      name,
      ({ state }) => state.terminated !== undefined,
      containerName,
    );
    if (terminated === undefined) throw new Error(`${name} has not ended`);
    return terminated;
  }

  /** Waits for a status of a container: the state that it has then. */
  async state(
    name: string,
    isWanted: (status: ContainerStatus) => boolean,
    containerName = "main",
  ): Promise<ContainerState> {
    let found: ContainerStatus | undefined;
    const ask = async (): Promise<boolean> => {
      found = await this.status(name, containerName);
      return found !== undefined && isWanted(found);
    };
    await eventually(ask, (found) => expect(found).toBe(true));
    return found?.state ?? {};
  }

  /** The status of a container of any kind, once it has one. */
  async status(name: string, containerName = "main"): Promise<ContainerStatus | undefined> {
    const { status } = await this.get(name);
    const all = [status.containerStatuses, status.initContainerStatuses, status.ephemeralContainerStatuses];
    return all.flatMap((statuses) => statuses ?? []).find((entry) => entry.name === containerName);
  }

  get(name: string): Promise<KubeObject> {
    return this.#kubectl.get("pod", name);
  }

  /** Names of a workload's pods that have not been told to end. */
  async namesOf(app: string): Promise<string[]> {
    const template =
      '{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\\n"}}{{end}}{{end}}';
    return lines(await this.#kubectl.ok("get", "pods", "-l", `app=${app}`, "-o", `go-template=${template}`));
  }

  /** A script in a running pod. */
  shell(name: string, script: string, containerName = "main"): Promise<Result> {
    return this.#kubectl.call("exec", name, "-c", containerName, "--", "sh", "-c", script);
  }

  /** The output of a script that has to succeed. */
  async output(name: string, script: string, containerName = "main"): Promise<string> {
    return this.#kubectl.ok("exec", name, "-c", containerName, "--", "sh", "-c", script);
  }
}

export type Terminated = NonNullable<ContainerState["terminated"]>;

export interface Ended extends Terminated {
  readonly log: string;
}
