import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../text/frame.js';
import { loadConfig } from '../load.js';
import { parse } from '../text/parse.js';
import { isSecret, maskSecrets } from './secrets.js';
import { Source } from '../text/source.js';
import { substitute } from './substitute.js';
import { toValue } from '../text/tree.js';

const SECRET = 'hunter2secret';

async function everythingSaid(text: string): Promise<string> {
  const env = { SECRET, BAD: SECRET };
  const result = await loadConfig({ file: '-', cwd: '/nowhere', env, stdin: async () => text });
  if (result.ok) return JSON.stringify([result.effective, result.warnings]);
  return result.problems
    .map((problem) => formatProblem(problem, { color: false }) + JSON.stringify(problem))
    .join('\n');
}

describe('a secret is never shown', () => {
  it.each([
    `version: 1\nservices:\n  a: { target: 1, access: { pin: "${SECRET}" }, nope: 1 }`,
    `version: 1\nservices:\n  a: { target: 1, access: { pin: ${SECRET} }, nope: 1 }`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pni: ${SECRET}\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access: ${SECRET}\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    pin: ${SECRET}\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: [${SECRET}]\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: |\n        ${SECRET}\n        ${SECRET}\n    x: 1\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: !${SECRET}\n    x: 1\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: *${SECRET}\n    x: 1\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: "x$${SECRET}"\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: "x\${${SECRET} y}"\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: "${SECRET}\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access: { pin: "${SECRET}"\n    x: [\n`,
    `version: 1\nservices:\n  a:\n    mode: http\n    routes: { /: { target: 1, headers: { Authorization: Bearer ${SECRET} } } }\n    x: [\n`,
    `version: 1\nservices:\n  a:\n    mode: http\n    routes:\n      /:\n        headers:\n          Authorization: Bearer ${SECRET}\n`,
    `version: 1\nservices:\n  # pin: ${SECRET}\n  a: 70000 # pin: ${SECRET}\n  #| headers:\n  #|   X: ${SECRET}\n`,
    'version: 1\nservices:\n  a: ${SECRET}\n',
    'version: 1\nservices:\n  a: { target: 1, name: "${SECRET} x", via: "${SECRET}", expires: "${SECRET}" }\n',
    'version: 1\nservices:\n  a: { target: 1, mode: "${SECRET}", metadata: { n: "${SECRET}" } }\n',
    'version: "${SECRET}"\nrelays: { urls: ["${SECRET}", "https://x/${SECRET}"] }\nservices: { a: 1 }\n',
    'version: 1\nservices:\n  a: { target: 1, name: x, hostname: "${SECRET}", access: { allowIps: ["${SECRET}"] } }\n',
    // A duplicate key, or a key where none is allowed: the tree keeps only one.
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: AAAA\n      pin: ${SECRET}\n`,
    `version: 1\nservices:\n  a: { target: 1, access: { pin: AAAA, pin: ${SECRET} } }\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access: { pin: AAAA }\n    access: { pin: ${SECRET} }\n`,
    `version: 1\nservices: { a: 1 }\nservices: { a: { target: 1, access: { pin: ${SECRET} } } }\n`,
    `version: 1\nservices:\n  a: { mode: http, routes: { /: { target: 1, headers: { X: a, X: ${SECRET} } } } }\n`,
    `version: 1\nservices:\n  a: { nope: 1, target: 1, access: { pin: AAAA, <<: { pin: ${SECRET} } } }\n`,
    `version: 1\nservices:\n  a: { nope: 1, target: 1, access: { [pin]: ${SECRET} } }\n`,
    `version: 1\nservices:\n  a: { nope: 1, target: 1, __proto__: { pin: ${SECRET} } }\n`,
    `version: 1\nservices:\n  a: { target: 1, access: { pin: { ${SECRET} }, nope: 1 } }\n`,
    // Old line ends.
    `version: 1\rservices:\r  a:\r    target: 1\r    access:\r      pin: ${SECRET}\r    nope: 1\r`,
    `version: 1\rservices:\r  a:\r    target: [\r    access:\r      pin: ${SECRET}\r`,
    // URLs
    ...[
      `http://u:${SECRET}@h:1`,
      `http://u:${SECRET}@h:99999`,
      `"http://u:${SECRET} x@h:99999"`,
      `http://u:${SECRET}/x@h:1`,
      `"http:\\/\\/u:${SECRET}@h:1"`,
      `u:${SECRET}@h:1`,
      `http://${SECRET}@h:99999`,
      `http://h:1/?token=${SECRET}`,
      `http://h:99999/?token=${SECRET}`,
      `"http://h:99999/?token=x ${SECRET}"`,
      `http://h:99999#${SECRET}`,
      `http://u?p@h:99999/?token=${SECRET}`,
      `http://u:p@h:99999/?to=x@${SECRET}`,
    ].flatMap((url) => [
      `version: 1\nservices:\n  a: ${url}\n`,
      `version: 1\nservices:\n  a: [\n  b: ${url}\n`,
      `version: 1\nservices:\n  a: { target: 0, x: ${url} }\n`,
      `version: 1\nservices:\n  a: 0 # ${url.replace(' ', '')}\n`,
      `version: 1\nrelays: { urls: [${url.replace('http:', 'https:')}] }\nservices: {}\n`,
    ]),
    `version: 1\nservices:\n  "http://u:${SECRET}@h": 1\n`,
    // Aliases of a secret, and an alias as a secret
    ...[
      'name: *p',
      'target: *p',
      'hostname: *p',
      'expires: *p',
      'metadata: { x: *p }',
      'via: *p',
      'port: *p',
    ].flatMap((use) => [
      `version: 1\nservices:\n  a: { target: 1, access: { pin: &p "$${SECRET} x" }, ${use} }\n`,
      `version: 1\nservices:\n  a: { target: 1, access: { pin: AAAA, pin: &p "${SECRET} x" }, ${use} }\n`,
      `version: 1\nservices:\n  a: { target: 1, ${use.replace('*p', `&p "$${SECRET} x"`)}, access: { pin: *p } }\n`,
    ]),
  ])('%j', async (text) => {
    expect(await everythingSaid(text)).not.toContain(SECRET);
  });

  it('after the overlay removed the PIN', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'portal-secrets-'));
    const text = `version: 1\nservices:\n  a: { target: 1, access: { pin: &p "${SECRET} x" }, name: *p }\n`;
    await writeFile(join(dir, 'portal.yaml'), text);
    await writeFile(join(dir, 'portal.local.yaml'), 'services: { a: { access: null } }');
    const result = await loadConfig({ cwd: dir, env: {} });
    await rm(dir, { recursive: true });
    expect(result.ok).toBe(false);
    expect(JSON.stringify(result)).not.toContain(SECRET);
  });

  it('in the effective configuration, when an alias repeats it', async () => {
    const text = `version: 1\nservices:\n  a: { target: 1, metadata: { x: &p ${SECRET} }, tls: local }\nrelays: { embedded: {} }\n`;
    const said = await everythingSaid(text);
    expect(said).toContain(SECRET);
    const tree = parse(new Source('x', `access: { pin: &p ${SECRET} }\nn: *p`));
    const { tree: marked } = substitute(tree.tree, () => undefined, tree.secrets);
    expect(maskSecrets(toValue(marked), marked)).toEqual({ access: { pin: '****' }, n: '****' });
  });

  it('and other values are shown', async () => {
    const text = 'version: 1\nservices:\n  a: http://${HOST:?where is it}:99999 # by me@example.com\n';
    expect(await everythingSaid(text)).toContain('http://${HOST:?where is it}:99999 # by me@example.com');
    const relay = 'version: 1\nrelays: { urls: ["https://u:p@h?x=y"] }\nservices: {}\n';
    expect(await everythingSaid(relay)).toContain('["https://****@h?****"]');
    const schema = '# yaml-language-server: $schema=https://unpkg.com/portal-up@0/schema/portal.schema.json';
    expect(await everythingSaid(`${schema}\nversion: 2\n`)).toContain(schema);
  });

  it.each(['${APP_PIN:?set APP_PIN}', '"${APP_PIN}"', "'${APP_PIN}'"])(
    'and the variable %s is',
    async (pin) => {
      const text = `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: ${pin}\n`;
      expect(await everythingSaid(text)).toContain(`pin: ${pin}`);
      expect(await everythingSaid(`${text}    x: [`)).toContain(`pin: ${pin}`);
    },
  );

  it.each([
    'a: { target: 1, access: { pin: &p "${SECRET}" }, metadata: { x: *p } }',
    'a: { target: 1, access: { pin: &p "${SECRET}" }, name: *p, x: 1 }',
    'a: { target: 1, access: { pin: "${NOPE:-hunter2secret}" }, x: 1 }',
  ])('and the value of a variable is not: %s', async (service) => {
    expect(await everythingSaid(`version: 1\nservices:\n  ${service}\n`)).not.toMatch(/hunter2/);
  });

  it('in the effective configuration', () => {
    const value = {
      services: {
        pin: 3000,
        a: { access: { pin: SECRET, allowIps: ['10.0.0.1'] }, routes: { '/': { headers: { A: SECRET } } } },
      },
    };
    expect(maskSecrets(value)).toEqual({
      services: {
        pin: 3000,
        a: { access: { pin: '****', allowIps: ['10.0.0.1'] }, routes: { '/': { headers: { A: '****' } } } },
      },
    });
  });
});

