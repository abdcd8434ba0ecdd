import { beforeAll, describe } from "vitest";
import { judgedTest, type TestOptions } from "../judged-test.ts";
import { RUNTIME, RUNTIME_NAME, which } from "../runtime.ts";
import { BOOT_MS, Guest, GuestError } from "./guest.ts";
import type { GuestKernel } from "./kernel.ts";
import { QEMU_GUEST } from "./qemu.ts";
import { GuestSandbox } from "./sandbox.ts";

export type GuestBody = (sandbox: GuestSandbox) => Promise<void>;

interface Subject {
  readonly name: string;
  readonly path: string;
}

/** A test may have to boot a new guest first, if the last one has crashed. */
const TIMEOUT_MS = BOOT_MS + 120_000;
const BOOT_TIMEOUT_MS = BOOT_MS + 20_000;
/** After so many boots of a guest that keeps crashing, the tests that are left fail at once. */
const MOST_BOOTS = 4;

/** The runtime under test, and the peers beside it unless GUEST_PEERS is 0. */
const SUBJECTS: readonly Subject[] = [
  { name: RUNTIME_NAME, path: RUNTIME },
  ...(process.env.GUEST_PEERS === "0" ? [] : ["crun", "runc"]).flatMap((name) => {
    const path = which(name);
    return path === undefined || path === RUNTIME ? [] : [{ name, path }];
  }),
];

/** Tests in a guest, which is booted once for all files of this process, and again if it has crashed. */
export function describeGuest(what: string, body: () => void, kernel: GuestKernel = QEMU_GUEST): void {
  const { missing } = kernel;
  const reason = missing === undefined ? "" : ` (skipped: ${missing})`;
  // vitest's list leaves out what is skipped, and completeness/ wants all of it.
  const isListing = process.env.SPEC_TESTS_LISTING !== undefined;
  describe.skipIf(missing !== undefined && !isListing)(`${what} in a guest (${kernel.name})${reason}`, () => {
    beforeAll(async () => {
      current = kernel;
      await runningGuest(kernel);
    }, BOOT_TIMEOUT_MS);
    body();
  });
}

/** The last guest of each kernel in this process, and how often one was booted. */
const guests = new Map<string, Guest>();
const boots = new Map<string, number>();
let current: GuestKernel | undefined;

/** The guest that runs. A new one, if that has crashed: otherwise all tests that follow would fail, each after a long wait. */
async function runningGuest(kernel: GuestKernel): Promise<Guest> {
  const last = guests.get(kernel.name);
  if (last?.answers) return last;
  const count = boots.get(kernel.name) ?? 0;
  if (count === MOST_BOOTS)
    throw new GuestError(`the guest has been booted ${MOST_BOOTS} times, and has ended each time`);
  boots.set(kernel.name, count + 1);
  const guest = await Guest.boot(kernel);
  guests.set(kernel.name, guest);
  return guest;
}

/** One requirement, as `spec` of spec.ts, under each of the runtimes in turn. */
export function guestSpec(title: string, clause: string, body: GuestBody, options: TestOptions = {}): void {
  for (const subject of SUBJECTS) {
    const name = `${title} (${clause}) under ${subject.name}`;
    judgedTest({ title, name, path: subject.path, timeoutMs: TIMEOUT_MS, ...options }, () =>
      runInGuest(subject, body),
    );
  }
}

async function runInGuest(subject: Subject, body: GuestBody): Promise<void> {
  if (current === undefined) throw new Error("there is no guest: guestSpec belongs into describeGuest");
  const guest = await runningGuest(current);
  const sandbox = new GuestSandbox(guest, subject);
  await sandbox.open();
  try {
    await body(sandbox);
  } catch (error) {
    // A guest that has ended has nothing to clean, and its own error names the command that it ended at.
    if (guest.answers) await sandbox.close();
    throw error;
  }
  const traces = await sandbox.close();
  if (traces !== "") throw new Error(`left in the guest:\n${traces}`);
}
