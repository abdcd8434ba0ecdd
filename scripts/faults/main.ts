import { armFrom } from "./injection.ts";

/** The test build: takes the fault from the arguments, then runs the program. */
armFrom(process.argv);
await import("../../src/main.ts");
