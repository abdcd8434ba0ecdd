/** Runs the words after it with these files open, by number, and no other of the first descriptors: a test run may have inherited some. */
export function withOpen(files: Readonly<Record<number, string>>, env = ""): string[] {
  const open = Object.entries(files).map(([fd, path]) => `${fd}<${path}`);
  const script = `for ((fd = 3; fd < 100; fd++)); do eval "exec $fd<&-"; done; exec ${open.join(" ")}`;
  return ["bash", "-c", `${script}; ${env} exec "$@"`, "bash"];
}
