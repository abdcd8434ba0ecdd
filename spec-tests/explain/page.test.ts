import { checkReadme } from "../harness/helpers/readme.ts";
import { spec } from "../harness/spec.ts";

/** Hides the cgroups, so that explain assumes all controllers and prints the same everywhere. */
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
      // The number depends on the kernel's capabilities, and on whether it has /proc/kcore.
      stable: (text) => text.replace(/\d+ operations/, "N operations"),
    }),
  { both: "has no such command" },
);
