import type { Fault, Host, Look, Operation, Result } from "./host.ts";
import { complaint } from "./judge.ts";
import { Scene } from "./scene.ts";
import type { Findings, Plan } from "./walk.ts";

/**
 * Makes operations of `runts warm` fail, on a host that has an image. The command takes a second and makes thousands of calls of few
 * kinds: the first, the middle and the last of each kind fail.
 */
export async function walkWarm(host: Host, plan: Plan): Promise<Findings> {
  const findings: Findings = { injected: 0, cases: 0, survived: 0, notCarriedOut: 0, faults: [] };
  const operations = await host.operations(["warm"]);
  const before = await host.look();
  for (const [index, at] of samples(operations).entries()) {
    let hit = false;
    for (const { mode, errno } of plan(index)) {
      // A stall needs a stub, and warm has none.
      if (mode === "stall") continue;
      const fault = { at, mode, errno };
      const result = await host.run(["warm"], fault);
      const { operation } = result;
      const found = [verdict(fault, result), await wrong(host, before)].find(Boolean);
      if (operation === undefined && found === undefined) continue;
      hit = true;
      findings.cases += 1;
      findings.survived += result.code === 0 ? 1 : 0;
      if (found === undefined) continue;
      const what = `${at} ${mode} ${errno} (${operation?.call} ${operation?.path})`;
      findings.faults.push(`${what}: ${found}; stderr: ${result.stderr.trim()}`);
      process.stdout.write(`warm: ${findings.faults.at(-1)?.slice(0, 600)}\n`);
    }
    if (hit) findings.injected += 1;
  }
  return findings;
}

/** Numbers of operations, from 1: three of each kind. A kind is the call, its path, and the call before it. */
function samples(operations: readonly Operation[]): number[] {
  const kinds = new Map<string, number[]>();
  operations.forEach(({ call, path }, index) => {
    const kind = `${operations[index - 1]?.call} ${call} ${path.replaceAll(/\d+/g, "N")}`;
    const numbers = kinds.get(kind) ?? [];
    kinds.set(kind, numbers);
    numbers.push(index + 1);
  });
  const chosen = [...kinds.values()].flatMap((numbers) =>
    [0, numbers.length >> 1, numbers.length - 1].map((place) => numbers[place] ?? 0),
  );
  return [...new Set(chosen)].sort((one, other) => one - other);
}

function verdict(fault: Fault, result: Result): string | undefined {
  const { code, operation } = result;
  if (code === 0 || (fault.mode === "kill-runtime" && code === 137) || operation === undefined)
    return undefined;
  return complaint(result, fault, operation, 1);
}

/** Checks that a start is warm, or that there is no image and a new one can be written. Returns the defect, if any. */
async function wrong(host: Host, before: Look): Promise<string | undefined> {
  const { code, stderr } = await host.run(["list"]);
  if (code !== 0 || stderr !== "") return `list: exit code ${code}, ${stderr}`;
  let check = await host.run(["warm", "--check"]);
  // One start in some thousands has its own stack where the image needs one.
  if (check.stdout.includes("the image fits")) check = await host.run(["warm", "--check"]);
  if (check.stdout.startsWith("cold: there is no image")) {
    const again = await host.run(["warm"]);
    if (again.code !== 0) return `a new image can't be written: ${again.stderr}`;
  } else if (check.code !== 0) return `no warm start in spite of an image: ${check.stdout}${check.stderr}`;
  const changes = await new Scene(host, "").changes(before);
  return changes.length === 0 ? undefined : changes.join("; ");
}
