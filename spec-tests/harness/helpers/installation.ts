import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { TAG_PREFIX } from "../host/leftovers.ts";
import { IS_RUNTS, PATH, RUNTIME } from "../runtime.ts";

/** Only x86-64 has warm starts: elsewhere, and for other runtimes, their tests say nothing. */
export const HAS_WARM_START = IS_RUNTS && process.arch === "x64";

/** The files that a start needs. The build puts them into one directory. */
const FILES = ["runts", "runts-engine", "koffi.node", "koffi-cxx.so"];

/** For the environment of a command: it starts warm where it can, whatever the tests as a whole do. */
export const WARM = { RUNTS_COLD: "" };
export const COLD = { RUNTS_COLD: "1" };

/** A copy of the runtime under test, in its own directory, that a test may damage. It has no image at first. */
export class Installation {
  readonly directory: string;
  readonly runtime: string;
  readonly image: string;
  readonly #place = mkdtempSync(join(tmpdir(), `${TAG_PREFIX}installation-`));

  constructor(owner = 0) {
    chmodSync(this.#place, 0o755);
    this.directory = join(this.#place, "own");
    this.runtime = join(this.directory, "runts");
    this.image = join(this.directory, "runts-warm");
    mkdirSync(this.directory);
    for (const name of FILES) {
      const from = join(dirname(RUNTIME), name);
      if (!existsSync(from)) continue; // koffi-cxx.so, which not every build has
      copyFileSync(from, join(this.directory, name), constants.COPYFILE_FICLONE);
      chownSync(join(this.directory, name), owner, owner);
    }
    chownSync(this.directory, owner, owner);
  }

  /** Has it write the image, and keeps a copy. */
  warm(): void {
    const { status, stderr } = spawnSync(this.runtime, ["warm"], { encoding: "utf8", env: { PATH } });
    if (status !== 0) throw new Error(`runts warm failed with ${status}: ${stderr}`);
    copyFileSync(this.image, this.#kept, constants.COPYFILE_FICLONE);
    const { atimeMs, mtimeMs } = statSync(this.image);
    utimesSync(this.#kept, atimeMs / 1000, mtimeMs / 1000);
  }

  /** Puts the image back as it was written. */
  restore(): void {
    rmSync(this.image, { recursive: true, force: true });
    copyFileSync(this.#kept, this.image, constants.COPYFILE_FICLONE);
    const { atimeMs, mtimeMs } = statSync(this.#kept);
    utimesSync(this.image, atimeMs / 1000, mtimeMs / 1000);
  }

  remove(): void {
    rmSync(this.#place, { recursive: true, force: true });
  }

  get #kept(): string {
    return join(this.#place, "kept");
  }
}

/** /usr/lib may have no folder to mount on, and belongs to the host: a new one gets all that it has. */
const INSTALL = `set -eu
directory=$1
shift
mount -t tmpfs -o mode=755 none /mnt
for entry in /usr/lib/*; do
  place=/mnt/\${entry##*/}
  if [ -L "$entry" ]; then cp -P "$entry" "$place"; continue; fi
  if [ -d "$entry" ]; then mkdir "$place"; else : > "$place"; fi
  mount --rbind "$entry" "$place"
done
mkdir -p /mnt/runts
mount --bind "$directory" /mnt/runts
mount --move /mnt /usr/lib
exec "$@"`;

/** A wrapper for a command: it finds the directory at /usr/lib/runts, where packages put the runtime. */
export function installedFrom(directory: string): readonly string[] {
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSTALL, "sh", directory];
}

/** Numbers of system calls of x86-64. */
const CALLS = {
  epoll_ctl: 233,
  fcntl: 72,
  ptrace: 101,
  rseq: 334,
  set_robust_list: 273,
  set_tid_address: 218,
  sigaltstack: 131,
} as const;

/** A wrapper for a command: a seccomp filter refuses these calls with EPERM. */
export function withoutCalls(...calls: readonly (keyof typeof CALLS)[]): readonly string[] {
  const EPERM = 1;
  const words = [EPERM, ...calls.map((call) => CALLS[call])].map(String);
  return ["python3", join(import.meta.dirname, "deny-calls.py"), ...words, "--"];
}
