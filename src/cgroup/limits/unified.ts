import { pointerToken } from "../../spec/json/scanner.ts";
import { type CgroupWrite, invalidResource } from "./cgroup-write.ts";

/** Each key is a file of the cgroup; each line of a value is a write of its own, as the kernel takes one setting a write. */
export function planUnified(unified: Readonly<Record<string, string>>, pointer: string): CgroupWrite[] {
  return Object.entries(unified).flatMap(([file, text]) => {
    const here = `${pointer}/${pointerToken(file)}`;
    // CONTROLLER.PARAMETER, which also keeps the name inside of the cgroup's directory.
    if (!/^[^./\s\0]+(\.[^./\s\0]+)+$/.test(file)) {
      throw invalidResource(here, "is not the name of a cgroup file, CONTROLLER.PARAMETER");
    }
    const lines = text.split("\n").filter((line) => line !== "");
    // write(2) of nothing does nothing: an empty value, which resets a cpuset, needs its line end.
    return (lines.length === 0 ? ["\n"] : lines).map((value) => ({ file, value, pointer: here }));
  });
}
