/** Validators that the build generates from JSON schemas (scripts/build/validators.mjs). */
declare module 'validators:*' {
  export interface Validator<T = unknown> {
    (value: unknown): value is T;
    /** Errors of the last call, if it returned false. */
    errors?: readonly ValidationError[] | null;
  }

  /** An error of ajv. */
  export interface ValidationError {
    readonly keyword: string;
    /** JSON pointer into the value. */
    readonly instancePath: string;
    /** `#` and a JSON pointer into the schema, percent-encoded; its last part is the keyword. */
    readonly schemaPath: string;
    readonly params: Readonly<Record<string, unknown>>;
    readonly message?: string;
  }

  /** By schema name. */
  export const validators: Readonly<Record<string, Validator>>;
}
