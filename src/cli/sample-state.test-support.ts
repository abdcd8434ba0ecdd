import type { ContainerState } from "../container/record/status.ts";

/** Its properties are not in the order in which they are printed. */
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
