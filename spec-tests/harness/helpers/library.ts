import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../container.ts";
import { parseObject } from "../json.ts";
import { invoke } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";

const root = join(import.meta.dirname, "../../..");

/**
 * Runs a program that uses the library, in its own process as its users do. Its body has `runts`, `config`, `target` (id, bundle,
 * config and root, as `create` takes them) and `on` (the root alone), and returns what is compared.
 */
export async function program(sandbox: Sandbox, container: Container, body: string): Promise<unknown> {
  const { id, bundle, config } = container;
  const text = `
    import * as runts from "runts";
    const target = ${JSON.stringify({ id, bundle, config, root: sandbox.root })};
    const { config } = target;
    const on = { root: target.root };
    const result = await (async () => { ${body} })();
    process.stdout.write(JSON.stringify({ result }));
  `;
  const { code, stdout, stderr } = await invoke(["--input-type=module", "--eval", text], {
    directory: sandbox.directory,
    runtime: process.execPath,
    cwd: root,
  });
  expect([code, stderr]).toEqual([0, ""]);
  return parseObject(stdout).result;
}
