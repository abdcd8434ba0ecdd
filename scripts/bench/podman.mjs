/** `npm run bench -- --podman`: `podman run` with each runtime. A user of an engine waits for that, and the runtime is a part of it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { which } from "../machine.mjs";
import { makeBundle } from "./bundles.mjs";
import { succeed, time } from "./processes.mjs";
import { alternate } from "./rounds.mjs";

const IMAGE = "localhost/bench:latest";

/**
 * Makes a podman with its own storage, and an image of a root file system; then runs and removes containers of /bin/true, without a
 * network. `paths` has a runtime's path by its name. Returns the samples, in ms.
 */
export function measurePodman({ paths, directory, rounds }) {
  const settings = join(directory, "containers.conf");
  // The machine may lack the controller for a limit of processes.
  writeFileSync(settings, "[containers]\npids_limit = 0\n");
  const env = { CONTAINERS_CONF: settings };
  const folders = ["root", "runroot", "tmpdir"].flatMap((name) => [`--${name}`, join(directory, name)]);
  const quiet = ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"];
  const podman = [which("podman"), ...folders, ...quiet];
  const rootfs = join(makeBundle(join(directory, "bundle"), ["/bin/true"]), "rootfs");
  const archive = join(directory, "image.tar");
  succeed({ argv: ["tar", "-C", rootfs, "-cf", archive, "."] });
  succeed({ argv: [...podman, "import", "--quiet", archive, IMAGE], env });
  const run = ["run", "--rm", "--network", "none", "--log-driver", "none", IMAGE, "/bin/true"];
  const turns = Object.entries(paths).map(([name, path]) => {
    const command = { argv: [...podman, "--runtime", path, ...run], env };
    return [name, () => ({ "podman run": time(command).ms })];
  });
  return alternate(Object.fromEntries(turns), rounds);
}
