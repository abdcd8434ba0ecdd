import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "bindings/**/*.test.ts", "scripts/**/*.test.ts"],
          // Some compile C or compare thousands of filters, maybe on a busy machine.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "spec",
          include: ["spec-tests/**/*.test.ts"],
          exclude: ["spec-tests/guests/**"],
          globalSetup: ["spec-tests/harness/setup.ts"],
          pool: "forks",
          isolate: false,
          maxWorkers: 2,
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: "guests",
          include: ["spec-tests/guests/**/*.test.ts"],
          globalSetup: ["spec-tests/harness/guest-setup.ts"],
          pool: "forks",
          maxWorkers: 2,
        },
      },
    ],
  },
});
