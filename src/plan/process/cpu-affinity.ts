import { data, type Program } from "../../../bindings/stub/program.ts";
import type { ExecCpuAffinity } from "../../spec/types.ts";
import { numberMask } from "./number-mask.ts";

/** The CPUs of a process of `exec`: config.md, process.execCPUAffinity. Each step is absent where nothing is asked for. */
export interface CpuAffinity {
  /** Before the process is cloned into the cgroup; it inherits the mask. */
  readonly initial: ((program: Program) => void) | undefined;
  /** Once it is there. */
  readonly final: ((program: Program) => void) | undefined;
}

export function cpuAffinity({ initial = "", final = "" }: ExecCpuAffinity): CpuAffinity {
  return { initial: step("initial", initial), final: step("final", final) };
}

function step(name: keyof CpuAffinity, list: string): ((program: Program) => void) | undefined {
  if (list.trim() === "") return undefined;
  const mask = numberMask(list);
  return (program) => {
    program.about(`/process/execCPUAffinity/${name}`, `use the CPUs ${list}`);
    program.do("sched_setaffinity", [0, mask.length, data(mask)], { path: "" });
  };
}
