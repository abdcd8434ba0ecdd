import { defineConfig } from "vitest/config";

/** The engine tests that `npm test` runs too; `npm run test:engines` runs all. */
const EVERYDAY = ["exec", "life", "rootless", "run"].map(
  (part) => `spec-tests/engines/podman-${part}.test.ts`,
);

/** Tests poll for an event that comes soon or never. On a busy machine "soon" may be long. */
const expectation = { poll: { timeout: 20_000, interval: 20 } };

/** A summary shows the first line of a failure: it has to say what differs, and not that an array of one is not empty. */
const chaiConfig = { truncateThreshold: 2000 };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          chaiConfig,
          include: ["src/**/*.test.ts", "bindings/**/*.test.ts", "scripts/**/*.test.ts"],
          // Some compile C or compare thousands of filters, maybe on a busy machine.
          testTimeout: 90_000,
          hookTimeout: 90_000,
        },
      },
      {
        test: {
          name: "spec",
          chaiConfig,
          expect: expectation,
          include: ["spec-tests/!(engines|faults|guests|kubernetes|package)/**/*.test.ts", ...EVERYDAY],
          globalSetup: ["spec-tests/harness/setup.ts"],
          pool: "forks",
          isolate: false,
          maxWorkers: 2,
          testTimeout: 90_000,
          hookTimeout: 90_000,
        },
      },
      {
        test: {
          name: "engines",
          chaiConfig,
          expect: expectation,
          include: ["spec-tests/engines/*.test.ts"],
          globalSetup: ["spec-tests/harness/setup.ts"],
          pool: "forks",
          maxWorkers: 2,
          // Some build images or wait for a health check, maybe on a busy machine.
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "kubernetes",
          chaiConfig,
          include: ["spec-tests/kubernetes/*.test.ts"],
          globalSetup: ["spec-tests/harness/kubernetes/setup.ts"],
          pool: "forks",
          // One file after the other, since some stop nodes. The tests of a file mostly run at once.
          maxWorkers: 1,
          testTimeout: 240_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "kubernetes-guest",
          chaiConfig,
          // The node is emulated: a pod takes it ten seconds to start, and minutes on a busy machine.
          env: { KUBERNETES_PATIENCE_MS: "600000" },
          include: ["spec-tests/kubernetes/guest/*.test.ts"],
          globalSetup: ["spec-tests/harness/kubernetes/guest/setup.ts"],
          pool: "forks",
          maxWorkers: 1,
        },
      },
      {
        test: {
          name: "faults",
          chaiConfig,
          include: ["spec-tests/faults/**/*.test.ts"],
          globalSetup: ["spec-tests/faults/setup.ts"],
          pool: "forks",
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "package",
          chaiConfig,
          expect: expectation,
          include: ["spec-tests/package/**/*.test.ts"],
          globalSetup: ["spec-tests/harness/package/setup.ts"],
          pool: "forks",
          maxWorkers: 2,
          // Some install an engine and its dependencies, maybe on a busy machine.
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: "guests",
          chaiConfig,
          expect: expectation,
          include: ["spec-tests/guests/**/*.test.ts"],
          globalSetup: ["spec-tests/harness/guests/setup.ts"],
          pool: "forks",
          // A guest serves all files of a worker.
          isolate: false,
          maxWorkers: 2,
        },
      },
    ],
  },
});
