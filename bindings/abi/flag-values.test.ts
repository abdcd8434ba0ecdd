import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";

/**
 * The constants behind flag-names.ts are copied into their own module: a bundler keeps all constants of a module whose namespace is used
 * as an object, and every container would load them. UPDATE_FLAGS=1 writes the module.
 */
const FILE = join(import.meta.dirname, "flag-values.generated.ts");
const MODULES = [
  "fcntl",
  "ioctl",
  "keyctl",
  "landlock",
  "mman",
  "mount",
  "netlink",
  "prctl",
  "sched",
  "seccomp",
  "socket",
] as const;

const arch = process.arch;
afterEach(() => {
  Object.defineProperty(process, "arch", { value: arch });
});

async function constantsOn(name: string, machine: string): Promise<Map<string, number | bigint>> {
  vi.resetModules();
  Object.defineProperty(process, "arch", { value: machine });
  const module: Record<string, unknown> = await import(`./${name}.ts`);
  const constants = new Map<string, number | bigint>();
  for (const key of Object.keys(module).sort()) {
    const value = module[key];
    if (typeof value === "number" || typeof value === "bigint") constants.set(key, value);
  }
  return constants;
}

function literal(value: number | bigint | undefined): string {
  return typeof value === "bigint" ? `${value}n` : String(value);
}

it("flag-values.generated.ts has the constants of all modules, for both architectures", async () => {
  let text =
    "// Generated from the modules beside it by `UPDATE_FLAGS=1 npx vitest run --project unit bindings/abi/flag-values`. Do not edit.\n" +
    'const isArm = process.arch === "arm64";\n';
  for (const name of MODULES) {
    const x64 = await constantsOn(name, "x64");
    const arm64 = await constantsOn(name, "arm64");
    const lines = [...x64].map(([key, value]) => {
      const other = arm64.get(key);
      return `  ${key}: ${other === value ? literal(value) : `isArm ? ${literal(other)} : ${literal(value)}`},`;
    });
    text += `\nexport const ${name} = {\n${lines.join("\n")}\n} as const;\n`;
  }
  if (process.env.UPDATE_FLAGS !== undefined) writeFileSync(FILE, text);
  expect(readFileSync(FILE, "utf8")).toBe(text);
});
