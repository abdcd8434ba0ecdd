import { join } from "node:path";
import { expect } from "vitest";
import { HANDLER, IMAGE } from "./containerd-settings.ts";
import type { Cri, CriContainerOptions, PodOptions } from "./cri.ts";

/** An engine that serves the CRI. */
export interface PodEngine {
  readonly cri: Cri;
  /** Has a folder for the containers' logs. */
  readonly directory: string;
}

/** Starts a container of the pod, which sleeps if nothing else is said. */
export type StartContainer = (container?: Partial<CriContainerOptions>) => Promise<string>;

/** Makes a pod with the handler of examples/kubernetes for `body`, and removes it afterwards. */
export async function inPod(
  { cri, directory }: PodEngine,
  options: Partial<PodOptions>,
  body: (start: StartContainer, pod: string) => Promise<void>,
): Promise<void> {
  const logs = join(directory, "logs");
  const pod = await cri.runPod({ name: "pod", handler: HANDLER ?? "", logs, ...options });
  let containers = 0;
  try {
    await body(async (container) => {
      containers += 1;
      const rest = {
        name: `container-${containers}`,
        image: IMAGE,
        command: ["sleep", "1000"],
        ...container,
      };
      const id = await cri.create(pod, rest);
      await cri.start(id);
      return id;
    }, pod);
  } finally {
    await cri.removePod(pod);
  }
}

/** Waits for the end of a container, and returns its exit code. */
export async function ended({ cri }: PodEngine, id: string): Promise<number> {
  await expect.poll(async () => (await cri.status(id)).state).toBe("exited");
  return (await cri.status(id)).code;
}
