import { expect, it } from 'vitest';
import { loadConfig } from '../load.js';

async function warned(text: string): Promise<string[]> {
  const yaml = `version: 1\n${text}\n`;
  const result = await loadConfig({ file: '-', cwd: '/nowhere', env: {}, stdin: async () => yaml });
  if (!result.ok) throw new Error(result.problems[0]?.message);
  return result.warnings.map(({ line, path, message, hint }) => `${line} ${path}: ${message} | ${hint}`);
}

const WHY = 'a relay has no certificate for an IP address, so the agent cannot verify it';
const DOMAIN = 'Write the domain of the relay, as in https://relay.example.com.';

it.each([
  [
    'relays: { urls: ["https://127.0.0.1:8443"] }\nservices: {}',
    `2 /relays/urls/0: ${WHY} | Write https://localhost:8443.`,
  ],
  [
    'relays: { urls: ["https://[::1]:8443"] }\nservices: {}',
    `2 /relays/urls/0: ${WHY} | Write https://localhost:8443.`,
  ],
  [
    'relays:\n  urls:\n    - { ca: a.pem, url: "https://192.0.2.1" }\nservices: {}',
    `4 /relays/urls/0/url: ${WHY} | ${DOMAIN}`,
  ],
  [
    'chains: { far: ["https://relay.test", "https://[2001:db8::1]"] }\nservices: { db: { target: 1, mode: tcp, via: far } }',
    `2 /chains/far/1: ${WHY} | ${DOMAIN}`,
  ],
  [
    'services: { db: { target: 1, mode: tcp, relays: ["https://10.0.0.1"] } }',
    `2 /services/db/relays/0: ${WHY} | ${DOMAIN}`,
  ],
])('warns about a relay with an IP address: %j', async (text, warning) => {
  expect(await warned(text)).toEqual([warning]);
});

it.each(['https://localhost:8443', 'https://relay.test', 'https://1and1.test'])(
  'does not warn about %s',
  async (url) => {
    expect(await warned(`relays: { urls: ["${url}"] }\nservices: {}`)).toEqual([]);
  },
);
