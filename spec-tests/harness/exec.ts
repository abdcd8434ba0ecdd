import { expect } from "vitest";
import type { Config } from "./config.ts";
import type { Container } from "./container.ts";
import type { Sandbox } from "./sandbox.ts";

/** A container to execute something in: it has no other work. */
export async function running(sandbox: Sandbox, mutate?: (config: Config) => void): Promise<Container> {
  const container = sandbox.container((config) => {
    config.process.args = ["sleep", "1000"];
    mutate?.(config);
  });
  await container.started();
  return container;
}

/** The exec failed, and of its process nothing is left: the container's one is the only one. */
export async function expectInitAlone(sandbox: Sandbox): Promise<void> {
  await expect.poll(() => sandbox.processes()).toHaveLength(1);
}
