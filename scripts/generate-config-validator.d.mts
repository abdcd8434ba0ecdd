/** Generates the text of src/spec/config-validator.generated.js from the schema. */
export declare function generateConfigValidator(): string;
