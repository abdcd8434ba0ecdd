/** Has lintian and rpmlint check the packages. What they accept is in packaging/, with reasons. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Missing, root } from "../machine.mjs";

function check(command, args, folder) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Missing(`${command} complains:\n${error?.message ?? `${stdout}${stderr}`}`);
}

export function lint(folder, packages) {
  const ending = (extension) => packages.filter((name) => name.endsWith(extension));
  check(
    "lintian",
    ["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", ...ending(".deb")],
    folder,
  );
  const config = join(root, "packaging/rpm/rpmlint.toml");
  check("rpmlint", ["--strict", "--config", config, ...ending(".rpm")], folder);
}
