import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { IS_RUNTS, RUNTIME } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: manual pages and completions from the table of commands";

async function commandNames(sandbox: Sandbox): Promise<string[]> {
  const { stdout } = await sandbox.invoke(["--help"]);
  return [...stdout.matchAll(/^ {2}runts ([a-z]+)/gm)].map((match) => match[1] ?? "");
}

function has(program: string): boolean {
  return spawnSync(program, ["--version"]).status === 0;
}

/** The completions that bash offers with the cursor after the last word. */
async function bashOffers(sandbox: Sandbox, words: readonly string[]): Promise<string[]> {
  const { stdout: script } = await sandbox.invoke(["completion", "bash"]);
  const path = sandbox.path("bin");
  mkdirSync(path, { recursive: true });
  if (spawnSync("test", ["-e", `${path}/runts`]).status !== 0) symlinkSync(RUNTIME, `${path}/runts`);
  const call = `${script}
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
    _runts; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", call], {
    encoding: "utf8",
    env: { PATH: `${path}:/usr/bin:/bin` },
    cwd: sandbox.directory,
  });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

describe.runIf(IS_RUNTS)("manual pages and completions", () => {
  spec(
    "man: a page for each command that groff formats without a warning",
    CLAUSE,
    async (sandbox, context) => {
      const names = await commandNames(sandbox);
      expect(names).toContain("create");
      for (const args of [["man"], ...names.map((name) => ["man", name])]) {
        const { code, stdout, stderr } = await sandbox.invoke(args);
        expect([code, stderr]).toEqual([0, ""]);
        if (!has("groff")) return context.skip("groff is not installed");
        const set = spawnSync("groff", ["-ww", "-man", "-Tutf8"], { input: stdout, encoding: "utf8" });
        expect([args, set.status, set.stderr]).toEqual([args, 0, ""]);
        expect(set.stdout).toMatch(/NAME.*SYNOPSIS.*DESCRIPTION.*EXAMPLES/s);
      }
    },
  );

  spec("man of an unknown command: error that names it", CLAUSE, async (sandbox) => {
    const { code, stderr } = await sandbox.invoke(["man", "nothing"]);
    expect([code, stderr]).toEqual([
      1,
      "runts: man: no command 'nothing'\nRun \"runts man --help\" for usage.\n",
    ]);
  });

  spec("<command> --help: shows examples", CLAUSE, async (sandbox) => {
    for (const name of await commandNames(sandbox)) {
      const { stdout } = await sandbox.invoke([name, "--help"]);
      expect(stdout).toMatch(new RegExp(`^Examples:\\n {2}runts ${name}`, "m"));
    }
  });

  spec(
    "completion bash: offers commands, options, files, container ids and signals where they fit",
    CLAUSE,
    async (sandbox) => {
      expect(await bashOffers(sandbox, ["runts", "ex"])).toContain("exec");
      expect(await bashOffers(sandbox, ["runts", "--systemd"])).toEqual(["--systemd-cgroup"]);
      expect(await bashOffers(sandbox, ["runts", "create", "--no-p"])).toEqual(["--no-pivot"]);
      expect(await bashOffers(sandbox, ["runts", "--log", "x", "delete", "--fo"])).toEqual(["--force"]);
      writeFileSync(sandbox.path("pid-here"), "");
      expect(await bashOffers(sandbox, ["runts", "create", "--pid-file", "pid-h"])).toEqual(["pid-here"]);
      expect(await bashOffers(sandbox, ["runts", "exec", "--cwd", ""])).toEqual([]);
      const container = sandbox.shell("sleep 100");
      await container.created();
      const root = ["--root", sandbox.root];
      for (const words of [
        ["state"],
        ["doctor"],
        ["mounts", "list"],
        ["devices", "add"],
        ["seccomp", "explain"],
      ])
        expect(await bashOffers(sandbox, ["runts", ...root, ...words, ""])).toEqual([container.id]);
      // bash splits --root=DIRECTORY and UID:GID into these words.
      const joined = ["runts", "--root", "=", sandbox.root, "exec", "--user", "1", ":", "1", ""];
      expect(await bashOffers(sandbox, joined)).toEqual([container.id]);
      expect(await bashOffers(sandbox, ["runts", "create", "--pid-file", "=", "pid-h"])).toEqual([
        "pid-here",
      ]);
      writeFileSync(sandbox.path("pid there"), "");
      expect(await bashOffers(sandbox, ["runts", "create", "--pid-file", "pid t"])).toEqual(["pid there"]);
      expect(await bashOffers(sandbox, ["runts", "state", container.id, ""])).toEqual([]);
      const kill = ["runts", ...root, "kill", container.id, "SIGUS"];
      expect(await bashOffers(sandbox, kill)).toEqual(["SIGUSR1", "SIGUSR2"]);
      expect(await bashOffers(sandbox, ["runts", "mounts", ""])).toEqual(["add", "remove", "list"]);
      expect(await bashOffers(sandbox, ["runts", "mounts", "add", "box", "pid-h"])).toEqual(["pid-here"]);
      const added = ["runts", "devices", "add", "box", "pid-h"];
      expect(await bashOffers(sandbox, added)).toEqual(["pid-here"]);
      expect(await bashOffers(sandbox, ["runts", "man", "expl"])).toEqual(["explain"]);
      expect(await bashOffers(sandbox, ["runts", "completion", "z"])).toEqual(["zsh"]);
      expect(await bashOffers(sandbox, ["runts", "exec", container.id, ""])).toEqual([]);
    },
  );

  spec("completion fish: offers commands and options", CLAUSE, async (sandbox, context) => {
    const { code, stdout } = await sandbox.invoke(["completion", "fish"]);
    expect(code).toBe(0);
    if (!has("fish")) return context.skip("fish is not installed");
    const offers = (line: string) =>
      spawnSync("fish", ["--no-config", "-c", `${stdout}\ncomplete -C '${line}'`], { encoding: "utf8" })
        .stdout.split("\n")
        .map((offer) => offer.split("\t")[0]);
    expect(offers("runts ex")).toContain("exec");
    expect(offers("runts --root /tmp ex")).toContain("exec");
    expect(offers("runts create --no-p")).toContain("--no-pivot");
    expect(offers("runts kill box SIGUS")).toContain("SIGUSR1");
    expect(offers("runts mounts rem")).toContain("remove");
    expect(offers("runts man expl")).toContain("explain");
  });

  spec("completion zsh: offers commands and options", CLAUSE, async (sandbox, context) => {
    const { code, stdout } = await sandbox.invoke(["completion", "zsh"]);
    expect(code).toBe(0);
    if (!has("zsh")) return context.skip("zsh is not installed");
    const folder = sandbox.path("site-functions");
    mkdirSync(folder);
    writeFileSync(`${folder}/_runts`, stdout);
    // An interactive shell on a pseudo-terminal, since zsh completes only there.
    const driver = `
      zmodload zsh/zpty
      zpty shell "zsh -f -i"
      zpty -w shell "PS1=; unsetopt zle_bracketed_paste; fpath=(${folder} \\$fpath); autoload -U compinit; compinit -u -D; echo re''ady"
      zpty -r -m shell out '*ready*'
      zpty -w -n shell $'runts create --no-p\\t'
      zpty -r -m shell out '*no-pivot*'; print -r -- "$out"
      zpty -d shell`;
    const driven = spawnSync("zsh", ["-f", "-c", driver], { encoding: "utf8", timeout: 60_000 });
    expect(driven.stdout).toContain("--no-pivot");
  });

  spec("completion of another shell: error", CLAUSE, async (sandbox) => {
    const { code, stderr } = await sandbox.invoke(["completion", "tcsh"]);
    expect([code, stderr.split("\n")[0]]).toEqual([1, 'runts: completion "tcsh": must be bash, zsh or fish']);
  });
});
