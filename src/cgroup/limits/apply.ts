import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import { parseNumberList } from "../../spec/number-list.ts";
import type { LinuxResources } from "../../spec/types.ts";
import { cgroupName, describeErrno, readWords, tryReadCgroupFile, writeCgroupFile } from "../files.ts";
import { type CgroupWrite, type CurrentLimits, controllerOf, invalidResource } from "./cgroup-write.ts";
import { controllerProblem } from "./controllers.ts";
import { checkUsage } from "./memory.ts";
import { planResources } from "./plan.ts";

export interface ResourceOptions {
  readonly rootless: boolean;
}

/** Applies all of `linux.resources` except the device rules. A setting that can't be applied is an error that names its property. */
export function applyResources(
  directory: string,
  resources: LinuxResources | undefined,
  options: ResourceOptions,
): void {
  if (resources === undefined) return;
  for (const write of planResources(resources)) applyWrite(directory, write, options);
}

/** `memory.checkBeforeUpdate`: refuses limits below the usage before anything is written, as the kernel would enforce them by killing. */
export function checkBeforeUpdate(directory: string, { memory }: LinuxResources): void {
  if (memory?.checkBeforeUpdate !== true) return;
  checkUsage(
    memory,
    readBytes(directory, "memory.current"),
    readBytes(directory, "memory.swap.current"),
    "/linux/resources/memory",
  );
}

/** The present limits that planning an update needs to know. Reads no others. */
export function currentLimits(directory: string, { memory, cpu }: LinuxResources): CurrentLimits {
  const swapAlone = (memory?.swap ?? 0n) > 0n && (memory?.limit ?? 0n) === 0n;
  const periodAlone = (cpu?.period ?? 0n) > 0n && (cpu?.quota ?? 0n) === 0n;
  const quota = periodAlone ? readWords(directory, "cpu.max")[0] : undefined;
  return {
    isUpdate: true,
    ...(swapAlone ? { memoryLimit: readBytes(directory, "memory.max") } : {}),
    ...(quota === undefined ? {} : { cpuQuota: quota }),
  };
}

/** Bytes; -1 for `max`, 0 where the file is missing. */
function readBytes(directory: string, file: string): bigint {
  const text = tryReadCgroupFile(directory, file)?.trim() ?? "0";
  return text === "max" ? -1n : BigInt(text);
}

/** Writes one setting. Its errors name the property. */
export function applyWrite(directory: string, write: CgroupWrite, options: ResourceOptions): void {
  const { file, value, fallback, unlimited = false, optional = false } = write;
  try {
    withPurpose(write.pointer, `set ${file}`, () => writeCgroupFile(directory, file, value));
    if (file.startsWith("cpuset.")) checkCpuset(directory, write);
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "") throw error;
    if (errno === "ENOENT" && (unlimited || optional)) return;
    if (errno === "ENOENT" && fallback !== undefined) {
      applyWrite(directory, { ...fallback, pointer: write.pointer }, options);
      return;
    }
    throw writeError(directory, write, errno, { rootless: options.rootless, cause: error });
  }
}

/**
 * The kernel accepts a list of which the ancestors have nothing, and then gives the container all that they have: cgroup-v2.rst,
 * cpuset.cpus.effective. That is an error here; a part of the list is not.
 */
function checkCpuset(directory: string, { file, value, pointer }: CgroupWrite): void {
  const what = { "cpuset.cpus": "CPUs", "cpuset.mems": "memory nodes" }[file];
  const asked = parseNumberList(value.trim()) ?? [];
  if (what === undefined || asked.length === 0) return;
  const effective = tryReadCgroupFile(directory, `${file}.effective`)?.trim() ?? "";
  const given = parseNumberList(effective) ?? [];
  if (asked.some(([first, last]) => given.some(([low, high]) => first <= high && low <= last))) return;
  throw invalidResource(
    pointer,
    `cgroup ${cgroupName(directory)} has none of the ${what} ${value.trim()}, only ${effective}`,
  );
}

function writeError(
  directory: string,
  { file, value, pointer }: CgroupWrite,
  errno: string,
  { rootless, cause }: { rootless: boolean; cause: unknown },
): RuntsError {
  const details = { operation: "write", errno, path: `${directory}/${file}`, pointer, cause };
  const missing = errno === "ENOENT" || errno === "EACCES" || errno === "EPERM";
  const controller = controllerOf(file);
  const problem =
    missing && controller !== "cgroup" ? controllerProblem(directory, controller, rootless) : undefined;
  if (problem !== undefined) return new RuntsError(`${pointer}: cannot write ${file}: ${problem}`, details);
  const where = `${file} of cgroup ${cgroupName(directory)}`;
  if (errno === "ENOENT") {
    return new RuntsError(`${pointer}: cannot write ${where}: this kernel has no such file`, details);
  }
  return new RuntsError(
    `${pointer}: cannot write ${JSON.stringify(value)} to ${where}: ${describeErrno(errno)}${hint(file, errno, rootless)}`,
    details,
  );
}

/** Explains the failures that users run into. */
function hint(file: string, errno: string, rootless: boolean): string {
  if (errno === "ENODEV" && file.startsWith("io."))
    return "; there is no such block device, or it is a partition";
  if (errno === "EOPNOTSUPP" && file === "io.weight")
    return "; weights of single devices need enable=1 for it in io.cost.qos of the root cgroup";
  if (errno === "EOPNOTSUPP" && file.startsWith("io."))
    return "; the device's I/O scheduler does not support it";
  if (errno === "ENODEV" && file === "rdma.max") return "; there is no such RDMA device";
  if (errno === "EINVAL" && file === "cpu.weight") return "; an idle cgroup (cpu.idle 1) has no weight";
  if (errno === "EBUSY" && file.startsWith("memory.")) return "; the memory in use could not be reclaimed";
  if (rootless && (errno === "EACCES" || errno === "EPERM"))
    return "; the cgroup is not delegated to this user";
  return "";
}
