import { beforeAll, expect, test } from "vitest";
import { type E2eResult, listE2e, runE2e, type Selection } from "../harness/kubernetes/e2e.ts";

/** Kubernetes' own tests of a node; with CONFORMANCE=all those of the whole, and some more that ask something of the runtime. */
const focus =
  process.env.CONFORMANCE === "all"
    ? String.raw`\[Conformance\]|\[NodeConformance\]|RuntimeClass|Sysctls|[Ss]ubpath|[Ss]eccomp`
    : String.raw`\[NodeConformance\]`;

/** What is left out, and why. */
const leftOut = {
  "takes many minutes each": ["\\[Slow\\]"],
  "needs the cluster for itself": ["\\[Serial\\]", "\\[Disruptive\\]"],
  "is not reliable, as its authors say": ["\\[Flaky\\]"],
  "needs a name server in the cluster": ["DNS", "ExternalName"],
  "needs a registry": ["should be able to pull"],
};

const selection: Selection = { focus, skip: Object.values(leftOut).flat().join("|") };

const timeoutMs = 50 * 60_000;

const names = await listE2e(selection);
const results = new Map<string, E2eResult>();

beforeAll(async () => {
  for (const result of await runE2e(selection, timeoutMs)) results.set(result.name, result);
}, timeoutMs + 120_000);

for (const name of names)
  test(name, () => {
    const { outcome, message } = results.get(name) ?? { outcome: "not run", message: "" };
    expect(outcome, message.slice(0, 3000)).toBe("passed");
  });
