import { chownSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, type Mapping, setNamespace } from "../config.ts";
import type { Container } from "../container.ts";
import { giveRootfsTo } from "../rootfs.ts";
import type { Sandbox } from "../sandbox.ts";

/** Ids of a user without privileges whom the host doesn't know, and those that subuid(5) and subgid(5) give to this user. */
export const USER = 1500;
export const SUBIDS = 300_000;

export const OWN: Mapping = { containerID: 0, hostID: USER, size: 1 };
export const RANGE: Mapping = { containerID: 1, hostID: SUBIDS, size: 1000 };

export interface UserOptions {
  /** cgroup that the commands run in. */
  readonly cgroup?: string;
  /** Lines of /etc/subuid and /etc/subgid. */
  readonly subids?: string;
  /** Programs that are not there. */
  readonly without?: readonly string[];
  /** Supplementary groups of the user. */
  readonly groups?: readonly number[];
}

/** Binds the files over, takes the programs away, enters the cgroup, and becomes the user. */
const SCRIPT = `set -eu
database=$1 cgroup=$2 without=$3 groups=$4
shift 4
for file in passwd group subuid subgid; do mount --bind "$database/$file" "/etc/$file"; done
for program in $without; do mount --bind /dev/null "$program"; done
[ -z "$cgroup" ] || echo $$ > "$cgroup/cgroup.procs"
exec setpriv --reuid=${USER} --regid=${USER} $groups -- "$@"`;

/**
 * A command line that runs the words after it as that user. newuidmap(1) wants the user in the databases: they are put over the host's
 * in a mount namespace of each command, so that no file of the host changes.
 */
export function userWrapper(sandbox: Pick<Sandbox, "path">, options: UserOptions = {}): readonly string[] {
  const database = sandbox.path("etc");
  mkdirSync(database, { recursive: true });
  const line = (file: string, text: string): void =>
    writeFileSync(join(database, file), readFileSync(`/etc/${file}`, "utf8") + text);
  line("passwd", `tester:x:${USER}:${USER}::/:/bin/sh\n`);
  line("group", `tester:x:${USER}:\n`);
  for (const file of ["subuid", "subgid"])
    writeFileSync(join(database, file), options.subids ?? `tester:${SUBIDS}:65536\n`);
  const { cgroup = "", without = [], groups = [] } = options;
  const words = [
    ...[database, cgroup, without.join(" ")],
    groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`,
  ];
  return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", SCRIPT, "sh", ...words];
}

/** From here on the sandbox's commands are those of the user, who owns its state root. */
export function becomeUser(sandbox: Sandbox, options: UserOptions = {}): void {
  sandbox.wrapper = userWrapper(sandbox, options);
  mkdirSync(sandbox.root, { recursive: true, mode: 0o700 });
  for (const directory of [sandbox.root, sandbox.temporary]) chownSync(directory, USER, USER);
}

/** Makes the changes of `spec --rootless` to the default config, and leaves the cgroup to the runtime. */
export function rootlessConfig(config: Config, mappings: readonly Mapping[] = [OWN]): void {
  config.linux.namespaces.push({ type: "user" });
  setNamespace(config, "network", undefined);
  config.linux.uidMappings = [...mappings];
  config.linux.gidMappings = [...mappings];
  delete config.linux.resources;
  delete config.linux.cgroupsPath;
  config.mounts = config.mounts.map((mount) => {
    if (mount.destination === "/sys")
      return {
        ...mount,
        type: "none",
        source: "/sys",
        options: ["rbind", "nosuid", "noexec", "nodev", "ro"],
      };
    return mount.options === undefined
      ? mount
      : { ...mount, options: mount.options.filter((option) => !option.startsWith("gid=")) };
  });
  config.root.readonly = false;
}

/** A container of the user's own, whose program is a line of shell. */
export function rootlessShell(
  sandbox: Sandbox,
  script: string,
  mutate: (config: Config) => void = () => undefined,
): Container {
  if (sandbox.wrapper.length === 0) becomeUser(sandbox);
  const container = sandbox.shell(script, (config) => {
    rootlessConfig(config);
    mutate(config);
  });
  giveRootfsTo(container.rootfs, { uid: USER, gid: USER });
  return container;
}

/** The same with a range of further ids. */
export function rangeShell(
  sandbox: Sandbox,
  script: string,
  mutate: (config: Config) => void = () => undefined,
): Container {
  return rootlessShell(sandbox, script, (config) => {
    config.linux.uidMappings = [OWN, RANGE];
    config.linux.gidMappings = [OWN, RANGE];
    mutate(config);
  });
}

/** A directory that belongs to the user. */
export function ownFolder(sandbox: Sandbox): string {
  const folder = sandbox.path("own");
  mkdirSync(folder);
  chownSync(folder, USER, USER);
  return folder;
}

/** A cgroup that belongs to the user: cgroups(7), "Cgroup delegation". */
export function delegatedCgroup(sandbox: Sandbox, name: string, parent = "/sys/fs/cgroup"): string {
  const directory = join(parent, `${sandbox.tag}-${name}`);
  mkdirSync(directory);
  const files = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
  for (const path of [directory, ...files.map((file) => join(directory, file))]) chownSync(path, USER, USER);
  sandbox.settle();
  sandbox.atEnd(() => removeCgroups(directory));
  return directory;
}

const OWN_CGROUP = /z-(user|caller)$/;

/** A cgroup that the runtime has left below can't be removed, and is a trace that fails the test. */
function removeCgroups(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory() && OWN_CGROUP.test(entry.name)) removeCgroups(join(directory, entry.name));
  try {
    rmdirSync(directory);
  } catch {
    // Processes are in it: the sandbox tells which.
  }
}
