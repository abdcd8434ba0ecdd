// A sandbox for a test suite: the host's programs, read-only, and nothing else of the host. No network, no other processes.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { defaultConfig, run } from "runts";

/** @param {string[]} args */
async function sandboxed(...args) {
  const bundle = mkdtempSync("/tmp/sandbox-");
  mkdirSync(`${bundle}/rootfs`);
  const config = defaultConfig();
  Object.assign(config.process, { args, terminal: false });
  for (const path of ["/usr", "/bin", "/lib", "/lib64"].filter((name) => existsSync(name)))
    config.mounts.push({ destination: path, source: path, type: "bind", options: ["rbind", "ro"] });
  return run({ id: bundle.slice("/tmp/".length), bundle, config }).finally(() =>
    rmSync(bundle, { recursive: true }),
  );
}

console.log(await sandboxed("sh", "-c", "id -u; ls /; hostname"));
console.log(await sandboxed("sh", "-c", "echo $$; touch /usr/x || exit 7"));
