import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/** A config without a mount namespace that asks for nothing that would need one. */
function withoutMountNamespace(config: Config): void {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "mount");
  config.linux.maskedPaths = [];
  config.linux.readonlyPaths = [];
  config.root.readonly = false;
  config.mounts = [];
}

const REQUESTS: readonly (readonly [pointer: string, change: (config: Config) => void])[] = [
  [
    "/root/readonly",
    (config) => {
      config.root.readonly = true;
    },
  ],
  [
    "/mounts",
    (config) => {
      config.mounts = [{ destination: "/proc", type: "proc", source: "proc" }];
    },
  ],
  [
    "/linux/devices",
    (config) => {
      config.linux.devices = [{ type: "c", path: "/dev/own", major: 1, minor: 3 }];
    },
  ],
];

for (const [pointer, change] of REQUESTS) {
  spec(
    `create, ${pointer} without a mount namespace: refused by name, nothing left`,
    "config.md, Extensibility: invalid or unsupported values MUST generate an error",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        withoutMountNamespace(config);
        change(config);
      });
      expectRefusal(await container.create(), IS_RUNTS ? `${pointer}: needs a mount namespace` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}
