import { workingDirectory } from "./own-process.ts";

/**
 * Paths as text. These replace node:path, whose `resolve` asks the engine for the working directory, and whose `dirname` keeps doubled
 * slashes at the end.
 */

/** `path` made absolute and free of `.`, `..` and doubled slashes, without touching the file system. */
export function absolutePath(path: string): string {
  const full = path.startsWith("/") ? path : `${workingDirectory()}/${path}`;
  const parts: string[] = [];
  for (const part of full.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** The parent directory: "/" for "/", "." for a path without a slash. */
export function dirname(path: string): string {
  const end = path.replace(/\/+$/, "").lastIndexOf("/");
  if (end === -1) return path.startsWith("/") ? "/" : ".";
  return path.slice(0, end).replace(/\/+$/, "") || "/";
}

/** The last name of a path. */
export function basename(path: string): string {
  return path.replace(/\/+$/, "").split("/").at(-1) ?? "";
}
