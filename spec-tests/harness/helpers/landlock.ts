import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config.ts";
import type { Container } from "../container.ts";
import type { Sandbox } from "../sandbox.ts";
import { addProgram } from "./c-program.ts";

export const ANNOTATION = "run.runts.landlock";
export const POINTER = `/annotations/${ANNOTATION}`;
export const NO_PEER = { both: "takes no Landlock rules" };

const SOURCE = readFileSync(join(import.meta.dirname, "landlock-probe.c"), "utf8");

export interface Rules {
  readonly handledAccess: {
    readonly handledAccessFS?: readonly string[];
    readonly handledAccessNetwork?: readonly string[];
    readonly scoped?: readonly string[];
  };
  readonly rules?: {
    readonly pathBeneath?: readonly {
      readonly allowedAccess: readonly string[];
      readonly paths: readonly string[];
    }[];
    readonly networkPort?: readonly {
      readonly allowedAccess: readonly string[];
      readonly ports: readonly (number | string)[];
    }[];
  };
  readonly restrictSelfFlags?: readonly string[];
  readonly enableBestEffort?: boolean;
}

/** A wrapper for a command on x86-64: a seccomp filter answers landlock_create_ruleset(2) as a kernel without Landlock does. */
export function withoutLandlock(kernel: "built without it" | "booted without it"): readonly string[] {
  const [ENOSYS, EOPNOTSUPP] = [38, 95];
  const errno = kernel === "built without it" ? ENOSYS : EOPNOTSUPP;
  const LANDLOCK_CREATE_RULESET = 444;
  const denyCalls = join(import.meta.dirname, "deny-calls.py");
  return ["python3", denyCalls, String(errno), String(LANDLOCK_CREATE_RULESET), "--"];
}

/** Gives a config these rules. */
export function withRules(rules: Rules): (config: Config) => void {
  return (config) => {
    config.annotations = { [ANNOTATION]: JSON.stringify(rules) };
    config.process.noNewPrivileges = true;
  };
}

/** A container with the program /probe, and two directories for it, /allowed and /denied. */
export function withProbe(sandbox: Sandbox, mutate: (config: Config) => void): Container {
  const container = sandbox.container((config) => {
    config.root.readonly = false;
    mutate(config);
  });
  addProgram(sandbox, container, "probe", SOURCE);
  const program = readFileSync(join(container.rootfs, "probe"));
  for (const folder of ["allowed", "denied"]) {
    mkdirSync(join(container.rootfs, folder, "dir"), { recursive: true });
    container.writeFile(`${folder}/file`, "text");
    container.writeFile(`${folder}/program`, program, 0o755);
  }
  return container;
}

/** Rules for files, TCP and signals: files may be opened for writing in /allowed and /dev alone. */
export const ONE_DIRECTORY: Rules = {
  handledAccess: { handledAccessFS: ["write_file"], handledAccessNetwork: ["bind"], scoped: ["signal"] },
  rules: { pathBeneath: [{ allowedAccess: ["write_file"], paths: ["/allowed", "/dev"] }] },
};

/** A container with the probe that runs, to execute the probe in it. */
export async function runningProbe(sandbox: Sandbox, rules: Rules = ONE_DIRECTORY): Promise<Container> {
  const container = withProbe(sandbox, (config) => {
    withRules(rules)(config);
    config.process.args = ["sleep", "1000"];
  });
  await container.started();
  return container;
}