it('does not mask a service or a route named pin', () => {
  expect(isSecret(['services', 'pin'])).toBe(false);
  expect(isSecret(['services', 'headers', 'target'])).toBe(false);
  expect(isSecret(['services', 'a', 'metadata', 'pin'])).toBe(false);
  expect(isSecret(['services', 'a', 'pin'])).toBe(true);
  expect(isSecret(['services', 'a', 'routes', '/', 'headers', 'X'])).toBe(true);
  expect(isSecret(['services', 'a', 'routes', '/', 'responseHeaders', 'X'])).toBe(true);
});

const isSecretGate = (...keys: string[]): boolean => isSecret(['services', 'a', 'access', ...keys]);

it('masks the settings of gates, except those that are not secret', () => {
  expect(isSecretGate('webhook', 'secret')).toBe(true);
  expect(isSecretGate('webhok', 'provider')).toBe(true);
  expect(isSecretGate('pni')).toBe(true);
  expect(isSecretGate('webhook', 'provider')).toBe(false);
  expect(isSecretGate('webhook', 'header')).toBe(false);
  expect(isSecretGate('rateLimit', 'perVisitor')).toBe(false);
  expect(isSecretGate('identities', '0')).toBe(false);
  expect(isSecretGate('sharing')).toBe(false);
  expect(isSecret(['services', 'a', 'webhook', 'secret'])).toBe(true);
  expect(isSecret(['services', 'a', 'webhook'])).toBe(true);
  expect(isSecret(['services', 'a', 'webhookSecret'])).toBe(true);
  expect(isSecret(['services', 'webhook', 'target'])).toBe(false);
  expect(isSecret(['services', 'a', 'routes', '/', 'headers', 'access', 'allowIps'])).toBe(true);
});
