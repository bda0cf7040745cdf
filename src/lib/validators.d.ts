/** Checks that the build makes of JSON schemas: scripts/build/validators.mjs says of which. */
declare module 'validators:*' {
  export interface Validator<T = unknown> {
    (value: unknown): value is T;
    /** Of the last call, when it said no. */
    errors?: readonly ValidationError[] | null;
  }

  /** What ajv says of a value that does not fit. */
  export interface ValidationError {
    readonly keyword: string;
    /** JSON pointer into the value. */
    readonly instancePath: string;
    /** `#` and a JSON pointer into the schema, percent-encoded; its last part is the keyword. */
    readonly schemaPath: string;
    readonly params: Readonly<Record<string, unknown>>;
    readonly message?: string;
  }

  /** By the schema's name. */
  export const validators: Readonly<Record<string, Validator>>;
}
