/** Makes the packages a second time, with everything different that must not matter, and compares. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Missing, root, runIn } from "../machine.mjs";

/** nobody */
const OTHER_USER = 65534;

/** Copies the sources, with changes that are not committed yet. */
export function copySources(copy) {
  const listed = runIn(root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard");
  const removed = new Set(runIn(root, "git", "ls-files", "-z", "--deleted").split("\0"));
  for (const path of listed.split("\0").filter((name) => name !== "" && !removed.has(name))) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    cpSync(join(root, path), join(copy, path), { verbatimSymlinks: true });
  }
}

function copyModules(copy) {
  const parts = "node_modules/.cache/packages/parts";
  const isOther = (path) => path.startsWith(join(root, "node_modules/.cache"));
  cpSync(join(root, "node_modules"), join(copy, "node_modules"), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !isOther(path),
  });
  if (existsSync(join(root, parts))) cpSync(join(root, parts), join(copy, parts), { recursive: true });
}

function giveAway(folder) {
  for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" }))
    lchownSync(join(folder, path), OTHER_USER, OTHER_USER);
  lchownSync(folder, OTHER_USER, OTHER_USER);
}

/**
 * The other build is in another folder, later, with another umask, time zone and language, and by another user if this one is root. Its
 * sources have the times of the copy. Fails with the names of the packages that differ.
 */
export function checkReproducible({ output, epoch, architectures }) {
  const folder = mkdtempSync(join(tmpdir(), "runts-built-again-"));
  try {
    const copy = join(folder, "a/deeper/folder");
    copySources(copy);
    copyModules(copy);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) giveAway(folder);
    const script = `umask 027; exec "$0" scripts/package.mjs --no-lint ${architectures.map((arch) => `--arch ${arch}`).join(" ")}`;
    const { status, stdout, stderr } = spawnSync("sh", ["-c", script, process.execPath], {
      cwd: copy,
      encoding: "utf8",
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        SOURCE_DATE_EPOCH: `${epoch}`,
        TZ: "Asia/Kolkata",
        LANG: "C.UTF-8",
      },
      ...(isRoot && { uid: OTHER_USER, gid: OTHER_USER }),
    });
    if (status !== 0) throw new Missing(`the packages could not be made again:\n${stdout}${stderr}`);
    const [first, second] = [output, join(copy, "packages")].map((path) =>
      readFileSync(join(path, "SHA256SUMS"), "utf8").trim().split("\n"),
    );
    const different = first.filter((line) => !second.includes(line)).map((line) => line.split("  ")[1]);
    if (different.length > 0 || first.length !== second.length)
      throw new Missing(`another build gives another result: ${different.join(" ")}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
