import { armFrom } from "./injection.ts";

/** The test build: the program, after its first argument has said which operation goes wrong. */
armFrom(process.argv);
await import("../../src/main.ts");
