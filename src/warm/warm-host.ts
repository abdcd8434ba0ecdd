import type { Kernel } from "../../bindings/ffi/syscall.ts";
import { Names } from "../explain/names.ts";
import { Recorder } from "../explain/operation.ts";
import { SimulatedKernel } from "../explain/simulation/kernel.ts";
import { SimulatedStubs } from "../explain/simulation/stubs.ts";
import { simulateSystemd } from "../explain/simulation/systemd.ts";
import { ContainerView } from "../inspect/container-view.ts";
import { sandboxSeccomp } from "../sandbox/seccomp.ts";
import { cacheDirectory, cacheKey } from "../seccomp/cache.ts";
import { parseConfig, readConfig } from "../spec/config.ts";
import { type ConfigInput, inputText } from "../spec/config-input.ts";
import {
  BOUND_FILES,
  filtered,
  hooked,
  inScope,
  NETWORK,
  rootful,
  rootless,
  unprivileged,
  usualProcess,
  withTerminal,
} from "./containers.ts";
import { NoHost, PID } from "./no-host.ts";
import { WarmStubs } from "./warm-stubs.ts";

export const ROOT = "/run/warm";
export const CONSOLE_SOCKET = "/run/console.sock";
/** A user without privileges. */
export const USER = 1000;
export const LOG = "/run/warm.log";
export const BUNDLES = "/var/lib/warm";
/** A directory that a sandbox works in. */
export const WORK = "/var/lib/work";
const LIBSECCOMP = "/usr/lib/libseccomp.so.2";

/** Directories of which everything below is defined here. */
const TOP = ["/", "/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/var", "/var/lib", "/tmp"];
const NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/** Files that the runtime reads about its host and its own process. */
const FILES: Readonly<Record<string, string>> = {
  "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
  "/proc/self/status": "Umask:\t0022\nSigIgn:\t0000000000000000\nCapPrm:\t000001ffffffffff\n",
  "/proc/self/uid_map": "         0          0 4294967295\n",
  "/proc/self/gid_map": "         0          0 4294967295\n",
  "/proc/self/setgroups": "allow\n",
  "/proc/self/cgroup": "0::/warm\n",
  "/proc/self/mountinfo": [
    "21 1 0:20 / / rw - ext4 /dev/vda rw",
    "22 21 0:21 / /proc rw - proc proc rw",
    "23 21 0:22 / /sys rw - sysfs sysfs rw",
    "24 23 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
    "",
  ].join("\n"),
  "/proc/self/maps": `7f0000000000-7f0000001000 r-xp 00000000 00:14 1 ${LIBSECCOMP}\n`,
  "/proc/self/exe": "",
  "/proc/kcore": "",
  "/sys/module/apparmor/parameters/enabled": "Y\n",
  "/proc/sys/kernel/cap_last_cap": "40\n",
  "/proc/sys/kernel/osrelease": "6.1.0\n",
  "/proc/sys/kernel/version": "#1 SMP\n",
  "/etc/ld.so.cache": "",
  [LIBSECCOMP]: "",
};

const DEVICES = { null: "1:3", zero: "1:5", full: "1:7", random: "1:8", urandom: "1:9", tty: "5:0" };

/** /proc/PID/stat of the process itself: proc_pid_stat(5). */
const OWN_STAT = `1 (runts) S ${"0 ".repeat(18)}1 0 0`;

const BUNDLE_CONFIGS: Readonly<Record<string, Partial<ConfigInput>>> = {
  rootful: rootful("rootful"),
  filtered: filtered("filtered"),
  rootless: rootless("rootless"),
  hooked: hooked("hooked"),
  scope: inScope("scope"),
  terminal: withTerminal("terminal"),
  unprivileged: unprivileged("unprivileged", USER),
  invalid: { ociVersion: "1.2.0" },
};

/** A host in memory, with bundles like those of engines. */
export class WarmHost {
  readonly #names = new Names();
  readonly #noHost: NoHost;
  readonly #kernel: SimulatedKernel;
  readonly stubs: WarmStubs;
  readonly endSystemd: () => void;
  readonly call: Kernel;

