/**
 * `node scripts/guest-kernel.mjs`: Debian's kernel for the guests of the tests, and what loads AppArmor profiles into it,
 * downloaded by apt and unpacked into node_modules/.cache/guest-kernel. Not installed: that would change which kernel this
 * machine boots.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { Missing, root, runIn, unpackPackages, which } from "./machine.mjs";

const unpacked = join(root, "node_modules/.cache/guest-kernel");

/** For machines of x86-64. */
export const guestPackages = [
  { name: "qemu-system-x86", program: "qemu-system-x86_64", why: "guests that enforce limits" },
  { name: "virtiofsd", file: "/usr/libexec/virtiofsd", why: "the guests see this host's files" },
  { name: "kmod", program: "depmod", why: "the guests load modules of their kernel" },
  { name: "e2fsprogs", program: "mkfs.ext4", why: "a disk that outlives a guest's boot" },
  { name: "secilc", program: "secilc", why: "compiles the SELinux policy of a guest" },
  {
    name: "dbus-user-session",
    file: "/usr/lib/systemd/user/dbus.socket",
    why: "a user's session in a guest with systemd",
  },
];

/** Whether it is there now. Says what it does and what is missing: the tests that need the kernel are skipped without. */
export function ensureGuestKernel() {
  if (existsSync(join(unpacked, "usr/sbin/apparmor_parser"))) return true;
  if (process.arch !== "x64" || which("apt-get") === undefined) {
    process.stdout.write("there is no Debian kernel for this machine's guests: their tests are skipped\n");
    return false;
  }
  process.stdout.write("downloading Debian's kernel by apt-get, for guests alone\n");
  mkdirSync(dirname(unpacked), { recursive: true });
  const directory = mkdtempSync(`${unpacked}-`);
  try {
    unpackKernel(directory);
    rmSync(unpacked, { recursive: true, force: true });
    renameSync(directory, unpacked);
    return true;
  } catch (error) {
    process.stdout.write(`${error.message}: the tests in guests are skipped\n`);
    rmSync(directory, { recursive: true, force: true });
    return false;
  }
}

function unpackKernel(directory) {
  // The package of this name has nothing but a dependency on the newest kernel.
  const name = /^\s*Depends: (linux-image-[0-9]\S*)$/m.exec(
    runIn(directory, "apt-cache", "depends", "linux-image-amd64"),
  );
  if (name === null) throw new Missing("apt-cache knows no linux-image-amd64");
  // apparmor has what loads profiles, and would load many if it were installed.
  unpackPackages(directory, [name[1], "apparmor"]);
  // Where depmod and modprobe look for modules below another root.
  symlinkSync("usr/lib", join(directory, "lib"));
  runIn(directory, "depmod", "--basedir", directory, name[1].slice("linux-image-".length));
}

if (process.argv[1] === import.meta.filename && !ensureGuestKernel()) process.exitCode = 1;
