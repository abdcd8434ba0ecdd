import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ADDR_COMPAT_LAYOUT } from "../../bindings/abi/personality.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { EngineProcess } from "./engine-process.ts";

const PRESENT = 0xffffffff;

/** Whether the layout can be changed: in a container, the filters of engines refuse it. */
function mayChangeLayout(): boolean {
  const before = trySyscall("personality", PRESENT);
  if (before < 0 || trySyscall("personality", before | ADDR_COMPAT_LAYOUT) < 0) return false;
  trySyscall("personality", before);
  return true;
}

/** The lines of /proc/self/maps of a program that is started like the engine. */
function mapsOfEngine(): string[] {
  const directory = mkdtempSync(join(tmpdir(), "runts-engine-"));
  const script = join(directory, "engine");
  writeFileSync(script, "#!/bin/sh\nexec cat /proc/self/maps\n", { mode: 0o755 });
  const engine = new EngineProcess(script);
  try {
    engine.awaitReady(10_000);
  } catch (error) {
    return error instanceof Error ? error.message.split("\\n") : [];
  } finally {
    engine.end();
    rmSync(directory, { recursive: true });
  }
  return [];
}

test.runIf(process.arch === "x64" && mayChangeLayout())(
  "an engine's memory, except its stack, is below everything that the kernel maps into later processes",
  () => {
    const before = trySyscall("personality", PRESENT);
    const mappings = mapsOfEngine().filter((line) => /^[0-9a-f]+-.* \//.test(line));
    expect(mappings.length).toBeGreaterThan(3);
    const LOWEST_OF_OTHERS = 0x7000_0000_0000;
    expect(mappings.filter((line) => Number.parseInt(line, 16) >= LOWEST_OF_OTHERS)).toEqual([]);
    expect(trySyscall("personality", PRESENT)).toBe(before);
  },
);

test("an engine that can't be executed: an error with path and reason", () => {
  expect(() => new EngineProcess("/nonexistent/engine")).toThrow("posix_spawn /nonexistent/engine: ENOENT");
});
