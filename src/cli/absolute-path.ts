/** `path` made absolute and free of `.` and `..`, without touching the file system. By hand: node:path costs 0.4 ms. */
export function absolutePath(path: string): string {
  const full = path.startsWith("/") ? path : `${process.cwd()}/${path}`;
  const parts: string[] = [];
  for (const part of full.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
