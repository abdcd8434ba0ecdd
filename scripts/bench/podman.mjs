/** `podman run` with each runtime: what a user of an engine waits for, of which the runtime is a part. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Missing } from "./machine.mjs";

const IMAGE = "localhost/bench:latest";

export const podmanPackage = {
  name: "podman",
  program: "podman",
  needed: true,
  why: "podman run is measured",
};

/**
 * Makes a podman with storage of its own, and an image of a root file system. Returns, by the runtime's name, the command that runs and
 * removes a container of /bin/true, without a network.
 */
export function podmanCommands(directory, rootfs, paths) {
  const settings = join(directory, "containers.conf");
  // The machine may lack the controller for a limit of processes.
  writeFileSync(settings, "[containers]\npids_limit = 0\n");
  const folders = ["root", "runroot", "tmpdir"].flatMap((name) => [`--${name}`, join(directory, name)]);
  const quiet = ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"];
  const podman = ["env", `CONTAINERS_CONF=${settings}`, "podman", ...folders, ...quiet];
  const archive = join(directory, "image.tar");
  succeed("tar", "-C", rootfs, "-cf", archive, ".");
  succeed(...podman, "import", "--quiet", archive, IMAGE);
  const run = ["run", "--rm", "--network", "none", "--log-driver", "none", IMAGE, "/bin/true"];
  return Object.fromEntries(
    Object.entries(paths).map(([name, path]) => [name, [...podman, "--runtime", path, ...run]]),
  );
}

function succeed(file, ...args) {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: "utf8" });
  if (status !== 0) throw new Missing(`${file} ${args.join(" ")} failed:\n${stdout}${stderr}`);
}
