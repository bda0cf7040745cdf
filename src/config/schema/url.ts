/** The `$id` of the schema, for projects that do not install Portal. */
export const SCHEMA_URL = 'https://unpkg.com/portal-up@0/schema/portal.schema.json';
