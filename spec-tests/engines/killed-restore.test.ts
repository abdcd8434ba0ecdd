import { afterAll, expect } from "vitest";
import { succeed } from "../harness/container.ts";
import { KINDS, type Kind, type Outcomes, tableOfKills } from "../harness/engines/killed.ts";
import { prepareForCriu } from "../harness/guests/criu.ts";
import type { GuestContainer, GuestSandbox } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { COUNT } from "../harness/helpers/checkpoint.ts";
import { RUNTIME, which } from "../harness/runtime.ts";

/** Runs in a guest: on a host that also has cgroup v1, runc and crun have criu save and make again the cgroups of every v1 hierarchy. */

const CLAUSE = "promise: nothing leaks, whenever the runtime dies";

const KILLS = 14;

/** A kill, a deletion and two lists of the emulated guest take some seconds, and more on a busy machine. */
const TIMEOUT_MS = 900_000;

const outcomes = new Map<string, Outcomes>();

afterAll(() => console.log(tableOfKills("killed in restore, then delete --force", outcomes)));

/** A function of sh that lists what is in the guest. The first word of each line is its kind. */
function listing({ stateRoot }: GuestSandbox, { bundle }: GuestContainer): string {
  const kinds: Record<Kind, string> = {
    // Without threads of the kernel, and the processes of this script.
    process:
      "ps -o pid,args >/run/outputs/ps; grep -v '\\[\\| ps \\|/run/exchange/[0-9]*.sh\\|^ *PID' /run/outputs/ps",
    // With its id: one may lie on another.
    mount: "cut -d ' ' -f 1,5 /proc/self/mountinfo",
    cgroup: "find /sys/fs/cgroup -mindepth 1 -type d",
    state: `ls -A ${stateRoot}`,
    file: `find /tmp /run /dev/shm ${bundle} -xdev -not -path '${stateRoot}*' -not -path '/run/tmp/*' -not -path '/run/outputs/*'`,
  };
  return `list() {\n${KINDS.map((kind) => `${kinds[kind]} | sed 's|^ *|${kind} |'`).join("\n")}\n}`;
}

function restoring(sandbox: GuestSandbox, container: GuestContainer): string {
  const folder = `/run/tmp/${container.id}`;
  const flags = ["--image-path", `${folder}/images`, "--work-path", `${folder}/work`, "--detach"];
  const words = ["restore", ...flags, "--bundle", container.bundle, container.id];
  return sandbox.command(words, ">/dev/null 2>&1");
}

/** A container that has been saved, and is gone. */
async function savedContainer(sandbox: GuestSandbox): Promise<GuestContainer> {
  await prepareForCriu(sandbox.guest);
  const container = sandbox.container((config) => {
    config.process.args = ["sh", "-c", COUNT];
  });
  const { id, bundle } = container;
  succeed("create", await sandbox.invoke(["create", "--bundle", bundle, id], ">/dev/null 2>&1"));
  succeed("start", await container.command("start"));
  await sandbox.guest.output(`mkdir -p /run/tmp/${id}/work`);
  const folders = ["--image-path", `/run/tmp/${id}/images`, "--work-path", `/run/tmp/${id}/work`];
  succeed("checkpoint", await container.command("checkpoint", ...folders));
  return container;
}

/** The seconds that a restore takes, at least: the first one has to read all files from the disk. */
async function durationOfRestore(sandbox: GuestSandbox, container: GuestContainer): Promise<number> {
  const clock = "cut -d ' ' -f 1 /proc/uptime";
  const durations: number[] = [];
  for (let round = 0; round < 3; round++) {
    const times = await sandbox.guest.output(
      `${clock}; ${restoring(sandbox, container)} || exit 1; ${clock}`,
    );
    const [begin = 0, end = 0] = times.split("\n").map(Number);
    durations.push(end - begin);
    succeed("delete", await container.command("delete", "--force"));
  }
  return Math.min(...durations);
}

