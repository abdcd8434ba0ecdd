import { type CgroupWrite, controllerOf } from "../cgroup/limits/cgroup-write.ts";
import { planResources } from "../cgroup/limits/plan.ts";
import type { Pressure, Stats } from "../cgroup/stats.ts";
import { RuntsError } from "../errors.ts";
import type { Config, DeviceRule } from "../spec/types.ts";
import { type Content, element } from "./html.ts";
import { type ConfigLinks, code, counted, facts, paragraph, type Section, table } from "./parts.ts";
import type { ReportedContainer } from "./report.ts";

/** The limits of the config as writes to files of cgroup v2, with their present values, and what the container uses. */
export function cgroupSection(
  { linux = {} }: Config,
  container: ReportedContainer | undefined,
  links: ConfigLinks,
): Section {
  const { resources = {}, cgroupsPath } = linux;
  const writes = plannedWrites(resources);
  const devices = resources.devices ?? [];
  const hasValues = container !== undefined && container.limits.size > 0;
  return {
    id: "cgroup",
    title: "Cgroup",
    summary: counted(writes.length, "limit"),
    content: [
      facts([
        [
          "cgroupsPath",
          cgroupsPath !== undefined && [code(cgroupsPath), " ", links.to("/linux/cgroupsPath")],
        ],
      ]),
      container?.usage !== undefined && usageContent(container.usage),
      writes.length === 0
        ? paragraph("The config sets no limits.")
        : table(
            ["file", "written", ...(hasValues ? ["now"] : []), "property"],
            writes.map(({ file, value, pointer }) => [
              code(file),
              code(withUnit(file, value)),
              ...(hasValues ? [code(container.limits.get(file) ?? "no such file")] : []),
              links.to(pointer),
            ]),
          ),
      devices.length > 0 && deviceRules(devices, links),
    ],
  };
}

/** Limits that have no equivalent in cgroup v2 are an error, which the findings name. */
function plannedWrites(
  resources: NonNullable<NonNullable<Config["linux"]>["resources"]>,
): readonly CgroupWrite[] {
  try {
    return planResources(resources);
  } catch (error) {
    if (error instanceof RuntsError) return [];
    throw error;
  }
}

const BYTES = new Set(["memory.max", "memory.low", "memory.high", "memory.min", "memory.swap.max"]);

function withUnit(file: string, value: string): string {
  const isBytes = BYTES.has(file) || controllerOf(file) === "hugetlb";
  return isBytes && /^\d+$/.test(value) ? `${value} (${bytesText(BigInt(value))})` : value;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** `1.5 MiB` */
export function bytesText(bytes: bigint): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${UNITS[unit]}`;
}

const UNLIMITED = 2n ** 64n - 1n;

function usageContent({ cpu, memory, pids, blkio }: Stats): Content {
  const { usage, swap } = memory;
  const used = (name: string) =>
    (blkio.ioServiceBytesRecursive ?? [])
      .filter(({ op }) => op === name)
      .reduce((sum, { value = 0n }) => sum + value, 0n);
  const throttled = cpu.throttling?.throttledTime ?? 0n;
  return facts([
    ["memory", usage && meter(usage.usage ?? 0n, usage.limit, bytesText)],
    ["memory, highest", usage?.max === undefined ? undefined : bytesText(usage.max)],
    ["memory and swap", swap && meter(swap.usage ?? 0n, swap.limit, bytesText)],
    ["processes", pids.current !== undefined && meter(pids.current, pids.limit ?? UNLIMITED, String)],
    [
      "CPU time",
      cpu.usage &&
        `${secondsText(cpu.usage.total ?? 0n)}, of which ${secondsText(cpu.usage.kernel)} in the kernel`,
    ],
    ["CPU, throttled", throttled > 0n && secondsText(throttled)],
    [
      "block I/O",
      blkio.ioServiceBytesRecursive && `${bytesText(used("Read"))} read, ${bytesText(used("Write"))} written`,
    ],
    ["CPU pressure", pressureText(cpu.psi)],
    ["memory pressure", pressureText(memory.psi)],
    ["I/O pressure", pressureText(blkio.psi)],
  ]);
}

function secondsText(nanoseconds: bigint): string {
  return `${(Number(nanoseconds) / 1e9).toFixed(3)} s`;
}

/** Share of the last ten seconds and minute in which some process waited. Documentation/accounting/psi.rst of the kernel. */
function pressureText(pressure: Pressure | undefined): string | undefined {
  const { some } = pressure ?? {};
  return some && `some process waited for ${some.avg10} % of the last 10 s, ${some.avg60} % of the last 60 s`;
}

/** A value and its limit; with a limit, also a bar. */
function meter(value: bigint, limit: bigint, text: (value: bigint) => string): Content {
  if (limit === UNLIMITED || limit === 0n) return `${text(value)}, no limit`;
  const share = Math.min(100, (100 * Number(value)) / Number(limit));
  return [
    `${text(value)} of ${text(limit)} `,
    element(
      "svg",
      { class: "meter", width: "120", height: "8" },
      element("rect", { class: "all", width: "100%", height: "8" }),
      element("rect", {
        class: share > 90 ? "used full" : "used",
        width: `${share.toFixed(1)}%`,
        height: "8",
      }),
    ),
    ` ${share.toFixed(0)} %`,
  ];
}

/** In the order of the config, in which later rules win. */
function deviceRules(devices: readonly DeviceRule[], links: ConfigLinks): Content {
  const number = (value: bigint | undefined) => (value === undefined || value < 0n ? "any" : String(value));
  const kinds = { a: "any", b: "block", c: "character", "": "any" };
  return [
    element("h3", {}, "Device rules"),
    table(
      ["", "type", "major", "minor", "access", "property"],
      devices.map(({ allow, type = "a", major, minor, access = "" }, index) => [
        allow ? "allow" : "deny",
        kinds[type],
        number(major),
        number(minor),
        access,
        links.to(`/linux/resources/devices/${index}`),
      ]),
    ),
  ];
}
