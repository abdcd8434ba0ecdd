import { afterAll, beforeAll, describe, test } from "vitest";
import { Guest, LINUX } from "./guest.ts";
import { GuestSandbox } from "./guest-sandbox.ts";
import { deviation } from "./peers.ts";
import { RUNTIME, RUNTIME_NAME, which } from "./runtime.ts";

export type GuestBody = (sandbox: GuestSandbox) => Promise<void>;

interface Subject {
  readonly name: string;
  readonly path: string;
}

const TIMEOUT_MS = 120_000;

/** The runtime under test, and the peers beside it unless GUEST_PEERS is 0. */
const SUBJECTS: readonly Subject[] = [
  { name: RUNTIME_NAME, path: RUNTIME },
  ...(process.env.GUEST_PEERS === "0" ? [] : ["crun", "runc"]).flatMap((name) => {
    const path = which(name);
    return path === undefined || path === RUNTIME ? [] : [{ name, path }];
  }),
];

/** The tests of one file, in a guest of their own. */
export function describeGuest(what: string, body: () => void): void {
  const reason = LINUX === undefined ? " (skipped: there is no linux.uml)" : "";
  describe.skipIf(LINUX === undefined)(`${what} in a guest${reason}`, () => {
    beforeAll(async () => {
      running = await Guest.boot();
    }, TIMEOUT_MS);
    afterAll(async () => {
      await running?.stop();
      running = undefined;
    });
    body();
  });
}

let running: Guest | undefined;

/** One requirement, as `spec` of spec.ts, under each of the runtimes in turn. */
export function guestSpec(title: string, clause: string, body: GuestBody): void {
  for (const subject of SUBJECTS) {
    const known = deviation(subject.name, title);
    const suffix = known === undefined ? "" : ` [${subject.name} deviates: ${known.reason}]`;
    const name = `${title} (${clause}) under ${subject.name}${suffix}`;
    const run = known === undefined ? test : test.fails;
    run(name, () => runInGuest(subject, body), TIMEOUT_MS);
  }
}

async function runInGuest(subject: Subject, body: GuestBody): Promise<void> {
  if (running === undefined) throw new Error("there is no guest: guestSpec belongs into describeGuest");
  const sandbox = new GuestSandbox(running, subject);
  await sandbox.open();
  let traces: string;
  try {
    await body(sandbox);
  } finally {
    traces = await sandbox.close();
  }
  if (traces !== "") throw new Error(`left in the guest:\n${traces}`);
}
