import type { MountEntry } from "../container/mounts.ts";
import type { ContainerState } from "../container/record/status.ts";
import type { Operations } from "./operations.ts";

/** Of a container that hides a control character in a name. */
const sampleMount: MountEntry = {
  id: 31,
  destination: "/mnt/\u001b[31m",
  type: "ext4",
  source: "/dev/vda",
  root: "/srv",
  options: ["ro", "nosuid"],
};

/** A call of an operation: its name, and its arguments after the context. */
export type Call = readonly [name: keyof Operations, ...args: unknown[]];

export const sampleState: ContainerState = {
  owner: "root",
  annotations: { key: "value" },
  created: "2026-01-02T03:04:05.678901234Z",
  rootfs: "/bundle/rootfs",
  bundle: "/bundle",
  status: "running",
  pid: 42,
  id: "box",
  ociVersion: "1.3.0",
};

/** Operations that record how they were called, into `calls`, with the context of the last call in `roots`. */
export function recordingOperations(states: readonly ContainerState[] = []) {
  const calls: Call[] = [];
  const contexts: { root: string; rootless: string }[] = [];
  const record =
    <Result>(name: keyof Operations, result: Result) =>
    (context: { root: string; rootless: string }, ...args: unknown[]): Result => {
      contexts.push({ root: context.root, rootless: context.rootless });
      calls.push([name, ...args]);
      return result;
    };
  const operations: Operations = {
    create: record("create", undefined),
    start: record("start", Promise.resolve()),
    run: record("run", Promise.resolve(7)),
    exec: record("exec", 9),
    kill: record("kill", undefined),
    delete: record("delete", undefined),
    state: record("state", sampleState),
    list: record("list", states),
    pause: record("pause", undefined),
    resume: record("resume", undefined),
    ps: record("ps", [42, 43]),
    update: record("update", undefined),
    events: record("events", undefined),
    checkpoint: record("checkpoint", undefined),
    restore: record("restore", 8),
    addMounts: record("addMounts", undefined),
    removeMounts: record("removeMounts", undefined),
    listMounts: record("listMounts", [sampleMount]),
  };
  return { operations, calls, contexts };
}
