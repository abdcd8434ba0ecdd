/**
 * `node scripts/guest-kernel.mjs`: downloads Debian's kernel for the tests' guests, and apparmor_parser, by apt, and unpacks them into
 * node_modules/.cache/guest-kernel. They are not installed, since that would change the kernel that this machine boots.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { Missing, root, runIn, unpackPackages, which } from "./machine.mjs";

const unpacked = join(root, "node_modules/.cache/guest-kernel");

/** For machines of x86-64. */
export const guestPackages = [
  { name: "qemu-system-x86", program: "qemu-system-x86_64", why: "runs guests that enforce limits" },
  { name: "virtiofsd", file: "/usr/libexec/virtiofsd", why: "gives the guests this host's files" },
  { name: "kmod", program: "depmod", why: "loads kernel modules in the guests" },
  { name: "e2fsprogs", program: "mkfs.ext4", why: "makes a disk that outlives a guest's boot" },
  { name: "secilc", program: "secilc", why: "compiles the SELinux policy of a guest" },
  {
    name: "dbus-user-session",
    file: "/usr/lib/systemd/user/dbus.socket",
    why: "a user's session in a guest with systemd",
  },
];

/**
 * Downloads the kernel unless it is there already, and reports its steps. Returns whether it is there now; tests that need it are skipped
 * otherwise.
 */
export function ensureGuestKernel() {
  if (existsSync(join(unpacked, "usr/sbin/apparmor_parser"))) return true;
  if (process.arch !== "x64" || which("apt-get") === undefined) {
    process.stdout.write("there is no Debian kernel for this machine's guests: their tests are skipped\n");
    return false;
  }
  process.stdout.write("downloading Debian's kernel by apt-get, for the guests only\n");
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
  // This package only depends on that of the newest kernel.
  const name = /^\s*Depends: (linux-image-[0-9]\S*)$/m.exec(
    runIn(directory, "apt-cache", "depends", "linux-image-amd64"),
  );
  if (name === null) throw new Missing("apt-cache knows no linux-image-amd64");
  // apparmor contains apparmor_parser. If it were installed, it would load many profiles on this machine.
  unpackPackages(directory, [name[1], "apparmor"]);
  // depmod and modprobe look for modules in /lib below another root.
  symlinkSync("usr/lib", join(directory, "lib"));
  runIn(directory, "depmod", "--basedir", directory, name[1].slice("linux-image-".length));
}

if (process.argv[1] === import.meta.filename && !ensureGuestKernel()) process.exitCode = 1;
