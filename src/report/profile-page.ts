import type { Recording, TimedCall } from "../profile/recording.ts";
import { type Group, groupsOf } from "../profile/trace.ts";
import { type Content, type Element, element } from "./html.ts";
import { pageText } from "./page.ts";
import { ConfigLinks, counted, facts, paragraph, type Section } from "./parts.ts";
import { readShownConfig, type ShownConfig } from "./shown-config.ts";

/** A profile as an HTML page: a timeline with a lane for each process, the operations with their times, and the config. */

/** Units of the drawing, which are CSS pixels in height. Widths are shares of the whole time, so that the drawing can be zoomed. */
const LANE = { label: 16, purposes: 16, calls: 9, gap: 12 };
const LANE_HEIGHT = LANE.label + LANE.purposes + LANE.calls + LANE.gap;
const AXIS_HEIGHT = 20;

/** A group of calls, with those calls. */
interface TimedGroup extends Group {
  readonly id: string;
  readonly calls: readonly TimedCall[];
}

/** The page of a recording. Values of environments and annotations are masked, wherever they appear. */
export function profilePage(recording: Recording): string {
  const { command, container, start, end, calls, outcome, config: path } = recording;
  const groups = withCalls(calls);
  const config = path === undefined ? undefined : readShownConfig(path);
  const links = new ConfigLinks(config?.pointers ?? new Set());
  const begun = new Date(Number(start / 1_000_000n)).toISOString();
  const { error } = outcome;
  return pageText(
    {
      title: `${command} ${container} – runts`,
      heading: `${command} ${container}`,
      lead: [
        element(
          "p",
          { class: "facts-line" },
          element("span", {}, `${milliseconds(end)} ms`),
          element("span", {}, begun.replace("T", " ").replace(/\.\d+Z$/, " UTC")),
          element("span", {}, counted(calls.length, "system call")),
          element("span", {}, `exit code ${outcome.exitCode}`),
        ),
        error !== undefined && errorContent(error, config, links),
      ],
      sections: [
        timelineSection(recording, groups),
        timesSection(recording, groups, links),
        operationsSection(groups, links),
        ...(config === undefined ? [] : [config.section(operationsOf(groups))]),
      ],
      footer: "Made by runts. This file needs no network, and sends nothing.",
    },
    config?.mask ?? ((text) => text),
  );
}

/** The error, without its message if its secrets can't be known: an output of a hook may have repeated them. */
function errorContent(
  { message, name, errno, pointer }: NonNullable<Recording["outcome"]["error"]>,
  config: ShownConfig | undefined,
  links: ConfigLinks,
): Element {
  const unmasked = `${errno || name}. The config could not be read, so that nothing could be masked in the message.`;
  const text = config === undefined ? unmasked : message;
  return paragraph(element("span", { class: "mark bad" }, "failed"), ` ${text} `, links.to(pointer));
}

function withCalls(calls: readonly TimedCall[]): TimedGroup[] {
  return groupsOf(calls).map((group, index) => ({
    ...group,
    id: `operation-${index + 1}`,
    calls: calls.filter(
      ({ by, purpose, pointer, begin, end }) =>
        by === group.by &&
        purpose === group.purpose &&
        pointer === group.pointer &&
        begin >= group.begin &&
        end <= group.end,
    ),
  }));
}

function operationsOf(groups: readonly TimedGroup[]): Parameters<ShownConfig["section"]>[0] {
  const operations = new Map<string, { readonly count: number; readonly id: string }>();
  for (const { pointer, id, calls } of groups) {
    const before = operations.get(pointer);
    operations.set(pointer, { count: (before?.count ?? 0) + calls.length, id: before?.id ?? id });
  }
  return operations;
}

/** `1.234`, of microseconds. */
function milliseconds(microseconds: number): string {
  return (microseconds / 1000).toFixed(3);
}

function lanesOf(calls: readonly TimedCall[]): string[] {
  return ["runtime", ...new Set(calls.map(({ by }) => by).filter((by) => by !== "runtime"))];
}

/** `hook`, of `hook 1`: the kind of a process, which has a color. */
function kindOf(by: string): string {
  return by.split(" ")[0] ?? by;
}

