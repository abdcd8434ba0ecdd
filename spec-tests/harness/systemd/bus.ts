import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { asObject } from "../json.ts";
import type { Sandbox } from "../sandbox.ts";
import type { Machine } from "./systemd.ts";

/** A property as somebody has asked systemd for it: its name, and its value in the text format of GVariant. */
export type AskedProperty = readonly [name: string, value: string];

/** The properties in calls of StartTransientUnit during an action, as busctl(1) sees them on the system bus. */
export async function askedProperties(
  sandbox: Sandbox,
  machine: Machine,
  action: () => Promise<void>,
): Promise<AskedProperty[]> {
  const messages = sandbox.path("bus-messages");
  const pidFile = sandbox.path("bus-monitor.pid");
  const stdout = openSync(messages, "w");
  const monitor = ["busctl", "--system", "monitor", "--json=short", "org.freedesktop.systemd1"];
  const shell = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', pidFile];
  const [file = "", ...args] = [...machine.wrapper, ...shell, ...monitor];
  const child = spawn(file, args, { stdio: ["ignore", stdout, "ignore"] });
  closeSync(stdout);
  const ended = once(child, "exit");
  try {
    // It is there when it sees anything.
    const hasSeen = () => {
      machine.output("busctl", "introspect", "org.freedesktop.systemd1", "/org/freedesktop/systemd1");
      return readFileSync(messages, "utf8");
    };
    await expect.poll(hasSeen).not.toBe("");
    await action();
    const found = () => startedUnits(readFileSync(messages, "utf8"));
    await expect.poll(found).toHaveLength(1);
    return found()[0] ?? [];
  } finally {
    machine.output("kill", readFileSync(pidFile, "utf8").trim());
    await ended;
  }
}

function startedUnits(messages: string): AskedProperty[][] {
  const lines = messages.split("\n").slice(0, -1);
  return lines
    .map((line) => asObject(JSON.parse(line)))
    .filter(({ type, member }) => type === "method_call" && member === "StartTransientUnit")
    .map(({ payload }) => propertiesOf(asObject(payload).data));
}

/** Reads the third of the arguments name, mode, properties, auxiliary units. */
function propertiesOf(args: unknown): AskedProperty[] {
  const properties: unknown = Array.isArray(args) ? args[2] : undefined;
  if (!Array.isArray(properties)) throw new Error(`no properties: ${JSON.stringify(args)}`);
  return properties.map(([name, variant]: [string, unknown]) => {
    const { type, data } = asObject(variant);
    return [name, valueText(String(type), data)];
  });
}

const KEYWORDS: Readonly<Record<string, string>> = { t: "uint64 ", u: "uint32 " };

function valueText(type: string, data: unknown): string {
  if (!Array.isArray(data)) return `${KEYWORDS[type] ?? ""}${JSON.stringify(data)}`;
  if (type === "a(ss)") return `[${data.map(([one, other]) => `("${one}", "${other}")`).join(", ")}]`;
  const bytes = (values: readonly number[]) =>
    values.map((byte) => `0x${byte.toString(16).padStart(2, "0")}`);
  const items = type === "ay" ? bytes(data) : data.map((item) => JSON.stringify(item));
  const keyword = type === "ay" ? "byte " : (KEYWORDS[type.slice(1)] ?? "");
  return `[${keyword}${items.join(", ")}]`;
}
