/** Modules of the commands whose time counts most: what engines call for each container. All that they import is loaded at once. */
export const hotModules = [
  "src/cli/command-line.ts",
  "src/cli/operations.ts",
  ...["create", "start", "run", "exec", "kill", "delete", "state"].map((name) => `src/cli/${name}.ts`),
  ...["create", "start", "run", "run-exec", "kill", "delete", "state"].map(
    (name) => `src/container/${name}.ts`,
  ),
];
