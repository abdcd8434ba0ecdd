import { basename } from "../../bindings/linux/paths.ts";
import { cgroupSection } from "./cgroup-section.ts";
import { configSection, pointersOf } from "./config-section.ts";
import {
  findingsSection,
  hooksSection,
  namespacesSection,
  processSection,
  stateSection,
  versionsSection,
} from "./container-section.ts";
import { type Content, element } from "./html.ts";
import { maskedToken, maskFor } from "./mask.ts";
import { mountsSection } from "./mounts-section.ts";
import { GroupedOperations, operationsSection } from "./operations-section.ts";
import { pageText } from "./page.ts";
import { ConfigLinks, counted, type Section } from "./parts.ts";
import type { Report } from "./report.ts";
import { capabilitiesSection, seccompSection } from "./rights-section.ts";

export interface PageOptions {
  /** Whether values of environments and annotations are shown. */
  readonly showEnv: boolean;
}

/** The page of a report, as one HTML file that needs nothing else. */
export function reportPage(report: Report, { showEnv }: PageOptions): string {
  const { subject, container, config, host, explanation } = report;
  const links = new ConfigLinks(pointersOf(config.tokens));
  const grouped = explanation && new GroupedOperations(explanation);
  const { parsed } = config;
  const sections: (Section | false | undefined)[] = [
    container && stateSection(container),
    container &&
      container.findings.length > 0 &&
      findingsSection("differences", "Doctor: container", container.findings, links),
    configSection(config.path, config.tokens, {
      validation: config.validation,
      operations: grouped?.byPointer ?? new Map(),
      shown: showEnv ? (token) => token.text : maskedToken,
    }),
    explanation && grouped && operationsSection(explanation, grouped, links),
    // A page of `explain` has the config and the operations only.
    ...(parsed === undefined || host === undefined
      ? []
      : [
          processSection(parsed, links),
          mountsSection(parsed, container, links),
          cgroupSection(parsed, container, links),
          namespacesSection(parsed, container, links),
          capabilitiesSection(parsed, links),
          seccompSection(parsed, links),
          hooksSection(parsed, links),
        ]),
    host && findingsSection("host", "Doctor: host", host, links),
    versionsSection(report),
  ];
  return pageText(
    {
      title: `${container === undefined ? basename(subject) : subject} – runts`,
      heading: container === undefined ? basename(subject) : subject,
      lead: lead(report, grouped?.count ?? 0, showEnv),
      sections: sections.filter((section) => section !== undefined && section !== false),
      footer: "Made by runts. This file needs no network, and sends nothing.",
    },
    showEnv ? (text) => text : maskFor(config.tokens),
  );
}

function lead({ subject, container, config, made }: Report, operations: number, showEnv: boolean): Content {
  const { errors, warnings } = config.validation;
  const line = (...parts: Content[]) => element("span", {}, ...parts);
  return [
    element(
      "p",
      { class: "facts-line" },
      container === undefined
        ? line("bundle ", element("code", {}, subject))
        : line(
            "container, ",
            element("span", { class: `status ${container.state.status}` }, container.state.status),
          ),
      line(made.replace("T", " ").replace(/\.\d+Z$/, " UTC")),
      line(`${counted(errors, "error")}, ${counted(warnings, "warning")}`),
      operations > 0 && line(counted(operations, "operation")),
    ),
    element(
      "p",
      {},
      showEnv
        ? "Values of environments and annotations are shown: this page may hold secrets."
        : "Values of environments and annotations are masked.",
    ),
  ];
}
