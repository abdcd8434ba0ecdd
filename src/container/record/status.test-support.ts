import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { openLog } from "../../log.ts";
import { type SavedState, writeState } from "./saved-state.ts";

/** Makes a directory that is removed after the test. */
export function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "runts-container-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Makes the directory of a container "box", which its record has to name. */
export function stateDirectory(): string {
  const directory = join(freshDirectory(), "box");
  mkdirSync(directory);
  return directory;
}

export function savedState(changes: Partial<SavedState> = {}): SavedState {
  return {
    id: "box",
    pid: 0,
    startTime: "",
    creator: null,
    bundle: "/bundle",
    rootfs: "/bundle/rootfs",
    created: "2026-01-01T00:00:00Z",
    ownerUid: 0,
    annotations: {},
    cgroup: "",
    ownPidNamespace: true,
    ownUserNamespace: false,
    hasProcess: true,
    hasStartContainer: false,
    hasPoststart: false,
    hasPoststop: false,
    hasListener: false,
    lastOperations: [],
    ...changes,
  };
}

/** Options with their own state root, in which there is a container "box". */
export function contextWith(saved: Partial<SavedState>) {
  const root = freshDirectory();
  mkdirSync(`${root}/box`);
  writeState(`${root}/box`, savedState(saved));
  return { root, rootless: "auto", log: openLog({ format: "text", debug: false }) } as const;
}
