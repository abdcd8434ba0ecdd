import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Container } from "../container.ts";
import type { Sandbox } from "../sandbox.ts";

/** Compiles a program of C into the root of a container's rootfs: without libraries, as fast as an attacker's would be. */
export function addProgram(
  sandbox: Sandbox,
  { rootfs }: Pick<Container, "rootfs">,
  name: string,
  source: string,
): void {
  const file = sandbox.path(`${name}.c`);
  writeFileSync(file, source);
  execFileSync("gcc", ["-static", "-O2", "-w", "-o", join(rootfs, name), file]);
}
