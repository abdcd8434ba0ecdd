import { checkReadme } from "../harness/helpers/readme.ts";
import { spec } from "../harness/spec.ts";

/** A host without cgroup v2 in the usual place, which a host with all controllers is assumed for: the same output everywhere. */
const NO_CGROUPS = [
  "unshare",
  "--mount",
  "sh",
  "-c",
  'mount -t tmpfs none /sys/fs/cgroup && exec "$@"',
  "sh",
];

spec(
  "explain in the page of the example: prints what the page says",
  "examples/explain",
  (sandbox) =>
    checkReadme(sandbox, "explain", {
      wrapper: NO_CGROUPS,
      // Capabilities and /proc/kcore are the kernel's.
      stable: (text) => text.replace(/\d+ operations/, "N operations"),
    }),
  { both: "has no such command" },
);
