import { type ChildProcess, execFileSync, type StdioOptions, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { IS_RUNTS, RUNTIME, which } from "../runtime.ts";
import { consoleFile, type GuestKernel } from "./kernel.ts";

const INIT = join(import.meta.dirname, "init.sh");
const POLICY = join(import.meta.dirname, "policy.cil");
const QEMU = which("qemu-system-x86_64");
const VIRTIOFSD = "/usr/libexec/virtiofsd";
/** Debian's linux-image-amd64, unpacked there by scripts/guest-kernel.mjs, so that it is not installed on this host. */
const UNPACKED = join(import.meta.dirname, "../../../node_modules/.cache/guest-kernel");

/**
 * A whole machine with Debian's kernel, emulated, which works everywhere and is slow: two processors and two NUMA nodes, all
 * controllers, huge pages, AppArmor, modules. It boots in some ten seconds; a command takes one or two.
 */
export const QEMU_GUEST: GuestKernel = guestWith("qemu");

/** The same with the host's systemd as pid 1 and Debian's own units, among them a user's manager. */
export const SYSTEMD_GUEST: GuestKernel = guestWith("qemu, systemd");

/** The first with SELinux as its only security module, without AppArmor and Landlock: it enforces policy.cil. */
export const SELINUX_GUEST: GuestKernel = guestWith("qemu, SELinux");

type Kind = "qemu" | "qemu, systemd" | "qemu, SELinux";

/** What a machine has for an engine and its containers. */
interface Hardware {
  /** Memory of each of the two NUMA nodes. */
  readonly nodeMegabytes: number;
  /** A tap device of the host, to which the machine's network card is connected. */
  readonly tap?: string;
}

/** Memory for some pods, and a network card: a machine that can be a node of a cluster whose control plane is on the host. */
export function clusterNode(tap: string, kind: Exclude<Kind, "qemu, SELinux">): GuestKernel {
  return guestWith(kind, { nodeMegabytes: 1280, tap });
}

function guestWith(kind: Kind, hardware: Hardware = { nodeMegabytes: 640 }): GuestKernel {
  return {
    name: kind,
    missing: missing(kind),
    systemd: kind === "qemu, systemd",
    start: (exchange) => startMachine(exchange, kind, hardware),
  };
}

function missing(kind: Kind): string | undefined {
  if (process.arch !== "x64") return "the guest is a machine of x86-64";
  if (QEMU === undefined) return "needs qemu-system-x86_64: apt-get install qemu-system-x86";
  if (!existsSync(VIRTIOFSD)) return "needs virtiofsd: apt-get install virtiofsd";
  if (findKernel() === undefined) return `needs a kernel in ${UNPACKED}: node scripts/guest-kernel.mjs`;
  if (kind === "qemu") return undefined;
  if (kind === "qemu, SELinux")
    return which("secilc") === undefined ? "needs secilc: apt-get install secilc" : undefined;
  if (!existsSync("/usr/lib/systemd/systemd")) return "needs systemd: apt-get install systemd";
  return existsSync("/usr/lib/systemd/user/dbus.socket")
    ? undefined
    : "needs users' D-Bus: apt-get install dbus-user-session";
}

function findKernel(): string | undefined {
  try {
    const [name] = readdirSync(join(UNPACKED, "boot")).filter((file) => file.startsWith("vmlinuz-"));
    return name === undefined ? undefined : join(UNPACKED, "boot", name);
  } catch {
    return undefined;
  }
}

/** Kernel parameters. The kernel hands those that it doesn't know to init as variables. */
const PARAMETERS: Readonly<Record<Kind, readonly string[]>> = {
  // Debian's kernel counts pressure only if asked to.
  qemu: ["psi=1"],
  "qemu, systemd": ["pid1=systemd"],
  "qemu, SELinux": ["lsm=selinux", "policy=/run/exchange/policy"],
};

function startMachine(
  exchange: string,
  kind: Kind,
  { nodeMegabytes, tap }: Hardware,
): [ChildProcess, ...ChildProcess[]] {
  const folders = [
    share(exchange, "root", ["--shared-dir=/", "--readonly", "--cache=always"]),
    share(exchange, "exchange", [`--shared-dir=${exchange}`, "--cache=auto"]),
  ];
  const kernel = [
    ...["console=ttyS0", "quiet", "panic=-1", "mitigations=off", "root=root", "rootfstype=virtiofs", "ro"],
    ...["hugepages=16", `init=${INIT}`, `modules=${UNPACKED}`, `exchange=${exchange}`],
    ...PARAMETERS[kind],
    ...(IS_RUNTS && !process.env.RUNTS_COLD ? [`warm=${dirname(RUNTIME)}`] : []),
  ];
  const args = [
    ...["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2"],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    // ttyS0 is the console. Commands go over ttyS1: a message of the kernel's may stand in the middle of a line of the console.
    ...["-serial", `file:${consoleFile(exchange)}`, "-serial", "stdio"],
    ...[0, 1].flatMap((node) => [
      ...["-object", `memory-backend-memfd,id=node${node},size=${nodeMegabytes}M,share=on`],
      ...["-numa", `node,nodeid=${node},memdev=node${node},cpus=${node}`],
    ]),
    ...["-m", `${2 * nodeMegabytes}M`],
    ...(tap === undefined ? [] : networkCard(tap)),
    ...folders.flatMap(({ device }) => device),
    ...["-kernel", findKernel() ?? "", "-append", kernel.join(" ")],
  ];
  if (kind === "qemu, SELinux") compilePolicy(join(exchange, "policy"));
  const wait = waitForServers(folders.map(({ path }) => path));
  const machine = start([...wait, QEMU ?? "", ...args], ["pipe", "pipe", "pipe"]);
  return [machine, ...folders.map(({ server }) => server)];
}

/** Into the form that the kernel loads, of a version that it knows. Categories need MLS. */
function compilePolicy(file: string): void {
  const flags = ["--mls", "true", "--policyvers", "33", "--filecontext", "/dev/null"];
  execFileSync("secilc", [...flags, "--output", file, POLICY]);
}

/** Ends with this process, however that ends, and not by a Ctrl-C, which would come too early. */
function start(command: readonly string[], stdio: StdioOptions): ChildProcess {
  return spawn("setpriv", ["--pdeathsig", "KILL", ...command], { stdio, detached: true });
}

/** A folder of this host for the guest. */
function share(exchange: string, tag: string, flags: readonly string[]) {
  const path = join(exchange, `${tag}.socket`);
  const args = [`--socket-path=${path}`, "--sandbox=none", "--log-level=error", ...flags];
  const server = start([VIRTIOFSD, ...args], ["ignore", "ignore", "inherit"]);
  const chardev = ["-chardev", `socket,id=${tag},path=${path}`];
  const device = [...chardev, "-device", `vhost-user-fs-pci,chardev=${tag},tag=${tag}`];
  return { server, path, device };
}

function networkCard(tap: string): string[] {
  const netdev = ["-netdev", `tap,id=card,ifname=${tap},script=no,downscript=no`];
  return [...netdev, "-device", "virtio-net-pci,netdev=card"];
}

/** qemu does not wait for its servers. proc_net_unix(5): a listening socket has the flag __SO_ACCEPTCON. */
function waitForServers(paths: readonly string[]): string[] {
  const listens = (path: string) =>
    `until grep -q ' 00010000 .* ${path}$' /proc/net/unix; do sleep 0.05; done`;
  return ["sh", "-c", `${paths.map(listens).join("; ")}; exec "$@"`, "sh"];
}
