import { type ExplainedOperation, type Explanation, STEPS } from "../explain/operation.ts";
import { callText, isShown } from "../explain/text.ts";
import { type Content, type Element, element } from "./html.ts";
import { type ConfigLinks, counted, paragraph, type Section } from "./parts.ts";

/** The operations of create and start, by the steps of the lifecycle and the purpose of consecutive calls. */

/** Consecutive operations of one process with one purpose. */
interface Group {
  readonly id: string;
  readonly by: string;
  readonly pointer: string;
  readonly purpose: string;
  readonly operations: ExplainedOperation[];
}

interface Step {
  readonly step: number;
  /** Whether the step was begun before, and is gone on with here. */
  readonly isContinued: boolean;
  readonly groups: Group[];
}

/** Operations in the order of the page. */
export class GroupedOperations {
  readonly steps: Step[] = [];
  /** By pointer: number of operations, and id of the first group. */
  readonly byPointer = new Map<string, { readonly count: number; readonly id: string }>();
  readonly count: number;

  constructor({ operations }: Explanation) {
    const shown = operations.filter(isShown);
    this.count = shown.length;
    const begun = new Set<number>();
    let groups = 0;
    for (const operation of shown) {
      const { step, by, pointer, purpose } = operation;
      let current = this.steps.at(-1);
      if (current?.step !== step) {
        current = { step, isContinued: begun.has(step), groups: [] };
        begun.add(step);
        this.steps.push(current);
      }
      let group = current.groups.at(-1);
      if (group?.by !== by || group.pointer !== pointer || group.purpose !== purpose) {
        groups += 1;
        group = { id: `operation-${groups}`, by, pointer, purpose, operations: [] };
        current.groups.push(group);
      }
      group.operations.push(operation);
      const { count, id } = this.byPointer.get(pointer) ?? { count: 0, id: group.id };
      this.byPointer.set(pointer, { count: count + 1, id });
    }
  }
}

export function operationsSection(
  explanation: Explanation,
  grouped: GroupedOperations,
  links: ConfigLinks,
): Section {
  const { error, warnings, notes } = explanation;
  return {
    id: "operations",
    title: "Operations",
    summary: counted(grouped.count, "operation"),
    content: [
      paragraph(
        "What create and start do, in order, with the property of the config that asks for it. A value that is known only when it is done " +
          "stands in angle brackets.",
      ),
      grouped.steps.map((step) => stepContent(step, links)),
      error !== undefined &&
        paragraph(
          element("span", { class: "mark bad" }, "would fail"),
          ` ${error.message} `,
          links.to(error.pointer),
        ),
      listOf("Warnings", warnings),
      listOf("Notes", notes),
    ],
  };
}

function stepContent({ step, isContinued, groups }: Step, links: ConfigLinks): Element {
  const title = `Step ${step}${isContinued ? ", continued" : ""}: ${STEPS[step] ?? ""}`;
  const count = groups.reduce((sum, { operations }) => sum + operations.length, 0);
  return element(
    "details",
    { class: "step", open: true },
    element("summary", {}, element("h3", {}, title), element("span", { class: "count" }, count)),
    groups.map((group) => groupContent(group, links)),
  );
}

function groupContent({ id, by, pointer, purpose, operations }: Group, links: ConfigLinks): Element {
  const [kind = ""] = by.split(" ");
  return element(
    "details",
    { class: "operation item", id },
    element(
      "summary",
      {},
      element("span", { class: `by ${kind}` }, by),
      element("span", { class: "purpose" }, purpose),
      links.to(pointer),
    ),
    element("pre", {}, operations.map(callText).join("\n")),
  );
}

function listOf(title: string, messages: readonly string[]): Content {
  if (messages.length === 0) return undefined;
  return [
    element("h3", {}, title),
    element(
      "ul",
      {},
      messages.map((message) => element("li", { class: "item" }, message)),
    ),
  ];
}
