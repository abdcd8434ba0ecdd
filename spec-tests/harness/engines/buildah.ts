import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { archiveBaseRootfs } from "../rootfs.ts";
import { type Result, RUNTIME } from "../runtime.ts";
import { type Check, type Engine, engineTests, lines, runCommand } from "./engine.ts";

/** Made of the tests' rootfs. */
export const IMAGE = "localhost/spec-test:latest";

export function buildahTests(): Check<Buildah> {
  return engineTests({
    who: "buildah",
    programs: { buildah: "buildah" },
    open: async () => {
      const engine = new Buildah();
      await engine.open();
      return engine;
    },
  });
}

/** buildah with its own storage. Its containers have no network, and processes only while something runs in them. */
export class Buildah implements Engine {
  readonly directory = mkdtempSync(join(tmpdir(), "rspec-buildah-"));

  async open(): Promise<void> {
    chmodSync(this.directory, 0o755); // containers in user namespaces reach their rootfs through it
    for (const folder of ["home", "tmp"]) mkdirSync(join(this.directory, folder));
    // buildah's own limits are higher than these machines', which no runtime can raise there.
    const limits = 'pids_limit = 0\ndefault_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]\n';
    writeFileSync(join(this.directory, "containers.conf"), `[containers]\nnetns = "none"\n${limits}`);
    writeFileSync(join(this.directory, "storage.conf"), '[storage]\ndriver = "vfs"\n');
    const archive = archiveBaseRootfs(this.directory);
    await this.succeed("from", "--name", "base", "scratch");
    await this.succeed("add", "--quiet", "base", archive, "/");
    await this.succeed("config", "--cmd", "sh", "--env", "PATH=/bin", "base");
    await this.succeed("commit", "--quiet", "base", IMAGE);
    await this.succeed("rm", "base");
  }

  /** A file in the tests' folder, and its path. */
  write(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    return path;
  }

  call(...args: readonly string[]): Promise<Result> {
    return this.#command(["buildah", ...this.#globals(), ...args]);
  }

  onTerminal(...args: readonly string[]): Promise<Result> {
    const words = ["python3", join(import.meta.dirname, "../helpers/on-terminal.py"), "buildah"];
    return this.#command([...words, ...this.#globals(), ...args]);
  }

  /** One command in a working container, by the runtime under test. */
  run(flags: readonly string[], container: string, ...command: readonly string[]): Promise<Result> {
    return this.call(...this.runWords(flags, container, ...command));
  }

  runWords(flags: readonly string[], container: string, ...command: readonly string[]): string[] {
    return ["run", "--isolation", "oci", "--runtime", RUNTIME, ...flags, "--", container, ...command];
  }

  /** `buildah build` of a Containerfile, whose RUN steps are the runtime's under test. */
  build(tag: string, containerfile: string, ...flags: readonly string[]): Promise<Result> {
    const file = this.write("Containerfile", containerfile);
    const options = ["--isolation", "oci", "--runtime", RUNTIME, "--file", file, "--tag", tag];
    return this.call("build", ...options, ...flags, this.directory);
  }

  /** Runs a command that has to succeed. Returns its output. */
  async succeed(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(...args);
    if (code !== 0) throw new Error(`buildah ${args.join(" ")}: exit code ${code}: ${stderr}`);
    return stdout;
  }

  async left(): Promise<string[]> {
    const { stdout } = await this.call("containers", "--quiet");
    return lines(stdout);
  }

  async clear(): Promise<void> {
    await this.call("rm", "--all");
  }

  async close(): Promise<void> {
    await this.clear();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #globals(): string[] {
    const path = (name: string): string => join(this.directory, name);
    return ["--root", path("root"), "--runroot", path("run"), "--storage-driver", "vfs"];
  }

  #command(command: readonly string[]): Promise<Result> {
    return runCommand(command, {
      env: {
        HOME: join(this.directory, "home"),
        TMPDIR: join(this.directory, "tmp"),
        CONTAINERS_CONF: join(this.directory, "containers.conf"),
        CONTAINERS_STORAGE_CONF: join(this.directory, "storage.conf"),
      },
    });
  }
}
