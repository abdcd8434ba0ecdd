import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Machine } from "./machine.ts";

/**
 * The versions of runts that the tests install: `older` is 0.1.0, `current` the sources at hand, and `newer` the same as a version whose
 * records have a newer format.
 */
export type Version = "older" | "current" | "newer";

/** What scripts/test-package.mjs has prepared. */
const { PACKAGE_TEST_PACKAGES = "", PACKAGE_TEST_ROOTS = "" } = process.env;

/** A package manager with a machine that it manages. */
export abstract class System {
  readonly machine: Machine;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Whether installing the package brings what it recommends, such as criu. */
  abstract readonly installsRecommended: boolean;
  /** How the package file's name ends. */
  protected abstract readonly ending: string;
  protected abstract installCommand(file: string): readonly string[];
  protected abstract downgradeCommand(file: string): readonly string[];
  /** Removes the package with its settings. */
  protected abstract readonly removeCommand: readonly string[];
  /** Prints each file that is not as the package has it. */
  protected abstract readonly verifyCommand: readonly string[];

  /** Installs what the package depends on, and what it recommends. */
  abstract installDependencies(): Promise<void>;

  /** Installs a version, in the place of an older one if there is one. Returns what the package manager says on standard error. */
  install(version: Version): Promise<string> {
    return this.#manage(this.installCommand(this.#give(version)));
  }

  downgrade(version: Version): Promise<string> {
    return this.#manage(this.downgradeCommand(this.#give(version)));
  }

  remove(): Promise<string> {
    return this.#manage(this.removeCommand);
  }

  /** Updates libseccomp, or does what tells the package of runts so. */
  abstract updateLibrary(): Promise<void>;

  /** Lists the files that are not as the package has them. */
  async changedFiles(): Promise<string> {
    return (await this.machine.run(this.verifyCommand)).stdout;
  }

  async #manage(command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.machine.run(command);
    if (code !== 0) throw new Error(`${command.join(" ")} exits with ${code}:\n${stdout}${stderr}`);
    return stderr;
  }

  #give(version: Version): string {
    return this.machine.give(packageFile(version, this.ending));
  }
}

export function packageFile(version: Version, ending: string): string {
  const folder = join(PACKAGE_TEST_PACKAGES, version);
  const [name, ...others] = readdirSync(folder).filter((entry) => entry.endsWith(ending));
  if (name === undefined || others.length > 0) throw new Error(`${folder} has no or many files *${ending}`);
  return join(folder, name);
}

const DEB_ENDING: Readonly<Record<string, string>> = { x64: "_amd64.deb", arm64: "_arm64.deb" };
const RPM_ENDING: Readonly<Record<string, string>> = { x64: ".x86_64.rpm", arm64: ".aarch64.rpm" };

const APT = ["apt-get", "-qq", "-y", "-o", "Dpkg::Use-Pty=0"];

class Debian extends System {
  readonly installsRecommended = true;
  protected readonly ending = DEB_ENDING[process.arch] ?? "";
  protected readonly removeCommand = [...APT, "purge", "runts"];
  protected readonly verifyCommand = ["dpkg", "--verify", "runts"];

  protected installCommand(file: string): readonly string[] {
    return [...APT, "install", file];
  }

  protected downgradeCommand(file: string): readonly string[] {
    return [...APT, "--allow-downgrades", "install", file];
  }

  async installDependencies(): Promise<void> {
    const file = packageFile("current", this.ending);
    const needed = execFileSync("dpkg-deb", ["--field", file, "Depends", "Recommends"], { encoding: "utf8" });
    const lists = needed
      .trim()
      .split("\n")
      .map((line) => line.replace(/^\w+: /, ""));
    await this.machine.output([...APT, "satisfy", ...lists]);
  }

  async updateLibrary(): Promise<void> {
    await this.machine.output([...APT, "install", "--reinstall", "libseccomp2"]);
  }
}

/**
 * A system whose packages rpm manages, as close as it can be had without a repository of RPMs: Debian with Debian's rpm. What dpkg has
 * installed is known to rpm by rpm-system.sh, so that it resolves the dependencies of runts.
 */
class Rpm extends System {
  readonly installsRecommended = false;
  protected readonly ending = RPM_ENDING[process.arch] ?? "";
  protected readonly removeCommand = ["rpm", "--erase", "runts"];
  protected readonly verifyCommand = ["rpm", "--verify", "runts"];

  protected installCommand(file: string): readonly string[] {
    return ["rpm", "--upgrade", file];
  }

  protected downgradeCommand(file: string): readonly string[] {
    return ["rpm", "--upgrade", "--oldpackage", file];
  }

  /** The machine has them already, and rpm installs none. */
  async installDependencies(): Promise<void> {}

  /** dpkg has the real library, so a package of the tests brings a link to it where distributions with rpm have theirs. */
  async updateLibrary(): Promise<void> {
    await this.#runScript("rpm-library.sh");
  }

  async describeSystem(): Promise<void> {
    await this.#runScript("rpm-system.sh");
  }

  async #runScript(name: string): Promise<void> {
    await this.machine.output(["sh", this.machine.give(join(import.meta.dirname, name))]);
  }
}

export interface SystemKind {
  readonly name: string;
  /** Starts a machine with the system alone, with podman and buildah, or with systemd as its pid 1. */
  start(system: Kind): Promise<System>;
}

type Kind = "bare" | "engines" | "systemd";

function startMachine(release: string, root: string, kind: Kind): Promise<Machine> {
  return Machine.start(join(PACKAGE_TEST_ROOTS, release), root, kind === "systemd" ? "systemd" : "shell");
}

function debian(release: string): SystemKind {
  return {
    name: `Debian ${release}`,
    start: async (kind) => new Debian(await startMachine(release, kind, kind)),
  };
}

function rpm(release: string): SystemKind {
  return {
    name: `rpm of Debian ${release}`,
    start: async (kind) => {
      const root = kind === "systemd" ? "rpm-systemd" : "rpm";
      const system = new Rpm(await startMachine(release, root, kind));
      await system.describeSystem();
      return system;
    },
  };
}

export const SYSTEMS: readonly SystemKind[] = [
  debian("trixie"),
  debian("forky"),
  rpm("trixie"),
  rpm("forky"),
];