  /** `uid` is the user that calls the runtime there. */
  constructor(uid: number) {
    this.#noHost = new NoHost(uid);
    const names = this.#names;
    const recorder = new Recorder();
    recorder.keeps = false;
    const kernel = new SimulatedKernel(names, () => undefined, false, this.#noHost.call);
    this.#kernel = kernel;
    this.call = kernel.call;
    this.#makeFiles(uid);
    kernel.processes.ownNamespaces = new Set(NAMESPACES.filter((name) => name !== "user"));
    kernel.processes.maps = { uid: "0 0 4294967295\n", gid: "0 0 4294967295\n" };
    const view = new ContainerView({ ociVersion: "1.2.0", root: { path: "/" } }, BUNDLES, undefined);
    this.stubs = new WarmStubs(new SimulatedStubs(names, recorder, kernel, view), kernel);
    this.endSystemd = simulateSystemd("system", recorder, kernel, "/");
  }

  #makeFiles(uid: number): void {
    const { files } = this.#kernel;
    files.assumesCgroups = true;
    files.readHost = () => "";
    files.owner = uid;
    const directories = [
      ...TOP,
      BUNDLES,
      WORK,
      ...Object.keys(BUNDLE_CONFIGS).map((name) => `${BUNDLES}/${name}`),
    ];
    for (const path of directories) files.make(path, "directory");
    files.make(`${BUNDLES}/new`, "directory");
    for (const [path, content] of Object.entries(FILES)) files.make(path, "file", content);
    files.make(`/proc/${PID}/stat`, "file", OWN_STAT);
    for (const [name, numbers] of Object.entries(DEVICES)) files.make(`/dev/${name}`, "device", numbers);
    files.make(NETWORK, "file");
    files.make("/sys/fs/selinux", "directory");
    files.make(CONSOLE_SOCKET, "socket");
    for (const path of BOUND_FILES) files.make(path, "file");
    for (const name of NAMESPACES)
      for (const process of ["self", "thread-self"])
        files.make(`/proc/${process}/ns/${name}`, "link", `${name}:[1]`);
    for (const [name, config] of Object.entries(BUNDLE_CONFIGS)) {
      const bundle = `${BUNDLES}/${name}`;
      files.make(`${bundle}/rootfs`, "directory");
      files.make(`${bundle}/config.json`, "file", JSON.stringify(config));
      files.make(`${bundle}/process.json`, "file", JSON.stringify(config.process ?? usualProcess()));
    }
  }

  /** Puts the compiled filters into the cache, as earlier containers would have. */
  async cacheFilter(): Promise<void> {
    await import("../seccomp/compile.ts");
    const { storeFilter } = await import("../seccomp/cache-store.ts");
    const config = filtered("sandbox");
    const sandbox = { ...config, linux: { ...config.linux, seccomp: sandboxSeccomp(process.arch) } };
    const profiles = [
      readConfig(`${BUNDLES}/filtered`),
      parseConfig(inputText(sandbox, "sandbox"), "sandbox"),
    ];
    this.#kernel.files.make(ROOT, "directory", "", 0o700);
    for (const { linux } of profiles) {
      if (linux?.seccomp === undefined) throw new Error("warm-up: a config has lost its filter");
      const filter = new Uint8Array(8);
      storeFilter(cacheDirectory(ROOT), cacheKey(linux.seccomp), { filter, flags: 0, notifies: false }, []);
    }
  }

  takeErrors(): string {
    return this.#noHost.takeErrors();
  }

  /** Throws if a command has left a descriptor open, except that of its log, which normally stays open until the process exits. */
  checkClosed(): void {
    const left = this.#kernel.open.descriptors.filter((fd) => this.#kernel.pathOf(fd) !== LOG);
    const names = left.map((fd) => this.#names.named(String(fd)));
    if (left.length > 0) throw new Error(`warm-up: still open: ${names.join(", ")}`);
  }
}
