import { cleanPath, isAtOrBelow } from "../plan/rootfs-paths.ts";
import type { Config, Mount } from "../spec/types.ts";
import { mountTree } from "./container-section.ts";
import { type Content, type Element, element } from "./html.ts";
import { type ConfigLinks, code, counted, facts, type Section, words } from "./parts.ts";
import type { ReportedContainer } from "./report.ts";

/** The mounts of the config as a tree of their destinations; and of a container, as the kernel shows them. */

interface Node {
  readonly destination: string;
  readonly content: Content;
  readonly children: Node[];
}

export function mountsSection(
  config: Config,
  container: ReportedContainer | undefined,
  links: ConfigLinks,
): Section {
  const { root, mounts = [], linux = {} } = config;
  const { maskedPaths = [], readonlyPaths = [], devices = [] } = linux;
  const seen = container?.mounts ?? [];
  return {
    id: "mounts",
    title: "Mounts",
    summary: counted(mounts.length, "mount"),
    content: [
      element("ul", { class: "tree" }, nodeContent(treeOf(config, links))),
      facts([
        ["root file system", [root.readonly === true ? "read-only " : "writable ", links.to("/root")]],
        ["propagation", linux.rootfsPropagation],
        ["masked paths", maskedPaths.length > 0 && [words(maskedPaths), links.to("/linux/maskedPaths")]],
        [
          "read-only paths",
          readonlyPaths.length > 0 && [words(readonlyPaths), links.to("/linux/readonlyPaths")],
        ],
        [
          "devices",
          devices.length > 0 && [
            devices.map(({ path, type, major, minor }) => [
              code(`${path} ${type}${major === undefined ? "" : ` ${major}:${minor ?? 0}`}`),
              " ",
            ]),
            links.to("/linux/devices"),
          ],
        ],
      ]),
      seen.length > 0 &&
        element(
          "details",
          { class: "area" },
          element(
            "summary",
            {},
            element("h3", {}, "As the kernel shows them to the container"),
            element("span", { class: "count" }, seen.length),
          ),
          mountTree(seen),
        ),
    ],
  };
}

/** Each mount is a child of the last one before it whose destination is at or above its own: that one it is mounted on. */
function treeOf({ root, mounts = [] }: Config, links: ConfigLinks): Node {
  const top: Node = {
    destination: "/",
    content: mountContent({ destination: "/", source: root.path, type: "rootfs" }, links.to("/root/path")),
    children: [],
  };
  const nodes = [top];
  mounts.forEach((mount, index) => {
    const destination = cleanPath(mount.destination);
    const node = { destination, content: mountContent(mount, links.to(`/mounts/${index}`)), children: [] };
    const parent = nodes
      .filter((other) => isAtOrBelow(destination, other.destination))
      .reduce((best, other) => (other.destination.length >= best.destination.length ? other : best), top);
    parent.children.push(node);
    nodes.push(node);
  });
  return top;
}

function mountContent({ destination, type = "", source = "", options = [] }: Mount, link: Content): Element {
  return element(
    "div",
    { class: "item" },
    element("code", { class: "destination" }, destination),
    ` ${type} `,
    element("span", { class: "detail" }, source === type ? "" : source),
    " ",
    words(options),
    link,
  );
}

function nodeContent({ content, children }: Node): Element {
  return element(
    "li",
    {},
    content,
    children.length > 0 && element("ul", { class: "tree" }, children.map(nodeContent)),
  );
}
