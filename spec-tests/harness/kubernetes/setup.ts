import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startControlPlane } from "./control-plane.ts";
import { imageArchives, makeImages } from "./images.ts";
import { Kubectl } from "./kubectl.ts";
import { allNodes, HANDLERS } from "./node.ts";

const RUNTIME_CLASS = join(import.meta.dirname, "../../../examples/kubernetes/runtimeclass.yaml");

/** The kubelet removes containers of pods that are gone each minute. */
const PATIENCE_MS = 180_000;

/**
 * Runs once before the tests, below isolated.sh: starts the cluster that they share. When all are over, the nodes must have no containers left,
 * neither in containerd nor in the runtime.
 */
export default async function setup(): Promise<() => Promise<void>> {
  makeImages();
  await startControlPlane("12s");
  await Promise.all(allNodes().map((node) => node.start(imageArchives())));
  await Promise.all(allNodes().map((node) => node.ready()));
  // The class that users are given.
  await new Kubectl().feed(readFileSync(RUNTIME_CLASS, "utf8"), "apply", "-f", "-");
  return async () => {
    for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(1000)) {
      const left = await leftContainers();
      if (left.length === 0) return;
      if (Date.now() > deadline) throw new Error(`left on the nodes:\n${left.join("\n")}`);
    }
  };
}

async function leftContainers(): Promise<string[]> {
  const found = allNodes().map(async (node) => {
    const ofRuntime = ["default", ...HANDLERS].map((handler) => node.runtimeContainers(handler));
    const ids = [await node.containers(), ...(await Promise.all(ofRuntime))].flat();
    return ids.map((id) => `${node.name}: ${id}`);
  });
  return (await Promise.all(found)).flat();
}
