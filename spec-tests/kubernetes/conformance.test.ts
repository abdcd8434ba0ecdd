import { execFileSync } from "node:child_process";
import { beforeAll, expect, test } from "vitest";
import { type E2eResult, listE2e, runE2e } from "../harness/kubernetes/e2e.ts";

/** Kubernetes' own tests of a node; with CONFORMANCE=all those of the whole, and some more that ask something of the runtime. */
const focus =
  process.env.CONFORMANCE === "all"
    ? String.raw`\[Conformance\]|\[NodeConformance\]|RuntimeClass|Sysctls|[Ss]ubpath|[Ss]eccomp`
    : String.raw`\[NodeConformance\]`;

/** Tests that are skipped, by the reason. */
const skipped: Readonly<Record<string, readonly string[]>> = {
  "takes many minutes": [String.raw`\[Slow\]`],
  "needs the cluster for itself": [String.raw`\[Serial\]`, String.raw`\[Disruptive\]`],
  "is not reliable, as its authors say": [String.raw`\[Flaky\]`],
  "needs a name server in the cluster": ["DNS", "ExternalName"],
  "needs a registry": ["should be able to pull"],
  "needs the netcat of an image whose place busybox takes": ["node-pod communication: udp"],
  ...(hasDummyDevices() ? {} : { "needs a kernel with dummy network devices": ["PrivilegedPod"] }),
};

const timeoutMs = 50 * 60_000;

const names = await listE2e(focus);
const results = new Map<string, E2eResult>();

beforeAll(async () => {
  const skip = Object.values(skipped).flat().join("|");
  for (const result of await runE2e({ focus, skip }, timeoutMs)) results.set(result.name, result);
  const without = names.filter((name) => reasonToSkip(name) === undefined && !results.has(name));
  if (without.length > 0)
    throw new Error(`${without.length} of ${names.length} tests have not run:\n${without.join("\n")}`);
}, timeoutMs + 120_000);

for (const name of names)
  test(name, (context) => {
    const reason = reasonToSkip(name);
    if (reason !== undefined) return context.skip(reason);
    const result = results.get(name);
    if (result?.outcome === "skipped") return context.skip("skips itself on this cluster");
    expect(result?.outcome, result?.message.slice(0, 3000)).toBe("passed");
  });

function reasonToSkip(name: string): string | undefined {
  return Object.keys(skipped).find((key) => skipped[key]?.some((part) => new RegExp(part).test(name)));
}

/** The cluster has a network namespace of its own, so that this leaves nothing on the machine. */
function hasDummyDevices(): boolean {
  try {
    execFileSync("ip", ["link", "add", "try0", "type", "dummy"], { stdio: "ignore" });
    execFileSync("ip", ["link", "delete", "try0"]);
    return true;
  } catch {
    return false;
  }
}
