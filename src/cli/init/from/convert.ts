import { stringify } from 'yaml';
import { FOREIGN_NAMES, type ForeignProgram } from '../../../config/foreign.js';
import { DEFAULT_EMBEDDED_PORT } from '../../../config/normalise.js';
import { fromCloudflared } from './cloudflared.js';
import { fromCompose } from './compose.js';
import { Draft, type DraftService, type Fields } from './draft.js';
import { fromFrp } from './frp.js';
import { fromNgrok } from './ngrok.js';

const CONVERTERS: Readonly<Record<ForeignProgram, (file: Fields, draft: Draft) => void>> = {
  ngrok: fromNgrok,
  cloudflared: fromCloudflared,
  compose: fromCompose,
  frp: fromFrp,
};

/** Converts a configuration of another program, as far as portal.yaml supports it. */
export function convert(program: ForeignProgram, file: Fields): Draft {
  const draft = new Draft();
  CONVERTERS[program](file, draft);
  return draft;
}

/** The draft as the text of a portal.yaml; notes become comments. */
export function draftText(
  draft: Draft,
  from: { program: ForeignProgram; file: string; schema: string },
): string {
  const services = Object.fromEntries(
    [...draft.services].map(([name, service]) => [name, shortened(service)]),
  );
  const notes = draft.notes.map((note) => `# ${note}\n`).join('');
  return [
    `# yaml-language-server: $schema=${from.schema}\n`,
    `# Converted from ${from.file} of ${FOREIGN_NAMES[from.program]}.\n`,
    notes,
    `version: 1\n\n`,
    usesRelayPort(draft)
      ? `# Port ${DEFAULT_EMBEDDED_PORT} is one of your services: the embedded relay takes another.\nrelays: { embedded: { port: ${DEFAULT_EMBEDDED_PORT + 1_000} } }\n\n`
      : '',
    stringify({ services }, { lineWidth: 0 }),
  ].join('');
}

/** Whether a target uses the port of the embedded relay. */
function usesRelayPort(draft: Draft): boolean {
  const targets = [...draft.services.values()].flatMap(({ target, routes }) => [
    target,
    ...Object.values(routes ?? {}),
  ]);
  return targets.some((target) => new RegExp(`^(.*:)?${DEFAULT_EMBEDDED_PORT}$`).test(String(target)));
}

/** Shortens a service that has only a target. */
function shortened(service: DraftService): DraftService | string | number {
  const keys = Object.keys(service);
  return keys.length === 1 && service.target !== undefined ? service.target : service;
}
