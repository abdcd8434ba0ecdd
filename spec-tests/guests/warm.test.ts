import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect } from "vitest";
import { BOOT_MS, Guest } from "../harness/guests/guest.ts";
import { SYSTEMD_GUEST } from "../harness/guests/qemu.ts";
import { GuestSandbox } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { RUNTIME } from "../harness/runtime.ts";

const UNIT = join(import.meta.dirname, "../../examples/systemd/runts-warm.service");
/** The folder that the unit names, and one that the guest, whose /usr is the host's, can make. */
const PACKAGED = "/usr/lib/runts";
const INSTALLED = "/opt/runts/dist";
const UNITS = "/run/guest/system";
const FILES = ["runts", "runts-engine", "koffi.node", "koffi-cxx.so", "runts-warm"];
/** The disk image in the exchange folder, which is moved to the next guest. */
const DISK = "disk";
/** `runts warm` takes long on an emulated CPU. */
const WARM_MS = 180_000;

/** There is no image if the host has no warm start itself. */
const OTHER_BOOT = /^cold: (the image is of another boot$|there is no image)/;

const SHOW = `
grep -E '^(Groups|Umask|NoNewPrivs|Seccomp|Cap|SigBlk|SigIgn|SigCgt|Cpus_allowed)' /proc/self/status
cat /proc/self/limits /proc/self/oom_score_adj; cut -d ' ' -f 4- /proc/self/mountinfo
echo /proc/$$/fd/*; env; umask; hostname; pwd
`;

/** Makes a disk image with an installation. Its memory image is the host's, so that it belongs to another boot than the guest's. */
function makeDisk(guest: Guest): void {
  const folder = join(guest.exchange, "installation");
  mkdirSync(folder);
  for (const file of FILES.map((name) => join(dirname(RUNTIME), name)))
    if (existsSync(file)) cpSync(file, join(folder, basename(file)), { preserveTimestamps: true });
  execFileSync("mkfs.ext4", ["-q", "-d", folder, join(guest.exchange, DISK), "320M"]);
  rmSync(folder, { recursive: true });
}

/** Mounts the disk, and installs and enables the unit: multi-user.target wants it. */
async function install(guest: Guest): Promise<void> {
  const wants = `${UNITS}/multi-user.target.wants`;
  await guest.output(
    `mount -t tmpfs tmpfs /opt; mkdir -p ${INSTALLED} ${wants}; /usr/sbin/modprobe -d "$modules" -a loop ext4; ` +
      `mount -o loop /run/exchange/${DISK} ${INSTALLED}; ` +
      `sed s:${PACKAGED}:${INSTALLED}: ${UNIT} > ${UNITS}/${basename(UNIT)}; ln -s ../runts-warm.service ${wants}; ` +
      `printf '[Unit]\\nDescription=Multi-User System\\n' > ${UNITS}/multi-user.target; systemctl daemon-reload`,
  );
}

async function uninstall(guest: Guest): Promise<void> {
  await guest.output(
    `rm -r ${UNITS}/multi-user.target.wants ${UNITS}/multi-user.target ${UNITS}/runts-warm.service; ` +
      `systemctl daemon-reload; umount ${INSTALLED}; umount /opt`,
  );
}

/** Reaches multi-user.target, as a boot does. The target waits for the end of the unit. */
async function reachMultiUser(guest: Guest): Promise<void> {
  await guest.output("systemctl start multi-user.target", WARM_MS);
  const shown = await guest.output("systemctl show runts-warm.service --property=Result,ExecMainStatus");
  expect(shown.split("\n").sort()).toEqual(["ExecMainStatus=0", "Result=success"]);
}

/** The surroundings that a container sees after a warm and after a cold start. */
async function showContainers(sandbox: GuestSandbox): Promise<{ warm: string; cold: string }> {
  const shown = () => sandbox.limited(SHOW, {}).output();
  const warm = await shown();
  sandbox.wrapper = ["env", "RUNTS_COLD=1"];
  const cold = await shown();
  sandbox.wrapper = [];
  return { warm, cold };
}

async function withInstalled(guest: Guest, body: (sandbox: GuestSandbox) => Promise<void>): Promise<void> {
  const sandbox = new GuestSandbox(guest, { name: "runts-installed", path: `${INSTALLED}/runts` });
  await install(guest);
  await sandbox.open();
  let left: string;
  try {
    await body(sandbox);
  } finally {
    left = await sandbox.close();
  }
  expect(left).toBe("");
  await uninstall(guest);
}

async function check(sandbox: GuestSandbox): Promise<string> {
  const { stdout, stderr } = await sandbox.invoke(["warm", "--check"]);
  expect(stderr).toBe("");
  return stdout.trim();
}

describeGuest(
  "runts-warm.service",
  () => {
    guestSpec(
      "runts-warm.service: starts are warm once it has run, and cold after a reboot until it runs again",
      "promise: warm start",
      async ({ guest, isRunts }) => {
        if (!isRunts) return;
        makeDisk(guest);
        await withInstalled(guest, async (sandbox) => {
          expect(await check(sandbox)).toMatch(OTHER_BOOT);
          await reachMultiUser(guest);
          expect(await check(sandbox)).toBe(`warm: ${INSTALLED}/runts-warm`);
          const { warm, cold } = await showContainers(sandbox);
          expect(warm).toBe(cold);
        });
        const next = await Guest.boot(SYSTEMD_GUEST);
        try {
          renameSync(join(guest.exchange, DISK), join(next.exchange, DISK));
          await withInstalled(next, async (sandbox) => {
            expect(await check(sandbox)).toMatch(OTHER_BOOT);
            expect(await sandbox.limited("echo cold", {}).output()).toBe("cold");
            await reachMultiUser(next);
            expect(await check(sandbox)).toBe(`warm: ${INSTALLED}/runts-warm`);
            expect(await sandbox.limited("echo warm", {}).output()).toBe("warm");
          });
        } finally {
          await next.stop();
        }
      },
      // It writes an image twice, and boots another guest in between.
      { timeoutMs: 2 * WARM_MS + 2 * BOOT_MS },
    );
  },
  SYSTEMD_GUEST,
);