function timelineSection({ calls, end }: Recording, groups: readonly TimedGroup[]): Section {
  const lanes = lanesOf(calls);
  const height = AXIS_HEIGHT + lanes.length * LANE_HEIGHT;
  const share = (time: number) => `${((100 * time) / end).toFixed(4)}%`;
  const lane = (by: string, index: number): Element => {
    const top = AXIS_HEIGHT + index * LANE_HEIGHT;
    const bar = (from: number, to: number, y: number, barHeight: number) =>
      element("rect", { x: share(from), y, width: share(Math.max(to - from, 0)), height: barHeight });
    return element(
      "g",
      { class: kindOf(by) },
      element("text", { x: 4, y: top + LANE.label - 4 }, by),
      groups
        .filter((group) => group.by === by)
        .map((group) =>
          element(
            "a",
            { href: `#${group.id}`, "aria-label": descriptionOf(group) },
            bar(group.begin, group.end, top + LANE.label, LANE.purposes),
          ),
        ),
      element(
        "g",
        { class: "calls" },
        calls
          .filter((call) => call.by === by)
          .map(({ begin, end: to }) => bar(begin, to, top + LANE.label + LANE.purposes + 1, LANE.calls)),
      ),
    );
  };
  return {
    id: "timeline",
    title: "Timeline",
    summary: `${lanes.length} ${lanes.length === 1 ? "process" : "processes"}, ${milliseconds(end)} ms`,
    content: [
      paragraph(
        "A lane for each process: what it does, and below that its system calls. A bar leads to its operation.",
      ),
      element(
        "div",
        { class: "zoom" },
        element("button", { type: "button", value: "in" }, "Zoom in"),
        " ",
        element("button", { type: "button", value: "out" }, "Zoom out"),
      ),
      element(
        "div",
        { class: "timeline" },
        element(
          "svg",
          { width: "100%", height, role: "group", "aria-label": "Timeline" },
          axis(end, height, share),
          lanes.map(lane),
        ),
      ),
      element(
        "p",
        { class: "timeline-detail", "aria-live": "polite" },
        "Point at a bar, or go to it by Tab.",
      ),
    ],
  };
}

function descriptionOf({ by, purpose, pointer, begin, end, calls }: TimedGroup): string {
  const property = pointer === "" ? "" : `, for ${pointer}`;
  return `${by}: ${purpose}${property}. ${milliseconds(end - begin)} ms from ${milliseconds(begin)} ms, ${counted(calls.length, "call")}`;
}

/** Lines at round times, at most ten. */
function axis(end: number, height: number, share: (time: number) => string): Content {
  const rough = end / 10;
  const magnitude = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((factor) => factor * magnitude).find((size) => size >= rough) ?? rough;
  const times = Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => index * step);
  return times.map((time) => [
    element("line", { x1: share(time), x2: share(time), y1: 0, y2: height }),
    element("text", { x: share(time), dx: 3, y: 12 }, `${Number((time / 1000).toFixed(3))} ms`),
  ]);
}

const SLOWEST = 12;

function timesSection(
  { calls, end, command }: Recording,
  groups: readonly TimedGroup[],
  links: ConfigLinks,
): Section {
  const sum = (by: string) =>
    calls.filter((call) => call.by === by).reduce((time, call) => time + call.end - call.begin, 0);
  const slowest = groups
    .toSorted((one, other) => other.end - other.begin - (one.end - one.begin))
    .slice(0, SLOWEST);
  return {
    id: "times",
    title: "Where the time goes",
    content: [
      facts([
        [command, `${milliseconds(end)} ms, of which in system calls:`],
        ...lanesOf(calls).map((by) => [by, `${milliseconds(sum(by))} ms`] as const),
      ]),
      element("h3", {}, "The longest operations"),
      slowest.map((group) => groupContent({ ...group, id: "" }, links)),
    ],
  };
}

function operationsSection(groups: readonly TimedGroup[], links: ConfigLinks): Section {
  return {
    id: "operations",
    title: "Operations",
    summary: counted(groups.length, "operation"),
    content: [
      paragraph(
        "In the order in which they began. Calls of the runtime that only look at something have no operation.",
      ),
      groups.map((group) => groupContent(group, links)),
    ],
  };
}

function groupContent(
  { id, by, purpose, pointer, begin, end, calls }: TimedGroup,
  links: ConfigLinks,
): Element {
  return element(
    "details",
    { class: "operation timed item", id: id === "" ? undefined : id },
    element(
      "summary",
      {},
      element("span", { class: `by ${kindOf(by)}` }, by),
      element("span", { class: "purpose" }, purpose, " ", links.to(pointer)),
      element("span", { class: "time" }, `${milliseconds(end - begin)} ms`),
    ),
    element("pre", {}, [`from ${milliseconds(begin)} ms:`, ...calls.map(callText)].join("\n")),
  );
}

function callText({ call, path, begin, end, errno }: TimedCall): string {
  const time = `${milliseconds(end - begin).padStart(9)} ms`;
  return `${time}  ${call}${path === "" ? "" : ` ${path}`}${errno === "" ? "" : `: ${errno}`}`;
}
