import type { BlockIo, ThrottleDevice, WeightDevice } from "../../spec/types.ts";
import { type CgroupWrite, invalidResource, v1OnlyError } from "./cgroup-write.ts";

/** As in v1, a weight of 0 is unset and a rate of 0 is unlimited. */
export function planBlockIo(blockIO: BlockIo, pointer: string): CgroupWrite[] {
  if (blockIO.leafWeight) throw v1OnlyError(`${pointer}/leafWeight`);
  const writes: CgroupWrite[] = [];
  if (blockIO.weight) writes.push(weightWrite("", blockIO.weight, `${pointer}/weight`));
  for (const [index, device] of (blockIO.weightDevice ?? []).entries()) {
    writes.push(...planWeightDevice(device, `${pointer}/weightDevice/${index}`));
  }
  return [
    ...writes,
    ...planThrottle("rbps", blockIO.throttleReadBpsDevice, `${pointer}/throttleReadBpsDevice`),
    ...planThrottle("wbps", blockIO.throttleWriteBpsDevice, `${pointer}/throttleWriteBpsDevice`),
    ...planThrottle("riops", blockIO.throttleReadIOPSDevice, `${pointer}/throttleReadIOPSDevice`),
    ...planThrottle("wiops", blockIO.throttleWriteIOPSDevice, `${pointer}/throttleWriteIOPSDevice`),
  ];
}

function planWeightDevice(device: WeightDevice, pointer: string): CgroupWrite[] {
  if (device.leafWeight) throw v1OnlyError(`${pointer}/leafWeight`);
  if (!device.weight) return [];
  return [weightWrite(`${deviceName(device, pointer)} `, device.weight, `${pointer}/weight`)];
}

/** The BFQ scheduler takes the value as it is. io.weight, of the I/O cost model, has another range. */
function weightWrite(device: string, weight: number, pointer: string): CgroupWrite {
  if (weight < 10 || weight > 1000) throw invalidResource(pointer, `${weight} is not from 10 to 1000`);
  return {
    file: "io.bfq.weight",
    value: `${device}${weight}`,
    pointer,
    fallback: { file: "io.weight", value: `${device}${blockWeightToIoWeight(weight)}` },
  };
}

/** Maps 10 to 1000 onto 1 to 10000, linearly and rounded down. */
export function blockWeightToIoWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

function planThrottle(
  key: string,
  devices: readonly ThrottleDevice[] | undefined,
  pointer: string,
): CgroupWrite[] {
  return (devices ?? []).map((device, index) => {
    const rate = device.rate === 0n ? "max" : String(device.rate);
    return {
      file: "io.max",
      value: `${deviceName(device, `${pointer}/${index}`)} ${key}=${rate}`,
      pointer: `${pointer}/${index}`,
      unlimited: device.rate === 0n,
    };
  });
}

function deviceName({ major, minor }: { major: bigint; minor: bigint }, pointer: string): string {
  if (major < 0n || minor < 0n) throw invalidResource(pointer, `${major}:${minor} is not a block device`);
  return `${major}:${minor}`;
}