interface KilledRestore {
  /** Whether criu had started by then. */
  readonly isHalfway: boolean;
  /** The exit code of `delete --force`, and what it says. */
  readonly deleted: string;
  /** The lines of what is left. */
  readonly left: readonly string[];
}

/** Restores the container, kills the runtime after so many seconds, and deletes the container. Undefined if the restore had ended by then. */
async function killInRestore(
  sandbox: GuestSandbox,
  container: GuestContainer,
  seconds: number,
): Promise<KilledRestore | undefined> {
  const log = `/run/tmp/${container.id}/work/restore.log`;
  const script = `${listing(sandbox, container)}
    list > /run/outputs/before
    rm -f ${log}
    ${restoring(sandbox, container)} & pid=$!
    sleep ${seconds.toFixed(3)}
    kill -9 $pid; wait $pid; echo $?
    [ -e ${log} ]; echo $?
    ${sandbox.command(["delete", "--force", container.id], ">/run/outputs/deleted 2>&1")}
    echo $? $(cat /run/outputs/deleted)
    sleep 2
    list > /run/outputs/after
    grep -vxFf /run/outputs/before /run/outputs/after; true`;
  const [code, missing, deleted = "", ...left] = (await sandbox.guest.output(script)).split("\n");
  return code === "137" ? { isHalfway: missing === "0", deleted, left } : undefined;
}

/** Ends and removes what a runtime has left: mounts before the folders that they are in. */
async function removeLeft({ guest, stateRoot }: GuestSandbox, left: readonly string[]): Promise<void> {
  const commands: Record<Kind, (rest: string) => string> = {
    process: (line) => `kill -9 ${line.split(" ")[0]}`,
    mount: (line) => `umount -l ${line.split(" ")[1]}`,
    cgroup: (path) =>
      `[ ! -d ${path} ] || { echo 1 > ${path}/cgroup.kill; for i in $(seq 100); do rmdir ${path} && break; sleep 0.1; done; }`,
    state: (name) => `rm -rf ${stateRoot}/${name}`,
    file: (path) => `rm -rf ${path}`,
  };
  const script = KINDS.flatMap((kind) => {
    const lines = left.filter((line) => line.startsWith(`${kind} `)).toReversed();
    return lines.map((line) => commands[kind](line.slice(kind.length + 1)));
  });
  await guest.output([...script, "true"].join("\n"));
}

describeGuest("killed in restore", () => {
  guestSpec(
    `restore killed at ${KILLS} instants: delete --force leaves nothing under runts; what it leaves under peers is counted`,
    CLAUSE,
    async (sandbox) => {
      const { isRunts, runtime } = sandbox;
      const container = await savedContainer(sandbox);
      const seconds = await durationOfRestore(sandbox, container);
      const kills: KilledRestore[] = [];
      for (let index = 0; index < KILLS; index++) {
        const kill = await killInRestore(sandbox, container, ((index + 1) * seconds) / KILLS);
        if (kill === undefined) continue;
        kills.push(kill);
        await removeLeft(sandbox, kill.left);
      }
      const kindsOf = ({ left }: KilledRestore): ReadonlySet<Kind> =>
        new Set(KINDS.filter((kind) => left.some((line) => line.startsWith(`${kind} `))));
      outcomes.set(isRunts ? RUNTIME : (which(runtime) ?? ""), kills.map(kindsOf));
      expect(kills.some(({ isHalfway }) => isHalfway)).toBe(true);
      if (!isRunts) {
        // On a busy machine a peer's criu makes it even later.
        await removeLeft(sandbox, [`cgroup ${container.cgroup}`]);
        return;
      }
      expect(kills.filter(({ deleted }) => deleted !== "0").map(({ deleted }) => deleted)).toEqual([]);
      expect(kills.flatMap(({ left }) => left)).toEqual([]);
    },
    { timeoutMs: TIMEOUT_MS },
  );
});
