import { PER_LINUX, PER_LINUX32 } from "../../../bindings/abi/personality.ts";
import type { Program } from "../../../bindings/stub/program.ts";
import type { Personality } from "../../spec/types.ts";

/** Sets the execution domain, which execve(2) keeps: personality(2). */
export function setPersonality(program: Program, { domain }: Personality): void {
  program.about("/linux/personality", `set the personality ${domain}`);
  program.do("personality", [domain === "LINUX32" ? PER_LINUX32 : PER_LINUX]);
}
