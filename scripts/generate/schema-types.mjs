import { compile } from 'json-schema-to-typescript';

/** TypeScript types of portal.yaml. */
export async function renderSchemaTypes(schema) {
  return compile(schema, 'PortalConfig', {
    bannerComment:
      '/* Generated from schema/portal.values.schema.json by scripts/generate.mjs: edit the schema. */',
    additionalProperties: false,
    ignoreMinAndMaxItems: true,
    format: false,
  });
}
