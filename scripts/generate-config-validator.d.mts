/** The text of src/spec/config-validator.generated.js, as the schema asks for it. */
export declare function generateConfigValidator(): string;
